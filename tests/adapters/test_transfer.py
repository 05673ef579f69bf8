"""Long values block by block: the window, the order, the timeouts, and what is found damaged; without a network."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import closing
from typing import Any, TypeVar

import attrs
import pytest

from chord_adapters import StorageFailed, StoredValue, Timeout, Unreachable
from chord_adapters._transfer import WINDOW, BlockReader, BlockWriter, Doors, Progress
from chord_proto.blocks import BLOCK_SIZE, MARK, Cutter
from chord_proto.identifiers import content_key
from chord_proto.operations import Failed, Failure, Fetch, Fetched, Operation, Result, Store, Stored
from chord_proto.peer import Peer

T = TypeVar("T")
STORED = Stored("", Peer.at("a"), ())


@attrs.define(eq=False)
class Started:
    """An operation under way."""

    operation: Operation
    timeout: float


class FakeRing:
    """Keeps blocks; counts what is under way; may be slow or short of room."""

    def __init__(self, *, room: bool = True, seconds: float = 0.0) -> None:
        self.blocks: dict[int, bytes] = {}
        self.under_way: list[Started] = []
        self.most = 0
        self.order: list[Operation] = []
        self.timeouts: list[float] = []
        self.abandoned = 0
        self.time = 0.0
        self.seconds = seconds
        self.failure: Failed | None = None
        self.doors: Doors[Started] = Doors(self.start, self.wait, self.abandon, lambda: self.time, lambda: room, 10.0)

    def start(self, operation: Operation, timeout: float) -> Started:
        """Start an operation."""
        started = Started(operation, timeout)
        self.under_way.append(started)
        self.most = max(self.most, len(self.under_way))
        self.order.append(operation)
        self.timeouts.append(timeout)
        return started

    async def wait(self, started: Started) -> Result:
        """Carry it out."""
        self.under_way.remove(started)
        self.time += self.seconds
        if self.failure is not None:
            return self.failure
        if isinstance(started.operation, Store):
            self.blocks[content_key(started.operation.data)] = started.operation.data
            return STORED
        assert isinstance(started.operation, Fetch)
        return Fetched(self.blocks.get(started.operation.key), "")

    def abandon(self, started: Started) -> None:
        """Forget it."""
        if started in self.under_way:
            self.under_way.remove(started)
            self.abandoned += 1

    def store(self, data: bytes, timeout: float | None = None) -> int:
        """Store a value."""
        return self.stored(data, None, timeout).key

    def stored(self, data: bytes, progress: Progress | None, timeout: float | None = None) -> StoredValue:
        """Store a value, and return what is said of it."""
        with closing(BlockWriter(self.doors, progress, timeout)) as writer:
            run(writer.feed(data))
            return run(writer.finish())

    def reader(self, key: int, timeout: float | None = None) -> BlockReader[Started]:
        """Return what fetches a value."""
        return BlockReader(self.doors, key, timeout, NotCounted())

    def fetch(self, key: int, timeout: float | None = None) -> bytes | None:
        """Fetch a value."""

        async def fetch() -> bytes | None:
            async with self.reader(key, timeout) as blocks:
                return None if blocks.length is None else b"".join([block async for block in blocks])

        return run(fetch())


class NotCounted:
    """Stands for the place among the calls."""

    def __enter__(self) -> None:
        """Enter."""

    def __exit__(self, *exc_info: object) -> None:
        """Leave."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("it waits")


def test_there_and_back() -> None:
    """Many blocks are under way at once, no more than the window, and the root goes last."""
    ring = FakeRing()
    data = bytes(range(251)) * 10_000
    key = ring.store(data)
    assert ring.most == WINDOW
    last = ring.order[-1]
    assert isinstance(last, Store)
    assert content_key(last.data) == key
    ring.most = 0
    assert ring.fetch(key) == data
    assert ring.most == WINDOW


def test_without_room_one_block_at_a_time() -> None:
    """When others wait for their turn a value takes no more than one place."""
    ring = FakeRing(room=False)
    data = bytes(1_000_000)
    assert ring.fetch(ring.store(data)) == data
    assert ring.most == 1


def test_the_root_waits_for_all_others() -> None:
    """Who finds the root finds the whole value: it is stored when nothing else is under way."""
    ring = FakeRing()
    under_way_then: list[int] = []
    start = ring.doors.start

    def watch(operation: Operation, timeout: float) -> Started:
        if isinstance(operation, Store) and operation.data.startswith(MARK):
            under_way_then.append(len(ring.under_way))
        return start(operation, timeout)

    ring.doors = attrs.evolve(ring.doors, start=watch)
    ring.store(bytes(300_000))
    assert under_way_then == [0]


def test_a_tree_of_two_levels() -> None:
    """A branch of branches is read in order too, only leaves ahead."""
    ring = FakeRing()
    leaves = 3_300
    key = ring.store(bytes(leaves * BLOCK_SIZE))
    got = 0

    async def fetch() -> None:
        nonlocal got
        async with ring.reader(key) as blocks:
            async for block in blocks:
                got += len(block)

    run(fetch())
    assert got == leaves * BLOCK_SIZE


def test_a_given_timeout_bounds_the_whole() -> None:
    """Each block gets what is left of it, and when nothing is left the call ends."""
    ring = FakeRing(seconds=1.0)
    key = ring.store(bytes(5 * BLOCK_SIZE))
    ring.timeouts.clear()
    with pytest.raises(Timeout):
        ring.store(bytes(60 * BLOCK_SIZE), timeout=20.0)
    assert ring.timeouts == sorted(ring.timeouts, reverse=True)
    assert (ring.timeouts[0], ring.timeouts[-1]) == (20.0, 1.0)
    assert ring.under_way == []
    with pytest.raises(Timeout):
        ring.fetch(key, timeout=1.0)


