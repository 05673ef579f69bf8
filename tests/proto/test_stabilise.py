"""Stabilise, rule by rule: no first successor is adopted that has not itself just answered (chord.md section 2)."""

from __future__ import annotations

from itertools import pairwise

import attrs
import pytest

from chord_proto.effects import Effect, PeerFailed, PredecessorChanged, Send, SuccessorsChanged
from chord_proto.messages import (
    Busy,
    GetDigest,
    GetNeighbours,
    ListChanged,
    Neighbours,
    Notify,
    Ping,
    Pong,
    Reason,
    Refused,
)
from chord_proto.node import Node
from tests.proto.rig import CONFIG, Rig, only, peer, request, ring_of, sent


def stabilising(before: int = 200, after: tuple[int, ...] = (60, 100, 150)) -> tuple[Rig, Node, GetNeighbours]:
    """Return a member at 10 in the middle of a round: it has asked its first successor."""
    rig = Rig()
    node = rig.member(10, before=before, after=after, came_round=False)
    asked = rig.asked(GetNeighbours, peer(after[0]))
    rig.under_way.clear()
    return rig, node, asked


def places(node: Node) -> list[int]:
    """Return the ids of a node's successors."""
    return [successor.id for successor in node.successors]


def told(effects: list[Effect]) -> list[int | None]:
    """Return who is notified."""
    return [message.target for message in sent(Notify, effects)]


def test_the_successors_list_is_taken_over_whole() -> None:
    """The list: successors := [s] + s's list, cut to r; then s is notified."""
    rig, node, asked = stabilising()
    effects = rig.reply(asked, Neighbours, peer(10), (peer(120), peer(170), peer(180)), False, 3)
    assert [60, 120, 170] == places(node)
    known = node.ctx.routing.known
    assert [(10, rig.now), (60, rig.now), (120, rig.now)] == [(known[i].after, known[i].heard) for i in (60, 120, 170)]
    assert [60] == told(effects)
    assert not node.view().busy


def test_the_list_stops_where_it_comes_round() -> None:
    """A list that names the node itself ends there, and came round."""
    rig, node, asked = stabilising()
    rig.reply(asked, Neighbours, peer(10), (peer(200), peer(10), peer(60)), False, 3)
    assert ([60, 200], True) == (places(node), node.came_round)


def test_a_candidate_is_asked_before_it_is_adopted() -> None:
    """The candidate p = s.predecessor lies between: p is asked for its list, and is not yet the first successor."""
    rig, node, asked = stabilising()
    effects = rig.reply(asked, Neighbours, peer(30), (peer(100), peer(150)), False, 3)
    assert [peer(30).address] == [each.to for each in only(Send, effects) if type(each.message) is GetNeighbours]
    assert [60, 100, 150] == places(node)
    assert [] == told(effects)
    assert node.view().busy


def test_a_candidate_that_answers_is_adopted_with_its_list() -> None:
    """Candidate p answers: successors := [p] + p's list, and p is notified instead of s."""
    rig, node, asked = stabilising()
    rig.reply(asked, Neighbours, peer(30), (peer(100), peer(150)), False, 3)
    effects = rig.reply(rig.asked(GetNeighbours), Neighbours, None, (peer(60), peer(101), peer(150)), False, 3)
    assert [30, 60, 101] == places(node)
    assert [30] == told(effects)


def test_a_candidate_that_is_silent_is_not_adopted() -> None:
    """Candidate p does not answer: s stays and is notified; p is suspected."""
    rig, node, asked = stabilising()
    rig.reply(asked, Neighbours, peer(30), (peer(100), peer(150)), False, 3)
    rig.under_way.clear()
    effects: list[Effect] = []
    while not only(PeerFailed, effects):
        assert node.deadline is not None
        effects += rig.tick(node, node.deadline - rig.now)
        rig.humour(GetDigest)
    assert [PeerFailed(peer(30))] == only(PeerFailed, effects)
    assert [60, 100, 150] == places(node)
    assert [60] == told(effects)


def test_a_candidate_that_is_no_member_is_not_adopted() -> None:
    """Candidate p says that it is no member: the same as silence, at once."""
    rig, node, asked = stabilising()
    rig.reply(asked, Neighbours, peer(30), (peer(100), peer(150)), False, 3)
    effects = rig.reply(rig.asked(GetNeighbours), Refused, Reason.NOT_MEMBER)
    assert ([60, 100, 150], [60]) == (places(node), told(effects))
    assert [PeerFailed(peer(30))] == only(PeerFailed, effects)


def test_a_candidate_that_lies_elsewhere_is_not_asked() -> None:
    """s.predecessor behind this node: s is notified, nobody asked."""
    rig, _, asked = stabilising()
    effects = rig.reply(asked, Neighbours, peer(250), (peer(100), peer(150)), False, 3)
    assert [60] == told(effects)
    assert [] == sent(GetNeighbours, effects)


