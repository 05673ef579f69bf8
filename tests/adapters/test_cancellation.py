"""Cancelling at any await leaks nothing: each scenario is run again and again, cancelled at its k-th suspension."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import anyio
import pytest

from chord_adapters._node import Node
from tests.adapters.backends import LISTEN, QUICK, Backend, ring, settled, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]

MOST = 400


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
    """Run the scenario cancelled at each of its suspensions in turn, then to its end; check after each run."""
    for at in range(1, MOST):
        with anyio.CancelScope() as scope:
            run = CancelledAt(scenario(), at, scope.cancel)
            await run
        await check()
        if run.seen < at:
            return at
    raise AssertionError(f"the scenario has {MOST} suspensions or more")


async def _idle(nodes: list[Node]) -> None:
    """Check that nothing of cancelled calls is left in the nodes, and that they still serve."""
    for node in nodes:
        stats = node.stats()
        assert stats.calls == 0
        assert stats.nodes[0].operations == 0
        assert not node._driver.turns.under_way
        assert node._driver.turns.room
        assert not node._driver._tickets
    done = await nodes[0].put("afterwards", b"v")
    entry = await nodes[-1].get("afterwards")
    assert entry is not None
    assert entry.version == done.version


async def test_calls(backend: Backend) -> None:
    """Records and long values, through a node."""
    data = bytes(150_000)
    async with ring(backend, 3) as nodes:

        async def scenario() -> None:
            await nodes[1].put("k", b"v")
            await nodes[1].get("k")
            key = await nodes[1].store(data)
            assert await nodes[1].fetch(key) == data
            await nodes[1].delete("k")
            await nodes[1].replicas("k")
            await nodes[1].describe()

        assert await sweep(scenario, lambda: _idle(nodes)) > 8


async def test_a_node_s_whole_life(backend: Backend) -> None:
    """Opening, becoming ready, a call, leaving: cancelled anywhere, the ring is the same as before."""
    async with ring(backend, 2) as nodes:

        async def scenario() -> None:
            async with backend.open_node(LISTEN, join=[nodes[0].address], config=QUICK) as node:
                await node.wait_ready()
                await node.put("k", b"v")

        async def check() -> None:
            await settled(nodes)
            await _idle(nodes)

        assert await sweep(scenario, check) > 4


async def test_leaving(backend: Backend) -> None:
    """An explicit leave, cancelled anywhere, is a goodbye."""
    async with ring(backend, 2) as nodes:
        for number in range(10):
            await nodes[0].put(f"k{number}", b"v")

        async def scenario() -> None:
            async with backend.open_node(LISTEN, join=[nodes[0].address], config=QUICK) as node:
                await node.wait_ready()
                await node.leave(drain=True)

        async def check() -> None:
            await settled(nodes)
            for number in range(10):
                assert await nodes[1].get(f"k{number}") is not None

        assert await sweep(scenario, check) > 3


async def test_a_client(backend: Backend) -> None:
    """A client's calls and its end."""
    async with ring(backend, 2) as nodes:

        async def scenario() -> None:
            async with backend.connect(nodes[0].address) as client:
                await client.put("k", b"v")
                assert await client.get("k") is not None
                key = await client.store(bytes(150_000))
                assert await client.fetch(key) == bytes(150_000)
                await client.describe()

        async def check() -> None:
            await until(lambda: nodes[0].stats().nodes[0].operations == 0, "the node has ended the client's operations")
            await _idle(nodes)

        assert await sweep(scenario, check) > 6


async def test_cancelling_many_calls_at_once(backend: Backend) -> None:
    """A thousand calls, under way and waiting their turn, are cancelled together; there is room at once."""
    async with ring(backend, 2) as nodes:
        begun: list[int] = []

        async def put(number: int) -> None:
            begun.append(number)
            await nodes[1].put(f"k{number}", b"v")

        async with anyio.create_task_group() as tasks:
            for number in range(1000):
                tasks.start_soon(put, number)
            await until(lambda: len(begun) == 1000, "all calls have begun")
            tasks.cancel_scope.cancel()
        await _idle(nodes)