def test_without_a_timeout_each_block_has_the_default() -> None:
    """A long value may take as long as it makes progress."""
    ring = FakeRing(seconds=9.0)
    data = bytes(20 * BLOCK_SIZE)
    assert ring.fetch(ring.store(data)) == data
    assert set(ring.timeouts) == {10.0}


def test_a_failure_ends_the_others() -> None:
    """When one block cannot be stored or fetched, what else is under way is cancelled."""
    ring = FakeRing()
    key = ring.store(bytes(40 * BLOCK_SIZE))
    ring.failure = Failed(Failure.UNREACHABLE, outcome_unknown=True)
    with pytest.raises(Unreachable) as caught:
        ring.store(bytes(40 * BLOCK_SIZE))
    assert caught.value.outcome_unknown
    assert ring.abandoned == WINDOW - 1
    with pytest.raises(Unreachable):
        ring.fetch(key)
    assert ring.under_way == []


def test_a_missing_part() -> None:
    """A value whose root is there and a part is not cannot be read just now; without root there is none."""
    ring = FakeRing()
    data = bytes(3 * BLOCK_SIZE - 1)
    key = ring.store(data)
    leaf = ring.blocks.pop(content_key(data[-BLOCK_SIZE + 1 :]))
    with pytest.raises(Unreachable, match="part"):
        ring.fetch(key)
    ring.blocks[content_key(leaf)] = leaf
    assert ring.fetch(key) == data
    del ring.blocks[key]
    assert ring.fetch(key) is None


def test_a_step_that_failed_may_be_taken_again() -> None:
    """A part that is missing is asked for again with the next step; what comes before it was handed out once."""
    ring = FakeRing()
    data = bytes(range(251)) * 4_000
    key = ring.store(data)
    leaf = ring.blocks.pop(content_key(data[BLOCK_SIZE : 2 * BLOCK_SIZE]))
    got: list[bytes] = []

    async def fetch() -> None:
        async with ring.reader(key) as reader:
            got.append(await anext(reader))
            for _ in range(2):
                with pytest.raises(Unreachable, match="part"):
                    await anext(reader)
            ring.blocks[content_key(leaf)] = leaf
            got.extend([piece async for piece in reader])

    run(fetch())
    assert data == b"".join(got)
    assert ring.under_way == []


def test_without_room_the_next_step_still_asks() -> None:
    """A step that is taken again has its block even when there is room for no other, and others are under way."""
    room = True
    ring = FakeRing()
    ring.doors = attrs.evolve(ring.doors, room=lambda: room)
    data = bytes(range(251)) * 4_000
    key = ring.store(data)

    async def fetch() -> bytes:
        nonlocal room
        async with ring.reader(key) as reader:
            ring.failure = Failed(Failure.UNREACHABLE)
            with pytest.raises(Unreachable):
                await anext(reader)
            ring.failure, room = None, False
            return b"".join([piece async for piece in reader])

    assert data == run(fetch())


def test_reading_like_a_file() -> None:
    """`read` gives at most what was asked for, nothing only at the end, and all that is left when not told."""
    ring = FakeRing()
    data = bytes(range(251)) * 4_000

    async def fetch(sizes: list[int]) -> list[bytes]:
        async with ring.reader(key) as reader:
            return [await reader.read(size) for size in sizes]

    key = ring.store(data)
    assert [data[:7], b"", data[7:10], data[10:BLOCK_SIZE], data[BLOCK_SIZE:], b"", b""] == run(
        fetch([7, 0, 3, 10 * BLOCK_SIZE, -1, -1, 7])
    )
    key = ring.store(b"")
    assert [b"", b""] == run(fetch([7, -1]))
    with pytest.raises(TypeError, match="size"):
        run(fetch([None]))  # type: ignore[list-item]


def test_reading_outside_of_the_block() -> None:
    """Before it is entered and after it is left a reader raises, rather than to look like an empty value; nor twice."""
    ring = FakeRing()
    key = ring.store(b"some value")

    async def fetch() -> None:
        reader = ring.reader(key)
        with pytest.raises(RuntimeError, match="not open yet"):
            await anext(reader)
        async with reader:
            assert await anext(reader) == b"some value"
        for step in (reader.read, reader.__anext__):
            with pytest.raises(RuntimeError, match="closed"):
                await step()
        with pytest.raises(RuntimeError, match="once"):
            await reader.__aenter__()

    run(fetch())


def test_damaged_values() -> None:
    """Blocks that are not what their key says, or do not fit in the tree, are never part of a value."""
    ring = FakeRing()
    key = ring.store(b"short")
    ring.blocks[key] = b"other"
    with pytest.raises(StorageFailed, match="another block"):
        ring.fetch(key)
    for damaged in (
        MARK,
        MARK + b"\x01" + bytes(8),
        MARK + b"\x01" + (100).to_bytes(8) + content_key(b"x").to_bytes(20),
    ):
        ring.blocks[content_key(damaged)] = damaged
        ring.blocks[content_key(b"x")] = b"x"
        with pytest.raises(StorageFailed, match="no whole value"):
            ring.fetch(content_key(damaged))


def test_progress() -> None:
    """The bytes of the value are counted, not those of the tree, and add up also when leaves look like branches."""
    for data in (b"", b"short", bytes(300_000), MARK + bytes(200_000), MARK):
        told: list[int] = []
        stored = FakeRing().stored(data, told.append)
        assert sum(told) == stored.bytes == len(data)
        assert all(size > 0 for size in told)
        cutter = Cutter()
        blocks, rest = cutter.feed(data), cutter.finish()
        assert stored.blocks == len(blocks) + len(rest[0])
        assert stored.key == rest[1]
