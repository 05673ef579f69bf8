"""What blocking code iterates: plain iterators over asynchronous ones that live on the thread of a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Self

from chord_adapters._arguments import timeout_of
from chord_adapters._errors import Timeout
from chord_adapters._events import Gained, Lost
from chord_adapters._loop_thread import LoopThread
from chord_adapters._operations import Operations
from chord_adapters._results import Lagged, StoredValue
from chord_adapters._sources import Readable, pieces_of
from chord_adapters._subscription import Subscription
from chord_adapters._transfer import BlockReader, BlockWriter, Progress, check_progress
from chord_adapters._turns import Ticket
from chord_proto.blocks import BLOCK_SIZE

GATHERED = BLOCK_SIZE
"""Bytes of short pieces that go to the other thread in one."""


class ValueReader:
    """A value on its way here: a context manager, and in it an iterator of its pieces, `bytes` in order.

    ``length`` is the number of its bytes, None when nobody has the value; then there are no pieces.  See
    `chord_adapters.asyncio.Node.open`.
    """

    def __init__(self, thread: LoopThread, reader: BlockReader[Ticket]) -> None:
        self._thread = thread
        self._reader = reader

    @property
    def length(self) -> int | None:
        """How many bytes the value has, known once entered; None when nobody has it."""
        return self._reader.length

    def __enter__(self) -> Self:
        self._thread.wait_for(self._reader.__aenter__)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._thread.run(self._reader.close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece = self.read(BLOCK_SIZE)
        if not piece:
            raise StopIteration
        return piece

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most ``size``, all that is left by default; ``b""`` only at the end."""
        return self._thread.wait_for(self._reader.read, size)


class OwnershipReader:
    """An iterator of what happens to the arcs that a node decides for, and a context manager that ends it.

    What it tells, and raises, is what that of `chord_adapters.asyncio.Node.ownership` does.  A step waits until
    something happens, for ever with ``next(changes)`` and ``for``; one interrupted takes nothing away.
    """

    def __init__(self, thread: LoopThread, subscription: Subscription[Gained | Lost]) -> None:
        self._thread = thread
        self._subscription = subscription

    def __enter__(self) -> Self:
        self._thread.wait_for(self._subscription.__aenter__)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Gained | Lost | Lagged:
        return self.next()

    def next(self, timeout: float | None = None) -> Gained | Lost | Lagged:
        """Return what happens next; raises `Timeout` after ``timeout`` seconds, `StopIteration` once it is closed."""
        event = self._thread.wait_for(self._next, timeout_of(timeout))
        if event is None:
            raise StopIteration
        return event

    async def _next(self, timeout: float | None) -> Gained | Lost | Lagged | None:
        try:
            async with asyncio.timeout(timeout):
                return await anext(self._subscription, None)
        except TimeoutError:
            raise Timeout("nothing has happened within the timeout") from None

    def close(self) -> None:
        """End it, from any thread: whoever waits for the next event has come to the end.  Harmless twice."""
        self._thread.run(self._subscription.close)


def store_from(
    thread: LoopThread,
    operations: Operations[Ticket],
    source: Readable | Iterable[bytes],
    progress: Progress | None,
    timeout: float | None,
) -> StoredValue:
    """Store what ``source`` gives; it is read, and ``progress`` called, in the thread of the caller."""
    check_progress(progress)
    told: list[int] = []
    gathered = bytearray()
    entering = operations._writer(None if progress is None else told.append, timeout)

    def tell() -> None:
        while told and progress is not None:
            progress(told.pop(0))

    def feed(writer: BlockWriter[Ticket]) -> None:
        thread.wait_for(writer.feed, bytes(gathered))
        gathered.clear()
        tell()

    with ExitStack() as stack:
        pieces = stack.enter_context(pieces_of(source))
        writer = thread.run(entering.__enter__)
        stack.callback(thread.run, entering.__exit__, None, None, None)
        for piece in pieces:
            gathered += piece
            if len(gathered) >= GATHERED:
                feed(writer)
        feed(writer)
        stored = thread.wait_for(writer.finish)
        tell()
    return stored
