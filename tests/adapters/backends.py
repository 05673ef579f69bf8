"""What the contract suite runs on: an object with ``open_node`` and ``connect``, and the event loop it needs."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

import anyio
import attrs

from chord_adapters._node import Node
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


@attrs.frozen
class Backend:
    """One implementation of the interface."""

    name: str
    loop: str
    open_node: Callable[..., Any]
    connect: Callable[..., Any]

    def __str__(self) -> str:
        return self.name


def _installed() -> list[Backend]:
    backends = []
    for name in ("asyncio", "trio"):
        if importlib.util.find_spec(name) is not None:
            module = import_module(f"chord_adapters.{name}")
            backends.append(Backend(name, name, module.open_node, module.connect))
    return backends


SOCKETS = _installed()
"""The adapters that use real sockets."""
LISTEN = "127.0.0.1:0"


async def until(condition: Callable[[], object], what: str, *, within: float = 15.0) -> None:
    """Wait until ``condition()`` holds; fail, saying what was waited for, when it does not in time (seconds)."""
    deadline = anyio.current_time() + within
    while not condition() and anyio.current_time() < deadline:
        await anyio.sleep(0.005)
    assert condition(), f"not within {within} s: {what}"


def is_ideal(nodes: Iterable[Node]) -> bool:
    """Tell whether every node's pointers name the next places of exactly these nodes."""
    peers = sorted((peer for node in nodes for peer in node.peers), key=lambda peer: peer.id)
    for node in nodes:
        order = sorted((peer for peer in peers if peer.id != node.id), key=lambda peer: distance(node.id, peer.id, 160))
        if node.successors[: len(order)] != tuple(order[: len(node.successors)]):
            return False
        if order and (not node.successors or node.predecessor != order[-1]):
            return False
    return True


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
