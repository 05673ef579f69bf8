"""Scans, watches and leaves on whole rings in virtual time, while nodes come, go and crash."""

from __future__ import annotations

import random

import anyio
import pytest

from chord_adapters import Closed, Event, Lagged
from chord_adapters._node import Node
from chord_adapters.memory import sleep
from chord_adapters.testing import VirtualRing
from tests.sim.test_histories import whole

pytestmark = pytest.mark.slow

SEEDS = range(3)
STAYING = 3


async def changes(ring: VirtualRing, chance: random.Random) -> None:
    """Let nodes join, leave and crash, one crash at a time with a complete repair after it, for ever."""
    while True:
        others = [node for node in ring.up if node not in ring.nodes[:STAYING]]
        what = chance.choice(["join", "join", "leave", "crash"])
        if what == "join" or len(others) < 3:
            await ring.start().wait_ready(timeout=30.0)
        elif what == "leave":
            await chance.choice(others).leave()
        else:
            ring.crash(chance.choice(others).address, silent=chance.random() < 0.5)
            await whole(ring)
        await sleep(chance.uniform(0.0, 0.5))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_scan_goes_on_through_another_node(seed: int) -> None:
    """Begun at one node, interrupted, and gone on with at others from its cursor: each key once, none left out."""
    ring, chance = VirtualRing(8, seed=seed), random.Random(seed)
    keys = sorted(b"k%d" % number for number in range(200))
    for key in keys:
        ring.put(key, b"v")
    ring.settle()

    async def scan() -> list[bytes]:
        found: list[bytes] = []
        cursor = None
        while True:
            scanned = chance.choice(ring.nodes[:STAYING]).scan(after=cursor, timeout=60.0)
            taken = chance.randrange(5, 60)
            async for each in scanned:
                found.append(each.key)
                cursor = each.cursor
                taken -= 1
                if not taken:
                    break
            else:
                return found
            await sleep(chance.uniform(0.0, 1.0))

    async def life() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(changes, ring, chance)
            for _ in range(3):
                assert keys == sorted(await scan())
            tasks.cancel_scope.cancel()

    ring.run(life)
    ring.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_watch_goes_on_through_another_node(seed: int) -> None:
    """Taken up again and again where it was: no change twice or out of order, and what was missed is said to be."""
    ring, chance = VirtualRing(8, seed=seed), random.Random(seed)
    written: list[str] = []
    seen: list[Event | Lagged] = []

    async def write() -> None:
        for number in range(100):
            written.append((await ring.nodes[0].put("k", b"%d" % number, timeout=60.0)).version)
            await sleep(chance.uniform(0.0, 0.2))

    async def read(cursor: str) -> None:
        while True:
            async with chance.choice(ring.nodes[:STAYING]).watch("k", after=cursor) as watch:
                for _ in range(chance.randrange(1, 30)):
                    seen.append(each := await anext(watch))
                    cursor = watch.cursor or cursor
                    if isinstance(each, Event) and each.value == b"99":
                        return

    async def life() -> None:
        first = await ring.nodes[0].put("k", b"begin")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(changes, ring, chance)
            async with anyio.create_task_group() as both:
                both.start_soon(write)
                both.start_soon(read, first.version)
            tasks.cancel_scope.cancel()

    ring.run(life)
    versions = [each.version for each in seen if isinstance(each, Event)]
    assert sorted(set(versions)) == versions
    assert set(versions) <= set(written)
    assert versions == written or any(isinstance(each, Lagged) for each in seen)
    ring.close()


@pytest.mark.parametrize("seed", range(6))
def test_many_leave_at_once(seed: int) -> None:
    """Who says that its range was handed over has left nothing behind: all is there, on whoever stays."""
    ring, chance = VirtualRing(7, seed=seed), random.Random(seed)
    keys = [f"k{number}" for number in range(60)]
    for key in keys:
        ring.put(key, b"v")
    ring.settle()
    leaving = chance.sample(ring.nodes[1:], chance.choice([3, 5, 6]))
    drained: list[Node] = []

    async def leave(node: Node) -> None:
        await sleep(chance.choice([0.0, 0.01, 0.2]))
        await node.leave(drain=True)
        drained.append(node)

    async def all_of_them() -> None:
        async with anyio.create_task_group() as tasks:
            for node in leaving:
                tasks.start_soon(leave, node)

    ring.run(all_of_them)
    assert len(leaving) == len(drained)
    for key in keys:
        assert ring.get(key, at=ring.addresses[0]) is not None, key
    with pytest.raises(Closed):
        ring.get("k0", at=leaving[0].address)
    ring.close()
