"""Durable comes before readable and before acknowledged (property D2), and what a failing disk means."""

from __future__ import annotations

import attrs
import pytest

from chord_proto.effects import Finished, OpId, Send, Write, WriteId
from chord_proto.messages import (
    Acknowledged,
    Copies,
    Digest,
    Done,
    GetCopies,
    GetDigest,
    GetRecord,
    Listing,
    ListRange,
    PutRecord,
    Reason,
    Refused,
    Replicate,
    Value,
)
from chord_proto.node import Node
from chord_proto.operations import MAJORITY, Failed, Failure, Fetched, Get, Operation, Put, Stored
from chord_proto.table import summary
from tests.proto.rig import CONFIG, Rig, name_at, only, peer, record_at, request, ring_of, sent

KEY = name_at(5)


def alone() -> tuple[Rig, Node]:
    """Return a ring of one at 10 whose disk waits for the test."""
    rig = Rig(durable=False)
    return rig, rig.create(10)


def put(rig: Rig, node: Node, op: int, value: bytes = b"v", key: bytes = KEY) -> Write:
    """Begin a put, and return the write that it causes."""
    (write,) = only(Write, rig.take(node, node.put(OpId(op), key, value, now=rig.now)))
    return write


def read(rig: Rig, node: Node, op: int, key: bytes = KEY) -> Fetched:
    """Return what a get finds at once."""
    (finished,) = only(Finished, rig.take(node, node.get(OpId(op), key, now=rig.now)))
    assert isinstance(finished.result, Fetched)
    return finished.result


def test_nothing_is_acknowledged_or_read_before_it_is_written() -> None:
    """The put ends, and a get sees it, as an effect of ``written`` and not before."""
    rig, node = alone()
    write = put(rig, node, 1)
    rig.tick(node, 1.0)
    assert (Fetched(None, None), {}) == (read(rig, node, 2), {k: v for k, v in rig.finished.items() if k == 1})
    effects = rig.written(node, write.id)
    (finished,) = only(Finished, effects)
    assert OpId(1) == finished.op
    assert isinstance(finished.result, Stored)
    assert (b"v", (node.me,)) == (read(rig, node, 3).value, finished.result.acked)


def test_the_old_value_is_read_until_the_new_one_is_durable() -> None:
    """An accepted write hides nothing."""
    rig, node = alone()
    rig.written(node, put(rig, node, 1, b"old").id)
    write = put(rig, node, 2, b"new")
    assert b"old" == read(rig, node, 3).value
    rig.written(node, write.id)
    assert b"new" == read(rig, node, 4).value


def test_write_ids_increase_and_written_covers_all_before() -> None:
    """Three writes, one report of the last: all are acknowledged and readable, in order."""
    rig, node = alone()
    writes = [put(rig, node, number, b"%d" % number, name_at(number)) for number in (1, 2, 3)]
    assert sorted({write.id for write in writes}) == [write.id for write in writes]
    assert [1, 2, 3] == [each.op for each in only(Finished, rig.written(node, writes[2].id))]
    assert [b"1", b"2", b"3"] == [read(rig, node, 10 + number, name_at(number)).value for number in (1, 2, 3)]


def test_written_covers_nothing_after() -> None:
    """A report of the first of two writes leaves the second under way."""
    rig, node = alone()
    first, second = put(rig, node, 1, b"1", name_at(1)), put(rig, node, 2, b"2", name_at(2))
    assert [1] == [each.op for each in only(Finished, rig.written(node, first.id))]
    assert (None, 1) == (read(rig, node, 3, name_at(2)).value, node.stats().pending_writes)
    assert [2] == [each.op for each in only(Finished, rig.written(node, second.id))]


def test_a_report_repeated_or_out_of_order_is_harmless() -> None:
    """Reports of what is durable already do nothing."""
    rig, node = alone()
    first, second = put(rig, node, 1, b"1"), put(rig, node, 2, b"2")
    rig.written(node, second.id)
    for write in (first.id, second.id, WriteId(0)):
        assert [] == only(Finished, rig.take(node, node.written(write, now=rig.now)))
    assert b"2" == read(rig, node, 3).value


