"""Recursive lookups: a question that nodes pass on towards a place, and the patience of who asked it.

A node that takes a question says so at once and passes it on to the closest node before the place that it knows.  It keeps
it until that one has taken it: one that is slow is passed over for the next best, and suspected if it stays silent.  Each
step comes closer to the place, so that there are no loops.  Who can say who owns it tells the asker itself.  A node
that does not pass a question on answers it (`Found`, `Closer`), as do those of wire version 1: who passed it there
goes on with the answer.
"""

from __future__ import annotations

import attrs

from chord_proto.calls import Slow
from chord_proto.config import Config
from chord_proto.context import Context
from chord_proto.identifiers import between, distance, within
from chord_proto.messages import Answer, Closer, Done, Forward, Found, Reached
from chord_proto.peer import Address, Peer
from chord_proto.records import record
from chord_proto.trust import MEMORY, SETTLED

_MAX_DOUBTED = 256
_STRETCH = 2.0
"""Until one was measured, a lookup may take so many times as long as the first try of a request."""


@record
class PassedOn:
    """Purpose of passing on the question of ``asker`` with this number."""

    asker: int
    number: int


@attrs.define(eq=False)
class Passing:
    """A question that was taken and that nobody else has taken yet."""

    sender: Address
    question: Forward
    hops: int
    """How often it was passed on, or answered to this node."""
    tried: dict[int, None] = attrs.field(factory=dict)
    """To whom this node has passed it."""
    waited_for: dict[int, None] = attrs.field(factory=dict)
    """Who of these has not said anything yet."""
    slow: dict[int, None] = attrs.field(factory=dict)
    """Who of these has been passed over."""
    named: list[Peer] = attrs.field(factory=list)
    """Who was named by one of these, the closest to the place first."""
    missed: int = 0
    """How many of these did not take it."""
    over: bool = False
    """Somebody has taken it."""


class Forwards:
    """The questions of others that a node passes on."""

    __slots__ = ("by_sender", "ctx", "passing")

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.passing: dict[tuple[int, int], Passing] = {}
        """By asker and number."""
        self.by_sender: dict[Address, int] = {}
        """How many of these came from whom."""

    def take(self, message: Forward, sender: Address) -> bool:
        """Pass a question on; False, and nothing is done, if it is to be answered instead: there is no room, or nobody."""
        ctx, config = self.ctx, self.ctx.config
        key = (message.asker.id, message.number)
        if key in self.passing:  # It has come again.
            return True
        if len(self.passing) >= config.max_forwards:
            return False
        if self.by_sender.get(sender, 0) >= config.max_forwards_per_peer:
            return False
        passing = Passing(sender, message, message.hops + 1)
        if not self._pass_on(passing):
            return False
        self.passing[key] = passing
        self.by_sender[sender] = self.by_sender.get(sender, 0) + 1
        ctx.counters.forwarded += 1
        return True

    def _pass_on(self, passing: Passing) -> bool:
        """Pass a question to the best that was not tried yet; False if nobody is left."""
        ctx, question, tried = self.ctx, passing.question, passing.tried
        if passing.missed >= ctx.config.lookup_candidates or passing.hops > ctx.config.max_hops:
            return False
        known = ctx.routing.closest_preceding(question.place, 1 + len(tried))
        for peer in (*passing.named, *known):
            if peer.id in tried or ctx.routing.is_suspect(peer):
                continue
            fields = question.place, question.asker, question.life, question.number, passing.hops
            tried[peer.id] = None
            if ctx.ask(peer, PassedOn(question.asker.id, question.number), Forward, *fields):
                passing.waited_for[peer.id] = None
                return True
            return False
        return False

    def on_answer(self, purpose: PassedOn, peer: Peer | None, answer: Answer | Slow | None) -> None:
        """Somebody has taken the question, answers it, refuses it or does not say anything."""
        passing = self.passing.get((purpose.asker, purpose.number))
        if passing is None or peer is None:
            return
        if isinstance(answer, Slow):
            if not passing.over and peer.id not in passing.slow:
                passing.slow[peer.id] = None
                passing.missed += 1
                self._pass_on(passing)
            return
        passing.waited_for.pop(peer.id, None)
        if not passing.over:
            self._answered(passing, peer, answer)
        if not passing.waited_for:
            self._end(purpose, passing)

    def _answered(self, passing: Passing, peer: Peer, answer: Answer | None) -> None:
        ctx, question = self.ctx, passing.question
        place = question.place
        if isinstance(answer, Done):
            passing.over = True
        elif isinstance(answer, Found):
            passing.over = True
            if answer.successors and within(answer.predecessor.id, place, answer.successors[0].id):
                self.tell(question, answer.predecessor, answer.successors, answer.came_round, hops=passing.hops)
            else:
                ctx.misbehaved(peer.address, "an owner that does not own the place")
        elif isinstance(answer, Closer):
            closer = (each for each in answer.peers if between(peer.id, each.id, place))
            passing.named = sorted(closer, key=lambda each: distance(each.id, place, ctx.config.bits))
            del passing.named[ctx.config.lookup_candidates :]
            passing.hops += 1
            self._pass_on(passing)
        elif peer.id not in passing.slow:
            passing.missed += 1
            self._pass_on(passing)

    def _end(self, purpose: PassedOn, passing: Passing) -> None:
        del self.passing[purpose.asker, purpose.number]
        left = self.by_sender[passing.sender] - 1
        if left:
            self.by_sender[passing.sender] = left
        else:
            del self.by_sender[passing.sender]

    def tell(
        self, question: Forward, predecessor: Peer, successors: tuple[Peer, ...], came_round: bool, *, hops: int
    ) -> None:
        """Tell the asker of a question who owns the place."""
        ctx, asker = self.ctx, question.asker
        fields = question.number, min(hops, ctx.config.max_hops), predecessor, successors, came_round
        ctx.send(asker.address, Reached(ctx.me, ctx.incarnation, asker.id, question.life, *fields))