def test_a_suspected_candidate_is_not_asked() -> None:
    """What s says of a third is a hint: who was just found dead is not asked again because s still names it."""
    rig, _, asked = stabilising()
    rig.reply(asked, Neighbours, peer(30), (peer(100), peer(150)), False, 3)
    rig.reply(rig.asked(GetNeighbours), Refused, Reason.NOT_MEMBER)
    rig.under_way.clear()
    rig.run(1.5)
    effects = rig.reply(rig.asked(GetNeighbours, peer(60)), Neighbours, peer(30), (peer(100),), False, 3)
    assert ([60], []) == (told(effects), sent(GetNeighbours, effects))


def test_a_dead_head_is_dropped_and_the_next_notified() -> None:
    """No answer: s leaves the list, nothing else does, and the next one is notified."""
    rig, node, asked = stabilising()
    effects = rig.reply(asked, Refused, Reason.NOT_MEMBER)
    assert ([100, 150], [100]) == (places(node), told(effects))
    assert [SuccessorsChanged((peer(100), peer(150)))] == only(SuccessorsChanged, effects)
    assert False is node.came_round


def test_a_short_list_that_came_round_still_does() -> None:
    """It names everybody: without one of them it names everybody who is left."""
    rig, node, asked = stabilising(after=(60,))
    rig.reply(asked, Neighbours, peer(10), (peer(200), peer(10)), True, 3)
    assert ([60, 200], True) == (places(node), node.came_round)
    rig.run(1.5)
    rig.reply(rig.asked(GetNeighbours, peer(60)), Refused, Reason.NOT_MEMBER)
    assert ([200], True) == (places(node), node.came_round)


def test_while_lists_change_rounds_come_sooner() -> None:
    """News of nodes farther on travels one node a round: the next one comes within about a quarter of the period."""
    rig, node, asked = stabilising()
    rig.reply(asked, Neighbours, peer(10), (peer(120), peer(170), peer(180)), False, 3)
    periodic = dict(node.view().timers)
    assert periodic["stabilize"] <= rig.now + 1.2 * rig.config.stabilize_interval / 4
    assert [("stabilize", 0)] == [key for key, _ in node.ctx.timers.items() if key[0] == "stabilize"]


def test_a_list_run_empty_falls_back_to_the_predecessor() -> None:
    """When every successor has failed, the predecessor is asked; it becomes the successor once it has answered."""
    rig, node, asked = stabilising(after=(60,))
    rig.reply(asked, Refused, Reason.NOT_MEMBER)
    assert [] == places(node)
    rig.under_way.clear()
    rig.tick(node, 0.06)
    rig.reply(rig.asked(GetNeighbours, peer(200)), Neighbours, peer(10), (peer(60), peer(10)), True, 2)
    assert ([200, 60], peer(200)) == (places(node), node.predecessor)


def test_if_none_answers_the_node_is_a_ring_of_one() -> None:
    """The predecessor, the last hope, fails too: no predecessor, owns everything, and the list came round."""
    rig, node, asked = stabilising(after=(60,))
    rig.reply(asked, Refused, Reason.NOT_MEMBER)
    rig.under_way.clear()
    rig.tick(node, 0.06)
    effects = rig.reply(rig.asked(GetNeighbours, peer(200)), Refused, Reason.NOT_MEMBER)
    assert [PredecessorChanged(peer(200), None)] == only(PredecessorChanged, effects)
    assert (None, (), (), True) == (node.predecessor, node.predecessors, node.successors, node.came_round)
    assert all(node.owns(place) for place in range(256))


def test_whoever_else_is_known_is_asked_before_that() -> None:
    """Successor and predecessor have failed, but the node knows another member: that one becomes the successor."""
    rig, node, asked = stabilising(after=(60,))
    rig.reply(asked, Refused, Reason.NOT_MEMBER)
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(240), node)))
    rig.reply(ping, Pong, True, ())
    node.ctx.suspect(peer(240))
    rig.under_way.clear()
    rig.tick(node, 0.06)
    rig.tick(node, 0.06)
    rig.reply(rig.asked(GetNeighbours, peer(200)), Neighbours, None, (), True, 1)
    assert [200] == places(node)


def test_busy_ends_the_step_unchanged() -> None:
    """Successor s is busy: nothing changes, nobody is notified, and the node tries again well within a period."""
    rig, node, asked = stabilising()
    before = places(node)
    effects = rig.reply(asked, Busy)
    assert (before, [], [], False) == (places(node), told(effects), only(PeerFailed, effects), node.view().busy)
    assert dict(node.view().timers)["stabilize"] <= rig.now + 0.3
    rig.tick(node, 0.31)
    rig.asked(GetNeighbours, peer(60))


def test_a_busy_candidate_leaves_the_head_alone() -> None:
    """Candidate p is busy: it lives, but is not adopted without its list."""
    rig, node, asked = stabilising()
    rig.reply(asked, Neighbours, peer(30), (peer(100), peer(150)), False, 3)
    effects = rig.reply(rig.asked(GetNeighbours), Busy)
    assert ([60, 100, 150], False, []) == (places(node), node.view().busy, only(PeerFailed, effects))


