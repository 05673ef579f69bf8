"""Lookup: who owns a place (Stoica et al., ToN 2003, section IV; chord.md section 5)."""

from __future__ import annotations

from collections.abc import Iterable

from chord_proto.calls import Purpose, Slow
from chord_proto.context import Context
from chord_proto.identifiers import between, within
from chord_proto.messages import Answer, Closer, Done, FindSuccessor, Forward, Found, Reached
from chord_proto.operations import Hop
from chord_proto.peer import Address, Peer
from chord_proto.records import record
from chord_proto.recursive import Forwards, Patience
from chord_proto.search import Claim, Hint, Outcome, Search
from chord_proto.trust import SETTLED

__all__ = ["Asked", "Lookups", "Outcome"]

_SPARSE = 8.0
"""A gap before an owner that is so many times the mean one is doubted: among honest nodes, one of 3,000 is."""
_SPARSE_RELAYED = 4.0
"""The same of an answer that nobody can be blamed for, which is then asked for once more: of honest ones, one of 55."""
_AFTER = 2
"""How many of those that it knows behind the place an answer names."""
_RIVALS = 2
"""How many nodes that this one knows to be there, before a claimed owner, are asked whether they still are."""


@record
class Asked:
    """Purpose of a question that belongs to lookup ``number``."""

    number: int


