"""Values of every length and keys in any script come back as they were."""

from __future__ import annotations

import os

import pytest

from chord_proto.blocks import BLOCK_SIZE, MARK
from chord_proto.identifiers import content_key
from tests.adapters.backends import Backend, ring

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]

LENGTHS = [0, 1, 35, 256, 8960, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 140_000, 1024 * 1024]
KEYS: list[str | bytes] = [
    "",
    "a",
    "users/42",
    "ключ",
    "鍵",
    "مفتاح",
    "🗝️",
    "a\x00b",
    " ",
    "x" * 1024,
    b"",
    b"\x00",
    b"\xff\xfe",
    bytes(1024),
]


async def test_stored_values_of_every_length(backend: Backend) -> None:
    """From no byte at all to a tree of blocks; one block's key is the SHA-1 of the bytes."""
    async with ring(backend, 3) as nodes:
        for length in LENGTHS:
            data = os.urandom(length)
            key = await nodes[0].store(data)
            assert await nodes[1].fetch(key) == data
            assert (key == content_key(data)) is (length <= BLOCK_SIZE)


async def test_records_of_every_length(backend: Backend) -> None:
    """The same lengths as named records, in one piece."""
    async with ring(backend, 3) as nodes:
        for length in LENGTHS:
            value = os.urandom(length)
            done = await nodes[0].put(f"length {length}", value)
            entry = await nodes[1].get(f"length {length}")
            assert entry is not None
            assert (entry.value, entry.version) == (value, done.version)


async def test_keys_in_any_script(backend: Backend) -> None:
    """Empty keys, long ones, every script, bytes that are no text: each names its own record."""
    async with ring(backend, 2) as nodes:
        values = {}
        for number, key in enumerate(KEYS):
            await nodes[0].put(key, b"%d" % number)
            values[key.encode() if isinstance(key, str) else key] = b"%d" % number
        for name, value in values.items():
            entry = await nodes[1].get(name)
            assert entry is not None
            assert entry.value == value


async def test_what_looks_like_a_root_block_is_data_all_the_same(backend: Backend) -> None:
    """Bytes that begin with the mark of a branch block are stored as a tree, and come back."""
    async with ring(backend, 2) as nodes:
        for data in (MARK, MARK + b"\x01" + bytes(100), bytes(BLOCK_SIZE) + MARK):
            assert await nodes[1].fetch(await nodes[0].store(data)) == data


async def test_a_value_in_pieces(backend: Backend) -> None:
    """The streaming forms store what is read piece by piece, report progress, and give pieces in order."""
    pieces = [os.urandom(size) for size in (1, 70_000, 0x10000, 300_000)]
    left = list(pieces)
    told: list[int] = []

    async def read() -> bytes:
        return left.pop(0) if left else b""

    async with ring(backend, 3) as nodes:
        stored = await nodes[0]._store_stream(read, progress=told.append)
        assert stored.bytes == sum(told) == sum(map(len, pieces))
        assert stored.blocks == 8
        async with nodes[1]._fetch_stream(stored.key) as blocks:
            assert blocks.length == stored.bytes
            got = [block async for block in blocks]
        assert b"".join(got) == b"".join(pieces)
        assert max(map(len, got)) == BLOCK_SIZE
        async with nodes[1]._fetch_stream(stored.key ^ 1) as blocks:
            assert blocks.length is None
        # Leaving early leaves nothing under way.
        async with nodes[2]._fetch_stream(stored.key) as blocks:
            await blocks.__anext__()
        assert nodes[2].stats().calls == 0
