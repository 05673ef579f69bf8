"""One decider, R copies: versions, retries, quorums, and who may give copies to whom (chord.md section 7)."""

from __future__ import annotations

import pytest

from chord_proto.effects import Effect, OpId, Send, Write
from chord_proto.messages import (
    Acknowledged,
    Done,
    Elsewhere,
    GetRecord,
    PutRecord,
    Reason,
    Record,
    Refused,
    Replicate,
    Space,
    Value,
)
from chord_proto.node import Node
from chord_proto.operations import Failed, Failure, Put
from tests.proto.rig import Rig, block_at, name_at, only, peer, record_at, request, sent, version

KEY = name_at(5)


def owner() -> tuple[Rig, Node]:
    """Return the owner of (200, 10] whose replicas are at 60 and 100."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.under_way.clear()
    return rig, node


def put(rig: Rig, node: Node, value: bytes | None = b"v", *, write: int = 9, number: int = 77) -> list[Effect]:
    """Ask the node to write its record at place 5."""
    return rig.receive(node, request(PutRecord, peer(150), node, Space.RECORD, KEY, value, write, number=number))


def copies(effects: list[Effect]) -> dict[int | None, Replicate]:
    """Return the copies that are sent, by their receiver."""
    return {message.target: message for message in sent(Replicate, effects)}


def test_a_write_goes_to_the_first_distinct_addresses() -> None:
    """Owner and two replicas; one answer besides the owner makes a majority, which is acknowledged with its names."""
    rig, node = owner()
    effects = put(rig, node)
    out = copies(effects)
    assert ({60, 100}, []) == (set(out), sent(Acknowledged, effects))
    assert all(copy.decided for copy in out.values())
    (acknowledged,) = sent(Acknowledged, rig.reply(out[100], Done))
    assert (node.me, peer(100)) == acknowledged.acked
    assert out[60].records[0].version == acknowledged.version
    assert [] == sent(Acknowledged, rig.reply(out[60], Done))


def test_a_replica_that_refuses_is_tried_again() -> None:
    """A refusal does not count; the copy is offered again shortly."""
    rig, node = owner()
    out = copies(put(rig, node))
    effects = [*rig.reply(out[60], Refused, Reason.NOT_OWNER), *rig.reply(out[100], Refused, Reason.BUSY)]
    assert [] == sent(Acknowledged, effects)
    rig.under_way.clear()
    again = copies(rig.tick(node, 0.13))
    assert {60, 100} == set(again)
    assert 1 == len(sent(Acknowledged, rig.reply(again[60], Done)))


def test_a_block_is_acknowledged_only_when_all_have_it() -> None:
    """Immutable blocks need no majority rule: all R places hold one before it is acknowledged."""
    rig, node = owner()
    block = block_at(5)
    effects = rig.receive(node, request(PutRecord, peer(150), node, Space.BLOCK, block.name, block.value, 0))
    out = copies(effects)
    assert [] == sent(Acknowledged, rig.reply(out[60], Done))
    (acknowledged,) = sent(Acknowledged, rig.reply(out[100], Done))
    assert (("", {10, 60, 100})) == (acknowledged.version, {each.id for each in acknowledged.acked})


def test_a_block_needs_as_many_addresses_as_the_ring_ever_had() -> None:
    """With one of three gone a record still finds its majority, a block does not find all of its places."""
    rig, node = owner()
    for place in (60, 100, 200):
        node.ctx.suspect(peer(place))
    block = block_at(5)
    effects = rig.receive(node, request(PutRecord, peer(150), node, Space.BLOCK, block.name, block.value, 0))
    assert [Reason.NO_QUORUM] == [each.reason for each in sent(Refused, effects)]
    assert {150} == set(copies(put(rig, node, number=78)))


def test_a_block_that_is_not_its_keys_is_refused() -> None:
    """A block is verified by who decides and by who keeps it."""
    rig, node = owner()
    block = block_at(5)
    forged = Record(Space.BLOCK, block.name, b"forged", "", 0)
    effects = rig.receive(node, request(PutRecord, peer(150), node, Space.BLOCK, block.name, b"forged", 0, number=1))
    effects += rig.receive(node, request(Replicate, peer(60), node, (forged,), False, number=2))
    assert [(1, Reason.INVALID), (2, Reason.INVALID)] == [
        (each.request, each.reason) for each in sent(Refused, effects)
    ]


def test_later_writes_sort_after_earlier_ones() -> None:
    """Versions grow with each write, also past one that came from elsewhere."""
    rig, node = owner()
    made = [copies(put(rig, node, b"%d" % n, write=n, number=n))[60].records[0].version for n in range(1, 5)]
    assert sorted(set(made)) == made
    foreign = record_at(5, b"theirs", 1 << 40)
    rig.receive(node, request(Replicate, peer(60), node, (foreign,), False, number=50))
    (copy,) = copies(put(rig, node, b"mine", write=60, number=60))[60].records
    assert copy.version > version(1 << 40)


def test_a_retry_is_recognised() -> None:
    """The same write id again: the same version is acknowledged, nothing new is decided; another id is a new write."""
    rig, node = owner()
    first = copies(put(rig, node, write=9, number=1))
    (one,) = sent(Acknowledged, rig.reply(first[60], Done))
    rig.reply(first[100], Done)
    effects = put(rig, node, write=9, number=2)
    assert [] == only(Write, effects)
    (two,) = sent(Acknowledged, rig.reply(copies(effects)[60], Done))
    assert one.version == two.version
    assert one.version < copies(put(rig, node, write=10, number=3))[60].records[0].version


def test_a_retry_of_an_overtaken_write_does_not_bring_it_back() -> None:
    """Write A, write B, then A's retry: A is acknowledged again with its old version, and B stays."""
    rig, node = owner()
    for number, value in ((1, b"A"), (2, b"B")):
        for copy in copies(put(rig, node, value, write=number, number=number)).values():
            rig.reply(copy, Done)
    put(rig, node, b"A", write=1, number=3)
    (answer,) = sent(Value, rig.receive(node, request(GetRecord, peer(60), node, 0, KEY, False)))
    assert answer.held is not None
    assert b"B" == answer.held.value


