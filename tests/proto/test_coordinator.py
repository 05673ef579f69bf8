"""A write on its way to its replicas: when it is acknowledged, when it ends, and what is left to repair."""

from __future__ import annotations

import attrs
import pytest

from chord_proto.effects import Effect, Misbehaved, Send, Write
from chord_proto.messages import (
    Acknowledged,
    Done,
    Elsewhere,
    GetNeighbours,
    GetRecord,
    Granted,
    Message,
    Neighbours,
    Notify,
    Ping,
    Pong,
    PutRecord,
    Reason,
    Refused,
    Replicate,
    Space,
    TakeOver,
    Value,
)
from chord_proto.node import Node
from chord_proto.quorums import majority
from tests.proto.rig import CONFIG, Rig, block_at, name_at, only, peer, record_at, request, sent

BLOCK = block_at(5)


def owner(after: tuple[int, ...] = (60, 100, 150)) -> tuple[Rig, Node]:
    """Return the owner of (200, 10] whose replicas are at 60 and 100."""
    rig = Rig()
    node = rig.member(10, before=200, after=after)
    rig.under_way.clear()
    return rig, node


def put(rig: Rig, node: Node, space: Space = Space.RECORD, *, number: int = 77, write: int = 77) -> list[Effect]:
    """Ask the node to write the record or the block at place 5."""
    fields = (name_at(5), b"v", write) if space is Space.RECORD else (BLOCK.name, BLOCK.value, 0)
    return rig.receive(node, request(PutRecord, peer(150), node, space, *fields, number=number))


def copies(effects: list[Effect]) -> dict[int | None, Replicate]:
    """Return the copies that are sent, by their receiver."""
    return {message.target: message for message in sent(Replicate, effects)}


def spreading(node: Node) -> int:
    """Return how many writes are still on their way to replicas."""
    return len([kind for (kind, _), _ in node.ctx.timers.items() if kind == "spread"])


def give_up(rig: Rig, node: Node) -> list[Effect]:
    """Let time pass, with every copy lost or refused, until the node ends the write; return what that caused."""
    effects: list[Effect] = []
    began = rig.now
    while spreading(node):
        assert rig.now < began + rig.config.operation_timeout + 0.2
        for parcel in [each for each in rig.under_way if isinstance(each.message, Replicate)]:
            assert isinstance(parcel.message, Replicate)
            rig.reply(parcel.message, Refused, Reason.BUSY)
        rig.under_way.clear()
        effects = rig.tick(node, 0.05)
        rig.humour()
    return effects


def test_a_write_goes_on_until_every_replica_has_it() -> None:
    """Acknowledged by a majority, it ends when the last copy is durable; then nothing is left to repair."""
    rig, node = owner()
    unshared = node.writes.unshared
    out = copies(put(rig, node))
    assert 1 == len(sent(Acknowledged, rig.reply(out[100], Done)))
    assert (1, unshared) == (spreading(node), node.writes.unshared)
    rig.reply(out[60], Done)
    assert (0, unshared) == (spreading(node), node.writes.unshared)


def test_only_the_replicas_are_asked() -> None:
    """The owner writes its own copy without asking itself."""
    rig, node = owner()
    requests = node.stats().requests
    effects = put(rig, node)
    assert (2, 1) == (node.stats().requests - requests, len(only(Write, effects)))


def test_a_refused_copy_is_left_to_repair() -> None:
    """Acknowledged, with one replica that refused: the write ends, and each such write counts as not shared."""
    rig, node = owner()
    unshared = node.writes.unshared
    for number in (1, 2):
        out = copies(put(rig, node, number=number, write=number))
        rig.reply(out[60], Done)
        rig.reply(out[100], Refused, Reason.BUSY)
        assert (0, unshared + number) == (spreading(node), node.writes.unshared)


def test_a_replica_that_has_its_copy_is_not_sent_it_again() -> None:
    """Only who refused is asked again."""
    rig, node = owner()
    out = copies(put(rig, node, Space.BLOCK))
    rig.reply(out[60], Done)
    rig.reply(out[100], Refused, Reason.BUSY)
    assert {100} == set(copies(rig.tick(node, 0.13)))


