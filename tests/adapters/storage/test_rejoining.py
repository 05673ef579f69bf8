"""A node that was a member finds its ring again by itself; where there is none any more it is one, and rings merge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest

from chord_adapters import Entry, JoinRefused, NoQuorum, NotReady, memory
from chord_adapters._kept import ALONE_AFTER, ALONE_SPREAD
from chord_adapters._node import Node
from chord_adapters.memory import Network
from chord_adapters.storage import MemoryStorage
from tests.adapters.backends import LISTEN, MEMORY, QUICK, Backend, is_ideal, settled, until
from tests.adapters.storage.storages import Watched

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]

in_virtual_time = pytest.mark.parametrize("backend", [MEMORY], ids=str, indirect=True)
ALONE_WITHIN = ALONE_AFTER + ALONE_SPREAD


@asynccontextmanager
async def opened(
    backend: Backend, storages: Sequence[MemoryStorage], addresses: Sequence[str], **options: Any
) -> AsyncIterator[list[Node]]:
    """Open a node at each address, none of which is told whom to join."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                backend.open_node(address, storage=storage, config=QUICK, seed=number * 199, **options)
            )
            for number, (storage, address) in enumerate(zip(storages, addresses, strict=True))
        ]


async def a_ring_that_was(backend: Backend, storages: Sequence[MemoryStorage], **options: Any) -> list[str]:
    """Let there be a ring with ten records, and then a power cut; return where its members were."""
    async with AsyncExitStack() as stack:
        nodes: list[Node] = []
        for storage in storages:
            join = [nodes[0].address] if nodes else []
            node = backend.open_node(LISTEN, join=join, storage=storage, config=QUICK, **options)
            nodes.append(await stack.enter_async_context(node))
            await nodes[-1].wait_ready(timeout=20)
        await settled(nodes)
        for number in range(10):
            await nodes[number % len(nodes)].put(f"{number}", b"v")
        others = {node.address for node in nodes}
        for node, storage in zip(nodes, storages, strict=True):
            assert isinstance(storage, Watched)
            # Who began is told by the others; it needs another look to know them.
            await until(lambda: {node.address, *storage.saved.peers} == others, "all are known")  # noqa: B023
        for node in nodes:
            node.abort()
    return [node.address for node in nodes]


async def holds_everything(nodes: Sequence[Node]) -> None:
    """Check that each of ten records is there, whomever one asks."""
    for number in range(10):
        entries = [await node.get(f"{number}") for node in nodes]
        assert [b"v"] * len(nodes) == [entry.value for entry in entries if entry is not None]


async def test_a_node_that_crashed_rejoins_by_itself(backend: Backend) -> None:
    """It was told whom to join in its first life; in the next it knows, and is there at once."""
    storages = [Watched() for _ in range(3)]
    async with backend.open_node(LISTEN, storage=storages[0], config=QUICK) as first:
        async with backend.open_node(LISTEN, storage=storages[1], config=QUICK, join=[first.address]) as second:
            await settled([first, second])
            await first.put("k", b"v")
            second.abort()
            await until(lambda: second.peer not in first.successors, "the other one is missed")
        before = backend.now()
        async with opened(backend, storages[1:2], [second.address]) as [again]:
            await again.wait_ready(timeout=20)
            assert backend.now() - before < ALONE_AFTER
            await settled([first, again])
            entry = await again.get("k")
            assert entry is not None
            assert b"v" == entry.value


async def test_all_begin_again_at_once(backend: Backend) -> None:
    """After a power cut none waits for another to be ready: they become one ring, with all that was acknowledged."""
    storages = [Watched() for _ in range(4)]
    addresses = await a_ring_that_was(backend, storages)
    async with opened(backend, storages, addresses) as nodes:
        await until(lambda: is_ideal(nodes) and all(node.is_ready for node in nodes), "they are a ring", within=40.0)
        await holds_everything(nodes)


async def test_one_begins_again_alone(backend: Backend) -> None:
    """It serves what it holds after some seconds; one that comes later finds it there."""
    storages = [Watched() for _ in range(3)]
    addresses = await a_ring_that_was(backend, storages)
    async with opened(backend, storages[1:2], addresses[1:2]) as [second]:
        with pytest.raises(NotReady):
            await second.wait_ready(timeout=ALONE_AFTER / 2)
        await second.wait_ready(timeout=2 * ALONE_WITHIN)
        assert () == second.successors
        await holds_everything([second])
        async with opened(backend, storages[:1], addresses[:1]) as [first]:
            await settled([first, second])
            await holds_everything([first, second])


async def test_several_places_begin_again_alone(backend: Backend) -> None:
    """All places of a process become members, though only the first begins the ring."""
    storages = [Watched() for _ in range(2)]
    addresses = await a_ring_that_was(backend, storages, virtual_nodes=3)
    async with opened(backend, storages[1:], addresses[1:], virtual_nodes=3) as [second]:
        await second.wait_ready(timeout=3 * ALONE_WITHIN)
        await until(lambda: 2 == len(second.successors), "they are a ring")
        await holds_everything([second])