def test_after_a_failed_write_reads_are_served_and_writes_refused() -> None:
    """The put under way fails as STORAGE_FAILED, as do all later ones; what was durable stays readable."""
    rig, node = alone()
    rig.written(node, put(rig, node, 1, b"old").id)
    write = put(rig, node, 2, b"new")
    effects = rig.take(node, node.write_failed(write.id, now=rig.now))
    effects += rig.take(node, node.put(OpId(3), KEY, b"newer", now=rig.now))
    failures = [each.result for each in only(Finished, effects)]
    assert [Failure.STORAGE_FAILED] * 2 == [failed.reason for failed in failures if isinstance(failed, Failed)]
    assert [] == only(Write, effects)
    assert b"old" == read(rig, node, 4).value
    assert node.describe().unsafe


# Copies


def test_a_replica_answers_once_its_copy_is_durable() -> None:
    """Done is an effect of the replica's own ``written``; until then it does not show the copy."""
    rig = Rig(durable=False)
    node = rig.member(10, before=200, after=[60, 100])
    item = record_at(150)
    effects = rig.receive(node, request(Replicate, peer(200), node, (item,), True))
    (write,) = only(Write, effects)
    assert ((item,), []) == (write.changes, only(Send, effects))
    (value,) = sent(Value, rig.receive(node, request(GetRecord, peer(60), node, 0, item.name, True, number=1)))
    assert value.held is None
    (done,) = sent(Done, rig.written(node, write.id))
    assert (77, peer(200).id) == (done.request, done.target)
    (value,) = sent(Value, rig.receive(node, request(GetRecord, peer(60), node, 0, item.name, True, number=2)))
    assert item == value.held


def test_a_copy_already_on_its_way_to_disk_waits_for_that_write() -> None:
    """The same copy from two sides is written once, and both are answered when it is durable."""
    rig = Rig(durable=False)
    node = rig.member(10, before=200, after=[60, 100])
    item = record_at(150)
    effects = rig.receive(node, request(Replicate, peer(60), node, (item,), False, number=1))
    effects += rig.receive(node, request(Replicate, peer(100), node, (item,), False, number=2))
    (write,) = only(Write, effects)
    assert [] == sent(Done, effects)
    assert [1, 2] == [done.request for done in sent(Done, rig.written(node, write.id))]


def test_a_copy_that_is_durable_already_is_confirmed_at_once() -> None:
    """Nothing is written again for what is held, or older than what is held (D7)."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    rig.receive(node, request(Replicate, peer(60), node, (record_at(150, b"new", 5),), False, number=1))
    for number in (5, 4):
        older = record_at(150, b"new" if number == 5 else b"old", number)
        effects = rig.receive(node, request(Replicate, peer(60), node, (older,), False, number=number))
        assert ([], 1) == (only(Write, effects), len(sent(Done, effects)))
    held = node.writes.table.get(0, name_at(150))
    assert record_at(150, b"new", 5) == held


def test_a_replica_whose_disk_fails_says_so() -> None:
    """The copy under way is refused, later ones too; it goes on answering reads."""
    rig = Rig(durable=False)
    node = rig.member(10, before=200, after=[60, 100])
    effects = rig.receive(node, request(Replicate, peer(60), node, (record_at(150),), False, number=1))
    (write,) = only(Write, effects)
    effects = rig.take(node, node.write_failed(write.id, now=rig.now))
    effects += rig.receive(node, request(Replicate, peer(60), node, (record_at(151),), False, number=2))
    effects += rig.receive(node, request(PutRecord, peer(60), node, 0, KEY, b"v", 9, number=3))
    expected = [(number, Reason.STORAGE_FAILED) for number in (1, 2, 3)]
    assert expected == [(refused.request, refused.reason) for refused in sent(Refused, effects)]
    assert 1 == len(sent(Value, rig.receive(node, request(GetRecord, peer(60), node, 0, KEY, True))))


def test_the_owner_counts_itself_only_once_it_is_durable() -> None:
    """Both replicas have the copy before the owner's disk has: the acknowledgement waits for the owner (one of W)."""
    rig = Rig(durable=False)
    node = rig.member(10, before=200, after=[60, 100])
    effects = rig.receive(node, request(PutRecord, peer(60), node, 0, KEY, b"v", 9))
    (write,) = only(Write, effects)
    effects = [effect for copy in sent(Replicate, effects) for effect in rig.reply(copy, Done)]
    assert [] == sent(Acknowledged, effects)
    (acknowledged,) = sent(Acknowledged, rig.written(node, write.id))
    assert {node.me, peer(60), peer(100)} == set(acknowledged.acked)
    assert write.changes[0].version == acknowledged.version


