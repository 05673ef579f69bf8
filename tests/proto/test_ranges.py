"""Owning is not yet serving: arcs pending, granted and relinquished (chord.md section 7, "one decider at a time")."""

from __future__ import annotations

from chord_proto.effects import RangeGained, RangeLost, RangeReady
from chord_proto.identifiers import within
from chord_proto.messages import (
    Digest,
    Done,
    Elsewhere,
    GetDigest,
    GetNeighbours,
    GetRecord,
    Leaving,
    Neighbours,
    Notify,
    Ping,
    Pong,
    PutRecord,
    Reason,
    Refused,
    Replicate,
    TakeOver,
    Value,
)
from chord_proto.node import Node
from chord_proto.ranges import arcs_meet, subtract
from tests.proto.rig import Rig, name_at, only, peer, record_at, request, sent

SIZE = 8
ARCS = [(start, end) for start in range(SIZE) for end in range(SIZE) if start != end]


def places(arc: tuple[int, int]) -> set[int]:
    """Return the places of an arc of a circle of eight."""
    return {place for place in range(SIZE) if within(arc[0], place, arc[1])}


def test_arcs_meet_iff_they_share_a_place() -> None:
    """All pairs of arcs of a small circle, against sets."""
    for one in ARCS:
        for other in ARCS:
            assert bool(places(one) & places(other)) == arcs_meet(*one, *other), (one, other)


def test_subtracting_arcs() -> None:
    """What is left of one arc without another, as arcs, is what is left of its set of places; no place twice."""
    for one in [*ARCS, *((place, place) for place in range(SIZE))]:
        for other in ARCS:
            left = [place for piece in subtract(*one, *other) for place in places(piece)]
            assert sorted(places(one) - places(other)) == sorted(left), (one, other)


# The joiner's side


def joined() -> tuple[Rig, Node]:
    """Return a node that has just joined at 10 and asks for its range (200, 10]."""
    rig = Rig()
    return rig, rig.member(10, before=200, after=[60, 100], came_round=False, granted=False)


def served(rig: Rig, node: Node) -> list[type]:
    """Return how the node answers a read and a write of a record that it owns."""
    read = request(GetRecord, peer(100), node, 0, name_at(5), False, number=501)
    write = request(PutRecord, peer(100), node, 0, name_at(5), b"v", 9, number=502)
    answers = [*rig.receive(node, read), *rig.receive(node, write)]
    return [type(each.message) for each in answers if getattr(getattr(each, "message", None), "request", 0) in (501, 502)]  # type: ignore[union-attr]  # fmt: skip


def test_a_joiner_serves_nothing_before_the_grant() -> None:
    """It owns its range, is not ready, sends readers through to the old owner, and refuses to decide."""
    rig, node = joined()
    assert (True, False) == (node.owns(5), node.ready)
    assert [Elsewhere, Refused] == served(rig, node)
    asked = rig.asked(TakeOver)
    assert (60, 200, 10) == (asked.target, asked.start, asked.end)


def test_granted_and_fetched_it_serves() -> None:
    """After Done the records are pulled, made durable, and only then is the range ready."""
    rig, node = joined()
    rig.reply(rig.asked(TakeOver), Done)
    assert not node.ready
    effects = rig.reply(rig.asked(GetDigest), Digest, 0, bytes(16))
    assert ([RangeReady(200, 10)], True) == (only(RangeReady, effects), node.ready)


def test_not_ready_is_asked_again() -> None:
    """The old owner has to finish first: the joiner asks again shortly."""
    rig, node = joined()
    rig.reply(rig.asked(TakeOver), Refused, Reason.NOT_READY)
    rig.under_way.clear()
    assert not node.ready
    rig.tick(node, 0.13)
    assert 60 == rig.asked(TakeOver).target


def test_the_walk_along_the_ring() -> None:
    """Who is not the one sends on; when nobody could grant it, all living replicas' copies are pulled instead."""
    rig, node = joined()
    rig.reply(rig.asked(TakeOver, peer(60)), Elsewhere, (peer(100),), False)
    rig.reply(rig.asked(TakeOver, peer(100)), Elsewhere, (), False)
    assert not node.ready
    for place in (60, 100):
        rig.reply(rig.asked(GetDigest, peer(place)), Digest, 0, bytes(16))
    assert node.ready


def test_what_is_pending_is_not_granted() -> None:
    """A joiner that waits for its own grant cannot grant a part of it to the next one."""
    rig, node = joined()
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(240), node)))
    rig.reply(ping, Pong, True, ())
    assert Reason.NOT_READY is take_over(rig, node)


# The old owner's side


