"""Properties of single nodes that hold always, under any fault (scope A): S8 to S17."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from chord_proto._invariants_snapshot import MEMBERS, Snapshot, Violation
from chord_proto.identifiers import between
from chord_proto.peer import Peer
from chord_proto.phase import Phase
from chord_proto.routing import cut_list
from chord_proto.view import NodeView

PERIODIC = ("stabilize", "predecessor", "finger", "repair", "probe")
"""The periodic timers of a member, by the names that ``NodeView.timers`` uses."""


def no_duplicates(ring: Snapshot) -> Iterator[Violation]:
    """S8: no list names a node twice, and no pointer names the node itself."""
    for view in ring.examined:
        for name, peers in (("successors", view.successors), ("predecessors", view.predecessors)):
            ids = [peer.id for peer in peers]
            if view.me.id in ids:
                yield Violation("S8", view.me, f"itself among its {name}")
            if len(set(ids)) < len(ids):
                yield Violation("S8", view.me, f"a node twice among its {name} {_addresses(peers)}")
        if view.predecessor == view.me:
            yield Violation("S8", view.me, "its own predecessor")


def list_ends(ring: Snapshot) -> Iterator[Violation]:
    """S9, second part: the list ends at r, or where R distinct addresses are named; outside a ring it is empty."""
    for view in ring.examined:
        if view.phase not in MEMBERS:
            if view.successors:
                yield Violation("S9", view.me, f"successors outside a ring {_addresses(view.successors)}")
        elif cut_list(view.me, view.successors, ring.config)[0] != view.successors:
            yield Violation("S9", view.me, f"{len(view.successors)} successors, more than are kept")


def well_formed(ring: Snapshot) -> Iterator[Violation]:
    """S10: every pointer is well formed, id = H(address, index)."""
    for view in ring.examined:
        for peer in _pointers(view):
            if not peer.is_well_formed(ring.config.bits):
                yield Violation("S10", view.me, f"a pointer to {peer}, whose id is not its address's")


def pointers_existed(ring: Snapshot) -> Iterator[Violation]:
    """S11: no pointer to a node that never was."""
    for view in ring.examined:
        for peer in _pointers(view):
            if peer not in ring.facts.existed:
                yield Violation("S11", view.me, f"a pointer to {peer}, which never was")


def predecessor_moves(ring: Snapshot) -> Iterator[Violation]:
    """S12: the predecessor moves p -> q only if q lies between, or p was suspected or left; only alone is it emptied."""
    for old, view in _moves(ring):
        p, q, me = old.predecessor, view.predecessor, view.me
        closer = p is not None and q is not None and between(p.id, q.id, me.id)
        if p is not None and p != q and not closer and (me.id, p) not in ring.facts.gone:
            yield Violation("S12", me, f"predecessor moved from {p.address} to {q and q.address}")
        elif p is not None and q is None and view.successors:
            yield Violation("S12", me, f"predecessor {p.address} given up for nobody, with successors left")


def successor_moves(ring: Snapshot) -> Iterator[Violation]:
    """S13: the first successor moves s -> t only if t lies between and has itself answered, or s was suspected or left.

    A node with an empty list is its own successor, and everybody lies between.
    """
    for old, view in _moves(ring):
        me = view.me
        s = old.successors[0] if old.successors else me
        t = view.successors[0] if view.successors else me
        closer = between(me.id, t.id, s.id) and (me.id, t) in ring.facts.answered
        if s != t and not closer and (me.id, s) not in ring.facts.gone:
            yield Violation("S13", me, f"first successor moved from {s.address} to {t.address}")


def armed_operations(ring: Snapshot) -> Iterator[Violation]:
    """S14: every operation under way has an armed deadline, and each of its requests is in one place only."""
    for view in ring.examined:
        own = [op for op, _ in view.operations if op]  # A client's operation shows as 0.
        for what, ids in (("operation", own), ("request", [number for number, _, _ in view.requests])):
            if len(set(ids)) < len(ids):
                yield Violation("S14", view.me, f"an {what} under way twice")
        wanted = chain(view.operations, ((number, when) for number, _, when in view.requests))
        for number, when in wanted:
            if view.deadline is None or not view.deadline <= when < float("inf"):
                yield Violation("S14", view.me, f"{number} ends at {when}, but the node wakes at {view.deadline}")


def timers_armed(ring: Snapshot) -> Iterator[Violation]:
    """S15: a member has its periodic timers armed, one that has left has none; after a tick deadlines lie ahead."""
    for view in ring.examined:
        armed = dict(view.timers)
        if view.phase is Phase.ACTIVE:
            missing = [name for name in PERIODIC if name not in armed]
            if missing:
                yield Violation("S15", view.me, f"a member without the timers {missing}")
        if view.phase is Phase.STOPPED and (armed or view.operations or view.requests or view.deadline is not None):
            yield Violation("S15", view.me, f"stopped, with {sorted(armed)} and a deadline of {view.deadline}")
        if view.deadline is not None and any(when < view.deadline for when in armed.values()):
            yield Violation("S15", view.me, "a timer falls due before the deadline")
        if view.me.id in ring.ticked and view.deadline is not None and view.deadline <= ring.now:
            yield Violation("S15", view.me, f"after a tick at {ring.now} the deadline is {view.deadline}")


def no_waiting_circle(ring: Snapshot) -> Iterator[Violation]:
    """S16: nobody waits in a circle for ever: who is busy waits for an answer, and no longer than a deadline."""
    for view in ring.examined:
        if view.busy and not any(when < float("inf") for _, _, when in view.requests):
            yield Violation("S16", view.me, "busy without a request that ends")


def silent_after_end(ring: Snapshot) -> Iterator[Violation]:
    """S17: who has left or crashed sends nothing."""
    for sent in ring.under_way:
        source = sent.message.source
        if source is not None:
            ended = ring.facts.ended.get((source.id, sent.message.incarnation))
            if ended is not None and sent.sent > ended:
                kind = type(sent.message).__name__
                yield Violation("S17", source, f"sent {kind} at {sent.sent}, having ended at {ended}")


def _pointers(view: NodeView) -> Iterable[Peer]:
    own = () if view.predecessor is None else (view.predecessor,)
    return chain(own, view.predecessors, view.successors)


def _moves(ring: Snapshot) -> Iterator[tuple[NodeView, NodeView]]:
    """Yield (earlier, later) views of one life of a member."""
    for view in ring.examined:
        old = ring.before.get(view.me.id)
        if old is not None and old.incarnation == view.incarnation and old.phase in MEMBERS and view.phase in MEMBERS:
            yield old, view


def _addresses(peers: Iterable[Peer]) -> list[str]:
    return [peer.address for peer in peers]
