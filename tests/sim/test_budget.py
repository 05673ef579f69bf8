"""Tables sized by a budget of bytes: what is sent, and how far lookups go, in rings small and large, at rest and under churn."""

from __future__ import annotations

from math import log2
from random import Random

import attrs
import pytest

from chord_adapters.memory import Network
from chord_adapters.sim._field import places_of
from chord_proto.config import Config
from chord_proto.invariants import is_ideal
from chord_proto.messages import Message
from chord_proto.operations import Locate, Located
from chord_proto.phase import Phase
from chord_proto.settled import settled_ring
from chord_proto.wire import Codec

OVER = 1.05


@attrs.define
class Counting:
    """A codec that counts what it encodes."""

    codec: Codec = attrs.field(factory=lambda: Codec(160))
    total: int = 0
    last: Message | None = None

    def encode(self, message: Message) -> bytes:
        data = self.codec.encode(message)
        self.total += len(data)
        self.last = message
        return data

    def decode(self, data: bytes) -> Message:
        assert self.last is not None
        return self.last


def ring(size: int, budget: float | None, seed: int = 1) -> tuple[Network, Counting]:
    """Return a ring at rest whose nodes know nobody but their pointers."""
    config, counting = Config(upkeep_budget=budget), Counting()
    net = Network(seed, codec=counting, config=config)
    for node in settled_ring(places_of(size, 1, seed=seed), config=config, seed=seed):
        net.adopt(node)
    return net, counting


def rate(net: Network, counting: Counting, seconds: float) -> float:
    """Return how many bytes a node sends in a second, as encoded."""
    before = counting.total
    net.run_for(seconds)
    return (counting.total - before) / seconds / len(net.nodes)


def hops(net: Network, lookups: int = 100) -> float:
    """Return how many nodes lookups ask on average up to the predecessor of the place."""
    draw, total = Random(5), 0
    for _ in range(lookups):
        found = net.do(draw.choice(net.addresses), Locate(draw.getrandbits(160)))
        assert isinstance(found, Located)
        total += sum(hop.peer.id != found.owner.id for hop in found.path)
    return total / lookups


@pytest.mark.parametrize("size", [16, 32, 64])
def test_a_small_ring_is_one_hop_wide(size: int) -> None:
    """And its nodes send no more than they may."""
    net, counting = ring(size, 1000.0)
    net.run_for(40)
    assert rate(net, counting, 10) <= OVER * 1000.0
    assert hops(net) <= 1.05


@pytest.mark.parametrize("budget", [600.0, 1000.0, 3000.0])
def test_bytes_are_within_the_budget(budget: float) -> None:
    """At rest, at several budgets; and what may be spent is."""
    net, counting = ring(32, budget)
    net.run_for(10)
    assert 0.9 * budget <= rate(net, counting, 20) <= OVER * budget


def test_lookups_use_the_budget_up() -> None:
    """They come first: with many of them a node asks less of its own, and the bytes are within the budget all the same."""
    net, counting = ring(24, 1500.0)
    draw = Random(5)
    net.run_for(20)
    before, began = counting.total, net.now
    for _ in range(1500):
        net.perform(draw.choice(net.addresses), Locate(draw.getrandbits(160)))
        net.run_for(0.01)
    spent = (counting.total - before) / (net.now - began) / 24
    assert spent <= OVER * 1500.0


def test_bytes_are_within_the_budget_under_churn() -> None:
    """A node dies without a word every three seconds, and another one joins; the ring is ideal again soon after."""
    net, counting = ring(24, 2500.0)
    draw = Random(7)
    net.run_for(10)
    before, began = counting.total, net.now
    for number in range(12):
        net.crash(draw.choice(net.addresses), silent=True)
        net.spawn(f"new.{number}", join=[draw.choice(net.addresses)])
        net.run_for(3.0)
    assert (counting.total - before) / (net.now - began) / 24 <= OVER * 2500.0
    net.run_until(lambda: is_ideal(net.nodes, net.config), within=60)
    net.run_for(20)
    assert all(node.phase is Phase.ACTIVE for node in net.nodes)
    living = {node.me.id for node in net.nodes}
    assert all(peer_id in living for node in net.nodes for peer_id in node.ctx.routing.known)
    assert hops(net) <= 1.2


def test_a_node_that_has_lost_its_successors_explores_nothing() -> None:
    """It does not know how near the nearest is, and waits until it is found again; what is due is harmless."""
    net, _ = ring(64, 1000.0)
    node = net.nodes[0]
    assert node.ctx.budget is not None
    node.ctx.budget.left(node.ctx.now)
    node.ctx.now += 0.5
    assert node.ctx.budget.left(node.ctx.now) > 0
    node.ctx.routing.successors = ()
    sent = node.stats().sent
    node.exploring.on_timer()
    assert (sent, []) == (node.stats().sent, node.ctx.out)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_large_ring_with_a_small_budget_is_log_n_wide() -> None:
    """A thousand nodes that may send little more than it takes to stabilise; with more, lookups are shorter."""
    found = []
    for budget in (700.0, 3000.0):
        net, counting = ring(1000, budget)
        net.run_for(30)
        assert rate(net, counting, 10) <= OVER * budget
        found.append(hops(net, 200))
    assert 0.25 * log2(1000) <= found[0] <= 0.6 * log2(1000), found
    assert found[1] < 0.85 * found[0], found
