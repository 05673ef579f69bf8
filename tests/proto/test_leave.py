"""Leaving: hand the data over, tell the neighbours, refuse what comes too late (chord.md section 2)."""

from __future__ import annotations

import attrs
import pytest

from chord_proto.effects import OpId, PeerLeft, Send, Stopped
from chord_proto.messages import (
    Digest,
    Done,
    GetDigest,
    GetNeighbours,
    Leaving,
    Listing,
    ListRange,
    Neighbours,
    Notify,
    Ping,
    Pong,
    PutRecord,
    Reason,
    Refused,
    Replicate,
)
from chord_proto.node import Node
from chord_proto.operations import Left
from chord_proto.phase import Phase
from tests.proto.rig import CONFIG, Rig, name_at, only, peer, record_at, request, ring_of, sent


def leaving() -> tuple[Rig, Node]:
    """Return a member at 10 with one record, which has begun to leave."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    rig.receive(node, request(Replicate, peer(60), node, (record_at(5),), False))
    rig.under_way.clear()
    rig.take(node, node.leave(OpId(1), now=rig.now))
    return rig, node


def hand_over(rig: Rig, to: int = 60) -> None:
    """Let the heir take everything."""
    rig.reply(rig.asked(GetDigest, peer(to)), Digest, 0, bytes(16))
    rig.reply(rig.asked(ListRange, peer(to)), Listing, (), False)
    rig.reply(rig.asked(Replicate, peer(to)), Done)


def farewells(rig: Rig) -> dict[int | None, Leaving]:
    """Return who is told, and what."""
    return {each.message.target: each.message for each in rig.under_way if isinstance(each.message, Leaving)}


def test_the_records_go_first_then_the_word() -> None:
    """The first successor is given what it lacks; only then the neighbours hear, and it alone is granted the range."""
    rig, node = leaving()
    assert {} == farewells(rig)
    hand_over(rig)
    told = farewells(rig)
    assert {200: (), 60: ((200, 10),), 100: ()} == {place: message.granted for place, message in told.items()}
    assert (peer(200), (peer(60), peer(100), peer(200))) == (told[60].predecessor, told[60].successors)
    effects = [effect for message in told.values() for effect in rig.reply(message, Done)]
    assert Left(handed_over=True) == rig.result(OpId(1))
    assert (Stopped(), Phase.STOPPED, ()) == (effects[-1], node.phase, node.successors)


def test_who_depends_on_it_is_told_before_it_goes() -> None:
    """A node that asked for its list lately may know nobody else: the leaver names others, and waits for its answer."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    rig.receive(node, request(GetNeighbours, peer(230), node))
    rig.under_way.clear()
    rig.take(node, node.leave(OpId(1), now=rig.now))
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 0, bytes(16))
    told = farewells(rig)
    assert (peer(60), peer(100), peer(200)) == told[230].successors
    for place in (200, 60, 100):
        rig.reply(told[place], Done)
    before = node.phase
    rig.reply(told[230], Done)
    assert (Phase.LEAVING, Phase.STOPPED) == (before, node.phase)


def test_who_asked_long_ago_does_not_depend_on_it() -> None:
    """Three periods of stabilise without a question: it has found another successor."""
    rig = Rig(attrs.evolve(CONFIG, stabilize_interval=2.0))
    node = rig.member(10, before=200, after=[60, 100])
    rig.receive(node, request(GetNeighbours, peer(230), node))
    rig.tick(node, 5.9)
    assert (peer(230),) == node.ring.dependants()
    rig.tick(node, 0.2)
    assert () == node.ring.dependants()


