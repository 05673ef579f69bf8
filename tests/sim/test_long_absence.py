"""Who was away for longer than the grace period brings nothing back that was deleted meanwhile (chord.md section 7)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import pytest

from chord_adapters.storage import Batch
from chord_adapters.testing import VirtualRing
from chord_proto.config import Config

CONFIG = Config(replicas=3, grace_period=60.0)
LONG, SHORT = 200.0, 30.0
"""Longer than the grace period and what it takes to forget a deletion then; and shorter than it."""
KEYS = [f"k{number}" for number in range(20)]


@contextmanager
def a_ring(config: Config = CONFIG) -> Iterator[VirtualRing]:
    """Yield a ring of five that keep what they hold: 20 records."""
    ring = VirtualRing(5, config=config, durable=True)
    for key in KEYS:
        ring.put(key, b"v")
    ring.settle()
    yield ring
    ring.close()


def read(ring: VirtualRing) -> set[str]:
    """Return which of the keys are there, as everybody says."""
    found = [{key for key in KEYS if ring.get(key, at=node.address) is not None} for node in ring.up]
    assert [found[0]] * len(found) == found
    return found[0]


def miss_deletions(ring: VirtualRing, address: str, *, away: float = LONG) -> None:
    """Let the node at an address be away while all that it holds is deleted, and until that is forgotten."""
    ring.crash(address)
    ring.settle()
    for key in KEYS:
        ring.delete(key)
    ring.advance(away)


def records(ring: VirtualRing) -> int:
    """Return how many records there are on all nodes, tombstones among them."""
    return sum(node.stats().nodes[0].records for node in ring.up)


def test_what_was_deleted_stays_deleted(caplog: pytest.LogCaptureFixture) -> None:
    """The deletions are forgotten by everybody, and who comes back drops what it has of then, and says so."""
    with a_ring() as ring:
        held = ring.nodes[4].stats().nodes[0].records
        assert held
        miss_deletions(ring, ring.addresses[4])
        assert 0 == records(ring)
        with caplog.at_level(logging.WARNING, "chord_adapters"):
            ring.start(ring.addresses[4])
            ring.settle()
        assert f"{held} records of then are set aside" in caplog.text
        ring.advance(30.0)
        assert (set(), 0) == (read(ring), records(ring))


def test_unless_it_is_to_keep_them() -> None:
    """With ``Config.keep_outdated`` they are back."""
    with a_ring(attrs.evolve(CONFIG, keep_outdated=True)) as ring:
        miss_deletions(ring, ring.addresses[4])
        assert 0 == records(ring)
        ring.start(ring.addresses[4])
        ring.settle()
        ring.advance(30.0)
        assert set() < read(ring)


def test_a_short_absence_drops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The ring remembers the deletions, and the node need not fetch again what it has."""
    with a_ring() as ring:
        miss_deletions(ring, ring.addresses[4], away=SHORT)
        with caplog.at_level(logging.WARNING, "chord_adapters"):
            ring.start(ring.addresses[4])
            ring.settle()
        assert ("", set()) == (caplog.text, read(ring))


def test_all_who_held_a_record_were_away() -> None:
    """Nobody has it then but those who set it aside, and it is not lost: started again to keep it they bring it back."""
    with a_ring() as ring:
        away = ring.addresses[2:]
        for address in away:
            ring.crash(address)
        ring.settle()
        left = read(ring)
        ring.advance(LONG)
        for address in away:
            ring.start(address)
        ring.settle()
        assert left == read(ring) < set(KEYS)
        ring.net.config = attrs.evolve(CONFIG, keep_outdated=True)
        for address in away:
            ring.crash(address)
            ring.settle()
            ring.start(address)
            ring.settle()
        ring.advance(10.0)
        assert set(KEYS) == read(ring)


def test_blocks_are_kept() -> None:
    """Nobody deletes them."""
    with a_ring() as ring:
        keys = [ring.run(ring.nodes[0].store, f"block {number}".encode()) for number in range(20)]
        ring.settle()
        miss_deletions(ring, ring.addresses[4])
        again = ring.start(ring.addresses[4])
        ring.advance(5.0)
        assert again.stats().nodes[0].records
        for key in keys:
            assert ring.run(ring.nodes[0].fetch, key)