class Patience:
    """How long this node's own questions may take that others pass on, and to whom it gives none.

    The time follows those that were measured, as that of a request does (`Context`): it doubles with each that is lost.
    """

    __slots__ = ("_mean", "_spread", "_timeout", "_until", "doubted", "tokens")

    def __init__(self, config: Config) -> None:
        self._mean = -1.0
        self._spread = 0.0
        self._timeout = _STRETCH * config.initial_timeout
        self._until = 0.0
        """Until when nobody is given a question, since one was surely answered wrongly."""
        self.tokens: dict[int, int] = {}
        """Which lookup each number belongs to by which an answer is known to come."""
        self.doubted: dict[int, float] = {}
        """Peers that took a question which was lost or answered wrongly, and until when they are given no other."""

    def deadline(self, started: float, now: float, config: Config) -> float:
        """Return until when the answer is waited for to a question that was taken now."""
        return max(started + min(self._timeout, config.max_timeout), now + config.min_timeout)

    def took(self, seconds: float) -> None:
        """Note how long an answer has taken."""
        if self._mean < 0:
            self._mean, self._spread = seconds, seconds / 2
        else:
            self._spread += (abs(self._mean - seconds) - self._spread) / 4
            self._mean += (seconds - self._mean) / 8
        self._timeout = self._mean + 4 * self._spread

    def lost(self, peer: Peer, now: float) -> None:
        """Note that nothing came of a question that ``peer`` had taken, or something that was wrong."""
        self._timeout *= 2
        self._doubt(peer, now + SETTLED)

    def misled(self, peer: Peer, now: float, *, surely: bool) -> None:
        """Note that a wrong owner was named in answer to a question that ``peer`` had taken; ``surely``: no honest mistake."""
        self._doubt(peer, now + SETTLED)
        if surely:
            self._until = now + MEMORY

    def _doubt(self, peer: Peer, until: float) -> None:
        self.doubted.pop(peer.id, None)
        self.doubted[peer.id] = until
        while len(self.doubted) > _MAX_DOUBTED:
            del self.doubted[next(iter(self.doubted))]

    def relies_on(self, peer: Peer, now: float) -> bool:
        """Tell whether ``peer`` is given a question to pass on."""
        return max(self._until, self.doubted.get(peer.id, 0.0)) <= now