def test_a_write_without_majority_is_given_up_in_time() -> None:
    """After ``operation_timeout`` the asker hears that the outcome is unknown; repair looks after the copies there are."""
    rig, node = owner()
    began, unshared = rig.now, node.writes.unshared
    put(rig, node)
    late = rig.asked(Replicate, peer(60))
    rig.reply(rig.asked(Replicate, peer(100)), Refused, Reason.BUSY)
    rig.under_way.clear()
    effects = give_up(rig, node)
    assert [(77, Reason.OUTCOME_UNKNOWN)] == [(each.request, each.reason) for each in sent(Refused, effects)]
    assert rig.now - began >= rig.config.operation_timeout
    assert unshared + 1 == node.writes.unshared
    assert [] == sent(Acknowledged, rig.reply(late, Done))


def test_nothing_is_acknowledged_too_late() -> None:
    """A replica keeps its copy for so long and may have dropped it since, as while the owner slept."""
    rig, node = owner()
    out = copies(put(rig, node))
    rig.now += rig.config.operation_timeout
    effects = rig.reply(out[60], Done)
    assert [] == sent(Acknowledged, effects)
    assert [Reason.OUTCOME_UNKNOWN] == [each.reason for each in sent(Refused, effects)]


def test_a_write_whose_place_is_lost_is_given_up_at_once() -> None:
    """A node joined before the owner and has the place now: the asker hears soon that the outcome is unknown."""
    rig = Rig()
    node = rig.member(10, before=200, after=(60, 100, 150))
    step = rig.asked(GetNeighbours, peer(60))
    put(rig, node)
    rig.reply(step, Neighbours, node.me, (peer(100), peer(150)), True, 3)
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(7), node)))
    rig.reply(ping, Pong, True, ())
    assert peer(7) == node.predecessor
    effects = rig.tick(node, 0.13)
    assert [Reason.OUTCOME_UNKNOWN] == [each.reason for each in sent(Refused, effects)]
    assert 0 == spreading(node)
    assert [] == rig.reply(rig.asked(Replicate, peer(60)), Done)


def test_who_leaves_says_of_its_writes_that_their_outcome_is_unknown() -> None:
    """A write still on its way when the node goes: no other node knows how it will end."""
    rig, node = owner()
    put(rig, node)
    rig.take(node, node.leave(rig.op(), now=rig.now))
    effects: list[Effect] = []
    while node.deadline is not None:
        rig.under_way.clear()
        effects += rig.tick(node, node.deadline - rig.now)
    assert [(77, Reason.OUTCOME_UNKNOWN)] == [(each.request, each.reason) for each in sent(Refused, effects)]


def test_a_block_waits_for_the_present_replicas() -> None:
    """Three addresses hold it, one of them no replica any more: acknowledged only once its successor has it, too."""
    rig, node = owner()
    out = copies(put(rig, node, Space.BLOCK))
    rig.reply(out[60], Done)
    node.ctx.suspect(peer(60))
    rig.tick(node)
    assert [] == sent(Acknowledged, rig.reply(out[100], Done))
    out = copies(rig.tick(node, 0.13))
    assert {150} == set(out)
    (acknowledged,) = sent(Acknowledged, rig.reply(out[150], Done))
    assert {10, 100, 150} <= {each.id for each in acknowledged.acked}


def test_a_block_is_not_acknowledged_by_a_majority() -> None:
    """Replicas fail while it spreads, and nobody takes their place: all living ones have it, which is not enough."""
    rig, node = owner((60, 100))
    out = copies(put(rig, node, Space.BLOCK))
    for place in (100, 200):
        node.ctx.suspect(peer(place))
    rig.tick(node)
    assert [] == sent(Acknowledged, rig.reply(out[60], Done))


