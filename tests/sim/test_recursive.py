"""Recursive lookups on whole rings, in virtual time: how fast they are, and that they are right whatever happens on the way."""

from __future__ import annotations

from bisect import bisect_left
from random import Random

import attrs
import pytest

from chord_adapters.memory import Network
from chord_proto.config import Config
from chord_proto.operations import Locate, Located
from chord_proto.phase import Phase
from chord_proto.wire import Codec
from tests.bench.bench_recursive import both
from tests.sim.churning import Churning
from tests.sim.liars import ANSWERS_FOR_OTHERS, DROPS_QUESTIONS, grown, measured

RECURSIVE = Config(routing="recursive", peer_cache=False, successors=3, predecessors=3)
"""Lookups go by fingers and short lists, so that small rings need several hops."""


def ring(net: Network, size: int, **spawning: object) -> None:
    """Let so many nodes join, and settle."""
    net.spawn("n0")
    for number in range(1, size):
        net.spawn(f"n{number}", join=["n0"], **(spawning if number % 2 else {}))  # type: ignore[arg-type]
        net.run_for(1.0)
    net.run_until(lambda: all(node.phase is Phase.ACTIVE for node in net.nodes), within=60.0, every=0.5)
    net.run_for(90.0)


def looked_up(net: Network, lookups: int, seed: int = 1) -> tuple[int, list[float]]:
    """Look random places up; return how many were right, and how long each took."""
    draw, members = Random(seed), sorted((node.me for node in net.nodes), key=lambda peer: peer.id)
    right, seconds = 0, []
    for _ in range(lookups):
        place, since = draw.getrandbits(net.config.bits), net.now
        found = net.do(draw.choice(members).address, Locate(place))
        seconds.append(net.now - since)
        owner = members[bisect_left(members, place, key=lambda peer: peer.id) % len(members)]
        right += isinstance(found, Located) and found.owner == owner
    return right, seconds


def forwarded(net: Network) -> int:
    """Return how many questions were passed on so far."""
    return sum(node.stats().forwarded for node in net.nodes)


@pytest.mark.parametrize("nodes, ratio, more", [(16, 1.0, 0.0), (256, 0.7, 1.5)])
def test_how_much_faster_it_is(nodes: int, ratio: float, more: float) -> None:
    """(h + 1) / 2h of the time where h nodes are asked, over connections that are there, and about one message more."""
    iterative, recursive = both(nodes, lookups=200)
    assert recursive.seconds <= ratio * iterative.seconds
    assert recursive.messages <= iterative.messages + more
    assert (0, 0, iterative.lookups) == (iterative.wrong, recursive.wrong, recursive.lookups)


def test_messages_that_get_lost() -> None:
    """A tenth of them: what is passed on may get lost without anybody noticing, and every lookup is right all the same."""
    net = Network(3, config=RECURSIVE)
    ring(net, 20)
    net.set_links(loss=0.1)
    right, seconds = looked_up(net, 150)
    assert (150, True) == (right, forwarded(net) > 50)
    assert max(seconds) < 5.0


def test_nodes_that_have_just_died() -> None:
    """A fifth at once, and nobody has noticed yet: lookups go round them, and name one of the dead no oftener than others do."""
    rights = []
    for routing in ("iterative", "recursive"):
        net = Network(4, config=attrs.evolve(RECURSIVE, successors=8, predecessors=8, routing=routing))
        ring(net, 40)
        for address in Random(4).sample(net.addresses, 8):
            net.crash(address, silent=True)
        right, seconds = looked_up(net, 60)
        rights.append(right)
        assert max(seconds) < 8.0
        assert (routing == "recursive") == (forwarded(net) > 10)
    assert rights[1] >= rights[0] - 1


def test_a_ring_of_both_wire_versions() -> None:
    """Hosts of version 1 cannot pass questions on: they are asked as ever, by whoever would pass one to them."""
    net = Network(5, config=RECURSIVE, codecs={1: Codec(version=1), 2: Codec()})
    ring(net, 20, versions=(1, 1))
    # What an older version does not know it does not serve: these have no way to hear of a question to be passed on.
    old = [node for node in net.nodes if int(node.me.address[1:]) % 2]
    ignored = sum(node.stats().misbehaved for node in net.nodes)
    right, seconds = looked_up(net, 150)
    assert (150, True, 0) == (right, forwarded(net) > 10, sum(node.stats().forwarded for node in old))
    assert ignored == sum(node.stats().misbehaved for node in net.nodes)
    assert max(seconds) < 0.2  # Nothing had to time out.


@pytest.mark.slow
@pytest.mark.parametrize("how", [ANSWERS_FOR_OTHERS, DROPS_QUESTIONS, "owns everything", "forges lists", "lies anyhow"])
def test_with_a_quarter_lying_lookups_are_right(how: str) -> None:
    """At least 99 of 100 find the owner, whatever is done to the questions that are passed on."""
    config = Config(routing="recursive", max_known_peers=48)
    found = [measured(grown(64, config, seed), how, share=0.25, lookups=100, seed=seed) for seed in (1, 2)]
    assert sum(each.right for each in found) >= 0.99 * sum(each.lookups for each in found), (how, found)
    assert all(each.seconds[-1] < 5.0 for each in found), [each.seconds[-3:] for each in found]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_hour_of_churn() -> None:
    """Nodes live for ten minutes in the mean: hardly more lookups fail than if the asker asks itself."""
    failed = {}
    for routing in ("iterative", "recursive"):
        churning = Churning(24, 1, period=2.0, routing=routing)
        came = churning.run(3600.0, lifetime=600.0, every=4.0)
        failed[routing] = came.failed / came.lookups
        assert (routing == "recursive") == (forwarded(churning.net) > 0)
    assert failed["recursive"] <= failed["iterative"] + 0.01
