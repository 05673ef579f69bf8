"""A ring that was cut, in any shape and for any time, is one ring soon after it has healed, its records merged (L8, D5)."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Sequence

import pytest

from chord_adapters.memory import Handle
from chord_adapters.testing._world import World
from chord_proto.invariants import why_not_ideal
from chord_proto.operations import Delete, Failed, Fetched, Get, Operation, Put
from chord_proto.peer import Address

NIGHTLY = bool(os.environ.get("CHORD_NIGHTLY"))
HOUR = 3600.0
MERGED_WITHIN = 90.0
"""Virtual seconds: probes come at most 36 s apart, each node's own, and a merge takes a few rounds of stabilise."""
IN_PLACE_WITHIN = 30.0
"""Virtual seconds from there until each record is where it belongs, in its newest version."""
KEYS = [b"key %d" % number for number in range(12)]
DELETED = [b"deleted %d" % number for number in range(4)]
"""What is deleted before the cut, and not written again."""

Shape = Callable[[World, random.Random, float], None]


def split(world: World, chance: random.Random, parts: int) -> list[list[Address]]:
    """Return the addresses in so many parts, each of one at least."""
    addresses = list(world.up)
    chance.shuffle(addresses)
    groups: list[list[Address]] = [[address] for address in addresses[:parts]]
    for address in addresses[parts:]:
        chance.choice(groups).append(address)
    return groups


def halves(world: World, chance: random.Random, seconds: float) -> None:
    """Two parts of the same size."""
    addresses = list(world.up)
    chance.shuffle(addresses)
    world.partition(addresses[::2], addresses[1::2])
    live(world, chance, seconds)


def three_parts(world: World, chance: random.Random, seconds: float) -> None:
    """Three parts, of any sizes."""
    world.partition(*split(world, chance, 3))
    live(world, chance, seconds)