def test_who_is_not_the_owner_names_it_and_others() -> None:
    """First the owner by this node's pointers, then the two closest peers before the place; no owner, only those."""
    rig, node = owner()
    (answer,) = sent(Elsewhere, rig.receive(node, request(GetRecord, peer(60), node, 0, name_at(190), False, number=1)))
    assert ((peer(200), peer(150), peer(100)), False) == (answer.peers, answer.through)
    node.ctx.suspect(peer(200))
    (answer,) = sent(Elsewhere, rig.receive(node, request(GetRecord, peer(60), node, 0, name_at(190), False, number=2)))
    assert (peer(150), peer(100)) == answer.peers


def test_the_owner_says_where_else_a_block_may_lie() -> None:
    """A block that it does not hold may be at its replicas; a record that the owner lacks does not exist."""
    rig, node = owner()
    asked = request(GetRecord, peer(150), node, Space.BLOCK, BLOCK.name, False, number=1)
    (value,) = sent(Value, rig.receive(node, asked))
    assert (None, (peer(60), peer(100))) == (value.held, value.replicas)
    asked = request(GetRecord, peer(150), node, Space.RECORD, name_at(5), False, number=2)
    (value,) = sent(Value, rig.receive(node, asked))
    assert (None, ()) == (value.held, value.replicas)


@pytest.mark.parametrize("through", [True, False])
def test_a_block_name_of_another_length_is_refused(through: bool) -> None:
    """A block is named by 20 bytes."""
    rig, node = owner()
    effects = rig.receive(node, request(GetRecord, peer(150), node, Space.BLOCK, b"short", through))
    assert [Reason.INVALID] == [each.reason for each in sent(Refused, effects)]


def test_a_block_that_is_held_is_told_whoever_owns_it() -> None:
    """Its name proves it: any holder answers, a record only its owner."""
    rig, node = owner()
    block, record = block_at(150), record_at(150)
    rig.receive(node, request(Replicate, peer(60), node, (block, record), False, number=1))
    asked = request(GetRecord, peer(150), node, Space.BLOCK, block.name, False, number=2)
    assert [(block, ())] == [(each.held, each.replicas) for each in sent(Value, rig.receive(node, asked))]
    asked = request(GetRecord, peer(150), node, Space.RECORD, record.name, False, number=3)
    assert 1 == len(sent(Elsewhere, rig.receive(node, asked)))


@pytest.mark.parametrize("width, expected", [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (16, 9)])
def test_two_majorities_always_meet(width: int, expected: int) -> None:
    """More than half of the width: in a ring of two both."""
    assert expected == majority(width)


def test_what_is_copied_is_what_was_asked_for() -> None:
    """A record with its write id and a version of civil time; a block without either."""
    rig, node = owner()
    rig.take(node, node.wall(1e9, now=rig.now))
    (copied,) = copies(put(rig, node))[60].records
    assert (Space.RECORD, name_at(5), b"v", 77) == (copied.space, copied.name, copied.value, copied.write_id)
    assert f"{int((1e9 + rig.now) * 1000):012x}-0000-0a00000000000000"[:17] == copied.version[:17]
    assert (BLOCK,) == copies(put(rig, node, Space.BLOCK, number=78))[60].records


