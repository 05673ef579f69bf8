"""Everything inside is bounded: over a bound the caller gets Failed(BUSY) and a peer Refused(BUSY) (N2, N3)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord_proto.config import Config
from chord_proto.effects import Finished, OpId, Send, Write
from chord_proto.messages import (
    AwaitChange,
    Collect,
    Done,
    GetCopies,
    GetDigest,
    GetKeys,
    GetNeighbours,
    GetRecord,
    ListRange,
    Perform,
    Performed,
    PutRecord,
    Reason,
    Record,
    Refused,
    Replicate,
    Request,
    Space,
    Summary,
    Working,
)
from chord_proto.node import Node
from chord_proto.operations import Delete, Failed, Failure, Fetch, Get, Locate, Operation, Put, Store
from chord_proto.peer import Peer
from tests.proto.rig import CONFIG, Rig, name_at, only, peer, record_at, request, sent, version


def member(*, durable: bool = True, **bounds: Any) -> tuple[Rig, Node]:
    """Return a member at 10 with smaller bounds."""
    rig = Rig(attrs.evolve(CONFIG, **bounds), durable=durable)
    return rig, rig.member(10, before=200, after=[60, 100])


def failure(rig: Rig, node: Node, operation: Operation) -> Failure | None:
    """Begin an operation; return why it failed at once, None if it did not."""
    op = rig.op()
    rig.take(node, node.perform(op, operation, now=rig.now))
    ended = rig.finished.get(op, [])
    return ended[0].reason if ended and isinstance(ended[0], Failed) else None


def test_operations() -> None:
    """One more than ``max_operations``: busy, for local callers and for clients; ended ones make room."""
    rig, node = member(max_operations=3)
    results = [failure(rig, node, Get(name_at(150))) for _ in range(4)]
    assert [None, None, None, Failure.BUSY] == results
    (performed,) = sent(Performed, rig.receive(node, request(Perform, None, node, Get(name_at(150)), 1000)))
    assert Failed(Failure.BUSY) == performed.result
    rig.take(node, node.cancel(OpId(1001 + 1), now=rig.now))
    assert failure(rig, node, Get(name_at(150))) is None


@pytest.mark.parametrize("bound", ["max_requests", "max_requests_per_peer"])
def test_requests(bound: str) -> None:
    """No more requests are out than the bound; what waits for one fails as busy when its time is up."""
    bounds: dict[str, Any] = {bound: 6}
    rig, node = member(**bounds)
    for _ in range(20):
        rig.take(node, node.perform(rig.op(), Get(name_at(60)), now=rig.now, timeout=0.2))
    assert 6 >= len(node.view().requests)
    rig.tick(node, 0.25)
    reasons = [results[0].reason for results in rig.finished.values() if isinstance(results[0], Failed)]
    assert Failure.BUSY in reasons


def test_pending_writes() -> None:
    """A disk that does not keep up: further writes are refused as busy, nothing is queued."""
    rig, node = member(durable=False, max_pending_writes=2)
    rig.flush_writes()
    effects = []
    for number in range(4):
        put = request(PutRecord, peer(60), node, 0, name_at(number), b"v", number, number=number)
        effects += rig.receive(node, put)
    copy = request(Replicate, peer(60), node, (record_at(150),), False, number=9)
    effects += rig.receive(node, copy)
    assert [(2, Reason.BUSY), (3, Reason.BUSY), (9, Reason.BUSY)] == [
        (refused.request, refused.reason) for refused in sent(Refused, effects)
    ]
    assert (2, 2) == (len(only(Write, effects)), node.stats().pending_writes)


def test_foundings_wait_for_room() -> None:
    """Peers tell of ever older foundings while the disk hangs: the oldest is written down once there is room."""
    rig, node = member(durable=False, max_pending_writes=4)
    rig.flush_writes()
    for number in range(20):
        rig.receive(node, request(GetNeighbours, peer(60), node, 1000 - number, number=number))
    assert 4 == node.stats().pending_writes
    assert [981] == [write.founded for write in only(Write, rig.flush_writes())]


def test_records() -> None:
    """A full table takes no new record, whoever gives it; what is on its way to disk counts."""
    rig, node = member(durable=False, max_records=2)
    effects = []
    for number in range(3):
        copies = (record_at(150 + number),)
        effects += rig.receive(node, request(Replicate, peer(60), node, copies, False, number=number))
    assert [(2, Reason.BUSY)] == [(refused.request, refused.reason) for refused in sent(Refused, effects)]
    rig.flush_writes()
    effects = rig.receive(node, request(PutRecord, peer(60), node, 0, name_at(5), b"v", 9))
    assert [Reason.BUSY] == [refused.reason for refused in sent(Refused, effects)]
    assert 2 == node.stats().records


def test_bytes() -> None:
    """The sum of the values is bounded."""
    rig, node = member(max_bytes=10)
    first = rig.receive(node, request(Replicate, peer(60), node, (record_at(150, b"12345678"),), False, number=1))
    second = rig.receive(node, request(Replicate, peer(60), node, (record_at(151, b"123"),), False, number=2))
    assert (1, [Reason.BUSY]) == (len(sent(Done, first)), [refused.reason for refused in sent(Refused, second)])
    assert 8 == node.stats().bytes


def test_the_records_of_one_message_count_together() -> None:
    """Two records with room for one, or of too many bytes together, are refused; exactly what there is room for fits."""
    both = (record_at(150, b"12345"), record_at(151, b"12345"))
    for bound, limit, fits in (("max_records", 1, 0), ("max_records", 2, 1), ("max_bytes", 9, 0), ("max_bytes", 10, 1)):
        bounds: dict[str, Any] = {bound: limit}
        rig, node = member(**bounds)
        effects = rig.receive(node, request(Replicate, peer(60), node, both, False))
        assert (fits, 2 * fits) == (len(sent(Done, effects)), node.stats().records), bounds


@pytest.mark.parametrize(
    "operation, expected",
    [
        (Put(b"k", b"x" * 101), Failure.TOO_LARGE),
        (Store(b"x" * 101), Failure.TOO_LARGE),
        (Put(b"k", b"x" * 100), None),
        (Store(b"x" * 100), None),
        (Put(b"k" * 1025, b""), Failure.INVALID),
        (Get(b"k" * 1025), Failure.INVALID),
        (Delete(b"k" * 1025), Failure.INVALID),
        (Get(b"k" * 1024), None),
        (Locate(256), Failure.INVALID),
        (Locate(-1), Failure.INVALID),
        (Fetch(1 << 160), Failure.INVALID),
        (Fetch(-1), Failure.INVALID),
    ],
    ids=lambda value: value.name if isinstance(value, Failure) else type(value).__name__,
)
def test_sizes_and_ranges_of_operations(operation: Operation, expected: Failure | None) -> None:
    """Too large or impossible is said at once, to a client in the same words, before anything is sent."""
    rig, node = member(max_value_size=100, max_key_size=1024)
    assert expected == failure(rig, node, operation)
    performed = sent(Performed, rig.receive(node, request(Perform, None, node, operation, 1000)))
    assert ([] if expected is None else [Failed(expected)]) == [each.result for each in performed]


def test_sizes_of_what_peers_send() -> None:
    """A value or name over the bound is refused, in a write and in a copy."""
    rig, node = member(max_value_size=100, max_key_size=1024)
    long_name = Record(Space.RECORD, b"k" * 1025, b"v", version(1), 1)
    cases: list[tuple[type[Request], tuple[object, ...], Reason]] = [
        (PutRecord, (0, name_at(5), b"x" * 101, 1), Reason.TOO_LARGE),
        (PutRecord, (0, b"k" * 1025, b"x", 1), Reason.INVALID),
        (Replicate, ((record_at(150, b"x" * 101),), False), Reason.INVALID),
        (Replicate, ((long_name,), False), Reason.INVALID),
        (GetRecord, (1, b"short", False), Reason.INVALID),
    ]
    for kind, fields, expected in cases:
        effects = rig.receive(node, request(kind, peer(60), node, *fields))
        assert [expected] == [refused.reason for refused in sent(Refused, effects)], (kind, fields)
    assert 0 == node.stats().records


@given(st.lists(st.integers(0, 255), min_size=30, max_size=60))
def test_known_and_lost_peers(places: list[int]) -> None:
    """However many peers a node hears of or loses, the tables stay within their bounds, and pointers are kept."""
    rig, node = member(max_known_peers=16, max_lost_peers=4)
    for place in places:
        node.ctx.routing.learn_arcs(place, [peer(place)], rig.now)
        if place not in {10, 200, 60, 100}:
            node.ctx.suspect(peer(place))
            node.ctx.routing.suspects.clear()
            node.ctx.routing.learn_arcs(place, [peer(place)], rig.now)
        assert node.stats().known_peers <= 16
        assert len(node.ctx.routing.lost) <= 4
    assert {60, 100, 200} <= set(node.ctx.routing.known)
    assert sorted(node.ctx.routing.known) == node.ctx.routing.ids


@pytest.mark.parametrize(
    "wrong",
    [
        {"bits": 0},
        {"bits": 161},
        {"bits": 8.0},
        {"successors": 0},
        {"replicas": 17},
        {"stabilize_interval": 0.0},
        {"jitter": 1.0},
        {"jitter": -0.1},
        {"stabilize_interval_max": 0.5},
        {"routing": "random"},
        {"min_timeout": 2.0},
        {"probe_interval": 31.0},
        {"successors": 64, "max_peers_in_message": 100},
    ],
    ids=repr,
)
def test_a_wrong_setting_is_refused(wrong: dict[str, object]) -> None:
    """Each bound of Config is checked when it is made."""
    with pytest.raises((ValueError, TypeError)):
        Config(**wrong)  # type: ignore[arg-type]


def test_requests_of_others() -> None:
    """Requests that are answered later are bounded, in all and by who asks; answered ones make room."""
    for bound, seen in (("max_served", [0, 0, 0, 1]), ("max_served_per_peer", [0, 0, 0, 0])):
        bounds: dict[str, Any] = {bound: 3}
        rig, node = member(durable=False, **bounds)
        rig.flush_writes()
        asked = [request(PutRecord, peer(60), node, 0, name_at(n), b"v", n, number=n) for n in range(5)]
        refused = [sent(Refused, rig.receive(node, each, sender="in:1")) for each in asked]
        assert [[], [], [], [Reason.BUSY], [Reason.BUSY]] == [[each.reason for each in some] for some in refused]
        assert 3 == node.stats().served
        again = sent(Working, rig.receive(node, asked[0], sender="in:1"))
        another = request(PutRecord, peer(60), node, 0, name_at(4), b"v", 4, number=9)
        other = sent(Refused, rig.receive(node, another, sender="in:2"))
        assert (1, seen[3]) == (len(again), len(other)), bound
        rig.flush_writes()
        rig.tick(node, 11.0)
        assert 0 == node.stats().served


def test_records_in_one_message() -> None:
    """A message with more records, names or summaries than the bound is refused whole; one with as many is handled."""
    rig, node = member(max_records_in_message=1024)
    item, name, entry = record_at(150), (0, name_at(150)), Summary(0, name_at(150), version(5))
    for kind, fields in (
        (Replicate, lambda count: ((item,) * count, False)),
        (GetCopies, lambda count: ((name,) * count,)),
        (Collect, lambda count: ((entry,) * count,)),
    ):
        for count, expected in ((1024, []), (1025, [Reason.TOO_LARGE])):
            effects = rig.receive(node, request(kind, peer(200), node, *fields(count), number=count))
            refused = [each.reason for each in sent(Refused, effects) if each.reason is Reason.TOO_LARGE]
            assert expected == refused, (kind, count)


def test_bytes_of_reads_and_writes_under_way() -> None:
    """They are bounded together; a single one may have more, and what has ended makes room."""
    rig, node = member(durable=False, max_carried_bytes=10)
    rig.flush_writes()
    effects = []
    for number in range(3):
        put = request(PutRecord, peer(60), node, 0, name_at(number), b"x" * 8, number, number=number)
        effects += rig.receive(node, put)
    assert [(1, Reason.BUSY), (2, Reason.BUSY)] == [(each.request, each.reason) for each in sent(Refused, effects)]
    assert 8 == node.stats().carried
    rig.flush_writes()
    rig.tick(node, 11.0)
    assert 0 == node.stats().carried
    rig, node = member(max_carried_bytes=10)
    large = request(PutRecord, peer(60), node, 0, name_at(9), b"x" * 50, 9, number=9)
    assert [] == sent(Refused, rig.receive(node, large))
    assert 50 == node.stats().carried


def test_work_for_one_message() -> None:
    """However many records are held, few are looked at for a page, a listing or a digest."""
    node, asker = Node(Peer.at("a:1", 0, bits=160), seed=1, config=Config(max_scanned=300)), Peer.at("b:1", 0, bits=160)
    node.create(now=0.0)
    for number in range(5000):
        node.writes.table.put(Record(Space.RECORD, b"%d" % number, b"v", version(number + 1), number))
    for kind, fields, most in (
        (GetKeys, (10, int(Space.RECORD), b"none", None), 301),
        (ListRange, (5, 5, None), 513),
        (GetDigest, (3, 1 << 159), 2 * 5000 // 500),
        (GetDigest, (1 << 159, (1 << 159) + 5), 5000 // 500),
    ):
        before = node.stats().looked_at
        effects = node.receive(request(kind, asker, node, *fields), sender=asker.address, now=0.0)
        assert [] == sent(Refused, effects)
        assert node.stats().looked_at - before <= most, (kind, fields)


def test_watchers() -> None:
    """They are bounded and counted."""
    rig, node = member(max_watchers=2)
    waits = [request(AwaitChange, peer(60), node, name_at(n), "", number=n) for n in range(3)]
    refused = [[each.reason for each in sent(Refused, rig.receive(node, each))] for each in waits]
    assert ([[], [], [Reason.BUSY]], 2) == (refused, node.stats().watchers)


def test_refusals_are_counted() -> None:
    """``stats`` tells how often something was refused, and how many operations are under way."""
    rig, node = member(max_operations=1)
    rig.take(node, node.get(OpId(1), name_at(150), now=rig.now))
    before = node.stats().refused
    effects = rig.receive(node, request(PutRecord, peer(60), node, 0, b"k" * 5000, b"", 1))
    assert (before + 1, 1) == (node.stats().refused, node.stats().operations)
    assert [] == only(Finished, effects)
    assert 1 == len(only(Send, effects))