async def test_who_never_was_a_member_waits(backend: Backend) -> None:
    """A storage does not change that: there is nothing to serve, and a ring of one's own would be a second ring."""
    storage = Watched()
    async with backend.open_node(LISTEN, config=QUICK) as gone:
        gone.abort()
    for _ in range(2):
        async with backend.open_node(LISTEN, join=[gone.address], storage=storage, config=QUICK, seed=0) as node:
            with pytest.raises(NotReady):
                await node.wait_ready(timeout=ALONE_AFTER + 1.0)
    assert not storage.saved.was_member


async def test_who_was_a_member_does_not_wait_for_a_contact(backend: Backend) -> None:
    """Also one that is told whom to join goes on without, and joins when the contact is there."""
    storage = Watched()
    async with backend.open_node(LISTEN, config=QUICK) as contact:
        async with backend.open_node(LISTEN, join=[contact.address], storage=storage, config=QUICK) as node:
            await settled([contact, node])
            await node.put("k", b"v")
            node.abort()
        contact.abort()
    join = [contact.address]
    async with backend.open_node(node.address, join=join, storage=storage, config=QUICK, seed=0) as node:
        await node.wait_ready(timeout=2 * ALONE_WITHIN)
        assert b"v" == (await node.get("k")).value
        async with backend.open_node(contact.address, config=QUICK) as contact:
            # Nobody told this one of the other: it is found, since its address is that of a contact.
            await until(lambda: is_ideal([contact, node]), "the rings have merged", within=40.0)
            # Its own ring had no such record, and it decides for that place until it has been told.
            while (entry := await contact.get("k")) is None:
                await backend.sleep(0.02)
            assert b"v" == entry.value


async def test_who_is_refused_does_not_go_alone(backend: Backend) -> None:
    """A contact of another network is a mistake that somebody must hear of, not a reason for a ring of one's own."""
    storage = Watched()
    async with backend.open_node(LISTEN, config=QUICK, storage=storage, network="red") as node:
        await node.wait_ready()
    async with backend.open_node(LISTEN, config=QUICK, network="blue") as blue:
        async with backend.open_node(
            node.address, join=[blue.address], storage=storage, config=QUICK, network="red", seed=0
        ) as node:
            with pytest.raises(JoinRefused, match="network"):
                await node.wait_ready(timeout=20)
            await backend.sleep(ALONE_AFTER + 0.5)
            assert "joining" == node.health().phase


async def test_a_stranger_where_a_member_was(backend: Backend) -> None:
    """An address that it only remembers may belong to another network by now: that is no mistake of anybody's."""
    storages = [Watched() for _ in range(2)]
    addresses = await a_ring_that_was(backend, storages)
    async with (
        backend.open_node(addresses[0], config=QUICK, network="other"),
        opened(backend, storages[1:], addresses[1:]) as [node],
    ):
        await node.wait_ready(timeout=2 * ALONE_WITHIN)
        await holds_everything([node])


async def test_a_wrong_contact_beside_members_that_it_knows(backend: Backend) -> None:
    """Joining is not hopeless while a member answers that it remembers."""
    storages = [Watched() for _ in range(2)]
    addresses = await a_ring_that_was(backend, storages)
    async with (
        backend.open_node(LISTEN, config=QUICK, network="other") as wrong,
        opened(backend, storages[:1], addresses[:1]) as [first],
    ):
        await first.wait_ready(timeout=2 * ALONE_WITHIN)
        async with backend.open_node(
            addresses[1], join=[wrong.address], storage=storages[1], config=QUICK, seed=999
        ) as second:
            await second.wait_ready(timeout=20)
            await settled([first, second])


@in_virtual_time
async def test_a_slow_ring_is_waited_for(backend: Backend) -> None:
    """While a member answers, joining goes on, however long it takes: a ring of one's own would be in its way."""
    async with Network(1) as net:
        storage = Watched()
        async with memory.open_node("a:1", config=QUICK) as first:
            async with memory.open_node("b:1", join=["a:1"], config=QUICK, storage=storage) as second:
                await second.wait_ready()
                net.crash("b:1", silent=True)
            # The ring takes the new life for the old one, until it has noticed that this one is gone.
            net.set_links(latency=(0.2, 0.3))
            before = memory.current_time()
            async with memory.open_node("b:1", config=QUICK, storage=storage, seed=0) as second:
                await second.wait_ready(timeout=60)
                assert second.predecessor == first.peer
                assert memory.current_time() - before > 2 * ALONE_AFTER


@in_virtual_time
async def test_two_that_went_alone_merge(backend: Backend) -> None:
    """Cut off from each other each becomes a ring of its own; when the cut is healed they are one again."""
    async with Network(1) as net:
        storages = [Watched(), Watched()]
        addresses = await a_ring_that_was(backend, storages)
        net.partition(addresses[:1], addresses[1:])
        async with opened(backend, storages, addresses) as nodes:
            for node in nodes:
                await node.wait_ready(timeout=2 * ALONE_WITHIN)
                assert () == node.successors
            with pytest.raises(NoQuorum):
                await nodes[0].put("new", b"0", timeout=1.0)  # It knows that the ring had two.
            await nodes[0].put("new", b"1", w="one")
            net.heal()
            await nodes[0].wait_ready()
            async with anyio.create_task_group():
                await until(lambda: is_ideal(nodes), "the rings have merged", within=120.0)
            await holds_everything(nodes)
            entries = [await node.get("new") for node in nodes]
            assert [True, True] == [isinstance(entry, Entry) and entry.value == b"1" for entry in entries]
