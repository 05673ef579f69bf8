"""Joining and leaving: how a node enters the ring, and how it goes without being missed (chord.md section 2)."""

from __future__ import annotations

from collections.abc import Sequence

from chord_proto.context import Context
from chord_proto.effects import Finished, MemberOf, OpId, Stopped
from chord_proto.grants import MAX_ARCS
from chord_proto.identifiers import between
from chord_proto.lookup import Lookups, Outcome
from chord_proto.messages import Answer, Done, GetNeighbours, Grant, Leaving, Neighbours, Reason
from chord_proto.operations import Failed, Failure, Joined, Left
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.places import Arc
from chord_proto.ranges import Ranges
from chord_proto.records import record
from chord_proto.ring import Ring
from chord_proto.ring_state import AskJoinPoint, has_failed
from chord_proto.routing import cut_list

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_PLACE_TIMEOUT = 7.0
"""Seconds after which a member that holds this node's place is taken for another: above any time of suspicion."""


@record
class ForJoin:
    """Purpose of the lookup of one's own id before joining."""


@record
class Farewell:
    """Purpose of the word to a neighbour that this node leaves."""

    peer: Peer


class Membership:
    """The way in and the way out."""

    __slots__ = (
        "contacts",
        "ctx",
        "handed_over",
        "invited",
        "join_op",
        "leave_op",
        "lookups",
        "occupied_since",
        "pause",
        "ring",
        "said",
        "turn",
        "unwilling",
        "waiting_for",
    )

    def __init__(self, ctx: Context, ring: Ring, lookups: Lookups) -> None:
        self.ctx = ctx
        self.ring = ring
        self.lookups = lookups
        self.contacts: tuple[Address, ...] = ()
        """Where to join, and where to look for a lost part of the ring later."""
        self.invited: tuple[Address, ...] = ()
        """The member that last asked this node, which is none yet, as an earlier life of it: one more contact."""
        self.join_op: OpId | None = None
        self.leave_op: OpId | None = None
        self.pause = _FIRST_PAUSE
        self.occupied_since: float | None = None
        """Since when the ring says that somebody else is in this node's place."""
        self.turn = 0
        self.handed_over = False
        self.unwilling: dict[int, None] = {}
        """Those who were given this leaver's range and would not answer for it."""
        self.said = False
        self.waiting_for: dict[int, bool] = {}
        """Who must hear the farewell before this node stops, and whether they were granted its range."""

    # In

    def create(self) -> None:
        """Become a ring of one."""
        self.ring.founded = self.ring.founded or self.ctx.incarnation
        self.ring.become_member(None, (), came_round=True)
        self.ctx.emit(MemberOf(None))

    def join(self, op: OpId, via: Sequence[Address]) -> None:
        """Begin to join, through each contact in turn, for ever."""
        self.contacts = tuple(via)
        self.join_op = op
        self.ring.phase = Phase.JOINING
        self.try_join()

    def try_join(self) -> None:
        """Ask one contact for the place where this node belongs."""
        if self.ring.phase is not Phase.JOINING:
            return
        self.ctx.forget_old_suspicions()
        contacts = (*self.contacts, *self.invited)
        contact = contacts[self.turn % len(contacts)]
        self.turn += 1
        self.lookups.start(self.ctx.me.id, ForJoin(), contacts=(contact,))

    def on_asked_by_member(self, member: Peer) -> None:
        """The ring remembers this node, or its address: so it finds the way back when all contacts wait or have died."""
        if self.ring.phase is Phase.JOINING:
            self.invited = (member.address,)

    def on_join_point(self, purpose: ForJoin, peer: Peer | None, found: Outcome | None) -> None:
        """The ring told whose successor this node becomes; ask that member for its list."""
        if self.ring.phase is not Phase.JOINING or self.ring.step is not None:
            return
        me = self.ctx.me
        if found is None:
            self._try_again()
            return
        if me.id in (found.predecessor.id, found.successors[0].id):
            self._wait_for_place()
            return
        self.occupied_since = None
        self.ring.step = AskJoinPoint(found.predecessor)
        if not self.ctx.ask(found.predecessor, self.ring.step, GetNeighbours):
            self.ring.step = None
            self._try_again()

    def on_join_answer(self, step: AskJoinPoint, peer: Peer | None, answer: Answer | None) -> None:
        """Take over the whole list of the member before, in one answer."""
        ctx, ring, me = self.ctx, self.ring, self.ctx.me
        if ring.step != step:
            return
        ring.step = None
        if not isinstance(answer, Neighbours):
            if has_failed(answer):
                if answer is not None:
                    ctx.suspect(step.peer)
                self._try_again()
            else:
                self._try_here_again()
            return
        head = answer.successors[0] if answer.successors else step.peer
        if not between(step.peer.id, me.id, head.id) or head.id == me.id:
            self._try_here_again()  # Somebody joined there first.
            return
        given = (*answer.successors, step.peer) if answer.came_round else answer.successors
        successors, met_self = cut_list(me, given, ctx.config)
        ring.founded = 0  # That of the ring which it joins, not that of which it comes.
        ring.meet(answer.founded)
        ring.widen(answer.width)
        ring.become_member(
            step.peer, successors, came_round=met_self or (answer.came_round and len(successors) == len(given))
        )
        ctx.emit(MemberOf(step.peer))
        if self.join_op is not None:
            ctx.emit(Finished(self.join_op, Joined()))
            self.join_op = None

    def _wait_for_place(self) -> None:
        """The ring names a member in this very place: an earlier life of this node, or somebody else.

        An earlier life is dropped within seconds, or a period, since this one answers for it; another member is not.
        """
        ctx = self.ctx
        patience = ctx.config.stabilize_interval_max or 0.0
        if self.occupied_since is None:
            self.occupied_since = ctx.now
        if ctx.now - self.occupied_since < _PLACE_TIMEOUT + patience or self.join_op is None:
            self.pause = _FIRST_PAUSE
            self._try_again()
        else:
            self.abandon_join(self.join_op, Failure.ADDRESS_IN_USE)

    def _try_here_again(self) -> None:
        """The contact did its part, and the ring has to settle first: ask the same one, soon."""
        self.turn -= 1
        self.pause = _FIRST_PAUSE
        self._try_again()

    def _try_again(self) -> None:
        ctx = self.ctx
        ctx.timers.arm(("join", 0), ctx.now + ctx.rng.jitter(self.pause))
        self.pause = min(2 * self.pause, _LONGEST_PAUSE)

    # Out

    def begin_leave(self, op: OpId) -> None:
        """Stop deciding; the range is handed over next, then `say_farewell`."""
        ctx = self.ctx
        self.leave_op = op
        self.ring.phase = Phase.LEAVING
        ctx.timers.arm(("leave", 0), ctx.now + ctx.config.leave_timeout)

    def say_farewell(
        self, *, granted_to: Peer | None, arcs: tuple[Arc, ...] = (), given: tuple[Grant, ...] = ()
    ) -> None:
        """Tell predecessor, successors and dependants, with one's own lists as candidates for them to ask.

        This node goes once those have heard it who may have no other living neighbour: nobody is left alone by it.

        ``granted_to`` was given every record of ``arcs`` and decides for them from now on.  All remember that, and
        what was ``given`` to others before.
        """
        ctx, routing = self.ctx, self.ctx.routing
        self.handed_over = granted_to is not None
        told: set[int] = {ctx.me.id}
        to_heir = (
            () if granted_to is None else tuple(Grant(*ends, granted_to, ctx.life_of(granted_to), 0) for ends in arcs)
        )
        dependants = self.ring.dependants()
        close = (*routing.predecessors[:1], *routing.successors[:1], *dependants)
        for peer in (*close, *routing.successors, *routing.predecessors):
            if peer.id in told or routing.is_suspect(peer):
                continue
            told.add(peer.id)
            is_heir = granted_to is not None and peer.id == granted_to.id
            fields = (routing.predecessor, routing.predecessors, routing.successors)
            inherited = (arcs, given) if is_heir else ((), (*to_heir, *given)[:MAX_ARCS])
            sent = ctx.ask(peer, Farewell(peer), Leaving, *fields, *inherited)
            if sent and (is_heir or peer in close):
                self.waiting_for[peer.id] = is_heir
        self.said = True

    def on_farewell(self, purpose: Farewell, peer: Peer | None, answer: Answer | None) -> None:
        """A neighbour knows, or is gone itself; an heir that is gone or leaves too is replaced by the next one."""
        if self.waiting_for.pop(purpose.peer.id, False) and not isinstance(answer, Done):
            self.handed_over = self.said = False
            self.unwilling[purpose.peer.id] = None
            self.ctx.timers.arm(("hand over", 0), self.ctx.now)

    @property
    def is_done(self) -> bool:
        """Whether everybody who must know does know."""
        return self.said and not self.waiting_for and self.ring.phase is Phase.LEAVING

    def on_leave_timer(self) -> None:
        """Time is up: say farewell without having handed over, or stop waiting for answers to it."""
        if self.said:
            self.waiting_for.clear()
        else:
            self.say_farewell(granted_to=None)
            self.ctx.timers.arm(("leave", 0), self.ctx.now + self.ctx.config.max_timeout)

    def on_leaving(self, message: Leaving, sender: Address, ranges: Ranges) -> None:
        """A neighbour leaves; only the life of it that has answered here is believed."""
        ctx, leaver = self.ctx, message.source
        asker = ctx.asker(message, sender)
        if leaver is None:
            ctx.refuse(asker, Reason.INVALID)
            return
        refused = bool(message.granted) and self.ring.phase is Phase.LEAVING
        if ctx.has_answered(leaver, message.incarnation) or leaver.id in {p.id for p in ctx.routing.pointers()}:
            if not refused:
                ranges.inherit(message)
            self.ring.on_leaver(leaver, message.predecessor, message.successors)
        if refused:
            ctx.refuse(asker, Reason.LEAVING)
        else:
            ctx.answer(asker, Done)

    def abandon_join(self, op: OpId, why: Failure) -> bool:
        """Give up joining if ``op`` is the joining; tell whether it was."""
        if self.join_op is None or self.join_op != op:
            return False
        self.join_op = None
        self.ring.phase, self.ring.step = Phase.NEW, None
        self.ctx.timers.disarm(("join", 0))
        self.ctx.emit(Finished(op, Failed(why)))
        return True

    def finish(self) -> None:
        """Stop for good."""
        ctx = self.ctx
        self.ring.stop()
        ctx.timers.clear()
        ctx.calls.clear()
        if self.join_op is not None:
            ctx.emit(Finished(self.join_op, Failed(Failure.STOPPED)))
            self.join_op = None
        if self.leave_op is not None:
            ctx.emit(Finished(self.leave_op, Left(self.handed_over)))
            self.leave_op = None
        ctx.emit(Stopped())
