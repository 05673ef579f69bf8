"""Where copies are after nodes came, went, died and were cut off: on the R owners in line, and nowhere else (D2, D4)."""

from __future__ import annotations

import random
from functools import partial

import anyio
import pytest

from chord_adapters import ChordError
from chord_adapters.memory import current_time, sleep
from chord_adapters.testing import VirtualRing
from chord_adapters.testing._ledger import replicas_of
from chord_proto.messages import Space
from tests.sim.test_histories import whole

pytestmark = pytest.mark.slow

DETECTED = 6.0
"""Virtual seconds in which a silent node is found dead, and what it held is read: a round of stabilise and four tries."""
WITHIN = 120.0
"""Virtual seconds in which copies are in place."""


def out_of_place(ring: VirtualRing, keys: list[str]) -> list[str]:
    """Return what is wrong with the copies of these keys: on others than the R in line, or different."""
    nodes = [node for each in ring.up for node in each._driver.nodes]
    members = sorted((node.me for node in nodes), key=lambda peer: peer.id)
    wrong = []
    for key in keys:
        name = Space.RECORD, key.encode()
        held = {node.me.address: copy.version for node in nodes if (copy := node.writes.table.get(*name)) is not None}
        wanted = replicas_of(name, members, ring.net.config)
        if sorted(held) != sorted(wanted) or len(set(held.values())) != 1:
            wrong.append(f"{key} is on {sorted(held.items())} instead of {sorted(wanted)}")
    return wrong


async def in_place(ring: VirtualRing, keys: list[str]) -> None:
    """Wait until all copies are where they belong; nobody reads or writes meanwhile."""
    await whole(ring)
    deadline = current_time() + WITHIN
    while wrong := out_of_place(ring, keys):
        assert current_time() < deadline, wrong
        await sleep(1.0)


def value(ring: VirtualRing, key: str, at: str) -> bytes | None:
    """Read from the owner through a node."""
    entry = ring.get(key, at=at)
    return None if entry is None else entry.value


class Writer:
    """Overwrites keys for ever, through a node that stays, and knows what may be read of each."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.possible: dict[str, list[bytes]] = {}
        """By key, what was acknowledged last, and what was tried since."""

    async def write(self, ring: VirtualRing) -> None:
        """Write until cancelled."""
        number = 0
        while True:
            for key in self.keys:
                number += 1
                written = b"%d" % number
                self.possible.setdefault(key, []).append(written)
                try:
                    await ring.nodes[0].put(key, written)
                except ChordError as error:
                    if not error.outcome_unknown:
                        self.possible[key].remove(written)
                else:
                    self.possible[key] = [written]


async def comings_and_goings(ring: VirtualRing, chance: random.Random, changes: int) -> None:
    """Let nodes join and leave, several at a time."""
    leaving = {ring.nodes[0]}
    async with anyio.create_task_group() as leaves:
        for _ in range(changes):
            others = [node for node in ring.up if node not in leaving]
            if chance.random() < 0.5:
                ring.start()
            else:
                leaving.add(leaver := chance.choice(others))
                leaves.start_soon(leaver.leave)
            await sleep(chance.choice([0.0, 0.05, 0.3]))


def test_from_64_nodes_to_one() -> None:
    """600 keys are overwritten while nodes join and leave at once; then all but one leave: no key is missing or wrong."""
    ring, writer, chance = VirtualRing(64, seed=1), Writer([f"k{number}" for number in range(600)]), random.Random(1)

    async def life() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.write, ring)
            await comings_and_goings(ring, chance, 40)
            await whole(ring)
            while len(writer.possible) < len(writer.keys):
                await sleep(0.1)
            tasks.cancel_scope.cancel()
        await in_place(ring, writer.keys)
        while len(ring.up) > 1:
            others = [node for node in ring.up if node is not ring.nodes[0]]
            async with anyio.create_task_group() as leaves:
                for node in chance.sample(others, min(len(others), 8)):
                    leaves.start_soon(node.leave)
            await in_place(ring, writer.keys)

    ring.run(life)
    assert (ring.nodes[0],) == ring.up
    assert {} == {
        key: read for key in writer.keys if (read := value(ring, key, ring.addresses[0])) not in writer.possible[key]
    }
    ring.close()


@pytest.mark.parametrize("seed", range(3))
def test_halves_with_writes_on_both_sides(seed: int) -> None:
    """Healed they are one ring with equal replicas: of each key everybody reads the newest of what either acknowledged."""
    ring, chance = VirtualRing(8, seed=seed), random.Random(seed)
    keys = [f"k{number}" for number in range(40)]
    for key in keys:
        ring.put(key, b"before")
    sides = (ring.addresses[::2], ring.addresses[1::2])
    ring.net.partition(*sides)
    ring.advance(60.0)
    newest: dict[str, tuple[str, bytes]] = {}
    for number, key in enumerate(keys):
        for side in chance.sample(range(2), chance.choice([1, 2])):
            written = b"%d on side %d" % (number, side)
            done = ring.put(key, written, at=chance.choice(sides[side]), timeout=30.0)
            newest[key] = max(newest.get(key, ("", b"")), (done.version, written))
    ring.net.heal()
    ring.settle()
    ring.run(partial(in_place, ring, keys))
    for at in ring.addresses:
        assert {key: written for key, (_, written) in newest.items()} == {key: value(ring, key, at) for key in keys}
    ring.close()


@pytest.mark.parametrize("silent", [False, True], ids=["broken connections", "silence"])
@pytest.mark.parametrize("seed", range(2))
def test_as_many_as_there_are_to_spare_die_at_once(seed: int, silent: bool) -> None:
    """R - 1 holders of each key, r - 1 nodes in a row: what was there is read, and repaired without anybody's help."""
    ring, chance = VirtualRing(16, seed=seed), random.Random(seed)
    keys = [f"k{number}" for number in range(60)]
    for key in keys:
        ring.put(key, key.encode())
    ring.run(partial(in_place, ring, keys))
    row = sorted(ring.nodes, key=lambda node: node.id)
    first = chance.randrange(len(row))
    dying = (row * 2)[first : first + ring.net.config.replicas - 1]
    for node in dying:
        ring.crash(node.address, silent=silent)
    at = chance.choice([node.address for node in ring.up])
    for key in keys:
        began = ring.net.now
        entry = ring.get(key, at=at, timeout=30.0)
        assert entry is not None
        assert key.encode() == entry.value
        assert ring.net.now - began < DETECTED
    ring.run(partial(in_place, ring, keys))
    # The lists are longer than the copies are many: a whole row of successors dies.
    row = sorted(ring.up, key=lambda node: node.id)
    for node in row[1 : ring.net.config.successors]:
        ring.crash(node.address, silent=silent)
    ring.settle()
    assert len(row) - ring.net.config.successors + 1 == len(ring.up)
    ring.put("after", b"all", at=row[0].address)
    assert b"all" == value(ring, "after", row[-1].address)
    ring.close()
