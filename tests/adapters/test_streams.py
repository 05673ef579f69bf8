"""Long values in pieces: what they are read from, what is refused, and that nothing is left when it ends early."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from chord_adapters import Closed
from chord_adapters._node import Node
from chord_adapters._sources import TURN
from chord_adapters._transfer import WINDOW
from chord_adapters.testing._cancelling import still_serves, sweep
from chord_proto.blocks import BLOCK_SIZE
from tests.adapters.backends import LISTEN, QUICK, Backend, ring

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]

PIECES = [os.urandom(size) for size in (1, 300_000, 0, BLOCK_SIZE, 1_200_000)]
WHOLE = b"".join(PIECES)


async def pieces_of(pieces: list[bytes], closed: list[str]) -> AsyncIterator[bytes]:
    """Yield the pieces; note when it is closed."""
    try:
        for piece in pieces:
            await anyio.lowlevel.checkpoint()
            yield piece
    finally:
        closed.append("asynchronous")


def plain_pieces_of(pieces: list[bytes], closed: list[str]) -> Iterator[bytes]:
    """Yield the pieces; note when it is closed."""
    try:
        yield from pieces
    finally:
        closed.append("plain")


async def nothing_under_way(nodes: list[Node]) -> None:
    """Check that no call and no operation is left, and that all serve."""
    for node in nodes:
        assert not node._driver.turns.under_way
        assert not node._driver._tickets
    await still_serves(nodes)


async def test_what_a_value_is_read_from(backend: Backend, tmp_path: Path) -> None:
    """Iterables of pieces and files of all kinds give the value that `store` gives, on nodes and clients."""
    path = tmp_path / "value"
    path.write_bytes(WHOLE)
    told: list[int] = []
    async with ring(backend, 3) as nodes, backend.connect(nodes[1].address) as client:
        key = await nodes[0].store(WHOLE)
        with path.open("rb") as file:
            async with await anyio.open_file(path, "rb") as async_file, nodes[2].open(key) as reader:
                for source in (
                    PIECES,
                    pieces_of(PIECES, []),
                    plain_pieces_of(PIECES, []),
                    io.BytesIO(WHOLE),
                    file,
                    async_file,
                    reader,
                ):
                    stored = await client.store_stream(source, progress=told.append)
                    assert (key, len(WHOLE), 8) == (stored.key, stored.bytes, stored.blocks)
        assert 7 * len(WHOLE) == sum(told)
        assert await nodes[0].store(b"") == (await nodes[1].store_stream([])).key


async def test_a_value_is_read_in_pieces(backend: Backend) -> None:
    """The length is known at once, pieces come in order, none longer than a block; of what nobody has there are none."""
    async with ring(backend, 3) as nodes, backend.connect(nodes[2].address) as client:
        key = await nodes[0].store(WHOLE)
        for who in (nodes[1], client):
            async with who.open(key) as reader:
                assert len(WHOLE) == reader.length
                got = [piece async for piece in reader]
            assert WHOLE == b"".join(got)
            assert BLOCK_SIZE == max(map(len, got))
            async with who.open(key ^ 1) as reader:
                assert reader.length is None
                assert [] == [piece async for piece in reader]
                assert await reader.read() == b""


async def fail_within(node: Node, key: int) -> None:
    """Read one piece and raise."""
    async with node.open(key) as reader:
        await anext(reader)
        raise LookupError("enough")


async def test_a_reader_closed_early(backend: Backend) -> None:
    """Leaving before the end leaves nothing under way, by whatever way."""
    async with ring(backend, 2) as nodes:
        key = await nodes[0].store(bytes(2 * WINDOW * BLOCK_SIZE))
        async with nodes[1].open(key) as reader:
            await anext(reader)
        with pytest.raises(LookupError, match="enough"):
            await fail_within(nodes[1], key)
        await nothing_under_way(nodes)


async def test_a_step_that_was_cancelled_is_taken_again(backend: Backend) -> None:
    """A reader whose step was cancelled goes on where it was."""
    async with ring(backend, 2) as nodes:
        key = await nodes[0].store(WHOLE)
        async with nodes[1].open(key) as reader:
            got: list[bytes] = []
            while len(b"".join(got)) < len(WHOLE):
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await anext(reader)
                assert scope.cancelled_caught
                got.append(await anext(reader))
        assert WHOLE == b"".join(got)


async def test_two_tasks_do_not_read_at_once(backend: Backend) -> None:
    """The second is told so, and the first goes on."""
    async with ring(backend, 2) as nodes:
        key = await nodes[0].store(WHOLE)
        refused: list[str] = []
        got: list[bytes] = []
        async with nodes[1].open(key) as reader:

            async def read() -> None:
                try:
                    got.append(await reader.read())
                except RuntimeError as error:
                    refused.append(str(error))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                tasks.start_soon(read)
        assert [WHOLE] == got
        assert ["the value is being read by another task: read it inside of `async with`"] == refused


@pytest.mark.parametrize(
    "source, what",
    [
        (b"bytes", "store"),
        (bytearray(b"bytes"), "store"),
        (memoryview(b"bytes"), "store"),
        ("text", "source"),
        (None, "source"),
        (7, "source"),
        (Path("file"), "source"),
        (io.StringIO("text"), "binary"),
        ([7], "bytes"),
        (["text"], "bytes"),
        ([None], "bytes"),
        ([bytearray(b"bytes")], "bytes"),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_what_is_no_source(backend: Backend, source: Any, what: str) -> None:
    """It is a `TypeError` at once, before anybody is asked."""
    async with backend.open_node(LISTEN, config=QUICK) as node, backend.connect("127.0.0.1:1") as client:
        for who in (node, client):
            with pytest.raises(TypeError, match=what):
                await who.store_stream(source)


async def test_other_bad_arguments(backend: Backend) -> None:
    """Also of the key, the timeout and what hears of the progress; then the source is not touched."""
    async with backend.open_node(LISTEN, config=QUICK) as node, backend.connect("127.0.0.1:1") as client:
        for who in (node, client):
            source = io.BytesIO(b"some value")
            for key, timeout, error in (
                ("k", None, TypeError),
                (True, None, TypeError),
                (-1, None, ValueError),
                (1, 0, ValueError),
            ):
                with pytest.raises(error):
                    who.open(key, timeout=timeout)
            with pytest.raises(TypeError, match="progress"):
                await who.store_stream(source, progress=7)
            with pytest.raises(ValueError, match="timeout"):
                await who.store_stream(source, timeout=-1.0)
            assert 0 == source.tell()


class Broken(io.RawIOBase):
    """A file of which only the first bytes can be read."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.left = [bytes(40 * BLOCK_SIZE)]

    def read(self, size: int = -1, /) -> bytes:
        """Return the first bytes, then raise."""
        if not self.left:
            raise self.error
        return self.left.pop()


