"""kademlia (https://github.com/bmuller/kademlia): in pure Python on asyncio, over UDP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from chord_adapters._bench.peers import Asked, put_elsewhere

network = import_module("kademlia.network")  # it has no types
utils = import_module("kademlia.utils")


@asynccontextmanager
async def opened(nodes: int, copies: int, keys: int, value: bytes) -> AsyncIterator[Asked]:
    """Start the nodes; records go in by the second node, and the first, which holds none of them, is asked."""
    copies = min(copies, nodes - 2)  # neither the asker nor who puts is counted
    servers = [network.Server(ksize=copies) for _ in range(nodes)]
    try:
        for server in servers:
            await server.listen(0, "127.0.0.1")
            if server is not servers[0]:
                await server.bootstrap([servers[0].transport.get_extra_info("sockname")])
        asker, setter = servers[:2]

        def nearer(name: str) -> int:
            place = int(utils.digest(name).hex(), 16)
            own = asker.node.long_id ^ place
            return sum(server.node.long_id ^ place < own for server in servers[2:])

        async def set_record(name: str) -> bool:
            return bool(await setter.set(name, value))

        def holds(name: str) -> bool:
            return asker.storage.get(utils.digest(name)) is not None

        records = await put_elsewhere(keys, copies, nearer, set_record, holds)

        async def get(number: int) -> bool:
            return bool(await asker.get(records[number % len(records)]) == value)

        async def put(number: int) -> bool:
            try:
                return bool(await setter.set(f"put/{number}", value))
            except ValueError:
                return False  # what it raises when no neighbour has answered in time

        yield Asked(get, put)
    finally:
        for server in servers:
            server.stop()
