"""Records: the plain data that crosses the core's border."""

from __future__ import annotations

import pytest

from chord_proto.messages import Done, Ping
from chord_proto.operations import Joined, Locate, Scan


def test_records_are_equal_by_class_and_fields() -> None:
    """Two records are equal if they are of one class and all their fields are."""
    assert Locate(1) == Locate(1)
    assert Locate(1) != Locate(2)
    assert Joined() == Joined()
    assert Ping(None, 0, None, 0, 7) == Ping(None, 0, None, 0, 7)
    others: list[object] = [Done(None, 0, None, 0, 7), (None, 0, None, 0, 7)]
    assert Ping(None, 0, None, 0, 7) not in others


def test_records_show_their_fields() -> None:
    """A record looks like the call that makes it."""
    assert repr(Joined()) == "Joined()"
    assert eval(repr(scan := Scan(3, 0, b"users/", None))) == scan


def test_records_have_no_hash() -> None:
    """A record is no key of a table: it could be changed."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Joined())
