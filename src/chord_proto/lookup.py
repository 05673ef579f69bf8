"""Iterative lookup: who owns a place (Stoica et al., ToN 2003, section IV; chord.md section 5)."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from chord_proto.context import Context, Purpose, Slow
from chord_proto.identifiers import between, distance, within
from chord_proto.messages import Answer, Closer, FindSuccessor, Found
from chord_proto.operations import Hop
from chord_proto.peer import Address, Peer
from chord_proto.records import record


@record
class Asked:
    """Purpose of a question that belongs to lookup ``number``."""

    number: int


@record
class Outcome:
    """How a lookup ended: ``successors[0]`` owns the place, which lies on (predecessor, owner]."""

    predecessor: Peer
    successors: tuple[Peer, ...]
    came_round: bool
    path: tuple[Hop, ...]


@attrs.define(eq=False)
class Lookup:
    """One lookup under way: whom to ask, whom it asked, who came closest."""

    number: int
    place: int
    purpose: Purpose
    started: float
    foreign: bool
    """Only the answers count, not what this node knows (for finding the other side of a healed partition)."""
    candidates: list[Peer]
    asked: dict[int, None] = attrs.field(factory=dict)
    out: int = 0
    allowed: int = 1
    """Questions that may be out at once: one more for each that is slow, up to ``lookup_parallelism``."""
    best: Peer | None = None
    path: list[Hop] = attrs.field(factory=list)


class Lookups:
    """All lookups of a node."""

    __slots__ = ("_next", "active", "ctx")

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.active: dict[int, Lookup] = {}
        self._next = 0

    def start(
        self,
        place: int,
        purpose: Purpose,
        *,
        contacts: Iterable[Address] = (),
        through: Iterable[Peer] = (),
        member: bool = True,
    ) -> int:
        """Begin a lookup; its `Outcome`, or None when it finds nobody to ask, reaches the handler of ``purpose``.

        A member begins with what it knows.  With ``contacts`` (addresses) or ``through`` (peers) only these
        and their answers count.
        """
        ctx = self.ctx
        ctx.counters.lookups += 1
        self._next += 1
        lookup = Lookup(self._next, place, purpose, ctx.now, not member or bool(contacts) or bool(through), [])
        self.active[lookup.number] = lookup
        if not lookup.foreign:
            known = self.answer(place)
            if known is not None:
                self._end(lookup, known)
                return lookup.number
            lookup.candidates = ctx.routing.closest_preceding(place, ctx.config.lookup_candidates)
        else:
            for peer in through:  # Asked although they may be under suspicion.
                lookup.asked[peer.id] = None
                if ctx.ask(peer, Asked(lookup.number), FindSuccessor, place):
                    lookup.out += 1
            for address in contacts:
                if ctx.ask_address(address, Asked(lookup.number), FindSuccessor, place):
                    lookup.out += 1
        self._go_on(lookup)
        return lookup.number

    def stop(self, number: int) -> None:
        """Forget a lookup."""
        lookup = self.active.pop(number, None)
        if lookup is not None and lookup.out:
            self.ctx.drop_calls_for(Asked(number))

    def answer(self, place: int) -> Outcome | None:
        """Return what this node itself can say for certain about the owner of ``place``; None if others are closer."""
        routing, me = self.ctx.routing, self.ctx.me
        if not routing.successors and routing.predecessor is None:
            return Outcome(me, (me,), True, ())
        if routing.predecessor is not None and routing.owns(place):
            return Outcome(routing.predecessor, routing.extended(), routing.came_round, ())
        if routing.successors and within(me.id, place, routing.successors[0].id):
            return Outcome(me, routing.successors, routing.came_round, ())
        return None

    def on_find_successor(self, message: FindSuccessor, sender: Address) -> None:
        """Answer a question: the owner if it is certain, else several candidates."""
        ctx = self.ctx
        known = self.answer(message.place)
        asker = ctx.asker(message, sender)
        if known is not None:
            ctx.answer(asker, Found, known.predecessor, known.successors, known.came_round)
        else:
            # The successor is asked every period and so known to live; the others may have died unnoticed.
            peers = ctx.routing.closest_preceding(message.place, ctx.config.lookup_candidates - 1)
            successor = ctx.routing.successors[:1]
            ctx.answer(asker, Closer, (*(peer for peer in peers if peer not in successor), *successor))

    def on_outcome(self, asked: Asked, peer: Peer | None, answer: Answer | Slow | None) -> None:
        """Take the answer to one question, its silence (`Slow`) or its failure (None)."""
        lookup = self.active.get(asked.number)
        if lookup is None:
            return
        if isinstance(answer, Slow):
            lookup.allowed = min(lookup.allowed + 1, self.ctx.config.lookup_parallelism)
            self._go_on(lookup)
            return
        lookup.out -= 1
        if answer is None:
            self._go_on(lookup)
            return
        source = answer.source
        if source is None:
            return
        lookup.asked[source.id] = None
        if isinstance(answer, Found):
            self._found(lookup, source, answer)
        elif isinstance(answer, Closer):
            self._closer(lookup, source, answer)
        else:
            self._go_on(lookup)

    def _found(self, lookup: Lookup, source: Peer, answer: Found) -> None:
        ctx, place = self.ctx, lookup.place
        if not answer.successors or not within(answer.predecessor.id, place, answer.successors[0].id):
            ctx.misbehaved(source.address, "an owner that does not own the place")
            self._go_on(lookup)
            return
        lookup.path.append(Hop(source, ctx.now - lookup.started))
        if not lookup.foreign:
            ctx.routing.learn_arcs(answer.predecessor.id, answer.successors, ctx.now)
        self._end(lookup, Outcome(answer.predecessor, answer.successors, answer.came_round, ()))

    def _closer(self, lookup: Lookup, source: Peer, answer: Closer) -> None:
        ctx, place, bits = self.ctx, lookup.place, self.ctx.config.bits
        if len(lookup.path) >= ctx.config.max_hops:
            self._fail(lookup)
            return
        lookup.path.append(Hop(source, ctx.now - lookup.started))
        ctx.counters.hops += 1
        best = lookup.best
        if best is None or between(best.id, source.id, place):
            best = lookup.best = source
        known = {peer.id for peer in lookup.candidates}
        for peer in answer.peers[: ctx.config.max_peers_in_message]:
            if (
                peer.id not in lookup.asked
                and peer.id not in known
                and peer.id != ctx.me.id
                and peer.id not in ctx.routing.suspects
                and between(best.id, peer.id, place)
            ):
                lookup.candidates.append(peer)
                known.add(peer.id)
        lookup.candidates = [peer for peer in lookup.candidates if between(best.id, peer.id, place)]
        lookup.candidates.sort(key=lambda peer: distance(peer.id, place, bits))
        del lookup.candidates[4 * ctx.config.lookup_candidates :]
        self._go_on(lookup)

    def _go_on(self, lookup: Lookup) -> None:
        ctx = self.ctx
        while lookup.out < lookup.allowed and lookup.candidates:
            peer = lookup.candidates.pop(0)
            if peer.id in lookup.asked or peer.id in ctx.routing.suspects:
                continue
            lookup.asked[peer.id] = None
            if ctx.ask(peer, Asked(lookup.number), FindSuccessor, lookup.place):
                lookup.out += 1
        if not lookup.out:
            self._fail(lookup)

    def _fail(self, lookup: Lookup) -> None:
        self.stop(lookup.number)
        self.ctx.outcomes.append((lookup.purpose, None, None))

    def _end(self, lookup: Lookup, outcome: Outcome) -> None:
        self.stop(lookup.number)
        found = Outcome(outcome.predecessor, outcome.successors, outcome.came_round, tuple(lookup.path))
        self.ctx.outcomes.append((lookup.purpose, None, found))
