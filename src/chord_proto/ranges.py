"""Who answers and decides for which arc while ownership moves (chord.md section 7).

Owning is not yet serving: an arc gained is *pending* until the old owner has handed it over or, if that one is
dead, until what the other living replicas hold of it is here.
"""

from __future__ import annotations

import attrs

from chord_proto.context import Context
from chord_proto.effects import RangeGained, RangeLost, RangeReady
from chord_proto.identifiers import between, within
from chord_proto.messages import Answer, Done, Elsewhere, Ping, Reason, TakeOver
from chord_proto.peer import Address, Peer
from chord_proto.records import record
from chord_proto.ring_state import Probe
from chord_proto.sync import SyncEnded, Syncs
from chord_proto.writes import Writes

_PAUSE = 0.1
_MAX_RELINQUISHED = 128
_PATIENCE = 20.0
"""Seconds after which who was to grant an arc is no longer waited for: several times what finding a death takes."""
_MAX_WALK = 64
"""How far along the ring the old owner is looked for: so many nodes may join in one gap at once."""


@record
class ForArc:
    """Purpose of asking ``peer`` to grant a pending arc, and of pulling its records."""

    number: int
    granted: bool


@attrs.define(eq=False)
class PendingArc:
    """An arc whose records are still on their way."""

    number: int
    start: int
    end: int
    by_grant: bool
    """Ask for the old owner's grant; False once nobody was found who could give it: then all replicas count."""
    since: float
    waiting: bool = False
    asked: dict[int, None] = attrs.field(factory=dict)
    """Who was asked for the grant on this walk along the ring."""
    further: Peer | None = None
    """Who comes next on the walk, as the last one asked has told."""
    heard: dict[int, None] = attrs.field(factory=dict)
    """Whose copies have been pulled."""


@record
class Relinquished:
    """An arc for which this node was the decider and is no more; ``granted`` names who decides now."""

    start: int
    end: int
    granted: Peer | None


def arcs_meet(a: int, b: int, c: int, d: int) -> bool:
    """Tell whether the arcs (a, b] and (c, d] share a place."""
    return within(a, d, b) or within(c, b, d)


def subtract(start: int, end: int, a: int, b: int) -> list[tuple[int, int]]:
    """Return what is left of the arc (start, end] without (a, b]."""
    if not arcs_meet(start, end, a, b):
        return [(start, end)]
    a_inside, b_inside = between(start, a, end), between(start, b, end)
    if a_inside and b_inside and between(start, b, a):
        return [(b, a)]
    return [piece for piece, there in (((start, a), a_inside), ((b, end), b_inside)) if there]


