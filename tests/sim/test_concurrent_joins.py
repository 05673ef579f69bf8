"""Several nodes join at once while records are written: one decider at a time (chord.md section 7)."""

from __future__ import annotations

import random

import pytest

from chord_adapters.memory import Network
from chord_proto.operations import Fetched, Get, Put, Stored


@pytest.mark.parametrize("seed", range(60))
def test_what_was_acknowledged_is_read_while_others_join(seed: int) -> None:
    """Without any fault, a value acknowledged at one node is what another node reads right afterwards."""
    draw = random.Random(seed)
    net = Network(seed)
    net.spawn(f"first{seed}")
    for number in range(draw.randint(2, 8)):
        net.spawn(f"node{seed}.{number}", join=[f"first{seed}"])
        if draw.random() < 0.3:
            net.run_for(draw.choice([0.005, 0.05, 0.2]))
    for step in range(12):
        ready = [node.me.address for node in net.nodes if node.ready]
        name = b"k%d" % draw.randrange(3)
        stored = net.do(draw.choice(ready), Put(name, b"%d" % step))
        assert isinstance(stored, Stored)
        assert net.do(draw.choice(ready), Get(name)) == Fetched(b"%d" % step, stored.version)
        net.run_for(draw.choice([0.0, 0.01, 0.1, 0.5]))


@pytest.mark.parametrize("seed", range(40))
def test_two_joiners_at_a_lone_node(seed: int) -> None:
    """The nearer of two joiners is granted its part first; the other one waits and asks for the rest only."""
    net = Network(seed)
    net.spawn(f"a{seed}")
    net.spawn(f"b{seed}", join=[f"a{seed}"])
    net.spawn(f"c{seed}", join=[f"a{seed}"])
    net.run_until(lambda: all(node.ready for node in net.nodes), within=30.0, every=0.001)
    stored = net.do(f"b{seed}", Put(b"users/42", b"v1"))
    assert isinstance(stored, Stored)
    assert net.do(f"c{seed}", Get(b"users/42")) == Fetched(b"v1", stored.version)
