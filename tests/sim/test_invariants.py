"""Each ring invariant on hand-made nodes: one ring that satisfies it, and the least change that violates it."""

from __future__ import annotations

import random
from itertools import pairwise

import attrs
import pytest

from chord_proto.effects import OpId
from chord_proto.invariants import (
    CHECKS,
    Facts,
    UnderWay,
    Violation,
    armed_operations,
    check,
    connected_appendages,
    enough_principals,
    ideal_neighbours,
    is_ideal,
    list_ends,
    live_successor,
    member_has_successor,
    no_duplicates,
    no_waiting_circle,
    one_owner,
    one_ring,
    ordered_lists,
    ordered_ring,
    pointers_existed,
    predecessor_moves,
    silent_after_end,
    some_ring,
    successor_moves,
    timers_armed,
    well_formed,
    why_not_ideal,
)
from chord_proto.messages import Neighbours, Ping
from chord_proto.node import Node
from chord_proto.peer import Peer
from chord_proto.phase import Phase
from chord_proto.view import NodeView
from tests.sim.made_up import TIMERS, TWO, changed, ideal, peer, peers, ring, view


def names(found: list[Violation]) -> list[str]:
    """Return the names of the properties that were violated."""
    return [violation.name for violation in found]


def neighbours(source: int, target: int, request: int, *successors: int, came_round: bool = False) -> UnderWay:
    """Return an answer about neighbours that is under way."""
    message = Neighbours(peer(source), 1, target, 1, request, None, peers(*successors), came_round, 1)
    return UnderWay(message, 0.0)


FOUR = ideal(0, 10, 20, 30)


def test_ideal_ring_satisfies_everything() -> None:
    """An ideal ring at rest violates no property of any scope."""
    assert [] == [found for found in check(ring(*FOUR)) if found.name != "S10"]
    assert is_ideal(FOUR, TWO)


def test_check_keeps_to_its_scope() -> None:
    """Only the properties of the scopes that were asked for are checked."""
    broken = ring(view(0, (10, 10)), view(10, (20,), 0))
    everything = {rule.name for rule in CHECKS}
    assert {f"S{number}" for number in range(1, 19)} | {"L1"} == everything
    assert "S8" in names(check(broken, {"A"}))
    assert {"S1", "S2", "S3", "S6"} & set(names(check(broken, {"A"}))) == set()
    assert {"S18", "L1"} == set(names(check(broken, {"Q"})))


def test_s1_live_successor() -> None:
    """S1: a member whose successors are all dead is found; one dead entry, or being alone, is no violation."""
    assert [] == list(live_successor(ring(view(0, (5, 10)), view(10, (0,)))))
    assert [] == list(live_successor(ring(view(0, ()))))
    found = list(live_successor(ring(view(0, (5, 7)), view(10, (0,)))))
    assert [("S1", peer(0))] == [(violation.name, violation.peer) for violation in found]


def test_s2_principals() -> None:
    """S2: a node that some member's extended list skips is no principal."""
    assert [] == list(enough_principals(ring(*FOUR[:3])))
    three = ideal(0, 10, 20)
    skipping = attrs.evolve(three[0], successors=peers(20))
    snapshot = ring(skipping, *three[1:])
    assert [0, 20] == list(snapshot.principals)
    assert ["S2"] == names(list(enough_principals(snapshot)))


def test_s2_joining_nodes_are_no_principals() -> None:
    """S2: only members count."""
    joiner = NodeView(me=peer(15), incarnation=1, phase=Phase.JOINING)
    assert [0, 10] == list(ring(*ideal(0, 10), joiner).principals)


def test_s2_counts_lists_under_way_to_a_stabilising_node() -> None:
    """S2: an answer that a member waits for counts as it will be kept, [sender] + list; an unexpected one does not."""
    waiting = attrs.evolve(FOUR[0], requests=((7, "n10", 1.0),))
    everyone = [0, 10, 20, 30]
    assert [0, 10, 30] == list(ring(waiting, *FOUR[1:], under_way=(neighbours(10, 0, 7, 30, 0),)).principals)
    assert everyone == list(ring(waiting, *FOUR[1:], under_way=(neighbours(10, 0, 8, 30, 0),)).principals)


def test_s2_counts_only_what_the_cut_leaves_of_lists_under_way() -> None:
    """S2: what lies beyond the r entries that the receiver keeps skips nobody."""
    waiting = attrs.evolve(FOUR[0], requests=((7, "n10", 1.0),))
    assert [0, 10, 20, 30] == list(ring(waiting, *FOUR[1:], under_way=(neighbours(10, 0, 7, 20, 0),)).principals)


