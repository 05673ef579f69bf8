"""What the explorer needs of a node, and how the shipping node gives it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol, Self

import attrs

from chord_proto._dispatch import TIMERS
from chord_proto.config import Config
from chord_proto.effects import Effect, OpId, Send
from chord_proto.invariants import MEMBERS
from chord_proto.lookup import Asked
from chord_proto.messages import Answer, FindSuccessor, GetNeighbours, Message, Notify, Ping
from chord_proto.node import Node
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.ring_state import DialBack, PingPredecessor
from chord_proto.snapshot import canonical
from chord_proto.view import NodeView

Sent = list[tuple[Address, Message]]
"""What a participant sends in one step: to whom, and what."""
_JOINING = OpId(1)


@attrs.frozen
class Evidence:
    """Whom a participant has reason to take for dead, and who has answered it: ids."""

    dead: frozenset[int] = frozenset()
    answered: frozenset[int] = frozenset()


class Participant(Protocol):
    """A node as the explorer drives it: inputs without time, and views.

    Each input returns the messages to send.  Requests and answers to them carry the participant's own numbers;
    ``asked`` tells, for each request that is out, what it is for, in a form that does not depend on its number.
    """

    @property
    def peer(self) -> Peer:
        """Its place and address."""

    def copy(self) -> Self:
        """Return an independent one in the same state."""

    def view(self) -> NodeView:
        """Return what the invariants look at."""

    def state(self) -> Hashable:
        """Return everything that its further conduct depends on, without numbers of requests and without times."""

    def asked(self) -> Mapping[int, Hashable]:
        """Return the requests that are out: by number, what they are for."""

    def is_at_once(self, purpose: Hashable) -> bool:
        """Tell whether a request of this purpose and its answer are one step also where others are two."""

    def evidence(self) -> Evidence:
        """Return what it knows of others' lives."""

    def timers(self) -> Iterable[str]:
        """Return which timers may fire now."""

    def create(self) -> None:
        """Become a ring of one."""

    def join(self, contact: Address) -> Sent:
        """Begin to join by ``contact``."""

    def fire(self, timer: str) -> Sent:
        """Let a timer fire."""

    def receive(self, message: Message, sender: Address) -> Sent:
        """Take a message."""

    def silence(self, request: int) -> Sent:
        """Learn that nobody will answer a request."""


class RingNode:
    """The shipping `chord_proto.node.Node` as far as its ring goes: questions about records and ranges never arrive.

    Time stands still, so nothing is sent twice.
    """

    def __init__(self, node: Node) -> None:
        self.node = node

    @classmethod
    def make(cls, peer: Peer, seed: int, config: Config) -> RingNode:
        """Return a node that is outside of any ring."""
        return cls(Node(peer, seed=seed, config=config))

    @property
    def peer(self) -> Peer:
        """Its place and address."""
        return self.node.me

    def copy(self) -> RingNode:
        """Return an independent one in the same state."""
        return RingNode(self.node.copy())

    def view(self) -> NodeView:
        """Return what the invariants look at."""
        return self.node.view()

    def state(self) -> Hashable:
        """Return what the ring's rules look at."""
        node = self.node
        routing, ring = node.ctx.routing, node.ring
        joining = (
            canonical(sorted(node.lookups.active.values(), key=lambda lookup: lookup.number))
            if node.phase is Phase.JOINING
            else None
        )
        return (
            node.phase,
            routing.predecessor,
            routing.predecessors,
            routing.successors,
            routing.came_round,
            repr(ring.step),
            ring.slot,
            ring.dialling,
            ring.width,
            tuple(sorted(routing.suspects)),
            tuple(sorted(map(repr, self.asked().values()))),
            tuple((id_, each.incarnation, each.answered) for id_, each in sorted(routing.known.items())),
            joining,
        )

    def asked(self) -> Mapping[int, Hashable]:
        """Return the requests that are out and are about the ring: by number, the purpose and the address."""
        return {
            call.request: (*_purpose(call.purpose), call.address)
            for call in self.node.ctx.calls.values()
            if self._is_carried(call.message)
        }

    def is_at_once(self, purpose: Hashable) -> bool:
        """Tell whether this is the question that checks an address; the question itself is not what is explored."""
        return isinstance(purpose, tuple) and purpose[0] in (DialBack.__name__, PingPredecessor.__name__)

    def evidence(self) -> Evidence:
        """Return suspects, and who answered in the life that is known."""
        routing = self.node.ctx.routing
        answered = (id_ for id_, known in routing.known.items() if known.answered == known.incarnation)
        return Evidence(frozenset(routing.suspects), frozenset(answered))

    def timers(self) -> Iterable[str]:
        """Return the timers whose firing may change the ring."""
        node = self.node
        if node.phase is Phase.JOINING:
            if not self.asked() and self._is_armed("join"):
                yield "join"
        elif node.phase in MEMBERS:
            if node.ring.step is None and self._is_armed("stabilize"):
                yield "stabilize"
            asks = any(type(call.purpose) is PingPredecessor for call in node.ctx.calls.values())
            if not asks and self._is_armed("predecessor"):
                yield "predecessor"

    def _is_armed(self, timer: str) -> bool:
        return self.node.ctx.timers.when((timer, 0)) is not None

    def create(self) -> None:
        """Become a ring of one."""
        self.node.create(now=self.node.ctx.now)

    def join(self, contact: Address) -> Sent:
        """Begin to join by ``contact``."""
        return self._sent(self.node.join(_JOINING, [contact], now=self.node.ctx.now))

    def fire(self, timer: str) -> Sent:
        """Let a timer fire that is armed."""
        return self._sent(self.node._input(self.node.ctx.now, partial(TIMERS[timer], self.node, 0)))

    def receive(self, message: Message, sender: Address) -> Sent:
        """Take a message."""
        return self._sent(self.node.receive(message, sender=sender, now=self.node.ctx.now))

    def silence(self, request: int) -> Sent:
        """Learn that nobody will answer a request."""
        call = self.node.ctx.calls[request]
        return self._sent(self.node._input(self.node.ctx.now, self.node.ctx.fail_call, call))

    def _sent(self, effects: Iterable[Effect]) -> Sent:
        return [
            (effect.to, effect.message)
            for effect in effects
            if isinstance(effect, Send) and self._is_carried(effect.message)
        ]

    def _is_carried(self, message: Message) -> bool:
        """Tell whether a message is about the ring; members' lookups, for fingers and records, are not."""
        if isinstance(message, FindSuccessor):
            return self.node.phase is Phase.JOINING
        return isinstance(message, GetNeighbours | Notify | Ping | Answer)


def _purpose(purpose: Any) -> tuple[Hashable, ...]:
    """Return what a request is for; which of its lookups a node asks for is no difference."""
    if isinstance(purpose, Asked):
        return (Asked.__name__,)
    return (type(purpose).__name__, *(getattr(purpose, field.name) for field in attrs.fields(type(purpose))))
