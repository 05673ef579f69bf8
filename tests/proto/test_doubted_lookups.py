"""Lookups among peers that lie, question by question: what raises doubt, who is asked then, and who is believed."""

from __future__ import annotations

from bisect import bisect_left

import attrs
import pytest

from chord_proto.effects import Finished, Misbehaved, OpId
from chord_proto.messages import Closer, FindSuccessor, Found, GetRecord
from chord_proto.node import Node
from chord_proto.search import Claim, Hint, Outcome, Search
from chord_proto.trust import MEMORY, SETTLED, Trust
from tests.proto.rig import CONFIG, Rig, name_at, only, peer, request

CONFIG_OF_TWO = attrs.evolve(CONFIG, lookup_witnesses=2)
HONEST = (70, 80, 90, 106, 200, 240, 10, 12, 14, 16)


def looking_up(place: int, *answered: int, op: int = 1, config: object = CONFIG_OF_TWO) -> tuple[Rig, Node]:
    """Return a member at 10 of a larger ring, which has heard from some peers, looking up ``place`` as operation 1."""
    rig = Rig(config)  # type: ignore[arg-type]
    node = rig.member(10, before=240, after=(12, 14, 16), came_round=False)
    for each in answered:
        node.ctx.routing.note_answer(node.ctx.routing.entry(peer(each), rig.now), 1)
    rig.under_way.clear()
    rig.take(node, node.locate(OpId(op), place, now=rig.now))
    return rig, node


def questions(rig: Rig) -> dict[int, int]:
    """Return who is being asked, each about which place; the node's own upkeep asks for lower places."""
    found = [parcel.message for parcel in rig.under_way if isinstance(parcel.message, FindSuccessor)]
    return {message.target or 0: message.place for message in found if message.place >= 90}


def found(rig: Rig, who: int, before: int, *owners: int) -> list[object]:
    """Let a peer answer with an owner, which lies behind ``before``."""
    return [*rig.reply(rig.asked(FindSuccessor, peer(who)), Found, peer(before), tuple(map(peer, owners)), False)]


def play(rig: Rig, node: Node, members: tuple[int, ...], *, silent: tuple[int, ...] = ()) -> list[int]:
    """Let members of a ring answer truthfully whatever they are asked, until there is nothing left; return who was asked."""
    everybody: list[int] = []
    ring = sorted(set(members) - {1})
    while True:
        asked = [who for who in questions(rig) if who in ring and who not in silent]
        if not asked:
            return everybody
        for who in asked:
            if who not in questions(rig):
                continue  # The lookup has ended.
            everybody.append(who)
            place = questions(rig)[who]
            at = bisect_left(ring, place)
            before, after = ring[at - 1], ring[at % len(ring)]
            if who in (before, after):
                found(rig, who, before, after)
            else:
                closer(rig, who, before, ring[at - 2], after, ring[(at + 1) % len(ring)])


def closer(rig: Rig, who: int, *peers: int) -> None:
    """Let a peer answer with others."""
    rig.reply(rig.asked(FindSuccessor, peer(who)), Closer, tuple(map(peer, peers)))


def owner(rig: Rig, op: int = 1) -> int | None:
    """Return who was found, None while nobody was."""
    return rig.finished[op][0].owner.id if op in rig.finished else None  # type: ignore[union-attr]


def test_an_owner_that_is_known_to_be_there_is_believed() -> None:
    """Nothing speaks against it: no more questions, nobody is doubted."""
    rig, node = looking_up(100, 90, 104)
    found(rig, 90, 90, 104)
    assert (104, {}, 0) == (owner(rig), questions(rig), node.stats().doubted)


def test_an_owner_that_never_answered_is_asked_itself() -> None:
    """A peer counts once it has answered at its address: one question about its own place, and it is found."""
    rig, node = looking_up(100, 90)
    found(rig, 90, 90, 104)
    assert (None, {104: 104}) == (owner(rig), questions(rig))
    found(rig, 104, 90, 104, 110)
    assert (104, 0) == (owner(rig), node.stats().doubted)


