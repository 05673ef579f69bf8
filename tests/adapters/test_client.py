"""`connect`: the calls of a node on no ring of one's own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from chord_adapters import Closed, Entry, JoinRefused, NotReady, Timeout, Unreachable, ValueTooLarge
from chord_adapters._client import Client
from chord_adapters._node import Node
from chord_proto.config import Config
from chord_proto.identifiers import content_key
from chord_proto.messages import Perform
from tests.adapters.backends import LISTEN, QUICK, Backend, ring, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


@asynccontextmanager
async def _lonely(backend: Backend) -> AsyncIterator[tuple[Node, Client]]:
    """A node that finds nobody to join by, and a client of it."""
    async with (
        backend.open_node(LISTEN, join=["127.0.0.1:1"], config=QUICK) as node,
        backend.connect(node.address) as client,
    ):
        yield node, client


async def test_a_client_has_the_calls_of_a_node(backend: Backend) -> None:
    """Records, long values, places: the same answers as the nodes give."""
    data = os.urandom(200_000)
    async with ring(backend, 3) as nodes, backend.connect(nodes[1].address) as client:
        assert client.address == nodes[1].address
        done = await client.put("k", b"v")
        assert await nodes[0].get("k") == Entry(b"v", done.version)
        assert await client.get("k") == Entry(b"v", done.version)
        assert await client.get("nothing") is None
        key = await client.store(data)
        assert await nodes[2].fetch(key) == data
        assert await client.fetch(key) == data
        assert await client.fetch(key ^ 1) is None
        assert await client.store(b"") == content_key(b"")
        assert await client.locate("k") == await nodes[0].locate("k")
        assert await client.replicas(key) == await nodes[0].replicas(key)
        assert (await client.describe()).me == nodes[1].peer
        await client.delete("k")
        assert await client.get("k") is None


async def test_a_client_describes_virtual_nodes(backend: Backend) -> None:
    """Each place of an address can be asked for."""
    async with ring(backend, 1, virtual_nodes=3) as nodes, backend.connect(nodes[0].address) as client:
        for peer in nodes[0].peers:
            assert (await client.describe(place=peer.id)).me == peer


async def test_nobody_there(backend: Backend) -> None:
    """A call tries until its timeout and then says that nobody was reached; a write is known not to have been."""
    async with backend.connect("127.0.0.1:1") as client:
        began = backend.now()
        with pytest.raises(Unreachable) as caught:
            await client.put("k", b"v", timeout=0.3)
        assert 0.2 < backend.now() - began < 2.0
        assert isinstance(caught.value, OSError)
        assert caught.value.retryable
        assert not caught.value.outcome_unknown


async def test_a_node_that_comes_up_later(backend: Backend) -> None:
    """A call that is under way when the node appears succeeds."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        address = node.address
        node.abort()
    found = []
    async with backend.connect(address) as client, anyio.create_task_group() as tasks:

        async def get() -> None:
            found.append(await client.get("k"))

        tasks.start_soon(get)
        await until(lambda: client._asker.links.counters.dial_failures, "a dial has failed")
        async with backend.open_node(address, config=QUICK):
            await until(lambda: found == [None], "the call has succeeded")


async def test_a_node_that_is_replaced(backend: Backend) -> None:
    """The client connects again with the next call."""
    async with backend.open_node(LISTEN, config=QUICK) as node, backend.connect(node.address) as client:
        await client.put("k", b"v")
        node.abort()
        async with backend.open_node(node.address, config=QUICK):
            assert await client.get("k") is None


async def test_the_node_dies_while_it_works(backend: Backend) -> None:
    """A read is asked again until the timeout; of a write nobody knows what became (property D11)."""
    async with _lonely(backend) as (node, client):
        caught: dict[str, Exception] = {}

        async def run(name: str) -> None:
            try:
                await (client.get("k", timeout=1.0) if name == "get" else client.put("k", b"v", timeout=1.0))
            except Unreachable as error:
                caught[name] = error

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, "get")
            tasks.start_soon(run, "put")
            await until(lambda: node.stats().nodes[0].operations == 2, "the node works on both")
            node.abort()
        outcomes = {name: getattr(error, "outcome_unknown", None) for name, error in caught.items()}
        assert outcomes == {"get": False, "put": True}


async def test_a_node_that_is_no_member(backend: Backend) -> None:
    """The node's own verdict comes before the client's timeout."""
    async with _lonely(backend) as (_, client):
        with pytest.raises(NotReady):
            await client.get("k", timeout=1.0)  # The node has a fifth less of it, and so much may a busy machine take.


async def test_a_silent_node(backend: Backend) -> None:
    """When no answer comes, a call ends by its timeout; of a write the outcome is unknown."""
    async with ring(backend, 1) as nodes, backend.connect(nodes[0].address) as client:
        await client.get("k")
        driver = nodes[0]._driver
        deliver = driver.links._receive
        driver.links._receive = lambda message, sender: (
            None if isinstance(message, Perform) else deliver(message, sender)
        )
        for call, unknown in ((client.get("k", timeout=0.2), False), (client.put("k", b"v", timeout=0.2), True)):
            with pytest.raises(Timeout) as caught:
                await call
            assert isinstance(caught.value, TimeoutError)
            assert caught.value.outcome_unknown is unknown


async def test_another_network(backend: Backend) -> None:
    """A ring of another network refuses the client, each time at once."""
    async with ring(backend, 1) as nodes, backend.connect(nodes[0].address, network="other") as client:
        for _ in range(3):
            began = backend.now()
            with pytest.raises(JoinRefused, match="network"):
                await client.get("k")
            assert backend.now() - began < 1.0


async def test_the_node_s_limit_counts(backend: Backend) -> None:
    """A value that the client lets through and the node does not is too large all the same."""
    small = Config(max_value_size=100_000)
    async with ring(backend, 1, config=small) as nodes, backend.connect(nodes[0].address) as client:
        with pytest.raises(ValueTooLarge):
            await client.put("k", bytes(200_000))
        with pytest.raises(ValueTooLarge):
            await client.put("k", bytes(5_000_000))
        assert await client.get("k") is None


async def test_a_closed_client(backend: Backend) -> None:
    """After the block, and for calls under way at its end, calls raise `Closed`."""
    async with backend.open_node(LISTEN, join=["127.0.0.1:1"], config=QUICK) as node:
        async with anyio.create_task_group() as tasks, backend.connect(node.address) as client:

            async def get() -> None:
                with pytest.raises(Closed):
                    await client.get("k")

            tasks.start_soon(get)
            await until(lambda: node.stats().nodes[0].operations == 1, "the node works on it")
        with pytest.raises(Closed):
            await client.get("k")


async def test_a_client_s_body_raises(backend: Backend) -> None:
    """The body's exception comes out bare."""
    boom = RuntimeError()
    with pytest.raises(RuntimeError) as caught:
        async with backend.connect("127.0.0.1:1"):
            raise boom
    assert caught.value is boom


async def test_a_client_and_virtual_time_of_idleness(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is not used is closed, one that waits for an answer is not."""
    monkeypatch.setattr("chord_adapters._links.IDLE_TIMEOUT", 0.1)
    monkeypatch.setattr("chord_adapters._links.CHECK_INTERVAL", 0.05)
    async with _lonely(backend) as (node, client):
        with pytest.raises(NotReady):
            await client.get("k", timeout=0.8)
        await until(lambda: len(client._asker.links) == 0, "the idle connection is closed")
        assert client._asker.links.counters.dialled == 1
        assert (await client.describe()).me == node.peer
