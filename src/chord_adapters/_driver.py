"""The driver of one or more virtual nodes at one address: messages and time in, effects out.  Does no I/O itself."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import attrs

from chord_adapters._engine import Engine
from chord_adapters._errors import Closed, JoinRefused, NotReady, Timeout
from chord_adapters._guests import Guest, Guests
from chord_adapters._keeper import Keeper
from chord_adapters._links import Loss, Standing
from chord_adapters._ownership import Ownership
from chord_adapters._recording import Recorder
from chord_adapters._runtime import Runtime, Waiter
from chord_adapters._turns import Ticket
from chord_proto.config import Config
from chord_proto.connection import Hello
from chord_proto.effects import Effect, Finished, Misbehaved, OpId, Send, Write, WriteId
from chord_proto.messages import Message, Perform, Reason, Record, Refused, Request
from chord_proto.node import Node
from chord_proto.operations import Describe, Failed, Failure, Left, Result
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase

MAX_LOCAL = 4096
"""Most messages that wait between virtual nodes of one address; more are dropped, as on any connection."""
WALL_INTERVAL = 60.0
"""Seconds between two looks at the civil clock, which somebody may set."""
HOPELESS_AFTER = 3.0
"""Seconds before joining is called hopeless when some contacts refuse and the others are merely down."""

_NO_LIFE: Mapping[str, Any] = {}

_log = logging.getLogger("chord_adapters")


@attrs.define(eq=False)
class DriverCounters:
    """What happened between the nodes and the connections, in numbers since the beginning."""

    misbehaved: int = 0
    """Messages that no correct peer sends."""
    busy: int = 0
    """Operations of clients refused because too many waited."""
    misaddressed: int = 0
    """Messages for a place that is not here."""
    local_dropped: int = 0
    """Messages between virtual nodes dropped because too many waited."""


@attrs.define(eq=False)
class _Awaited:
    """Somebody waits until all nodes are ready."""

    waiter: Waiter
    deadline: float | None


class Driver(Engine):
    """Hosts the nodes of one address.

    ``contacts`` are those that it was told to join by, ``remembered`` those that it knew in an earlier life, in which
    it was ``incarnation`` - 1 at the most; ``records`` are what each virtual node, by its index, held then, and ``life``
    what else a `Node` is told of that life.
    """

    keeper: Keeper | None = None
    """What makes records durable; without one they live in memory."""

    def __init__(
        self,
        runtime: Runtime,
        address: Address,
        *,
        config: Config,
        network: str,
        virtual_nodes: int,
        contacts: Sequence[Address],
        seed: int,
        recorder: Recorder | None = None,
        remembered: Sequence[Address] = (),
        incarnation: int | None = None,
        records: Callable[[int], Iterable[Record]] = lambda index: (),
        life: Mapping[str, Any] = _NO_LIFE,
    ) -> None:
        super().__init__(runtime, config, Hello(network, config.bits, address), patient=False)
        self.address = address
        self._told = tuple(contacts)
        self.links.seeds = frozenset(contacts)
        self.contacts = tuple(dict.fromkeys((*contacts, *remembered)))
        self.counters = DriverCounters()
        born = int(runtime.civil() * 1_000_000) if incarnation is None else incarnation
        self._recorder = recorder
        make = Node if recorder is None else recorder.node
        self.nodes = tuple(
            make(
                Peer.at(address, index, bits=config.bits),
                seed=seed + index,
                config=config,
                incarnation=born,
                records=records(index),
                **life,
            )
            for index in range(virtual_nodes)
        )
        self.ownership = Ownership(self, self.nodes, config)
        self._by_id = {node.me.id: node for node in self.nodes}
        if len(self._by_id) < virtual_nodes:
            raise ValueError(
                f"two of the {virtual_nodes} virtual nodes of {address} fall on one place: more bits needed"
            )
        self._op = 0
        self._joining: dict[int, OpId] = {}
        self._tickets: dict[OpId, Ticket] = {}
        self._leaving: dict[OpId, Waiter] = {}
        self._awaited: dict[_Awaited, None] = {}
        self._local: deque[Message] = deque()
        self.guests = Guests(config)
        self._is_leaving = False
        self._taken: str | None = None
        """Why the ring has no place for this node."""
        self._began = runtime.now()
        self._wall_due = self._began
        self._now = self._began

    # Membership

    def start(self) -> None:
        """Create a ring, or begin to join by the contacts."""
        self._safely(self._start)

    def _start(self) -> None:
        self._tell_wall(self._enter())
        for node in self.nodes:
            # By another virtual node here that is a member, too: it may be all that is left of the ring.
            others_here = len(self.nodes) > 1 and (self.contacts or node.me.index)
            via = (*self.contacts, self.address) if others_here else self.contacts
            if via:
                self._join(node, via)
            else:
                self._carry_out(node, node.create(now=self._now))
        for contact in self.contacts:
            self.links.dial(contact, self._now)

    def _join(self, node: Node, via: tuple[Address, ...]) -> None:
        op = self._joining[node.me.index] = self._next_op()
        self._carry_out(node, node.join(op, via, now=self._now))

    @property
    def is_ready(self) -> bool:
        """True when every node is a member and its range is here."""
        return all(node.ready for node in self.nodes)

    async def wait_ready(self, timeout: float | None) -> None:
        """Wait until every node is ready; raises `JoinRefused`, `NotReady` or `Closed`."""
        if self.is_over:
            raise self.closed()
        awaited = _Awaited(self.runtime.waiter(), None if timeout is None else self.runtime.now() + timeout)
        self._awaited[awaited] = None
        self._safely(self._nothing)
        try:
            outcome = await awaited.waiter.wait()
        finally:
            self._awaited.pop(awaited, None)
        if isinstance(outcome, Exception):
            raise outcome

    async def leave(self, *, drain: bool) -> None:
        """Leave within ``Config.leave_timeout``; with ``drain`` raise `Timeout` when a range was not handed over."""
        if self.is_over:
            raise self.closed()
        if self._is_leaving:
            await self.wait_over()
            return
        waiters: list[Waiter] = []
        self._safely(self._leave, waiters)
        handed_over = True
        for waiter in waiters:
            outcome = await waiter.wait()
            if isinstance(outcome, Exception):
                raise outcome
            handed_over = handed_over and isinstance(outcome, Left) and outcome.handed_over
        if drain and not handed_over:
            raise Timeout("not every record could be handed over in time")

    def _leave(self, waiters: list[Waiter]) -> None:
        self._is_leaving = True
        self._enter()
        for node in self.nodes:
            op = self._next_op()
            waiter = self._leaving[op] = self.runtime.waiter()
            waiters.append(waiter)
            self._carry_out(node, node.leave(op, now=self._now))

    async def depart(self) -> None:
        """Leave as a caller does who has nothing left to say: whatever could not be handed over, that is that."""
        if not self.is_over:
            with suppress(Closed):  # Aborted meanwhile, or dead, and then the cause is told by others.
                await self.leave(drain=False)

    def end(self, why: str, cause: BaseException | None = None, *, politely: bool = False) -> None:
        """Stop, as every engine does, and end the recording."""
        super().end(why, cause, politely=politely)
        if self._recorder is not None:
            self._recorder.close()

    def say_goodbye(self) -> None:
        """Tell the neighbours, as far as there are connections, and end without waiting for anything."""
        if not self.is_over:
            self._safely(self._say_goodbye)
            self.end("it has left", politely=True)

    def _say_goodbye(self) -> None:
        self._enter()
        for node in self.nodes:
            if node.phase in (Phase.JOINING, Phase.ACTIVE):
                self._carry_out(node, node.leave(self._next_op(), now=self._now))
            # The node is told that its patience is over: it says farewell instead of handing anything over.
            self._carry_out(node, node.tick(now=self._now + self.config.leave_timeout))

    # Inputs

    def _enter(self) -> float:
        self._now = self.runtime.now()
        return self._now

    def _receive(self, message: Message, sender: Address) -> None:
        node = self._anyone() if message.target is None else self._by_id.get(message.target)
        if node is None:
            self.counters.misaddressed += 1
        elif self._is_leaving and node.phase is Phase.STOPPED:
            self._refuse(node, message, sender, Reason.NOT_MEMBER)
        elif isinstance(message, Perform) and not isinstance(message.operation, Describe):
            self._admit(node, message, sender)
        else:
            self._carry_out(node, node.receive(message, sender=sender, now=self._enter()))
        if isinstance(message, Refused) and message.reason == Reason.NOT_MEMBER and sender in self.links.seeds:
            self.links.look_elsewhere(sender)

    def _anyone(self) -> Node:
        """Return who answers for the address: the first member, so that its virtual nodes can join through it."""
        return next((node for node in self.nodes if node.phase in (Phase.ACTIVE, Phase.LEAVING)), self.nodes[0])

    def _admit(self, node: Node, message: Perform, sender: Address) -> None:
        """Let a client's operation wait its turn."""
        now = self._enter()
        if self.guests.knows(sender, message.request):
            self._carry_out(node, node.receive(message, sender=sender, now=now))
            return
        while not self.guests.has_room(message) or self.guests.has_too_many(sender):
            displaced = None if self.guests.has_too_many(sender) else self.guests.give_way(sender)
            if displaced is None:
                self._turn_away(node, message, sender)
                return
            self._turn_away(displaced.node, displaced.message, displaced.sender)
        self.guests.admit(message, sender, node, now)

    def _turn_away(self, node: Node, message: Perform, sender: Address) -> None:
        self.counters.busy += 1
        self._refuse(node, message, sender, Reason.BUSY)

    def _begin_for_client(self, guest: Guest, deadline: float) -> None:
        now, message = self._enter(), guest.message
        if guest.sender not in self.links.inbound:
            self.guests.end(guest.sender, message.request)  # It has gone away.
            return
        timeout = max(1, int(1000 * (deadline - now)))
        header = message.source, message.incarnation, message.target, message.target_incarnation, message.request
        asked = Perform(*header, message.operation, timeout)
        self._carry_out(guest.node, guest.node.receive(asked, sender=guest.sender, now=now))

    def _refuse(self, node: Node, message: Message, sender: Address, reason: Reason) -> None:
        """Refuse on behalf of a node: of one that has left, since others want to know that at once, or a busy one."""
        if isinstance(message, Request):
            asker = None if message.source is None else message.source.id
            self._send(sender, Refused(node.me, node.incarnation, asker, message.incarnation, message.request, reason))

    def _unreachable(self, loss: Loss) -> None:
        now = self._enter()
        for node in self.nodes:
            self._carry_out(node, node.unreachable(loss.address, now=now))

    def _tick(self, now: float) -> None:
        self._enter()
        self.links.check(now)
        self._tell_wall(now)
        self.guests.check(now)
        for node in self.nodes:
            deadline = node.deadline
            if deadline is not None and deadline <= now:
                self._carry_out(node, node.tick(now=now))

    def _tell_wall(self, now: float) -> None:
        if now >= self._wall_due:
            self._wall_due = now + WALL_INTERVAL
            for node in self.nodes:
                self._carry_out(node, node.wall(self.runtime.civil() - now, now=now))

    def _begin(self, ticket: Ticket) -> None:
        now = self._enter()
        left = ticket.deadline - now
        if left <= 0:
            self.turns.end(ticket)
            ticket.waiter.resolve(self._late(ticket))
            return
        node = self.nodes[0] if ticket.place is None else self._by_id[ticket.place]
        ticket.op = self._next_op()
        ticket.sent = True
        self._tickets[ticket.op] = ticket
        self._carry_out(node, node.perform(ticket.op, ticket.operation, now=now, timeout=left))

    def _late(self, ticket: Ticket) -> Exception:
        if not self.is_ready:
            return NotReady("the node has not become a member of a ring in time")
        return Timeout("the operation did not have its turn within its timeout")

    def _cancel(self, ticket: Ticket) -> None:
        if ticket.op is not None and self._tickets.pop(ticket.op, None) is not None:
            now = self._enter()
            for node in self.nodes[:1] if ticket.place is None else (self._by_id[ticket.place],):
                self._carry_out(node, node.cancel(ticket.op, now=now))

    def _next_op(self) -> OpId:
        self._op += 1
        return OpId(self._op)

    # Effects

    def _carry_out(self, node: Node, effects: list[Effect]) -> None:
        """Carry out a list to its end, then report what was made durable, and carry out what that brings."""
        while True:
            write: WriteId | None = None
            for effect in effects:
                if type(effect) is Send:
                    self._send(effect.to, effect.message)
                elif type(effect) is Write:
                    if self._is_durable(node, effect):
                        write = effect.id
                elif type(effect) is Finished:
                    self._finished(effect.op, effect.result)
                else:
                    self._notice(node, effect)
            if write is None:
                return
            effects = node.written(write, now=self._now)

    def _is_durable(self, node: Node, write: Write) -> bool:
        """Take a write, and tell whether it is durable now: records live in memory only, so that it is."""
        return True

    def _send(self, to: Address, message: Message) -> None:
        if to != self.address:
            self.links.send(to, message, self._now)
            if self.guests:
                self.guests.sent(to, message)
        elif len(self._local) < MAX_LOCAL:
            self._local.append(message)
        else:
            self.counters.local_dropped += 1

    def _finished(self, op: OpId, result: Result) -> None:
        ticket = self._tickets.pop(op, None)
        if ticket is not None:
            self.turns.end(ticket)
            ticket.waiter.resolve(result)
        elif op in self._leaving:
            self._leaving.pop(op).resolve(result)
        elif isinstance(result, Failed) and result.reason is Failure.ADDRESS_IN_USE:
            self._taken = f"another member of the ring advertises {self.address}"

    def _notice(self, node: Node, event: Effect) -> None:
        if isinstance(event, Misbehaved):
            self.counters.misbehaved += 1
        _log.debug("%s#%d %s", node.me.address, node.me.index, event)

    # Turns

    def _step(self) -> bool:
        if self._local:
            self._receive(self._local.popleft(), self.address)
        elif (waiting := self.guests.next()) is not None:
            self._begin_for_client(*waiting)
        else:
            return False
        return True

    def _settled(self, now: float) -> None:
        if self._is_leaving and all(node.phase is Phase.STOPPED for node in self.nodes):
            self.end("it has left", politely=True)  # Also when nobody waits for that any more.
            return
        if self.ownership.hub:
            self.ownership.look()
        if not self._awaited:
            return
        ready, refusal = self.is_ready, self.refusal(now)
        for awaited in list(self._awaited):
            if ready:
                awaited.waiter.resolve(None)
            elif refusal is not None:
                awaited.waiter.resolve(JoinRefused(refusal))
            elif awaited.deadline is not None and awaited.deadline <= now:
                awaited.waiter.resolve(NotReady("the node has not become ready in time"))

    def refusal(self, now: float) -> str | None:
        """Return why joining is hopeless; None while it is not, or done."""
        if self._taken is not None:
            return self._taken
        if self.nodes[0].phase is not Phase.JOINING:
            return None
        # What it was told counts, and not what is at an address that it remembers.
        told = [self.links.contact(address) for address in self._told]
        reasons = [contact.reason for contact in told if contact.standing is Standing.REFUSED]
        standings = {self.links.contact(address).standing for address in self.contacts}
        if not reasons or standings & {Standing.UP, Standing.UNKNOWN}:
            return None
        if len(reasons) < len(told) and now - self._began < HOPELESS_AFTER:
            return None
        return reasons[0]

    def _deadline(self) -> float | None:
        if self._local:
            return self._now
        overdue = self.guests.deadline
        earliest = self._wall_due if overdue is None else min(self._wall_due, overdue)
        for node in self.nodes:
            deadline = node.deadline
            if deadline is not None and deadline < earliest:
                earliest = deadline
        if self._awaited:
            times = [earliest, *(each.deadline for each in self._awaited if each.deadline is not None)]
            hopeless = self._began + HOPELESS_AFTER
            if self._now < hopeless:
                times.append(hopeless)
            earliest = min(times)
        return earliest

    def _waiters(self) -> list[Waiter]:
        waiters = [*(awaited.waiter for awaited in self._awaited), *self._leaving.values()]
        waiters += self.ownership.hub.waiters()
        self._local.clear()
        self._tickets.clear()
        self._leaving.clear()
        return waiters
