"""What four clients are told while nodes join, leave and crash has an order that explains it (D1, D3, D5, D6, D9, D10)."""

from __future__ import annotations

import os
import random

import anyio
import pytest

from chord_adapters._node import Node
from chord_adapters.memory import current_time, sleep
from chord_adapters.testing import History, VirtualRing
from chord_adapters.testing._stage import is_settled
from tests.adapters.backends import LOOPS

SEEDS = range(int(os.environ.get("CHORD_HISTORIES", "6")))
KEYS = [f"key {number}" for number in range(5)]
CLIENTS, STEPS = 4, 8
WITHIN = 120.0
"""Virtual seconds in which a ring has settled."""


def is_whole(ring: VirtualRing, since: float) -> bool:
    """Tell whether all replicas were found complete since then."""
    age = current_time() - since
    repaired = (node.health().last_repair for node in ring.up)
    return is_settled(ring.up, ring.net.config) and all(each is not None and each < age for each in repaired)


async def whole(ring: VirtualRing) -> None:
    """Wait for a complete repair."""
    since = current_time()
    while not is_whole(ring, since):
        assert current_time() < since + WITHIN, ring.describe()
        await sleep(0.2)


async def lived(ring: VirtualRing, seed: int) -> History:
    """Let clients write and read while nodes come and go; then read everything through everybody."""
    chance, history = random.Random(seed), History()
    staying, leaving = ring.nodes[:CLIENTS], set[Node]()

    def others() -> list[Node]:
        return [node for node in ring.up if node not in staying and node not in leaving]

    async def client(node: Node, number: int) -> None:
        drawn = random.Random(f"{seed}/{number}")
        while True:
            await history.something(node, KEYS, drawn)
            await sleep(drawn.uniform(0.0, 0.1))

    async with anyio.create_task_group() as clients:
        for number, node in enumerate(staying):
            clients.start_soon(client, node, number)
        async with anyio.create_task_group() as changes:
            for _ in range(STEPS):
                what = chance.choice(["join", "leave", "crash"])
                if (
                    what == "crash"
                ):  # As many may crash as there are copies to spare: one, until repair has made up for it.
                    await whole(ring)
                if what == "join" or not others():
                    ring.start()
                elif what == "leave":
                    leaving.add(leaver := chance.choice(others()))
                    changes.start_soon(leaver.leave)
                else:
                    ring.crash(chance.choice(others()).address, silent=chance.random() < 0.5)
                    await whole(ring)
                await sleep(chance.choice([0.0, 0.1, 1.0]))
        await whole(ring)
        clients.cancel_scope.cancel()
    for key in KEYS:
        for node in ring.up:
            assert await history.get(node, key)
    return history


@pytest.mark.parametrize("seed", SEEDS)
def test_histories(seed: int) -> None:
    """No acknowledged write is lost, no read goes back, none is of what nobody wrote, and nothing deleted comes back."""
    ring = VirtualRing(6, seed=seed)
    history = ring.run(lived, ring, seed, backend=LOOPS[seed % len(LOOPS)])
    ring.close()
    assert [] == history.problems()
    assert 100 < history.done
