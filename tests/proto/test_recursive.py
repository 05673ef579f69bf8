"""Recursive lookups, question by question: who passes one on, what of it is believed, and what happens when it is lost."""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
import pytest

from chord_proto.config import Config
from chord_proto.effects import Misbehaved, OpId
from chord_proto.messages import Answer, Closer, Done, FindSuccessor, Forward, Found, Reached, Reason, Refused
from chord_proto.node import Node
from chord_proto.operations import Get, Located, Put, Stored
from chord_proto.trust import MEMORY, SETTLED
from tests.proto.rig import CONFIG, Rig, only, peer, request, ring_of, sent

RECURSIVE = attrs.evolve(CONFIG, routing="recursive", lookup_witnesses=2)
AFTER = (12, 14, 16)


def looking_up(
    place: int = 100, *known: int, heard: tuple[int, ...] = (), config: Config = RECURSIVE
) -> tuple[Rig, Node]:
    """Return a member at 10 that knows some peers, and has heard from others, looking up ``place`` as operation 1."""
    rig = Rig(config)
    node = rig.member(10, before=240, after=AFTER, came_round=False)
    node.ctx.routing.learn([peer(each) for each in known], rig.now)
    for each in heard:
        node.ctx.routing.note_answer(node.ctx.routing.entry(peer(each), rig.now), 1)
    rig.under_way.clear()
    rig.take(node, node.locate(OpId(1), place, now=rig.now))
    return rig, node


def hop(*known: int, **changes: Any) -> tuple[Rig, Node]:
    """Return a member at 10 that others may pass questions to."""
    rig = Rig(attrs.evolve(CONFIG, **changes))
    node = rig.member(10, before=240, after=AFTER, came_round=False)
    node.ctx.routing.learn([peer(each) for each in known], rig.now)
    rig.under_way.clear()
    return rig, node


def passed_to(rig: Rig) -> list[int]:
    """Return to whom the question is being passed on, in order, less what was sent again."""
    found = [parcel.message for parcel in rig.under_way if isinstance(parcel.message, Forward)]
    return list({message.request: message.target or 0 for message in found}.values())


def asked(rig: Rig) -> list[int]:
    """Return who is being asked for places that this node's own upkeep does not ask for."""
    found = [parcel.message for parcel in rig.under_way if isinstance(parcel.message, FindSuccessor)]
    return list({message.request: message.target or 0 for message in found if message.place >= 90}.values())


def reached(rig: Rig, node: Node, before: int, *owners: int, number: int | None = None, by: int = 90) -> list[Any]:
    """Let a peer tell who owns the place, by the number of the question unless told otherwise."""
    number = rig.asked(Forward).number if number is None else number
    fields = number, 3, peer(before), tuple(peer(each) for each in owners), False
    return rig.receive(node, Reached(peer(by), 1, node.me.id, node.incarnation, *fields))


def forward(
    rig: Rig, node: Node, place: int = 100, *, of: int = 230, by: int = 220, number: int = 5, hops: int = 1
) -> Any:
    """Let a peer pass on another's question; return what comes of it."""
    question = request(Forward, peer(by), node, place, peer(of), 1, number, hops, number=number)
    return rig.receive(node, question)


def owner(rig: Rig, op: int = 1) -> int | None:
    """Return who was found, None while nobody was."""
    ended = rig.finished.get(op)
    return ended[0].owner.id if ended and isinstance(ended[0], Located) else None


# Who asks


def test_who_asks_gives_its_question_away_and_takes_the_answer_from_whoever_knows() -> None:
    """One question; once it is taken nobody else is asked, and the owner is the one that the answer names."""
    rig, node = looking_up(100, 60, heard=(104,))
    assert ([60], []) == (passed_to(rig), asked(rig))
    rig.reply(rig.asked(Forward), Done)
    rig.now += 0.05
    number = node.lookups.active[max(node.lookups.active)].token
    reached(rig, node, 90, 104, 110, number=number)
    located = rig.result(OpId(1))
    assert ((peer(104), peer(110)), [(90, 0.05)]) == (
        located.replicas,
        [(each.peer.id, round(each.seconds, 6)) for each in located.path],
    )
    assert (3, 0, 0) == (node.stats().hops, node.stats().doubted, len(node.lookups.patience.tokens))
    assert peer(104) == node.ctx.routing.likely_owner(102)


