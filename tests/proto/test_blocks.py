"""Values of any length become blocks under one key, and only the right blocks become that value again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chord_proto import blocks
from chord_proto.blocks import BLOCK_SIZE, FAN_OUT, KEY_SIZE, MARK, MAX_LEVEL, Branch, Cutter, branch
from chord_proto.identifiers import content_key

VECTORS = Path(__file__).parent / "vectors" / "blocks.json"
LENGTHS = [0, 1, 7, 8, 9, 35, 256, 8960, 65_536, 262_143, 262_144, 262_145, 524_288, 524_289, 560_000, 1_000_000]
HEAD = len(MARK) + 1 + 8


def value_of(length: int, start: bytes = b"") -> bytes:
    """Return a value of this length that repeats nowhere, begun with ``start``."""
    counted = b"".join(number.to_bytes(8) for number in range(length // 8 + 1))
    return (start + counted)[:length]


def cut(pieces: Iterable[bytes]) -> tuple[list[bytes], int]:
    """Return all blocks of a value in the order in which they were finished, and its key."""
    cutter = Cutter()
    finished = [block for piece in pieces for block in cutter.feed(piece)]
    rest, key = cutter.finish()
    return finished + rest, key


def read(store: dict[int, bytes], key: int) -> bytes:
    """Return the value whose root is ``key``, as a reader of the ring does, each block checked in its place."""
    root = store[key]
    top = branch(root)
    if top is None:
        return root

    def leaves(parent: Branch) -> Iterable[bytes]:
        for index, child_key in enumerate(parent.keys):
            block = store[child_key]
            below = parent.child(index, block)
            if below is None:
                yield block
            else:
                yield from leaves(below)

    return b"".join(leaves(top))


def stored(pieces: Iterable[bytes]) -> tuple[dict[int, bytes], int]:
    """Return a store of the value's blocks by their content keys, and the key of its root."""
    finished, key = cut(pieces)
    return {content_key(block): block for block in finished}, key


def made(level: int, length: int, count: int, *, mark: bytes = MARK) -> bytes:
    """Return a branch block made by hand, fitting or not."""
    return mark + bytes((level,)) + length.to_bytes(8) + bytes(KEY_SIZE) * count


@pytest.mark.parametrize("start", [b"", MARK, MARK[:-1]], ids=["plain", "marked", "almost marked"])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_value_of_any_length_comes_back(length: int, start: bytes) -> None:
    """Cut, stored by key and read through its root, a value is the same; no block is longer than allowed."""
    value = value_of(length, start)
    store, key = stored([value])
    assert value == read(store, key)
    assert max(map(len, store.values())) <= BLOCK_SIZE


@pytest.mark.parametrize("length", [length for length in LENGTHS if length <= BLOCK_SIZE])
def test_a_short_value_is_one_block_under_its_own_hash(length: int) -> None:
    """Up to the size of a block the key is the SHA-1 of the bytes, as in the Chord papers."""
    value = value_of(length)
    expected = int.from_bytes(hashlib.sha1(value).digest())
    assert ([value], expected) == cut([value])
    assert branch(value) is None


@pytest.mark.parametrize("length", [8, 9, 35, BLOCK_SIZE, BLOCK_SIZE + 1])
def test_a_value_that_begins_with_the_mark_is_a_tree(length: int) -> None:
    """Such bytes would be taken for a branch block, so they never are a root themselves."""
    value = value_of(length, MARK)
    finished, key = cut([value])
    assert key == content_key(finished[-1]) != content_key(value)
    root = branch(finished[-1])
    assert root is not None
    assert (1, length) == (root.level, root.length)


def test_a_branch_block_stored_as_a_value_comes_back_as_it_is() -> None:
    """Someone may store the very bytes of a root block: they come back, not the value under that root."""
    finished, key = cut([value_of(2 * BLOCK_SIZE + 1)])
    store, key_of_root = stored([finished[-1]])
    assert key != key_of_root
    assert finished[-1] == read(store, key_of_root)


