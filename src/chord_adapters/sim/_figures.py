"""What the simulations find: paths, loads, timeouts; their results as plain records."""

from __future__ import annotations

import gc
import resource
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from time import process_time
from typing import Any

import attrs

from chord_adapters.sim._field import Field, places_of
from chord_adapters.sim._settings import papers, production
from chord_proto.config import Config
from chord_proto.identifiers import content_key
from chord_proto.node import Node
from chord_proto.operations import Failed, Located
from chord_proto.peer import Peer
from chord_proto.rng import Rng

Progress = Callable[[int, int], None]
"""Told how many lookups are done, and of how many."""
_SAMPLE = 20
_STEP = 1000


@attrs.frozen(kw_only=True)
class PathLength:
    """How many nodes lookups asked until they were at the key's predecessor."""

    nodes: int
    lookups: int
    mean: float
    p1: int
    p99: int
    wrong: int
    hops: Mapping[int, int]
    """How many lookups took how many."""
    lookups_per_s: float
    """In a second of a core's time, as the next."""
    events_per_s: float
    bytes_per_node: int
    """Memory of a node before it was asked anything, its place included."""
    peak_rss_mb: float


@attrs.frozen(kw_only=True)
class Load:
    """How many keys a node has."""

    nodes: int
    keys: int
    virtual_nodes: int
    p1: float
    mean: float
    p99: float
    max: int


@attrs.frozen(kw_only=True)
class Failure:
    """Lookups after a part of the nodes has died at once, before anybody repairs anything."""

    nodes: int
    lookups: int
    fraction: float
    hops: float
    timeouts: float
    wrong: int
    failed: int


def path_length(
    *,
    nodes: int = 1000,
    lookups: int = 10_000,
    virtual_nodes: int = 1,
    successors: int | None = None,
    seed: int = 0,
    in_production: bool = False,
    progress: Progress = lambda done, total: None,
) -> PathLength:
    """Look random keys up from random nodes of a ring at rest (SIGCOMM 2001, section 6.2 and figure 10)."""
    config = _config(successors, in_production)
    field = Field(places_of(nodes, virtual_nodes, seed=seed, bits=config.bits), config, seed=seed)
    size = bytes_per_node(list(field.nodes.values()))
    gc.freeze()
    rng, ids, hops, wrong = Rng(seed), field.ids, Counter[int](), 0
    began = process_time()
    for number in range(lookups):
        place = random_place(rng, config.bits)
        found = field.locate(field.nodes[ids[rng.below(len(ids))]], place)
        if isinstance(found, Failed):
            raise RuntimeError(f"a lookup on a ring at rest failed: {found}")  # noqa: TRY004 nobody gave a wrong type
        hops[len(found.path)] += 1
        wrong += found.owner.id != field.owner(place)
        if number % _STEP == 0:
            progress(number, lookups)
    seconds = process_time() - began
    gc.unfreeze()
    return PathLength(
        nodes=nodes,
        lookups=lookups,
        mean=sum(each * count for each, count in hops.items()) / lookups,
        p1=percentile(hops, 0.01),
        p99=percentile(hops, 0.99),
        wrong=wrong,
        hops=dict(sorted(hops.items())),
        lookups_per_s=lookups / seconds,
        events_per_s=field.events / seconds,
        bytes_per_node=size,
        peak_rss_mb=_peak_rss(),
    )