def test_it_is_off_unless_wanted() -> None:
    """By default a node asks itself; joining and upkeep ask themselves in any case."""
    rig, _ = looking_up(100, 60, config=attrs.evolve(RECURSIVE, routing="iterative"))
    assert ([], [60]) == (passed_to(rig), asked(rig))
    rig = Rig(RECURSIVE)
    node = rig.member(10, before=240, after=AFTER, came_round=False)
    node.ctx.routing.learn([peer(100)], rig.now)
    for _ in range(20):
        rig.tick(node, 1.0)
    assert [] == passed_to(rig)


def test_the_first_asked_may_answer_itself() -> None:
    """Who knows the owner says so at once, and who will not pass it on names others: all goes on as ever."""
    rig, _ = looking_up(100, 90, heard=(104,))
    rig.reply(rig.asked(Forward), Found, peer(90), (peer(104),), False)
    assert 104 == owner(rig)
    rig, _ = looking_up(100, 60, heard=(104,))
    rig.reply(rig.asked(Forward), Closer, (peer(90),))
    assert [90] == asked(rig)
    rig.reply(rig.asked(FindSuccessor, peer(90)), Found, peer(90), (peer(104),), False)
    assert 104 == owner(rig)


@pytest.mark.parametrize("answer", [(Refused, Reason.BUSY), (Refused, Reason.NOT_MEMBER)])
def test_a_refusal_leads_to_the_next_best(answer: tuple[Any, ...]) -> None:
    """It is asked as ever."""
    rig, _ = looking_up(100, 60, 70)
    rig.reply(rig.asked(Forward), *answer)
    assert [60] == asked(rig)


def test_who_says_nothing_is_not_waited_for() -> None:
    """After one timeout the next best is asked as ever; who stays silent is suspected, once it has been asked enough."""
    rig, node = looking_up(100, 60, 70)
    rig.tick(node, RECURSIVE.initial_timeout)
    assert [60] == asked(rig)
    for _ in range(20):
        rig.tick(node, 0.3)
    assert node.ctx.routing.is_suspect(peer(70))


def test_a_question_that_was_taken_and_got_lost() -> None:
    """After a while the lookup goes on itself, with the same peer; that is given no other question for half a minute."""
    rig, node = looking_up(100, 60, 70, heard=(104,))
    rig.reply(rig.asked(Forward), Done)
    number = node.lookups.active[max(node.lookups.active)].token
    assert [] == asked(rig)
    rig.tick(node, 2 * RECURSIVE.initial_timeout)
    assert [70] == asked(rig)
    rig.take(node, node.locate(OpId(2), 101, now=rig.now))
    assert [70, 70] == asked(rig)
    rig.reply(rig.asked(FindSuccessor), Closer, ())
    reached(rig, node, 90, 104, number=number)  # Late, but not too late.
    assert 104 == owner(rig)
    rig.now += SETTLED
    rig.under_way.clear()
    rig.take(node, node.locate(OpId(3), 190, now=rig.now))
    assert rig.asked(Forward).place == 190


def test_patience_follows_what_was_measured() -> None:
    """It shrinks with fast answers, down to a bound, and doubles with each that is lost."""
    patience, config = looking_up()[1].lookups.patience, RECURSIVE
    waits = [patience.deadline(10.0, 10.01, config) - 10.0]
    for _ in range(20):
        patience.took(0.1)
    waits.append(patience.deadline(10.0, 10.01, config) - 10.0)
    patience.lost(peer(60), 10.0)
    waits.append(patience.deadline(10.0, 10.01, config) - 10.0)
    for _ in range(9):
        patience.lost(peer(60), 10.0)
    waits.append(patience.deadline(10.0, 10.01, config) - 10.0)
    assert [0.6, 0.16, 0.2, 1.0] == [round(wait, 2) for wait in waits]


