"""The circle is shared out: what all nodes tell of their arcs, while some join, leave and crash, in virtual time."""

from __future__ import annotations

import os
import random

import anyio
import anyio.lowlevel
import attrs
import pytest

from chord_adapters import Closed, Gained, Lagged, Lost
from chord_adapters._node import Node
from chord_adapters.memory import current_time, sleep
from chord_adapters.testing import VirtualRing
from chord_adapters.testing._stage import is_settled
from chord_proto.peer import Peer
from chord_proto.places import Places, arc
from tests.adapters.backends import LOOPS

SEEDS = range(200 if os.environ.get("CHORD_NIGHTLY") else 8)
STEPS = 12
WITHIN = 120.0
"""Virtual seconds in which a ring has settled."""
TURNS = 10
"""Turns of the loop in which all workers have read what was told."""
FEWEST = 4
"""Nodes that stay: with fewer, two crashes could leave none that had heard of each other."""


@attrs.define(eq=False)
class Workers:
    """Each node's worker holds the arcs that it was told of; no two share a place."""

    ring: VirtualRing
    bits: int = 160
    held: dict[Peer, Places] = attrs.field(factory=dict)
    told: int = 0

    async def work(self, node: Node) -> None:
        """Do what one node's worker does, until the end of the node."""
        mine: set[Peer] = set()
        try:
            async for change in node.ownership():
                self.told += 1
                assert not isinstance(change, Lagged)
                mine.add(change.peer)
                self.take(change)
        except Closed:
            for peer in mine:
                del self.held[peer]

    def take(self, change: Gained | Lost) -> None:
        """Take on the work of an arc, or put it aside."""
        places = arc(change.start, change.end, 1 << self.bits)
        held = self.held.get(change.peer, Places(1 << self.bits))
        when = f"at {current_time():.3f} s: {change}"
        if isinstance(change, Lost):
            assert places == places & held, f"lost, and not held, {when}"
            self.held[change.peer] = held - places
            return
        for peer, theirs in self.held.items():
            assert not theirs & places, f"{peer} holds some of it, {when}"
        self.held[change.peer] = held | places

    async def quiet(self) -> None:
        """Wait until the ring has settled; then the arcs are the circle, and those that the nodes own."""
        deadline = current_time() + WITHIN
        await sleep(0.1)  # What was begun is seen to be under way.
        while not is_settled(self.ring.up, self.ring.net.config):
            assert current_time() < deadline, self.ring.describe()
            await sleep(0.1)
        for _ in range(TURNS):
            await anyio.lowlevel.checkpoint()
        whole = Places(1 << self.bits)
        for places in self.held.values():
            whole |= places
        assert Places(1 << self.bits, ((0, 1 << self.bits),)) == whole
        for node in self.ring.up:
            before = node.predecessor or node.peer
            assert arc(before.id, node.id, 1 << self.bits) == self.held[node.peer]
        assert {node.peer for node in self.ring.up} == set(self.held)


async def history(ring: VirtualRing, seed: int, *, at_once: bool) -> int:
    """Let nodes come and go, with a worker at each; return how many changes were told."""
    chance = random.Random(seed)
    workers = Workers(ring)
    leaving: set[Node] = set()
    async with anyio.create_task_group() as tasks:
        for node in ring.nodes:
            tasks.start_soon(workers.work, node)
        for _ in range(STEPS):
            staying = [node for node in ring.up if node not in leaving]
            what = chance.choice(["join", "leave", "crash"])
            if what == "join" or len(staying) <= FEWEST:
                tasks.start_soon(workers.work, ring.start())
            elif what == "leave":
                leaver = chance.choice(staying)
                leaving.add(leaver)
                tasks.start_soon(leaver.leave)
            else:
                await workers.quiet()  # No more crash at once than there are copies of what they decided.
                ring.crash(chance.choice(staying).address, silent=chance.random() < 0.5)
            await sleep(chance.choice([0.0, 0.02, 0.2, 2.0]))
            if not at_once or chance.random() < 0.3:
                await workers.quiet()
        await workers.quiet()
        tasks.cancel_scope.cancel()
    return workers.told


@pytest.mark.parametrize("at_once", [False, True], ids=["one after another", "at once"])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_place_has_one_worker(seed: int, at_once: bool) -> None:
    """No place is ever held by two workers, and whenever the ring is quiet each by its owner's, also while many come and go."""
    ring = VirtualRing(5, seed=seed)
    told = ring.run(lambda: history(ring, seed, at_once=at_once), backend=LOOPS[seed % len(LOOPS)])
    ring.close()
    assert told > STEPS
