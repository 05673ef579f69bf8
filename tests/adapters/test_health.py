"""What a node says of how it is, the same on every backend."""

from __future__ import annotations

import pytest

from tests.adapters.backends import LISTEN, QUICK, Backend, ring, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


async def test_a_ring_forms(backend: Backend) -> None:
    """Alone it is a member, forming and safe; with as many addresses as replicas the ring is formed, and stays so."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        await node.wait_ready()
        health = node.health()
        assert (True, True, False, False, 0) == (
            health.member,
            health.in_order,
            health.formed,
            health.unsafe,
            health.missing,
        )
    async with ring(backend, 3) as nodes:
        await until(lambda: all(node.health().formed for node in nodes), "the ring is formed")
        await until(lambda: all(node.health().last_repair is not None for node in nodes), "all was compared")
        health = nodes[0].health()
        assert ("small", True, 0, 0) == (health.state, health.in_order, health.missing, health.pending)
        assert health.last_repair is not None
        assert 0 <= health.last_repair < 20


async def test_a_replica_is_missing(backend: Backend) -> None:
    """Of three one crashes: it is missing, writes are safe; of three two crash: they are not."""
    async with ring(backend, 3) as nodes:
        await until(lambda: all(node.health().formed for node in nodes), "the ring is formed")
        nodes[2].abort()
        await until(lambda: all(node.health().missing == 1 for node in nodes[:2]), "one is missing")
        await until(lambda: all(node.health().in_order for node in nodes[:2]), "the ring is in order")
        assert [False, False] == [node.health().unsafe for node in nodes[:2]]
        nodes[1].abort()
        await until(lambda: nodes[0].health().unsafe, "writes are not safe")
        assert ("unsafe", 2) == (nodes[0].health().state, nodes[0].health().missing)
