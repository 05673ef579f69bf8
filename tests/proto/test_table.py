"""The table of records against a plain dict: arcs, digests, sizes and the rule of merging."""

from __future__ import annotations

from functools import reduce
from operator import xor

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chord_proto.identifiers import within
from chord_proto.messages import Record, Space
from chord_proto.table import Table, is_on, place_of, summary

PLACES = st.integers(0, 15)
NAMES = st.sampled_from([b"k%d" % number for number in range(30)])
ITEMS = st.builds(
    Record,
    space=st.sampled_from([0, 1]),
    name=NAMES.map(lambda name: name.ljust(20, b"\0")),
    value=st.none() | st.binary(max_size=5),
    version=st.sampled_from(["1", "2", "3"]),
    write_id=st.just(0),
)


def order(table: Table, start: int, item: Record) -> tuple[int, int, bytes]:
    """Return how far along an arc from ``start`` an item lies."""
    return (place_of(item.space, item.name, table.bits) - start - 1) % (1 << table.bits), item.space, item.name


class Model(RuleBasedStateMachine):
    """A table on a circle of four bits against a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table(4)
        self.held: dict[tuple[int, bytes], Record] = {}

    @rule(item=ITEMS)
    def put(self, item: Record) -> None:
        old = self.held.get((item.space, item.name))
        newer = old is None or item.version > old.version
        assert newer == self.table.put(item)
        if newer:
            self.held[item.space, item.name] = item

    @rule(items=st.lists(ITEMS, min_size=10, max_size=30))
    def put_many(self, items: list[Record]) -> None:
        for item in items:
            self.put(item)

    @rule(item=ITEMS, held=st.booleans(), which=st.integers(0, 59))
    def drop(self, item: Record, held: bool, which: int) -> None:
        keys = sorted(self.held)
        key = keys[which % len(keys)] if held and keys else (item.space, item.name)
        self.table.drop(*key)
        self.held.pop(key, None)

    @rule(start=PLACES, end=PLACES, skip=st.integers(0, 59))
    def walk(self, start: int, end: int, skip: int) -> None:
        table = self.table
        expected = [
            each for each in self.held.values() if within(start, place_of(each.space, each.name, table.bits), end)
        ]
        expected.sort(key=lambda each: order(table, start, each))
        assert expected == list(table.on_arc(start, end))
        assert expected == [each for each in expected if is_on(summary(each), start, end, 4)]
        if expected:
            skip %= len(expected)
            last = expected[skip]
            after = (place_of(last.space, last.name, 4), last.space, last.name)
            assert expected[skip + 1 :] == list(table.on_arc(start, end, after))
        outside = [] if start == end else [each for each in self.held.values() if each not in expected]
        assert sorted(outside, key=repr) == sorted(table.outside(start, end), key=repr)

    @invariant()
    def agrees(self) -> None:
        assert self.held == self.table.records
        assert len(self.held) == len(self.table)
        assert sum(len(item.value or b"") for item in self.held.values()) == self.table.bytes
        anew = Table(4)
        for item in self.held.values():
            assert item == self.table.get(item.space, item.name)
            anew.put(item)
        assert anew.digest(0, 0) == self.table.digest(0, 0)
        assert anew.digest(9, 4) == self.table.digest(9, 4)


TestTable = Model.TestCase
TestTable.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_going_on_after_any_record_of_the_whole_circle() -> None:
    """A walk from a place all round to the same place ends with the records there, page after page."""
    table = Table(4)
    for number in range(60):
        table.put(Record(Space.RECORD, b"k%d" % number, b"", "1", 0))
    for start in range(16):
        found = list(table.on_arc(start, start))
        for number, item in enumerate(found):
            after = (place_of(item.space, item.name, 4), item.space, item.name)
            assert found[number + 1 :] == list(table.on_arc(start, start, after))


@given(st.lists(ITEMS, max_size=20), st.randoms(use_true_random=False))
def test_merging_forgets_the_order(items: list[Record], random: object) -> None:
    """Given records in any order, and twice, a table has the same digest (D6; equal version means equal bytes)."""
    items = [Record(i.space, i.name, None if i.version == "3" else i.version.encode(), i.version, 0) for i in items]
    shuffled = items * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = Table(8), Table(8)
    for item in items:
        one.put(item)
    for item in shuffled:
        two.put(item)
    assert one.records == two.records
    assert one.digest(7, 7) == two.digest(7, 7)


def test_what_was_dropped_leaves_nothing_in_the_digest() -> None:
    """More records than sectors, a third of them dropped again: sizes and digests are those of the others alone."""
    names = [(b"k%d" % number).ljust(20, b"\0") for number in range(40)]
    items = [Record(space, name, name[:3], "1", 0) for name in names for space in (0, 1)]
    table, other = Table(4), Table(4)
    for item in items:
        table.put(item)
    for item in items[::3]:
        table.drop(item.space, item.name)
    for item in items:
        if item not in items[::3]:
            other.put(item)
    assert (other.bytes, list(other.on_arc(0, 0))) == (table.bytes, list(table.on_arc(0, 0)))
    for start in range(16):
        assert [other.digest(start, end) for end in range(16)] == [table.digest(start, end) for end in range(16)]


def test_a_digest_by_sectors_is_that_of_the_records_one_by_one() -> None:
    """More records than sectors: each arc's digest is the XOR of those that tables of a single record have."""
    table = Table(10)
    single: dict[int, list[int]] = {place: [] for place in range(1 << 10)}
    for number in range(400):
        item = Record(Space.RECORD, b"k%d" % number, b"v", "1", 0)
        table.put(item)
        alone = Table(10)
        alone.put(item)
        if number % 5:
            single[place_of(item.space, item.name, 10)].append(int.from_bytes(alone.digest(0, 0)[1]))
        else:
            table.drop(item.space, item.name)
    assert len(table) > 256
    for start in range(0, 1 << 10, 37):
        for end in (start, start + 1, start + 3, start + 200, start + 1000):
            hashes = [each for place, found in single.items() if within(start, place, end % 1024) for each in found]
            expected = len(hashes), reduce(xor, hashes, 0).to_bytes(16)
            assert expected == table.digest(start, end % 1024), (start, end)