class Lookups:
    """All lookups of a node."""

    __slots__ = ("_forwards", "_next", "_own", "active", "ctx")

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.active: dict[int, Search] = {}
        self._next = 0
        # Made when they are needed: most nodes of a large simulation never do.
        self._forwards: Forwards | None = None
        self._own: Patience | None = None

    @property
    def forwards(self) -> Forwards:
        """The questions of others that are passed on."""
        if self._forwards is None:
            self._forwards = Forwards(self.ctx)
        return self._forwards

    @property
    def patience(self) -> Patience:
        """The questions of this node that others pass on."""
        if self._own is None:
            self._own = Patience(self.ctx.config)
        return self._own

    @property
    def passing(self) -> int:
        """How many questions of others are being passed on."""
        return 0 if self._forwards is None else len(self._forwards.passing)

    def start(
        self,
        place: int,
        purpose: Purpose,
        *,
        contacts: Iterable[Address] = (),
        through: Iterable[Peer] = (),
        member: bool = True,
        confirm: bool = False,
        forward: bool = False,
    ) -> int:
        """Begin a lookup; its `Outcome`, or None when it finds nobody to ask, reaches the handler of ``purpose``.

        A member begins with what it knows.  With ``contacts`` (addresses) or ``through`` (peers) only these
        and their answers count, unchecked.  ``confirm``: an owner that has never answered this node is asked itself; else
        the caller is going to ask it.  ``forward``: others may pass the question on, if the node is configured so.
        """
        ctx, config = self.ctx, self.ctx.config
        ctx.counters.lookups += 1
        self._next += 1
        foreign = not member or bool(contacts) or bool(through)
        room = 4 * config.lookup_candidates
        search = Search(self._next, place, purpose, ctx.now, ctx.me, config.bits, room, foreign, confirm)
        self.active[search.number] = search
        if not foreign:
            known = self.answer(place)
            if known is not None:
                search.believe(Claim(ctx.me, known))
                self._end(search)
                return search.number
            peers = ctx.routing.candidates(place, config.lookup_candidates, ctx.trust.of_late(ctx.now))
            search.fill(peers, len(peers))
            if config.lookup_witnesses and ctx.trust.is_lost(ctx.now):
                self._doubt(search)
            elif forward and config.routing == "recursive":
                self._pass_on(search)
        else:
            for peer in through:  # Asked although they may be under suspicion.
                self._ask(search, Hint(peer, None, peer.id), place)
            for address in contacts:
                if ctx.ask_address(address, Asked(search.number), FindSuccessor, place):
                    search.unnamed += 1
        self._go_on(search)
        return search.number

    def stop(self, number: int) -> None:
        """Forget a lookup."""
        search = self.active.pop(number, None)
        if search is None:
            return
        if search.token:
            del self.patience.tokens[search.token]
            self.ctx.timers.disarm(("reached", number))
        if search.fresh or search.slow or search.unnamed:
            self.ctx.drop_calls_for(Asked(number))
        if search.strangers:
            # Those that were named in doubt, often by each other, shall not fill the table.
            routing = self.ctx.routing
            kept = {peer.id for peer in routing.pointers()}
            if search.claim is not None:
                kept.add(search.claim.outcome.owner.id)
            for peer_id in search.strangers:
                if peer_id not in kept:
                    routing.forget(peer_id)

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

    def on_find_successor(self, message: FindSuccessor | Forward, sender: Address) -> None:
        """Answer a question: the owner if it is certain, else several candidates."""
        ctx = self.ctx
        known = self.answer(message.place)
        asker = ctx.asker(message, sender)
        if known is not None:
            ctx.answer(asker, Found, known.predecessor, known.successors, known.came_round)
        else:
            # The successor is asked every period and so known to live; the others may have died unnoticed.
            routing = ctx.routing
            peers = routing.closest_preceding(message.place, max(1, ctx.config.lookup_candidates - 1))
            successor = routing.successors[0] if routing.successors else None
            if successor is not None:
                peers = [peer for peer in peers if peer.id != successor.id] + [successor]
            # Those after the place lead nowhere, but tell who doubts an answer, or finds those before the place dead.
            peers += [peer for peer in self._after(message.place) if successor is None or peer.id != successor.id]
            ctx.answer(asker, Closer, tuple(peers))

    def _after(self, place: int) -> list[Peer]:
        """Return who may own ``place``: of those that this node has heard; where all are believed, of its list, too."""
        routing, config = self.ctx.routing, self.ctx.config
        heard = routing.answered_after(place, _AFTER)
        if config.lookup_witnesses:
            return heard
        listed = [peer for peer in routing.successors if not between(routing.me.id, peer.id, place)]
        return [*listed, *(peer for peer in heard if peer not in listed)][: max(_AFTER, config.lookup_candidates)]

    def on_outcome(self, asked: Asked, peer: Peer | None, answer: Answer | Slow | None) -> None:
        """Take the answer to one question, its silence (`Slow`) or its failure (None)."""
        search = self.active.get(asked.number)
        if search is None:
            return
        if isinstance(answer, Slow):
            if peer is not None:
                self._slow(search, peer)
        elif isinstance(answer, Done) and search.offered and peer is not None and peer == search.first:
            self._taken(search, peer)
        else:
            if peer is None or peer.id not in search.asked:
                search.unnamed -= 1
            else:
                search.ended(peer.id)
                if answer is None:
                    self._silent(search, peer)
            if peer is not None and isinstance(answer, (Found, Closer)):
                self._answered(search, peer, answer)
        self._go_on(search)

    def _slow(self, search: Search, peer: Peer) -> None:
        """Do not wait for ``peer`` alone; if it was said to be the owner, look who else may be."""
        tellers = search.tellers_of(peer)
        search.is_slow(peer, self._patience(search, peer, tellers))
        if tellers:
            self._doubt(search)

    def _silent(self, search: Search, peer: Peer) -> None:
        """Whoever was said to be the owner by one that never misled is asked once more: all messages may have been lost."""
        again = peer.id not in search.gone and search.asked[peer.id].about == peer.id
        search.gone[peer.id] = None
        if again and self._is_named_reliably(search, peer):
            question = search.asked[peer.id]
            if self.ctx.ask(peer, Asked(search.number), FindSuccessor, question.about):
                search.fresh[peer.id] = 0

    def _is_named_reliably(self, search: Search, peer: Peer) -> bool:
        late = self.ctx.trust.of_late(self.ctx.now)
        return any(teller.address not in late for teller in search.tellers_of(peer))

    def _patience(self, search: Search, peer: Peer, tellers: list[Peer]) -> int:
        """Return how often ``peer`` may be slow before it is passed over: a message can get lost."""
        ctx = self.ctx
        if tellers and self._is_named_reliably(search, peer):
            return ctx.config.request_tries
        question = search.asked.get(peer.id)
        asked_itself = question is not None and question.about == peer.id
        return int(asked_itself and search.in_doubt and ctx.routing.has_answered(peer))

    def _answered(self, search: Search, source: Peer, answer: Found | Closer) -> None:
        ctx = self.ctx
        search.gone.pop(source.id, None)
        question = search.asked.get(source.id)
        about = search.place if question is None else question.about
        if isinstance(answer, Closer):
            ctx.counters.hops += 1
            named = answer.peers[: ctx.config.max_peers_in_message]
        elif answer.successors and within(answer.predecessor.id, about, answer.successors[0].id):
            named = (answer.predecessor, answer.successors[0])
        else:
            named = None
            ctx.misbehaved(source.address, "an owner that does not own the place")
            ctx.trust.misled(source.address, ctx.now, surely=True)
            self._doubt(search)
        if named is not None:
            if about == search.place:
                search.came_closer(source, ctx.now)
            if isinstance(answer, Found) and within(answer.predecessor.id, search.place, answer.successors[0].id):
                found = Outcome(answer.predecessor, answer.successors, answer.came_round, ())
                self._claimed(search, Claim(source, found))
            if about == search.place:
                search.witnesses.append(source)
        if search.in_doubt or about == source.id:
            search.is_there(source, may_own=about == source.id)
        if ctx.trust.has_misled(source.address, ctx.now):
            search.silent[source.id] = None
        search.name(named or (), source.id, ctx.routing.suspects)

    def _claimed(self, search: Search, claim: Claim) -> None:
        """Somebody says who owns the place."""
        ctx, owner, source = self.ctx, claim.outcome.owner, claim.teller
        search.claims.append(claim)
        if search.foreign or not ctx.config.lookup_witnesses:
            search.believe(claim)
            return
        if claim.relayed and ctx.routing.is_sparse(search.place, owner, _SPARSE_RELAYED):
            return
        if owner.id in (source.id, ctx.me.id) or not search.confirm or ctx.routing.has_answered(owner):
            if search.believe(claim):
                search.name(ctx.routing.rivals(search.place, owner, _RIVALS), None, ctx.routing.suspects)
        elif owner.id not in search.asked and not ctx.routing.is_suspect(owner):
            search.owners.insert(0, Hint(owner, source.id, search.root_of(source)))
        if ctx.trust.has_misled(source.address, ctx.now) or ctx.routing.is_sparse(search.place, owner, _SPARSE):
            self._doubt(search)

    def _doubt(self, search: Search, *, lost: bool = False) -> None:
        """Believe no single answer any more; begin anew, also from those that this node knows to be there.

        Who believes everybody does so only when it is ``lost``: nobody is left before the place, and those after it are asked.
        """
        ctx, believing = self.ctx, not self.ctx.config.lookup_witnesses
        if search.in_doubt or search.foreign or (believing and not lost):
            return
        told = search.doubt()
        ctx.counters.doubted += 1
        if believing:
            for teller, peers in told:
                search.name(peers, teller, ctx.routing.suspects, most=search.room)
            search.hints.clear()
            return
        search.name(ctx.routing.answered_after(search.place, _RIVALS), None, ctx.routing.suspects)
        self._more_witnesses(search)

    def _go_on(self, search: Search) -> None:
        config, believing = self.ctx.config, search.foreign or not self.ctx.config.lookup_witnesses
        most = config.lookup_parallelism
        while True:
            settled = search.claim is not None and (not search.in_doubt or self._is_confirmed(search))
            if settled and not search.owners:
                if not search.waits_for_owner():
                    self._conclude(search)
                return
            if len(search.fresh) >= (most if search.in_doubt else 1):
                return
            if len(search.fresh) + len(search.slow) >= (4 * most if search.in_doubt else most):
                if search.in_doubt or believing:
                    return
                self._doubt(search)
            if len(search.asked) > config.max_hops:
                break
            if search.owners:
                hint = search.owners.pop(0)
                self._ask(search, hint, hint.peer.id)
            elif search.hints:
                self._ask(search, search.hints.pop(self._first(search)), search.place)
            elif not search.in_doubt and not search.foreign and search.claim is None and not search.fresh:
                self._doubt(search, lost=True)
            elif not search.in_doubt or not self._more_witnesses(search):
                break
        if not search.fresh:
            self._conclude(search)

    def _first(self, search: Search) -> int:
        """Return which hint is followed first: where somebody misled, is slow or may be missing, the closest in any case."""
        if search.in_doubt or search.silent or search.foreign or len(search.hints) < 2:
            return 0
        ctx = self.ctx
        return ctx.routing.preferred([hint.peer for hint in search.hints], search.place, ctx.trust.of_late(ctx.now))

    def _conclude(self, search: Search) -> None:
        """Nobody is left to be asked: end, unless those who are slow may still say more than is known."""
        if search.in_doubt and self.ctx.config.lookup_witnesses:
            search.excuse_silence()
        if search.claim is not None:
            self._end(search)
        elif not search.slow and not search.unnamed:
            self._fail(search)

    def _is_confirmed(self, search: Search) -> bool:
        ctx = self.ctx
        return search.is_confirmed(ctx.config.lookup_witnesses, ctx.trust.of_late(ctx.now))

    def _more_witnesses(self, search: Search) -> bool:
        """Let more be asked around the place whom this node has heard itself, each the beginning of a way of its own."""
        ctx = self.ctx
        doubted = ctx.trust.of_late(ctx.now)
        roots = (peer for peer in ctx.routing.sample_around(search.place) if peer.address not in doubted)
        return search.fill(roots, ctx.config.lookup_witnesses)

    def _ask(self, search: Search, hint: Hint, about: int) -> None:
        peer = hint.peer
        if peer.id in search.asked or (peer.id in self.ctx.routing.suspects and not search.foreign):
            return
        if search.in_doubt and peer.id not in self.ctx.routing.known:
            search.strangers[peer.id] = None
        search.begin(hint, about, sent=self.ctx.ask(peer, Asked(search.number), FindSuccessor, about))

    # Questions that others pass on

    def on_forward(self, message: Forward, sender: Address) -> None:
        """Pass a question on, or tell its asker the answer; answer it oneself to who asks for itself, or if that is not possible."""
        ctx = self.ctx
        known = self.answer(message.place)
        direct = message.source == message.asker
        if known is not None and not direct:
            self.forwards.tell(message, known.predecessor, known.successors, known.came_round, hops=message.hops)
        elif known is not None or not self.forwards.take(message, sender):
            self.on_find_successor(message, sender)
            return
        ctx.answer(ctx.asker(message, sender), Done)

    def _pass_on(self, search: Search) -> None:
        """Give the question to the closest peer before the place, to pass it on; if it is not relied on, ask as ever."""
        ctx = self.ctx
        if not search.hints or not self.patience.relies_on(search.hints[0].peer, ctx.now):
            return
        hint = search.hints.pop(0)
        search.token, search.first, search.offered = ctx.rng.request_id(), hint.peer, True
        self.patience.tokens[search.token] = search.number
        fields = search.place, ctx.me, ctx.incarnation, search.token, 0
        search.begin(hint, search.place, sent=ctx.ask(hint.peer, Asked(search.number), Forward, *fields))

    def _taken(self, search: Search, peer: Peer) -> None:
        """The question is passed on: wait for the answer, but not for ever, and no more if it has come already."""
        ctx = self.ctx
        search.offered = False
        search.gone.pop(peer.id, None)
        if search.token:
            search.taken = True
            until = self.patience.deadline(search.started, ctx.now, ctx.config)
            ctx.timers.arm(("reached", search.number), until)
        else:
            self._ask_first_again(search, peer)

    def on_not_reached(self, number: int) -> None:
        """The answer has not come in time: ask on as if nobody had passed the question on."""
        search = self.active.get(number)
        if search is not None and search.first is not None:
            self.patience.lost(search.first, self.ctx.now)
            self._ask_first_again(search, search.first)
            self._go_on(search)

    def _ask_first_again(self, search: Search, first: Peer) -> None:
        """Who took the question may be asked like anybody else."""
        search.taken = False
        search.ended(first.id)
        del search.asked[first.id]
        search.hints.insert(0, Hint(first, None, first.id))

    def on_reached(self, message: Reached, sender: Address) -> None:
        """Take the answer to a question that was passed on, whoever gives it: it is as good as any other claim."""
        ctx = self.ctx
        search = self.active.get(self.patience.tokens.get(message.number, 0))
        if search is None or search.first is None or message.source is None:
            ctx.counters.ignored += 1
            return
        first = search.first
        del self.patience.tokens[search.token]
        ctx.timers.disarm(("reached", search.number))
        search.token = 0
        if search.taken:
            self._ask_first_again(search, first)
        if message.successors and within(message.predecessor.id, search.place, message.successors[0].id):
            self.patience.took(ctx.now - search.started)
            ctx.counters.hops += min(message.hops, ctx.config.max_hops)
            search.path.append(Hop(message.source, ctx.now - search.started))
            found = Outcome(message.predecessor, message.successors, message.came_round, ())
            self._claimed(search, Claim(first, found, relayed=True))
            search.name((message.predecessor, found.owner), None, ctx.routing.suspects)
        else:
            ctx.misbehaved(sender, "an owner that does not own the place")
            self.patience.lost(first, ctx.now)
            self._doubt(search)
        self._go_on(search)

    def _fail(self, search: Search) -> None:
        self.stop(search.number)
        self.ctx.outcomes.append((search.purpose, None, None))

    def _end(self, search: Search) -> None:
        ctx = self.ctx
        self.stop(search.number)
        found = search.outcome()
        known = ctx.routing.known.get(found.owner.id)
        settled = known is not None and known.answered and ctx.now - known.since >= SETTLED
        for claim in search.wrong_claims():
            invented = claim.outcome.owner.id in search.gone and not ctx.routing.has_answered(claim.outcome.owner)
            if claim.relayed:  # By whom is not known: anyone on the way.
                self.patience.misled(claim.teller, ctx.now, surely=invented or bool(settled))
            else:
                ctx.trust.misled(claim.teller.address, ctx.now, surely=invented or bool(settled))
        if (search.asked or search.claims) and not (search.foreign or search.in_doubt):
            ctx.routing.learn_arcs(found.predecessor.id, found.successors, ctx.now)
        ctx.outcomes.append((search.purpose, None, found))
