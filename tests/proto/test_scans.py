"""The owner's side of a scan: which records are listed, in which order, how far, and in how many parts."""

from __future__ import annotations

import attrs
import pytest

from chord_proto.config import Config
from chord_proto.effects import Effect, OpId, Send
from chord_proto.messages import (
    Digest,
    Elsewhere,
    GetDigest,
    GetKeys,
    Granted,
    Keys,
    Reason,
    Record,
    Refused,
    Replicate,
    Space,
    TakeOver,
)
from chord_proto.node import Node
from chord_proto.operations import Entry, Failed, Failure, Page, Scan
from chord_proto.scans import PAGE
from chord_proto.table import Position, place_of
from tests.proto.rig import CONFIG, Rig, block_at, name_at, only, peer, record_at, request, sent, version


def owner(*held: Record, config: Config = CONFIG) -> tuple[Rig, Node]:
    """Return the owner of (200, 10], which holds these."""
    rig = Rig(config)
    node = rig.member(10, before=200, after=[60, 100, 150])
    if held:
        rig.receive(node, request(Replicate, peer(60), node, held, False, number=7))
    rig.under_way.clear()
    return rig, node


def ask(
    rig: Rig, node: Node, place: int, *, space: int = 0, prefix: bytes = b"", after: Position | None = None
) -> list[Effect]:
    """Ask for a page."""
    return rig.receive(node, request(GetKeys, peer(60), node, place, space, prefix, after, number=place + 100))


def page(effects: list[Effect]) -> tuple[list[bytes], int, Position | None]:
    """Return the names on a page, how far it goes, and after which position there is more."""
    (keys,) = sent(Keys, effects)
    return [entry.name for entry in keys.entries], keys.end, keys.after


def test_a_range_is_listed_in_order_of_place() -> None:
    """From the place that was asked for, up to the end of the range or of the circle; records and blocks apart."""
    held = [record_at(place) for place in (5, 220, 201, 9, 0, 255)]
    rig, node = owner(*held, block_at(230), record_at(100))
    assert ([name_at(place) for place in (201, 220, 255)], 255, None) == page(ask(rig, node, 201))
    assert ([name_at(place) for place in (220, 255)], 255, None) == page(ask(rig, node, 202))
    assert ([name_at(place) for place in (0, 5, 9)], 10, None) == page(ask(rig, node, 0))
    assert ([], 10, None) == page(ask(rig, node, 10))
    assert ([block_at(230).name], 255, None) == page(ask(rig, node, 203, space=Space.BLOCK))


def test_what_is_listed_has_version_and_expiry_and_is_there() -> None:
    """What was deleted or has expired is not, what begins otherwise is not."""
    rig, node = owner(record_at(5, number=7), record_at(6, None))
    mortal = Record(0, name_at(7), b"v", version(3), 1, int(rig.now * 1000) + 500)
    rig.receive(node, request(Replicate, peer(60), node, (mortal,), False, number=8))
    (keys,) = sent(Keys, ask(rig, node, 0))
    assert (Entry(name_at(5), version(7), 0), Entry(name_at(7), version(3), mortal.expires)) == keys.entries
    rig.now += 0.5
    assert [name_at(5)] == page(ask(rig, node, 1))[0]
    assert [] == page(ask(rig, node, 2, prefix=name_at(5) + b"?"))[0]
    assert [name_at(5)] == page(ask(rig, node, 3, prefix=name_at(5)))[0]


def test_a_long_range_has_several_pages() -> None:
    """Each goes on behind the last position of the one before, and none is told twice."""
    names = sorted((place_of(0, b"%d" % number, 8), b"%d" % number) for number in range(6000))
    mine = [name for place, name in names if place <= 10]
    rig, node = owner(*(Record(0, name, b"", version(1), 1) for name in mine))
    found: list[bytes] = []
    after: Position | None = None
    for _ in range(20):
        part, end, after = page(ask(rig, node, 0 if after is None else after[0], after=after))
        assert (10, True) == (end, len(part) <= PAGE)
        found += part
        if after is None:
            break
    assert mine == found


def test_a_page_of_long_names_ends_early() -> None:
    """A page has a bound in bytes, too."""
    places = (name for number in range(2000) if place_of(0, name := b"%d" % number + bytes(4000), 8) <= 10)
    mine = list(places)
    rig, node = owner(*(Record(0, name, b"", version(1), 1) for name in mine[:200]))
    part, _, after = page(ask(rig, node, 0))
    assert 0 < len(part) < min(200, len(mine))
    assert after is not None


