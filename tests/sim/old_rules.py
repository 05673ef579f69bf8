"""A node by the rules of 2001, to show that the explorer and the traces find what is wrong with them.

Stoica et al., SIGCOMM 2001 and ToN 2003, in the form in which Zave (TSE 2017) takes them apart.  The rules are
those of the papers, the messages the product's own, so that one explorer drives both.  What the corrected rules do
otherwise:

- a joiner takes its first successor from a lookup, without its list, and nobody asks whether it lives;
- stabilise adopts what its successor takes for its predecessor, alive or not, and leaves the rest of its list;
- a notifier is adopted if it lies between, or if there is no predecessor; the predecessor is not asked;
- the list, the death of the first successor and that of the predecessor are each looked after by a step of their own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Final

import attrs

from chord_adapters.testing import Evidence
from chord_adapters.testing._participant import Sent
from chord_proto.config import Config
from chord_proto.identifiers import between, within
from chord_proto.invariants import PERIODIC
from chord_proto.messages import (
    Answer,
    Closer,
    FindSuccessor,
    Found,
    GetNeighbours,
    Message,
    Neighbours,
    Notify,
    Ping,
    Pong,
    Request,
)
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.routing import cut_list
from chord_proto.view import NodeView

_DUE: Final = 1.0
"""When everything falls due that a view tells: time stands still."""
_AT_ONCE = ("join", "replace", "drop")
"""Requests that are a step with their answer also where others are two."""


@attrs.define(eq=False)
class OldNode:
    """A node by the rules of 2001.

    Unlike the shipping node's, its list may name itself: in a ring of one it is its own first successor.
    """

    peer: Peer
    config: Config
    phase: Phase = Phase.NEW
    contact: Address = ""
    predecessor: Peer | None = None
    successors: tuple[Peer, ...] = ()
    came_round: bool = False
    """The list's last refresh came round; no rule looks at it."""
    requests: dict[int, tuple[str, Address]] = attrs.field(factory=dict)
    """What is out: the name of the step, and who is asked."""
    last: int = 0

    @classmethod
    def make(cls, peer: Peer, seed: int, config: Config) -> OldNode:
        """Return a node that is outside of any ring; it needs no chance."""
        return cls(peer, config)

    # Looking

    def copy(self) -> OldNode:
        """Return an independent one in the same state."""
        return attrs.evolve(self, requests=dict(self.requests))

    def view(self) -> NodeView:
        """Return the pointers; itself ends its list there, and of timers nothing is to be said."""
        successors, met_self = cut_list(self.peer, self.successors, self.config)
        return NodeView(
            me=self.peer,
            incarnation=1,
            phase=self.phase,
            predecessor=self.predecessor,
            successors=successors,
            came_round=met_self or self.came_round,
            timers=tuple((name, _DUE) for name in PERIODIC),
            requests=tuple((number, address, _DUE) for number, (_, address) in self.requests.items()),
            deadline=_DUE,
        )

    def state(self) -> Hashable:
        """Return everything but the numbers of requests."""
        return (
            self.phase,
            self.contact,
            self.predecessor,
            self.successors,
            self.came_round,
            tuple(sorted(self.requests.values())),
        )

    def asked(self) -> Mapping[int, Hashable]:
        """Return what is out: by number, the name of the step and who is asked."""
        return self.requests

    def is_at_once(self, purpose: Hashable) -> bool:
        """Tell whether this is a join, or the question whether somebody lives."""
        return isinstance(purpose, tuple) and purpose[0] in _AT_ONCE

    def evidence(self) -> Evidence:
        """Return nothing: these rules ask for no evidence."""
        return Evidence()

    def timers(self) -> Iterable[str]:
        """Return the steps that a node may take by itself."""
        out = {step for step, _ in self.requests.values()}
        if self.phase is Phase.JOINING:
            may = {"join": True}
        elif self.phase is Phase.ACTIVE:
            alone = self.successors[0] == self.peer
            may = {
                "stabilize": True,
                "refresh": not alone,
                "replace": not alone,
                "drop": self.predecessor is not None,
            }
        else:
            may = {}
        return [step for step, is_possible in may.items() if is_possible and step not in out]

    # Joining

    def create(self) -> None:
        """Become a ring of one."""
        self.phase, self.successors = Phase.ACTIVE, (self.peer,)

    def join(self, contact: Address) -> Sent:
        """Ask the contact for one's successor."""
        self.phase, self.contact = Phase.JOINING, contact
        return self._ask("join", contact)

    def _on_join_answer(self, answer: Found | Closer) -> Sent:
        if isinstance(answer, Closer):
            return self._ask("join", answer.peers[0].address)
        self.phase, self.successors = Phase.ACTIVE, answer.successors[:1]  # Nobody asks whether it lives.
        return []

    # Steps of a member's own

    def fire(self, timer: str) -> Sent:
        """Stabilise (S), refresh the second successor (R), replace a dead first one (U), drop a dead predecessor (X)."""
        if timer == "join":
            return self._ask("join", self.contact)
        if timer == "drop":
            assert self.predecessor is not None
            return self._ask("drop", self.predecessor.address)
        if self.successors[0] == self.peer:  # In a ring of one, stabilise asks the node itself.
            return self._stabilized(self.predecessor)
        return self._ask(timer, self.successors[0].address)

    def _stabilized(self, between_us: Peer | None) -> Sent:
        me, head = self.peer, self.successors[0]
        if between_us is not None and between(me.id, between_us.id, head.id):
            self.successors = (between_us, *self.successors[1:])  # Alive or not; the rest stays as it was.
        head = self.successors[0]
        return [] if head == me else [(head.address, Notify(me, 1, head.id, 0))]

    def _on_neighbours(self, step: str, head: Peer, answer: Neighbours) -> Sent:
        if self.successors[0] != head:
            return []  # Replaced meanwhile.
        if step == "stabilize":
            return self._stabilized(answer.predecessor)
        given = (head, *answer.successors)[: self.config.successors + 1]
        self.successors, self.came_round = given[: self.config.successors], self.peer in given
        return []

    def silence(self, request: int) -> Sent:
        """Who was asked is dead: a step that looks after that does so, others change nothing."""
        step, address = self.requests.pop(request)
        if step == "replace" and self.successors[0].address == address and len(self.successors) > 1:
            self.successors = self.successors[1:]
        if step == "drop" and self.predecessor is not None and self.predecessor.address == address:
            self.predecessor = None
        return []

    # Messages

    def receive(self, message: Message, sender: Address) -> Sent:
        """Answer a request, take an answer or a notification."""
        if isinstance(message, Request):
            return [(sender, self._answer(message))]
        source = message.source
        assert source is not None
        if isinstance(message, Notify):
            self._rectify(source)
        if isinstance(message, Answer) and message.request in self.requests:
            step, _ = self.requests.pop(message.request)
            if isinstance(message, Found | Closer):
                return self._on_join_answer(message)
            if isinstance(message, Neighbours):
                return self._on_neighbours(step, source, message)
        return []

    def _rectify(self, notifier: Peer) -> None:
        present = self.predecessor
        if present is None or between(present.id, notifier.id, self.peer.id):
            self.predecessor = notifier  # Whether the present one lives is not asked.

    def _answer(self, message: Request) -> Answer:
        source = message.source
        assert source is not None
        ends = (self.peer, 1, source.id, message.incarnation, message.request)
        if isinstance(message, FindSuccessor):
            return self._find(message.place, ends)
        if isinstance(message, GetNeighbours):
            return Neighbours(*ends, self.predecessor, self.successors, self.came_round, 1)
        return Pong(*ends, True, ())

    def _find(self, place: int, ends: tuple[Peer, int, int, int, int]) -> Found | Closer:
        me = self.peer
        if within(me.id, place, self.successors[0].id):
            return Found(*ends, me, self.successors[:1], False)
        return Closer(*ends, tuple(peer for peer in reversed(self.successors) if between(me.id, peer.id, place)))

    def _ask(self, step: str, address: Address) -> Sent:
        self.last += 1
        self.requests[self.last] = (step, address)
        ends = (self.peer, 1, None, 0, self.last)
        if step == "join":
            return [(address, FindSuccessor(*ends, self.peer.id))]
        kind = GetNeighbours if step in ("stabilize", "refresh") else Ping
        return [(address, kind(*ends))]