@given(st.lists(ITEMS, max_size=12), ITEMS, PLACES, PLACES)
def test_a_digest_tells_tables_apart(items: list[Record], other: Record, start: int, end: int) -> None:
    """A record more, or a newer version of one, on the arc changes the digest; off the arc it does not."""
    table = Table(4)
    for item in items:
        table.put(item)
    before = table.digest(start, end)
    changed = table.put(other) and is_on(other, start, end, 4)
    assert changed == (before != table.digest(start, end))


def test_a_block_lies_at_its_key_and_a_record_at_its_hash() -> None:
    """A block's name is its SHA-1 already; a record's is hashed."""
    assert 0xA9 == place_of(Space.BLOCK, bytes.fromhex("a9993e364706816aba3e25717850c26c9cd0d89d"), 8)
    assert 0xA9 == place_of(Space.RECORD, b"abc", 8)


def test_what_has_expired_is_told_once_and_in_parts() -> None:
    """From the very moment on, no more than asked for, and the rest the next time."""
    table = Table(8)
    for number in range(5):
        table.put(Record(Space.RECORD, b"k%d" % number, b"v", "1", 7, 100 + number // 4))
    assert [] == table.expired(99, 9)
    left = [table.expired(100, 3), table.expired(100, 3), table.expired(100, 3), table.expired(101, 3)]
    assert [3, 1, 0, 1] == [len(each) for each in left]
    found = [each for part in left for each in part]
    assert {b"k%d" % number for number in range(5)} == {each.name for each in found}
    assert [(None, "1", 7)] * 5 == [(each.value, each.version, each.write_id) for each in found]


def test_what_does_not_expire_any_more_is_not_told() -> None:
    """It was replaced, or dropped, or its value is forgotten already."""
    table = Table(8)
    for name in (b"replaced", b"dropped", b"forgotten"):
        table.put(Record(Space.RECORD, name, b"v", "1", 7, 100))
    assert table.put(Record(Space.RECORD, b"replaced", b"w", "2", 8))
    table.drop(Space.RECORD, b"dropped")
    assert table.put(Record(Space.RECORD, b"forgotten", None, "1", 7, 100))
    assert [] == table.expired(100, 9)
