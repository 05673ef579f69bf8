"""What it brings to prefer near peers, and that it changes no answer."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import attrs
import pytest

from chord_adapters import sim
from chord_adapters.memory import Network
from chord_proto.config import Config
from chord_proto.identifiers import distance
from chord_proto.invariants import is_ideal
from chord_proto.operations import Locate, Located
from chord_proto.peer import Address
from tests.sim.liars import NAMES_ITS_LIKE, drawn_liars, grown, measured

FINGERS = Config(peer_cache=False, finger_interval=0.5)


def test_by_fingers_alone_lookups_take_three_quarters_of_the_time() -> None:
    """The median of 1,000 lookups among 200 hosts on five continents; all answers are right with and without."""
    without, with_it = (sim.latency(nodes=200, lookups=1000, proximity=each) for each in (False, True))
    assert (0, 0) == (without.wrong, with_it.wrong)
    assert with_it.median_ms < 0.75 * without.median_ms
    assert with_it.hops <= 1.05 * without.hops


def test_with_all_known_peers_lookups_are_not_longer() -> None:
    """A ring of 100 of which each node knows most is one hop wide, and stays so."""
    without, with_it = (
        sim.latency(nodes=100, lookups=1000, in_production=True, proximity=each) for each in (False, True)
    )
    assert (0, 0) == (without.wrong, with_it.wrong)
    assert with_it.mean_ms < 1.02 * without.mean_ms
    assert with_it.hops < 1.1


def test_the_world_follows_from_its_seed() -> None:
    """It is as far from here to there as back, half a tenth of a second on average, and the same each time."""
    hosts = [f"h{number}" for number in range(200)]
    world, again, other = sim.World(1), sim.World(1), sim.World(2)
    away = [world(a, b) for a in hosts for b in hosts if a != b]
    assert away == [again(b, a) for a in hosts for b in hosts if a != b]
    assert away != [other(a, b) for a in hosts for b in hosts if a != b]
    assert 0.05 == pytest.approx(sum(away) / len(away), rel=0.2)
    assert min(away) < 0.01


def ring_of(config: Config, between: dict[Address, float]) -> Network:
    """Return an ideal ring of 32 whose hosts are as far from everybody as ``between`` says."""
    net = Network(3, config=config, between=lambda a, b: between.get(a, 0.02) + between.get(b, 0.02))
    for number in range(32):
        net.spawn(f"n{number}", join=["n0"] if number else [])
        net.run_for(0.3)
    net.run_until(lambda: is_ideal(net.nodes, config), within=120)
    net.run_for(30)
    return net


def owners_found(net: Network) -> list[int]:
    """Return the owners that some lookups found, each step of which came closer."""
    draw, bits, owners = Random(5), net.config.bits, list[int]()
    for _ in range(100):
        place = draw.getrandbits(bits)
        found = net.do(draw.choice(net.addresses), Locate(place))
        assert isinstance(found, Located)
        before = [hop.peer for hop in found.path if hop.peer.id != found.owner.id]
        assert all(distance(two.id, place, bits) < distance(one.id, place, bits) for one, two in pairwise(before))
        owners.append(found.owner.id)
    return owners


def test_in_a_living_ring_owners_are_the_same_and_each_step_comes_closer() -> None:
    """With the preference and without, before and after a third of the hosts becomes slow."""
    owners = []
    for proximity in (False, True):
        far: dict[Address, float] = {}
        net = ring_of(attrs.evolve(FINGERS, successors=3, proximity=proximity), far)
        owners.append(owners_found(net))
        far.update(dict.fromkeys(net.addresses[::3], 0.1))
        owners.append(owners_found(net))
    assert [owners[0]] * 4 == owners


def test_who_becomes_slower_than_its_timeout_is_measured_again() -> None:
    """Its answers come after a request was sent twice, which tells nothing; so the next one waits longer, and is sent once."""
    far: dict[Address, float] = {}
    net = ring_of(Config(), far)
    far["n7"] = 0.2
    net.run_for(30)
    before = sum(node.stats().retransmitted for node in net.nodes)
    net.run_for(60)
    again = sum(node.stats().retransmitted for node in net.nodes) - before
    assert again < 10, again


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_quarter_that_lies_and_is_near_to_everybody_misleads_no_more_than_others() -> None:
    """Liars that answer in a millisecond, where all others take a tenth of a second: at least 99 of 100 are right."""
    right = lookups = 0
    for seed in (1, 2):
        fast: set[Address] = set()
        world = sim.World(seed)
        net = grown(40, Config(), seed, lambda a, b, fast=fast, world=world: 0.0005 if {a, b} & fast else world(a, b))  # type: ignore[misc]
        fast |= drawn_liars(net, 0.25, Random(seed))
        found = measured(net, NAMES_ITS_LIKE, share=0.25, lookups=150, seed=seed)
        right, lookups = right + found.right, lookups + found.lookups
    assert right >= 0.99 * lookups, (right, lookups)
