"""Recursive lookups over what users run: the nodes of each adapter."""

from __future__ import annotations

from contextlib import AsyncExitStack

import attrs
import pytest

from chord_adapters._node import Node
from chord_adapters.testing._stage import is_settled
from tests.adapters.backends import LISTEN, QUICK, Backend, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]

RECURSIVE = attrs.evolve(QUICK, routing="recursive", peer_cache=False, successors=2, predecessors=2, replicas=1)
"""Lookups go by fingers and two neighbours, so that a few nodes need several hops."""


async def test_questions_are_passed_on(backend: Backend) -> None:
    """Every node finds the same owners, and reads what others wrote; nodes count what they pass on."""
    async with AsyncExitStack() as stack:
        nodes: list[Node] = []
        for _ in range(8):
            join = [nodes[0].address] if nodes else []
            nodes.append(await stack.enter_async_context(backend.open_node(LISTEN, join=join, config=RECURSIVE)))
        await until(lambda: is_settled(nodes, RECURSIVE), "the ring is at rest")
        keys = [f"k{number}" for number in range(12)]
        for key in keys:
            await nodes[0].put(key, key.encode())
        for node in nodes:
            for key in keys:
                entry = await node.get(key)
                assert entry is not None
                assert key.encode() == entry.value
                assert await nodes[0].locate(key) == await node.locate(key)

        def passed_on() -> int:
            return sum(place.forwarded for node in nodes for place in node.stats().nodes)

        await until(lambda: passed_on() > 0, "a question was passed on")
        assert 0 == sum(node.stats().links.unsendable for node in nodes)
