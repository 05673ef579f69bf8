"""What expires, what was deleted, and how long that is remembered (properties D5 and D12)."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from chord_proto.config import Config
from chord_proto.effects import Effect, OpId, Write
from chord_proto.messages import (
    Collect,
    Digest,
    Done,
    GetDigest,
    GetRecord,
    Ping,
    Reason,
    Record,
    Refused,
    Replicate,
    Space,
    Summary,
    Value,
)
from chord_proto.node import Node
from chord_proto.operations import Delete, Fetched, Get, Put
from chord_proto.peer import Address
from tests.proto.rig import CONFIG, Rig, name_at, only, peer, record_at, request, ring_of, sent, version

KEY = name_at(5)
QUICK: Config = attrs.evolve(CONFIG, grace_period=60.0)


def alone(config: Config = QUICK) -> tuple[Rig, Node]:
    """Return a ring of one that knows civil time."""
    rig = Rig(config)
    node = rig.create(10)
    rig.take(node, node.wall(1.0, now=rig.now))
    return rig, node


def civil(rig: Rig) -> int:
    """Return civil time in milliseconds."""
    return int((rig.now + 1.0) * 1000)


def perform(rig: Rig, node: Node, operation: Put | Get) -> object:
    """Carry out an operation that ends at once."""
    op = OpId(rig.op())
    rig.take(node, node.perform(op, operation, now=rig.now))
    return rig.result(op)


def expiring(rig: Rig, after: int, value: bytes = b"v") -> Record:
    """Return a record that expires so many milliseconds from now."""
    return Record(Space.RECORD, KEY, value, version(civil(rig)), 1, civil(rig) + after)


def test_what_has_expired_is_not_read() -> None:
    """It is there until the very moment, and not from then on, by owner and holder alike."""
    rig, node = alone()
    perform(rig, node, Put(KEY, b"v", ttl=500))
    expires = civil(rig) + 500
    (read,) = [perform(rig, node, Get(KEY))]
    assert isinstance(read, Fetched)
    assert (b"v", expires) == (read.value, read.expires)
    rig.now += 0.499
    assert b"v" == getattr(perform(rig, node, Get(KEY)), "value", None)
    rig.now += 0.001
    for quorum in (1, 0):
        assert Fetched(None, read.version) == perform(rig, node, Get(KEY, quorum))
    (answer,) = sent(Value, rig.receive(node, request(GetRecord, peer(60), node, 0, KEY, True)))
    assert answer.held is not None
    assert (None, read.version, expires) == (answer.held.value, answer.held.version, answer.held.expires)


def test_a_copy_keeps_the_time_that_was_given() -> None:
    """Neither replication nor a copy sent again makes a record live longer."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.under_way.clear()
    effects = rig.take(node, node.perform(OpId(1), Put(KEY, b"v", ttl=5000), now=rig.now))
    expires = int(rig.now * 1000) + 5000
    for _ in range(3):
        copies = sent(Replicate, effects)
        assert {expires} == {copy.records[0].expires for copy in copies}
        for copy in copies:
            rig.reply(copy, Refused, Reason.BUSY)
        effects = rig.tick(node, 0.13)


def test_the_value_of_what_has_expired_is_forgotten_durably() -> None:
    """Name and version stay, so that nothing comes back; the bytes go, here and on disk."""
    rig, node = alone()
    perform(rig, node, Put(KEY, b"value", ttl=500))
    assert 5 == node.stats().bytes
    rig.run(6.0)
    assert (0, 1) == (node.stats().bytes, node.stats().records)
    old = Record(Space.RECORD, KEY, b"old", version(1), 2)
    rig.receive(node, request(Replicate, peer(60), node, (old,), False))
    assert None is getattr(perform(rig, node, Get(KEY)), "value", 0)


def test_a_write_replaces_what_expires() -> None:
    """The earlier time says nothing about the later version, which is read, and not written again."""
    rig, node = alone()
    perform(rig, node, Put(KEY, b"short", ttl=500))
    perform(rig, node, Put(KEY, b"long"))
    written = rig.tick(node, 10.0) + rig.tick(node, 10.0)
    assert (b"long", []) == (getattr(perform(rig, node, Get(KEY)), "value", None), only(Write, written))


def test_what_has_expired_does_not_come_back_from_a_copy() -> None:
    """A holder that slept still has the value: it is merged as what it is, expired."""
    rig, node = alone()
    copy = expiring(rig, 500)
    rig.receive(node, request(Replicate, peer(60), node, (copy,), False, number=1))
    rig.run(7.0)
    rig.receive(node, request(Replicate, peer(60), node, (copy,), False, number=2))
    assert (None, 0) == (getattr(perform(rig, node, Get(KEY)), "value", 0), node.stats().bytes)


