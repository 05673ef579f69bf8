"""What the contract suite runs on: an object with ``open_node`` and ``connect``, and the event loop it needs."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

import anyio
import attrs
import pytest

from chord_adapters import memory
from chord_adapters._node import Node
from chord_adapters.testing import _stage
from chord_adapters.testing._stage import QUICK


@attrs.frozen
class Backend:
    """One implementation of the interface."""

    name: str
    loop: str
    """The event loop that it needs, for anyio's plugin."""
    open_node: Callable[..., Any]
    connect: Callable[..., Any]
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    """Lets time pass, in seconds: that of the loop, or virtual time."""
    now: Callable[[], float] = anyio.current_time
    adapter: Any = None
    """The module."""

    def __str__(self) -> str:
        return self.name


__all__ = [
    "LISTEN",
    "LOOPS",
    "MEMORY",
    "QUICK",
    "SOCKETS",
    "Backend",
    "in_use",
    "is_ideal",
    "over_sockets",
    "ring",
    "settled",
    "until",
]

LOOPS = [name for name in ("asyncio", "trio") if importlib.util.find_spec(name) is not None]
"""The event loops that are installed."""


def _over_sockets(loop: str) -> Backend:
    module = import_module(f"chord_adapters.{loop}")
    return Backend(loop, loop, module.open_node, module.connect, adapter=module)


SOCKETS = [_over_sockets(loop) for loop in LOOPS]
"""The adapters that use real sockets."""
MEMORY = Backend("memory", "asyncio", memory.open_node, memory.connect, memory.sleep, memory.current_time, memory)
"""The one that simulates a network in virtual time."""
over_sockets = pytest.mark.parametrize("backend", SOCKETS, ids=str, indirect=True)
"""For tests that use sockets of their own."""
in_use: list[Backend] = []
"""The backend of the test that is running."""
LISTEN = "127.0.0.1:0"


async def until(condition: Callable[[], object], what: str, *, within: float = 15.0) -> None:
    """Wait until ``condition()`` holds; fail, saying what was waited for, when it does not in time (seconds)."""
    backend = in_use[-1] if in_use else SOCKETS[0]
    deadline = backend.now() + within
    while not condition() and backend.now() < deadline:
        await backend.sleep(0.005)
    assert condition(), f"not within {within} s: {what}"


def is_ideal(nodes: Iterable[Node]) -> bool:
    """Tell whether every node's pointers name the next places of exactly these nodes, and short lists came round."""
    nodes = list(nodes)
    places = sum(len(node.peers) for node in nodes)
    short = [node for node in nodes if len(node.successors) == places - 1]
    return _stage.is_ideal(nodes) and all(node._driver.nodes[0].came_round for node in short)


async def settled(nodes: list[Node]) -> None:
    """Wait until these nodes are one ideal ring and serve their ranges."""
    for node in nodes:
        await node.wait_ready(timeout=15.0)
    await until(lambda: is_ideal(nodes), "the ring is ideal")


@asynccontextmanager
async def ring(backend: Backend, size: int, **options: Any) -> AsyncIterator[list[Node]]:
    """Open an ideal ring of so many nodes on loopback; all leave at the end."""
    options = {"config": QUICK, **options}
    async with AsyncExitStack() as stack:
        nodes: list[Node] = []
        for _ in range(size):
            join = [nodes[0].address] if nodes else []
            nodes.append(await stack.enter_async_context(backend.open_node(LISTEN, join=join, **options)))
        await settled(nodes)
        yield nodes
