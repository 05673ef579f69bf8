"""A ring of a few real nodes without time: what may happen next, and the state after it.

Time stands still.  A timer may fire whenever its node could let it, a message may arrive whenever it is under
way, and who asks a dead node learns that whenever it may be told: so every order in which these can happen is a
path.  Only what the ring's rules are about is carried; questions about records and ranges never arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias

import attrs

from chord_proto._dispatch import TIMERS
from chord_proto.config import Config
from chord_proto.effects import Effect, OpId, Send
from chord_proto.invariants import MEMBERS, Snapshot, UnderWay
from chord_proto.messages import Answer, FindSuccessor, GetNeighbours, Message, Notify, Ping, Request
from chord_proto.node import Node
from chord_proto.peer import Address
from chord_proto.phase import Phase
from chord_proto.routing import Known

CARRIED = (FindSuccessor, GetNeighbours, Notify, Ping)
"""What may be asked or told; answers to these are carried, too."""
_JOINING = OpId(1)

Action: TypeAlias = tuple[str, ...]
"""What happens, in words: ``("join", "d", "a")``, ``("fail", "b")``, ``("stabilize", "a")``, ``("deliver", …)``."""
Key: TypeAlias = tuple[object, ...]


@attrs.frozen
class Parcel:
    """A message under way, and the address that it goes to."""

    to: Address
    sender: Address
    message: Message

    def words(self) -> tuple[str, ...]:
        """Return what it is: kind, sender, receiver."""
        return type(self.message).__name__, self.sender, self.to


@attrs.frozen(eq=False)
class SmallRing:
    """One state.  Nodes are shared between states: each step copies those that it changes.

    ``to_join`` are (joiner, contact) pairs still to come, ``may_fail`` how many members may still fail.
    ``exchanges`` makes a request and its answer one step.
    """

    nodes: dict[Address, Node]
    under_way: tuple[Parcel, ...] = ()
    dead: frozenset[Address] = frozenset()
    to_join: tuple[tuple[Address, Address], ...] = ()
    may_fail: int = 0
    exchanges: bool = True

    @property
    def config(self) -> Config:
        """The nodes' parameters."""
        return next(iter(self.nodes.values())).config

    def key(self) -> Key:
        """Return what tells this state from others as far as the ring goes on: no ids of requests, no times."""
        parcels = sorted((_words_of(parcel), *parcel.words()) for parcel in self.under_way)
        living = tuple((address, _state_of(node)) for address, node in self.nodes.items() if address not in self.dead)
        return living, tuple(parcels), self.to_join, self.may_fail

    def snapshot(self, before: SmallRing | None = None) -> Snapshot:
        """Return what the invariants look at."""
        living = {a: node for a, node in self.nodes.items() if a not in self.dead and node.phase is not Phase.NEW}
        return Snapshot(
            views=tuple(node.view() for node in living.values()),
            config=self.config,
            under_way=tuple(UnderWay(parcel.message, 0.0) for parcel in self.under_way),
            before={} if before is None else {n.me.id: n.view() for n in before.nodes.values()},
        )

    # What may happen

    def actions(self) -> Iterator[tuple[Action, SmallRing]]:
        """Yield everything that may happen next, and the state after it."""
        for joiner, contact in self.to_join:
            rest = tuple(pair for pair in self.to_join if pair[0] != joiner)
            state = attrs.evolve(self, to_join=rest)
            yield ("join", joiner, contact), state._run(joiner, partial(_join, contact))
        for address, node in self.nodes.items():
            if address in self.dead:
                continue
            if self.may_fail and node.phase in MEMBERS and self._may_lose(address):
                yield ("fail", address), self._fail(address)
            for timer in self._timers(node):
                after = self._run(address, partial(_fire, timer))
                yield (timer, address), after._exchange(len(self.under_way)) if self.exchanges else after
        seen: set[object] = set()
        for position, parcel in enumerate(self.under_way):
            same = _words_of(parcel), parcel.words()
            if same not in seen:
                seen.add(same)
                yield ("deliver", *parcel.words()), self._deliver(position)

    def _timers(self, node: Node) -> Iterable[str]:
        """Return the timers whose firing may change the ring."""
        view = node.view()
        armed = dict(view.timers)
        waiting = any(parcel.sender == node.me.address for parcel in self.under_way)
        if view.phase is Phase.JOINING and "join" in armed and not waiting:
            yield "join"
        if view.phase in MEMBERS and not view.busy:
            yield "stabilize"
            if not any(type(p.message) is Ping and p.sender == node.me.address for p in self.under_way):
                yield "predecessor"

    def _may_lose(self, address: Address) -> bool:
        """Tell whether, without this node, every member has a living one in its list (Zave's assumption)."""
        gone = {*self.dead, address}
        members = [n for a, n in self.nodes.items() if a not in gone and n.phase in MEMBERS]
        return all(any(peer.address not in gone for peer in n.successors) or len(members) == 1 for n in members)

    # What happens then

    def _exchange(self, first: int) -> SmallRing:
        """Let what a timer asked be answered in the same step: the first request under way from position ``first``."""
        for position, parcel in enumerate(self.under_way[first:], first):
            if isinstance(parcel.message, Request):
                return self._deliver(position)
        return self

    def _fail(self, address: Address) -> SmallRing:
        """Return the state in which a node is dead: its messages still arrive, but answers to it are lost."""
        kept = tuple(p for p in self.under_way if p.to != address or isinstance(p.message, Request))
        return attrs.evolve(self, dead=self.dead | {address}, may_fail=self.may_fail - 1, under_way=kept)

    def _deliver(self, position: int) -> SmallRing:
        parcel = self.under_way[position]
        rest = attrs.evolve(self, under_way=self.under_way[:position] + self.under_way[position + 1 :])
        if parcel.to not in self.dead:
            after = rest._run(parcel.to, partial(_receive, parcel))
            return after._answer(parcel) if self.exchanges else after
        if isinstance(parcel.message, Request) and parcel.sender not in self.dead:
            return rest._run(parcel.sender, partial(_get_no_answer, parcel.message.request))
        return rest

    def _answer(self, parcel: Parcel) -> SmallRing:
        """Let the answer to ``parcel`` arrive in the same step."""
        request = parcel.message.request if isinstance(parcel.message, Request) else None
        for position, other in enumerate(self.under_way):
            if isinstance(other.message, Answer) and other.message.request == request:
                return self._deliver(position)
        return self

    def _run(self, address: Address, do: Callable[[Node], list[Effect]]) -> SmallRing:
        """Return the state after one input of one node."""
        node = self.nodes[address].copy()
        sent = [Parcel(effect.to, address, effect.message) for effect in do(node) if isinstance(effect, Send)]
        return attrs.evolve(
            self,
            nodes={**self.nodes, address: node},
            under_way=self.under_way + tuple(parcel for parcel in sent if self._is_carried(parcel)),
        )

    def _is_carried(self, parcel: Parcel) -> bool:
        """Tell whether it is about the ring, and not an answer to the dead."""
        if isinstance(parcel.message, Answer):
            return parcel.to not in self.dead
        if isinstance(parcel.message, Notify):  # The same word twice at one time is the same word.
            return not any(parcel.words() == other.words() for other in self.under_way)
        return isinstance(parcel.message, CARRIED)