def test_s2_counts_join_answers_without_their_sender() -> None:
    """S2: a joiner takes the list over whole and keeps its sender only where the list came round."""
    joiner = NodeView(me=peer(5), incarnation=1, phase=Phase.JOINING, requests=((7, "n0", 1.0),))
    assert [0, 10, 20, 30] == list(ring(*FOUR, joiner, under_way=(neighbours(0, 5, 7, 10, 20),)).principals)
    assert [0, 20, 30] == list(ring(*FOUR, joiner, under_way=(neighbours(0, 5, 7, 20, 30),)).principals)
    came_round = neighbours(0, 5, 7, 10, came_round=True)
    assert [0, 10] == list(ring(*FOUR, joiner, under_way=(came_round,)).principals)


def test_s3_some_ring() -> None:
    """S3: members that lead to each other but never back to themselves form no ring."""
    assert [] == list(some_ring(ring(*FOUR)))
    assert ["S3"] == names(list(some_ring(ring(view(0, (10,)), view(10, (7,))))))


def test_s4_one_ring() -> None:
    """S4: two rings side by side are found."""
    assert [] == list(one_ring(ring(*FOUR)))
    two = (view(0, (20,)), view(20, (0,)), view(10, (30,)), view(30, (10,)))
    assert ["S4"] == names(list(one_ring(ring(*two))))
    assert ["S4"] == names(list(one_ring(ring(view(0, ()), view(20, ())))))


def test_s5_ordered_ring() -> None:
    """S5: a ring that passes over one of its own members is out of order."""
    assert [] == list(ordered_ring(ring(*FOUR)))
    wrong = ring(view(0, (20,)), view(20, (10,)), view(10, (0,)))
    assert {"S5"} == set(names(list(ordered_ring(wrong))))


def test_s6_appendages_reach_the_ring() -> None:
    """S6: a joiner off the ring must lead to it, a circle or a dead end off it is found."""
    joined = view(5, (10, 20))
    assert [] == list(connected_appendages(ring(*FOUR, joined)))
    assert ["S6"] == names(list(connected_appendages(ring(*FOUR, view(5, (7,))))))
    assert [0, 10, 20, 30] == list(ring(*FOUR, joined).on_ring)


def test_s7_ordered_lists() -> None:
    """S7: a list that goes back is out of order, one that passes zero is not."""
    assert [] == list(ordered_lists(ring(view(30, (0, 10)))))
    assert ["S7"] == names(list(ordered_lists(ring(view(30, (10, 0))))))


def test_s8_no_duplicates() -> None:
    """S8: nobody is named twice or names itself, as successor or as predecessor."""
    assert [] == list(no_duplicates(ring(*FOUR)))
    assert ["S8"] == names(list(no_duplicates(ring(view(0, (10, 10))))))
    assert ["S8"] == names(list(no_duplicates(ring(view(0, (10, 0))))))
    assert ["S8"] == names(list(no_duplicates(ring(view(0, (10,), 0)))))
    assert ["S8"] == names(list(no_duplicates(ring(view(0, (10,), predecessors=peers(30, 30))))))


def test_s9_member_has_successor() -> None:
    """S9: an empty list is right for a ring of one only."""
    assert [] == list(member_has_successor(ring(view(0, ()))))
    assert ["S9"] == names(list(member_has_successor(ring(view(0, ()), view(10, (0,))))))


def test_s9_lists_end() -> None:
    """S9: a list holds r nodes, more only while it names fewer than R addresses, and none outside a ring."""
    assert [] == list(list_ends(ring(view(0, (10, 20)))))
    assert ["S9"] == names(list(list_ends(ring(view(0, (10, 20, 30))))))
    here = view(0, (10, 20, 30))
    one_address = attrs.evolve(here, me=Peer(0, "a"), successors=(Peer(10, "a", 1), Peer(20, "a", 2), Peer(30, "b", 3)))
    assert [] == list(list_ends(ring(one_address)))
    outside = attrs.evolve(here, phase=Phase.JOINING, successors=peers(10))
    assert ["S9"] == names(list(list_ends(ring(outside))))


def test_s10_well_formed() -> None:
    """S10: a pointer whose id is not the hash of its address is found, in any list."""
    honest, liar = Peer.at("a", bits=6), Peer(Peer.at("b", bits=6).id ^ 1, "b")
    base = attrs.evolve(view(0, ()), me=Peer.at("me", bits=6))
    assert [] == list(well_formed(ring(attrs.evolve(base, successors=(honest,), predecessor=honest))))
    for field, value in (("successors", (liar,)), ("predecessors", (liar,)), ("predecessor", liar)):
        assert ["S10"] == names(list(well_formed(ring(changed(base, {field: value})))))


