"""A node that slept: others may have taken it for dead, and decided for its range (chord.md section 7)."""

from __future__ import annotations

import attrs
import pytest

from chord_proto.effects import RangeLost
from chord_proto.messages import (
    Digest,
    Elsewhere,
    GetDigest,
    GetNeighbours,
    Granted,
    Neighbours,
    Notify,
    Ping,
    Pong,
    PutRecord,
    Reason,
    Refused,
    TakeOver,
)
from tests.proto.rig import CONFIG, Rig, name_at, only, peer, request, ring_of, sent


def grant(rig: Rig) -> None:
    """Let what is asked for be granted."""
    asked = rig.asked(TakeOver)
    rig.reply(asked, Granted, asked.start, asked.end)


@pytest.mark.parametrize("slept, decided", [(2.0, 1), (2.1, 0)])
def test_what_waited_while_a_node_slept(slept: float, decided: int) -> None:
    """If others may have taken it for dead, a request of then is not decided: they may have decided it, and later ones.

    It asks along the ring whether somebody decides there now.
    """
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    rig.now += slept
    effects = rig.receive(node, request(PutRecord, peer(100), node, 0, name_at(5), b"v", 9, 0, None, 1, ""))
    assert decided == node.stats().records
    assert [Reason.NOT_READY] * (1 - decided) == [answer.reason for answer in sent(Refused, effects)]
    assert 1 - decided == len(sent(TakeOver, effects))


def test_what_was_being_fetched_while_a_node_slept() -> None:
    """A grant of then is no grant any more: others may have taken the arc for orphaned, and its copies be old."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False, granted=False)
    grant(rig)
    pulling = rig.asked(GetDigest)
    rig.now += 2.1
    effects = rig.tick(node)
    assert [(200, 10)] == [(asked.start, asked.end) for asked in sent(TakeOver, effects)]
    rig.reply(pulling, Digest, 0, bytes(16))
    assert not node.ready
    grant(rig)
    rig.reply([p.message for p in rig.under_way if isinstance(p.message, GetDigest)][-1], Digest, 0, bytes(16))
    assert node.ready


def test_what_is_kept_for_others_while_a_node_slept() -> None:
    """It is no longer granted: who wants it may have it from elsewhere by now."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(240), node)))
    assert [RangeLost(200, 240)] == only(RangeLost, rig.reply(ping, Pong, True, ()))
    rig.now += 2.1
    effects = rig.receive(node, request(TakeOver, peer(240), node, 200, 240, True, number=12))
    assert ([], 1) == (sent(Granted, effects), len(sent(Elsewhere, effects)))


@pytest.mark.parametrize(
    "places, period, jitter, seconds", [((10, 60, 100), 60.0, 0.2, 600.0), ((10, 60), 1.7, 0.9, 3000.0)]
)
def test_who_had_nothing_to_do_has_not_slept(
    places: tuple[int, ...], period: float, jitter: float, seconds: float
) -> None:
    """A ring whose upkeep is slow is silent for longer than suspicion takes; nobody gives up what it decides for."""
    slow = attrs.evolve(CONFIG, stabilize_interval=period, jitter=jitter, finger_interval=60.0, repair_interval=60.0)
    rig = ring_of(*places, config=slow)
    rig.run(300.0)
    rig.delivered.clear()
    rig.run(seconds)
    kinds = {type(message) for message in rig.delivered}
    assert (True, False) == (GetNeighbours in kinds, TakeOver in kinds)


def test_who_is_alone_has_missed_nothing() -> None:
    """A ring of one goes on after it has slept."""
    rig = Rig()
    node = rig.create(10)
    rig.now += 100.0
    rig.receive(node, request(PutRecord, peer(100), node, 0, name_at(5), b"v", 9, 0, None, 1, ""))
    assert 1 == node.stats().records
