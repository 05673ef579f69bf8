"""Nodes driven by hand: nothing is delivered, no time passes and nothing becomes durable unless a test says so.

On a circle of 8 bits every place has an address, so that tests speak of the node at place 10.  A place without a
node is played by the test itself: what is sent there waits in ``under_way``, and `Rig.reply` answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

import attrs

from chord_proto.config import Config
from chord_proto.effects import Effect, Finished, OpId, Send, Write, WriteId
from chord_proto.identifiers import content_key, place_of_name
from chord_proto.messages import (
    Answer,
    Digest,
    FindSuccessor,
    Found,
    GetDigest,
    GetNeighbours,
    Granted,
    Message,
    Neighbours,
    Ping,
    Pong,
    Record,
    Request,
    Space,
    TakeOver,
)
from chord_proto.node import Node
from chord_proto.operations import Result
from chord_proto.peer import Address, Peer

CONFIG = Config(bits=8, successors=3, predecessors=3)
CLIENT = "in:client"
"""The return path of a client's connection."""

M = TypeVar("M", bound=Message)
E = TypeVar("E")


@cache
def peer(place: int) -> Peer:
    """Return a peer at ``place`` on the circle of 8 bits."""
    number = 0
    while (found := Peer.at(f"n{number}", bits=8)).id != place:
        number += 1
    return found


@cache
def name_at(place: int, which: int = 0) -> bytes:
    """Return a record's name that lies at ``place``, the first or another one."""
    names = (b"k%d" % number for number in range(1_000_000))
    return [next(name for name in names if place_of_name(name, 8) == place) for _ in range(which + 1)][-1]


def version(number: int) -> str:
    """Return a version; a greater number makes a later one."""
    return f"{number:012x}-0000-00000000000000ff"


def record_at(place: int, value: bytes | None = b"v", number: int = 1, *, which: int = 0) -> Record:
    """Return a record (``value`` None: a tombstone) whose name lies at ``place``, in version ``number``."""
    return Record(Space.RECORD, name_at(place, which), value, version(number), number)


def block_at(place: int) -> Record:
    """Return a block whose key lies at ``place``."""
    data = next(b"b%d" % number for number in range(100_000) if content_key(b"b%d" % number) >> 152 == place)
    return Record(Space.BLOCK, content_key(data).to_bytes(20), data, "", 0)