def load(
    *,
    nodes: int = 10_000,
    keys: int = 500_000,
    virtual_nodes: int = 1,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> Load:
    """Give random keys to their owners, and count what each node has in all its places (SIGCOMM 2001, section 6.1)."""
    places = sorted(places_of(nodes, virtual_nodes, seed=seed), key=lambda peer: peer.id)
    of_place = owners_of((content_key(f"{seed}/{number}".encode()) for number in range(keys)), places)
    of_node: Counter[str] = Counter(dict.fromkeys((peer.address for peer in places), 0))
    for peer, count in zip(places, of_place, strict=True):
        of_node[peer.address] += count
    spread = Counter(of_node.values())
    progress(keys, keys)
    return Load(
        nodes=nodes,
        keys=keys,
        virtual_nodes=virtual_nodes,
        p1=percentile(spread, 0.01),
        mean=keys / nodes,
        p99=percentile(spread, 0.99),
        max=max(spread),
    )


def failure(
    *,
    fraction: float = 0.5,
    nodes: int = 1000,
    lookups: int = 10_000,
    virtual_nodes: int = 1,
    successors: int | None = None,
    seed: int = 0,
    in_production: bool = False,
    progress: Progress = lambda done, total: None,
) -> Failure:
    """Let a fraction of the nodes die at once and look random keys up before anything is repaired (ToN 2003, section V).

    Each lookup begins at a node that has not noticed anything yet.  Hops and timeouts are those of the way to the key's
    predecessor, whose answer names the owner and who follows it; the first of these that lives is the answer.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"a fraction is from 0 to less than 1, not {fraction}")
    config = _config(20 if successors is None else successors, in_production, candidates=32, replicas=16)
    field = Field(places_of(nodes, virtual_nodes, seed=seed, bits=config.bits), config, seed=seed)
    if not in_production:
        # Its list would be as long as the answers, and a lookup ends sooner at some of these than by fingers and successors.
        for node in field.nodes.values():
            node.ring.set_predecessors(node.predecessor, ())
            node.ctx.routing.go_by_pointers()
    rng = Rng(seed)
    addresses = sorted({node.me.address for node in field.nodes.values()})
    dead = {addresses.pop(rng.below(len(addresses))) for _ in range(int(fraction * nodes))}
    field.kill([each for each, node in field.nodes.items() if node.me.address in dead])
    hops = wrong = failed = 0
    for number in range(lookups):
        place, asked = random_place(rng, config.bits), field.ids[rng.below(len(field.ids))]
        fresh = field.nodes[asked]
        field.nodes[asked] = fresh.copy()
        found = field.locate(field.nodes[asked], place)
        field.nodes[asked] = fresh
        living = [peer.id for peer in found.replicas if peer.id in field.nodes] if isinstance(found, Located) else []
        if isinstance(found, Located) and living:
            hops += sum(hop.peer.id != found.owner.id for hop in found.path)
            wrong += living[0] != field.owner(place)
        else:
            failed += 1
        if number % _STEP == 0:
            progress(number, lookups)
    return Failure(
        nodes=nodes,
        lookups=lookups,
        fraction=fraction,
        hops=hops / max(1, lookups - failed),
        timeouts=field.lost / lookups,
        wrong=wrong,
        failed=failed,
    )


def owners_of(keys: Any, places: Sequence[Peer]) -> list[int]:
    """Return how many of ``keys`` each of ``places``, in order of id, owns."""
    ordered, counts, at = sorted(keys), [0] * len(places), 0
    for key in ordered:
        while at < len(places) and places[at].id < key:
            at += 1
        counts[at % len(places)] += 1
    return counts


def percentile(spread: Mapping[int, int], share: float) -> int:
    """Return the least value that this share of all does not exceed (nearest rank)."""
    rank, seen = share * sum(spread.values()), 0
    for value, count in sorted(spread.items()):
        seen += count
        if seen >= rank:
            return value
    raise ValueError("nothing has no percentile")


def bytes_per_node(nodes: Sequence[Node]) -> int:
    """Return the bytes of a node, by some of ``nodes``: all that only it holds, and its place, which all share."""
    step = max(1, len(nodes) // _SAMPLE)
    sample = nodes[::step][:_SAMPLE]
    places = {id(node.me.id) for node in nodes}
    return sum(_size(node, set(), places) + _size(node.me, set(), set()) for node in sample) // len(sample)


_SHARED = (type, Config, Peer, str, bytes, type(None), bool)


def _size(value: object, seen: set[int], others: set[int]) -> int:
    """Return the bytes of a value and of what it holds, but for what is shared, as are the objects of these ids."""
    seen.add(id(value))
    size = sys.getsizeof(value)
    for part in gc.get_referents(value):
        if not (id(part) in seen or id(part) in others or isinstance(part, _SHARED) or _is_small(part)):
            size += _size(part, seen, others)
    return size


def _is_small(value: object) -> bool:
    """Tell whether there is one such object for all, as of small numbers."""
    return (type(value) is int and -6 < value < 257) or (type(value) is tuple and not value)


def _config(successors: int | None, in_production: bool, *, candidates: int = 2, replicas: int = 1) -> Config:
    if in_production:
        return production(successors=successors)
    return papers(successors=1 if successors is None else successors, candidates=candidates, replicas=replicas)


def random_place(rng: Rng, bits: int) -> int:
    """Draw a place on the circle."""
    return (rng.bits64() << 128 | rng.bits64() << 64 | rng.bits64()) >> (192 - bits)


def _peak_rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
