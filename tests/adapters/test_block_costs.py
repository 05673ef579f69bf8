"""What a block of a long value costs on its way, in counts."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import Any

import anyio
import pytest

from chord_adapters.memory import Network, open_node
from chord_proto.blocks import BLOCK_SIZE

BLOCKS = 20
VALUE = b"".join(bytes((number,)) * BLOCK_SIZE for number in range(BLOCKS))


def test_how_often_a_block_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is cut, asked for, decided and kept twice; and once where it is read."""
    hashed = 0
    real = hashlib.sha1

    def counting(data: bytes = b"", **options: Any) -> Any:
        nonlocal hashed
        hashed += len(data)
        return real(data, **options)

    async def main() -> tuple[int, int]:
        nonlocal hashed
        async with Network(seed=1), open_node("a:1") as a, open_node("b:1", join=["a:1"]) as b:
            async with open_node("c:1", join=["a:1"]) as c, open_node("d:1", join=["a:1"]) as d:
                for node in (a, b, c, d):
                    await node.wait_ready()
                monkeypatch.setattr(hashlib, "sha1", counting)
                key = (await a.store_stream(BytesIO(VALUE))).key
                stored, hashed = hashed, 0
                assert await d.fetch(key) == VALUE
                return stored // BLOCK_SIZE, hashed // BLOCK_SIZE

    stored, fetched = anyio.run(main)
    assert stored <= 5.5 * BLOCKS  # Some are repeated while the ring settles.
    assert fetched == BLOCKS