def test_alone_a_deletion_is_forgotten_after_the_grace_period() -> None:
    """And not before; a record that has expired likewise."""
    rig, node = alone()
    rig.receive(node, request(Replicate, peer(60), node, (record_at(5, None, civil(rig)), expiring_other(rig)), False))
    rig.run(50.0)
    assert 2 == node.stats().records
    rig.run(130.0)
    assert 0 == node.stats().records


def test_what_is_being_forgotten_is_not_forgotten_again() -> None:
    """A disk that hangs: however often a deletion is found to be old enough, one write waits for it."""
    rig, node = alone()
    rig.receive(node, request(Replicate, peer(60), node, (record_at(5, None, civil(rig)),), False))
    rig.durable = False
    rig.run(500.0)
    assert [((0, record_at(5).name),)] == [write.dropped for _, write in rig.writes if write.dropped]


def expiring_other(rig: Rig) -> Record:
    """Return another record, which expires in half a second."""
    return Record(Space.RECORD, name_at(6), b"v", version(civil(rig)), 1, civil(rig) + 500)


def ring() -> tuple[Rig, Node]:
    """Return a ring of three that knows civil time, on which the record at place 5 was deleted, and its owner."""
    rig = ring_of(10, 60, 100, config=QUICK)
    for node in rig.nodes.values():
        rig.take(node, node.wall(1.0, now=rig.now))
    owner = rig.nodes[peer(10).address]
    for op, operation in ((1, Put(KEY, b"v")), (2, Delete(KEY))):
        rig.take(owner, owner.perform(OpId(op), operation, now=rig.now))
        rig.run(0.1)
    return rig, owner


def held(rig: Rig) -> list[int]:
    """Return how many records each node holds."""
    return [node.stats().records for node in rig.nodes.values()]


def test_a_deletion_is_forgotten_by_all_after_the_grace_period() -> None:
    """Everywhere, and not before its time."""
    rig, _ = ring()
    rig.run(55.0)
    assert [1, 1, 1] == held(rig)
    rig.run(70.0)
    assert [0, 0, 0] == held(rig)


def test_every_replica_must_agree_before_the_owner_forgets() -> None:
    """While one of them is not heard it stays; when all have agreed it goes."""
    rig, owner = ring()
    rig.run(55.0)
    lost = run_until(rig, lambda: rig.now > 300.0, lose=lambda to: to == peer(60).address)
    assert lost > 2
    assert (1, 1) == (owner.stats().records, rig.nodes[peer(60).address].stats().records)
    rig.run(130.0)
    assert [0, 0, 0] == held(rig)


def run_until(rig: Rig, over: Callable[[], bool], *, lose: Callable[[Address], bool]) -> int:
    """Let time pass until it is ``over``; requests to forget are lost where ``lose`` says so, or wait.  Count the lost."""
    lost = 0
    while not over():
        rig.now = max(rig.now, min(node.deadline or rig.now for node in rig.nodes.values()))
        for node in rig.nodes.values():
            rig.tick(node)
        while True:
            lost += rig.drop(lambda parcel: isinstance(parcel.message, Collect) and lose(parcel.to))
            going = [parcel for parcel in rig.under_way if not isinstance(parcel.message, Collect)]
            if not going:
                break
            rig.deliver(going[0])
    return lost


def test_while_a_replica_is_missing_nothing_is_forgotten() -> None:
    """It may have the old value, and bring it back."""
    rig, owner = ring()
    rig.kill(rig.nodes[peer(100).address])
    rig.run(200.0)
    assert 1 == owner.stats().records


def test_what_was_written_meanwhile_stays() -> None:
    """A newer version that came while the replicas were asked is not what they agreed to forget."""
    rig, owner = ring()
    asked = lambda: any(isinstance(parcel.message, Collect) for parcel in rig.under_way)  # noqa: E731
    run_until(rig, asked, lose=lambda to: False)
    rig.take(owner, owner.perform(OpId(3), Put(KEY, b"new"), now=rig.now))
    rig.flush()
    assert [1, 1, 1] == held(rig)
    rig.run(130.0)
    assert [1, 1, 1] == held(rig)
    assert b"new" == getattr(perform(rig, owner, Get(KEY)), "value", None)


def collect(rig: Rig, node: Node, source: int, number: int) -> list[Effect]:
    """Ask a replica in the name of a node to forget a deletion at place 180 in this version."""
    entry = Summary(0, name_at(180), version(number))
    return rig.receive(node, request(Collect, peer(source), node, (entry,), number=source * 10 + number))


