"""Conditions, quorums and expiry on whole rings in virtual time: what users of a distributed map rely on."""

from __future__ import annotations

import os
from functools import partial

import anyio
import pytest

from chord_adapters import ChordError, Event, Lagged, Timeout, VersionMismatch
from chord_adapters._node import Node
from chord_adapters.memory import sleep
from chord_adapters.testing import VirtualRing
from chord_proto.config import Config

NIGHTLY = bool(os.environ.get("CHORD_NIGHTLY"))
CLIENTS, EACH = 4, 500 if NIGHTLY else 120
READERS, OVERWRITES = 30, 60 if NIGHTLY else 20


class Count:
    """What clients know of their increments."""

    def __init__(self) -> None:
        self.sure = 0
        self.doubtful = 0


async def increment(node: Node, count: Count) -> None:
    """Add one to the counter, for sure or perhaps, by reading it and replacing what was read."""
    while True:
        try:
            entry = await node.get("counter", r="majority")
            assert entry is not None
            await node.put("counter", b"%d" % (int(entry.value) + 1), if_version=entry.version)
        except VersionMismatch as error:
            if error.outcome_unknown:
                count.doubtful += 1
                return
        except ChordError as error:
            if error.outcome_unknown:
                count.doubtful += 1
                return
            if not error.retryable:
                raise
        else:
            count.sure += 1
            return


async def clients(ring: VirtualRing, count: Count) -> None:
    """Let each client increment so many times, through a node that stays."""
    async with anyio.create_task_group() as group:
        for which in range(CLIENTS):
            group.start_soon(partial(_client, ring.nodes[which], count))


async def _client(node: Node, count: Count) -> None:
    for _ in range(EACH):
        await increment(node, count)


def counted(ring: VirtualRing, count: Count) -> int:
    """Return the counter; it is what clients are sure of, and at most what they are in doubt about more."""
    entry = ring.get("counter", r="majority")
    assert entry is not None
    assert count.sure <= int(entry.value) <= count.sure + count.doubtful
    return int(entry.value)


def test_a_counter_that_four_clients_increment() -> None:
    """Nothing is lost and nothing counted twice, whoever is faster."""
    ring, count = VirtualRing(8, latency=(0.001, 0.01)), Count()
    ring.put("counter", b"0")
    ring.run(partial(clients, ring, count))
    assert (CLIENTS * EACH, 0) == (counted(ring, count), count.doubtful)
    ring.close()


@pytest.mark.parametrize("seed", range(12 if NIGHTLY else 3))
def test_a_counter_while_nodes_join_and_leave(seed: int) -> None:
    """The range of the counter moves from node to node: still exact, but for outcomes that are said to be unknown."""
    ring, count = VirtualRing(6, seed=seed, latency=(0.001, 0.01)), Count()
    ring.put("counter", b"0")

    async def all_of_it() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(comings_and_goings, ring))
            await clients(ring, count)
            group.cancel_scope.cancel()

    ring.run(all_of_it)
    ring.settle()
    assert CLIENTS * EACH == count.sure + count.doubtful
    counted(ring, count)
    assert count.doubtful < CLIENTS * EACH / 10
    ring.close()


async def comings_and_goings(ring: VirtualRing) -> None:
    """Let nodes join, and leave gracefully, one after the other, for ever."""
    while True:
        node = ring.start()
        await sleep(0.7)
        await node.leave()
        await sleep(0.3)


def test_a_read_of_a_majority_is_never_stale() -> None:
    """One key is overwritten again and again and read through every node: each read gives what was just written."""
    ring = VirtualRing(READERS, latency=(0.001, 0.01))
    stale = 0
    for number in range(OVERWRITES):
        written = ring.put("k", b"%d" % number, at=ring.addresses[number % READERS])
        for address in ring.addresses:
            entry = ring.get("k", at=address, r="majority")
            stale += entry is None or entry.version < written.version
    assert 0 == stale
    ring.close()


def test_a_read_of_a_majority_survives_the_owner() -> None:
    """The owner dies after each write: the next owner tells that very version, or that it cannot tell, never an older one."""
    ring = VirtualRing(12, config=Config(successors=4, predecessors=4))
    for number in range(8):
        written = ring.put("k", b"%d" % number, at=ring.up[0].address)
        ring.crash(written.owner.address, silent=bool(number % 2))
        entry = ring.get("k", at=ring.up[0].address, r="majority", timeout=60.0)
        assert entry is not None
        assert (written.version, b"%d" % number) == (entry.version, entry.value)
        ring.settle()
    ring.close()


