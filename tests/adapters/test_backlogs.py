"""Whose turn it is among connections on which more has come than is handled."""

from __future__ import annotations

from typing import Any

import pytest

from chord_adapters._backlogs import CREDIT, DEAREST, LOOKS, REST, Backlogs
from chord_adapters._link import Link, LinkCounters
from chord_proto.messages import Message, Notify
from chord_proto.peer import Peer

MESSAGES: list[Message] = [Notify(Peer.at(f"n{number}"), 1, None, 0) for number in range(6)]
NOTHING: Any = None


def link(name: str) -> Link:
    """Return a connection that was dialled."""
    return Link(name, dialled=True, connection=NOTHING, since=0.0, used=0.0)


def resting(seconds: float, *others: list[Message], latest: float = 0.0) -> tuple[Backlogs, Link, list[Link]]:
    """Return connections of which the first has more and is to rest so long from 100.0 on; of the others this has come."""
    backlogs, busy = Backlogs(LinkCounters()), link("busy")
    links = [link(f"other {number}") for number in range(len(others))]
    backlogs.came(busy, MESSAGES[:3])
    for other, messages in zip(links, others, strict=True):
        backlogs.came(other, messages)
    assert MESSAGES[0] == backlogs.next_of(busy)
    while busy not in backlogs.resting:
        backlogs.charge(busy, 0.001, latest, 100.0)
    busy.paid = 100.0 + CREDIT + seconds
    return backlogs, busy, links


def test_after_much_work_others_come_first() -> None:
    """Who has more and rests has no turn before the time has come; whoever else has, goes on."""
    backlogs, busy, (other,) = resting(5.0, MESSAGES[3:])
    assert [other] == list(backlogs.ready)
    assert [None, MESSAGES[3], None, MESSAGES[4], None, MESSAGES[5]] == [
        backlogs.next_of(each) for each in (busy, other) * 3
    ]
    for turn in range(48):
        backlogs.came(other, MESSAGES[:1])
        backlogs.release(100.0 + turn / 10)
        assert backlogs.next_of(busy) is None
        assert MESSAGES[0] == backlogs.next_of(other)
    backlogs.release(105.1)
    assert ([busy], 105.1) == (list(backlogs.ready), backlogs.deadline(105.1))
    assert MESSAGES[1:3] == [backlogs.next_of(busy), backlogs.next_of(busy)]


def test_it_rests_when_it_has_used_up_its_credit() -> None:
    """Who makes much work now and then need not rest, who makes it again and again must, each time so long as it took."""
    backlogs, busy = Backlogs(LinkCounters()), link("busy")
    backlogs.came(busy, MESSAGES)
    for _ in range(9):
        backlogs.charge(busy, CREDIT / REST * 0.49, 0.0, 100.0)
        backlogs.charge(busy, CREDIT / REST * 0.49, 0.0, 100.0)
        assert not backlogs.resting
        busy.paid -= CREDIT
    backlogs.charge(busy, CREDIT / REST, 0.0, 100.0)
    backlogs.charge(busy, 0.001, 0.0, 100.0)
    assert [busy] == list(backlogs.resting)
    assert pytest.approx(100.0 + CREDIT + REST * 0.001) == busy.paid
    backlogs.release(100.0 + 0.9 * REST * 0.001)
    assert backlogs.resting
    backlogs.release(100.0 + 1.1 * REST * 0.001)
    assert not backlogs.resting
    backlogs.charge(busy, 3600.0, 0.0, 200.0)  # The machine has slept.
    assert pytest.approx(200.0 + REST * DEAREST) == busy.paid


def test_what_comes_meanwhile_waits_too() -> None:
    """More from the one that rests does not end its rest."""
    backlogs, busy, (other,) = resting(5.0, MESSAGES[:1])
    backlogs.came(busy, MESSAGES[3:4])
    assert backlogs.next_of(busy) is None
    assert [other] == list(backlogs.ready)
    backlogs.release(105.1)
    assert MESSAGES[1:4] == [backlogs.next_of(busy) for _ in range(3)]


def test_nobody_rests_alone() -> None:
    """Where others have nothing for as long as its latest message took, who rests goes on, and owes no more than its credit."""
    backlogs, busy, (other,) = resting(5.0, [], latest=0.004)
    backlogs.ready.clear()
    assert 100.001 == backlogs.deadline(100.0)
    backlogs.release(100.0)  # It came after the last look: whatever others had then.
    for look in range(1, LOOKS):
        backlogs.release(100.0 + look / 1000)
        assert backlogs.next_of(busy) is None
    backlogs.came(other, MESSAGES[:1])
    assert MESSAGES[0] == backlogs.next_of(other)
    for look in range(LOOKS + 1):
        assert backlogs.next_of(busy) is None
        backlogs.release(100.1 + look / 1000)
    assert MESSAGES[1] == backlogs.next_of(busy)
    assert pytest.approx(100.1 + LOOKS / 1000 + CREDIT) == busy.paid
    backlogs.charge(busy, 0.001, 0.004, 100.2)
    backlogs.release(100.201)  # And on and on while it is so.
    assert MESSAGES[2] == backlogs.next_of(busy)
    backlogs.charge(busy, 0.001, 0.004, 100.3)
    backlogs.came(busy, MESSAGES[3:4])
    backlogs.release(100.301)
    assert MESSAGES[3] == backlogs.next_of(busy)
    backlogs.came(busy, MESSAGES[4:])  # Read on at once, it is nobody else.
    backlogs.charge(busy, 0.001, 0.004, 100.4)
    backlogs.release(100.401)
    assert MESSAGES[4] == backlogs.next_of(busy)


def test_of_many_that_rest_one_goes_on_at_a_time() -> None:
    """The one that has rested for longest, and none that has nothing."""
    backlogs, first, (second, empty) = resting(5.0, MESSAGES[:2], [])
    for each in (empty, second):
        backlogs.charge(each, DEAREST, 0.0, 100.0)
        each.paid = 105.0
        backlogs.charge(each, DEAREST, 0.0, 100.0)
    assert {first, second, empty} == set(backlogs.resting)
    for _ in range(LOOKS + 1):
        backlogs.release(100.0)
    assert [first] == list(backlogs.ready)


def test_a_connection_that_has_ended_rests_no_more() -> None:
    """Nothing of it is left."""
    backlogs, busy, _ = resting(5.0, MESSAGES[:1])
    backlogs.forget(busy)
    backlogs.release(105.1)
    assert busy not in backlogs.ready
    assert not backlogs.resting
