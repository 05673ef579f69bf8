"""What nodes do for their callers, the same on every backend: join, store, fetch, put, get, delete, locate, leave, crash."""

from __future__ import annotations

import anyio
import pytest

from chord_adapters import Busy, Closed, Entry, ValueTooLarge
from chord_adapters._operations import MAX_CALLS
from chord_proto.identifiers import content_key, place_of_name
from tests.adapters.backends import LISTEN, QUICK, Backend, is_ideal, ring, settled, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


async def test_a_node_alone_is_a_ring(backend: Backend) -> None:
    """Without anybody to join a node creates a ring and serves it."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        await node.wait_ready()
        assert (await node.get("k")) is None
        done = await node.put("k", b"v")
        assert done.owner == node.peer
        assert done.acked == (node.peer,)
        assert await node.get("k") == Entry(b"v", done.version)
        assert node.predecessor is None
        assert node.successors == ()
        assert node.owns("k")
        assert node.health().small


async def test_nodes_join_one_after_another(backend: Backend) -> None:
    """Joiners find their places: every pointer becomes exact, each key has one owner."""
    async with ring(backend, 5) as nodes:
        for key in ("a", "b", 7, content_key(b"c")):
            owners = [node.peer for node in nodes if node.owns(key)]
            assert len(owners) == 1
            for node in nodes:
                assert await node.locate(key) == owners[0]
                assert (await node.replicas(key))[0] == owners[0]
        await until(lambda: all(node.is_ready for node in nodes), "each serves its range")


async def test_joining_by_a_contact_that_is_down(backend: Backend) -> None:
    """One of the contacts being down does not hinder joining by the other."""
    async with ring(backend, 1) as nodes:
        down = await _closed_address(backend)
        async with backend.open_node(LISTEN, join=[down, nodes[0].address], config=QUICK) as joiner:
            await joiner.wait_ready(timeout=15.0)
            assert joiner.successors == (nodes[0].peer,)


async def _closed_address(backend: Backend) -> str:
    async with backend.open_node(LISTEN, config=QUICK) as node:
        address = node.address
        node.abort()
    assert isinstance(address, str)
    return address


async def test_put_get_delete_through_different_nodes(backend: Backend) -> None:
    """What one node wrote another reads; versions grow; what was deleted is absent; a bystander need not know."""
    async with ring(backend, 4) as nodes:
        first = await nodes[0].put("users/42", b"v1")
        assert await nodes[1].get("users/42") == Entry(b"v1", first.version)
        second = await nodes[2].put("users/42", b"v2")
        assert second.version > first.version
        assert len({peer.address for peer in second.acked}) >= 2
        assert await nodes[3].get("users/42") == Entry(b"v2", second.version)
        deleted = await nodes[1].delete("users/42")
        assert deleted.version > second.version
        assert await nodes[0].get("users/42") is None
        await nodes[3].delete("never written")


async def test_store_and_fetch_through_different_nodes(backend: Backend) -> None:
    """A long value comes back byte for byte; a key that nobody has gives None."""
    data = bytes(range(256)) * 2000
    async with ring(backend, 4) as nodes:
        key = await nodes[0].store(data)
        assert await nodes[3].fetch(key) == data
        assert await nodes[1].fetch(key ^ 1) is None
        assert await nodes[2].store(b"short") == content_key(b"short")


async def test_records_and_blocks_are_separate(backend: Backend) -> None:
    """A block's key used as a record's name names something else."""
    async with ring(backend, 2) as nodes:
        key = await nodes[0].store(b"block")
        await nodes[0].put(key.to_bytes(20), b"record")
        assert await nodes[1].fetch(key) == b"block"
        assert await nodes[1].get(key.to_bytes(20)) is not None


async def test_a_str_equals_its_utf8(backend: Backend) -> None:
    """A key given as text and as its UTF-8 bytes is one key, and has one place."""
    async with ring(backend, 2) as nodes:
        done = await nodes[0].put("ключ 🗝", b"v")
        assert await nodes[1].get("ключ 🗝".encode()) == Entry(b"v", done.version)
        assert await nodes[0].locate("ключ 🗝") == await nodes[0].locate(place_of_name("ключ 🗝".encode(), 160))


async def test_a_lookup_shows_its_way(backend: Backend) -> None:
    """`lookup` names the owner, the replicas on distinct addresses, and who answered when."""
    async with ring(backend, 4) as nodes:
        located = await nodes[0].lookup("k")
        assert located.owner == await nodes[1].locate("k")
        assert len({peer.address for peer in located.replicas}) == 3
        assert all(hop.seconds >= 0 and hop.peer.address != nodes[0].address for hop in located.path)


async def test_a_graceful_leave_loses_nothing(backend: Backend) -> None:
    """Whoever leaves hands its records on; all keys can be read at once afterwards."""
    async with ring(backend, 4) as nodes:
        for number in range(20):
            await nodes[0].put(f"k{number}", b"v%d" % number)
        await nodes[2].leave(drain=True)
        with pytest.raises(Closed):
            await nodes[2].get("k1")
        stayed = [nodes[0], nodes[1], nodes[3]]
        for number in range(20):
            entry = await stayed[number % 3].get(f"k{number}")
            assert entry is not None
            assert entry.value == b"v%d" % number
        await until(lambda: is_ideal(stayed), "the ring is ideal without the leaver")


async def test_two_crashes_lose_nothing(backend: Backend) -> None:
    """With three replicas two nodes may crash at once without warning: everything is read back, and repaired."""
    data = bytes(200_000)
    async with ring(backend, 6) as nodes:
        key = await nodes[0].store(data)
        done = await nodes[0].put("k", b"v")
        owner = next(node for node in nodes if node.owns(key))
        victims = [owner, next(node for node in nodes[1:] if node is not owner)]
        for victim in victims:
            victim.abort()
        living = [node for node in nodes if node not in victims]
        assert await living[-1].fetch(key) == data
        assert await living[0].get("k") == Entry(b"v", done.version)
        await settled(living)


async def test_virtual_nodes_share_an_address(backend: Backend) -> None:
    """Three places an address: all join, replicas lie on distinct addresses, and all leave."""
    async with ring(backend, 3, virtual_nodes=3) as nodes:
        assert len({peer.id for node in nodes for peer in node.peers}) == 9
        for node in nodes:
            assert {peer.address for peer in node.peers} == {node.address}
        await until(lambda: all(node.health().pending == 0 for node in nodes), "all ranges are served")
        everybody = {node.address for node in nodes}
        routings = [each.ctx.routing for node in nodes for each in node._driver.nodes]
        await until(lambda: all({p.address for p in r.extended()} == everybody for r in routings), "lists name all")
        for number in range(10):
            done = await nodes[number % 3].put(f"k{number}", b"v")
            assert done.owner in await nodes[0].replicas(f"k{number}")
            assert {peer.address for peer in await nodes[1].replicas(f"k{number}")} == {n.address for n in nodes}
        data = bytes(300_000)
        key = await nodes[1].store(data)
        assert await nodes[2].fetch(key) == data
        description = await nodes[0].describe(place=nodes[0].peers[2].id)
        assert description.me == nodes[0].peers[2]
        began = backend.now()
        await nodes[2].leave()
        assert backend.now() - began < 1.0
        assert await nodes[0].fetch(key) == data


async def test_many_calls_at_once(backend: Backend) -> None:
    """1,024 calls may wait their turn; one more is `Busy`, and there is room again afterwards."""
    async with ring(backend, 2) as nodes:
        await nodes[0].put("k", b"v")
        found: list[Entry] = []
        busy: list[Busy] = []

        async def get() -> None:
            try:
                entry = await nodes[1].get("k", timeout=30.0)
            except Busy as error:
                busy.append(error)
            else:
                assert entry is not None
                found.append(entry)

        async with anyio.create_task_group() as tasks:
            for _ in range(MAX_CALLS + 10):
                tasks.start_soon(get)
        assert (len(found), len(busy)) == (MAX_CALLS, 10)
        assert all(error.retryable and not error.outcome_unknown for error in busy)
        assert nodes[1].stats().calls == 0
        assert await nodes[1].get("k") is not None


async def test_a_value_beyond_the_limit(backend: Backend) -> None:
    """A record longer than `Config.max_value_size` is refused before anything happens; the same as a block is cut."""
    async with ring(backend, 2) as nodes:
        value = bytes(QUICK.max_value_size + 1)
        with pytest.raises(ValueTooLarge) as caught:
            await nodes[0].put("k", value)
        assert not caught.value.retryable
        assert not caught.value.outcome_unknown
        assert await nodes[0].get("k") is None
        assert await nodes[1].fetch(await nodes[0].store(value)) == value


async def test_several_long_values_at_once(backend: Backend) -> None:
    """Stores and fetches through all nodes at once do not mix up or starve each other."""
    values = [bytes([number]) * 400_000 for number in range(6)]
    keys: dict[int, int] = {}
    async with ring(backend, 3) as nodes:

        async def there_and_back(number: int) -> None:
            keys[number] = await nodes[number % 3].store(values[number])
            assert await nodes[(number + 1) % 3].fetch(keys[number]) == values[number]

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(there_and_back, number)
        assert len(set(keys.values())) == 6


async def test_the_views_are_immutable_snapshots(backend: Backend) -> None:
    """Views are tuples and frozen records, and the statistics a copy."""
    async with ring(backend, 2) as nodes:
        stats = nodes[0].stats()
        received = stats.nodes[0].received
        await until(lambda: nodes[0].stats().nodes[0].received > received, "messages come")
        assert stats.nodes[0].received == received
        assert isinstance(nodes[0].successors, tuple)
        assert isinstance(nodes[0].predecessors, tuple)
        assert nodes[0].contacts == {}
        assert nodes[1].contacts == {nodes[0].address: "answers"}
