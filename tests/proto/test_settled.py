"""Rings that are made at rest, and lean nodes, which make what they need when they need it."""

from __future__ import annotations

import attrs
import pytest

from chord_adapters.memory import Network
from chord_proto.config import Config
from chord_proto.effects import OpId
from chord_proto.fingers import Fingers
from chord_proto.invariants import is_ideal
from chord_proto.node import Node
from chord_proto.operations import Fetched, Get, Put, Stored
from chord_proto.peer import Peer
from chord_proto.settled import settled_ring

PEERS = [Peer.at(f"n{number}") for number in range(24)]


@pytest.mark.parametrize("count", [1, 2, 3, 9, 24])
@pytest.mark.parametrize("upkeep", [False, True])
def test_it_is_ideal(count: int, upkeep: bool) -> None:
    """Pointers, predecessors and fingers are those of a ring in which nobody has come or gone for long."""
    config = Config()
    nodes = list(settled_ring(PEERS[:count], config=config, seed=1, upkeep=upkeep))
    assert is_ideal(nodes, config)
    ordered = sorted(PEERS[:count], key=lambda peer: peer.id)
    assert ordered == [node.me for node in nodes]
    for node in nodes:
        others = [peer for peer in (*ordered, *ordered) if peer.id != node.me.id]
        before = [peer for peer in reversed(ordered) if peer.id < node.me.id]
        before += [peer for peer in reversed(ordered) if peer.id > node.me.id]
        assert tuple(before[: len(node.predecessors)]) == node.predecessors
        assert min(count - 1, config.predecessors) == len(node.predecessors)
        for index, finger in enumerate(node.fingers):
            start = (node.me.id + (1 << index)) % (1 << config.bits)
            first = next((peer for peer in (*ordered, *others) if peer.id >= start), ordered[0])
            assert first == finger


def test_it_stays_as_it_is_and_serves() -> None:
    """With upkeep nothing changes for minutes, and records can be written and read everywhere."""
    config = Config()
    net = Network(config=config)
    for node in settled_ring(PEERS, config=config, seed=1):
        net.adopt(node)
    assert all(node.ready for node in net.nodes)
    assert isinstance(net.do(PEERS[3].address, Put(b"k", b"v")), Stored)
    net.run_for(120.0)
    assert is_ideal(net.nodes, config)
    assert all(node.ready for node in net.nodes)
    for peer in PEERS:
        found = net.do(peer.address, Get(b"k"))
        assert isinstance(found, Fetched)
        assert b"v" == found.value


def test_an_address_is_adopted_once() -> None:
    """As with `spawn`."""
    config = Config()
    net = Network(config=config)
    (node,) = settled_ring(PEERS[:1], config=config, seed=1)
    net.adopt(node)
    with pytest.raises(ValueError, match="is taken"):
        net.adopt(node)


def test_a_process_is_adopted_with_all_its_places() -> None:
    """They are one host: what is done to its address is done to all of them."""
    config = Config()
    places = [Peer.at(f"n{number}", index) for number in range(6) for index in range(3)]
    nodes = list(settled_ring(places, config=config, seed=1))
    net = Network(config=config)
    with pytest.raises(ValueError, match="not all nodes"):
        net.adopt(*nodes)
    for number in range(6):
        net.adopt(*(node for node in nodes if node.me.address == f"n{number}"))
    net.run_for(10.0)
    assert is_ideal(net.nodes, config)
    net.leave("n0")
    net.run_for(20.0)
    assert 15 == len(net.nodes)
    assert is_ideal(net.nodes, config)


def test_without_upkeep_it_waits_for_nothing() -> None:
    """Nobody's timer is armed, whatever time passes."""
    for node in settled_ring(PEERS, config=Config(late_tolerance=1e9), seed=1, upkeep=False):
        assert [] == node.tick(now=1000.0)
        assert node.deadline is None


def test_a_lean_node_is_like_another() -> None:
    """It has all layers once it needs one; given the same inputs it does the same."""
    lean, whole = (Node(PEERS[0], seed=7, config=Config(), lean=lean) for lean in (True, False))
    assert lean.create(now=1.0) == whole.create(now=1.0)
    assert isinstance(lean.finger_table, Fingers)
    assert lean.put(OpId(1), b"k", b"v", now=2.0) == whole.put(OpId(1), b"k", b"v", now=2.0)
    assert (lean.fingerprint(), lean.stats(), lean.view()) == (whole.fingerprint(), whole.stats(), whole.view())
    with pytest.raises(AttributeError, match="no_such_layer"):
        _ = lean.no_such_layer  # type: ignore[attr-defined]


def test_without_a_cache_lookups_go_by_pointers_alone() -> None:
    """Who has answered is remembered, but is not asked for the way, unless a pointer names it."""
    config = attrs.evolve(Config(), peer_cache=False, successors=1, predecessors=1, replicas=1, lookup_witnesses=0)
    (node, *others) = settled_ring(PEERS, config=config, seed=1, upkeep=False)
    pointers = {peer.id for peer in (*node.successors, node.predecessor, *node.fingers) if peer is not None}
    stranger = next(other.me for other in others if other.me.id not in pointers)
    node.ctx.routing.entry(stranger, 0.0)
    assert stranger not in node.ctx.routing.closest_preceding(stranger.id + 1, 24)
    node.ctx.routing.entry(stranger, 0.0, pointer=True)
    assert stranger == node.ctx.routing.closest_preceding(stranger.id + 1, 24)[0]
    node.ctx.routing.go_by_pointers()
    assert stranger not in node.ctx.routing.closest_preceding(stranger.id + 1, 24)
    node.ctx.routing.forget(stranger.id)
    assert stranger.id not in node.ctx.routing.known