def test_only_the_latest_askers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than the bound those are forgotten who asked longest ago."""
    monkeypatch.setattr("chord_proto.ring_state._MAX_ASKERS", 2)
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    remembered = []
    for number, place in enumerate((230, 231, 230, 232)):
        rig.receive(node, request(GetNeighbours, peer(place), node, number=number))
        remembered.append([each.id for each in node.ring.dependants()])
    assert [[230], [230, 231], [231, 230], [230, 232]] == remembered


def test_everybody_hears_who_has_the_range() -> None:
    """All but the heir are told what it was granted, so that they neither take it over nor look for it elsewhere."""
    rig, _ = leaving()
    hand_over(rig)
    told = farewells(rig)
    assert {200: [(200, 10, 60)], 60: [], 100: [(200, 10, 60)]} == {
        place: [(each.start, each.end, each.to.id) for each in message.given] for place, message in told.items()
    }


def test_an_heir_that_refuses_gives_way_to_the_next() -> None:
    """A leaving node takes no hand-over; the giver tries the next."""
    rig, _ = leaving()
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 0, bytes(16))
    rig.reply(rig.asked(ListRange, peer(60)), Listing, (), False)
    rig.reply(rig.asked(Replicate, peer(60)), Refused, Reason.LEAVING)
    hand_over(rig, 100)
    assert {200: (), 60: (), 100: ((200, 10),)} == {place: each.granted for place, each in farewells(rig).items()}


def test_an_heir_that_does_not_confirm_has_not_got_it() -> None:
    """The grant is unanswered: the node says that it could not hand over."""
    rig, _ = leaving()
    hand_over(rig)
    for place, message in farewells(rig).items():
        if place != 60:
            rig.reply(message, Done)
    rig.run(15.0)
    assert Left(handed_over=False) == rig.result(OpId(1))


def test_nobody_answers() -> None:
    """Within ``leave_timeout`` and a little more the node is gone all the same, and says that it kept its range."""
    rig, node = leaving()
    began = rig.now
    while node.phase is not Phase.STOPPED:
        assert node.deadline is not None
        rig.tick(node, node.deadline - rig.now)
    assert rig.now - began <= rig.config.leave_timeout + rig.config.max_timeout + 0.1
    assert Left(handed_over=False) == rig.result(OpId(1))


def test_the_last_node_says_at_once_that_nobody_was_there() -> None:
    """A ring of one hands nothing over, and is gone in the same step."""
    rig = Rig()
    node = rig.create(10)
    effects = rig.take(node, node.leave(OpId(1), now=rig.now))
    assert ([Stopped()], Left(handed_over=False)) == (only(Stopped, effects), rig.result(OpId(1)))


def test_a_leaving_node_decides_nothing_and_takes_nothing() -> None:
    """Writes, hand-overs and grants are refused; copies decided by their owner are kept; pings are answered."""
    rig, node = leaving()
    put = rig.receive(node, request(PutRecord, peer(60), node, 0, name_at(5), b"v", 1, number=1))
    copies = rig.receive(node, request(Replicate, peer(60), node, (record_at(6),), False, number=2))
    grant = rig.receive(node, request(Leaving, peer(200), node, peer(150), (), (), ((150, 200),), (), number=3))
    kept = rig.receive(node, request(Replicate, peer(200), node, (record_at(150),), True, number=4))
    refused = sent(Refused, [*put, *copies, *grant])
    assert [(1, Reason.LEAVING), (2, Reason.LEAVING), (3, Reason.LEAVING)] == [(r.request, r.reason) for r in refused]
    assert [4] == [done.request for done in sent(Done, kept)]
    assert 1 == len(only(Send, rig.receive(node, request(Ping, peer(60), node, number=5))))


# The neighbours of who leaves


def neighbour() -> tuple[Rig, Node]:
    """Return a member at 10 between 200 and 60, at rest."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    rig.under_way.clear()
    return rig, node


def test_a_leaving_successor_is_dropped_and_the_next_notified() -> None:
    """The list closes over the gap; nobody named in the farewell is adopted unasked."""
    rig, node = neighbour()
    message = request(Leaving, peer(60), node, peer(40), (), (peer(70), peer(100)), (), ())
    effects = rig.receive(node, message)
    assert [100, 150] == [successor.id for successor in node.successors]
    assert [100] == [notify.target for notify in sent(Notify, effects)]
    assert ([PeerLeft(peer(60))], 1) == (only(PeerLeft, effects), len(sent(Done, effects)))
    assert [] == sent(Ping, effects)


def test_a_successor_that_leaves_while_it_is_asked_ends_the_step() -> None:
    """The next one is notified once, and the node is free for the next step; so it is when nobody is left."""
    for after, expected in (([60, 100], [100]), ([60], [])):
        rig = Rig()
        node = rig.member(10, before=200, after=after, came_round=False)
        assert node.view().busy
        effects = rig.receive(node, request(Leaving, peer(60), node, node.me, (), (), (), ()))
        assert expected == [notify.target for notify in sent(Notify, effects)]
        assert not node.view().busy


