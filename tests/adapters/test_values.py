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