def test_s11_pointers_existed() -> None:
    """S11: a pointer to a node that never was is found, one to a dead node is not."""
    facts = Facts(existed=set(peers(0, 10, 20)))
    assert [] == list(pointers_existed(ring(view(0, (20,), 10), facts=facts)))
    assert ["S11"] == names(list(pointers_existed(ring(view(0, (21,), 10), facts=facts))))


def test_s12_predecessor_moves() -> None:
    """S12: the predecessor moves closer, or away from who was suspected or left, and is never just dropped."""

    def moved(old: int | None, new: int | None, *gone: int, left: tuple[int, ...] = (10,)) -> list[str]:
        facts = Facts(gone={(0, peer(place)) for place in gone})
        return names(list(predecessor_moves(ring(view(0, left, new), before={0: view(0, (10,), old)}, facts=facts))))

    assert [] == moved(20, 30)
    assert [] == moved(None, 20)
    assert [] == moved(20, 20)
    assert [] == moved(30, 20, 30)
    assert [] == moved(30, None, 30, left=())
    assert ["S12"] == moved(30, None, 30)
    assert ["S12"] == moved(30, 20)
    assert ["S12"] == moved(30, 20, 20)
    assert ["S12"] == moved(30, None)


def test_s12_compares_views_of_one_life() -> None:
    """S12: a new life starts anew."""
    again = view(0, (10,), 20, incarnation=2)
    assert [] == list(predecessor_moves(ring(again, before={0: view(0, (10,), 30)}, facts=Facts(gone=()))))


def test_s13_successor_moves() -> None:
    """S13: the first successor gives way to a closer node that answered, or goes when it was suspected or left."""

    def moved(old: tuple[int, ...], new: tuple[int, ...], *, gone: int = -1, answered: int = -1) -> list[str]:
        facts = Facts(gone={(0, peer(gone))}, answered={(0, peer(answered))})
        return names(list(successor_moves(ring(view(0, new), before={0: view(0, old)}, facts=facts))))

    assert [] == moved((10, 20), (5, 10), answered=5)
    assert [] == moved((10, 20), (10, 30))
    assert [] == moved((), (20,), answered=20)
    assert [] == moved((10, 20), (20,), gone=10)
    assert [] == moved((10,), (), gone=10)
    assert ["S13"] == moved((10, 20), (5, 10))
    assert ["S13"] == moved((10, 20), (20,), answered=20)
    assert ["S13"] == moved((10,), ())
    assert ["S13"] == moved((), (20,))


def test_s14_armed_operations() -> None:
    """S14: what is under way ends at a finite time, no earlier than the deadline, and is under way once."""
    fine = view(0, (), operations=((1, 9.0), (2, 5.0)), requests=((7, "n10", 6.0),))
    assert [] == list(armed_operations(ring(fine)))
    for broken in (
        attrs.evolve(fine, deadline=None),
        attrs.evolve(fine, deadline=8.0),
        attrs.evolve(fine, operations=((1, float("inf")),)),
        attrs.evolve(fine, operations=((1, 9.0), (1, 9.0))),
        attrs.evolve(fine, requests=((7, "n10", 6.0), (7, "n20", 6.0))),
    ):
        assert "S14" in names(list(armed_operations(ring(broken))))


def test_s15_timers() -> None:
    """S15: a member's timers are armed, a stopped node's are not, and a tick leaves nothing due."""
    assert [] == list(timers_armed(ring(view(0, ()), now=4.0, ticked={0})))
    stopped = NodeView(me=peer(0), incarnation=1, phase=Phase.STOPPED)
    assert [] == list(timers_armed(ring(stopped)))
    for broken in (
        view(0, (), timers=TIMERS[1:]),
        view(0, (), deadline=6.0),
        attrs.evolve(stopped, timers=TIMERS),
        attrs.evolve(stopped, deadline=1.0),
    ):
        assert ["S15"] == names(list(timers_armed(ring(broken))))
    assert ["S15"] == names(list(timers_armed(ring(view(0, ()), now=5.0, ticked={0}))))
    assert [] == list(timers_armed(ring(view(0, ()), now=5.0)))


def test_s16_no_waiting_circle() -> None:
    """S16: who is busy waits for an answer that comes or lapses."""
    busy = view(0, (10,), busy=True, requests=((7, "n10", 6.0),))
    assert [] == list(no_waiting_circle(ring(busy)))
    assert ["S16"] == names(list(no_waiting_circle(ring(attrs.evolve(busy, requests=())))))


