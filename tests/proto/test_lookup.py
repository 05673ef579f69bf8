"""Iterative lookup, question by question: candidates, slowness, failures, redirects and bounds (chord.md section 5)."""

from __future__ import annotations

import attrs
import pytest

from chord_proto.effects import Finished, Misbehaved, OpId, Send
from chord_proto.messages import (
    Closer,
    Elsewhere,
    FindSuccessor,
    Found,
    GetNeighbours,
    GetRecord,
    Neighbours,
    Reason,
    Record,
    Refused,
    Value,
)
from chord_proto.node import Node
from chord_proto.operations import Failed, Failure, Fetched, Located
from tests.proto.rig import CONFIG, Rig, name_at, only, peer, record_at, request, ring_of, sent

AFTER = (20, 30, 40)
"""The successors of the node at 10: places beyond 40 have to be looked up."""
BELIEVING = attrs.evolve(CONFIG, lookup_witnesses=0)
"""What happens when something speaks against an answer has tests of its own (test_doubted_lookups)."""
PATIENT = attrs.evolve(BELIEVING, request_tries=8, operation_timeout=30.0)


def looking_up(place: int = 190, *known: int, config: object = BELIEVING) -> tuple[Rig, Node]:
    """Return a member at 10, which knows some more peers, with a lookup of ``place`` under way as operation 1."""
    rig = Rig(config)  # type: ignore[arg-type]
    node = rig.member(10, before=240, after=AFTER, came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(30), peer(40), peer(50)), False, 3)
    node.ctx.routing.learn_arcs(50, [peer(each) for each in known], rig.now)
    rig.under_way.clear()
    rig.take(node, node.locate(OpId(1), place, now=rig.now))
    return rig, node


def questions(rig: Rig) -> list[int]:
    """Return who has been asked, in order, less what was sent again; the node's own upkeep asks for lower places."""
    found = [parcel.message for parcel in rig.under_way if isinstance(parcel.message, FindSuccessor)]
    asked = {message.request: message.target or 0 for message in found if message.place >= 150}
    return list(asked.values())


def closer(rig: Rig, who: int, *peers: int) -> list[object]:
    """Let a peer answer with candidates."""
    return [*rig.reply(rig.asked(FindSuccessor, peer(who)), Closer, tuple(peer(each) for each in peers))]


def test_it_begins_at_the_closest_peer_known() -> None:
    """Everything known counts, not only the successors: the closest before the place is asked, alone."""
    rig, _ = looking_up(190, 60, 120, 180, 200)
    assert [180] == questions(rig)


def test_it_ends_at_the_owners_predecessor() -> None:
    """Found names the owner and its replicas; the way there is told, and each answer that led on counts as a hop."""
    rig, node = looking_up(190, 60)
    hops = node.stats().hops
    closer(rig, 60, 150, 120)
    rig.now += 0.05
    rig.reply(rig.asked(FindSuccessor, peer(150)), Found, peer(150), (peer(200), peer(210), peer(220)), False)
    located = rig.result(OpId(1))
    assert (peer(200), (peer(200), peer(210), peer(220))) == (located.owner, located.replicas)
    assert hops + 1 == node.stats().hops
    assert rig.now == node.ctx.routing.known[200].heard
    assert [] == [lookup for lookup in node.lookups.active.values() if lookup.place == 190]
    assert (peer(200), peer(220)) == tuple(node.ctx.routing.likely_owner(place) for place in (195, 215))
    assert [(60, 0.0), (150, 0.05)] == [(hop.peer.id, round(hop.seconds, 6)) for hop in located.path]


def test_two_at_once_do_not_mix() -> None:
    """Each ends with the answer to its own question, in whatever order they come, and each is counted."""
    rig, node = looking_up(190, 60)
    begun = node.stats().lookups
    first = rig.asked(FindSuccessor, peer(60))
    rig.take(node, node.locate(OpId(2), 220, now=rig.now))
    second = rig.asked(FindSuccessor, peer(60))
    rig.take(node, node.locate(OpId(3), 230, now=rig.now))
    assert begun + 2 == node.stats().lookups
    rig.reply(second, Found, peer(210), (peer(225),), False)
    rig.reply(first, Found, peer(150), (peer(200),), False)
    assert [peer(200), peer(225)] == [rig.result(OpId(each)).owner for each in (1, 2)]
    assert OpId(3) not in rig.finished


