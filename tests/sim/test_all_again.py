"""All begin again, at once or one after the other, in any order: none waits for another, and nothing is lost."""

from __future__ import annotations

import os
import random

import pytest

from chord_adapters.testing import VirtualRing

pytestmark = pytest.mark.slow

SEEDS = range(300 if os.environ.get("CHORD_NIGHTLY") else 12)
SIZE, KEYS = 8, [f"k{number}" for number in range(40)]
ALONE_WITHIN = 6.0
"""Virtual seconds after which a node that meets nobody is a ring of its own."""


@pytest.mark.parametrize("seed", SEEDS)
def test_all_begin_again(seed: int) -> None:
    """Each is ready within seconds though the others come later, and what was acknowledged is there when all are."""
    chance = random.Random(seed)
    ring = VirtualRing(SIZE, seed=seed, durable=True)
    for key in KEYS:
        ring.put(key, key.encode())
    ring.advance(3.0)
    addresses = list(ring.addresses)
    for address in addresses:
        ring.crash(address, silent=chance.random() < 0.5)
        ring.advance(chance.choice([0.0, 0.0, 0.3]))
    chance.shuffle(addresses)
    for address in addresses:
        node = ring.start(address)
        if gap := chance.choice([0.0, 0.0, 0.5, 3.0, 20.0]):
            ring.advance(gap)
        assert node.is_ready or gap < 20.0, ring.describe()
    ring.advance(2 * ALONE_WITHIN)
    assert all(node.is_ready for node in ring.up), ring.describe()
    ring.settle()
    for turn, key in enumerate(KEYS):
        entry = ring.get(key, at=addresses[turn % SIZE], r="majority")
        assert key.encode() == (entry and entry.value)
    ring.close()
