"""Who answers and decides for which arc while ownership moves (chord.md section 7).

Owning is not yet serving.  The right to decide for a place is *held* by one node at a time, together with
everything that was decided there; it passes from node to node only by a grant.  Who loses a range keeps that
right until the new owner asks for it; who gains one asks along the ring for whoever holds it.  Where nobody
does, since the holder died, the new owner pulls what all living replicas have and then holds it anew.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from chord_proto.context import Context
from chord_proto.effects import RangeGained, RangeLost, RangeReady
from chord_proto.grants import ForClaim, Grants
from chord_proto.identifiers import between
from chord_proto.messages import Answer, Elsewhere, Granted, Leaving, TakeOver
from chord_proto.peer import Address, Peer
from chord_proto.places import Places, arc
from chord_proto.records import record
from chord_proto.returned import Returned
from chord_proto.sync import SyncEnded, Syncs
from chord_proto.writes import Writes

_PAUSE = 0.1
_PATIENCE = 20.0
"""Seconds after which who was to grant an arc is no longer waited for: several times what finding a death takes."""
_KEPT_FOR_OTHERS = 10.0
"""Seconds for which an arc is kept for a new owner that does not ask for it."""
_MAX_PENDING = 64
_MAX_INHERITED = 16
_MAX_WALK = 64
"""How far along the ring the holder is looked for: so many nodes may join in one gap at once."""


@record
class ForArc:
    """Purpose of asking for the grant of a pending arc, and of pulling its records."""

    number: int


@attrs.define(eq=False)
class PendingArc:
    """An arc (start, end] that this node wants to hold and does not hold yet."""

    number: int
    start: int
    end: int
    orphaned: bool
    """Its owner died or left, rather than that this node came: copies answer readers."""
    first: bool
    """This node has not held any of it: whoever does may be far along the ring, with other newcomers between."""
    since: float
    by_grant: bool = True
    """Somebody may hold it; False once nobody was found who does: then the copies of all replicas count."""
    granter: Peer | None = None
    """Who has granted it: its records are being fetched."""
    waiting: bool = False
    asking: Peer | None = None
    """Whom it waits for."""
    asked: dict[int, None] = attrs.field(factory=dict)
    """Who was asked for the grant on this walk along the ring."""
    further: tuple[Peer, ...] = ()
    """Who comes next on the walk, as the last one asked has told."""
    taken: bool = False
    """Somebody living was granted a part of it, as was told on this walk."""
    gone: dict[int, None] = attrs.field(factory=dict)
    """Who fell silent when asked: that others still remember a grant to it says nothing."""
    heard: dict[int, None] = attrs.field(factory=dict)
    """Whose copies have been pulled."""

    @property
    def is_open(self) -> bool:
        """Whether it is not known yet who holds it."""
        return self.by_grant and self.granter is None

    @property
    def may_go(self) -> bool:
        """Whether nobody has granted or will grant it for what was asked so far."""
        return self.is_open and not self.waiting


class Ranges:
    """What one node holds, and what it is about to hold."""

    __slots__ = (
        "_bequest",
        "_inherited",
        "_next",
        "completed",
        "ctx",
        "grants",
        "pending",
        "returned",
        "syncs",
        "writes",
    )

    def __init__(self, ctx: Context, writes: Writes, syncs: Syncs) -> None:
        self.ctx = ctx
        self.writes = writes
        self.syncs = syncs
        self.grants = Grants(ctx, writes)
        self.returned = Returned(ctx, syncs)
        self.pending: dict[int, PendingArc] = {}
        self._bequest: Places | None = None
        """What this leaver has granted to its heir, all that it held: it wants nothing any more."""
        self._inherited: tuple[tuple[int, int, int], ...] = ()
        """Farewells that were taken note of: source, incarnation and request."""
        self.completed = 0
        """Counts arcs that became ready, so that waiting operations are tried again."""
        self._next = 0

    @property
    def held(self) -> Places:
        """Places for which this node may decide as soon as it owns them, and of which it has every record."""
        return self.grants.held

    @property
    def owned(self) -> Places:
        """The places on (predecessor, me]; all of them without a predecessor."""
        return self.grants.owned()

    def decides(self, place: int) -> bool:
        """Tell whether this node decides writes for ``place`` now."""
        return place in self.held and self.ctx.routing.owns(place)

    def pending_for(self, place: int) -> PendingArc | None:
        """Return the pending arc that ``place`` lies on."""
        for pending in self.pending.values():
            if place in self._places(pending):
                return pending
        return None

    def is_in_question(self, pending: PendingArc) -> bool:
        """Tell whether somebody else may hold the arc who is not found yet: copies would be no answer then."""
        known = self.grants.known_holders(pending.start, pending.end)
        return pending.is_open and (bool(known) or not pending.orphaned)

    def fetching(self, asked: Peer | None = None) -> Places:
        """What this node will hold once it has it, whether it owns it by then or not.

        That includes what was asked for and may be granted: by anybody, or by ``asked``.
        """
        places = Places(self.held.size)
        for pending in self.pending.values():
            if not pending.is_open or (pending.waiting and asked in (None, pending.asking)):
                places |= self._places(pending)
        return places

    @property
    def is_ready(self) -> bool:
        """Whether everything that this node owns is served."""
        return not self.owned - self.held

    # The predecessor pointer moved

    def on_created(self) -> None:
        """The node is a ring of its own: nobody else holds anything."""
        self.grants.hold(self.owned)

    def on_joined(self) -> None:
        """The node became a member: what it owns now is held by others."""
        for start, end in self.owned.arcs():
            self.ctx.emit(RangeGained(start, end))
        self._want_missing()

    def on_predecessor_changed(self, old: Peer | None, new: Peer | None, *, leaving: bool = False) -> None:
        """Stop deciding for what was lost, in this very step; fetch what was gained and is not held already.

        A ``leaving`` node takes on nothing any more.  What it would take from those who fell silent it would hand on at
        once, to an heir that does not know without whom it came here; and who left before it may have had no heir.
        """
        before, after = self.grants.owned_after(old), self.grants.owned_after(new)
        for start, end in (before - after).arcs():
            self.ctx.emit(RangeLost(start, end))
            self._keep_spare()
        gained = after - before
        for start, end in gained.arcs():
            self.ctx.emit(RangeGained(start, end))
        if leaving:
            self._tell_ready(gained & self.held)
            return
        if new is None:
            self.returned.note(after - self.held)
            self.grants.hold(after)
            for pending in list(self.pending.values()):
                self._forget(pending)
        self._tell_ready(gained & self.held)
        self._want_missing(orphaned=bool(gained))

    def doubt(self) -> None:
        """The successor does not take this node for its predecessor: it may have decided for this node's range.

        So it is after a pause or a partition in which this node was taken for dead.  The range is not served
        until whoever decided meanwhile has granted it back.
        """
        self.grants.let_go(self.owned)
        self._want_missing()

    def on_slept(self) -> None:
        """Nothing reached this node for a while: whatever it held or was granted others may have taken for orphaned."""
        for pending in list(self.pending.values()):
            self._forget(pending)
        self.grants.let_go(self.held)
        self._want_missing()

    def on_returned(self, peer: Peer) -> None:
        """Somebody lives who was taken for dead: what came here without it may be incomplete."""
        without = Places(self.held.size)
        for pending in self.pending.values():
            if pending.granter is None:
                without |= self._places(pending)
        self.returned.on_returned(peer, self.held, without)

    def on_take_over(self, message: TakeOver, sender: Address) -> None:
        """A new owner asks for its range."""
        self.grants.on_take_over(message, sender, self.fetching())
        self._keep_spare()

    def _keep_spare(self) -> None:
        """Keep what is held and not owned, until nobody has asked for anything for a while."""
        if self.held - self.owned:
            self.ctx.timers.arm(("spare", 0), self.ctx.now + _KEPT_FOR_OTHERS)

    def on_spare_timer(self) -> None:
        """Whoever owns the rest does not need it from here: it held it already, as after a partition."""
        self.grants.let_go(self.held - self.owned)

    def decided_elsewhere(self, place: int) -> None:
        """The owner of ``place`` has decided there: what this node held of it unused is no longer the last word."""
        if place in self.held and not self.ctx.routing.owns(place):
            size = self.held.size
            stale = [arc(start, end, size) for start, end in (self.held - self.owned).arcs()]
            for places in stale:
                if place in places:
                    self.grants.let_go(places)

    def inherit(self, message: Leaving) -> None:
        """A leaver has given every record of some arcs, to be served once the pointer has moved, and what it remembers.

        A farewell that arrives again is about what may have been granted on meanwhile.
        """
        assert message.source is not None
        farewell = message.source.id, message.incarnation, message.request
        if farewell in self._inherited or self.grants.is_full:
            return
        self._inherited = (*self._inherited[1 - _MAX_INHERITED :], farewell)
        for start, end in message.granted:
            self._hold(arc(start, end, self.held.size))
        self.grants.remember(message.given)

    def on_claim(self, purpose: ForClaim, peer: Peer | None, answer: Answer | None) -> None:
        """Whether a grant arrived: of no concern any more to a leaver that has bequeathed everything."""
        if self._bequest is None:
            self.grants.on_claim(purpose, peer, answer)

    def close(self, heir: Peer) -> None:
        """This node leaves, and grants all that it holds to ``heir``."""
        self._bequest = self.held
        self.grants.give(self.held, heir, self.ctx.life_of(heir))

    def reopen(self) -> None:
        """The heir has not taken it: it is held here again."""
        if self._bequest is not None:
            self.grants.hold(self._bequest)
            self._bequest = None

    def _want_missing(self, *, orphaned: bool = False, since: float | None = None) -> None:
        """Begin to fetch what this node owns, does not hold, and is not fetching yet."""
        if self._bequest is not None:
            return
        missing = self.owned - self.held
        for pending in self.pending.values():
            missing -= self._places(pending)
        for start, end in missing.arcs():
            self._drive(self._add(start, end, orphaned=orphaned, since=since))

    def _add(self, start: int, end: int, *, orphaned: bool, since: float | None = None) -> PendingArc:
        self._next += 1
        first = not orphaned and not self.grants.has_had(start, end)
        pending = PendingArc(self._next, start, end, orphaned, first, self.ctx.now if since is None else since)
        self.pending[pending.number] = pending
        return pending

    def _places(self, pending: PendingArc) -> Places:
        return arc(pending.start, pending.end, self.held.size)

    # Fetching a pending arc

    def on_timer(self, number: int) -> None:
        """Go on with a pending arc after a pause."""
        pending = self.pending.get(number)
        if pending is not None and not pending.waiting:
            self._drive(pending)

    def _drive(self, pending: PendingArc) -> None:
        places = self._places(pending)
        if pending.may_go and places - (self.owned - self.held):
            # A nearer joiner has taken a part: that one asks for it itself.
            self._forget(pending)
            self._want_missing(orphaned=pending.orphaned, since=pending.since)
            return
        routing = self.ctx.routing
        living = [peer for peer in routing.successors if not routing.is_suspect(peer)]
        if not living:  # Not alone, and nobody to ask: soon there is a successor again, or no predecessor.
            self._pause(pending)
            return
        if pending.granter is not None:
            if not routing.is_suspect(pending.granter):
                self._pull(pending, pending.granter)
                return
            pending.granter, pending.by_grant = None, False
        if pending.by_grant and self._ask_next(pending, living):
            return
        if pending.by_grant and pending.taken:
            self._begin_again(pending)
            return
        pending.by_grant = False
        for peer in living:
            if peer.id not in pending.heard:
                self._pull(pending, peer)
                return
        self._complete(pending)

    def _living(self, pending: PendingArc, peers: Iterable[Peer]) -> list[Peer]:
        """Return those who may still answer for the arc."""
        suspects = self.ctx.routing.suspects
        return [peer for peer in peers if peer.id not in pending.gone and peer.id not in suspects]

    def _ask_next(self, pending: PendingArc, living: list[Peer]) -> bool:
        """Ask the next one along the ring for the grant; False when all were asked."""
        told = self._living(pending, self.grants.known_holders(pending.start, pending.end))
        pending.taken = pending.taken or bool(told)
        for peer in (*told, *pending.further, *living):
            if peer.id not in pending.asked and peer.id != self.ctx.me.id and len(pending.asked) < _MAX_WALK:
                pending.asked[peer.id] = None
                pending.asking = peer
                asked = pending.start, pending.end, pending.first
                pending.waiting = self.ctx.ask(peer, ForArc(pending.number), TakeOver, *asked)
                if not pending.waiting:
                    self._pause(pending)
                return True
        return False

    def _pull(self, pending: PendingArc, peer: Peer) -> None:
        pending.waiting = True
        self.syncs.start(peer, pending.start, pending.end, ForArc(pending.number), pull=True, push=False)

    def on_outcome(self, purpose: ForArc, peer: Peer | None, answer: Answer | SyncEnded | None) -> None:
        """Somebody granted a part of the arc or not; or a pull has ended."""
        pending = self.pending.get(purpose.number)
        if pending is None or peer is None:
            return
        pending.waiting = False
        if isinstance(answer, SyncEnded):
            if not answer.ok:
                self._pause(pending)
            elif pending.granter is not None:
                self._complete(pending)
            else:
                pending.heard[peer.id] = None
                self._drive(pending)
        elif isinstance(answer, Granted):
            self._on_granted(pending, peer, answer)
        elif isinstance(answer, Elsewhere):
            if answer.through:
                living = self._living(pending, answer.peers)
                pending.taken = pending.taken or bool(living)
                pending.further = (*living, *pending.further)[:_MAX_WALK]
            else:
                self.grants.lose(peer, self._places(pending))
                # Who has come between may own some of it as well, as long as the ring is not in order.
                more = (p for p in answer.peers if pending.first or between(self.ctx.me.id, p.id, peer.id))
                pending.further = (*pending.further, *more)[:_MAX_WALK]
            self._drive(pending)
        elif answer is None:
            pending.gone[peer.id] = None
            self._drive(pending)
        else:
            self._begin_again(pending)

    def _on_granted(self, pending: PendingArc, granter: Peer, answer: Granted) -> None:
        """Fetch the part that was granted, whoever owns it by now, and ask on for the rest."""
        given = self._places(pending) & arc(answer.start, answer.end, self.held.size)
        if not given or len(self.pending) >= _MAX_PENDING:
            self._pause(pending)
            return
        self._forget(pending)
        for start, end in given.arcs():
            part = self._add(start, end, orphaned=pending.orphaned)
            part.granter = granter
            self._pull(part, granter)
        self._want_missing(orphaned=pending.orphaned, since=pending.since)

    def _begin_again(self, pending: PendingArc) -> None:
        """Walk along the ring again after a pause, while there is patience."""
        pending.asked.clear()
        pending.further = ()
        pending.taken = False
        pending.by_grant = self.ctx.now - pending.since < _PATIENCE
        self._pause(pending)

    def _pause(self, pending: PendingArc) -> None:
        self.ctx.timers.arm(("arc", pending.number), self.ctx.now + self.ctx.rng.jitter(_PAUSE))

    def _forget(self, pending: PendingArc) -> None:
        del self.pending[pending.number]
        self.ctx.timers.disarm(("arc", pending.number))

    def _complete(self, pending: PendingArc) -> None:
        self._forget(pending)
        self._hold(self._places(pending))

    def _hold(self, places: Places) -> None:
        self.returned.note(places - self.held)
        self.grants.hold(places)
        self._tell_ready(places & self.owned)
        self._keep_spare()

    def _tell_ready(self, places: Places) -> None:
        if places:
            self.completed += 1
        for start, end in places.arcs():
            self.ctx.emit(RangeReady(start, end))
