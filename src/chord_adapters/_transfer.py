"""Values of any length on their way to and from the ring, a bounded window of blocks at a time.

No tasks: operations are started ahead and waited for in order, so that cancelling the caller cancels them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeAlias, TypeVar

import attrs

from chord_adapters._errors import StorageFailed, Timeout, Unreachable, error_of
from chord_adapters._results import StoredValue
from chord_proto.blocks import MARK, Branch, Cutter, branch
from chord_proto.identifiers import content_key
from chord_proto.operations import Failed, Fetch, Fetched, Operation, Result, Store

WINDOW = 16
"""Most blocks of one value under way at once: 1 MiB of full ones, which fills a fast network at 10 ms a round trip."""
PIECE = 1024 * 1024
"""How many bytes of a long value are cut in one step, so that the event loop stays responsive."""

W = TypeVar("W")
Read: TypeAlias = Callable[[], Awaitable[bytes]]
"""Returns the next bytes of a value, ``b""`` at its end."""
Progress: TypeAlias = Callable[[int], None]
"""Hears of so many bytes of the value stored since it was last told."""


def reader_of(data: bytes) -> Read:
    """Return what reads ``data`` in pieces."""
    view = memoryview(data)
    at = 0

    async def read() -> bytes:
        nonlocal at
        piece = bytes(view[at : at + PIECE])
        at += len(piece)
        return piece

    return read


@attrs.frozen
class Doors(Generic[W]):
    """How a transfer starts operations and waits for them: the methods of `Operations` of the same names."""

    start: Callable[[Operation, float], W]
    wait: Callable[[W], Awaitable[Result]]
    abandon: Callable[[W], None]
    now: Callable[[], float]
    room: Callable[[], bool]
    each: float
    """How long one block may take, in seconds, when no timeout is given."""


class _Budget:
    """How long the next block may take: a given timeout bounds the whole transfer, the default each block."""

    def __init__(self, doors: Doors[W], timeout: float | None) -> None:
        self._now = doors.now
        self._each = doors.each
        self._deadline = None if timeout is None else self._now() + timeout

    def left(self) -> float:
        if self._deadline is None:
            return self._each
        left = self._deadline - self._now()
        if left <= 0:
            raise Timeout("the transfer did not end within its timeout")
        return left


async def store_blocks(doors: Doors[W], read: Read, progress: Progress | None, timeout: float | None) -> StoredValue:
    """Store what ``read`` returns; the root goes last, so that who finds it finds the whole value."""
    budget = _Budget(doors, timeout)
    under_way: deque[tuple[W, int]] = deque()
    cutter = Cutter()
    length = blocks = told = 0

    def tell(size: int) -> None:
        nonlocal told
        told += size
        if progress is not None and size:
            progress(size)

    async def settle(most: int) -> None:
        while len(under_way) > most:
            waiter, size = under_way[0]
            result = await doors.wait(waiter)
            under_way.popleft()
            if isinstance(result, Failed):
                raise error_of(result)
            tell(size)

    async def add(block: bytes) -> None:
        nonlocal blocks
        await settle(WINDOW - 1 if doors.room() else 0)
        size = 0 if block.startswith(MARK) else len(block)
        under_way.append((doors.start(Store(block), budget.left()), size))
        blocks += 1

    try:
        while piece := await read():
            length += len(piece)
            for block in cutter.feed(piece):
                await add(block)
        last, key = cutter.finish()
        for block in last[:-1]:
            await add(block)
        await settle(0)
        await add(last[-1])
        await settle(0)
        tell(length - told)
    finally:
        for waiter, _ in under_way:
            doors.abandon(waiter)
    return StoredValue(key, length, blocks)


class _Place(Generic[W]):
    """One block of a value that is being read: below ``parent``, as child ``index``, perhaps on its way."""

    __slots__ = ("index", "parent", "waiter")

    def __init__(self, parent: Branch, index: int) -> None:
        self.parent = parent
        self.index = index
        self.waiter: W | None = None


class BlockReader(Generic[W]):
    """A value on its way here: an async context manager, and on entering an async iterator of its pieces.

    ``length`` is known once entered, None when nobody has the value.  Blocks are verified against their keys and
    against their place in the tree; pieces come in order.
    """

    def __init__(self, doors: Doors[W], key: int, timeout: float | None, counted: AbstractContextManager[None]) -> None:
        self.length: int | None = None
        self._doors = doors
        self._key = key
        self._timeout = timeout
        self._counted = counted
        self._plain: bytes | None = None
        self._ahead: deque[_Place[W]] = deque()
        """What is left to read, in order; the front part of it, and leaves only, may be under way."""
        self._under_way = 0

    async def __aenter__(self) -> BlockReader[W]:
        self._counted.__enter__()
        try:
            await self._open()
        except BaseException:
            self._counted.__exit__(None, None, None)
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for place in self._ahead:
            if place.waiter is not None:
                self._doors.abandon(place.waiter)
        self._ahead.clear()
        self._counted.__exit__(None, None, None)

    def __aiter__(self) -> BlockReader[W]:
        return self

    async def __anext__(self) -> bytes:
        if self._plain is not None:
            plain, self._plain = self._plain, None
            return plain
        while self._ahead:
            self._fill()
            place = self._ahead[0]
            assert place.waiter is not None
            block = await self._block(place.waiter, place.parent.keys[place.index])
            self._ahead.popleft()
            self._under_way -= 1
            if block is None:
                raise Unreachable(f"a part of {self._key:040x} is missing")
            try:
                below = place.parent.child(place.index, block)
            except ValueError as error:
                raise StorageFailed(f"{self._key:040x} is no whole value: {error}") from error
            if below is None:
                return block
            self._descend(below)
        raise StopAsyncIteration

    async def _open(self) -> None:
        self._budget = _Budget(self._doors, self._timeout)
        root = await self._block(self._doors.start(Fetch(self._key), self._budget.left()), self._key)
        if root is None:
            return
        try:
            top = branch(root)
        except ValueError as error:
            raise StorageFailed(f"{self._key:040x} is no whole value: {error}") from error
        if top is None:
            self.length = len(root)
            self._plain = root or None
        else:
            self.length = top.length
            self._descend(top)

    async def _block(self, waiter: W, key: int) -> bytes | None:
        result = await self._doors.wait(waiter)
        if isinstance(result, Failed):
            raise error_of(result)
        assert isinstance(result, Fetched)
        if result.value is not None and content_key(result.value) != key:
            raise StorageFailed(f"another block than {key:040x} came")
        return result.value

    def _descend(self, top: Branch) -> None:
        self._ahead.extendleft(_Place(top, index) for index in reversed(range(len(top.keys))))

    def _fill(self) -> None:
        """Start what comes next, and the leaves behind it as far as the window and the other calls allow."""
        for place in self._ahead:
            if place.waiter is None:
                if self._under_way and (self._under_way >= WINDOW or place.parent.level > 1 or not self._doors.room()):
                    return
                operation = Fetch(place.parent.keys[place.index])
                place.waiter = self._doors.start(operation, self._budget.left())
                self._under_way += 1
