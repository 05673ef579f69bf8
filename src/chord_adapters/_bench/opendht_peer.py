"""OpenDHT (https://github.com/savoirfairelinux/opendht): in C++, over UDP, each node with a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from chord_adapters._bench.peers import Asked

dht = import_module("opendht")  # it has no types
aio = import_module("opendht.aio")
SETTLING = 3.0
"""Seconds that the nodes have to find each other: nothing tells when they have."""
NO_LIMIT = -1


@asynccontextmanager
async def opened(nodes: int, copies: int, keys: int, value: bytes) -> AsyncIterator[Asked]:
    """Start the nodes; records go in by the second node, and the first, which holds none of them, is asked."""
    runners = []
    try:
        for _ in range(nodes):
            config = dht.DhtConfig()
            config.setRateLimit(NO_LIMIT, NO_LIMIT)
            runners.append(aio.DhtRunner())
            runners[-1].run(port=0, ipv4="127.0.0.1", config=config)
            if len(runners) > 1:
                runners[-1].bootstrap("127.0.0.1", str(runners[0].getBound().getPort()))
        await asyncio.sleep(SETTLING)
        asker, setter = runners[:2]
        own, _, *others = [_number(runner.getNodeId()) for runner in runners]
        records = []
        for number in range(100 * keys):
            key = dht.InfoHash.get(f"bench/{number}")
            nearer = sum(other ^ _number(key) < own ^ _number(key) for other in others)
            if (nearer >= copies or copies > nodes - 2) and await setter.put(key, dht.Value(value)):
                records.append(key)
            if len(records) == keys:
                break

        async def get(number: int) -> bool:
            found = await asker.getFirst(records[number % len(records)])
            return found is not None and bool(found.data == value)

        async def put(number: int) -> bool:
            return bool(await setter.put(dht.InfoHash.get(f"put/{number}"), dht.Value(value)))

        yield Asked(get, put)
    finally:
        for runner in runners:
            await runner.shutdown()
        for runner in runners:
            await runner.join()


def _number(place: object) -> int:
    """Return a place as a number, for distances."""
    return int(place.toString().decode(), 16)  # type: ignore[attr-defined]