def test_a_stopped_node_sends_nothing() -> None:
    """Whatever still happens to it, reports of its disk included, who has left is silent (S17)."""
    rig = Rig(durable=False)
    node = rig.member(10, before=200, after=[60, 100])
    (write,) = only(Write, rig.receive(node, request(Replicate, peer(60), node, (record_at(100),), False)))
    rig.take(node, node.leave(OpId(1), now=rig.now))
    rig.run(30.0)
    assert (True, None) == (node.phase.value == "stopped", node.deadline)
    after = [
        *rig.take(node, node.written(write.id, now=rig.now)),
        *rig.receive(node, request(GetRecord, peer(60), node, 0, KEY, False)),
        *rig.tick(node, 100.0),
        *rig.take(node, node.unreachable(peer(60), now=rig.now)),
        *rig.take(node, node.wall(1e9, now=rig.now)),
        *rig.take(node, node.cancel(OpId(1), now=rig.now)),
        *rig.take(node, node.get(OpId(2), KEY, now=rig.now)),
    ]
    assert [Finished(OpId(2), Failed(Failure.STOPPED))] == after
    assert node.deadline is None


def test_what_the_disk_had_is_served_and_written_after() -> None:
    """A node that begins with records reads them, and a new version sorts after each of them."""
    rig = Rig(durable=False)
    old = record_at(5, number=1 << 40)
    node = rig.add(10, records=[old, record_at(7, number=3)])
    rig.take(node, node.create(now=rig.now))
    assert 2 == node.stats().records
    assert Fetched(old.value, old.version) == read(rig, node, 1)
    (item,) = put(rig, node, 2, b"new").changes
    assert item.version > old.version


def test_how_wide_the_ring_was_is_made_durable() -> None:
    """Each change is handed out to be kept: it widens as addresses come, and a graceful leave lowers it again."""
    rig = ring_of(10, 60, 100)
    told = {node.me.id: node.writes.width for node in rig.nodes.values()}
    assert {10: 3, 60: 3, 100: 3} == told
    leaver = rig.nodes[peer(100).address]
    rig.take(leaver, leaver.leave(rig.op(), now=rig.now))
    rig.run(5.0)
    assert {2} == {node.writes.width for node in rig.nodes.values() if node is not leaver}


def test_a_node_that_comes_back_alone_takes_itself_for_no_majority() -> None:
    """It serves what it has; a majority of the ring that there was it is not (chord.md section 7)."""
    rig = Rig()
    me = peer(10)
    node = Node(me, seed=1, config=CONFIG, records=[record_at(5)], width=3)
    rig.nodes[me.address] = node
    rig.take(node, node.create(now=rig.now))
    ops = OpId(1), OpId(2), OpId(3)
    operations: tuple[Operation, ...] = Get(name_at(5)), Put(name_at(5), b"w"), Get(name_at(5), MAJORITY)
    for op, operation in zip(ops, operations, strict=True):
        rig.take(node, node.perform(op, operation, now=rig.now, timeout=0.5))
    rig.tick(node, 0.6)
    assert [b"v", Failed(Failure.NO_QUORUM), Failed(Failure.NO_QUORUM)] == [
        getattr(rig.result(op), "value", rig.result(op)) for op in ops
    ]