def test_all_are_away_for_long() -> None:
    """A ring that was started again as a whole has lost nothing, in whatever order its nodes come back."""
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        with a_ring() as ring:
            addresses = ring.addresses
            for address in addresses:
                ring.crash(address)
            ring.advance(LONG)
            for which in order:
                ring.start(addresses[which])
                ring.advance(SHORT / 2)
            ring.settle()
            assert set(KEYS) == read(ring)


def test_all_are_away_for_long_and_come_back_at_once() -> None:
    """Each for itself at first; the rings merge, and nothing is lost."""
    with a_ring() as ring:
        addresses = ring.addresses
        for address in addresses:
            ring.crash(address)
        ring.advance(LONG)
        for address in addresses:
            ring.start(address)
        ring.settle()
        assert set(KEYS) == read(ring)


def test_the_others_were_started_again_meanwhile() -> None:
    """One after the other: it is the same ring all the time, though nobody in it has seen the deletions made."""
    with a_ring() as ring:
        miss_deletions(ring, ring.addresses[4])
        for address in ring.addresses[:4]:
            ring.crash(address)
            ring.settle()
            ring.start(address)
            ring.settle()
        ring.start(ring.addresses[4])
        ring.settle()
        assert set() == read(ring)


def test_all_others_were_started_again_at_once_meanwhile() -> None:
    """They were away for less than the grace period: it is the same ring still."""
    with a_ring() as ring:
        miss_deletions(ring, ring.addresses[4])
        for address in ring.addresses[:4]:
            ring.crash(address)
        ring.advance(SHORT)
        for address in ring.addresses[:4]:
            ring.start(address)
        ring.settle()
        ring.start(ring.addresses[4])
        ring.settle()
        assert set() == read(ring)


def alone(ring: VirtualRing, address: str) -> None:
    """Start a node that reaches nobody, until it is a ring of its own."""
    ring.net.partition([address], [other for other in ring.addresses if other != address])
    again = ring.start(address)
    ring.advance(10.0)
    assert again.is_ready


def test_it_was_a_ring_of_its_own_at_first() -> None:
    """What was written there stays when the rings merge, and nothing else of it, and nothing that was deleted."""
    with a_ring() as ring:
        address = ring.addresses[4]
        miss_deletions(ring, address)
        alone(ring, address)
        ring.put("new", b"v", at=address, w=1)
        ring.net.heal()
        ring.settle()
        ring.advance(10.0)  # A copy whose owner has none is given to it within some rounds of repair.
        assert (set(), [b"v"] * 5) == (read(ring), [ring.get("new", at=each.address).value for each in ring.up])  # type: ignore[union-attr]


def test_it_was_alone_and_was_killed() -> None:
    """That it ran meanwhile, seconds ago, is not to be mistaken for having been there."""
    with a_ring() as ring:
        address = ring.addresses[4]
        miss_deletions(ring, address)
        alone(ring, address)
        ring.advance(20.0)
        ring.crash(address)
        ring.net.heal()
        ring.start(address)
        ring.settle()
        assert set() == read(ring)


def test_two_were_alone_together() -> None:
    """Each forgets what it has once it hears of the ring; what one gives to the other meanwhile does not stay."""
    with a_ring() as ring:
        *others, one, two = ring.addresses
        ring.crash(one)
        miss_deletions(ring, two)
        ring.net.partition([one, two], others)
        for address in (one, two):
            ring.start(address)
        ring.advance(SHORT)
        ring.net.heal()
        ring.settle()
        ring.advance(30.0)
        assert set() == read(ring)


def test_a_ring_that_never_had_the_records() -> None:
    """A node that comes to another ring, which is older, brings with it what it holds."""
    with a_ring() as ring:
        storage = ring._storages[ring.addresses[4]]
        miss_deletions(ring, ring.addresses[4])
        storage.load()
        storage.apply(Batch(founded=1))
        storage.close()
        ring.start(ring.addresses[4])
        ring.settle()
        ring.advance(30.0)
        assert set() < read(ring)
