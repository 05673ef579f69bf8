"""Comparing an arc with another node: what is sent grows with the differences, not with what both have."""

from __future__ import annotations

from itertools import pairwise

from chord_proto.messages import (
    Copies,
    Digest,
    GetCopies,
    GetDigest,
    Listing,
    ListRange,
    Record,
    Replicate,
    Space,
    Summary,
)
from chord_proto.node import Node
from chord_proto.sync import _split
from chord_proto.wire import Codec
from tests.proto.rig import Rig, peer, ring_of, version

MANY = 6000


def records(count: int = MANY) -> list[Record]:
    """Return records all round the circle."""
    return [Record(0, b"%d" % number, b"v", version(1), 1) for number in range(count)]


def two() -> tuple[Rig, Node, Node]:
    """Return a ring of two that hold the same, and have found so."""
    rig = ring_of(10, 140)
    nodes = list(rig.nodes.values())
    for node in nodes:
        node.writes.keep(records())
        rig.take(node, node.tick(now=rig.now))
    rig.run(12.0)
    rig.delivered.clear()
    return rig, nodes[0], nodes[1]


def listed(rig: Rig) -> int:
    """Return how many entries of lists were sent."""
    return sum(len(message.entries) for message in rig.delivered if isinstance(message, Listing))


def moved(rig: Rig) -> list[bytes]:
    """Return which records were sent."""
    return [
        item.name for message in rig.delivered if isinstance(message, (Copies, Replicate)) for item in message.records
    ]


def test_what_is_equal_is_not_listed() -> None:
    """Only digests go to and fro while nothing differs."""
    rig, _, _ = two()
    rig.run(12.0)
    assert (0, []) == (listed(rig), moved(rig))
    assert any(isinstance(message, Digest) for message in rig.delivered)


def test_one_difference_costs_little() -> None:
    """One of six thousand records is newer here, one is newer there: both move, and little else is told."""
    rig, first, second = two()
    first.writes.keep([Record(0, b"7", b"new", version(2), 2)])
    second.writes.keep([Record(0, b"8", b"new", version(2), 2)])
    for node in (first, second):
        rig.take(node, node.tick(now=rig.now))
    rig.run(12.0)
    assert {b"7", b"8"} == set(moved(rig))
    assert 2 * 256 >= listed(rig)
    assert 150 > sum(isinstance(message, GetDigest) for message in rig.delivered)
    for node in (first, second):
        assert [b"new", b"new"] == [getattr(node.writes.table.get(0, name), "value", None) for name in (b"7", b"8")]


def test_who_has_nothing_is_given_everything() -> None:
    """A newcomer's range is listed at once, and all of it comes."""
    rig, _, _ = two()
    newcomer = rig.add(200)
    rig.take(newcomer, newcomer.join(rig.op(), [peer(10).address], now=rig.now))
    rig.run(12.0)
    assert newcomer.ready
    assert MANY == newcomer.stats().records


def test_an_arc_is_cut_without_gap_or_overlap() -> None:
    """Whatever its length and wherever it lies, round the end of the circle, too."""
    for start, end in ((0, 255), (250, 20), (7, 7), (100, 116), (255, 255)):
        parts = _split(start, end, 256)
        assert 16 == len(parts)
        assert (start, end) == (parts[0][0], parts[-1][1])
        assert all(before[1] == after[0] for before, after in pairwise(parts))
        assert ((end - start) % 256 or 256) == sum((b - a) % 256 for a, b in parts)
    assert [] == _split(0, 15, 256)


def test_a_list_may_name_blocks_that_cannot_be() -> None:
    """The next page is asked for from a place on the circle, whatever the last name of this one: it can be sent."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    while not [parcel for parcel in rig.under_way if isinstance(parcel.message, GetDigest)]:
        rig.tick(node, 0.1)
    rig.reply(rig.asked(GetDigest), Digest, 3, bytes(16))
    impossible = Summary(Space.BLOCK, b"\xff" * 25, "")
    asked = rig.asked(ListRange)
    rig.reply(asked, Listing, (impossible,), True)
    rig.reply(rig.asked(GetCopies), Copies, (), 1)
    again = rig.asked(ListRange)
    assert asked is not again
    assert (255, Space.BLOCK, impossible.name) == again.after
    assert again == Codec(8).decode(Codec(8).encode(again))