def test_only_the_latest_decisions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The versions of writes decided here are kept for retries, a bounded number of them."""
    monkeypatch.setattr("chord_proto.coordinator._MAX_DECIDED", 2)
    monkeypatch.setattr("chord_proto.writes._MAX_REPLACED", 1)
    rig, node = owner()
    versions = [
        copies(put(rig, node, number=number, write=write))[60].records[0].version
        for number, write in enumerate((1, 2, 3, 2, 1))
    ]
    made, again = versions[:3], versions[3:]
    assert 2 == len(node.coordinator.decided)
    assert made[1] == again[0]
    assert again[1] > made[2]


def test_bounds_are_inclusive() -> None:
    """A value and a name of exactly the greatest length are written; so many writes as ``max_operations`` go on."""
    bounds = attrs.evolve(CONFIG, max_value_size=4, max_key_size=1024, max_operations=2)
    rig = Rig(bounds)
    node = rig.create(10)
    rig.receive(node, request(Notify, peer(60), node))
    cases = ((b"k", b"1234"), (b"k" * 1024, b""), (b"k", b"12345"), (b"k" * 1025, b""))
    effects = [
        effect
        for number, (name, value) in enumerate(cases)
        for effect in rig.receive(node, request(PutRecord, peer(60), node, 0, name, value, number, number=number))
    ]
    assert [0, 1] == [each.request for each in sent(Acknowledged, effects)]
    assert 2 == len(sent(Refused, effects)) + len(only(Misbehaved, effects))


def test_no_more_writes_go_on_than_operations_may() -> None:
    """One more is refused as busy, and taken when one has ended."""
    rig = Rig(attrs.evolve(CONFIG, max_operations=2))
    node = rig.member(10, before=200, after=(60, 100))
    effects = [effect for number in (1, 2, 3) for effect in put(rig, node, number=number, write=number)]
    assert [(3, Reason.BUSY)] == [(each.request, each.reason) for each in sent(Refused, effects)]


def test_readers_of_what_is_fetched_from_replicas() -> None:
    """Who granted the range has died: a copy that is here already is told, else the reader asks the replicas."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False, granted=False)
    asked = rig.asked(TakeOver)
    rig.reply(asked, Granted, asked.start, asked.end)
    node.ctx.suspect(peer(60))
    rig.tick(node, 0.01)
    rig.tick(node, 0.13)

    def read(number: int) -> list[Message]:
        effects = rig.receive(node, request(GetRecord, peer(150), node, 0, name_at(5), False, number=number))
        return [each.message for each in only(Send, effects)]

    (elsewhere,) = read(1)
    assert isinstance(elsewhere, Elsewhere)
    assert ((peer(100),), True) == (elsewhere.peers, elsewhere.through)
    rig.receive(node, request(Replicate, peer(100), node, (record_at(5),), False, number=2))
    (value,) = read(3)
    assert isinstance(value, Value)
    assert (record_at(5), ()) == (value.held, value.replicas)


def test_with_nobody_to_fetch_from_readers_wait() -> None:
    """Neither the grant nor a replica is left: not ready, rather than absent."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False, granted=False)
    asked = rig.asked(TakeOver)
    rig.reply(asked, Granted, asked.start, asked.end)
    for place in (60, 100):
        node.ctx.suspect(peer(place))
        rig.tick(node, 0.01)
        rig.tick(node, 0.13)
    effects = rig.receive(node, request(GetRecord, peer(150), node, 0, name_at(5), False, number=1))
    assert [(1, Reason.NOT_READY)] == [(each.request, each.reason) for each in sent(Refused, effects)]


def test_what_is_not_granted_yet_is_not_decided() -> None:
    """The owner by the pointers, but not yet by a grant: not ready."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False, granted=False)
    assert [Reason.NOT_READY] == [each.reason for each in sent(Refused, put(rig, node))]


@pytest.mark.parametrize("place, accepted", [(180, True), (5, False)])
def test_a_block_is_taken_from_the_owner_of_its_key(place: int, accepted: bool) -> None:
    """Where a block belongs its name says, not the hash of its name."""
    rig, node = owner()
    effects = rig.receive(node, request(Replicate, peer(200), node, (block_at(place),), True))
    assert (accepted, not accepted) == (bool(sent(Done, effects)), bool(sent(Refused, effects)))


def test_what_repair_brings_into_ones_range_is_not_shared_yet() -> None:
    """Each record or block on it counts, so that repair compares again; others do not."""
    rig, node = owner()
    unshared = node.writes.unshared
    given = (record_at(5), block_at(5), record_at(150), block_at(150), record_at(6))
    counts = []
    for number, item in enumerate(given):
        rig.receive(node, request(Replicate, peer(60), node, (item,), False, number=number))
        counts.append(node.writes.unshared - unshared)
    assert [1, 2, 2, 2, 3] == counts


def test_after_a_failed_write_nothing_more_is_kept() -> None:
    """Who wants copies kept, repair too, is told at once that they are not durable."""
    rig, node = owner()
    rig.durable = False
    (write,) = only(Write, put(rig, node))
    rig.take(node, node.write_failed(write.id, now=rig.now))
    node.writes.keep((record_at(150),), "purpose")
    node.writes.drop(((0, name_at(5)),))
    assert [("purpose", None, False)] == node.ctx.outcomes
