"""kademlia-dynamic (https://github.com/f4rsantos/kademlia_dynamic): in pure Python on asyncio, over UDP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from chord_adapters._bench.peers import Asked, put_elsewhere

kademlia = import_module("kademlia_dynamic")  # it has no types


@asynccontextmanager
async def opened(nodes: int, copies: int, keys: int, value: bytes) -> AsyncIterator[Asked]:
    """Start the nodes; records go in by the second node, and the first, which holds none of them, is asked."""
    copies = min(copies, nodes - 2)  # neither the asker nor who puts is counted
    servers = [kademlia.KademliaServer(k=copies) for _ in range(nodes)]
    try:
        for server in servers:
            await server.listen(0, "127.0.0.1")
            if server is not servers[0]:
                await server.bootstrap([("127.0.0.1", servers[0].own_peer.port)])
        asker, setter = servers[:2]

        def nearer(name: str) -> int:
            place = int(kademlia.hash_key_to_node_id(name), 16)
            own = int(asker.own_peer.node_id, 16) ^ place
            return sum(int(server.own_peer.node_id, 16) ^ place < own for server in servers[2:])

        async def set_record(name: str) -> bool:
            await setter.set(name, value)
            return True

        records = await put_elsewhere(keys, copies, nearer, set_record, lambda name: name in asker.data_store)

        async def get(number: int) -> bool:
            return bool(await asker.get(records[number % len(records)]) == value)

        async def put(number: int) -> bool:
            return await set_record(f"put/{number}")

        yield Asked(get, put)
    finally:
        for server in servers:
            server.stop()
