"""Ring maintenance: stabilise, rectify and failure, by the corrected rules (Zave, TSE 2017; chord.md section 2).

At most one *step*, an exchange whose answer will change the ring state, is under way at a time.  Meanwhile
questions about that state are answered *busy* and notifications wait in one slot.
"""

from __future__ import annotations

from chord_proto.identifiers import between
from chord_proto.messages import Answer, Busy, GetNeighbours, ListChanged, Neighbours, Notify, Ping, Pong
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.ring_state import (
    AskCandidate,
    AskPredecessor,
    AskSuccessor,
    DialBack,
    PingPredecessor,
    Probe,
    RingState,
    Step,
    has_failed,
)
from chord_proto.routing import cut_list, is_full


class Ring(RingState):
    """The ring state of one node and the rules that change it."""

    __slots__ = ()

    # Becoming a member

    def become_member(self, predecessor: Peer | None, successors: tuple[Peer, ...], *, came_round: bool) -> None:
        """Enter the ring: alone, or with the list taken over from the predecessor in one answer."""
        self.phase = Phase.ACTIVE
        self.entered = True
        self.step = None
        self.settled_at = self.ctx.now + self.ctx.config.grace_period
        self.set_successors(successors, came_round=came_round)
        if predecessor is not None:
            self.set_predecessor(predecessor)
        self.changes.clear()
        self.arm_periodic()
        self.stabilize_soon()

    def arm_periodic(self) -> None:
        """Arm the timers that a member keeps armed (property S15)."""
        ctx = self.ctx
        for kind in ("stabilize", "predecessor"):
            ctx.timers.arm((kind, 0), ctx.now + ctx.rng.jitter(ctx.interval))
        self.stay_awake()

    def stay_awake(self) -> None:
        """Let no time pass without input in which others could find this node dead: a machine that slept looks like that."""
        ctx, config = self.ctx, self.ctx.config
        limit = max(config.late_tolerance, config.shortest_suspicion)
        if (1.0 + config.jitter) * config.longest_interval >= limit:  # Else stabilise sees to it.
            ctx.timers.arm(("awake", 0), ctx.now + limit / 2)

    def stop(self) -> None:
        """Cease: no step, no pointers, nothing waits."""
        self.phase = Phase.STOPPED
        self.step = self.slot = self.dialling = None
        routing = self.ctx.routing
        routing.predecessor, routing.predecessors, routing.successors = None, (), ()

    # Stabilise

    def on_stabilize_timer(self) -> None:
        """Run stabilise now, and again a period later."""
        ctx = self.ctx
        ctx.timers.arm(("stabilize", 0), ctx.now + ctx.rng.jitter(ctx.interval))
        self.stabilize()

    def stabilize(self) -> None:
        """Stabilise: ask the first successor for its predecessor and its list.

        A node with an empty list takes its predecessor for the one to ask, the second member of a ring, or
        whoever else it knows when that one has failed, too.
        """
        ctx, routing = self.ctx, self.ctx.routing
        if self.step is not None or not self.is_member:
            return
        self.stabilised = ctx.now
        ctx.forget_old_suspicions()
        while routing.successors and routing.is_suspect(routing.successors[0]):
            self._drop_successor(routing.successors[0])
        if routing.successors:
            self._ask(AskSuccessor(routing.successors[0]))
        elif routing.predecessor is not None:
            candidate = routing.predecessor
            if routing.is_suspect(candidate):
                candidate = routing.nearest_known() or candidate
            self._ask(AskCandidate(candidate))

    def on_successor(self, step: AskSuccessor, peer: Peer | None, answer: Answer | None) -> None:
        """Take the successor's answer, silence or failure."""
        if self.step != step:
            return
        routing, successor = self.ctx.routing, step.peer
        if not routing.successors or routing.successors[0].id != successor.id:
            self._end_step()  # It left meanwhile.
        elif isinstance(answer, Neighbours):
            self._adopt(successor, answer)
            self._told(successor, answer)
            between_us = answer.predecessor
            self.in_order = between_us == self.ctx.me
            if between_us is None or between(between_us.id, self.ctx.me.id, successor.id):
                self.skipped = True
            if (
                between_us is not None
                and between(self.ctx.me.id, between_us.id, successor.id)
                and not routing.is_suspect(between_us)
            ):
                self._ask(AskCandidate(between_us))
                return
            self.ctx.notify(successor)
            self._end_step()
        elif isinstance(answer, Busy):
            self._retry_later()
        elif has_failed(answer):
            self._fail(successor, answer)
            self._drop_successor(successor)
            self._end_step()
            self.stabilize_soon()
        else:
            self._retry_later()

    def on_candidate(self, step: AskCandidate, peer: Peer | None, answer: Answer | None) -> None:
        """Take the answer of a node that lies between this one and its successor: adopt it only if it answers."""
        if self.step != step:
            return
        routing, candidate, me = self.ctx.routing, step.peer, self.ctx.me
        head = routing.successors[0] if routing.successors else None
        if isinstance(answer, Neighbours):
            if head is None or between(me.id, candidate.id, head.id):
                self._adopt(candidate, answer)
                self.ctx.notify(candidate)
                self.stabilize_soon()
            self._end_step()
        elif isinstance(answer, Busy):
            self._retry_later()
        elif has_failed(answer):
            self._fail(candidate, answer)
            if head is not None:
                self.ctx.notify(head)
            else:
                self._nobody_answered()
            self._end_step()
        else:
            self._retry_later()

    def _nobody_answered(self) -> None:
        """Ask the next one that is known, or who has just notified; with none left the node is a ring of one."""
        if self.ctx.routing.nearest_known() is not None or self.slot is not None or self.dialling is not None:
            self.stabilize_soon()
        elif self.ctx.routing.predecessor is not None:
            self.set_predecessor(None)

    def _adopt(self, head: Peer, answer: Neighbours) -> None:
        """Take over a list whole, in the same step as its head, which has just answered."""
        self.meet(answer.founded)
        given = (head, *answer.successors)
        kept, met_self = cut_list(self.ctx.me, given, self.ctx.config)
        self.set_successors(kept, came_round=met_self or (answer.came_round and len(kept) == len(given)))
        self.widen(answer.width)

    def propose_successor(self, candidate: Peer) -> bool:
        """Let stabilise ask ``candidate``, found on the other side of a healed partition; False while busy."""
        head = self.ctx.routing.successors[:1]
        if self.step is not None or not self.is_member or candidate.id == self.ctx.me.id:
            return False
        if not head or between(self.ctx.me.id, candidate.id, head[0].id):
            self._ask(AskCandidate(candidate))
        return True

    def _drop_successor(self, peer: Peer) -> None:
        """No answer: drop it from the list and notify the next one.

        A full list that came round names r of the ring's nodes, and there may be more by now.  Without one of them
        it is short, and must not be taken for short because it came round: a joiner would go on from its end to
        this node, past the others.
        """
        routing = self.ctx.routing
        rest = tuple(other for other in routing.successors if other.id != peer.id)
        whole = routing.came_round and not (rest and is_full(self.ctx.me, routing.successors, self.ctx.config))
        self.set_successors(rest, came_round=whole)
        if rest:
            self.ctx.notify(rest[0])

    # Rectify

    def on_notify(self, message: Notify, sender: Address) -> None:
        """A notification arrives: dial its sender back, once a life, before rectify sees it."""
        if self.is_member and message.source is not None and message.source.id != self.ctx.me.id:
            self.consider(message.source, message.incarnation)

    def consider(self, candidate: Peer, incarnation: int) -> None:
        """Consider ``candidate`` (its life, 0 if not known) as predecessor."""
        if self.step is not None or self.dialling is not None:
            self._wait_in_slot(candidate)
        elif incarnation and self.ctx.has_answered(candidate, incarnation):
            self.rectify(candidate)
        else:
            self.dialling = candidate
            self._dial(DialBack(candidate))

    def on_dial_back(self, purpose: DialBack, peer: Peer | None, answer: Answer | None) -> None:
        """The notifier answered at its address, or did not."""
        if self.dialling != purpose.peer:
            return
        self.dialling = None
        if isinstance(answer, Pong) and answer.member and self.is_member:
            if self.step is not None:
                self._wait_in_slot(purpose.peer)
            else:
                self.rectify(purpose.peer)
        if self.step is None:
            self._end_step()

    def rectify(self, candidate: Peer) -> None:
        """Adopt ``candidate`` as predecessor if it lies between, or if the present one does not answer."""
        routing, me = self.ctx.routing, self.ctx.me
        present = routing.predecessor
        if candidate.id == me.id or routing.is_suspect(candidate):
            return
        if present is None or between(present.id, candidate.id, me.id):
            self.set_predecessor(candidate)
        elif present.id != candidate.id:
            if routing.is_suspect(present):
                self._replace_predecessor(candidate)
            else:
                self._ask(AskPredecessor(present, candidate))

    def on_predecessor(self, step: AskPredecessor, peer: Peer | None, answer: Answer | None) -> None:
        """The predecessor lives, or gives way to the candidate."""
        if self.step != step:
            return
        present = self.ctx.routing.predecessor
        if has_failed(answer):
            self._fail(step.peer, answer)
            if present is not None and present.id == step.peer.id:
                self._replace_predecessor(step.candidate)
        self._end_step()

    def _replace_predecessor(self, candidate: Peer) -> None:
        """Adopt ``candidate`` in place of one that is gone; while a nearer one waits, that one is asked first.

        Otherwise this node would for a moment own what the nearer one does.
        """
        nearer = self.slot
        if nearer is not None and between(candidate.id, nearer.id, self.ctx.me.id):
            self.slot = candidate
            self.step = None
            self._consider_waiting(nearer)
        else:
            self.set_predecessor(candidate)

    def on_list_changed(self, message: ListChanged) -> None:
        """The successor has news: it should not take a period a node to travel round the ring."""
        routing = self.ctx.routing
        if message.source in routing.successors[:1]:
            self.stabilize_soon()

    # The predecessor's health, and those before it

    def on_predecessor_timer(self) -> None:
        """Ask the predecessor whether it lives, and who is before it."""
        ctx = self.ctx
        ctx.timers.arm(("predecessor", 0), ctx.now + ctx.rng.jitter(ctx.interval))
        predecessor = ctx.routing.predecessor
        if predecessor is not None and not ctx.routing.is_suspect(predecessor):
            ctx.ask(predecessor, PingPredecessor(predecessor), Ping)

    def on_predecessor_pong(self, purpose: PingPredecessor, peer: Peer | None, answer: Answer | None) -> None:
        """Predecessor list := [p] + p's predecessors."""
        if self.ctx.routing.predecessor != purpose.peer:
            return
        if has_failed(answer):
            self._fail(purpose.peer, answer)
        elif isinstance(answer, Pong):
            self.set_predecessors(purpose.peer, answer.predecessors)
            self._told(purpose.peer, answer)

    def on_probe(self, purpose: Probe, peer: Peer | None, answer: Answer | None) -> None:
        """A peer whose connection broke answered, or has failed."""
        if has_failed(answer):
            self._fail(purpose.peer, answer)

    def probe_pointers(self, address: Address) -> None:
        """Ask whether the neighbours at ``address`` live, since a connection to them broke."""
        routing = self.ctx.routing
        seen: set[int] = set()
        for peer in (*routing.successors, *routing.predecessors):
            if peer.address == address and peer.id not in seen and not routing.is_suspect(peer):
                seen.add(peer.id)
                if not any(call.peer == peer for call in self.ctx.calls.values()):
                    self.ctx.ask(peer, Probe(peer), Ping)

    def probe_after(self, peer: Peer) -> None:
        """Somebody does not answer at once: ask those after it, which hold the same records, whether they live.

        If they have died together, that is found out together.
        """
        ctx = self.ctx
        since = ctx.now - ctx.config.max_timeout
        for other in ctx.routing.following(peer, ctx.config.replicas - 1):
            known = ctx.routing.known.get(other.id)
            silent = known is None or known.heard < since
            if silent and not any(call.peer == other for call in ctx.calls.values()):
                ctx.ask(other, Probe(other), Ping)

    # Answers to others

    def on_ping(self, message: Ping, sender: Address) -> None:
        """Pings are always answered."""
        ctx = self.ctx
        ctx.answer(ctx.asker(message, sender), Pong, self.is_member, ctx.routing.predecessors, self.nearby)

    def on_get_neighbours(self, message: GetNeighbours, sender: Address) -> None:
        """Tell one's pointers, or *busy* while they may change."""
        routing, asker = self.ctx.routing, self.ctx.asker(message, sender)
        if message.source is not None:
            self.note_asker(message.source)
        self.meet(message.founded)
        if self.step is not None:
            self.ctx.answer(asker, Busy)
            return
        pointers = (routing.predecessor, routing.successors, routing.came_round)
        self.ctx.answer(asker, Neighbours, *pointers, self.width, self.founded, self.nearby)

    # Departures

    def on_departed(self, peer: Peer) -> None:
        """A peer was suspected or has left: if it is the first successor, do not wait for the next period."""
        routing = self.ctx.routing
        if self.slot == peer:
            self.slot = None
        if self.is_member and self.step is None and routing.successors and routing.successors[0].id == peer.id:
            self._drop_successor(peer)
            self.stabilize_soon()

    def on_leaver(self, leaver: Peer, predecessor: Peer | None, successors: tuple[Peer, ...]) -> None:
        """A neighbour says that it leaves; its neighbours are candidates to ask."""
        ctx, routing = self.ctx, self.ctx.routing
        was_predecessor = routing.predecessor is not None and routing.predecessor.id == leaver.id
        ctx.left(leaver)
        self.narrow(leaver)
        if any(peer.id == leaver.id for peer in routing.successors):
            self._drop_successor(leaver)
        if not routing.successors:
            routing.learn((*successors, *(() if predecessor is None else (predecessor,))), ctx.now)
        if was_predecessor:
            if predecessor is not None and predecessor.id not in (ctx.me.id, leaver.id):
                self.consider(predecessor, 0)
            elif not routing.successors and self.step is None:
                self._nobody_answered()
        self.stabilize_soon()

    # Small parts

    def _told(self, peer: Peer, answer: Neighbours | Pong) -> None:
        if self.ctx.tuning is not None:
            self.ctx.tuning.told(peer.id, answer.size)

    def _ask(self, step: Step) -> None:
        self.step = step
        sent = (Ping,) if isinstance(step, AskPredecessor) else (GetNeighbours, self.founded)
        if not self.ctx.ask(step.peer, step, *sent):
            self._retry_later()

    def _dial(self, purpose: DialBack) -> None:
        if not self.ctx.ask(purpose.peer, purpose, Ping):
            self.dialling = None

    def _fail(self, peer: Peer, answer: Answer | None) -> None:
        if answer is not None:
            self.ctx.suspect(peer)

    def _retry_later(self) -> None:
        """Busy: the peer lives; end the step unchanged and try again at a jittered moment."""
        ctx = self.ctx
        self._end_step()
        ctx.timers.arm_earlier(("stabilize", 0), ctx.now + ctx.rng.jitter(ctx.config.stabilize_interval / 4))

    def _end_step(self) -> None:
        self.step = None
        waiting, self.slot = self.slot, None
        if waiting is not None and self.is_member:
            self._consider_waiting(waiting)

    def _consider_waiting(self, candidate: Peer) -> None:
        known = self.ctx.routing.known.get(candidate.id)
        self.consider(candidate, 0 if known is None else known.answered)

    def _wait_in_slot(self, candidate: Peer) -> None:
        if self.slot is None or between(self.slot.id, candidate.id, self.ctx.me.id):
            self.slot = candidate
