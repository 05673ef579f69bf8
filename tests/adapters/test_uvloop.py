"""The adapter for asyncio runs on uvloop too, without TLS."""

from __future__ import annotations

import anyio
import pytest

from tests.adapters.backends import SOCKETS, ring

pytest.importorskip("uvloop")


def test_a_ring_on_uvloop() -> None:
    """Nodes join, records and blocks go in by one and come out by another, a client reads them, and all leave."""

    async def run() -> tuple[bytes, bytes]:
        backend = SOCKETS[0]
        async with ring(backend, 3) as nodes:
            await nodes[0].put("k", b"v")
            key = await nodes[1].store(b"b" * 1_000_000)
            async with backend.connect(nodes[2].address) as client:
                return (await client.get("k")).value, await client.fetch(key)

    assert (b"v", b"b" * 1_000_000) == anyio.run(run, backend_options={"use_uvloop": True})