def test_a_leaf_that_begins_with_the_mark_is_a_leaf() -> None:
    """Within a tree the level says what is a leaf, whatever it begins with."""
    value = value_of(BLOCK_SIZE) + value_of(BLOCK_SIZE, made(1, 5, 1)) + MARK
    store, key = stored([value])
    assert value == read(store, key)


@pytest.mark.parametrize("length", [0, 80, 81, 240, 241, 2000, 80 * 243])
def test_children_come_before_parents_and_the_root_last(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stores the blocks in order never leaves a branch that names what is not there yet."""
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 80)
    monkeypatch.setattr(blocks, "FAN_OUT", 3)
    finished, key = cut([value_of(length)])
    known: set[int] = set()
    for block in finished:
        named = branch(block)
        assert named is None or set(named.keys) <= known
        known.add(content_key(block))
    assert key == content_key(finished[-1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200_000), st.lists(st.integers(0, 200_000), max_size=8), st.booleans())
def test_the_pieces_fed_do_not_matter(length: int, cuts: list[int], marked: bool) -> None:
    """The same bytes in any pieces give the same blocks in the same order, and the same key."""
    value = value_of(length, MARK if marked else b"")
    edges = [0, *sorted(at for at in cuts if at <= length), length]
    assert cut([value]) == cut(value[start:end] for start, end in pairwise(edges))


def test_blocks_come_as_soon_as_they_are_known() -> None:
    """A full leaf is handed out with the byte that shows it is not the last; no more than one leaf waits."""
    cutter = Cutter()
    assert cutter.feed(value_of(BLOCK_SIZE)) == []
    assert cutter.feed(b"") == []
    assert cutter.feed(b"x") == [value_of(BLOCK_SIZE)]
    assert cutter.feed(bytes(BLOCK_SIZE - 1)) == []
    assert cutter.feed(bytes(3 * BLOCK_SIZE)) == [b"x" + bytes(BLOCK_SIZE - 1), bytes(BLOCK_SIZE), bytes(BLOCK_SIZE)]


def test_a_value_of_more_leaves_than_a_branch_has_room_for() -> None:
    """One leaf more than the fan-out makes a second level; the Cutter keeps the keys of one branch a level."""
    cutter = Cutter()
    finished: list[bytes] = []
    for _ in range(FAN_OUT + 1):
        finished += cutter.feed(bytes(BLOCK_SIZE))
        assert len(cutter._buffer) <= BLOCK_SIZE
        assert max(map(len, cutter._keys), default=0) <= FAN_OUT * KEY_SIZE
    rest, _ = cutter.finish()
    root = branch((finished + rest)[-1])
    assert root is not None
    assert (2, (FAN_OUT + 1) * BLOCK_SIZE, 2) == (root.level, root.length, len(root.keys))
    assert (FAN_OUT * BLOCK_SIZE, BLOCK_SIZE) == (root.child_length(0), root.child_length(1))
    assert max(map(len, finished + rest)) <= BLOCK_SIZE


def test_deep_trees_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """With blocks of 80 bytes and three children a branch, values reach the highest level, and all come back."""
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 80)
    monkeypatch.setattr(blocks, "FAN_OUT", 3)
    levels = set()
    for leaves in (0, 1, 2, 3, 4, 9, 10, 27, 28, 81, 82, 243):
        for length in {max(0, 80 * leaves - 1), 80 * leaves, min(80 * leaves + 1, 80 * 243)}:
            value = value_of(length)
            finished, key = cut(value[at : at + 37] for at in range(0, length, 37))
            store = {content_key(block): block for block in finished}
            assert value == read(store, key)
            root = branch(store[key])
            levels.add(root.level if root else 0)
    assert levels == {0, 1, 2, 3, 4, MAX_LEVEL}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 80 * 243), st.data())
def test_a_block_in_the_wrong_place_is_seen(length: int, data: st.DataObject) -> None:
    """Whatever other block of the tree stands in for one, the reader says so or the bytes are the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_SIZE", 80)
        patch.setattr(blocks, "FAN_OUT", 3)
        value = value_of(length)
        store, key = stored([value])
        right = data.draw(st.sampled_from(sorted(store)))
        wrong = data.draw(st.sampled_from(sorted(store)))
        swapped = store | {right: store[wrong]}
        try:
            got = read(swapped, key)
        except ValueError:
            assert len(store[wrong]) != len(store[right]) or branch(store[wrong]) != branch(store[right])
        else:
            # A root is checked by its key alone; below it a stand-in has the length and level of the real one.
            assert right == key or length == len(got)


DAMAGED = {
    "mark alone": MARK,
    "half a head": made(1, 5, 0)[: HEAD - 1],
    "no keys": made(1, 5, 0),
    "level 0": made(0, 5, 1),
    "level 6": made(6, 5, 1),
    "length 0": made(1, 0, 1),
    "length 0 and no keys": made(1, 0, 0),
    "half a key": made(1, 5, 2)[:-1],
    "a byte too many": made(1, 5, 1) + b"\0",
    "a key too many": made(1, BLOCK_SIZE, 2),
    "a key too few": made(1, BLOCK_SIZE + 1, 1),
    "too few for the level": made(2, BLOCK_SIZE * FAN_OUT + 1, 1),
    "too many for the level": made(2, BLOCK_SIZE + 1, 2),
    "the greatest length": made(1, 2**64 - 1, FAN_OUT),
    "more than a block": made(1, BLOCK_SIZE * (FAN_OUT + 1), FAN_OUT + 1),
    "mark and text": MARK + b"some text that someone stored with another program",
}


@pytest.mark.parametrize("block", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_branch_is_refused(block: bytes) -> None:
    """Level, length and number of keys must fit each other."""
    with pytest.raises(ValueError, match="branch block"):
        branch(block)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100), st.integers(0, 30))