def test_an_isolated_owner_tells_nothing_old() -> None:
    """Cut off from the rest it neither reads for a majority nor writes, while the others go on."""
    ring = VirtualRing(6, config=Config(successors=4, predecessors=4))
    owner = ring.put("k", b"old").owner.address
    others = [node.address for node in ring.up if node.address != owner]
    ring.net.partition([owner], others)
    with pytest.raises(ChordError) as caught:
        ring.get("k", at=owner, r="majority", timeout=20.0)
    assert caught.value.retryable
    with pytest.raises(ChordError):
        ring.put("k", b"lost", at=owner, timeout=5.0)
    new = ring.put("k", b"new", at=others[0], timeout=30.0)
    with pytest.raises((ChordError, Timeout)):
        ring.get("k", at=owner, r="majority", timeout=5.0)
    ring.net.heal()
    ring.settle()
    for node in ring.up:
        entry = ring.get("k", at=node.address, r="majority")
        assert entry is not None
        assert (b"new", True) == (entry.value, entry.version >= new.version)
    ring.close()


def test_what_expires_is_gone_after_a_crash_too() -> None:
    """No replica, and no node that was away and comes back with its copy, makes it live longer."""
    ring = VirtualRing(6)
    owner = ring.put("k", b"v", ttl=30.0).owner.address
    ring.crash(owner)
    ring.advance(10.0)
    entry = ring.get("k", at=ring.up[0].address, r="majority")
    assert entry is not None
    assert b"v" == entry.value
    ring.advance(30.0)
    ring.start(owner)
    ring.settle()
    for node in ring.up:
        assert ring.get("k", at=node.address) is None
    ring.close()


def test_deletions_are_forgotten_and_nothing_comes_back() -> None:
    """After the grace period no node remembers them; until then they outlive crashes and newcomers."""
    ring = VirtualRing(6, config=Config(grace_period=300.0))
    for number in range(40):
        ring.put(f"k{number}", b"v")
        ring.delete(f"k{number}")
    ring.crash(ring.addresses[1])
    ring.start()
    ring.settle()
    assert sum(node.stats().nodes[0].records for node in ring.up) == 3 * 40
    ring.advance(450.0)
    assert 0 == sum(node.stats().nodes[0].records for node in ring.up)
    assert ring.get("k7") is None
    ring.close()


def test_a_scan_tells_each_key_once_while_nodes_come_and_go() -> None:
    """What is there from beginning to end is told, and once, whichever nodes join and leave between its pages."""
    ring = VirtualRing(8, latency=(0.001, 0.01))
    keys = [f"k{number}" for number in range(300)]
    for key in keys:
        ring.put(key, b"v")
    found: list[bytes] = []

    async def walk() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(comings_and_goings, ring))
            for _ in range(6):
                async for key in ring.nodes[0].scan(timeout=30.0):
                    found.append(key.key)
                    if len(found) % 25 == 0:
                        await sleep(0.3)
            group.cancel_scope.cancel()

    ring.run(walk)
    assert sorted(6 * [key.encode() for key in keys]) == sorted(found)
    ring.close()


@pytest.mark.parametrize("seed", range(10 if NIGHTLY else 3))
def test_a_watch_tells_each_write_once_while_nodes_come_and_go(seed: int) -> None:
    """In order and never twice; what is left out after a move of the range is announced by `Lagged`."""
    ring = VirtualRing(6, seed=seed, latency=(0.001, 0.01))
    written: list[str] = []
    seen: list[Event | Lagged] = []
    begun: list[str] = []

    async def write() -> None:
        for number in range(150):
            written.append((await ring.nodes[0].put("k", b"%d" % number, timeout=30.0)).version)
            await sleep(0.03)

    async def read() -> None:
        async with ring.nodes[1].watch("k", after=begun[0]) as watch:
            async for each in watch:
                seen.append(each)
                if isinstance(each, Event) and each.value == b"149":
                    return

    async def all_of_it() -> None:
        begun.append((await ring.nodes[0].put("k", b"begin")).version)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(comings_and_goings, ring))
            async with anyio.create_task_group() as both:
                both.start_soon(write)
                both.start_soon(read)
            group.cancel_scope.cancel()

    ring.run(all_of_it)
    versions = [each.version for each in seen if isinstance(each, Event)]
    assert sorted(set(versions)) == versions
    assert set(versions) <= set(written)
    missed = sum(isinstance(each, Lagged) for each in seen)
    assert versions == written or missed > 0
    assert len(versions) > 100
    ring.close()