def test_only_the_number_counts() -> None:
    """An answer with another number, or one that comes again, or a second one is nothing."""
    rig, node = looking_up(100, 60, heard=(104, 150))
    rig.reply(rig.asked(Forward), Done)
    number = node.lookups.active[max(node.lookups.active)].token
    ignored = node.stats().ignored
    for wrong in (0, number ^ 1, number - 1):
        reached(rig, node, 90, 150, number=wrong)
    assert (ignored + 3, None) == (node.stats().ignored, owner(rig))
    reached(rig, node, 90, 104, number=number)
    reached(rig, node, 90, 150, number=number)
    assert (ignored + 4, 104) == (node.stats().ignored, owner(rig))


def test_the_answer_may_come_before_the_receipt() -> None:
    """Whichever is first; then nobody is left waiting."""
    rig, node = looking_up(100, 60)
    question = rig.asked(Forward)
    reached(rig, node, 90, 104)
    rig.reply(question, Done)
    assert [104] == asked(rig)  # It never answered this node: it is asked itself, as an owner always is.
    rig.reply(rig.asked(FindSuccessor, peer(104)), Found, peer(90), (peer(104),), False)
    assert (104, {}) == (owner(rig), node.lookups.patience.tokens)


def test_a_receipt_for_a_plain_question_is_none() -> None:
    """A peer that says so whatever it is asked holds nothing up."""
    rig, node = looking_up(100, 60, 70)
    rig.reply(rig.asked(Forward), Done)
    rig.tick(node, 1.0)
    assert [70] == asked(rig)
    rig.reply(rig.asked(FindSuccessor), Done)
    assert [60] == asked(rig)


# What is believed


def test_an_owner_far_away_is_asked_for_once_more() -> None:
    """Nobody can be blamed for the answer, so a gap that is merely wide is enough: the lookup goes on as if none had come."""
    rig, node = looking_up(100, 60, heard=(118,))
    rig.reply(rig.asked(Forward), Done)
    number = node.lookups.active[max(node.lookups.active)].token
    reached(rig, node, 99, 118, number=number)
    assert ([60], 0, None) == (asked(rig), node.stats().doubted, owner(rig))
    rig.reply(rig.asked(FindSuccessor, peer(60)), Found, peer(99), (peer(118),), False)
    assert 118 == owner(rig)


def test_a_wrong_answer_that_no_mistake_explains_is_the_last() -> None:
    """An owner was named behind another that has been there for long: for five minutes this node asks itself."""
    rig, node = looking_up(100, 60, heard=(104, 107))
    node.ctx.routing.known[104].since -= SETTLED
    rig.reply(rig.asked(Forward), Done)
    number = node.lookups.active[max(node.lookups.active)].token
    reached(rig, node, 90, 107, number=number)
    rig.reply(rig.asked(FindSuccessor, peer(104)), Found, peer(90), (peer(104),), False)
    assert 104 == owner(rig)
    patience = node.lookups.patience
    assert [False, True] == [patience.relies_on(peer(95), rig.now + MEMORY + each) for each in (-1, 1)]
    assert {} == node.ctx.trust.misleading  # It may have been anyone on the way.


def test_a_nearer_node_that_answered_before_is_asked() -> None:
    """A claim that passes over somebody whom this node has heard is not taken at its word, and the way is not gone again."""
    rig, node = looking_up(100, 60, heard=(104, 107))
    rig.reply(rig.asked(Forward), Done)
    number = node.lookups.active[max(node.lookups.active)].token
    reached(rig, node, 90, 107, number=number)
    assert ([104], None) == (asked(rig), owner(rig))
    rig.reply(rig.asked(FindSuccessor, peer(104)), Found, peer(90), (peer(104),), False)
    assert 104 == owner(rig)
    patience = node.lookups.patience
    assert [False, True] == [patience.relies_on(peer(60), rig.now + SETTLED + each) for each in (-1, 1)]
    assert patience.relies_on(peer(95), rig.now)


