"""Walking all keys of a ring, the same on every backend."""

from __future__ import annotations

from typing import Any

import pytest

from chord_adapters import Closed
from tests.adapters.backends import LISTEN, QUICK, Backend, ring

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


async def test_every_key_once(backend: Backend) -> None:
    """Through any node and through a client: each record that is there, its version and expiry, and nothing else."""
    async with ring(backend, 4) as nodes, backend.connect(nodes[2].address, config=QUICK) as client:
        written = {b"k%d" % number: (await nodes[0].put(b"k%d" % number, b"v")).version for number in range(30)}
        written[b""] = (await nodes[1].put("", b"a name without a letter", ttl=3600.0)).version
        written["schlüssel\n鍵".encode()] = (await nodes[1].put("schlüssel\n鍵", b"v")).version
        await nodes[0].put("deleted", b"v")
        await nodes[0].delete("deleted")
        await nodes[0].store(b"a block is no record")
        for asked in (nodes[0], nodes[3], client):
            found = [key async for key in asked.scan()]
            assert written == {key.key: key.version for key in found}
            assert len(written) == len(found)
            assert [b""] == [key.key for key in found if key.expires_at is not None]


async def test_a_prefix_and_a_cursor(backend: Backend) -> None:
    """Only what begins so; and what was told up to a cursor is not told again, by whichever node goes on."""
    async with ring(backend, 3) as nodes:
        for number in range(12):
            await nodes[0].put(f"a/{number}", b"v")
            await nodes[0].put(f"b/{number}", b"v")
        async with nodes[0].scan("a/") as scan:
            first = [await anext(scan) for _ in range(5)]
            cursor = scan.cursor
        assert cursor == first[-1].cursor
        rest = [key async for key in nodes[2].scan(b"a/", after=cursor)]
        assert sorted(f"a/{number}".encode() for number in range(12)) == sorted(key.key for key in first + rest)
        assert [] == [key async for key in nodes[1].scan("c")]


async def test_more_than_a_page(backend: Backend) -> None:
    """A node that holds more than one page tells them all, in parts, each once."""
    async with ring(backend, 1) as nodes:
        for number in range(1100):
            await nodes[0].put(b"%d" % number, b"")
        found = [key.key async for key in nodes[0].scan()]
        assert sorted(b"%d" % number for number in range(1100)) == sorted(found)
        assert [b"777"] == [key.key async for key in nodes[0].scan("777")]


@pytest.mark.parametrize(
    "arguments, options, error",
    [
        ((7,), {}, TypeError),
        ((bytes(5000),), {}, ValueError),
        ((), {"after": "k1"}, ValueError),
        ((), {"after": "f" * 41 + ".0."}, ValueError),
        ((), {"after": 7}, TypeError),
        ((), {"timeout": -1}, ValueError),
    ],
)
async def test_bad_arguments(
    backend: Backend, arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception]
) -> None:
    """They are refused at once, not at the first step."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        with pytest.raises(error):
            node.scan(*arguments, **options)


async def test_the_end_of_the_node_ends_the_scan(backend: Backend) -> None:
    """The next page raises `Closed`."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        await node.put("k", b"v")
        scan = node.scan()
        node.abort()
        with pytest.raises(Closed):
            await anext(scan)