def test_a_retry_at_a_new_owner_is_recognised() -> None:
    """The write id is kept with the record: who holds the copy knows the write, though another decided it."""
    rig, node = owner()
    held = Record(0, KEY, b"v", version(5), 9)
    rig.receive(node, request(Replicate, peer(200), node, (held,), False, number=1))
    effects = put(rig, node, b"v", write=9, number=2)
    assert ([], (held,)) == (only(Write, effects), copies(effects)[60].records)


@pytest.mark.parametrize(
    "source, place, accepted",
    [(200, 180, True), (150, 120, True), (200, 5, False), (60, 5, False), (60, 50, True), (100, 50, False)],
)
def test_replicas_refuse_who_is_not_the_owner(source: int, place: int, accepted: bool) -> None:
    """A decided copy is kept only from whom this node's own pointers make the owner of its place."""
    rig, node = owner()
    effects = rig.receive(node, request(Replicate, peer(source), node, (record_at(place),), True))
    assert (1 if accepted else 0) == len(sent(Done, effects))
    assert ([] if accepted else [Reason.NOT_OWNER]) == [each.reason for each in sent(Refused, effects)]


def test_hand_overs_may_come_from_anybody() -> None:
    """Copies that nobody decided just now (repair, hand-over) are merged, whoever gives them."""
    rig, node = owner()
    effects = rig.receive(node, request(Replicate, peer(100), node, (record_at(5), record_at(50)), False))
    assert (1, 2) == (len(sent(Done, effects)), node.stats().records)


