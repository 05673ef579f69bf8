"""Values of any length on their way to and from the ring, a bounded window of blocks at a time.

No tasks: operations are started ahead and waited for in order, so that cancelling the caller cancels them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Generic, Self, TypeAlias, TypeVar

import attrs

from chord_adapters._errors import StorageFailed, Timeout, Unreachable, error_of
from chord_adapters._results import StoredValue
from chord_proto.blocks import BLOCK_SIZE, MARK, Branch, Cutter, branch
from chord_proto.identifiers import content_key
from chord_proto.operations import Failed, Fetch, Fetched, Operation, Result, Store

WINDOW = 4
"""Most blocks of one value under way at once: 1 MiB of full ones, which fills a fast network at 10 ms a round trip."""
PIECE = 1024 * 1024
"""How many bytes of a long value are cut in one step, so that the event loop stays responsive."""

_NEW, _OPEN, _READING, _CLOSED = "not open yet", "open", "being read by another task", "closed"

W = TypeVar("W")
Progress: TypeAlias = Callable[[int], None]
"""Hears of so many bytes of the value stored since it was last told."""


def check_progress(progress: Progress | None) -> None:
    """Raise `TypeError` for what cannot be called."""
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is called with numbers of bytes, {type(progress).__name__} cannot be called")


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
    verified: bool = False
    """What comes was compared with its key in this process already."""


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


class BlockWriter(Generic[W]):
    """A value on its way to the ring: fed with its bytes, then finished; closed in any case.

    The root goes last, so that who finds it finds the whole value.  A writer that has raised can only be closed.
    """

    def __init__(self, doors: Doors[W], progress: Progress | None, timeout: float | None) -> None:
        self._doors = doors
        self._progress = progress
        self._budget = _Budget(doors, timeout)
        self._cutter = Cutter()
        self._under_way: deque[tuple[W, int]] = deque()
        self._length = self._blocks = self._told = 0

    async def feed(self, data: bytes) -> None:
        """Take the next bytes; return once no more blocks than the window are under way."""
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            self._length += len(piece)
            for block in self._cutter.feed(piece):
                await self._add(block)

    async def finish(self) -> StoredValue:
        """End the value; return once all of it is stored."""
        last, key = self._cutter.finish()
        for block in last[:-1]:
            await self._add(block)
        await self._settle(0)
        await self._add(last[-1])
        await self._settle(0)
        self._tell(self._length - self._told)
        return StoredValue(key, self._length, self._blocks)

    def close(self) -> None:
        """Cancel what is still under way."""
        for waiter, _ in self._under_way:
            self._doors.abandon(waiter)
        self._under_way.clear()

    async def _add(self, block: bytes) -> None:
        await self._settle(WINDOW - 1 if self._doors.room() else 0)
        size = 0 if block.startswith(MARK) else len(block)
        self._under_way.append((self._doors.start(Store(block), self._budget.left()), size))
        self._blocks += 1

    async def _settle(self, most: int) -> None:
        while len(self._under_way) > most:
            waiter, size = self._under_way[0]
            result = await self._doors.wait(waiter)
            self._under_way.popleft()
            if isinstance(result, Failed):
                raise error_of(result)
            self._tell(size)

    def _tell(self, size: int) -> None:
        self._told += size
        if self._progress is not None and size:
            self._progress(size)


class _Place(Generic[W]):
    """One block of a value that is being read: below ``parent``, as child ``index``, perhaps on its way."""

    __slots__ = ("index", "parent", "waiter")

    def __init__(self, parent: Branch, index: int) -> None:
        self.parent = parent
        self.index = index
        self.waiter: W | None = None


class BlockReader(Generic[W]):
    """A value on its way here: an async context manager, and in it an async iterator of its pieces, `bytes` in order.

    ``length`` is the number of its bytes, known once entered, None when nobody has the value; then there are no
    pieces.  Every block is verified against its key and its place in the tree before it is handed out.  A step that
    failed or was cancelled may be taken again.  One task at a time reads.
    """

    def __init__(self, doors: Doors[W], key: int, timeout: float | None, counted: AbstractContextManager[None]) -> None:
        self.length: int | None = None
        self._doors = doors
        self._key = key
        self._timeout = timeout
        self._counted = counted
        self._state = _NEW
        self._rest = memoryview(b"")
        """What has come and was not handed out."""
        self._ahead: deque[_Place[W]] = deque()
        """What is left to read, in order; the front part of it, and leaves only, may be under way."""
        self._under_way = 0

    async def __aenter__(self) -> Self:
        if self._state != _NEW:
            raise RuntimeError("a value is opened once: call open() again")
        with ExitStack() as stack:
            stack.enter_context(self._counted)
            await self._open()
            stack.pop_all()
        self._state = _OPEN
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what is under way, as leaving the block does; harmless when it is closed."""
        if self._state in (_NEW, _CLOSED):
            return
        self._state = _CLOSED
        for place in self._ahead:
            if place.waiter is not None:
                self._doors.abandon(place.waiter)
        self._ahead.clear()
        self._rest = memoryview(b"")
        self._counted.__exit__(None, None, None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self.read(BLOCK_SIZE)
        if not piece:
            raise StopAsyncIteration
        return piece

    async def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most ``size``, all that is left by default; ``b""`` only at the end.

        Raises what `fetch` raises, `RuntimeError` outside of the block and when another task is reading.
        """
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"a size is an int, not {type(size).__name__}")
        if self._state != _OPEN:
            raise RuntimeError(f"the value is {self._state}: read it inside of `async with`")
        if size < 0:
            return b"".join([piece async for piece in self])
        if size and not self._rest:
            self._state = _READING
            try:
                self._rest = memoryview(await self._next())
            finally:
                if self._state == _READING:
                    self._state = _OPEN
        piece, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return piece

    async def _next(self) -> bytes:
        while self._ahead:
            self._fill()
            place = self._ahead[0]
            assert place.waiter is not None
            try:
                block = await self._block(place.waiter, place.parent.keys[place.index])
                if block is None:
                    raise Unreachable(f"a part of {self._key:040x} is missing")
            finally:
                # Whatever came of it, it is under way no more; if that was nothing, the next step asks again.
                place.waiter = None
                self._under_way -= 1
            try:
                below = place.parent.child(place.index, block)
            except ValueError as error:
                raise StorageFailed(f"{self._key:040x} is no whole value: {error}") from error
            self._ahead.popleft()
            if below is None:
                return block
            self._descend(below)
        return b""

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
            self._rest = memoryview(root)
        else:
            self.length = top.length
            self._descend(top)

    async def _block(self, waiter: W, key: int) -> bytes | None:
        result = await self._doors.wait(waiter)
        if isinstance(result, Failed):
            raise error_of(result)
        assert isinstance(result, Fetched)
        if result.value is not None and not self._doors.verified and content_key(result.value) != key:
            raise StorageFailed(f"another block than {key:040x} came")
        return result.value

    def _descend(self, top: Branch) -> None:
        self._ahead.extendleft(_Place(top, index) for index in reversed(range(len(top.keys))))

    def _fill(self) -> None:
        """Start what comes next, and the leaves behind it as far as the window and the other calls allow."""
        for index, place in enumerate(self._ahead):
            if place.waiter is None:
                if index and (self._under_way >= WINDOW or place.parent.level > 1 or not self._doors.room()):
                    return
                operation = Fetch(place.parent.keys[place.index])
                place.waiter = self._doors.start(operation, self._budget.left())
                self._under_way += 1
