"""Whose turn it is among connections on which more has come than is handled."""

from __future__ import annotations

from typing import Any

from chord_adapters._backlogs import Backlogs
from chord_adapters._link import Link, LinkCounters
from chord_proto.messages import Message, Notify
from chord_proto.peer import Peer

MESSAGES: list[Message] = [Notify(Peer.at(f"n{number}"), 1, None, 0) for number in range(6)]
NOTHING: Any = None


def link(name: str) -> Link:
    """Return a connection that was dialled."""
    return Link(name, dialled=True, connection=NOTHING, since=0.0, used=0.0)


def test_after_much_work_others_come_first() -> None:
    """Who has more and rests has no turn before the time has come; whoever else has, goes on."""
    backlogs, busy, other = Backlogs(LinkCounters()), link("busy"), link("other")
    backlogs.came(busy, MESSAGES[:3])
    backlogs.came(other, MESSAGES[3:])
    assert MESSAGES[0] == backlogs.next_of(busy)
    backlogs.rest(busy, 5.0)
    assert [other] == list(backlogs.ready)
    assert [None, MESSAGES[3], None, MESSAGES[4], None, MESSAGES[5]] == [
        backlogs.next_of(each) for each in (busy, other) * 3
    ]
    assert 5.0 == backlogs.deadline(1.0)
    backlogs.release(4.9)
    assert backlogs.next_of(busy) is None
    backlogs.release(5.0)
    assert ([busy], 5.0) == (list(backlogs.ready), backlogs.deadline(5.0))
    assert MESSAGES[1:3] == [backlogs.next_of(busy), backlogs.next_of(busy)]


def test_what_comes_meanwhile_waits_too() -> None:
    """More from the one that rests does not end its rest."""
    backlogs, busy, other = Backlogs(LinkCounters()), link("busy"), link("other")
    backlogs.came(other, MESSAGES[:1])
    backlogs.came(busy, MESSAGES[:2])
    backlogs.rest(busy, 5.0)
    backlogs.came(busy, MESSAGES[2:3])
    assert backlogs.next_of(busy) is None
    backlogs.release(5.0)
    assert MESSAGES[:3] == [backlogs.next_of(busy) for _ in range(3)]


def test_nobody_rests_alone() -> None:
    """Where nothing has come from others since the last rest there is nobody to make way for."""
    backlogs, busy = Backlogs(LinkCounters()), link("busy")
    backlogs.came(link("other"), MESSAGES[:1])
    backlogs.came(busy, MESSAGES)
    backlogs.rest(busy, 5.0)
    backlogs.release(5.0)
    backlogs.rest(busy, 9.0)
    assert MESSAGES == [backlogs.next_of(busy) for _ in MESSAGES]


def test_a_connection_that_has_ended_rests_no_more() -> None:
    """Nothing of it is left."""
    backlogs, busy = Backlogs(LinkCounters()), link("busy")
    backlogs.came(link("other"), MESSAGES[:1])
    backlogs.came(busy, MESSAGES)
    backlogs.rest(busy, 5.0)
    backlogs.forget(busy)
    backlogs.release(5.0)
    assert busy not in backlogs.ready
