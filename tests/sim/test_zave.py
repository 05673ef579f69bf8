"""Zave's invariant in virtual time, under her assumptions: joins, and failures as often as they are allowed."""

from __future__ import annotations

import os
import random

import pytest

from chord_adapters.testing import World
from chord_proto.config import Config
from chord_proto.invariants import MEMBERS

STEPS = 250_000 if os.environ.get("CHORD_NIGHTLY") else 8_000
"""Inputs of nodes for each length of lists: in all, a million a night."""
MOST = 10
PAUSES = (0.001, 0.01, 0.1, 0.5, 3.0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("r", [1, 2, 3, 4])
def test_the_invariant_holds_while_nodes_join_and_fail(r: int) -> None:
    """After each input that changes a pointer or sends a list, the invariant is checked; it is never silenced."""
    chance = random.Random(r)
    world = World(r, Config(successors=r, predecessors=r, replicas=1), size=r + 2)
    overseer, net = world.overseer, world.net
    begun, joins, failures = net.counts["steps"], 0, 0
    while net.counts["steps"] - begun < STEPS:
        members = [node.me.address for node in net.nodes if node.phase in MEMBERS]
        if len(net.addresses) < MOST and chance.random() < 0.5:
            world.join([chance.choice(members)])
            joins += 1
        elif overseer.may_fail(victim := chance.choice(world.up)):
            world.crash(victim, silent=chance.random() < 0.5)
            failures += 1
        net.run_for(chance.choice(PAUSES))
        assert overseer.assumptions, f"broken: {overseer.seen}"
    assert joins > 5
    assert failures > 5 or r == 1  # With lists of one, a failure strands whoever points there.
    assert overseer.seen["whole ring checked: Z"] > 20