def test_an_owner_that_does_not_own_the_place_misbehaves() -> None:
    """It leads into doubt, whoever says it."""
    for owners in ((80,), ()):
        rig, node = looking_up(100, 60, heard=(70, 80, 104))
        rig.reply(rig.asked(Forward), Done)
        number = node.lookups.active[max(node.lookups.active)].token
        effects = reached(rig, node, 79, *owners, number=number)
        told = [Misbehaved(peer(90).address, "an owner that does not own the place")]
        assert (told, 1) == (only(Misbehaved, effects), node.stats().doubted)


def test_a_node_that_was_misled_asks_itself() -> None:
    """Where every answer is to be checked no question is given away."""
    rig, node = looking_up(100, 60)
    for liar in ("x", "y"):
        node.ctx.trust.misled(liar, rig.now, surely=True)
    rig.under_way.clear()
    rig.take(node, node.locate(OpId(2), 150, now=rig.now))
    assert [] == passed_to(rig)


# Who passes on


def test_it_says_that_it_takes_the_question_and_passes_it_on() -> None:
    """To the closest that it knows before the place, for the same asker, one hop further; and keeps nothing of it then."""
    rig, node = hop(60, 90)
    assert [Done] == [type(answer) for answer in sent(Done, forward(rig, node))]
    passed = rig.asked(Forward)
    assert (90, peer(230), 1, 5, 2) == (passed.target, passed.asker, passed.life, passed.number, passed.hops)
    assert (1, 1) == (node.stats().passing, node.stats().forwarded)
    rig.reply(passed, Done)
    assert (0, {}) == (node.stats().passing, node.lookups.forwards.by_sender)


def test_who_precedes_the_place_tells_the_asker() -> None:
    """And its sender that the question was taken; to an asker of its own it answers as ever."""
    rig, node = hop()
    effects = forward(rig, node, 11, hops=4)
    (told,) = sent(Reached, effects)
    assert (peer(230).id, 1, 5, 4) == (told.target, told.target_incarnation, told.number, told.hops)
    assert (peer(10), peer(12), 1) == (told.predecessor, told.successors[0], len(sent(Done, effects)))
    effects = forward(rig, node, 11, of=220, by=220, number=6, hops=0)
    assert ([], 1) == (sent(Reached, effects), len(sent(Found, effects)))


def test_a_silent_hop_is_passed_over_and_suspected() -> None:
    """The next best gets the question after one timeout, once, although the first is asked on until it is given up."""
    rig, node = hop(60, 90)
    forward(rig, node)
    rig.tick(node, CONFIG.initial_timeout)
    assert [90, 60] == passed_to(rig)
    rig.reply(rig.asked(Forward, peer(60)), Done)
    for _ in range(20):
        rig.tick(node, 0.3)
    assert node.ctx.routing.is_suspect(peer(90))
    assert ([90], 0) == (passed_to(rig), node.stats().passing)


def test_a_hop_that_refuses_or_answers_itself() -> None:
    """The next best, or who it names, gets the question; if it names the owner, the asker is told."""
    rig, node = hop(60, 90)
    forward(rig, node)
    rig.reply(rig.asked(Forward), Refused, Reason.NOT_MEMBER)
    assert [60] == passed_to(rig)
    rig.reply(rig.asked(Forward), Closer, (peer(40), peer(80), peer(95), peer(110), peer(90)))
    assert [95] == passed_to(rig)
    assert 3 == rig.asked(Forward).hops
    effects = rig.reply(rig.asked(Forward), Found, peer(95), (peer(104),), False)
    (told,) = sent(Reached, effects)
    assert ((peer(95), (peer(104),), 3), 0) == ((told.predecessor, told.successors, told.hops), node.stats().passing)


def test_a_hop_that_names_nobody_closer() -> None:
    """Each step comes closer to the place, so that no question goes in circles: the next best that this node knows gets it."""
    rig, node = hop(60, 90)
    forward(rig, node)
    rig.reply(rig.asked(Forward), Closer, (peer(80), peer(90), peer(10), peer(110)))
    assert [60] == passed_to(rig)