def _fire(timer: str, node: Node) -> list[Effect]:
    return node._input(node.ctx.now, TIMERS[timer], node, 0)


def _join(contact: Address, node: Node) -> list[Effect]:
    return node.join(_JOINING, [contact], now=node.ctx.now)


def _receive(parcel: Parcel, node: Node) -> list[Effect]:
    return node.receive(parcel.message, sender=parcel.sender, now=node.ctx.now)


def _get_no_answer(request: int, node: Node) -> list[Effect]:
    call = node.ctx.calls.get(request)
    return [] if call is None else node._input(node.ctx.now, node.ctx.fail_call, call)


def _words_of(parcel: Parcel) -> str:
    """Return what a message says, without ids of requests."""
    message = parcel.message
    parts = [type(message).__name__, parcel.sender, parcel.to]
    for name in (
        "predecessor",
        "successors",
        "came_round",
        "width",
        "predecessors",
        "member",
        "peers",
        "reason",
        "place",
    ):
        value = getattr(message, name, None)
        if value is not None:
            parts.append(f"{name}={value}")
    return " ".join(parts)


def _state_of(node: Node) -> Key:
    routing, ring = node.ctx.routing, node.ring
    known: Iterable[Known] = routing.known.values()
    return (
        node.phase.value,
        routing.predecessor,
        routing.predecessors,
        routing.successors,
        routing.came_round,
        repr(ring.step),
        ring.slot,
        ring.dialling,
        ring.width,
        tuple(sorted(routing.suspects)),
        tuple(sorted(repr(call.purpose) for call in node.ctx.calls.values() if isinstance(call.message, CARRIED))),
        tuple(sorted((each.peer.id, each.incarnation, each.answered) for each in known)),
    )