async def test_a_source_that_raises(backend: Backend) -> None:
    """Its exception comes out bare, with many blocks under way; they are cancelled, and the ring goes on."""
    error = LookupError("the source broke")

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(40 * BLOCK_SIZE)
        raise error

    def plain() -> Iterator[bytes]:
        yield bytes(40 * BLOCK_SIZE)
        raise error

    async with ring(backend, 3) as nodes:
        for source in (broken(), plain(), Broken(error)):
            with pytest.raises(LookupError) as caught:
                await nodes[1].store_stream(source)
            assert error is caught.value
            await nothing_under_way(nodes)
        with pytest.raises(TypeError, match="a value is bytes"):
            await nodes[1].store_stream([bytes(40 * BLOCK_SIZE), "text"])  # type: ignore[list-item]
        await nothing_under_way(nodes)


async def test_generators_are_closed(backend: Backend) -> None:
    """Whether all was stored, storing failed, or the node has ended, the generator is not left in its middle."""
    closed: list[str] = []

    def fail(_: int) -> None:
        raise LookupError("no progress")

    async with ring(backend, 2) as nodes:
        await nodes[0].store_stream(pieces_of(PIECES, closed))
        await nodes[0].store_stream(plain_pieces_of(PIECES, closed))
        many = [bytes(BLOCK_SIZE)] * 40
        for source in (pieces_of(many, closed), plain_pieces_of(many, closed)):
            with pytest.raises(LookupError, match="no progress"):
                await nodes[0].store_stream(source, progress=fail)
        nodes[1].abort()
        for source in (pieces_of(many, closed), plain_pieces_of(many, closed)):
            with pytest.raises(Closed):
                await nodes[1].store_stream(source)
        assert 3 * ["asynchronous", "plain"] == closed


async def test_short_pieces_leave_others_their_turn(backend: Backend) -> None:
    """A source that never has to wait, however short its pieces, does not keep the loop to itself."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with backend.open_node(LISTEN, config=QUICK) as node:
        await node.wait_ready()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            stored = await node.store_stream(b"" if number % 2 else b"x" for number in range(50 * TURN))
            assert 25 * TURN == stored.bytes
            assert turns >= 50
            tasks.cancel_scope.cancel()


async def test_cancelling_at_each_await(backend: Backend, tmp_path: Path) -> None:
    """Storing from a generator and from a file, and reading to the end or not: cancelled anywhere, nothing is left."""
    path = tmp_path / "value"
    path.write_bytes(WHOLE[:600_000])
    closed: list[str] = []
    begun = 0
    async with ring(backend, 3) as nodes:

        async def scenario() -> None:
            nonlocal begun
            with path.open("rb") as file:
                await nodes[1].store_stream(file)
            begun += 1
            stored = await nodes[1].store_stream(pieces_of([WHOLE[:400_000], WHOLE[400_000:600_000]], closed))
            async with nodes[1].open(stored.key) as reader:
                await reader.read(10)
            async with nodes[1].open(stored.key) as reader:
                assert WHOLE[:600_000] == await reader.read()

        async def check() -> None:
            assert begun == len(closed)
            await nothing_under_way(nodes)

        runs: Awaitable[int] = sweep(scenario, check)
        assert await runs > 12