def test_a_hop_that_says_what_cannot_be() -> None:
    """It is reported, and the asker is told nothing."""
    rig, node = hop(90)
    forward(rig, node)
    effects = rig.reply(rig.asked(Forward), Found, peer(90), (peer(95),), False)
    assert ([], 1, 0) == (sent(Reached, effects), len(only(Misbehaved, effects)), node.stats().passing)


def test_a_question_that_comes_again_is_passed_on_once() -> None:
    """While it is being passed on; it is taken once more."""
    rig, node = hop(60)
    forward(rig, node)
    assert 1 == len(sent(Done, forward(rig, node)))
    assert ([60], 1) == (passed_to(rig), node.stats().forwarded)


def test_the_ways_are_bounded() -> None:
    """Who has tried several in vain drops the question; a question that came too far is answered, and goes no further."""
    rig, node = hop(50, 60, 70, 80, 90, 95, lookup_candidates=2, max_hops=10)
    forward(rig, node)
    for _ in range(2):
        rig.reply(rig.asked(Forward), Refused, Reason.BUSY)
    assert ([], 0) == (passed_to(rig), node.stats().passing)
    effects = forward(rig, node, number=6, hops=10)
    assert ([], 1) == (passed_to(rig), len(sent(Closer, effects)))
    forward(rig, node, number=7, hops=9)
    rig.reply(rig.asked(Forward), Closer, (peer(98),))
    assert ([], 0) == (passed_to(rig), node.stats().passing)


def test_questions_passed_on_are_bounded() -> None:
    """In all, and by who sends them: one on top of it is answered as ever, and so costs nobody the lookup."""
    for bound, kinds in (
        ("max_forwards", [Done, Done, Closer, Closer]),
        ("max_forwards_per_peer", [Done, Done, Closer, Done]),
    ):
        rig, node = hop(60, 70, 80, 90, **{bound: 2})
        effects = [forward(rig, node, number=number, by=225 if number == 3 else 220) for number in range(4)]
        assert kinds == [type(answer) for each in effects for answer in sent(Answer, each)]
        assert kinds.count(Done) == node.stats().passing


def test_where_no_request_has_room_none_is_passed_on() -> None:
    """The sender is told whom to ask."""
    rig, node = hop(60, max_requests_per_peer=1)
    rig.take(node, node.locate(OpId(1), 100, now=rig.now))
    assert 1 == len(sent(Closer, forward(rig, node)))
    assert 0 == node.stats().passing


def test_only_members_pass_on_and_only_for_nodes() -> None:
    """A client is refused; so is anybody by a node that is no member."""
    rig, node = hop(60)
    question = request(Forward, None, node, 100, peer(230), 1, 5, 0)
    assert [Reason.INVALID] == [each.reason for each in sent(Refused, rig.receive(node, question))]
    alone = rig.add(20)
    assert [Reason.NOT_MEMBER] == [each.reason for each in sent(Refused, forward(rig, alone))]


# Rings of real nodes


@pytest.mark.parametrize("size", [2, 3, 5, 9, 16])
def test_it_finds_whom_others_find(size: int) -> None:
    """On a ring of any size, for every place, by every node; a value written by one is read by all."""
    places = sorted(Random(size).sample(range(256), size))
    config = attrs.evolve(RECURSIVE, peer_cache=False, successors=1, predecessors=1, replicas=1)
    rig = ring_of(*places, config=config)
    nodes = list(rig.nodes.values())
    for place in range(0, 256, 5):
        for node in nodes[:: max(1, size // 4)]:
            op = rig.op()
            rig.take(node, node.locate(op, place, now=rig.now))
            rig.run(0.1)
            assert next((each for each in places if each >= place), places[0]) == rig.result(op).owner.id
    assert (size > 4) == (sum(node.stats().forwarded for node in nodes) > 0)
    op = rig.op()
    rig.take(nodes[0], nodes[0].perform(op, Put(b"k", b"v"), now=rig.now))
    rig.run(0.1)
    assert isinstance(rig.result(op), Stored)
    for node in nodes:
        op = rig.op()
        rig.take(node, node.perform(op, Get(b"k"), now=rig.now))
        rig.run(0.1)
        assert b"v" == rig.result(op).value
    assert all(node.stats().passing == 0 for node in nodes)