def test_a_candidate_that_refuses_for_another_reason_has_not_failed() -> None:
    """Candidate p says that it cannot answer now: it lives, and is neither suspected nor adopted."""
    rig, node, asked = stabilising()
    rig.reply(asked, Neighbours, peer(30), (peer(100), peer(150)), False, 3)
    effects = rig.reply(rig.asked(GetNeighbours), Refused, Reason.NOT_READY)
    assert ([60, 100, 150], [], []) == (places(node), told(effects), only(PeerFailed, effects))
    assert not node.view().busy


def test_one_round_at_a_time() -> None:
    """While a step is under way, the periodic timer begins no second one."""
    rig, node, asked = stabilising()
    again: list[GetNeighbours] = []
    for _ in range(4):
        rig.under_way.clear()
        rig.tick(node, 0.2)
        again += [parcel.message for parcel in rig.under_way if isinstance(parcel.message, GetNeighbours)]
    assert {asked.request} == {message.request for message in again}


def test_rounds_are_rate_limited() -> None:
    """Changes bring the next round forward, but never within ``eager_delay`` of the last one."""
    rig, node, asked = stabilising()
    rig.reply(asked, Neighbours, peer(10), (peer(100), peer(120), peer(150)), False, 3)
    began = rig.now
    rig.under_way.clear()
    rig.take(node, node.unreachable(peer(60), now=rig.now))
    rig.tick(node, rig.config.eager_delay - 0.011)
    assert [] == [p for p in rig.under_way if isinstance(p.message, GetNeighbours)]
    rig.run(rig.config.stabilize_interval * 1.2)
    assert rig.now > began
    rig.asked(GetNeighbours, peer(60))


@pytest.mark.parametrize("jitter, low, high", [(0.2, 24.0, 36.0), (0.5, 15.0, 45.0)])
def test_rounds_are_apart_by_the_period_more_or_less(jitter: float, low: float, high: float) -> None:
    """By a fifth, or by what is set: the papers have 15 to 45 seconds (ToN 2003, section V)."""
    rig = ring_of(10, 60, config=attrs.evolve(CONFIG, stabilize_interval=30.0, jitter=jitter, late_tolerance=1e9))
    rounds = [0]
    while len(rounds) < 150:
        rig.delivered.clear()
        rig.run(1.0)
        if any(type(message) is GetNeighbours and message.source == peer(10) for message in rig.delivered):
            rounds.append(int(rig.now))
    gaps = [later - earlier for earlier, later in pairwise(rounds[5:])]
    assert low - 1 <= min(gaps) < low + 2
    assert high - 2 < max(gaps) <= high + 1


def test_in_order_is_whose_successor_takes_it_for_its_predecessor() -> None:
    """As far as it is known: who has just joined is, whom the successor names somebody else is not, until it does."""
    rig, node, asked = stabilising()
    told = [node.describe().in_order]
    for between_us in (250, 10):
        rig.reply(asked, Neighbours, peer(between_us), (peer(100), peer(150)), False, 3)
        told.append(node.describe().in_order)
        rig.under_way.clear()
        rig.run(1.5)
        asked = rig.asked(GetNeighbours, peer(60))
    assert [True, False, True] == told


def test_a_changed_list_is_passed_on_at_once() -> None:
    """The predecessor is told of a list that differs in what it takes over of it: all but the last of r."""
    rig, node, asked = stabilising()
    effects = rig.reply(asked, Neighbours, peer(10), (peer(100), peer(170)), False, 3)
    assert [60, 100, 170] == places(node)
    assert [] == sent(ListChanged, effects)
    rig.tick(node, 2.0)
    effects = rig.reply(rig.asked(GetNeighbours, peer(60)), Neighbours, peer(10), (peer(120), peer(170)), False, 3)
    assert [60, 120, 170] == places(node)
    assert [200] == [message.target for message in sent(ListChanged, effects)]


def test_whoever_is_told_of_a_changed_list_asks_for_it() -> None:
    """The word of the first successor brings the next round forward; that of anybody else does not."""
    rig, node, asked = stabilising()
    rig.reply(asked, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    rig.tick(node, node.ctx.config.eager_delay)
    assert [] == sent(GetNeighbours, rig.receive(node, request(ListChanged, peer(100), node)))
    effects = rig.receive(node, request(ListChanged, peer(60), node))
    assert [60] == [message.target for message in sent(GetNeighbours, effects)]


def test_a_flood_of_changes_brings_no_more_rounds_than_one_a_delay() -> None:
    """However often the successor says so, rounds are ``Config.eager_delay`` apart."""
    rig, node, asked = stabilising()
    rounds = [asked]
    for _ in range(100):
        rig.reply(rounds[-1], Neighbours, peer(10), (peer(100), peer(150)), False, 3)
        effects = [effect for _ in range(10) for effect in rig.receive(node, request(ListChanged, peer(60), node))]
        rounds += sent(GetNeighbours, effects + rig.tick(node, node.ctx.config.eager_delay / 10))
    assert 9 <= len(rounds) <= 11