def test_an_owner_that_says_of_a_nearer_one_leads_to_it() -> None:
    """Asked about its own place it names its predecessor, which may own the place rather than it."""
    rig, _ = looking_up(100, 90)
    found(rig, 90, 90, 108)
    found(rig, 108, 102, 108)
    assert (None, {102: 102}) == (owner(rig), questions(rig))
    found(rig, 102, 90, 102, 108)
    assert 102 == owner(rig)


def test_a_nearer_node_that_answered_before_is_asked_first() -> None:
    """A claim that passes over somebody whom this node has heard is not taken at its word."""
    rig, _ = looking_up(100, 90, 104, 120)
    found(rig, 90, 90, 120)
    assert (None, {104: 104}) == (owner(rig), questions(rig))
    found(rig, 104, 90, 104)
    assert 104 == owner(rig)


@pytest.mark.parametrize("seconds", [SETTLED - 1, SETTLED + 1])
def test_who_passes_over_a_newcomer_may_be_mistaken(seconds: float) -> None:
    """Every honest node has noticed one that has been there for half a minute: only then was it a lie."""
    rig, node = looking_up(100, 90, 104, 120)
    for peer_id in (104, 120):
        node.ctx.routing.entry(node.ctx.routing.known[peer_id].peer, rig.now).since = rig.now - seconds
    found(rig, 90, 90, 120)
    found(rig, 104, 90, 104)
    expected = {peer(90).address: rig.now + MEMORY} if seconds > SETTLED else {}
    assert expected == node.ctx.trust.of_late(rig.now)


def test_who_passes_over_newcomers_again_and_again_lies() -> None:
    """Half a minute later it is no mistake any more, and after five minutes all is forgotten."""
    trust = Trust()
    assert [] == [now for now in (0.0, 1.0, SETTLED - 1) if misled(trust, now)]
    assert misled(trust, SETTLED)
    assert "n1" in trust.of_late(SETTLED + MEMORY - 1)
    assert "n1" not in trust.of_late(SETTLED + MEMORY)
    assert not misled(trust, SETTLED + MEMORY)


def misled(trust: Trust, now: float) -> bool:
    """Note that n1 has misled, perhaps by mistake, and return whether it counts."""
    trust.misled("n1", now, surely=False)
    return "n1" in trust.of_late(now)


def test_a_nearer_node_that_is_gone_is_not_waited_for() -> None:
    """It may have died, and only this node not noticed: after one timeout the claim holds, and nobody is doubted."""
    rig, node = looking_up(100, 90, 104, 120)
    found(rig, 90, 90, 120)
    rig.tick(node, 0.3)
    assert (120, {}) == (owner(rig), {key: value for key, value in questions(rig).items() if key != 104})
    assert {} == node.ctx.trust.of_late(rig.now)


def test_an_invented_owner_leads_into_doubt() -> None:
    """It does not answer: others around the place are asked, and the nearest one that answers is the owner.

    Who invented it is believed nothing unchecked for some time.
    """
    rig, node = looking_up(100, 70, 80, 90, 106)
    found(rig, 90, 90, 101)
    assert {101: 101} == questions(rig)
    rig.tick(node, 0.3)
    assert (1, 106) == (node.stats().doubted, questions(rig)[106])
    play(rig, node, HONEST, silent=(101, 80, 240))
    assert None is owner(rig)  # One witness is not enough, and the one who was named may still answer.
    play(rig, node, HONEST, silent=(101,))
    for _ in range(4):  # It is asked once more, since all messages may have been lost.
        assert None is owner(rig)
        rig.take(node, node.unreachable(peer(101).address, now=rig.now))
    assert 106 == owner(rig)
    assert [peer(90).address] == list(node.ctx.trust.misleading)