def test_a_replica_forgets_only_for_the_owner_and_only_what_is_gone() -> None:
    """Not for others, not an older version (it would come back), and not what was written since."""
    rig = Rig(QUICK)
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.receive(node, request(Replicate, peer(200), node, (record_at(180, None, 5),), True, number=1))
    reasons = [
        each.reason
        for source, number in ((60, 5), (200, 6))
        for each in sent(Refused, collect(rig, node, source, number))
    ]
    assert [Reason.NOT_OWNER, Reason.NOT_READY] == reasons
    assert 1 == node.stats().records
    for number in (4, 5):  # An older one is as good as forgotten, the one that is held goes.
        assert 1 == node.stats().records
        assert 1 == len(sent(Done, collect(rig, node, 200, number)))
    assert 0 == node.stats().records
    rig.receive(node, request(Replicate, peer(200), node, (record_at(180, b"v", 9),), True, number=2))
    effects = collect(rig, node, 200, 9)
    assert ([], 1) == (only(Write, effects), node.stats().records)


def test_nobody_else_may_let_anything_be_forgotten() -> None:
    """Neither a client, which owns nothing, nor a message that names more than one does."""
    rig = Rig(QUICK)
    node = rig.member(10, before=200, after=[60, 100, 150])
    entry = Summary(0, name_at(180), version(5))
    for source, count, reasons in (
        (None, 1, [Reason.INVALID]),
        (peer(200), 1025, [Reason.TOO_LARGE]),
        (peer(200), 1024, []),
    ):
        effects = rig.receive(node, request(Collect, source, node, (entry,) * count, number=count))
        assert reasons == [each.reason for each in sent(Refused, effects)]


def test_a_replica_forgets_what_has_expired_with_its_value() -> None:
    """It may be asked before it has looked for what has expired itself; what has not is kept."""
    rig = Rig(QUICK)
    node = rig.member(10, before=200, after=[60, 100, 150])
    mortal = Record(Space.RECORD, name_at(180), b"v", version(5), 1, int(rig.now * 1000) + 500)
    rig.receive(node, request(Replicate, peer(200), node, (mortal,), True, number=1))
    collect(rig, node, 200, 5)
    assert 1 == node.stats().records
    rig.take(node, node.wall(0.5, now=rig.now))
    collect(rig, node, 200, 5)
    assert 0 == node.stats().records


@pytest.mark.parametrize("after, left", [(59.999, 1), (60.0, 0)])
def test_a_deletion_is_remembered_for_exactly_the_grace_period(after: float, left: int) -> None:
    """To the millisecond, if the node looks just then."""
    rig, node = alone()
    rig.receive(node, request(Replicate, peer(60), node, (record_at(5, None, civil(rig)),), False))
    rig.tick(node, after)
    assert left == node.stats().records


def test_looks_are_a_minute_apart() -> None:
    """All tombstones are looked at: what is due just after a look waits for the next one."""
    rig, node = alone()
    rig.receive(node, request(Replicate, peer(60), node, (record_at(5, None, civil(rig)),), False))
    left = []
    for after in (50.0, 11.0, 42.0, 7.0):
        rig.tick(node, after)
        left.append(node.stats().records)
    assert [1, 1, 1, 0] == left


def test_so_many_deletions_are_forgotten_at_once() -> None:
    """No more than a replica accepts in one message; the rest at the next look."""
    rig, node = alone()
    deleted = tuple(Record(Space.RECORD, b"%d" % number, None, version(1), 1) for number in range(1025))
    for part in (deleted[:1024], deleted[1024:]):
        rig.receive(node, request(Replicate, peer(60), node, part, False))
    dropped = [[len(each.dropped) for each in only(Write, rig.tick(node, 60.0)) if each.dropped] for _ in range(2)]
    assert [[1024], [1]] == dropped


def collects(rig: Rig, node: Node, entries: int) -> list[Collect]:
    """Let the replicas at 60 and 100 hold what the owner at 10 holds, until it asks them to forget so many."""
    for _ in range(20):
        effects = rig.tick(node, 0.1)
        rig.humour(Ping)
        while asked := [parcel.message for parcel in rig.under_way if isinstance(parcel.message, GetDigest)]:
            digest = node.writes.table.digest(asked[0].start, asked[0].end)
            effects += rig.reply(asked[0], Digest, *digest)
        if found := [each for each in sent(Collect, effects) if len(each.entries) == entries]:
            return sorted(found, key=lambda each: each.target or 0)
    raise AssertionError("nothing to be forgotten")


