"""What recursive lookups save where a message takes the same time between any two nodes, and what they cost in messages.

Run it: ``python -m tests.bench.bench_recursive [lookups [nodes ...]]``.  All follows from the seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from random import Random

import attrs

from chord_adapters.sim import production
from chord_adapters.sim._field import Field, places_of
from chord_proto.config import Config
from chord_proto.operations import Located

DELAY = 0.02
"""Seconds from node to node."""


@attrs.frozen
class Measured:
    """What lookups took that their asker could not answer by itself."""

    lookups: int
    wrong: int
    seconds: float
    """How long until who precedes the place had answered, in the mean."""
    messages: float
    """How many messages that took, in the mean."""
    steps: float
    """How many nodes were asked on the way, that one included, in the mean."""


def measured(nodes: int, config: Config, *, lookups: int, seed: int = 1) -> Measured:
    """Look random places up from random nodes of a ring at rest; every node has a connection to every other one."""
    field = Field(places_of(nodes, 1, seed=seed, bits=config.bits), config, seed=seed, between=lambda source, to: DELAY)
    draw, askers = Random(seed), list(field.nodes.values())
    seconds, wrong = [], 0
    for _ in range(lookups):
        place = draw.getrandbits(config.bits)
        found = field.locate(draw.choice(askers), place)
        if isinstance(found, Located) and found.path:
            seconds.append(found.path[-1].seconds)
        wrong += not isinstance(found, Located) or found.owner.id != field.owner(place)
    asked = sum(node.stats().hops for node in askers)
    return Measured(
        lookups=len(seconds),
        wrong=wrong,
        seconds=sum(seconds) / len(seconds),
        messages=sum(node.stats().sent for node in askers) / len(seconds),
        steps=1 + asked / len(seconds),
    )


def both(nodes: int, *, lookups: int) -> Iterable[Measured]:
    """Measure iterative and recursive lookups by fingers alone, checked as ever; all are equally far from each other."""
    for routing in ("iterative", "recursive"):
        config = attrs.evolve(production(), routing=routing, peer_cache=False, proximity=False)
        yield measured(nodes, config, lookups=lookups)


def main(lookups: int = 2000, *sizes: int) -> None:
    """Print the table."""
    print(f"{lookups} lookups, {1000 * DELAY:.0f} ms from node to node\n")
    print(
        "| nodes | nodes asked | iterative, ms | recursive, ms | ratio | messages, iterative | messages, recursive | wrong |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for nodes in sizes or (16, 64, 256, 1024):
        old, new = both(nodes, lookups=lookups)
        print(
            f"| {nodes} | {old.steps:.1f} | {1000 * old.seconds:.0f} | {1000 * new.seconds:.0f}"
            f" | {new.seconds / old.seconds:.2f} | {old.messages:.1f} | {new.messages:.1f} | {old.wrong + new.wrong} |",
            flush=True,
        )


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:]))