def old_owner() -> tuple[Rig, Node]:
    """Return a node at 10 that owned (200, 10] and has adopted a joiner at 240 as predecessor."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    rig.humour()
    rig.receive(node, request(Replicate, peer(60), node, (record_at(220),), False, number=1))
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(240), node)))
    effects = rig.reply(ping, Pong, True, ())
    assert [RangeLost(200, 240)] == only(RangeLost, effects)
    return rig, node


def take_over(rig: Rig, node: Node, start: int = 200, end: int = 240, *, source: int = 240, number: int = 7) -> object:
    """Ask for an arc; return the kind of answer, or the reason of the refusal."""
    effects = rig.receive(node, request(TakeOver, peer(source), node, start, end, number=number))
    answers = [*sent(Done, effects), *sent(Elsewhere, effects), *sent(Refused, effects)]
    (answer,) = [each for each in answers if each.request == number]
    return Reason(answer.reason) if isinstance(answer, Refused) else type(answer)


def test_the_old_owner_stops_deciding_in_the_same_step() -> None:
    """Once the joiner is its predecessor it sends writers on, and answers reads through."""
    rig, node = old_owner()
    (answer,) = sent(
        Elsewhere, rig.receive(node, request(PutRecord, peer(60), node, 0, name_at(220), b"w", 4, number=8))
    )
    assert peer(240) == answer.peers[0]
    (value,) = sent(Value, rig.receive(node, request(GetRecord, peer(60), node, 0, name_at(220), True, number=9)))
    assert record_at(220) == value.held


def test_it_grants_what_it_gave_up_and_only_that() -> None:
    """Its own range: not ready; what it never had: elsewhere; what it relinquished: done, and again to the same."""
    rig, node = old_owner()
    assert Reason.NOT_READY is take_over(rig, node, 200, 10)
    assert Elsewhere is take_over(rig, node, 150, 200, source=200)
    assert Elsewhere is take_over(rig, node, 150, 240)
    assert Done is take_over(rig, node)
    assert Done is take_over(rig, node)


def test_it_grants_nothing_that_is_on_its_way_to_disk() -> None:
    """A write accepted before the joiner came has to be durable, and so readable, before the range is granted."""
    rig, node = old_owner()
    rig.durable = False
    rig.receive(node, request(Replicate, peer(200), node, (record_at(230),), False, number=11))
    assert Reason.NOT_READY is take_over(rig, node)
    rig.flush_writes()
    assert Done is take_over(rig, node)


def test_one_grant_for_one_arc() -> None:
    """A second claimant of an arc that was granted does not get it as well."""
    rig, node = old_owner()
    assert Done is take_over(rig, node)
    assert Reason.NOT_READY is take_over(rig, node, 200, 240, source=250)
    assert Reason.NOT_READY is take_over(rig, node, 200, 230, source=230)


def test_what_comes_back_unasked_is_served_at_once() -> None:
    """The joiner dies before it was granted anything: the old owner decides again in the step that replaces it."""
    rig, node = old_owner()
    node.ctx.suspect(peer(240))
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(200), node, life=2)))
    effects = rig.reply(ping, Pong, True, (), life=2)
    assert ([RangeGained(200, 240)], [RangeReady(200, 240)]) == (only(RangeGained, effects), only(RangeReady, effects))
    assert node.ready


def test_what_was_granted_away_is_fetched_first() -> None:
    """The joiner dies after the grant: it may have decided, so the others' copies are pulled before serving."""
    rig, node = old_owner()
    assert Done is take_over(rig, node)
    node.ctx.suspect(peer(240))
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(200), node, life=2)))
    effects = rig.reply(ping, Pong, True, (), life=2)
    assert ([RangeGained(200, 240)], [], False) == (only(RangeGained, effects), only(RangeReady, effects), node.ready)


def test_a_leavers_grant_is_served_once_the_pointer_moves() -> None:
    """Everything was given before the farewell: no fetching."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    farewell = request(Leaving, peer(200), node, peer(150), (), (node.me,), True)
    (ping,) = sent(Ping, rig.receive(node, farewell))
    effects = rig.reply(ping, Pong, True, ())
    assert ([RangeReady(150, 200)], True) == (only(RangeReady, effects), node.ready)


def test_a_nearer_joiner_trims_what_is_pending() -> None:
    """Another joins between before the grant: this node asks only for what is still its own."""
    rig, node = joined()
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(240), node)))
    rig.reply(ping, Pong, True, ())
    rig.reply(rig.asked(TakeOver), Refused, Reason.NOT_READY)
    rig.under_way.clear()
    rig.tick(node, 0.13)
    asked = rig.asked(TakeOver)
    assert (240, 10) == (asked.start, asked.end)


def test_doubt_after_a_pause() -> None:
    """The successor does not take this node for its predecessor: the range is not served until granted back."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(200), (peer(100), peer(150)), False, 3)
    assert not node.ready
    assert [Elsewhere, Refused] == served(rig, node)
    asked = rig.asked(TakeOver)
    assert (60, 200, 10) == (asked.target, asked.start, asked.end)
    rig.reply(asked, Done)
    rig.reply([p.message for p in rig.under_way if isinstance(p.message, GetDigest)][-1], Digest, 0, bytes(16))
    assert node.ready
