"""What happens to machines: clocks are set, machines sleep, addresses are used again; the ring is healthy afterwards."""

from __future__ import annotations

import pytest

from chord_adapters.testing import VirtualRing, World
from chord_proto.operations import Fetched, Get, Put, Stored

HOUR = 3600.0
KEYS = [b"k%d" % number for number in range(12)]


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 200.0, -200.0])
def test_a_clock_that_is_set_and_set_right_again(jump: float) -> None:
    """Afterwards every record can be written and read through everybody, also what was written meanwhile."""
    world = World(1, size=5)
    owner = world.net.do("n1", Put(KEYS[0], b"before")).owner.address  # type: ignore[union-attr]
    world.net.set_clock(owner, jump)
    for key in KEYS:
        world.net.do("n1", Put(key, b"meanwhile"), within=30.0)  # Some may be refused, or be in doubt.
    world.net.set_clock(owner, 0.0)
    world.net.run_for(15.0)
    for number, key in enumerate(KEYS):
        written = world.net.do(world.up[number % 5], Put(key, b"after"), within=30.0)
        assert isinstance(written, Stored), (key, written)
        read = world.net.do(world.up[(number + 1) % 5], Get(key), within=30.0)
        assert isinstance(read, Fetched)
        assert (b"after", written.version) == (read.value, read.version)


@pytest.mark.parametrize("seconds", [10.0, pytest.param(HOUR, marks=pytest.mark.slow)])
def test_a_machine_that_sleeps(seconds: float) -> None:
    """It misses what is written meanwhile, and tells nothing old when it is back."""
    ring = VirtualRing(6, seed=3)
    for key in KEYS:
        ring.put(key, b"before")
    sleeper = ring.put(KEYS[0], b"before").owner.address
    others = [address for address in ring.addresses if address != sleeper]
    ring.net.pause(sleeper, seconds)
    ring.advance(min(seconds, 20.0))
    for key in KEYS:
        ring.put(key, b"after", at=others[0], timeout=30.0)
    ring.advance(seconds)
    for address in ring.addresses:
        assert [b"after"] * len(KEYS) == [
            entry.value for key in KEYS if (entry := ring.get(key, at=address, r="majority", timeout=30.0)) is not None
        ]
    ring.settle()
    ring.close()


@pytest.mark.parametrize("gap", [0.0, 0.5, 30.0])
@pytest.mark.parametrize("places", [1, 3])
def test_an_address_that_is_used_again(gap: float, places: int) -> None:
    """By a node without records, at once, before the old one is missed, or later; with as many places or others."""
    ring = VirtualRing(6, seed=2)
    for key in KEYS:
        ring.put(key, b"v")
    address = ring.put(KEYS[0], b"v").owner.address
    ring.crash(address, silent=True)
    ring.advance(gap)
    again = ring.start(address, virtual_nodes=places)
    ring.settle()
    assert again.is_ready
    for at in ring.addresses:
        assert [b"v"] * len(KEYS) == [entry.value for key in KEYS if (entry := ring.get(key, at=at)) is not None]
    ring.close()


def test_all_begin_again_without_a_storm() -> None:
    """What is sent until the ring is whole again is no more than some times what it sends when nothing happens."""
    ring = VirtualRing(24, seed=1, durable=True)
    for number in range(100):
        ring.put(f"k{number}", b"v")
    ring.settle()

    def sent() -> int:
        return sum(node.stats().nodes[0].sent for node in ring.up)

    before = sent()
    ring.advance(30.0)
    idle = (sent() - before) / 30.0
    for address in ring.addresses:
        ring.crash(address)
    ring.advance(5.0)
    for address in ring.addresses:
        ring.start(address)
    took = ring.settle()
    ring.advance(max(0.0, 30.0 - took))
    storm = sent() / max(30.0, took)
    assert storm < 3 * idle
    assert all(ring.get(f"k{number}") is not None for number in range(100))
    ring.close()