def test_when_the_disk_fails_under_a_write_its_copies_may_last() -> None:
    """They have gone to the replicas: the write has failed here, and what became of it is not known (D11)."""
    rig = Rig(durable=False)
    node = rig.member(10, before=200, after=[60, 100])
    rig.flush_writes()
    rig.take(node, node.perform(OpId(1), Put(KEY, b"v"), now=rig.now))
    assert {60, 100} == {each.target for each in sent(Replicate, [Send(p.to, p.message) for p in rig.under_way])}
    rig.take(node, node.write_failed(rig.writes[-1][1].id, now=rig.now))
    rig.tick(node, 0.1)
    assert Failed(Failure.STORAGE_FAILED, outcome_unknown=True) == rig.result(OpId(1))
    rig.take(node, node.perform(OpId(2), Put(KEY, b"w"), now=rig.now))
    assert Failed(Failure.STORAGE_FAILED) == rig.result(OpId(2))


def test_what_waits_for_the_disk_takes_room() -> None:
    """A slow disk is no way past the bound in bytes."""
    rig = Rig(attrs.evolve(CONFIG, max_bytes=10), durable=False)
    node = rig.create(10)
    rig.flush_writes()
    for op, name in ((1, b"a"), (2, b"b")):
        rig.take(node, node.perform(OpId(op), Put(name, b"123456"), now=rig.now, timeout=0.5))
    assert 1 == len(rig.writes)
    rig.tick(node, 0.6)
    assert Failed(Failure.BUSY) == rig.result(OpId(2))


def test_exactly_what_waits_is_counted() -> None:
    """Several writes together, each until it is durable; then it counts as what is held."""
    rig = Rig(attrs.evolve(CONFIG, max_bytes=20), durable=False)
    node = rig.create(10)
    first, _ = put(rig, node, 1, bytes(7), b"a"), put(rig, node, 2, bytes(3), b"b")
    rig.written(node, first.id)
    put(rig, node, 3, bytes(10), b"c")
    rig.take(node, node.perform(OpId(4), Put(b"d", b"1"), now=rig.now, timeout=0.5))
    rig.tick(node, 0.6)
    assert Failed(Failure.BUSY) == rig.result(OpId(4))
    put(rig, node, 5, b"", b"e")


def test_a_width_has_a_write_of_its_own() -> None:
    """It is handed out once for each change, and other writes say nothing of it."""
    rig = Rig(durable=False)
    node = rig.member(10, before=200, after=[60, 100])
    rig.receive(node, request(Replicate, peer(60), node, (record_at(150),), False))
    told = [(write.width, write.founded, write.changes) for _, write in rig.writes]
    assert [(3, 0, ()), (0, 0, (record_at(150),))] == told


@pytest.mark.parametrize("kept, expected", [(0, 1), (1, 1), (2, 2), (9, 3)])
def test_a_width_that_was_kept_is_not_handed_out_again(kept: int, expected: int) -> None:
    """A node begins with it, up to the number of replicas that records have now; one that has kept none is alone."""
    rig = Rig(durable=False)
    node = Node(peer(10), seed=1, config=CONFIG, width=kept, founded=1)
    rig.nodes[node.me.address] = node
    rig.take(node, node.create(now=rig.now))
    assert (expected, []) == (node.ring.width, rig.writes)


def test_what_repair_brings_to_a_failed_disk_is_not_kept() -> None:
    """The comparison ends, and nothing is written; the range is compared again later."""
    rig = Rig(durable=False)
    node = rig.member(10, before=200, after=[60, 100])
    rig.take(node, node.write_failed(rig.writes[-1][1].id, now=rig.now))
    rig.tick(node, 0.3)
    rig.reply(rig.asked(GetDigest), Digest, 1, bytes(16))
    rig.reply(rig.asked(ListRange), Listing, (summary(record_at(5)),), False)
    effects = rig.reply(rig.asked(GetCopies), Copies, (record_at(5),), 1)
    assert ([], 0) == (only(Write, effects), node.stats().records)
    assert {} == node.syncs.active