class Ranges:
    """Pending and relinquished arcs of one node."""

    __slots__ = ("_next", "completed", "ctx", "granted", "pending", "relinquished", "syncs", "writes")

    def __init__(self, ctx: Context, writes: Writes, syncs: Syncs) -> None:
        self.ctx = ctx
        self.writes = writes
        self.syncs = syncs
        self.pending: dict[int, PendingArc] = {}
        self.relinquished: list[Relinquished] = []
        self.granted: list[tuple[int, int]] = []
        """Arcs given by leavers, waiting for the predecessor pointer to move."""
        self.completed = 0
        """Counts arcs that became ready, so that waiting operations are tried again."""
        self._next = 0

    def pending_for(self, place: int) -> PendingArc | None:
        """Return the pending arc that ``place`` lies on; None where this node answers if it owns it."""
        for arc in self.pending.values():
            if within(arc.start, place, arc.end):
                return arc
        return None

    def decides(self, place: int) -> bool:
        """Tell whether this node decides writes for ``place`` now."""
        return self.ctx.routing.owns(place) and self.pending_for(place) is None

    @property
    def is_ready(self) -> bool:
        """Whether everything that this node owns is served."""
        routing = self.ctx.routing
        start = routing.me.id if routing.predecessor is None else routing.predecessor.id
        return not any(arcs_meet(arc.start, arc.end, start, routing.me.id) for arc in self.pending.values())

    def entrusted(self) -> list[tuple[int, int]]:
        """Return the arcs of which nobody else has the records for certain: the own one, and what waits for a grant."""
        routing = self.ctx.routing
        start = routing.me.id if routing.predecessor is None else routing.predecessor.id
        return [(start, routing.me.id), *((a.start, a.end) for a in self.relinquished if a.granted is None)]

    # The predecessor pointer moved

    def on_joined(self, predecessor: Peer) -> None:
        """The node became a member: its range comes from the old owner."""
        self.ctx.emit(RangeGained(predecessor.id, self.ctx.me.id))
        self._await(predecessor.id, self.ctx.me.id, by_grant=True)

    def on_predecessor_changed(self, old: Peer | None, new: Peer | None) -> None:
        """Stop deciding for what was lost, in this very step; fetch what was gained."""
        me = self.ctx.me.id
        if new is None:
            if old is not None:
                self._gain(me, old.id, alone=True)
        elif old is None:
            self._lose(me, new.id)
        elif between(old.id, new.id, me):
            self._lose(old.id, new.id)
        else:
            self._gain(new.id, old.id, alone=False)

    def doubt(self) -> None:
        """The successor does not take this node for its predecessor: it may have decided for this node's range.

        So it is after a pause or a partition in which this node was taken for dead.  The range is not served
        until whoever decided meanwhile has granted it back.
        """
        routing = self.ctx.routing
        start = routing.me.id if routing.predecessor is None else routing.predecessor.id
        if not any(arc.by_grant and within(arc.start, routing.me.id, arc.end) for arc in self.pending.values()):
            self._await(start, routing.me.id, by_grant=True)

    def _lose(self, start: int, end: int) -> None:
        self.ctx.emit(RangeLost(start, end))
        self.relinquished.append(Relinquished(start, end, None))
        del self.relinquished[:-_MAX_RELINQUISHED]
        for arc in list(self.pending.values()):
            if not arc.waiting:
                self._trim(arc)

    def _trim(self, arc: PendingArc) -> None:
        """Stop asking for what a nearer joiner has taken before it was granted: that one asks for it itself."""
        routing = self.ctx.routing
        if not arc.by_grant or routing.predecessor is None:
            return
        edge = routing.predecessor.id
        if not routing.owns(arc.end):
            lost_end = arc.end
            self._forget(arc)
        elif between(arc.start, edge, arc.end):
            lost_end = edge
        else:
            return
        kept: list[Relinquished] = []
        for old in self.relinquished:
            for start, end in subtract(old.start, old.end, arc.start, lost_end):
                kept.append(Relinquished(start, end, old.granted))
        self.relinquished = kept
        arc.start = lost_end

    def _gain(self, start: int, end: int, *, alone: bool) -> None:
        self.ctx.emit(RangeGained(start, end))
        kept_back = self._is_covered(start, end, None)
        given = any(within(a, end, b) and within(a, start + 1, b) for a, b in self.granted)
        self.relinquished = [arc for arc in self.relinquished if not arcs_meet(arc.start, arc.end, start, end)]
        self.granted.clear()
        unfinished = any(arcs_meet(arc.start, arc.end, start, end) for arc in self.pending.values())
        if alone:
            self.pending.clear()
        if alone or ((kept_back or given) and not unfinished):
            self.completed += 1
            self.ctx.emit(RangeReady(start, end))
        else:
            self._await(start, end, by_grant=False)

    def _await(self, start: int, end: int, *, by_grant: bool) -> None:
        self._next += 1
        self.pending[self._next] = PendingArc(self._next, start, end, by_grant, self.ctx.now)
        self._drive(self.pending[self._next])

    def accept_grant(self, start: int, end: int) -> None:
        """A leaver has given every record of (start, end]; it is served once the pointer has moved."""
        self.granted.append((start, end))
        del self.granted[:-4]

    # Fetching a pending arc

    def on_timer(self, number: int) -> None:
        """Go on with a pending arc after a pause."""
        arc = self.pending.get(number)
        if arc is not None and not arc.waiting:
            self._drive(arc)

    def _drive(self, arc: PendingArc) -> None:
        ctx, routing = self.ctx, self.ctx.routing
        living = [peer for peer in routing.successors if not routing.is_suspect(peer)]
        if arc.by_grant:
            ahead = [*living, *([arc.further] if arc.further is not None else [])]
            for peer in ahead:
                if peer.id not in arc.asked and peer.id != ctx.me.id and len(arc.asked) < _MAX_WALK:
                    arc.asked[peer.id] = None
                    arc.waiting = ctx.ask(peer, ForArc(arc.number, False), TakeOver, arc.start, arc.end)
                    if not arc.waiting:
                        self._pause(arc)
                    return
            arc.by_grant = False
        for peer in living:
            if peer.id not in arc.heard:
                arc.waiting = True
                self.syncs.start(peer, arc.start, arc.end, ForArc(arc.number, False), pull=True, push=False)
                return
        self._complete(arc)

    def on_outcome(self, purpose: ForArc, peer: Peer | None, answer: Answer | SyncEnded | None) -> None:
        """The old owner granted the arc or not; or a pull has ended."""
        arc = self.pending.get(purpose.number)
        if arc is None or peer is None:
            return
        arc.waiting = False
        if isinstance(answer, SyncEnded):
            if not answer.ok:
                self._pause(arc)
            elif purpose.granted:
                self._complete(arc)
            else:
                arc.heard[peer.id] = None
                self._drive(arc)
        elif isinstance(answer, Done):
            arc.waiting = True
            self.syncs.start(peer, arc.start, arc.end, ForArc(arc.number, True), pull=True, push=False)
        elif isinstance(answer, Elsewhere):
            arc.further = answer.peers[0] if answer.peers else None
            self._trim(arc)
            if arc.number in self.pending:
                self._drive(arc)
        else:
            arc.asked.clear()
            arc.further = None
            arc.by_grant = arc.by_grant and self.ctx.now - arc.since < _PATIENCE
            self._trim(arc)
            if arc.number in self.pending:
                self._pause(arc)

    def _pause(self, arc: PendingArc) -> None:
        self.ctx.timers.arm(("arc", arc.number), self.ctx.now + self.ctx.rng.jitter(_PAUSE))

    def _forget(self, arc: PendingArc) -> None:
        del self.pending[arc.number]
        self.ctx.timers.disarm(("arc", arc.number))

    def _complete(self, arc: PendingArc) -> None:
        self._forget(arc)
        self.completed += 1
        if self.ctx.routing.owns(arc.end):
            self.ctx.emit(RangeReady(arc.start, arc.end))

    # Granting

    def on_take_over(self, message: TakeOver, sender: Address) -> None:
        """A joiner asks for its range: grant it once nothing of it is decided or under way here."""
        ctx, routing = self.ctx, self.ctx.routing
        asker = ctx.asker(message, sender)
        start, end, source = message.start, message.end, message.source
        if source is None:
            ctx.refuse(asker, Reason.INVALID)
            return
        own = ctx.me.id if routing.predecessor is None else routing.predecessor.id
        unfinished = any(arcs_meet(start, end, arc.start, arc.end) for arc in self.pending.values())
        if unfinished or arcs_meet(start, end, own, ctx.me.id) or self._belongs_to_another(start, end, source):
            ctx.refuse(asker, Reason.NOT_READY)
        elif not self._is_covered(start, end, source):
            ahead = [peer for peer in routing.successors if not routing.is_suspect(peer)]
            ctx.answer(asker, Elsewhere, tuple(ahead[:1]), False)
        elif not self.writes.is_settled(start, end):
            ctx.refuse(asker, Reason.NOT_READY)
        else:
            self._grant(start, end, source)
            ctx.answer(asker, Done)

    def _belongs_to_another(self, start: int, end: int, source: Peer) -> bool:
        """Tell whether another joiner was granted a part of the arc; make sure then that it still lives.

        A nearer one will notify the asker, whose range then no longer holds that part; a farther one becomes the
        asker's successor and is asked itself.  If it died, the asker takes over.
        """
        others = {
            arc.granted.id: arc.granted
            for arc in self.relinquished
            if arc.granted is not None and arc.granted.id != source.id and arcs_meet(start, end, arc.start, arc.end)
        }
        for peer in others.values():
            if not any(call.peer == peer for call in self.ctx.calls.values()):
                self.ctx.ask(peer, Probe(peer), Ping)
        return bool(others)

    def on_departed(self, peer: Peer) -> None:
        """Whoever was granted an arc is gone: this node can no longer say who decides for it."""
        self.relinquished = [arc for arc in self.relinquished if arc.granted != peer]

    def _is_covered(self, start: int, end: int, source: Peer | None) -> bool:
        """Tell whether all of (start, end] was relinquished here, and not granted to anybody but ``source``."""
        bits = self.ctx.config.bits
        reached = start
        for _ in range(len(self.relinquished)):
            following = (reached + 1) % (1 << bits)
            step = next(
                (
                    arc
                    for arc in self.relinquished
                    if within(arc.start, following, arc.end) and arc.granted in (None, source)
                ),
                None,
            )
            if step is None:
                return False
            if within(reached, end, step.end):
                return True
            reached = step.end
        return False

    def _grant(self, start: int, end: int, to: Peer) -> None:
        kept: list[Relinquished] = []
        for arc in self.relinquished:
            if not arcs_meet(arc.start, arc.end, start, end):
                kept.append(arc)
                continue
            if arc.granted == to:
                continue  # It asks for less than it was granted: for the rest it never learnt of the grant.
            if between(arc.start, start, arc.end):
                kept.append(Relinquished(arc.start, start, arc.granted))
            if between(arc.start, end, arc.end):
                kept.append(Relinquished(end, arc.end, arc.granted))
        kept.append(Relinquished(start, end, to))
        self.relinquished = kept[-_MAX_RELINQUISHED:]
