"""What stories and checks run on: an adapter, and how time passes there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Protocol

import anyio
import attrs

from chord_adapters._node import Node
from chord_adapters.memory import Network
from chord_proto.config import Config
from chord_proto.identifiers import distance

QUICK = Config(
    stabilize_interval=0.1,
    finger_interval=0.2,
    repair_interval=0.5,
    probe_interval=0.2,
    probe_interval_max=0.5,
    eager_delay=0.01,
    operation_timeout=5.0,
    leave_timeout=3.0,
)
"""Short periods, so that what takes a few rounds takes a second."""
LOOPBACK = "127.0.0.1:0"
PATIENCE = 30.0
"""Seconds in which what must happen has happened, also on a busy machine."""


class Adapter(Protocol):
    """A module such as `chord_adapters.asyncio`, or anything that has these two.

    Where time is virtual there are ``sleep`` and ``current_time`` too, as in `chord_adapters.memory`.
    """

    @property
    def open_node(self) -> Callable[..., AbstractAsyncContextManager[Any]]:
        """Open a node, as `chord_adapters.asyncio.open_node` does."""

    @property
    def connect(self) -> Callable[..., AbstractAsyncContextManager[Any]]:
        """Make a client, as `chord_adapters.asyncio.connect` does."""


@attrs.frozen
class Stage:
    """An adapter and how time passes there; ``net`` is the simulated network, None where connections are real."""

    name: str
    open_node: Callable[..., AbstractAsyncContextManager[Any]]
    connect: Callable[..., AbstractAsyncContextManager[Any]]
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    now: Callable[[], float] = anyio.current_time
    net: Network | None = None

    async def until(self, condition: Callable[[], object], what: str, *, within: float = PATIENCE) -> None:
        """Wait until ``condition()`` holds; `AssertionError`, saying what was waited for, when it does not in time."""
        deadline = self.now() + within
        while not condition() and self.now() < deadline:
            await self.sleep(0.01)
        if not condition():
            raise AssertionError(f"{self.name}: not within {within:g} s: {what}")

    async def settled(self, nodes: list[Node], config: Config = QUICK) -> None:
        """Wait until these nodes are one ideal ring and serve their ranges."""
        await self.until(lambda: is_settled(nodes, config), f"the ring of {len(nodes)} is ideal")

    @asynccontextmanager
    async def ring(self, size: int, **options: Any) -> AsyncIterator[list[Node]]:
        """Open an ideal ring of so many nodes on loopback; all leave at the end."""
        options = {"config": QUICK, **options}
        async with AsyncExitStack() as stack:
            nodes: list[Node] = []
            for _ in range(size):
                join = [nodes[0].address] if nodes else []
                nodes.append(await stack.enter_async_context(self.open_node(LOOPBACK, join=join, **options)))
                await nodes[-1].wait_ready(timeout=PATIENCE)
            await self.settled(nodes, options["config"])
            yield nodes


@contextmanager
def stage_of(adapter: Adapter, *, seed: int = 0) -> Iterator[Stage]:
    """Return the stage that an adapter is, a fresh network if it simulates one; raises `TypeError` for what is none."""
    for name in ("open_node", "connect"):
        if not callable(getattr(adapter, name, None)):
            raise TypeError(f"an adapter has open_node and connect; {adapter!r} has no {name}")
    name = str(getattr(adapter, "__name__", None) or adapter)
    sleep = getattr(adapter, "sleep", anyio.sleep)
    now = getattr(adapter, "current_time", anyio.current_time)
    if not hasattr(adapter, "Network"):
        yield Stage(name, adapter.open_node, adapter.connect, sleep, now)
        return
    with Network(seed) as net:
        yield Stage(name, adapter.open_node, adapter.connect, sleep, now, net)


def is_ideal(nodes: Iterable[Node], config: Config = QUICK) -> bool:
    """Tell whether every node's pointers name the next places of exactly these nodes."""
    nodes = list(nodes)
    peers = sorted((peer for node in nodes for peer in node.peers), key=lambda peer: peer.id)
    for node in nodes:
        others = (peer for peer in peers if peer.id != node.id)
        order = sorted(others, key=lambda peer: distance(node.id, peer.id, config.bits))
        least = min(config.successors, len(order))
        if node.successors != tuple(order[: max(least, len(node.successors))]):
            return False
        if order and (not node.successors or node.predecessor != order[-1]):
            return False
    return True


def is_settled(nodes: Iterable[Node], config: Config = QUICK) -> bool:
    """Tell whether they are an ideal ring, serve their ranges, and have nothing more to hand over or repair."""
    nodes = list(nodes)
    return is_ideal(nodes, config) and all(node.is_ready and not node.health().pending for node in nodes)
