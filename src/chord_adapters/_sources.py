"""What a long value is read from: a binary file, or an iterable of bytes, asynchronous or not."""

from __future__ import annotations

import inspect
import io
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol, TypeAlias, TypeGuard

from chord_adapters._arguments import bytes_of

PIECE = 1024 * 1024
"""How many bytes of a file are read at once, in a thread."""
TURN = 64
"""Pieces of an iterable that are taken before other tasks get a turn, however short the pieces are."""


class Readable(Protocol):
    """A binary file: one that is read in a thread, or an asynchronous one, whose ``read`` is awaited."""

    def read(self, size: int, /) -> bytes | Awaitable[bytes]:
        """Return the next bytes, at most ``size``, ``b""`` at the end."""


Source: TypeAlias = Readable | AsyncIterable[bytes] | Iterable[bytes]
"""What `store_stream` takes."""
Read: TypeAlias = Callable[[], Awaitable[bytes]]
"""Returns the next bytes of a value, ``b""`` at its end."""


@asynccontextmanager
async def reading(source: Source) -> AsyncIterator[Read]:
    """Return what reads ``source``; a generator is closed afterwards.  Raises `TypeError` on entering."""
    if _is_file(source):
        yield _read_file(source)
    elif isinstance(source, AsyncIterable):
        pieces = aiter(source)
        try:
            yield _read_iterable(pieces)
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()
    else:
        with _iterated(source) as found:
            yield _read_iterable(found)


@contextmanager
def pieces_of(source: Readable | Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """Return the pieces of ``source`` for blocking code; a generator is closed afterwards.  Raises `TypeError`."""
    if _is_file(source):
        if inspect.iscoroutinefunction(source.read):
            raise TypeError(f"blocking code cannot await the read of {type(source).__name__}")
        yield iter(lambda: bytes_of(source.read(PIECE)), b"")  # type: ignore[arg-type]  # Checked there.
    else:
        with _iterated(source) as found:
            yield (bytes_of(piece) for piece in found)


@contextmanager
def _iterated(source: object) -> Iterator[Iterator[bytes]]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        raise TypeError(f"{type(source).__name__} is a whole value: store() takes bytes")
    if isinstance(source, str) or not isinstance(source, Iterable):
        raise TypeError(f"a source is a binary file or an iterable of bytes, not {type(source).__name__}")
    pieces: Iterator[Any] = iter(source)
    try:
        yield pieces
    finally:
        if isinstance(pieces, Generator):
            pieces.close()


def _is_file(source: object) -> TypeGuard[Readable]:
    if isinstance(source, io.TextIOBase):
        raise TypeError("the file is open as text: open it in binary mode, 'rb'")
    return callable(getattr(source, "read", None))


def _read_file(file: Readable) -> Read:
    in_place = inspect.iscoroutinefunction(file.read) or isinstance(file, io.BytesIO)

    async def read() -> bytes:
        if in_place:
            piece = file.read(PIECE)
            return bytes_of(await piece if isinstance(piece, Awaitable) else piece)
        from anyio import to_thread

        return bytes_of(await to_thread.run_sync(file.read, PIECE))  # type: ignore[arg-type]  # Checked there.

    return read


def _read_iterable(pieces: Iterator[bytes] | AsyncIterator[bytes]) -> Read:
    taken = 0

    async def read() -> bytes:
        nonlocal taken
        piece = b""
        while not piece:
            taken += 1
            if taken % TURN == 0:
                from anyio.lowlevel import checkpoint

                await checkpoint()
            try:
                piece = bytes_of(next(pieces) if isinstance(pieces, Iterator) else await anext(pieces))
            except (StopIteration, StopAsyncIteration):
                break
        return piece

    return read
