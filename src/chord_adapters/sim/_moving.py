"""Rings that change while they are looked at: nodes that come and go, and parts that find each other again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from math import inf, log, log2

import attrs

from chord_adapters._memory_host import Handle
from chord_adapters._memory_network import Network
from chord_adapters.sim._field import places_of
from chord_adapters.sim._settings import DELAY, papers, production
from chord_proto.config import Config
from chord_proto.invariants import is_ideal
from chord_proto.node import Node
from chord_proto.operations import Locate, Located
from chord_proto.peer import Address
from chord_proto.phase import Phase
from chord_proto.rng import Rng
from chord_proto.settled import settled_ring

Progress = Callable[[int, int], None]
PERIOD, JITTER = 30.0, 0.5
"""Seconds between two rounds of stabilise on average, and how much less or more it may be: 15 to 45 (ToN 2003, section V)."""
_APART, _WITHIN = 60.0, 600.0
"""Seconds for which a ring is cut, and within which it must be one again."""


@attrs.frozen(kw_only=True)
class Churn:
    """Lookups while nodes join and leave."""

    nodes: int
    lookups: int
    rate: float
    path: float
    """Nodes asked for each lookup that found somebody."""
    timeouts: float
    """Peers that a lookup's asker gave up meanwhile, on average."""
    failed_per_10k: float
    wrong: int
    """Answers that named a node which did not own the place when they came."""
    messages_per_node_s: float


@attrs.frozen(kw_only=True)
class Merge:
    """A ring that was cut into parts."""

    nodes: int
    parts: int
    seconds: float
    """After which it was one again, once nothing was cut any more."""
    messages_per_node_s: float


def churn(
    *,
    rate: float = 0.05,
    nodes: int = 1000,
    lookups: int = 1000,
    virtual_nodes: int = 1,
    successors: int | None = None,
    seed: int = 0,
    in_production: bool = False,
    progress: Progress = lambda done, total: None,
) -> Churn:
    """Look one random key up a second while nodes join and leave, each ``rate`` times a second (ToN 2003, table III).

    All three are Poisson processes.  With the papers' settings a node has 20 successors, and stabilises after 15 to 45 seconds;
    in each round it asks its successor, and refreshes one more entry of its list or its fingers.
    """
    if not 0 <= rate < inf:
        raise ValueError(f"a rate is a number that is not negative, not {rate}")
    # Old pointers are replaced for as long as there are other candidates to be named.
    config = production(successors=successors) if in_production else _slow(nodes, successors or 20)
    net = _moving(nodes, virtual_nodes, config, seed)
    rng, number, under_way = Rng(seed), nodes, list[tuple[Handle, int, int]]()
    found, failed, wrong, hops, timeouts = 0, 0, 0, 0, 0
    sent, began = net.counts["sent"], net.now
    streams = {"lookup": 1.0, "join": rate, "leave": rate}
    due = {kind: _next(rng, net.now, each) for kind, each in streams.items() if each}
    begun = 0
    while begun < lookups or under_way:
        kind = min(due, key=lambda each: due[each])
        net.run_for(max(0.0, due[kind] - net.now))
        due[kind] = _next(rng, due[kind], streams[kind])
        members = [node for node in net.nodes if node.phase is Phase.ACTIVE]
        chosen = members[rng.below(len(members))]
        if kind == "join":
            net.spawn(f"{seed}.{number}", join=[chosen.me.address], virtual_nodes=virtual_nodes, config=config)
            number += 1
        elif kind == "leave" and len(net.addresses) > 2:
            net.leave(chosen.me.address)
        elif begun < lookups:
            place = (rng.bits64() << 96 | rng.bits64() << 32) >> (160 - config.bits)
            suspected = chosen.stats().suspected
            under_way.append((net.perform(chosen.me.address, Locate(place), index=chosen.me.index), place, suspected))
            begun += 1
            progress(begun, lookups)
        for each in [each for each in under_way if each[0].done]:
            under_way.remove(each)
            handle, place, suspected = each
            if not isinstance(handle.result, Located):
                failed += 1
                continue
            found += 1
            hops += sum(hop.peer.id != handle.result.owner.id for hop in handle.result.path)
            wrong += handle.result.owner.id not in _owners(net.nodes, place)
            who = handle.address, handle.index
            asker = next((node for node in net.nodes if (node.me.address, node.me.index) == who), None)
            timeouts += 0 if asker is None else asker.stats().suspected - suspected
    seconds = net.now - began
    return Churn(
        nodes=nodes,
        lookups=lookups,
        rate=rate,
        path=hops / max(1, found),
        timeouts=timeouts / max(1, found),
        failed_per_10k=10_000 * failed / lookups,
        wrong=wrong,
        messages_per_node_s=(net.counts["sent"] - sent) / seconds / nodes,
    )


