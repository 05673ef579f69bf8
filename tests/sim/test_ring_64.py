"""Sixty-four nodes join one after another through one bootstrap peer, become the ideal ring, and find every key."""

from __future__ import annotations

import os
from bisect import bisect_left
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from chord_adapters.memory import Network
from chord_proto.config import Config
from chord_proto.effects import PredecessorChanged, SuccessorsChanged
from chord_proto.identifiers import between
from chord_proto.invariants import Snapshot, check, ideal_neighbours, is_ideal, why_not_ideal
from chord_proto.node import Node
from chord_proto.operations import Fetched, Get, Locate, Located, Put, Stored
from chord_proto.peer import Peer
from chord_proto.phase import Phase

pytestmark = pytest.mark.slow

SIZE = 64
PARTS = 1 if os.environ.get("CHORD_NIGHTLY") else 4
"""Where messages are lost, each node locates one place in so many: the next one other places."""
CONFIG = Config()


def is_member(node: Node) -> bool:
    """Tell whether a node has joined."""
    return node.phase is Phase.ACTIVE


def become_ideal(net: Network, *, within: float) -> float:
    """Let time pass until the ring is ideal; return how long it took."""
    return net.run_until(
        lambda: is_ideal(net.nodes, CONFIG),
        within=within,
        every=0.25,
        explain=lambda: why_not_ideal(net.nodes, CONFIG),
    )


def joined_one_by_one(seed: int, **weather: Any) -> Network:
    """Return a network in which each node joined, through the first, once the one before was a member."""
    net = Network(seed, config=CONFIG, **weather)
    net.spawn("n0")
    for index in range(1, SIZE):
        node = net.spawn(f"n{index}", join=["n0"])
        net.run_until(partial(is_member, node), within=60)
    return net


def places(net: Network) -> list[int]:
    """Return each id, its neighbours, 0, and the largest place there is."""
    top = 1 << CONFIG.bits
    around = {(node.me.id + step) % top for node in net.nodes for step in (-1, 0, 1)}
    return sorted({0, top - 1, *around})


def owner(members: list[Peer], place: int) -> Peer:
    """Return the first member at or after a place."""
    return members[bisect_left([peer.id for peer in members], place) % len(members)]


def locate_all(net: Network, node: Node, wanted: dict[int, Peer]) -> None:
    """Let ``node`` locate every place; each answer must be right, unless the ring changed while it was looked for."""
    left = list(wanted)
    for _ in range(1000):
        if not left:
            return
        become_ideal(net, within=60)
        now, left = left[:32], left[32:]
        handles = [net.perform(node.me.address, Locate(place)) for place in now]
        found = [net.wait(handle) for handle in handles]
        for place, result in zip(now, found, strict=True):
            assert isinstance(result, Located), (node.me, place, result)
            if result.owner == wanted[place]:
                assert result.owner == result.replicas[0]
            else:
                assert any(
                    isinstance(entry.event, SuccessorsChanged | PredecessorChanged) and entry.at >= handles[0].started
                    for entry in net.events
                ), (node.me, place, result)
                left.append(place)
    raise AssertionError(f"{node.me} does not find {left}")


@pytest.mark.parametrize("weather, parts", [({}, 1), ({"loss": 0.1}, PARTS)], ids=["fine weather", "10% loss"])
def test_64_nodes_join_through_one_and_every_lookup_is_right(weather: dict[str, float], parts: int) -> None:
    """The ring becomes ideal, and then every node locates every id, its neighbours, 0 and the largest place (L1, L6)."""
    net = joined_one_by_one(1, **weather)
    become_ideal(net, within=60)
    members = sorted((node.me for node in net.nodes), key=lambda peer: peer.id)
    wanted = {place: owner(members, place) for place in places(net)}
    assert 3 * SIZE <= len(wanted)
    for number, node in enumerate(net.nodes):
        locate_all(net, node, dict(list(wanted.items())[number % parts :: parts]))
    become_ideal(net, within=60)
    snapshot = Snapshot(views=tuple(node.view() for node in net.nodes), config=CONFIG, now=net.now)
    assert [] == check(snapshot)


def test_replicas_are_the_owner_and_the_next_two() -> None:
    """A key's replicas are its owner and that one's next two successors."""
    net = joined_one_by_one(5)
    become_ideal(net, within=60)
    members = sorted((node.me for node in net.nodes), key=lambda peer: peer.id)
    for place in places(net):
        located = net.do("n0", Locate(place))
        assert isinstance(located, Located)
        first = owner(members, place)
        assert (first, *ideal_neighbours(members, first, CONFIG).successors[:2]) == located.replicas


def test_lookups_come_closer_at_each_hop() -> None:
    """Each answer that a lookup follows comes from nearer to the place, none twice; a few hops suffice (L7)."""
    net = joined_one_by_one(2)
    become_ideal(net, within=60)
    net.run_for(60)  # Fingers are refreshed.
    hops: list[int] = []
    for node in net.nodes[::5]:
        for place in places(net)[::11]:
            located = net.do(node.me.address, Locate(place))
            assert isinstance(located, Located)
            way = [hop.peer.id for hop in located.path]
            assert len(set(way)) == len(way)
            for before, after in pairwise(way[:-1]):
                assert between(before, after, place), (node.me, place, located.path)
            hops.append(len(way))
    assert sum(hops) / len(hops) < 3.5


def test_an_idle_ideal_ring_sends_a_constant_few_messages() -> None:
    """N4: on a ring that is ideal and idle each node sends a constant few messages a second, for ever."""
    net = joined_one_by_one(3)
    become_ideal(net, within=60)
    net.run_for(60)
    rates: list[float] = []
    for _ in range(3):
        before = net.counts["sent"]
        net.run_for(20)
        rates.append((net.counts["sent"] - before) / 20 / SIZE)
    assert max(rates) < 1.1 * min(rates)
    assert max(rates) < 8


def test_half_of_64_die_at_once_and_the_rest_serves() -> None:
    """Half of the nodes die: the rest becomes one ideal ring again and takes writes."""
    net = joined_one_by_one(4)
    become_ideal(net, within=60)
    for node in net.nodes[1::2]:
        net.crash(node.me.address)
    become_ideal(net, within=60)
    assert isinstance(net.do("n0", Put(b"k", b"v")), Stored)
    for node in net.nodes:
        read = net.do(node.me.address, Get(b"k"))
        assert isinstance(read, Fetched)
        assert b"v" == read.value
