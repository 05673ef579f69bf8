"""Many large answers at once: who asks is slowed down, nothing is dropped, nobody is suspected."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
import attrs
import pytest

from chord_adapters import Busy, _backlogs, _guests, _turns
from chord_adapters._operations import Operations
from chord_adapters._turns import Ticket
from chord_adapters.testing._strangers import stranger
from chord_proto.messages import Performed, Refused
from chord_proto.operations import Fetch
from tests.adapters.backends import QUICK, Backend, over_sockets, ring, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


@pytest.mark.parametrize("through_client", [False, True])
async def test_many_large_reads_at_once(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, through_client: bool
) -> None:
    """The owner takes no more questions until its answers are read, on each connection of the way."""
    monkeypatch.setattr(_backlogs, "HELD_ABOVE", 100_000)
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(ring(backend, 2))
        owned = {node: [key for key in map(str, range(100)) if node.owns(key)] for node in nodes}
        # Ports are picked anew each time, and with them who owns how much.
        node, owner = sorted(nodes, key=lambda node: len(owned[node]))
        keys = owned[owner]
        for key in keys:
            await node.put(key, bytes(300_000))
        read: list[int] = []
        client = await stack.enter_async_context(backend.connect(node.address))
        asker: Operations[Ticket] = client if through_client else node

        async def get(key: str) -> None:
            entry = await asker.get(key, timeout=60.0)
            assert entry is not None
            read.append(len(entry.value))

        async with anyio.create_task_group() as tasks:
            for key in keys * 3:
                tasks.start_soon(get, key)
        assert read == [300_000] * (3 * len(keys))
        stats = [node.stats() for node in nodes]
        assert sum(each.links.held for each in stats) > 0
        assert sum(each.links.dropped for each in stats) == 0
        assert sum(each.nodes[0].suspected for each in stats) == 0
        await until(lambda: not any(node._driver.links.backlogs.held for node in nodes), "nothing waits any more")


@over_sockets
async def test_a_client_that_asks_too_much(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """What clients ask waits its turn; beyond a bound they are refused, and the node's own calls are not slowed."""
    monkeypatch.setattr(_turns, "MOST_UNDER_WAY", 10)
    async with ring(backend, 2, config=attrs.evolve(QUICK, max_guests=50)) as nodes:
        key = await nodes[0].store(bytes(1000))
        while nodes[1].owns(key):
            key = await nodes[0].store(key.to_bytes(20))
        async with stranger(nodes[1]) as other:
            await other.say_hello()
            await other.ask(*[Fetch(key)] * 200)
            answers = await other.answers(200)
            kinds = [type(answer) for answer in answers]
            assert kinds.count(Performed) >= 50
            assert kinds.count(Refused) >= 1
            assert len(kinds) == 200
        assert len(nodes[1]._driver.guests) == 0
        assert nodes[1]._driver.guests.turns.room


@over_sockets
async def test_a_client_that_asks_too_much_hinders_only_itself(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another client is not refused, although there is no room."""
    monkeypatch.setattr(_turns, "MOST_UNDER_WAY", 2)
    async with ring(backend, 2, config=attrs.evolve(QUICK, max_guests=50)) as nodes:
        key = await nodes[0].store(bytes(50_000))
        while nodes[1].owns(key):
            key = await nodes[0].store(key.to_bytes(20) * 2500)
        async with stranger(nodes[1]) as greedy, stranger(nodes[1]) as other:
            await greedy.say_hello()
            await other.say_hello()
            for _ in range(10):
                await greedy.ask(*[Fetch(key)] * 200)
                await other.ask(Fetch(key))
            answers = await other.answers(10)
            assert [Performed] * 10 == [type(answer) for answer in answers]


async def test_a_client_tries_again_when_the_node_is_busy(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal for lack of room is no failure until the timeout is over."""
    bounded = ring(backend, 1, config=attrs.evolve(QUICK, max_guests=3))
    async with bounded as nodes, backend.connect(nodes[0].address) as client:
        await client.put("k", b"v")
        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(client.get, "k")
        monkeypatch.setattr(_guests.Guests, "has_room", lambda *_: False)
        with pytest.raises(Busy):
            await client.get("k", timeout=0.3)
        assert (await client.describe()).me == nodes[0].peer


@over_sockets
async def test_a_request_that_is_never_answered(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client's request that the core ignores, since it is nonsense, does not hold its place for ever."""
    monkeypatch.setattr(_guests, "_GRACE", 0.05)
    async with ring(backend, 1) as nodes, stranger(nodes[0]) as other:
        await other.say_hello()
        await other.ask(Fetch(1), source=nodes[0].peer, timeout=50)
        await until(lambda: len(nodes[0]._driver.guests) == 0, "it is forgotten")
        assert nodes[0]._driver.guests.turns.room
        assert await nodes[0].get("k", timeout=QUICK.operation_timeout) is None