def test_a_slow_owner_is_waited_for() -> None:
    """A message can get lost: who was said to own the place by one that never misled is asked as often as anybody."""
    rig, node = looking_up(100, 70, 80, 90, 106)
    found(rig, 90, 90, 101)
    rig.tick(node, 0.3)
    play(rig, node, (*HONEST, 101), silent=(101,))
    assert None is owner(rig)
    found(rig, 101, 90, 101)
    assert (101, {}) == (owner(rig), node.ctx.trust.misleading)


def test_an_owner_that_most_others_know_need_not_answer() -> None:
    """It was suspected for messages that were lost; the others have heard it, and no liar has made it up."""
    rig, node = looking_up(100, 70, 80, 90, 106)
    found(rig, 90, 90, 101)
    rig.tick(node, 0.3)
    for _ in range(4):
        rig.take(node, node.unreachable(peer(101).address, now=rig.now))
    for _ in range(3):
        play(rig, node, (*HONEST, 101), silent=(101,))
        rig.tick(node, 0.2)
    assert (101, {}) == (owner(rig), node.ctx.trust.misleading)


def test_an_owner_unlikely_far_away_is_doubted() -> None:
    """A gap of more than eight mean ones is a sign that somebody was passed over, though this node knows nobody there."""
    rig, node = looking_up(100, 90, 200)
    found(rig, 90, 90, 200)
    assert (None, 1) == (owner(rig), node.stats().doubted)
    assert {200} != set(questions(rig))


def test_witnesses_name_who_was_passed_over() -> None:
    """In doubt, those asked about the place name whom they know behind it; the nearest that answers is the owner."""
    rig, node = looking_up(100, 70, 80, 90, 200)
    found(rig, 90, 90, 200)
    play(rig, node, (*HONEST, 104))
    assert 104 == owner(rig)


@pytest.mark.parametrize("liar", [0, 80])
def test_who_claims_another_owner_is_no_witness(liar: int) -> None:
    """Its word does not count towards those that confirm the owner."""
    rig, node = looking_up(100, 80, 90, 106)
    node.ctx.trust.misled("one", rig.now, surely=True)
    node.ctx.trust.misled("two", rig.now, surely=True)
    rig.take(node, node.locate(OpId(2), 101, now=rig.now))
    if liar:
        for _ in range(3):
            if 80 in questions(rig):
                found(rig, liar, liar, 220)
    for _ in range(3):
        play(rig, node, HONEST, silent=(70, 240, 12, 14, 16))
        rig.tick(node, 0.3)
    assert (None if liar else 106) == owner(rig, 2)


def test_nonsense_is_reported_and_doubted() -> None:
    """Found must name somebody whose arc holds the place: else the sender has misled, and others are asked."""
    rig, node = looking_up(100, 70, 80, 90)
    effects = found(rig, 90, 90, 95)
    told = [Misbehaved(peer(90).address, "an owner that does not own the place")]
    assert (told, 1) == (only(Misbehaved, effects), node.stats().doubted)
    assert peer(90).address in node.ctx.trust.of_late(rig.now)
    assert 100 == questions(rig)[80]


def test_two_that_misled_make_a_node_doubt_everybody_for_a_while() -> None:
    """Every lookup asks around then, and operations do not go straight to an owner that others have named."""
    rig, node = looking_up(100, 80, 90, 104)
    found(rig, 90, 90, 104)
    node.ctx.trust.misled("one", rig.now, surely=True)
    node.ctx.trust.misled("two", rig.now, surely=True)
    rig.take(node, node.locate(OpId(2), 100, now=rig.now))
    assert (1, 3) == (node.stats().doubted, len(questions(rig)))
    rig.take(node, node.get(OpId(3), name_at(101), now=rig.now))
    assert [] == [parcel for parcel in rig.under_way if isinstance(parcel.message, GetRecord)]
    rig.now += MEMORY
    rig.take(node, node.get(OpId(4), name_at(101), now=rig.now))
    assert [104] == [parcel.message.target for parcel in rig.under_way if isinstance(parcel.message, GetRecord)]


