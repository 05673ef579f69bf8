"""Peers that are slow or silent, over real sockets, and what nodes and clients must do all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.abc

from chord_adapters._errors import ChordError, NotReady, Timeout, Unreachable
from chord_adapters._node import Node
from chord_adapters.testing._stage import LOOPBACK, PATIENCE, QUICK, Stage
from chord_adapters.testing._strangers import Stranger, stranger
from chord_proto.operations import Fetch

SERVED_WITHIN = 2.0
"""Seconds in which a call must end while somebody else is slow."""
CALLS = 20
DIALLERS = 20


async def reads_nothing(other: Stranger, key: int) -> None:
    """Ask for more and more, and read no answer."""
    with suppress(anyio.BrokenResourceError):
        while True:
            await other.ask(*[Fetch(key)] * 50)


async def reads_slowly(other: Stranger, key: int) -> None:
    """Ask for more and more, and read a byte now and then."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reads_nothing, other, key)
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
            while True:
                await other.stream.receive(1)
                await anyio.sleep(0.05)


async def writes_slowly(other: Stranger, key: int) -> None:
    """Ask byte by byte."""
    other.prepare(Fetch(key))
    with suppress(anyio.BrokenResourceError):
        for byte in other.frames.data_to_send():
            await other.stream.send(bytes([byte]))
            await anyio.sleep(0.05)


SLOW: tuple[Callable[[Stranger, int], Coroutine[Any, Any, None]], ...] = (reads_nothing, reads_slowly, writes_slowly)


@asynccontextmanager
async def silent_diallers(node: Node) -> AsyncIterator[None]:
    """Dial a node's port many times and say nothing."""
    async with AsyncExitStack() as stack:
        for _ in range(DIALLERS):
            await stack.enter_async_context(stranger(node))
        yield


@asynccontextmanager
async def silent_acceptor() -> AsyncIterator[str]:
    """Accept connections and say nothing on them; gives the address."""

    async def say_nothing(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                while True:
                    await stream.receive()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, say_nothing)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 -- Django's is another
        yield f"127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


async def served(stage: Stage, nodes: list[Node], what: str) -> None:
    """Check that a client of the last node, and the first node, are served, each call in time."""
    async with stage.connect(nodes[-1].address, config=QUICK) as client:
        for number in range(CALLS):
            try:
                done = await client.put(f"k{number}", b"v", timeout=SERVED_WITHIN)
                entry = await nodes[0].get(f"k{number}", timeout=SERVED_WITHIN)
            except ChordError as error:
                raise AssertionError(
                    f"{stage.name}: {what} others are not served within {SERVED_WITHIN:g} s: {error!r}"
                ) from error
            if entry is None or entry.version != done.version:
                raise AssertionError(f"{stage.name}: {what} put gave version {done.version}, get then gave {entry}")


async def asks_the_silent(stage: Stage, silent: str) -> None:
    """Check that a client of somebody who never answers is told so when its time is over."""
    began = stage.now()
    async with stage.connect(silent, config=QUICK) as client:
        try:
            await client.get("k", timeout=0.5)
        except (Timeout, Unreachable):
            took = stage.now() - began
        else:
            raise AssertionError(f"{stage.name}: somebody who says nothing has answered")
    if took > 0.5 + SERVED_WITHIN:
        raise AssertionError(f"{stage.name}: a call of 0.5 s to somebody who says nothing took {took:.1f} s")


async def joins_by_the_silent(stage: Stage, silent: str, nodes: list[Node]) -> None:
    """Check that a contact who says nothing hinders nobody from joining by another, nor from giving up."""
    async with stage.open_node(LOOPBACK, join=[silent, nodes[0].address], config=QUICK) as node:
        await node.wait_ready(timeout=PATIENCE)
    async with stage.open_node(LOOPBACK, join=[silent], config=QUICK) as node:
        try:
            await node.wait_ready(timeout=0.5)
        except NotReady:
            began = stage.now()
        else:
            raise AssertionError(f"{stage.name}: a node became ready whose only contact says nothing")
    took = stage.now() - began
    if took > QUICK.leave_timeout + SERVED_WITHIN:
        raise AssertionError(f"{stage.name}: giving up on a contact who says nothing took {took:.1f} s")
