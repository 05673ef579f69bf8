"""What a node shows of itself: everything that the invariants need, and nothing that could change it."""

from __future__ import annotations

from typing import Protocol

import attrs

from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase


class Pointers(Protocol):
    """The part of a view that says how a node stands in the ring; a node shows it too, without making a view."""

    @property
    def me(self) -> Peer:
        """Its place."""

    @property
    def phase(self) -> Phase:
        """The stage of its life."""

    @property
    def predecessor(self) -> Peer | None:
        """The node before it."""

    @property
    def successors(self) -> tuple[Peer, ...]:
        """The nodes after it."""

    @property
    def came_round(self) -> bool:
        """Whether that list is short because it came round."""


@attrs.frozen(kw_only=True)
class NodeView:
    """One node at one moment.  Times are seconds on the node's own clock; made by ``Node.view()``."""

    me: Peer
    incarnation: int
    phase: Phase
    predecessor: Peer | None = None
    predecessors: tuple[Peer, ...] = ()
    """[predecessor] + the nodes before it, nearest first."""
    successors: tuple[Peer, ...] = ()
    came_round: bool = False
    """The successor list is short because it came round to the node itself."""
    busy: bool = False
    """The node waits for an answer that will change its ring state."""
    timers: tuple[tuple[str, float], ...] = ()
    """Periodic timers that are armed: their names, and when they fall due."""
    operations: tuple[tuple[int, float], ...] = ()
    """Operations under way: their ids, and when each ends at the latest."""
    requests: tuple[tuple[int, Address, float], ...] = ()
    """Requests that are out: their ids, to whom, and when each is sent again or given up."""
    pending_arcs: tuple[tuple[int, int], ...] = ()
    """Arcs (start, end] that the node wants to serve and does not serve yet."""
    decides: tuple[tuple[int, int], ...] = ()
    """Arcs (start, end] for which the node decides."""
    deadline: float | None = None
    """When the node wants its next tick."""