def test_a_cancelled_one_leaves_no_question_out() -> None:
    """Neither its question nor the lookup stays; the answer, if it comes, is late; others go on."""
    rig, node = looking_up(190, 60)
    question = rig.asked(FindSuccessor, peer(60))
    rig.take(node, node.locate(OpId(2), 220, now=rig.now))
    out, active = node.stats().requests, len(node.lookups.active)
    rig.take(node, node.cancel(OpId(1), now=rig.now))
    assert (out - 1, active - 1) == (node.stats().requests, len(node.lookups.active))
    ignored = node.stats().ignored
    rig.reply(question, Found, peer(150), (peer(200),), False)
    assert ignored + 1 == node.stats().ignored
    rig.reply(rig.asked(FindSuccessor, peer(60)), Found, peer(210), (peer(225),), False)
    assert peer(225) == rig.result(OpId(2)).owner


def test_each_question_comes_closer() -> None:
    """Candidates that do not lie between the best that answered and the place are not asked (L7)."""
    rig, node = looking_up(190, 60)
    hops = node.stats().hops
    closer(rig, 60, 150, 140, 50, 30, 10)
    assert [150] == questions(rig)
    closer(rig, 150, 120, 60, 150)
    assert ([], hops + 2) == (questions(rig), node.stats().hops)
    assert node.view().operations


@pytest.mark.parametrize("witnesses", [0, 1])
def test_the_asker_may_own_the_place_without_knowing_it(witnesses: int) -> None:
    """Its predecessor has died, and it has not noticed: of those that are there it is the nearest behind the place."""
    rig, node = looking_up(235, 60, config=attrs.evolve(CONFIG, lookup_witnesses=witnesses))
    closer(rig, 60, 150, 20)
    rig.reply(rig.asked(FindSuccessor, peer(150)), Refused, Reason.BUSY)
    while OpId(1) not in rig.finished:
        asked = rig.asked(FindSuccessor)
        if asked.target == 20:
            rig.reply(asked, Found, peer(60), (peer(20),), False)
        elif asked.target == 240:
            rig.reply(asked, Refused, Reason.NOT_MEMBER)
        else:
            rig.reply(asked, Closer, (peer(20),))
    assert node.me == rig.result(OpId(1)).owner


def test_those_behind_the_place_are_asked_when_nobody_is_left_before_it() -> None:
    """Also by who believes every answer: the nearest one that answers owns the place."""
    rig, _ = looking_up(190, 60)
    closer(rig, 60, 150, 200, 195)
    rig.reply(rig.asked(FindSuccessor, peer(150)), Refused, Reason.BUSY)
    assert {195, 200} == set(questions(rig))
    for each in (195, 200):
        rig.reply(rig.asked(FindSuccessor, peer(each)), Found, peer(150), (peer(each),), False)
    assert peer(195) == rig.result(OpId(1)).owner


def test_a_dead_hop_costs_a_timeout_but_no_new_question() -> None:
    """Each answer carries several candidates: when the first is silent the next one is asked, not the teller again."""
    rig, node = looking_up(190, 60)
    closer(rig, 60, 150, 120, 100)
    before = node.stats().hops
    rig.tick(node, 0.3)
    assert [150, 120] == questions(rig)
    rig.reply(rig.asked(FindSuccessor, peer(120)), Found, peer(120), (peer(200),), False)
    assert peer(200) == rig.result(OpId(1)).owner
    assert before == node.stats().hops


def test_a_candidate_that_fell_silent_meanwhile_is_passed_over() -> None:
    """Named, then suspected before its turn came: the one after it is asked."""
    rig, node = looking_up(190, 60)
    closer(rig, 60, 150, 140, 120)
    node.ctx.suspect(peer(140))
    rig.tick(node, 0.3)
    assert [150, 120] == questions(rig)


def test_at_most_three_questions_are_out() -> None:
    """One more for each retransmission, up to ``lookup_parallelism``; nobody is asked twice."""
    rig, node = looking_up(190, 60, config=PATIENT)
    closer(rig, 60, 150, 140, 130, 120)
    for _ in range(8):
        rig.tick(node, 0.3)
        assert len(questions(rig)) <= 3
    assert [150, 140, 130] == questions(rig)


def test_an_answer_overtakes_slow_candidates() -> None:
    """Of three out at once the first to answer with the owner ends the lookup; late answers change nothing."""
    rig, _ = looking_up(190, 60)
    closer(rig, 60, 150, 120, 100)
    rig.now += 0.3
    rig.tick(rig.nodes[peer(10).address])
    late = rig.asked(FindSuccessor, peer(150))
    rig.reply(rig.asked(FindSuccessor, peer(120)), Found, peer(120), (peer(200),), False)
    assert [] == only(Finished, rig.reply(late, Found, peer(150), (peer(210),), False))
    assert peer(200) == rig.result(OpId(1)).owner