def test_any_bytes_are_a_value_a_branch_or_damaged(data: bytes, kept: int) -> None:
    """No bytes raise anything but ValueError, and only what begins with the mark is looked at."""
    for block in (data, made(1, 5, 1)[:kept] + data):
        try:
            found = branch(block)
        except ValueError:
            assert block.startswith(MARK)
        else:
            assert block.startswith(MARK) == (found is not None)


def test_the_children_of_a_branch_are_checked_for_their_place() -> None:
    """A leaf must have its length; a branch below must have its level and its length."""
    low = Branch(1, BLOCK_SIZE + 5, (1, 2))
    assert (BLOCK_SIZE, 5) == (low.child_length(0), low.child_length(1))
    assert low.child(0, bytes(BLOCK_SIZE)) is None
    for index, block in ((0, bytes(5)), (1, bytes(BLOCK_SIZE)), (1, b""), (1, bytes(6))):
        with pytest.raises(ValueError, match="promised"):
            low.child(index, block)
    high = Branch(2, FAN_OUT * BLOCK_SIZE + 5, (1, 2))
    assert Branch(1, 5, (0,)) == high.child(1, made(1, 5, 1))
    for block in (bytes(5), made(1, 6, 1), made(2, 5, 1), made(1, BLOCK_SIZE + 1, 2)):
        with pytest.raises(ValueError, match="promised"):
            high.child(1, block)
    with pytest.raises(ValueError, match="branch block"):
        high.child(1, made(1, 5, 2))
    for index in (-1, 2):
        with pytest.raises(IndexError):
            low.child(index, b"")


def test_a_finished_cutter_takes_no_more() -> None:
    """Feeding or finishing twice is a mistake that is told."""
    cutter = Cutter()
    cutter.finish()
    with pytest.raises(ValueError, match="finished"):
        cutter.feed(b"x")
    with pytest.raises(ValueError, match="finished"):
        cutter.finish()


def test_the_shape_of_trees_is_golden() -> None:
    """Keys that were handed out stay good: the same bytes have the same key for ever."""
    golden = json.loads(VECTORS.read_text(encoding="utf-8"))
    expected = {int(length): (keys["plain"], keys["marked"]) for length, keys in golden.items()}
    actual = {length: tuple(f"{cut([value_of(length, start)])[1]:040x}" for start in (b"", MARK)) for length in LENGTHS}
    assert expected == actual
