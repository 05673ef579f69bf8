"""Hunts about the ring: every interleaving of a few nodes, and larger rings that grow, break and heal in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from chord_adapters.testing import Scenario, World, explore
from chord_proto.config import Config
from chord_proto.places import Places, arc
from tests.faults.watched import ring

SEARCH_LIMIT = 20_000
"""Most states of an exploration: what is found is found among the first."""


def explored(**scenario: int) -> None:
    """Try every order of events; a state that is wrong is told with the way to it."""
    found = explore(Scenario(**scenario), limit=SEARCH_LIMIT)  # type: ignore[arg-type]
    if found.problem is not None:
        never_heals = found.problem.startswith("it ")
        raise AssertionError(f"{'L1: ' if never_heals else ''}{found.problem}\n{found}")


def growth() -> None:
    """Nodes join one after another, then three at once; then all is quiet."""
    world = ring(5, successors=3, predecessors=3)
    for _ in range(3):
        world.join(["n0"])
    world.net.run_for(0.5)
    world.settle()


def failures() -> None:
    """One node is killed, one falls silent, two neighbours die together, one comes back, one comes new."""
    world = ring(8, successors=3, predecessors=3)
    world.crash("n3", silent=False)
    world.net.run_for(8.0)
    world.crash("n5", silent=True)
    world.net.run_for(8.0)
    _, first, second, *_ = sorted(world.members(), key=lambda peer: (peer.address == "n0", peer.id))
    world.crash(first.address, silent=True)
    world.crash(second.address, silent=True)
    world.join(["n0"])
    world.net.run_for(3.0)
    world.restart("n3", disk=True, via=["n0"])
    world.net.run_for(3.0)
    world.settle()


def short_lists() -> None:
    """Lists of one entry: a newcomer, a failure at once, another newcomer."""
    world = ring(4, successors=1, predecessors=1, replicas=1)
    world.join(["n0"])
    world.net.run_for(6.0)
    world.crash("n2", silent=True)
    world.net.run_for(6.0)
    world.join(["n0"])
    world.settle()


def departures() -> None:
    """Nodes leave gracefully: one, then two at once, then all but one."""
    world = ring(6, successors=3, predecessors=3)
    for leavers in (["n4"], ["n1", "n2"], ["n3", "n5"]):
        for address in leavers:
            world.leave(address)
        world.net.run_for(4.0)
        world.collect()
    world.settle()


def partition() -> None:
    """Two halves live apart for a while and become one ring again."""
    world = ring(6, successors=2, predecessors=2)
    world.partition(["n0", "n1", "n2"], ["n3", "n4", "n5"])
    world.net.run_for(20.0)
    world.settle()


def bad_links() -> None:
    """Messages are lost, doubled and overtake each other while nodes join and one dies."""
    world = ring(4, successors=2, predecessors=2)
    world.weather(loss=0.2, duplicate=0.2, reorder=0.5)
    for _ in range(3):
        world.join(["n0", "n1"])
        world.net.run_for(3.0)
    world.crash("n2", silent=True)
    world.net.run_for(10.0)
    world.settle()


def sleep() -> None:
    """A node is suspended for longer than it takes to be given up, and wakes."""
    world = ring(5, successors=2, predecessors=2)
    world.pause("n3", 12.0)
    world.net.run_for(14.0)
    world.settle()


def two_versions() -> None:
    """Every second host speaks the next wire version, too; one of them is downgraded, another upgraded."""
    world = World(1, Config(), size=4, versions=1)
    for address, speaks in (("n1", 1), ("n2", 2)):
        world.crash(address, silent=False)
        world.restart(address, via=["n0"], speaks=speaks)
        world.net.run_for(5.0)
    world.settle()


def last_of_all() -> None:
    """All but one node fall silent; that one is a ring again, and takes a newcomer in."""
    for size in (2, 4):
        world = ring(size, successors=2, predecessors=2)
        for address in world.up[1:]:
            world.crash(address, silent=True)
        world.net.run_for(30.0)
        world.wait_ideal()
        world.join(["n0"])
        world.settle()


def one_decider() -> None:
    """Nodes join at about the same time and some leave: no two ever decide for one place."""
    for seed in range(4):
        draw = random.Random(seed)
        world = ring(1, seed=seed)
        for _ in range(draw.randint(4, 7)):
            world.join(["n0"])
            world.net.run_for(draw.choice([0.0, 0.0, 0.005, 0.05]))
        for step in range(300):
            world.net.run_for(0.005)
            deciders(world)
            if step == 200:
                world.leave("n1")
        world.settle()


def deciders(world: World) -> None:
    """Fail if two nodes decide for one place."""
    size = 1 << world.config.bits
    taken = Places(size)
    for node in world.net.nodes:
        for ends in node.view().decides:
            places = arc(*ends, size)
            assert not taken & places, f"one decider: {node.me.address} and another decide for {ends}"
            taken |= places


HUNTS: dict[str, Callable[[], None]] = {
    "explore 3+1": partial(explored, members=3, joiners=1),
    "explore 3+1, r=1": partial(explored, members=3, joiners=1, successors=1),
    "explore 2+1, r=1": partial(explored, members=2, joiners=1, successors=1),
    "explore 4-1": partial(explored, members=4, failures=1),
    "explore 1+2, r=1": partial(explored, members=1, joiners=2, successors=1),
    "growth": growth,
    "failures": failures,
    "short lists": short_lists,
    "departures": departures,
    "partition": partition,
    "bad links": bad_links,
    "sleep": sleep,
    "last of all": last_of_all,
    "two versions": two_versions,
    "one decider": one_decider,
}
