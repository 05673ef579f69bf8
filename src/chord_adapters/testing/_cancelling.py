"""Cancelling at any await: each scenario is run again and again, cancelled at its first, second, third … suspension."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import anyio

from chord_adapters._node import Node
from chord_adapters.testing._stage import LOOPBACK, PATIENCE, QUICK, Stage

MOST = 400
"""No scenario has so many suspensions."""
LONG = bytes(600_000)
Check: TypeAlias = Callable[[list[Node]], Awaitable[None]]
"""Looks at the ring after each run; raises `AssertionError`."""


class CancelledAt(Awaitable[None]):
    """Awaits ``coroutine`` and calls ``cancel`` at its ``at``-th suspension; counts the suspensions in ``seen``."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], at: int, cancel: Callable[[], None]) -> None:
        self.coroutine = coroutine
        self.at = at
        self.cancel = cancel
        self.seen = 0

    def __await__(self) -> Generator[Any, Any, None]:
        step: Callable[[], Any] = lambda: self.coroutine.send(None)  # noqa: E731
        while True:
            try:
                suspended = step()
            except StopIteration:
                return
            self.seen += 1
            if self.seen == self.at:
                self.cancel()
            try:
                received = yield suspended
            except BaseException as error:  # noqa: BLE001 -- thrown in where it belongs
                thrown = error
                step = lambda thrown=thrown: self.coroutine.throw(thrown)  # type: ignore[misc]  # noqa: E731
            else:
                step = lambda received=received: self.coroutine.send(received)  # type: ignore[misc]  # noqa: E731


async def sweep(scenario: Callable[[], Coroutine[Any, Any, None]], check: Callable[[], Awaitable[None]]) -> int:
    """Run the scenario cancelled at each of its suspensions in turn, then to its end; check after each run.

    Return how many runs there were.  `AssertionError` when a run or a check hangs, or a check fails.
    """
    for at in range(1, MOST):
        try:
            with anyio.fail_after(2 * PATIENCE):
                with anyio.CancelScope() as scope:
                    run = CancelledAt(scenario(), at, scope.cancel)
                    await run
                await check()
        except TimeoutError as error:
            raise AssertionError(f"cancelled at suspension {at}, something hung for {2 * PATIENCE:g} s") from error
        except AssertionError as error:
            raise AssertionError(f"cancelled at suspension {at}: {error}") from error
        if run.seen < at:
            return at
    raise AssertionError(f"the scenario has {MOST} suspensions or more")


async def still_serves(nodes: list[Node]) -> None:
    """Check that nothing of cancelled calls is left in the nodes, and that they serve."""
    for node in nodes:
        stats = node.stats()
        if stats.calls:
            raise AssertionError(f"{stats.calls} calls of {node!r} have not ended")
        if operations := sum(each.operations for each in stats.nodes):
            raise AssertionError(f"{operations} operations of {node!r} have not ended")
    done = await nodes[0].put("afterwards", b"v")
    entry = await nodes[-1].get("afterwards")
    if entry is None or entry.version != done.version:
        raise AssertionError(f"put gave version {done.version}, get then gave {entry}")


async def calls(stage: Stage, check: Check) -> int:
    """Records and long values, through a node."""
    async with stage.ring(3) as nodes:

        async def scenario() -> None:
            await nodes[1].put("k", b"v")
            await nodes[1].get("k")
            key = await nodes[1].store(LONG)
            if await nodes[1].fetch(key) != LONG:
                raise AssertionError("what was stored is not what was fetched")
            await nodes[1].delete("k")
            await nodes[1].replicas("k")
            await nodes[1].describe()

        return await sweep(scenario, lambda: check(nodes))


async def a_node_s_whole_life(stage: Stage, check: Check) -> int:
    """Opening, becoming ready, a call, leaving: cancelled anywhere, the ring is the same as before."""
    async with stage.ring(2) as nodes:

        async def scenario() -> None:
            async with stage.open_node(LOOPBACK, join=[nodes[0].address], config=QUICK) as node:
                await node.wait_ready()
                await node.put("k", b"v")

        async def afterwards() -> None:
            await stage.settled(nodes)
            await check(nodes)

        return await sweep(scenario, afterwards)


async def leaving(stage: Stage, check: Check) -> int:
    """An explicit leave, cancelled anywhere, is a goodbye; nothing is lost."""
    async with stage.ring(2) as nodes:
        for number in range(10):
            await nodes[0].put(f"k{number}", b"v")

        async def scenario() -> None:
            async with stage.open_node(LOOPBACK, join=[nodes[0].address], config=QUICK) as node:
                await node.wait_ready()
                await node.leave(drain=True)

        async def afterwards() -> None:
            await stage.settled(nodes)
            for number in range(10):
                if await nodes[1].get(f"k{number}") is None:
                    raise AssertionError(f"the record k{number} is lost")
            await check(nodes)

        return await sweep(scenario, afterwards)


async def a_client(stage: Stage, check: Check) -> int:
    """A client's calls and its end."""
    async with stage.ring(2) as nodes:

        async def scenario() -> None:
            async with stage.connect(nodes[0].address) as client:
                await client.put("k", b"v")
                await client.get("k")
                key = await client.store(LONG)
                if await client.fetch(key) != LONG:
                    raise AssertionError("what was stored is not what was fetched")
                await client.describe()

        async def afterwards() -> None:
            await stage.until(
                lambda: nodes[0].stats().nodes[0].operations == 0, "the node has ended the client's operations"
            )
            await check(nodes)

        return await sweep(scenario, afterwards)


SCENARIOS: Mapping[Callable[[Stage, Check], Awaitable[int]], int] = MappingProxyType(
    {calls: 8, a_node_s_whole_life: 4, leaving: 3, a_client: 6}
)
"""The scenarios, each with how many runs it has at the very least."""
