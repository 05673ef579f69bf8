"""The ring state of one node: its pointers as they may change, and the step under way."""

from __future__ import annotations

from math import inf
from typing import TypeAlias

from chord_proto.context import Context
from chord_proto.effects import PredecessorChanged, SuccessorsChanged
from chord_proto.identifiers import between
from chord_proto.messages import Answer, ListChanged, Pong, Reason, Refused
from chord_proto.peer import Peer
from chord_proto.phase import Phase
from chord_proto.records import record
from chord_proto.routing import LIST_SLACK

_MAX_ASKERS = 64
_PERIODS = 3


@record
class AskJoinPoint:
    """Step: the joiner asks ``peer``, its predecessor to be, for its list."""

    peer: Peer


@record
class AskSuccessor:
    """Step: stabilise asks the first successor for its predecessor and its list."""

    peer: Peer


@record
class AskCandidate:
    """Step: stabilise asks ``peer``, which seems to lie between this node and its successor, for its list."""

    peer: Peer


@record
class AskPredecessor:
    """Step: rectify asks the predecessor whether it lives; if not, ``candidate`` takes its place."""

    peer: Peer
    candidate: Peer


@record
class DialBack:
    """A notifier is asked at the address that it claims before rectify sees it."""

    peer: Peer


@record
class PingPredecessor:
    """The periodic question to the predecessor, whose answer tells its predecessors."""

    peer: Peer


@record
class Probe:
    """Does ``peer`` live?  Asked when a connection to it broke."""

    peer: Peer


Step: TypeAlias = AskJoinPoint | AskSuccessor | AskCandidate | AskPredecessor


def has_failed(answer: Answer | None) -> bool:
    """Tell whether an outcome means that the peer has failed: silence, or the word that it is no member (any more)."""
    if isinstance(answer, Refused):
        return answer.reason in (Reason.NOT_MEMBER, Reason.OTHER_LIFE)
    return answer is None or (isinstance(answer, Pong) and not answer.member)


