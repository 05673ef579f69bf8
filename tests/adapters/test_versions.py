"""Versions, conditions, quorums and expiry as callers see them, the same on every backend."""

from __future__ import annotations

from typing import Any

import pytest

from chord_adapters import NoQuorum, VersionMismatch
from tests.adapters.backends import LISTEN, QUICK, Backend, ring, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


async def test_who_creates_first(backend: Backend) -> None:
    """With ``if_absent`` the second writer hears that somebody was faster, and nothing is lost."""
    async with ring(backend, 3) as nodes:
        await nodes[0].put("k", b"first", if_absent=True)
        with pytest.raises(VersionMismatch) as caught:
            await nodes[1].put("k", b"second", if_absent=True)
        assert (False, False) == (caught.value.outcome_unknown, caught.value.retryable)
        entry = await nodes[2].get("k", r="majority")
        assert entry is not None
        assert b"first" == entry.value


async def test_read_and_replace(backend: Backend) -> None:
    """With ``if_version`` a value is replaced only as it was read; the version of one key says nothing of another."""
    async with ring(backend, 3) as nodes, backend.connect(nodes[1].address, config=QUICK) as client:
        old = await nodes[0].put("k", b"1")
        other = await nodes[0].put("other", b"1")
        new = await client.put("k", b"2", if_version=old.version)
        assert new.version > old.version
        for stale in (old.version, other.version):
            with pytest.raises(VersionMismatch):
                await client.put("k", b"3", if_version=stale)
            with pytest.raises(VersionMismatch):
                await client.delete("k", if_version=stale)
        gone = await client.delete("k", if_version=new.version)
        assert await nodes[2].get("k") is None
        await nodes[2].put("k", b"4", if_version=gone.version)


async def test_a_quorum_names_who_holds_the_write(backend: Backend) -> None:
    """As many as were asked for, the owner first, each at another address; a read of any quorum sees it."""
    async with ring(backend, 4) as nodes:
        quorums: tuple[tuple[Any, int], ...] = (("one", 1), ("majority", 2), ("all", 3), (1, 1), (3, 3))
        for w, least in quorums:
            done = await nodes[0].put("k", str(w).encode(), w=w)
            assert (done.owner, True) == (done.acked[0], len(done.acked) >= least)
            assert len({peer.address for peer in done.acked}) == len(done.acked)
            for r in ("one", "majority", "all", 2):
                entry = await nodes[1].get("k", r=r)
                assert entry is not None
                assert (str(w).encode(), done.version) == (entry.value, entry.version)


async def test_what_has_a_ttl_expires(backend: Backend) -> None:
    """It says when, and then it is gone for every reader, while what has none stays."""
    async with ring(backend, 3) as nodes:
        began = backend.now()
        await nodes[0].put("k", b"v", ttl=0.4)
        await nodes[0].put("stays", b"v")
        entry = await nodes[1].get("k", r="majority")
        if entry is not None:  # On a slow machine it may be over already.
            assert entry.expires_at is not None
        while await nodes[2].get("k") is not None:
            assert backend.now() < began + 5.0
            await backend.sleep(0.02)
        assert backend.now() >= began + 0.39
        assert None is await nodes[1].get("k", r="all")
        stays = await nodes[0].get("stays")
        assert stays is not None
        assert stays.expires_at is None
        await nodes[0].put("k", b"again", if_absent=True)


async def test_without_a_majority_there_is_no_quorum(backend: Backend) -> None:
    """Two of three fall silent at once: the survivor neither writes nor reads for a majority, and says why."""
    async with ring(backend, 3) as nodes:
        await nodes[0].put("k", b"v", w="all")
        survivor = nodes[0]
        for node in nodes[1:]:
            node.abort()
        await until(lambda: survivor.predecessor is None, "the survivor knows that it is alone")
        assert survivor.health().unsafe
        with pytest.raises(NoQuorum) as caught:
            await survivor.put("k", b"w", timeout=0.5)
        assert caught.value.retryable
        with pytest.raises(NoQuorum):
            await survivor.get("k", r="majority", timeout=0.5)
        entry = await survivor.get("k")
        assert entry is not None
        assert b"v" == entry.value


@pytest.mark.parametrize(
    "options, error",
    [
        ({"ttl": 0}, ValueError),
        ({"ttl": -1.5}, ValueError),
        ({"ttl": float("nan")}, ValueError),
        ({"ttl": float("inf")}, ValueError),
        ({"ttl": "1"}, TypeError),
        ({"ttl": True}, TypeError),
        ({"w": 0}, ValueError),
        ({"w": 4}, ValueError),
        ({"w": "most"}, ValueError),
        ({"w": 1.0}, TypeError),
        ({"w": True}, TypeError),
        ({"if_version": "7"}, ValueError),
        ({"if_version": ""}, ValueError),
        ({"if_version": 7}, TypeError),
        ({"if_absent": 1}, TypeError),
        ({"if_absent": True, "if_version": "000000000001-0000-0000000000000001"}, ValueError),
    ],
)
async def test_bad_arguments_of_a_write(backend: Backend, options: dict[str, Any], error: type[Exception]) -> None:
    """They are refused before anything happens."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        with pytest.raises(error):
            await node.put("k", b"v", **options)
        assert await node.get("k") is None


async def test_bad_quorums_of_a_read(backend: Backend) -> None:
    """Likewise."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        for r, error in ((0, ValueError), (4, ValueError), ("every", ValueError), (None, TypeError), (2.0, TypeError)):
            with pytest.raises(error):
                await node.get("k", r=r)
