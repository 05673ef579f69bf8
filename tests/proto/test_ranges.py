"""Owning is not yet serving: arcs pending, held and granted (chord.md section 7, "one decider at a time")."""

from __future__ import annotations

from chord_proto.effects import Effect, RangeGained, RangeLost, RangeReady
from chord_proto.messages import (
    Claim,
    Digest,
    Elsewhere,
    GetClaim,
    GetDigest,
    GetNeighbours,
    GetRecord,
    Grant,
    Granted,
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
from tests.proto.rig import Rig, name_at, only, peer, record_at, request, sent

# The joiner's side


def joined() -> tuple[Rig, Node]:
    """Return a node that has just joined at 10 and asks for its range (200, 10]."""
    rig = Rig()
    return rig, rig.member(10, before=200, after=[60, 100], came_round=False, granted=False)


def grant(rig: Rig, start: int | None = None, end: int | None = None) -> list[Effect]:
    """Let the old owner grant what is asked for, or a part of it."""
    asked = rig.asked(TakeOver)
    return rig.reply(asked, Granted, asked.start if start is None else start, asked.end if end is None else end)


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
    assert [Refused, Refused] == served(rig, node)
    asked = rig.asked(TakeOver)
    assert (60, 200, 10) == (asked.target, asked.start, asked.end)


def test_granted_and_fetched_it_serves() -> None:
    """After Done the records are pulled, made durable, and only then is the range ready."""
    rig, node = joined()
    grant(rig)
    assert not node.ready
    effects = rig.reply(rig.asked(GetDigest), Digest, 0, bytes(16))
    assert ([RangeReady(200, 10)], True) == (only(RangeReady, effects), node.ready)


def test_a_part_is_granted() -> None:
    """The part is fetched and served; for the rest the node asks on."""
    rig, node = joined()
    effects = grant(rig, 230, 10)
    (on,) = sent(TakeOver, effects)
    assert (200, 230) == (on.start, on.end)
    effects = rig.reply(rig.asked(GetDigest), Digest, 0, bytes(16))
    assert ([RangeReady(230, 10)], False) == (only(RangeReady, effects), node.ready)
    rig.reply(on, Granted, 200, 230)
    rig.reply(rig.asked(GetDigest), Digest, 0, bytes(16))
    assert node.ready


def test_what_was_not_asked_for_is_not_taken() -> None:
    """A grant of another arc: the node asks again."""
    rig, node = joined()
    grant(rig, 10, 60)
    rig.under_way.clear()
    rig.tick(node, 0.13)
    assert 200 == rig.asked(TakeOver).start


def test_who_granted_dies_before_all_is_fetched() -> None:
    """The others' copies count then."""
    rig, node = joined()
    grant(rig)
    node.ctx.suspect(peer(60))
    rig.tick(node, 0.01)
    rig.tick(node, 0.13)
    rig.reply(rig.asked(GetDigest, peer(100)), Digest, 0, bytes(16))
    assert node.ready


def test_readers_are_sent_to_who_granted() -> None:
    """While the records are on their way the one that granted the arc has them all."""
    rig, node = joined()
    grant(rig)
    (answer,) = sent(Elsewhere, rig.receive(node, request(GetRecord, peer(100), node, 0, name_at(5), False, number=5)))
    assert ((peer(60),), True) == (answer.peers, answer.through)


def test_who_was_granted_a_part_is_asked_next() -> None:
    """While it lives nothing is taken over from replicas: the node asks round again, after a pause."""
    rig, node = joined()
    rig.reply(rig.asked(TakeOver, peer(60)), Elsewhere, (peer(150),), True)
    rig.reply(rig.asked(TakeOver, peer(150)), Refused, Reason.NOT_READY)
    rig.under_way.clear()
    rig.tick(node, 0.13)
    assert 60 == rig.asked(TakeOver).target
    rig.reply(rig.asked(TakeOver, peer(60)), Elsewhere, (peer(150),), True)
    rig.reply(rig.asked(TakeOver, peer(150)), Elsewhere, (), False)
    rig.reply(rig.asked(TakeOver, peer(100)), Elsewhere, (), False)
    assert [] == [each for each in rig.under_way if isinstance(each.message, GetDigest)]
    rig.under_way.clear()
    rig.tick(node, 0.13)
    assert 60 == rig.asked(TakeOver).target


def test_who_falls_silent_on_the_walk_is_passed_by() -> None:
    """Others still remember a grant to it; it is dead, so the walk goes on to the end, and replicas are heard."""
    rig, node = joined()
    rig.reply(rig.asked(TakeOver, peer(60)), Elsewhere, (peer(150),), True)
    node.ctx.suspect(peer(150))
    rig.tick(node, 0.01)
    rig.reply(rig.asked(TakeOver, peer(100)), Elsewhere, (peer(150),), True)
    rig.tick(node, 0.13)
    for place in (60, 100):
        answer = rig.asked(TakeOver, peer(place))
        rig.under_way = [each for each in rig.under_way if each.message is not answer]
        rig.reply(answer, Elsewhere, (peer(150),), True)
    for place in (60, 100):
        rig.reply(rig.asked(GetDigest, peer(place)), Digest, 0, bytes(16))
    assert node.ready


def test_a_leaver_tells_who_has_its_range() -> None:
    """Its heir is another node: that one is asked first, and readers wait until it has answered."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    given = (Grant(150, 200, peer(100), 1, 0),)
    (ping,) = sent(Ping, rig.receive(node, request(Leaving, peer(200), node, peer(150), (), (node.me,), (), given)))
    (asked,) = sent(TakeOver, rig.reply(ping, Pong, True, ()))
    assert (100, 150, 200) == (asked.target, asked.start, asked.end)
    (answer,) = sent(Refused, rig.receive(node, request(GetRecord, peer(60), node, 0, name_at(180), False, number=5)))
    assert Reason.NOT_READY == answer.reason


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
    effects = rig.receive(node, request(TakeOver, peer(source), node, start, end, True, number=number))
    answers = [*sent(Granted, effects), *sent(Elsewhere, effects), *sent(Refused, effects)]
    (answer,) = (each for each in answers if each.request == number)
    return Reason(answer.reason) if isinstance(answer, Refused) else type(answer)


def granted(rig: Rig, node: Node, start: int = 200, end: int = 240, *, source: int = 240) -> tuple[int, int]:
    """Ask for an arc; return which part of it was granted."""
    (answer,) = sent(Granted, rig.receive(node, request(TakeOver, peer(source), node, start, end, True, number=7)))
    return answer.start, answer.end


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
    """Its own range: not ready; what it never had: elsewhere; what it holds and does not own: granted."""
    rig, node = old_owner()
    assert Reason.NOT_READY is take_over(rig, node, 240, 10)
    assert Elsewhere is take_over(rig, node, 150, 200, source=200)
    assert (200, 240) == granted(rig, node, 150, 10)


def test_a_grant_is_repeated_to_the_same_life_only() -> None:
    """Its answer was lost, so it asks again.  A later life asks too, but the earlier one may have decided."""
    rig, node = old_owner()
    assert (200, 240) == granted(rig, node)
    assert (200, 240) == granted(rig, node)
    again = request(TakeOver, peer(240), node, 200, 240, True, number=8, life=2)
    assert [Elsewhere] == [type(each) for each in sent(Elsewhere, rig.receive(node, again))]


def test_two_joiners_in_one_gap() -> None:
    """The nearer one was granted its part; the farther one, which asks for all, gets the rest of it."""
    rig, node = old_owner()
    assert (200, 220) == granted(rig, node, 200, 220, source=220)
    assert (220, 240) == granted(rig, node)


def sent_on(rig: Rig, node: Node, start: int, end: int) -> list[int]:
    """Let the node at ``end`` ask for an arc; return who, as it is told, was granted parts of it."""
    asked = request(TakeOver, peer(end), node, start, end, True, number=7)
    (answer,) = sent(Elsewhere, rig.receive(node, asked))
    return [each.id for each in answer.peers] if answer.through else []


def claim(rig: Rig, node: Node, *arcs: tuple[int, int], of: int = 240) -> None:
    """Let the peer at ``of``, asked which of its grants arrived, claim these arcs."""
    asked = rig.asked(GetClaim, peer(of))
    rig.under_way.clear()
    rig.reply(asked, Claim, arcs, ())


def test_a_grant_that_never_arrived_is_given_to_the_next() -> None:
    """The first one asks for less by now and never learnt of the grant: what it does not claim goes to who asks."""
    rig, node = old_owner()
    assert (200, 240) == granted(rig, node)
    assert [240] == sent_on(rig, node, 200, 220)
    claim(rig, node, (220, 240))
    assert (200, 220) == granted(rig, node, 200, 220, source=220)
    assert [240] == sent_on(rig, node, 220, 230)


def test_a_grant_that_arrived_stays() -> None:
    """Who holds the arc claims it, so that the other one waits until the ring tells them whose it is."""
    rig, node = old_owner()
    assert (200, 240) == granted(rig, node)
    for _ in range(2):
        assert [240] == sent_on(rig, node, 200, 220)
        claim(rig, node, (200, 240))


def test_a_later_life_cannot_answer_for_an_earlier_one() -> None:
    """Who was granted the arc has begun anew and knows nothing of it: its earlier life may have decided."""
    rig, node = old_owner()
    assert (200, 240) == granted(rig, node)
    assert [240] == sent_on(rig, node, 200, 220)
    asked = rig.asked(GetClaim, peer(240))
    rig.under_way.clear()
    rig.reply(asked, Claim, (), (), life=2)
    assert [] == sent_on(rig, node, 200, 220)


def test_nobody_is_granted_anything_in_ones_own_name() -> None:
    """A forged request of this very node is refused, and what is held stays."""
    rig, node = old_owner()
    rig.receive(node, request(TakeOver, node.me, node, 200, 240, True, number=7))
    assert (200, 240) == granted(rig, node)


def test_grants_are_bounded() -> None:
    """However it is asked, what is held and remembered stays in a bounded number of pieces."""
    rig, node = old_owner()
    for number in range(700):
        place = 200 + number % 40
        asked = request(TakeOver, peer(60 if number % 2 else 100), node, place, place + 1, True, number=1000 + number)
        rig.receive(node, asked)
        heard = request(Leaving, peer(200), node, None, (), (), ((place, place + 1),), (), number=5000 + number)
        rig.receive(node, heard)
    grants = node.ranges.grants
    assert len(grants.held.spans) <= 512
    assert sum(len(each.places.spans) for each in grants.given) <= 512


def test_a_grant_that_was_lost_again_is_no_longer_told_of() -> None:
    """Who had it says that it does not any more: the next one has to hear the replicas."""
    rig, node = old_owner()
    assert (200, 240) == granted(rig, node)
    assert [240] == sent_on(rig, node, 200, 220)
    asked = rig.asked(GetClaim, peer(240))
    rig.reply(asked, Claim, (), ((200, 240),))
    assert [] == sent_on(rig, node, 200, 220)


def test_a_grant_dies_with_who_had_it() -> None:
    """It may have decided: nobody holds the arc any more, and the next one has to hear the replicas."""
    rig, node = old_owner()
    assert (200, 240) == granted(rig, node)
    node.ctx.suspect(peer(240))
    rig.tick(node, 0.01)
    assert Elsewhere is take_over(rig, node, 200, 220, source=220)


def claimed(rig: Rig, node: Node, start: int, end: int, *, source: int = 100) -> tuple[tuple[int, int], ...]:
    """Ask a node which parts of an arc it knows of."""
    (answer,) = sent(Claim, rig.receive(node, request(GetClaim, peer(source), node, start, end, number=31)))
    return answer.arcs


def test_what_is_claimed() -> None:
    """What the node holds, owned or not, what it has granted on, and nothing else."""
    rig, node = old_owner()
    assert ((200, 10),) == claimed(rig, node, 150, 60)
    assert (200, 240) == granted(rig, node)
    assert ((200, 10),) == claimed(rig, node, 150, 60)
    assert () == claimed(rig, node, 60, 150)
    assert ((220, 230),) == claimed(rig, node, 220, 230)


def test_what_may_still_be_granted_is_claimed() -> None:
    """While a request is out its answer may be a grant of who is asked; once that is settled nothing is claimed."""
    rig, node = joined()
    assert ((200, 10),) == claimed(rig, node, 200, 10, source=60)
    assert () == claimed(rig, node, 200, 10, source=100)
    rig.reply(rig.asked(TakeOver), Refused, Reason.NOT_READY)
    assert () == claimed(rig, node, 200, 10, source=60)


def test_the_owners_decision_ends_what_was_held_unused() -> None:
    """Somebody else was found to decide there: this node's records are no longer the last word."""
    rig, node = old_owner()
    rig.receive(node, request(Replicate, peer(240), node, (record_at(220),), True, number=12))
    assert Elsewhere is take_over(rig, node)


def test_it_grants_nothing_that_is_on_its_way_to_disk() -> None:
    """A write accepted before the joiner came has to be durable, and so readable, before the range is granted."""
    rig, node = old_owner()
    rig.durable = False
    rig.receive(node, request(Replicate, peer(200), node, (record_at(230),), False, number=11))
    assert Reason.NOT_READY is take_over(rig, node)
    rig.flush_writes()
    assert Granted is take_over(rig, node)


def test_one_grant_for_one_arc() -> None:
    """A second claimant of an arc that was granted does not get it as well."""
    rig, node = old_owner()
    assert Granted is take_over(rig, node)
    assert [240] == sent_on(rig, node, 200, 239)
    assert [240] == sent_on(rig, node, 200, 230)


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
    assert Granted is take_over(rig, node)
    node.ctx.suspect(peer(240))
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(200), node, life=2)))
    effects = rig.reply(ping, Pong, True, (), life=2)
    assert ([RangeGained(200, 240)], [], False) == (only(RangeGained, effects), only(RangeReady, effects), node.ready)


def test_a_leavers_grant_is_served_once_the_pointer_moves() -> None:
    """Everything was given before the farewell: no fetching."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    farewell = request(Leaving, peer(200), node, peer(150), (), (node.me,), ((150, 200),), ())
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
    assert [Refused, Refused] == served(rig, node)
    asked = rig.asked(TakeOver)
    assert (60, 200, 10) == (asked.target, asked.start, asked.end)
    rig.reply(asked, Granted, asked.start, asked.end)
    rig.reply([p.message for p in rig.under_way if isinstance(p.message, GetDigest)][-1], Digest, 0, bytes(16))
    assert node.ready