def only(kind: type[E], effects: Iterable[object]) -> list[E]:
    """Return the effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(kind: type[M], effects: Iterable[Effect]) -> list[M]:
    """Return the messages of one kind that effects send."""
    return [effect.message for effect in only(Send, effects) if isinstance(effect.message, kind)]


def request(kind: type[M], source: Peer | None, to: Node, *fields: object, number: int = 77, life: int = 1) -> M:
    """Return a request (or, of ``Notify``, the message) from ``source`` (None: a client) to a node."""
    numbers = (number,) if issubclass(kind, Request) else ()
    target = None if source is None else to.me.id
    return kind(source, 0 if source is None else life, target, 0, *numbers, *fields)


@attrs.frozen
class Parcel:
    """A message on its way."""

    sender: Address
    to: Address
    message: Message


class Rig:
    """Some nodes, what is under way between them, and what they have said."""

    def __init__(self, config: Config = CONFIG, *, durable: bool = True) -> None:
        self.config = config
        self.durable = durable
        """Whether writes are reported durable at once, or wait in ``writes``."""
        self.now = 100.0
        self.nodes: dict[Address, Node] = {}
        self.under_way: list[Parcel] = []
        self.delivered: list[Message] = []
        self.writes: list[tuple[Node, Write]] = []
        self.events: list[Effect] = []
        self.finished: dict[int, list[Result]] = {}
        self._ops = 1000

    # Nodes and their inputs

    def add(self, place: int, *, life: int = 1, records: Iterable[Record] = ()) -> Node:
        """Make a node; it is NEW."""
        me = peer(place)
        node = Node(me, seed=place, config=self.config, incarnation=life, records=records)
        self.nodes[me.address] = node
        return node

    def op(self) -> OpId:
        """Return a fresh operation id."""
        self._ops += 1
        return OpId(self._ops)

    def take(self, node: Node, effects: list[Effect]) -> list[Effect]:
        """Carry out the effects of an input as a driver does, and return them."""
        for effect in effects:
            if isinstance(effect, Send):
                self.under_way.append(Parcel(node.me.address, effect.to, effect.message))
            elif isinstance(effect, Write):
                self.writes.append((node, effect))
            elif isinstance(effect, Finished):
                self.finished.setdefault(effect.op, []).append(effect.result)
            else:
                self.events.append(effect)
        if self.durable:
            return effects + self.flush_writes()
        return effects

    def flush_writes(self) -> list[Effect]:
        """Report everything durable."""
        caused: list[Effect] = []
        while self.writes:
            node, write = self.writes.pop(0)
            caused += self.take(node, node.written(write.id, now=self.now))
        return caused

    def written(self, node: Node, write: WriteId) -> list[Effect]:
        """Report a node's writes up to ``write`` durable."""
        self.writes = [(other, each) for other, each in self.writes if other is not node or each.id > write]
        return self.take(node, node.written(write, now=self.now))

    def tick(self, node: Node, after: float = 0.0) -> list[Effect]:
        """Let time pass, and one node notice."""
        self.now += after
        return self.take(node, node.tick(now=self.now))

    def create(self, place: int) -> Node:
        """Make a ring of one."""
        node = self.add(place)
        self.take(node, node.create(now=self.now))
        return node

    def receive(self, node: Node, message: Message, *, sender: Address | None = None) -> list[Effect]:
        """Give a node a message, by default from the address of its source."""
        if sender is None:
            sender = CLIENT if message.source is None else message.source.address
        return self.take(node, node.receive(message, sender=sender, now=self.now))

    # Playing the other side

    def asked(self, kind: type[M], to: Peer | None = None) -> M:
        """Return the latest message of a kind under way (to somebody); it stays there."""
        found = [
            parcel.message
            for parcel in self.under_way
            if isinstance(parcel.message, kind) and (to is None or parcel.to == to.address)
        ]
        assert found, f"no {kind.__name__} under way, only {[type(p.message).__name__ for p in self.under_way]}"
        return found[-1]

    def reply(
        self, to: Request, kind: type[Answer], *fields: object, source: Peer | None = None, life: int = 1
    ) -> list[Effect]:
        """Answer a request in the name of whom it was for, or of ``source``; it is no longer under way."""
        self.under_way = [parcel for parcel in self.under_way if parcel.message is not to]
        assert to.source is not None
        node = self.nodes[to.source.address]
        who = source or peer(to.target or 0)
        return self.receive(node, kind(who, life, to.source.id, to.incarnation, to.request, *fields))

    def member(
        self,
        place: int,
        *,
        before: int,
        after: Iterable[int] = (),
        came_round: bool = True,
        granted: bool = True,
    ) -> Node:
        """Make a node that has just joined a ring of played peers: its predecessor, and the others in order.

        It has begun to stabilise already: its question to the first successor is under way.
        Its range, without any records, was granted to it, unless told otherwise.
        """
        node = self.add(place)
        self.take(node, node.join(self.op(), [peer(before).address], now=self.now))
        self.meet(node, before, after, came_round=came_round)
        if granted:
            asked = self.asked(TakeOver)
            self.reply(asked, Granted, asked.start, asked.end)
            self.reply(self.asked(GetDigest), Digest, 0, bytes(16))
        return node

    def meet(self, node: Node, before: int, after: Iterable[int], *, came_round: bool) -> None:
        """Answer a joiner's lookup and its question for the list."""
        chain = tuple(peer(place) for place in after)
        asked = self.asked(FindSuccessor)
        self.under_way.clear()
        self.reply(asked, Found, peer(before), chain or (peer(before),), came_round, source=peer(before))
        asked_for_list = self.asked(GetNeighbours, peer(before))
        width = min(len(chain) + 2, self.config.replicas)
        self.reply(asked_for_list, Neighbours, None, chain, came_round, width)

    def humour(self, *kinds: type[Request]) -> None:
        """Let played members answer pings and comparisons of ranges without records, or those of these kinds only."""
        for parcel in list(self.under_way):
            message = parcel.message
            if parcel.to in self.nodes or message.target is None or type(message) not in (kinds or (Ping, GetDigest)):
                continue
            if isinstance(message, Ping):
                self.reply(message, Pong, True, ())
            elif isinstance(message, GetDigest):
                self.reply(message, Digest, 0, bytes(16))

    # Moving messages and time

    def deliver(self, parcel: Parcel) -> list[Effect]:
        """Deliver one message; one to a played place stays under way."""
        node = self.nodes.get(parcel.to)
        if node is None:
            return []
        self.under_way.remove(parcel)
        self.delivered.append(parcel.message)
        return self.take(node, node.receive(parcel.message, sender=parcel.sender, now=self.now))

    def drop(self, matching: Callable[[Parcel], bool]) -> int:
        """Lose messages; return how many."""
        lost = [parcel for parcel in self.under_way if matching(parcel)]
        self.under_way = [parcel for parcel in self.under_way if parcel not in lost]
        return len(lost)

    def flush(self) -> None:
        """Deliver everything, and what follows, in order; what goes to played places stays."""
        for _ in range(100_000):
            parcel = next((parcel for parcel in self.under_way if parcel.to in self.nodes), None)
            if parcel is None:
                return
            self.deliver(parcel)
        raise AssertionError("messages without end")

    def run(self, seconds: float) -> None:
        """Let time pass: every node is ticked at its deadlines, and all messages arrive at once."""
        end = self.now + seconds
        self.flush()
        while True:
            due = [node.deadline for node in self.nodes.values() if node.deadline is not None]
            self.now = max(self.now, min([*due, end]))
            for node in tuple(self.nodes.values()):
                if node.deadline is not None and node.deadline <= self.now:
                    self.take(node, node.tick(now=self.now))
            self.flush()
            if self.now >= end:
                return

    def kill(self, node: Node) -> None:
        """Let a node fall silent."""
        del self.nodes[node.me.address]

    def result(self, op: OpId) -> Any:
        """Return how an operation ended; it ended exactly once."""
        (result,) = self.finished[op]
        return result


def ring_of(*places: int, config: Config = CONFIG) -> Rig:
    """Return a ring of real nodes that is ideal, and ready."""
    rig = Rig(config)
    first = rig.create(places[0])
    for place in places[1:]:
        node = rig.add(place)
        rig.take(node, node.join(rig.op(), [first.me.address], now=rig.now))
        rig.run(3.0)
    rig.run(5.0)
    assert all(node.ready for node in rig.nodes.values())
    return rig