def neighbouring_parts(world: World, chance: random.Random, seconds: float) -> None:
    """Four parts, each an arc of the circle: all copies of most records on one side."""
    ordered = [peer.address for peer in sorted(world.members(), key=lambda peer: peer.id)]
    size = -(-len(ordered) // 4)
    world.partition(*(ordered[start : start + size] for start in range(0, len(ordered), size)))
    live(world, chance, seconds)


def all_apart(world: World, chance: random.Random, seconds: float) -> None:
    """Everybody alone."""
    world.partition(*([address] for address in world.up))
    live(world, chance, seconds)


def isolated(world: World, chance: random.Random, seconds: float) -> None:
    """One node is cut off."""
    world.partition([chance.choice(world.up)])
    live(world, chance, seconds)


def one_way(world: World, chance: random.Random, seconds: float) -> None:
    """One part hears the other and is not heard."""
    world.partition(*split(world, chance, 2), oneway=True)
    live(world, chance, seconds)


def not_transitive(world: World, chance: random.Random, seconds: float) -> None:
    """A and B reach each other, B and C too, A and C do not."""
    a, _, c = split(world, chance, 3)
    world.partition(a, c)
    live(world, chance, seconds)


def some_links(world: World, chance: random.Random, seconds: float) -> None:
    """A third of the links are cut, some one way."""
    for a in world.up:
        for b in world.up:
            if a < b and chance.random() < 0.33:
                world.cut(*chance.sample([a, b], 2), oneway=chance.random() < 0.5)
    live(world, chance, seconds)


def flapping(world: World, chance: random.Random, seconds: float) -> None:
    """The cut comes and goes, every time for longer than it takes to suspect somebody or for less."""
    one, other = split(world, chance, 2)
    end = world.net.now + seconds
    while world.net.now < end:
        world.partition(one, other)
        live(world, chance, chance.choice([0.2, 1.0, 5.0, 12.0]))
        world.heal()
        live(world, chance, chance.choice([0.2, 1.0, 5.0]))


SHAPES: list[Shape] = [
    halves,
    three_parts,
    neighbouring_parts,
    all_apart,
    isolated,
    one_way,
    not_transitive,
    some_links,
    flapping,
]


def live(world: World, chance: random.Random, seconds: float) -> None:
    """Let clients write, delete and read at all nodes for so long."""
    end = world.net.now + seconds
    pause = max(0.1, seconds / 100)
    while world.net.now < end:
        work(world, chance, world.up)
        world.net.run_for(min(pause, max(0.0, end - world.net.now)))
    world.collect()


def work(world: World, chance: random.Random, by: Sequence[Address]) -> Handle:
    """Begin an operation at one of some nodes."""
    name = chance.choice(KEYS)
    world.values += 1
    value = b"%d" % world.values
    choices: list[Operation] = [Put(name, value), Put(name, value), Get(name), Get(name), Delete(name)]
    return world.perform(chance.choice(by), chance.choice(choices))


def begin(seed: int, size: int) -> World:
    """Return an ideal ring with records, some of them deleted."""
    world = World(seed, size=size)
    for name in (*KEYS, *DELETED):
        world.values += 1
        world.net.wait(world.perform(world.up[0], Put(name, b"%d" % world.values)))
    for name in DELETED:
        world.net.wait(world.perform(world.up[-1], Delete(name)))
    world.collect()
    return world


def merged(world: World) -> tuple[float, float]:
    """Heal; wait for the ring, then for its records; return how long each took."""
    world.heal()
    ring = world.wait_ideal(within=MERGED_WITHIN)
    placed = world.net.run_until(
        lambda: world._records_in_place() and all(node.ready for node in world.net.nodes),
        within=IN_PLACE_WITHIN,
        every=0.25,
        explain=world._what_is_out_of_place,
    )
    return ring, placed


def read_everywhere(world: World) -> None:
    """Check that whoever is asked reads the same of each record, and nothing of what was deleted."""
    for name in (*KEYS, *DELETED):
        reads = [world.net.do(address, Get(name)) for address in world.up]
        assert {Fetched} == {type(read) for read in reads}, f"{name!r}: {reads}"
        assert [reads[0]] * len(reads) == reads, name
        if name in DELETED:
            assert isinstance(reads[0], Fetched)
            assert reads[0].value is None, f"{name!r} is back: {reads[0]}"


def cut_and_healed(shape: Shape, seed: int, seconds: float) -> tuple[float, float]:
    """Let a ring live through a cut; check all; return how long the ring and its records took."""
    chance = random.Random(f"{shape.__name__}/{seed}/{seconds}")
    world = begin(seed, chance.randint(8, 24))
    shape(world, chance, seconds)
    took = merged(world)
    world.settle()  # Everything that was acknowledged is judged.
    read_everywhere(world)
    return took


@pytest.mark.parametrize("seconds", [1.0, 20.0, 150.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_one_ring_again(shape: Shape, seconds: float) -> None:
    """However it was cut, and whether or not somebody was suspected and probes had become rare, it merges."""
    cut_and_healed(shape, 1, seconds)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 42 if NIGHTLY else 3))
@pytest.mark.parametrize("shape", SHAPES)
def test_one_ring_again_whatever_the_seed(shape: Shape, seed: int) -> None:
    """Other rings, cut for other times."""
    cut_and_healed(shape, seed, (0.5, 5.0, 10.0, 60.0, 300.0)[seed % 5])


@pytest.mark.slow
@pytest.mark.skipif(not NIGHTLY, reason="an hour of a ring takes up to half a minute: at night")
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape is not flapping])
def test_one_ring_again_after_an_hour(shape: Shape) -> None:
    """What was suspected and suspected again for an hour is found again as fast."""
    cut_and_healed(shape, 1, HOUR)


# For good

LATE = 6.0
"""Seconds by which a slow node is late: longer than it takes to be suspected."""
Ailment = Callable[[World, random.Random, Address], None]


def others(world: World, bad: Address) -> list[Address]:
    """Return everybody else."""
    return [address for address in world.up if address != bad]


def deaf(world: World, chance: random.Random, bad: Address) -> None:
    """It hears nobody."""
    world.partition(others(world, bad), [bad], oneway=True)