def test_whom_this_node_has_heard_nobody_can_hide() -> None:
    """With nothing but inventions to follow, those known to be behind the place are asked themselves."""
    rig, node = looking_up(100, 90, 104, 120)
    closer(rig, 90, 99, 98, 97)
    for _ in range(3):
        rig.tick(node, 0.3)
    assert 104 == questions(rig)[104]
    play(rig, node, (90, 104, 120, 240, 12, 14, 16))
    assert 104 == owner(rig)


def test_nobody_is_asked_twice_in_doubt() -> None:
    """Named as an owner and known as somebody to ask around the place: one question, all the same."""
    rig, node = looking_up(100, 70, 80, 90, 106, 108)
    node.ctx.trust.misled("one", rig.now, surely=True)
    node.ctx.trust.misled("two", rig.now, surely=True)
    rig.under_way.clear()
    rig.take(node, node.locate(OpId(2), 101, now=rig.now))
    asked = play(rig, node, (*HONEST, 108))
    assert (106, sorted(set(asked))) == (owner(rig, 2), sorted(asked))


def test_one_answer_does_not_fill_the_memory() -> None:
    """However many peers behind the place it names, a few are remembered."""
    search = Search(1, 100, None, 0.0, peer(10), 8, 16, foreign=False, confirm=True, in_doubt=True)
    search.begin(Hint(peer(90), None, 90), 100, sent=True)
    search.name(map(peer, range(100, 200)), 90, ())
    assert (4, 4) == (len(search.votes), len(search.owners))


def test_who_answered_before_there_was_a_claim_counts() -> None:
    """Asked about the place and not about itself, it has shown all the same that it is there."""
    places = {place: peer(place) for place in (10, 90, 106, 120)}
    search = Search(1, 100, None, 0.0, places[10], 8, 16, foreign=False, confirm=True, in_doubt=True)
    search.is_there(places[106], may_own=False)
    assert search.claim is None
    search.believe(Claim(places[90], Outcome(places[90], (places[120],), False, ())))
    assert places[106] == search.outcome().owner


def test_lies_cost_a_bounded_number_of_questions() -> None:
    """However many are named by whoever is asked, a lookup asks one more than ``max_hops``, and ends."""
    config = attrs.evolve(CONFIG_OF_TWO, max_hops=8)
    rig, node = looking_up(100, 60, 70, 80, 90, config=config)
    asked: set[int] = set()
    begun = node.stats().lookups
    while node.stats().lookups == begun:
        asked |= set(questions(rig))
        for who in set(questions(rig)) & {60, 70, 80, 90}:
            closer(rig, who, *range(101, 140), *range(91, 100))
        rig.tick(node, 0.1)
    assert len(asked) == 9


@pytest.mark.parametrize("witnesses", [0, 2])
def test_how_many_is_a_setting(witnesses: int) -> None:
    """0 believes every answer, as the papers do."""
    rig, node = looking_up(100, 90, 104, config=attrs.evolve(CONFIG, lookup_witnesses=witnesses))
    effects = found(rig, 90, 90, 101)
    assert ([101] if not witnesses else []) == [each.result.owner.id for each in only(Finished, effects)]  # type: ignore[union-attr]
    assert (not witnesses) == (questions(rig) == {})
    assert 0 == node.stats().doubted


def test_an_answer_names_whom_this_node_has_heard_behind_the_place() -> None:
    """Not those that it was only told of: nobody spreads what liars invent."""
    rig, node = looking_up(100, 90, 104, 120)
    node.ctx.routing.learn([peer(101)], rig.now)
    rig.receive(node, request(FindSuccessor, peer(90), node, 100))
    (answer,) = [parcel.message for parcel in rig.under_way if isinstance(parcel.message, Closer)]
    assert [104, 120] == [each.id for each in answer.peers if each.id > 100]