def test_an_answer_counts_for_its_own_question() -> None:
    """The last replica's agreement counts, and one to an earlier question is about less than was asked since."""
    rig = Rig(attrs.evolve(QUICK, grace_period=1.0, repair_interval=0.2))
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.take(node, node.wall(1.0, now=rig.now))
    rig.receive(node, request(Replicate, peer(60), node, (record_at(5, None),), False, number=1))
    early, late = collects(rig, node, 1)
    rig.reply(early, Done)
    assert 1 == node.stats().records
    rig.receive(node, request(Replicate, peer(60), node, (record_at(6, None),), False, number=2))
    first, second = collects(rig, node, 2)
    rig.reply(late, Done)
    rig.reply(first, Done)
    assert 2 == node.stats().records
    rig.reply(second, Done)
    assert 0 == node.stats().records


def test_a_replica_that_cannot_be_asked_has_not_agreed() -> None:
    """Too many requests to it are out: the others are asked for nothing either, and all is left until the next look."""
    rig = Rig(attrs.evolve(QUICK, max_requests_per_peer=1, stabilize_interval=60.0))
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.take(node, node.wall(1.0, now=rig.now))
    rig.receive(node, request(Replicate, peer(60), node, (record_at(5, None),), False, number=1))
    rig.tick(node, 0.1)
    digest = node.writes.table.digest(200, 10)
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, *digest)
    rig.receive(node, request(GetRecord, peer(150), node, 0, name_at(9), False, 0, number=2))
    effects = rig.reply(rig.asked(GetDigest, peer(100)), Digest, *digest)
    assert [] == sent(Collect, effects)
    assert 1 == node.stats().records


def test_a_replica_for_which_it_has_not_expired_does_not_agree() -> None:
    """Its clock is behind: it would go on telling the value, and repair bring it back."""
    rig = Rig(QUICK)
    node = rig.member(10, before=200, after=[60, 100, 150])
    mortal = Record(Space.RECORD, name_at(180), b"v", version(5), 1, int(rig.now * 1000) + 500)
    rig.receive(node, request(Replicate, peer(200), node, (mortal,), True, number=1))
    entry = Summary(0, name_at(180), version(5))
    for wall, refused in ((0.0, [Reason.NOT_READY]), (0.5, [])):
        rig.take(node, node.wall(wall, now=rig.now))
        effects = rig.receive(node, request(Collect, peer(200), node, (entry,), number=2))
        assert refused == [each.reason for each in sent(Refused, effects)]


def test_what_is_about_to_be_forgotten_is_not_written_again() -> None:
    """An expired record is dropped and looked at for its value in one moment: it is gone afterwards."""
    rig = Rig(QUICK, durable=False)
    node = rig.member(10, before=200, after=[60, 100, 150])
    mortal = Record(Space.RECORD, name_at(180), b"v", version(5), 1, int(rig.now * 1000) + 500)
    rig.receive(node, request(Replicate, peer(200), node, (mortal,), True, number=1))
    rig.flush_writes()
    rig.now += 1.0
    rig.receive(node, request(Collect, peer(200), node, (Summary(0, name_at(180), version(5)),), number=2))
    rig.run(QUICK.repair_interval * 2)
    rig.flush_writes()
    assert 0 == node.stats().records


def test_a_deletion_that_is_not_durable_yet_is_forgotten_once() -> None:
    """However often the owner asks: what waits for a disk that hangs does not grow."""
    rig = Rig(QUICK, durable=False)
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.take(node, node.wall(1.0, now=rig.now))
    rig.receive(node, request(Replicate, peer(200), node, (record_at(180, None, 5),), True, number=1))
    before = node.stats().pending_writes
    for number in range(2, 6):
        entry = Summary(0, name_at(180), version(5))
        rig.receive(node, request(Collect, peer(200), node, (entry,), number=number))
    assert before + 1 == node.stats().pending_writes
    rig.flush_writes()
    assert 0 == node.stats().records


def test_what_was_written_after_its_deletion_is_not_to_be_forgotten() -> None:
    """A replica refuses to forget it, and with it all that it is named with."""
    rig = Rig(attrs.evolve(QUICK, grace_period=1.0, repair_interval=0.2))
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.take(node, node.wall(1.0, now=rig.now))
    story = (record_at(5, None, 1), record_at(5, b"again", 2), record_at(6, None, 3))
    for number, item in enumerate(story):
        rig.receive(node, request(Replicate, peer(60), node, (item,), False, number=number))
    asked = collects(rig, node, 1)
    assert [(name_at(6), version(3))] * 2 == [(each.entries[0].name, each.entries[0].version) for each in asked]