def test_s17_silent_after_end() -> None:
    """S17: a message sent after its sender's life ended is found; one sent before may still be under way."""
    sent = UnderWay(Ping(peer(10), 1, 0, 1, 7), 3.0)
    assert [] == list(silent_after_end(ring(under_way=(sent,), facts=Facts(ended={(10, 1): 3.0}))))
    assert [] == list(silent_after_end(ring(under_way=(sent,), facts=Facts(ended={(10, 2): 2.0}))))
    assert ["S17"] == names(list(silent_after_end(ring(under_way=(sent,), facts=Facts(ended={(10, 1): 2.0})))))


def test_s18_one_owner() -> None:
    """S18: arcs of ownership that overlap or leave a gap are found."""
    assert [] == list(one_owner(ring(*FOUR)))
    assert [] == list(one_owner(ring(view(0, ()))))
    for predecessor in (0, 30, None):
        overlap = attrs.evolve(FOUR[2], predecessor=None if predecessor is None else peer(predecessor))
        assert ["S18"] == names(list(one_owner(ring(*FOUR[:2], overlap, FOUR[3]))))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
def test_ideal_lists_have_the_length_of_the_definition(size: int) -> None:
    """Ideal lists are min(r, size - 1) long and came round exactly in rings of at most r + 1."""
    everybody = peers(*range(0, 7 * size, 7))
    for me in everybody:
        want = ideal_neighbours(everybody, me, TWO)
        assert (min(2, size - 1), size <= 3) == (len(want.successors), want.came_round)
        position = everybody.index(me)
        assert everybody[(position + 1) % size] == (*want.successors, me)[0]
        assert (None if size == 1 else everybody[position - 1]) == want.predecessor


def test_ideal_lists_run_on_until_they_name_enough_addresses() -> None:
    """With virtual nodes side by side a list runs on past r until R distinct addresses are named."""
    everybody = (Peer(1, "a"), Peer(2, "a", 1), Peer(3, "a", 2), Peer(4, "b"), Peer(5, "c"))
    assert (Peer(2, "a", 1), Peer(3, "a", 2), Peer(4, "b")) == ideal_neighbours(everybody, everybody[0], TWO).successors
    assert (Peer(3, "a", 2), Peer(4, "b")) == ideal_neighbours(everybody, everybody[1], TWO).successors


@pytest.mark.parametrize(
    "change",
    [
        {"predecessor": peer(20)},
        {"predecessor": None},
        {"successors": peers(20)},
        {"successors": peers(20, 0)},
        {"successors": peers(20, 30, 0)},
        {"came_round": True},
    ],
    ids=str,
)
def test_ideal_is_exact(change: dict[str, object]) -> None:
    """Any pointer that is not exact keeps a ring from being ideal, and the reason names the node."""
    spoiled = (FOUR[0], changed(FOUR[1], change), *FOUR[2:])
    reason = why_not_ideal(spoiled, TWO)
    assert reason is not None
    assert reason.startswith("n10:")
    assert not is_ideal(spoiled, TWO)


def test_ideal_is_about_members() -> None:
    """A node that is still joining keeps nobody from being ideal."""
    joiner = NodeView(me=peer(15), incarnation=1, phase=Phase.JOINING)
    assert is_ideal((*FOUR, joiner), TWO)


def test_principals_agree_with_the_definition_on_random_rings() -> None:
    """The principals found by bisection are those of the definition, on a thousand random rings."""
    draw = random.Random(1)
    for _ in range(1000):
        places = draw.sample(range(64), draw.randint(1, 7))
        views = [view(place, tuple(draw.sample(range(64), draw.randint(0, 3)))) for place in places]
        snapshot = ring(*views)
        expected = []
        for candidate in sorted(places):
            arcs = [(left.id, right.id) for lists in snapshot.extended_lists() for left, right in pairwise(lists)]
            turns = [((candidate - left) % 64, (right - left) % 64 or 64) for left, right in arcs]
            if not any(0 < to_candidate < to_right for to_candidate, to_right in turns):
                expected.append(candidate)
        assert expected == list(snapshot.principals)


def test_an_operation_that_lost_its_timer_is_seen_although_another_is_due_earlier() -> None:
    """S14 is about each operation: it ends by a deadline of its own."""
    node = Node(Peer.at("a:1", 0, bits=TWO.bits), seed=1, config=TWO)
    node.join(OpId(1), ["b:1"], now=0.0)
    node.get(OpId(2), b"early", now=0.0)
    node.get(OpId(3), b"late", now=0.1)
    assert [] == list(armed_operations(ring(node.view())))
    lost = next(task.number for task in node.tasks.active.values() if task.op == 3)
    node.ctx.timers.disarm(("task", lost))
    assert ["S14"] == names(list(armed_operations(ring(node.view()))))
