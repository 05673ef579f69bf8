"""Several nodes join at once while records are written: one decider at a time (chord.md section 7)."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from itertools import combinations

import pytest

from chord_adapters.memory import Network
from chord_proto.invariants import is_ideal
from chord_proto.node import Node
from chord_proto.operations import Fetched, Get, Put, Stored
from chord_proto.phase import Phase
from chord_proto.places import Places, arc

SEEDS = range(200 if os.environ.get("CHORD_NIGHTLY") else 20)


def two_deciders(nodes: Iterable[Node]) -> list[str]:
    """Name every pair of nodes that would both decide for one place."""
    views = [node.view() for node in nodes]
    decide = []
    for view in views:
        places = Places(1 << 160)
        for start, end in view.decides:
            places |= arc(start, end, 1 << 160)
        decide.append((view.me.address, places))
    return [f"{a} and {b}" for (a, one), (b, other) in combinations(decide, 2) if one & other]


def ring_of_joiners(seed: int, draw: random.Random) -> Network:
    """Let some nodes join at about the same time."""
    net = Network(seed)
    net.spawn(f"first{seed}")
    for number in range(draw.randint(5, 9)):
        net.spawn(f"node{seed}.{number}", join=[f"first{seed}"])
        if draw.random() < 0.3:
            net.run_for(draw.choice([0.005, 0.05, 0.2]))
    return net


@pytest.mark.parametrize("seed", SEEDS)
def test_one_decider_while_nodes_join(seed: int) -> None:
    """However they overlap, no two nodes ever decide for one place, and within seconds everybody is served."""
    net = ring_of_joiners(seed, random.Random(seed))
    for _ in range(200):
        net.run_for(0.005)
        assert [] == two_deciders(net.nodes)
    net.run_until(lambda: all(node.ready for node in net.nodes), within=5.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_decider_while_nodes_come_and_go(seed: int) -> None:
    """The same when at a ring of some nodes others join and leave ten times a second."""
    draw = random.Random(seed)
    net = ring_of_joiners(seed, draw)
    net.run_until(lambda: is_ideal(net.nodes, net.config), within=30.0)
    for step in range(200):
        net.run_for(0.005)
        assert [] == two_deciders(net.nodes)
        here = [node.me.address for node in net.nodes if node.ready and node.phase is Phase.ACTIVE]
        if step % 20 == 19 and draw.random() < 0.5:
            net.spawn(f"late{seed}.{step}", join=[f"first{seed}"])
        elif step % 20 == 19 and len(here) > 2:
            net.leave(draw.choice([address for address in here if not address.startswith("first")]))
    net.run_until(lambda: all(node.ready for node in net.nodes), within=5.0)


@pytest.mark.parametrize("seed", SEEDS)
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


@pytest.mark.parametrize("seed", SEEDS)
def test_two_joiners_at_a_lone_node(seed: int) -> None:
    """The nearer of two joiners is granted its part first; the other one waits and asks for the rest only."""
    net = Network(seed)
    net.spawn(f"a{seed}")
    net.spawn(f"b{seed}", join=[f"a{seed}"])
    net.spawn(f"c{seed}", join=[f"a{seed}"])
    net.run_until(lambda: all(node.ready for node in net.nodes), within=5.0, every=0.001)
    stored = net.do(f"b{seed}", Put(b"users/42", b"v1"))
    assert isinstance(stored, Stored)
    assert net.do(f"c{seed}", Get(b"users/42")) == Fetched(b"v1", stored.version)


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_news_travels_without_waiting_for_periods(seed: int) -> None:
    """Sixteen that join at once have exact successor lists within five periods, though news passes through eight nodes."""
    net = Network(seed)
    net.spawn("n0")
    for number in range(1, 16):
        net.spawn(f"n{number}", join=["n0"])
    order = sorted((node.me for node in net.nodes), key=lambda peer: peer.id)
    lists = {me: tuple((order[at + 1 :] + order[:at])[:8]) for at, me in enumerate(order)}
    net.run_until(lambda: all(lists[node.me] == node.successors for node in net.nodes), within=5.0)
    assert net.counts["sent"] < 16 * 400