def test_who_does_not_decide_does_not_list() -> None:
    """What is another's is sent elsewhere; of a range that is on its way nothing is told."""
    rig, node = owner(record_at(5))
    (elsewhere,) = sent(Elsewhere, ask(rig, node, 50))
    assert (peer(60), False) == (elsewhere.peers[0], elsewhere.through)
    node.ranges.doubt()
    assert [Reason.NOT_READY] == [each.reason for each in sent(Refused, ask(rig, node, 5))]


def test_a_scan_ends_with_the_page_of_the_owner() -> None:
    """Of another's range, too; a page that does not hold the place is nobody's."""
    rig, node = owner()
    rig.take(node, node.perform(OpId(1), Scan(50), now=rig.now))
    asked = rig.asked(GetKeys, peer(60))
    assert (50, 0, b"", None) == (asked.place, asked.space, asked.prefix, asked.after)
    rig.reply(asked, Keys, (), 49, None)
    assert 1 == node.stats().misbehaved
    rig.tick(node, 0.05)
    rig.reply(rig.asked(GetKeys, peer(60)), Keys, (Entry(b"k", version(1), 0),), 60, (55, 0, b"k"))
    assert Page((Entry(b"k", version(1), 0),), 60, (55, 0, b"k")) == rig.result(OpId(1))


@pytest.mark.parametrize("operation", [Scan(256), Scan(-1), Scan(0, prefix=bytes(5000))])
def test_a_scan_that_cannot_be(operation: Scan) -> None:
    """A place beyond the circle, a prefix longer than any name."""
    rig, node = owner()
    rig.take(node, node.perform(OpId(1), operation, now=rig.now))
    assert Failed(Failure.INVALID) == rig.result(OpId(1))


def test_pages_go_on_within_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many records may lie at one place, or a page end between a few: each is listed once."""
    monkeypatch.setattr("chord_proto.scans.PAGE", 2)
    names = sorted(name_at(5, which) for which in range(5))
    rig, node = owner(*(Record(0, name, b"", version(1), 1) for name in names))
    pages = [page(ask(rig, node, 0))]
    for _ in range(2):
        after = pages[-1][2]
        pages.append(page(ask(rig, node, 5, after=after)))
    assert [names[:2], names[2:4], names[4:]] == [found for found, _, _ in pages]
    assert None is pages[-1][2]


def test_pages_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of blocks ends at the place where its last block belongs."""
    monkeypatch.setattr("chord_proto.scans.PAGE", 2)
    blocks = [block_at(place) for place in (210, 230, 250)]
    rig, node = owner(*blocks)
    after = (230, Space.BLOCK, blocks[1].name)
    assert ([blocks[0].name, blocks[1].name], 255, after) == page(ask(rig, node, 201, space=Space.BLOCK))
    assert ([blocks[2].name], 255, None) == page(ask(rig, node, 230, space=Space.BLOCK, after=after))


def test_so_many_records_are_looked_at_for_one_page() -> None:
    """Even if none of them is listed, the page ends, and says where the next one goes on."""
    rig, node = owner(*(record_at(place) for place in (3, 5, 7)), config=attrs.evolve(CONFIG, max_scanned=2))
    after = (5, 0, name_at(5))
    assert ([], 10, after) == page(ask(rig, node, 0, prefix=name_at(7) + b"?"))
    assert ([name_at(7)], 10, None) == page(ask(rig, node, 5, prefix=name_at(7), after=after))


def test_copies_beyond_the_range_are_not_listed() -> None:
    """This node holds them for others, who list them."""
    rig, node = owner(record_at(10), record_at(11), record_at(200))
    assert ([], 255, None) == page(ask(rig, node, 201))
    assert ([name_at(10)], 10, None) == page(ask(rig, node, 0))


def test_a_part_of_the_range_is_served() -> None:
    """Of what is granted already all is told, up to its very end; of the rest nothing."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100, 150], granted=False)
    rig.reply(rig.asked(TakeOver), Granted, 200, 5)
    rig.reply(rig.asked(GetDigest), Digest, 0, bytes(16))
    assert ([], 5, None) == page(ask(rig, node, 5))
    assert [Reason.NOT_READY] == [each.reason for each in sent(Refused, ask(rig, node, 6))]


def test_a_page_is_told_to_whoever_asks() -> None:
    """On the way that the question came."""
    rig, node = owner()
    effects = rig.receive(node, request(GetKeys, peer(60), node, 5, 0, b"", None), sender="in:60")
    assert ["in:60"] == [each.to for each in only(Send, effects) if isinstance(each.message, Keys)]