def mute(world: World, chance: random.Random, bad: Address) -> None:
    """Nobody hears it."""
    world.partition([bad], others(world, bad), oneway=True)


def slow(world: World, chance: random.Random, bad: Address) -> None:
    """It says everything late: it sleeps most of the time, and is asleep again soon after it has woken (`served`)."""
    world.pause(bad, LATE)


def half_heard(world: World, chance: random.Random, bad: Address) -> None:
    """Half of the others do not hear it, all others do, and it hears all."""
    for each in chance.sample(others(world, bad), len(world.up) // 2):
        world.cut(bad, each, oneway=True)


def half_cut(world: World, chance: random.Random, bad: Address) -> None:
    """Between it and half of the others nothing passes."""
    for each in chance.sample(others(world, bad), len(world.up) // 2):
        world.cut(bad, each)


def served(
    world: World, chance: random.Random, by: list[Address], seconds: float, asleep: list[Address]
) -> list[Handle]:
    """Let operations begin at some nodes for so long; return all, ended."""
    handles = []
    for turn in range(int(seconds / 0.25)):
        if turn % int(4 * (LATE + 0.5)) == 0:
            for address in asleep:
                world.pause(address, LATE)
        handles.append(work(world, chance, by))
        world.net.run_for(0.25)
    world.net.run_until(lambda: all(handle.done for handle in handles), within=world.config.operation_timeout + 1.0)
    return handles


def failed(handles: Iterable[Handle]) -> list[Handle]:
    """Return those that were not carried out."""
    return [handle for handle in handles if isinstance(handle.result, Failed)]


def ail(ailment: Ailment, seed: int) -> tuple[World, random.Random, list[Address], list[Address]]:
    """Let two nodes of a ring ail for good; return what there is, the two, and the rest, half a minute later."""
    chance = random.Random(f"{ailment.__name__}/{seed}")
    world = begin(seed, chance.randint(8, 24))
    ailing = chance.sample(world.up, 2)
    for bad in ailing:
        ailment(world, chance, bad)
    rest = [address for address in world.up if address not in ailing]
    served(world, chance, rest, 30.0, ailing if ailment is slow else [])
    return world, chance, ailing, rest


AILING_SEEDS = range(1, 20 if NIGHTLY else 2)


@pytest.mark.parametrize("seed", AILING_SEEDS)
@pytest.mark.parametrize("ailment", [deaf, mute, slow])
def test_the_rest_is_a_ring_and_serves(ailment: Ailment, seed: int) -> None:
    """Two nodes that nobody can work with: all others follow each other on one ring, and do what is asked of them (L11).

    A node that is only slow is a member again whenever it is awake, between two others or not.
    """
    world, chance, ailing, rest = ail(ailment, seed)
    assert [] == failed(served(world, chance, rest, 30.0, ailing if ailment is slow else []))
    nodes = sorted((world.node(address) for address in rest), key=lambda node: node.me.id)
    for node, after in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        assert after.me == next(peer for peer in node.successors if peer.address in rest)
    if ailment is not slow:
        assert why_not_ideal(nodes, world.config) is None
    merged(world)
    world.settle()
    read_everywhere(world)


@pytest.mark.parametrize("seed", AILING_SEEDS)
@pytest.mark.parametrize("ailment", [half_heard, half_cut])
def test_who_reaches_everybody_is_served(ailment: Ailment, seed: int) -> None:
    """Two nodes are there for some and not for others: who is not concerned is served, the others mostly are (L11).

    Those who do not hear the owner of a key have nobody else to ask: it lives, and stays the owner.
    """
    world, chance, ailing, rest = ail(ailment, seed)
    links = world.net._links
    cut = {each for each in rest if any(links.blocked(*pair) for bad in ailing for pair in ((each, bad), (bad, each)))}
    handles = served(world, chance, rest, 60.0, [])
    assert [] == failed(handle for handle in handles if handle.address not in cut)
    assert len(failed(handles)) <= len(handles) / 4
    merged(world)
    world.settle()
    read_everywhere(world)