def test_a_late_answer_from_farther_off_does_not_lead_back() -> None:
    """What a slow peer names is measured by the best that has answered, not by the peer itself (L7)."""
    rig, node = looking_up(190, 60)
    closer(rig, 60, 150, 120)
    rig.tick(node, 0.3)
    closer(rig, 150, 180)
    closer(rig, 120, 130, 140)
    assert [180] == questions(rig)


def test_the_candidates_are_bounded() -> None:
    """Four times ``lookup_candidates`` are kept, the closest; the others are not asked even when all of these fail."""
    rig, node = looking_up(190, 60, config=attrs.evolve(BELIEVING, lookup_candidates=1))
    closer(rig, 60, 130, 140, 150, 160, 170, 180)
    asked: list[int] = []
    for _ in range(5):
        asked += (now := questions(rig))
        rig.under_way.clear()
        for place in (*now, *now):
            rig.take(node, node.unreachable(peer(place), now=rig.now))
    assert [180, 170, 160, 150] == list(dict.fromkeys(asked))[:5]


def test_nobody_is_asked_twice() -> None:
    """Told of a peer again and again, a lookup asks it once."""
    rig, _ = looking_up(190, 60)
    closer(rig, 60, 100, 90)
    closer(rig, 100, 120, 100, 90)
    closer(rig, 120, 130, 120, 100)
    rig.reply(rig.asked(FindSuccessor, peer(130)), Closer, (peer(130), peer(120)))
    assert [] == questions(rig)


def test_a_slow_peer_that_is_named_again_is_not_asked_again() -> None:
    """It was asked, and may still answer: who names it meanwhile does not make it a candidate (L7)."""
    rig, node = looking_up(190, 60)
    closer(rig, 60, 150, 120, 100)
    rig.tick(node, 0.3)
    assert [150, 120] == questions(rig)
    closer(rig, 120, 150, 140)
    assert [150, 140] == questions(rig)


def test_an_owner_that_does_not_own_is_reported() -> None:
    """Found must name somebody whose arc holds the place: else it is ignored, and the next candidate asked."""
    rig, _ = looking_up(190, 60)
    closer(rig, 60, 150, 120)
    effects = rig.reply(rig.asked(FindSuccessor, peer(150)), Found, peer(150), (peer(180),), False)
    told = [Misbehaved(peer(150).address, "an owner that does not own the place")]
    assert (told, [120]) == (only(Misbehaved, effects), questions(rig))


def test_the_hops_are_bounded() -> None:
    """A chain of candidates without end is given up after ``max_hops``, and tried anew until the time is up."""
    config = attrs.evolve(BELIEVING, max_hops=4)
    rig, node = looking_up(250 - 20, 60, config=config)
    for place in range(60, 65):
        closer(rig, place, place + 1)
    assert [] == questions(rig)
    assert 1 == len(node.view().operations)
    assert [] == [lookup for lookup in node.lookups.active.values() if lookup.place == 230]
    rig.tick(node, 20.0)
    assert Failed(Failure.UNREACHABLE) == rig.result(OpId(1))


def test_what_a_node_is_sure_of_it_answers() -> None:
    """Its own range, and the one up to its successor: Found; beyond, several candidates, its successor, and whom it knows behind."""
    rig, node = looking_up(190, 60, 120, 180)
    for place, owner in ((5, 10), (10, 10), (241, 10), (11, 20), (20, 20)):
        (found,) = sent(Found, rig.receive(node, request(FindSuccessor, peer(100), node, place)))
        assert (owner, False) == (found.successors[0].id, found.came_round), place
    (answer,) = sent(Closer, rig.receive(node, request(FindSuccessor, peer(100), node, 190)))
    assert [180, 120, 60, 20, 240] == [each.id for each in answer.peers]


def test_a_suspect_is_not_named() -> None:
    """Who fell silent is no candidate, for oneself or for others."""
    rig, node = looking_up(190, 60, 120, 180)
    node.ctx.suspect(peer(180))
    (answer,) = sent(Closer, rig.receive(node, request(FindSuccessor, peer(100), node, 190)))
    assert [120, 60, 40, 20, 240] == [each.id for each in answer.peers]


