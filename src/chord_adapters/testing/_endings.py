"""The ways in which nodes and clients end, each of which must leave nothing behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from chord_adapters._errors import Closed, NotReady
from chord_adapters.testing._stage import LOOPBACK, QUICK, Stage

NOBODY = "127.0.0.1:1"
"""Where nobody listens."""


class _Boom(Exception):
    """The body's own."""


async def normally(stage: Stage) -> None:
    """A ring is used and left."""
    async with stage.ring(3) as nodes:
        await nodes[0].put("k", b"v")
        await nodes[1].fetch(await nodes[2].store(bytes(100_000)))


async def by_exception(stage: Stage) -> None:
    """The body's exception comes out as it is, in no group."""
    async with stage.ring(2) as nodes:
        boom = _Boom()

        async def raise_within() -> None:
            async with stage.open_node(LOOPBACK, join=[nodes[0].address], config=QUICK) as node:
                await node.wait_ready()
                raise boom

        try:
            await raise_within()
        except BaseException as error:
            if error is not boom:
                raise AssertionError(f"the body's own exception came out as {error!r}") from error
        else:
            raise AssertionError("the body's own exception did not come out")
        await stage.settled(nodes)


async def by_cancellation(stage: Stage) -> None:
    """The body is cancelled while it waits; that is all that is cancelled."""
    async with stage.ring(2) as nodes:
        with anyio.CancelScope() as scope:
            async with stage.open_node(LOOPBACK, join=[nodes[0].address], config=QUICK) as node:
                await node.wait_ready()
                scope.cancel()
                await node.get("k")
        await stage.settled(nodes)


async def by_abort(stage: Stage) -> None:
    """A node crashes with a call under way, which raises `Closed`."""
    async with stage.ring(3) as nodes:
        async with stage.open_node(LOOPBACK, join=[NOBODY], config=QUICK) as node, anyio.create_task_group() as tasks:

            async def ask() -> None:
                try:
                    await node.get("k")
                except Closed:
                    return
                raise AssertionError("a call of a node that was aborted did not raise Closed")

            tasks.start_soon(ask)
            await stage.until(lambda: node.stats().calls == 1, "the call is under way", within=5.0)
            node.abort()
        nodes[1].abort()
        await stage.settled([nodes[0], nodes[2]])


async def without_a_ring(stage: Stage) -> None:
    """A node that never found a ring is ended."""
    async with stage.open_node(LOOPBACK, join=[NOBODY], config=QUICK) as node:
        try:
            await node.wait_ready(timeout=0.3)
        except NotReady:
            return
        raise AssertionError("a node whose only contact is not there became ready")


async def a_client(stage: Stage) -> None:
    """A client that has asked, and one that has not, are closed; its node goes away before it."""
    async with stage.ring(2) as nodes:
        async with stage.connect(nodes[0].address, config=QUICK) as client:
            await client.put("k", b"v")
            nodes[0].abort()
        async with stage.connect(nodes[1].address, config=QUICK):
            pass


ENDINGS: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    normally,
    by_exception,
    by_cancellation,
    by_abort,
    without_a_ring,
    a_client,
)
