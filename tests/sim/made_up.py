"""Snapshots of rings that a test made up."""

from __future__ import annotations

import attrs

from chord_proto.config import Config
from chord_proto.invariants import PERIODIC, Snapshot, ideal_neighbours
from chord_proto.peer import Peer
from chord_proto.phase import Phase
from chord_proto.view import NodeView

TWO = Config(bits=6, successors=2, predecessors=2, replicas=2)
TIMERS = tuple((name, 5.0) for name in PERIODIC)


def peer(place: int) -> Peer:
    """Return a peer at a place of the test's choosing."""
    return Peer(place, f"n{place}")


def peers(*places: int) -> tuple[Peer, ...]:
    """Return peers at these places."""
    return tuple(peer(place) for place in places)


def view(place: int, successors: tuple[int, ...], predecessor: int | None = None, **more: object) -> NodeView:
    """Return a quiet member with these pointers."""
    before = None if predecessor is None else peer(predecessor)
    quiet = {"incarnation": 1, "phase": Phase.ACTIVE, "timers": TIMERS, "deadline": 5.0} | more
    return NodeView(me=peer(place), successors=peers(*successors), predecessor=before, **quiet)  # type: ignore[arg-type]


def ring(*views: NodeView, **more: object) -> Snapshot:
    """Return a snapshot of these nodes with r = 2."""
    return Snapshot(views=views, **({"config": TWO} | more))  # type: ignore[arg-type]


def changed(base: NodeView, change: dict[str, object]) -> NodeView:
    """Return ``base`` with some fields changed."""
    return attrs.evolve(base, **change)  # type: ignore[arg-type]


def ideal(*places: int, config: Config = TWO) -> tuple[NodeView, ...]:
    """Return the ideal ring of these places."""
    views = []
    for place in places:
        want = ideal_neighbours(peers(*places), peer(place), config)
        before = None if want.predecessor is None else want.predecessor.id
        views.append(view(place, tuple(p.id for p in want.successors), before, came_round=want.came_round))
    return tuple(views)
