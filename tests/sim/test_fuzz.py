"""What strangers may send does no harm; and the tool that tries it finds what would."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import Phase, settings

from chord_adapters.testing import _fuzz
from chord_adapters.testing._fuzz import fuzz

pytestmark = pytest.mark.slow


def test_nothing_is_found() -> None:
    """A few hundred cases of each kind."""
    assert fuzz(200, seed=1).problem is None


@pytest.mark.parametrize(
    "target, words",
    [
        ("chord_proto.ring.Ring.on_notify", "messages: ZeroDivisionError"),
        ("chord_proto.wire.Codec.decode", "bytes: ZeroDivisionError"),
        ("chord_proto.connection.Connection.receive_data", "streams: ZeroDivisionError"),
    ],
)
def test_what_raises_is_found(target: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a part of the core does wrong with what it is given.

    The case is made small, but without the phase in which Hypothesis explains it, which takes ten times as long.
    """
    _fuzz._stage()  # Before the part is broken: to build it needs every part.
    monkeypatch.setattr(_fuzz, "settings", partial(settings, phases=(Phase.generate, Phase.shrink)))
    monkeypatch.setattr(target, lambda *arguments, **keywords: 1 // 0)
    problem = fuzz(3000).problem
    assert problem is not None
    assert problem.startswith(words)
