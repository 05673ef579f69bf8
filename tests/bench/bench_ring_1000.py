"""A thousand nodes join one ring through one bootstrap peer, in virtual time; then every tenth looks keys up.

Run it: ``python tests/bench/bench_ring_1000.py [nodes]``.  It prints how long the ring took to become ideal, in virtual and
in real time, how many messages that took, and how many events a second the machine handled.
"""

from __future__ import annotations

import gc
import sys
import time
from random import Random

from chord_adapters.memory import Network
from chord_proto.config import Config
from chord_proto.invariants import is_ideal, why_not_ideal
from chord_proto.operations import Locate, Located
from chord_proto.phase import Phase

NODES = 1000
JOINS_AT_ONCE = 10
"""So many nodes begin to join at the same moment, and the next ones once they are members."""
LOOKUPS = 2000


def main(nodes: int = NODES) -> None:
    """Build the ring and print what it took."""
    config = Config()
    net = Network(1, config=config)
    net.spawn("n0")
    began = time.perf_counter()
    for first in range(1, nodes, JOINS_AT_ONCE):
        fresh = [net.spawn(f"n{index}", join=["n0"]) for index in range(first, min(first + JOINS_AT_ONCE, nodes))]
        net.run_until(lambda fresh=fresh: all(node.phase is Phase.ACTIVE for node in fresh), within=600, every=0.05)  # type: ignore[misc]
        if first % 200 == 1:
            gc.freeze()  # Nothing of what is built goes away: do not look through it again and again.
    report(net, f"{nodes} nodes are members", began)
    net.run_until(
        lambda: is_ideal([node.view() for node in net.nodes], config),
        within=600,
        every=1.0,
        explain=lambda: why_not_ideal([node.view() for node in net.nodes], config),
    )
    report(net, "the ring is ideal", began)
    before, idle = net.counts["sent"], time.perf_counter()
    net.run_for(10)
    rate = (net.counts["sent"] - before) / 10 / nodes
    print(f"idle: {rate:.1f} messages a node and second; {(time.perf_counter() - idle) / 10:.2f} s for a second")
    look_up(net, nodes)
    report(net, f"{LOOKUPS} lookups", began)


def look_up(net: Network, nodes: int) -> None:
    """Look random places up from random nodes, and print how many hops that takes."""
    draw = Random(1)
    members = sorted((node.me for node in net.nodes), key=lambda peer: peer.id)
    hops: list[int] = []
    wrong = 0
    for _ in range(LOOKUPS):
        place = draw.getrandbits(net.config.bits)
        found = net.do(f"n{draw.randrange(nodes)}", Locate(place))
        assert isinstance(found, Located)
        owner = next((peer for peer in members if peer.id >= place), members[0])
        wrong += found.owner != owner
        hops.append(len(found.path))
    hops.sort()
    mean, p99 = sum(hops) / len(hops), hops[len(hops) * 99 // 100]
    print(f"lookups: {wrong} wrong, {mean:.2f} hops in the mean, 99th percentile {p99}")


def report(net: Network, what: str, began: float) -> None:
    """Print one line."""
    took, counts = time.perf_counter() - began, net.counts
    print(
        f"{what}: at {net.now:.1f} s of virtual time, after {took:.1f} s; {counts['sent']:,} messages, "
        f"{counts['steps']:,} inputs, {counts['steps'] / took:,.0f} inputs a second"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