def merge(
    *,
    parts: int = 2,
    nodes: int = 64,
    virtual_nodes: int = 1,
    successors: int | None = None,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> Merge:
    """Cut a ring into equal parts for a minute, and measure until it is one again (chord.md section 4).

    This is about more than the papers', which have no way to do it: the settings are the defaults.
    """
    if not 2 <= parts <= nodes:
        raise ValueError(f"a ring of {nodes} is cut into 2 to {nodes} parts, not {parts}")
    config = Config() if successors is None else Config(successors=successors)
    net = _moving(nodes, virtual_nodes, config, seed)
    net.run_for(5.0)
    drawn = list(net.addresses)
    rng = Rng(seed)
    for last in range(len(drawn) - 1, 0, -1):
        other = rng.below(last + 1)
        drawn[last], drawn[other] = drawn[other], drawn[last]
    net.partition(*(drawn[part::parts] for part in range(parts)))
    net.run_for(_APART)
    net.heal()
    progress(0, 1)
    sent = net.counts["sent"]
    seconds = net.run_until(lambda: is_ideal(net.nodes, config), within=_WITHIN, every=0.5)
    progress(1, 1)
    each_second = (net.counts["sent"] - sent) / max(seconds, 0.5) / nodes
    return Merge(nodes=nodes, parts=parts, seconds=seconds, messages_per_node_s=each_second)


def _slow(nodes: int, successors: int) -> Config:
    """Return the papers' settings of a ring that changes.

    Here the list comes whole with the successor's answer in each round.  So that fingers are no fresher than the papers', in
    whose rounds they and the list's other entries take turns, their rounds are rarer by that share.
    """
    fingers = max(1.0, log2(nodes / successors))
    return attrs.evolve(
        papers(successors=successors, candidates=4),
        stabilize_interval=PERIOD,
        jitter=JITTER,
        finger_interval=PERIOD * (fingers + successors - 1) / fingers,
        late_tolerance=10 * PERIOD,
    )


def _moving(nodes: int, virtual_nodes: int, config: Config, seed: int) -> Network:
    """Return a network with a ring at rest, whose messages take an exponential time that every message draws for itself."""
    net = Network(seed, mean_latency=DELAY, reorder=1.0, config=config)
    hosts: dict[Address, list[Node]] = {}
    for node in settled_ring(places_of(nodes, virtual_nodes, seed=seed, bits=config.bits), config=config, seed=seed):
        hosts.setdefault(node.me.address, []).append(node)
    for places in hosts.values():
        net.adopt(*places)
    return net


def _next(rng: Rng, now: float, rate: float) -> float:
    return now - log(1 - rng.bits64() / 2**64) / rate


def _owners(nodes: tuple[Node, ...], place: int) -> Iterator[int]:
    """Yield who may be said to own a place: the first member from there on, and a joiner or leaver that is nearer."""
    ordered = sorted((node.me.id, node.phase) for node in nodes)
    at = bisect_left(ordered, (place,))
    for step in range(len(ordered)):
        peer_id, phase = ordered[(at + step) % len(ordered)]
        yield peer_id
        if phase is Phase.ACTIVE:
            return