class RingState:
    """Pointers, step and slot; the rules over them are in `chord_proto.ring`."""

    __slots__ = (
        "_askers",
        "changes",
        "ctx",
        "dialling",
        "entered",
        "former",
        "founded",
        "in_order",
        "outdated",
        "phase",
        "settled_at",
        "skipped",
        "slot",
        "stabilised",
        "step",
        "width",
    )

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.phase = Phase.NEW
        self.step: Step | None = None
        self.slot: Peer | None = None
        """The notification that waits: the closest of those that came while a step was under way."""
        self.dialling: Peer | None = None
        self.stabilised = -inf
        self.entered = False
        """Set in the step in which the node becomes a member; reset by who takes note."""
        self.changes: list[tuple[Peer | None, Peer | None]] = []
        """Moves of the predecessor pointer (from, to) of which the records have not yet been told."""
        self.skipped = False
        """Set when the successor turns out to take an earlier node for its predecessor; reset by who takes note."""
        self._askers: dict[int, tuple[Peer, float]] = {}
        self.in_order = True
        """Whether the successor, when last asked, took this node for its predecessor."""
        self.width = 1
        """The largest number of distinct addresses that the ring is known to have had, up to R."""
        self.founded = 0
        """Which founding the ring goes back to (`Neighbours`); 0: not known."""
        self.former = 0
        """The same of the ring of an earlier life, if that ended more than a grace period before this one began."""
        self.outdated = False
        """Set when that ring turns out to have lived on; reset by who takes note."""
        self.settled_at = inf
        """From when on what there was of this life counts, and not the former ring."""

    def begin(self, away: float, founded: int) -> None:
        """Learn what is known of an earlier life: the ring it was in, and for how long it has been over."""
        config = self.ctx.config
        if away > config.grace_period and not config.keep_outdated:
            self.former = founded
        else:
            self.founded = founded

    @property
    def is_current(self) -> bool:
        """Whether nothing on disk waits for the word on a former ring: a later life may take this one for its last."""
        return not self.former or self.ctx.now >= self.settled_at

    def meet(self, founded: int) -> None:
        """Learn which founding the ring of a member goes back to: a ring has one, and rings that merge take the oldest.

        A ring that this node was in before its long absence, and that was never founded anew meanwhile, has lived on
        without it (chord.md section 7).
        """
        if not founded:
            return
        if founded == self.former:
            self.outdated, self.former = True, 0
        self.founded = min(self.founded or founded, founded)

    def note_asker(self, peer: Peer) -> None:
        """Remember who asked for this node's list: its own may name nobody else."""
        self._askers.pop(peer.id, None)
        self._askers[peer.id] = (peer, self.ctx.now)
        while len(self._askers) > _MAX_ASKERS:
            del self._askers[next(iter(self._askers))]

    def dependants(self) -> tuple[Peer, ...]:
        """Return who takes this node for its first successor, or did within the last few periods."""
        since = self.ctx.now - _PERIODS * self.ctx.config.longest_interval
        return tuple(peer for peer, asked in self._askers.values() if asked >= since)

    @property
    def nearby(self) -> int:
        """How many nodes the ring has by this node's neighbours, if it looks; 0 if not."""
        return 0 if self.ctx.tuning is None else round(self.ctx.tuning.nearby)

    @property
    def is_member(self) -> bool:
        """Whether the node is on the ring (or an appendage of it)."""
        return self.phase is Phase.ACTIVE or self.phase is Phase.LEAVING

    def widen(self, width: int) -> None:
        """Learn that the ring has, or had, so many distinct addresses (up to R)."""
        here = len({peer.address for peer in self.ctx.routing.extended()})
        self.width = min(max(self.width, width, here), self.ctx.config.replicas)

    def narrow(self, leaver: Peer) -> None:
        """A graceful leave lowers the width, suspicion does not (chord.md section 7)."""
        routing = self.ctx.routing
        if routing.came_round:
            self.width = min(self.width, len({p.address for p in routing.extended() if p.id != leaver.id}))

    def stabilize_soon(self) -> None:
        """Bring the next round of stabilise forward, at most one every ``eager_delay``."""
        ctx = self.ctx
        earliest = max(ctx.now, self.stabilised + ctx.config.eager_delay)
        ctx.timers.arm_earlier(("stabilize", 0), earliest)

    def set_successors(self, successors: tuple[Peer, ...], *, came_round: bool) -> None:
        """Replace the successor list, in one step."""
        ctx, routing = self.ctx, self.ctx.routing
        old = routing.successors
        routing.came_round = came_round
        if successors == old:
            return
        routing.successors = successors
        self._see()
        routing.learn_arcs(ctx.me.id, successors, ctx.now, pointers=True)
        self.widen(0)
        ctx.emit(SuccessorsChanged(successors))
        self._pass_on(old)
        if old[:1] != successors[:1]:
            self.stabilize_soon()
        else:  # While lists still change, ask more often: news travels one node a round.
            ctx.timers.arm_earlier(("stabilize", 0), ctx.now + ctx.rng.jitter(ctx.interval / 4))

    def _pass_on(self, old: tuple[Peer, ...]) -> None:
        """Tell the predecessor to ask for the list, if anything has changed of the part of it that it takes over."""
        ctx, routing = self.ctx, self.ctx.routing
        to, taken = routing.predecessor, ctx.config.successors - 1
        if to is not None and not routing.is_suspect(to) and old[:taken] != routing.successors[:taken]:
            ctx.send(to.address, ListChanged(ctx.me, ctx.incarnation, to.id, ctx.life_of(to)))

    def set_predecessor(self, peer: Peer | None) -> None:
        """Replace the predecessor."""
        ctx, routing = self.ctx, self.ctx.routing
        old = routing.predecessor
        routing.predecessor = peer
        if peer is None and not routing.successors:
            routing.came_round = True  # A ring of one.
        self.set_predecessors(peer, routing.predecessors)
        if peer is not None:
            routing.entry(peer, ctx.now, pointer=True)
            ctx.timers.arm_earlier(("predecessor", 0), ctx.now + ctx.config.eager_delay)
        if not routing.successors:
            self.stabilize_soon()
        self.changes.append((old, peer))
        ctx.emit(PredecessorChanged(old, peer))

    def set_predecessors(self, first: Peer | None, following: tuple[Peer, ...]) -> None:
        """Predecessor list := [p] + p's predecessors, as far as they are in order.

        Like the successor list it runs on past its length until it names R other addresses: as far back as
        this node holds replicas.
        """
        me, config = self.ctx.me, self.ctx.config
        kept: list[Peer] = [] if first is None else [first]
        addresses = {peer.address for peer in kept} - {me.address}
        for peer in following if first is not None else ():
            if len(kept) >= config.predecessors and (
                len(addresses) >= config.replicas or len(kept) >= config.predecessors + LIST_SLACK
            ):
                break
            if peer.id == me.id:
                break
            if between(me.id, peer.id, kept[-1].id):
                kept.append(peer)
                if peer.address != me.address:
                    addresses.add(peer.address)
        self.ctx.routing.predecessors = tuple(kept)
        self._see()

    def _see(self) -> None:
        """Note who came and went, if the periods of upkeep depend on it."""
        ctx, routing = self.ctx, self.ctx.routing
        if ctx.tuning is not None:
            before, after = routing.predecessors, routing.successors
            ctx.tuning.see(ctx.now, ctx.me.id, before, after, ctx.config.bits, came_round=routing.came_round)