def test_a_copy_without_a_version_is_refused() -> None:
    """What would sort after all versions to come is not kept."""
    rig, node = owner()
    bad = Record(Space.RECORD, KEY, b"v", "zzzz", 1)
    assert [Reason.INVALID] == [
        each.reason for each in sent(Refused, rig.receive(node, request(Replicate, peer(60), node, (bad,), False)))
    ]


def test_without_enough_addresses_nothing_is_decided() -> None:
    """A majority counts against the largest number of addresses the ring had: an isolated node does not go on alone."""
    rig, node = owner()
    for place in (60, 100, 150, 200):
        node.ctx.suspect(peer(place))
    effects = rig.take(node, node.perform(OpId(1), Put(KEY, b"v"), now=rig.now, timeout=1.0))
    effects += rig.tick(node, 1.1)
    assert [] == only(Write, effects)
    assert Failed(Failure.NO_QUORUM) == rig.result(OpId(1))


def test_what_is_not_ones_own_is_sent_elsewhere() -> None:
    """Neither read nor written here: whose it is, by this node's pointers."""
    rig, node = owner()
    for kind, fields in ((PutRecord, (0, name_at(50), b"v", 1)), (GetRecord, (0, name_at(50), False))):
        (answer,) = sent(Elsewhere, rig.receive(node, request(kind, peer(150), node, *fields)))
        assert (peer(60), False) == (answer.peers[0], answer.through)


def test_a_deletion_is_a_write_and_leaves_a_tombstone() -> None:
    """It has a version, goes to the replicas, and an older copy does not undo it (D5)."""
    rig, node = owner()
    values: list[bytes | None] = [b"v", None]
    for number, value in enumerate(values, 1):
        out = copies(put(rig, node, value, write=number, number=number))
        rig.reply(out[60], Done)
    old = record_at(5, b"old", 1)
    rig.receive(node, request(Replicate, peer(60), node, (old,), False, number=3))
    (answer,) = sent(Value, rig.receive(node, request(GetRecord, peer(60), node, 0, KEY, False)))
    assert answer.held is not None
    assert (None, True) == (answer.held.value, answer.held.version > old.version)


def test_a_write_that_stays_incomplete_is_acknowledged_no_later_than_its_time() -> None:
    """No replica ever answers: the asker hears that the outcome is unknown, never that it failed or succeeded (D11)."""
    rig, node = owner()
    rig.take(node, node.perform(OpId(1), Put(KEY, b"v"), now=rig.now, timeout=2.0))
    rig.drop(lambda parcel: True)
    rig.tick(node, 1.0)
    rig.tick(node, 1.1)
    assert Failed(Failure.UNREACHABLE, outcome_unknown=True) == rig.result(OpId(1))


@pytest.mark.parametrize("twice", [False, True])
def test_a_write_sent_twice_and_refused_once_is_in_doubt(twice: bool) -> None:
    """What came second was refused; what came first may have been done (D11).  Sent once and refused, it has failed."""
    rig, node = owner()
    rig.take(node, node.perform(OpId(1), Put(name_at(50), b"v"), now=rig.now, timeout=2.0))
    asked = rig.asked(PutRecord, peer(60))
    if twice:
        rig.tick(node, 0.4)
    rig.reply(asked, Refused, Reason.NOT_READY)
    rig.drop(lambda parcel: True)
    rig.take(node, node.cancel(OpId(1), now=rig.now))
    assert Failed(Failure.CANCELLED, outcome_unknown=twice) == rig.result(OpId(1))


def test_a_read_through_asks_nobody_else() -> None:
    """With ``through`` a holder tells what it has, owner or not."""
    rig, node = owner()
    rig.receive(node, request(Replicate, peer(200), node, (record_at(180),), True, number=1))
    effects = rig.receive(node, request(GetRecord, peer(60), node, 0, name_at(180), True, number=2))
    assert [record_at(180)] == [each.held for each in sent(Value, effects)]
    assert 1 == len(only(Send, effects))