def test_a_leaving_predecessor_names_its_own() -> None:
    """The candidate is dialled back, even if it has answered before, and the range is served only then."""
    rig, node = neighbour()
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(150), node)))
    rig.reply(ping, Pong, True, ())
    rig.reply(rig.asked(Ping, peer(200)), Pong, True, ())
    effects = rig.receive(node, request(Leaving, peer(200), node, peer(150), (), (node.me,), ((150, 200),), ()))
    assert [150] == [ping.target for ping in sent(Ping, effects)]
    assert [] == sent(Notify, effects)
    assert not node.owns(180)


@pytest.mark.parametrize("before, expected", [(40, 40), (None, 90)])
def test_a_leaver_names_whom_to_ask_when_the_list_runs_empty(before: int | None, expected: int) -> None:
    """The last known successor leaves and the predecessor is gone, too: those named in the farewell are asked."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (), False, 3)
    named = None if before is None else peer(before)
    rig.receive(node, request(Leaving, peer(60), node, named, (), (peer(90), peer(120)), (), ()))
    assert ((), rig.now) == (node.successors, node.ctx.routing.known[90].heard)
    rig.run(0.1)
    rig.reply(rig.asked(GetNeighbours, peer(200)), Refused, Reason.NOT_MEMBER)
    rig.run(0.1)
    rig.asked(GetNeighbours, peer(expected))


def test_a_farewell_to_who_still_has_successors_names_nobody_to_it() -> None:
    """While the list holds somebody, what the farewell names is not even taken for known."""
    rig, node = neighbour()
    rig.receive(node, request(Leaving, peer(60), node, node.me, (), (peer(70), peer(100)), (), ()))
    assert 70 not in node.ctx.routing.known


def test_the_last_one_of_a_pair_is_a_ring_of_one_at_once() -> None:
    """The only other node, predecessor and successor, leaves: nothing is asked, and everything is owned."""
    rig = Rig()
    node = rig.member(10, before=200)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(10),), True, 2)
    rig.receive(node, request(Leaving, peer(200), node, node.me, (node.me,), (node.me,), ((10, 200),), ()))
    assert (None, (), True) == (node.predecessor, node.successors, node.came_round)
    assert all(node.owns(place) for place in range(256))


def test_one_that_was_never_a_neighbour_leaves_a_ring_of_one() -> None:
    """A node without predecessor takes the farewell of somebody it knows."""
    rig = Rig()
    node = rig.create(10)
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(60), node)))
    rig.reply(ping, Pong, False, ())
    effects = rig.receive(node, request(Leaving, peer(60), node, peer(90), (), (peer(90),), (), ()))
    assert (None, 1) == (node.predecessor, len(sent(Done, effects)))


@pytest.mark.parametrize("life", [1, 2])
def test_a_stranger_cannot_say_that_it_leaves(life: int) -> None:
    """A farewell of somebody unknown changes no pointer, but is answered, so that it may go."""
    rig, node = neighbour()
    before = (node.predecessor, node.successors)
    effects = rig.receive(
        node, request(Leaving, peer(230), node, peer(220), (), (peer(20),), ((220, 230),), (), life=life)
    )
    assert (before, 1) == ((node.predecessor, node.successors), len(sent(Done, effects)))
    assert [] == only(PeerLeft, effects)


def test_a_graceful_leave_loses_nothing() -> None:
    """In a ring of real nodes: every record of the leaver is readable afterwards, everywhere (L9)."""
    rig = ring_of(10, 60, 120, 200)
    first, goes = rig.nodes[peer(10).address], rig.nodes[peer(120).address]
    keys = [name_at(place) for place in range(0, 256, 16)]
    for key in keys:
        rig.take(first, first.put(rig.op(), key, b"of " + key, now=rig.now))
    rig.run(2.0)
    leave = rig.op()
    rig.take(goes, goes.leave(leave, now=rig.now))
    rig.run(12.0)
    assert Left(handed_over=True) == rig.result(leave)
    del rig.nodes[goes.me.address]
    rig.run(5.0)
    for node in rig.nodes.values():
        for key in keys:
            op = rig.op()
            rig.take(node, node.get(op, key, now=rig.now))
            rig.run(0.0)
            assert b"of " + key == rig.result(op).value