def test_an_owner_asked_for_what_is_not_its_own_says_whose_it_is() -> None:
    """A get sent to where the key was: Elsewhere names the new owner, which is asked next and answers."""
    rig, node = looking_up(190, 60)
    rig.take(node, node.cancel(OpId(1), now=rig.now))
    node.ctx.routing.learn_arcs(100, [peer(200)], rig.now)
    key = name_at(150)
    rig.take(node, node.get(OpId(2), key, now=rig.now))
    rig.reply(rig.asked(GetRecord, peer(200)), Elsewhere, (peer(160),), False)
    rig.reply(rig.asked(GetRecord, peer(160)), Value, record_at(150, b"there"), ())
    assert b"there" == rig.result(OpId(2)).value


@pytest.mark.parametrize("held", [record_at(150, b"there"), None])
def test_who_has_not_noticed_that_the_owner_died_is_asked_for_its_copy(held: Record | None) -> None:
    """It names the dead one as the owner.  If it has a copy that is what is read; if not, that says nothing."""
    rig, node = looking_up(190, 60)
    rig.take(node, node.cancel(OpId(1), now=rig.now))
    node.ctx.routing.learn_arcs(100, [peer(200)], rig.now)
    node.ctx.suspect(peer(160))
    rig.take(node, node.get(OpId(2), name_at(150), now=rig.now))
    rig.reply(rig.asked(GetRecord, peer(200)), Elsewhere, (peer(160), peer(60)), False)
    asked = rig.asked(GetRecord, peer(200))
    assert asked.through
    rig.reply(asked, Value, held, ())
    assert ([Fetched(b"there", held.version)] if held else []) == rig.finished.get(2, [])


@pytest.mark.parametrize("size", [3, 4])
def test_one_hop_in_a_small_ring(size: int) -> None:
    """Once warm, a get of a key elsewhere costs one question and one answer."""
    rig = ring_of(*(10, 80, 140, 210)[:size])
    node, key = rig.nodes[peer(10).address], name_at(130)
    for op in (1, 2):
        rig.delivered.clear()
        rig.take(node, node.get(OpId(op), key, now=rig.now))
        rig.flush()
        assert 1 == len(rig.finished[op])
    assert [GetRecord, Value] == [type(message) for message in rig.delivered]


def test_every_node_finds_every_owner() -> None:
    """On an ideal ring every lookup from every node is right, and names the replicas (L6)."""
    places = (10, 50, 51, 130, 200, 255)
    rig = ring_of(*places)
    for node in rig.nodes.values():
        for place in {0, 255, *places, *((each + 1) % 256 for each in places), *(each - 1 for each in places)}:
            op = rig.op()
            rig.take(node, node.locate(op, place, now=rig.now))
            rig.run(0.0)
            located = rig.result(op)
            owner = min(places, key=lambda each: (each - place) % 256)
            order = sorted(places, key=lambda each: (each - owner) % 256)
            assert isinstance(located, Located)
            assert order[:3] == [replica.id for replica in located.replicas], (node.me, place)


def test_fingers_become_exact() -> None:
    """Finger i is the first node at or after me + 2^i, whether read off the list or looked up (L5)."""
    places = (10, 30, 60, 100, 130, 150, 200, 230)
    rig = ring_of(*places, config=attrs.evolve(CONFIG, successors=2, finger_interval=0.2))
    rig.run(30.0)
    for node in rig.nodes.values():
        for index, finger in enumerate(node.fingers):
            start = (node.me.id + (1 << index)) % 256
            assert min(places, key=lambda each: (each - start) % 256) == (finger and finger.id), (node.me, index)


def test_nothing_is_sent_for_ones_own_places() -> None:
    """What a node owns it answers itself."""
    rig, node = looking_up(190, 60)
    effects = rig.take(node, node.locate(OpId(2), 5, now=rig.now))
    assert (1, []) == (len(only(Finished, effects)), only(Send, effects))


def test_who_believes_names_as_many_behind_the_place_as_before_it() -> None:
    """However long its list is, an answer stays within what others take."""
    config = attrs.evolve(BELIEVING, successors=8, lookup_candidates=3)
    rig = Rig(config)
    node = rig.member(10, before=240, after=[*range(20, 28)], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), tuple(peer(each) for each in range(21, 29)), False, 3)
    (answer,) = sent(Closer, rig.receive(node, request(FindSuccessor, peer(100), node, 22)))
    assert [21, 20, 22, 23, 24] == [each.id for each in answer.peers]
