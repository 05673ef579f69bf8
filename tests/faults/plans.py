"""Random histories of a ring under all faults, each from one number."""

from __future__ import annotations

import random
from collections.abc import Callable

from chord_proto.identifiers import content_key
from chord_proto.operations import Delete, Fetch, Get, Put, Store
from tests.faults.watched import LIGHTHOUSE, Watched, ring

MOST_UP = 7
STEPS = 25
KEYS = [b"", b"a", b"b", b"long" * 40]
Draw = Callable[[int], int]


def run_plan(seed: int) -> None:
    """Draw a ring and a history, live through it, and let it settle."""
    chance = random.Random(seed)
    r = chance.randint(1, 4)
    world = ring(
        (1, r, r + 1, r + 3)[chance.randrange(4)],
        seed=chance.randrange(2**32),
        write_delay=chance.choice([0.0, 0.02]),
        virtual_nodes=chance.choice([1, 1, 2]),
        bits=chance.choice([160, 16]),
        successors=r,
        predecessors=r,
        replicas=chance.choice([3, 3, 2, 1]),
    )
    kinds = chance.sample(sorted(FAULTS), chance.randint(1, len(FAULTS)))
    for number in range(STEPS):
        kind = chance.choice([*kinds, "advance", "advance", "client", "client"])
        if kind == "advance":
            world.net.run_for(chance.choice([0.002, 0.01, 0.1, 0.5, 3.0, 20.0]))
        elif kind == "client" and world.up:
            _client(world, number, chance.randrange)
        elif world.up or kind == "restart":
            FAULTS[kind](world, chance.randrange)
        world.collect()
    world.settle()


def _up(world: Watched, draw: Draw) -> str:
    return world.up[draw(len(world.up))]


def _client(world: Watched, number: int, draw: Draw) -> None:
    key, block = KEYS[draw(len(KEYS))], b"block %d" % draw(4)
    value = b"%d" % number + b"x" * (0, 1, 300)[draw(3)]
    operations = (Put(key, value), Put(key, value), Get(key), Delete(key), Store(block), Fetch(content_key(block)))
    world.perform(_up(world, draw), operations[draw(len(operations))])


def _join(world: Watched, draw: Draw) -> None:
    if len(world.net.addresses) < MOST_UP:
        world.join([_up(world, draw), LIGHTHOUSE])


def _restart(world: Watched, draw: Draw) -> None:
    down = world.net.down
    if down:
        address = down[draw(len(down))]
        others = [peer.address for peer in world.members()] if address == LIGHTHOUSE else [*world.up[:1], LIGHTHOUSE]
        world.restart(address, disk=bool(draw(2)), via=others)


def _partition(world: Watched, draw: Draw) -> None:
    up, side = world.net.addresses, 1 + draw(2**MOST_UP - 2)
    groups = [[address for i, address in enumerate(up) if side >> i & 1 == bit] for bit in (0, 1)]
    world.partition(*groups, oneway=bool(draw(2)))


def _calm(world: Watched, draw: Draw) -> None:
    world.net.heal()
    world.net.set_links(loss=0.0, duplicate=0.0, reorder=0.0)
    world.net.run_for(8.0)


FAULTS: dict[str, Callable[[Watched, Draw], None]] = {
    "join": _join,
    "leave": lambda world, draw: world.leave(_up(world, draw)),
    "crash": lambda world, draw: world.crash(_up(world, draw), silent=bool(draw(2))),
    "restart": _restart,
    "pause": lambda world, draw: world.pause(_up(world, draw), (0.3, 2.0, 20.0)[draw(3)]),
    "partition": _partition,
    "cut": lambda world, draw: world.cut(_up(world, draw), _up(world, draw), oneway=bool(draw(2))),
    "heal": lambda world, draw: world.net.heal(),
    "weather": lambda world, draw: world.weather(
        loss=(0.0, 0.1, 0.3)[draw(3)], duplicate=(0.0, 0.2)[draw(2)], reorder=(0.0, 0.5)[draw(2)]
    ),
    "calm": _calm,
}
"""What may go wrong, by name."""
