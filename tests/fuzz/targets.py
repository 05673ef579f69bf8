"""What a fuzzer calls: bytes go in, and nothing comes out, or an exception that is a bug.

`reader` is one end of a connection, `decoder` the codec, `node` a node that is given messages, time and reports.  Each
is a function of its bytes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from chord_proto.connection import LENGTH_SIZE, Connection, Hello
from chord_proto.connection import MAX_HELLO as LONGEST_HELLO
from chord_proto.effects import Effect, OpId, Send, Write, WriteId
from chord_proto.errors import DecodeError
from chord_proto.invariants import ALWAYS, Snapshot, violations
from chord_proto.messages import Message, Request
from chord_proto.node import Node
from chord_proto.peer import Peer
from chord_proto.phase import Phase
from chord_proto.records import is_record
from chord_proto.wire import Codec
from tests.fuzz.drawn import PEERS, Drawn, message, operation
from tests.fuzz.states import SMALL, STATES, state

CODECS = (Codec(), Codec(8))
MAX_FRAME = 1000
OURS = Hello("chord", address="127.0.0.1:7000", versions=(1, 2))
HELLO = Hello("chord", address="127.0.0.1:7001").pack()
WELCOME = b"\x89ChordR\n\x00\x01\x00"

MOST_EFFECTS = 64
"""What one input may cause: each thing outstanding a few, none of them depending on what came."""
MOST_BYTES = 64 * 1024
"""Bytes of the messages that one input may cause: more than all records that fit into the node, to several peers."""
MOST_COMMANDS = 48
FLOOD = 40
"""How often a flood says the same."""
NEVER = float("inf")


# Bytes


def decoder(data: bytes) -> None:
    """Any bytes are a message, which has these bytes' meaning, or a DecodeError (N7, N8)."""
    codec = CODECS[data[0] & 1 if data else 0]
    try:
        decoded = codec.decode(data[1:])
    except DecodeError:
        return
    encoded = codec.encode(decoded)
    again = codec.decode(encoded)
    assert decoded == again, f"{decoded} is read back as {again}"
    assert encoded == codec.encode(again), f"{decoded} has two forms"


def reader(data: bytes) -> None:
    """Any stream gives the same messages, refusal or error however it is cut; little is kept, little is replied (N9)."""
    mode, seed = (*data[:2], 0, 0)[:2]
    stream = data[2:]
    if mode & 4:
        stream = b"".join(_framed(stream))
    if mode & 2:
        stream = (WELCOME if mode & 1 else HELLO) + stream
    whole, cut = _connection(mode), _connection(mode)
    at_once, rest = _read(whole, [stream]), _read(cut, _pieces(stream, seed))
    assert at_once == rest, f"at once: {at_once}, cut: {rest}"
    assert (whole.refused, whole.version, whole.remote_address) == (cut.refused, cut.version, cut.remote_address)
    assert whole.data_to_send() == cut.data_to_send()


def _connection(mode: int) -> Connection:
    return Connection(initiator=bool(mode & 1), hello=OURS, codec=CODECS[0], max_frame=MAX_FRAME)


def _framed(stream: bytes) -> Iterator[bytes]:
    """Yield frames, the lengths of which are right: a byte says how long each is."""
    at = 0
    while at < len(stream):
        body = stream[at + 1 : at + 1 + stream[at]]
        yield len(body).to_bytes(LENGTH_SIZE) + body
        at += 1 + len(body)


def _pieces(stream: bytes, seed: int) -> Iterator[bytes]:
    at = 0
    while at < len(stream):
        seed = (seed * 77 + 33) % 256
        size = 1 if seed < 100 else seed // 8
        yield stream[at : at + size]
        at += size


def _read(connection: Connection, pieces: Iterator[bytes] | list[bytes]) -> tuple[list[Message], bool]:
    """Return the messages and whether it ended in an error; what comes together with the error is lost."""
    said = connection.queued_bytes
    messages: list[Message] = []
    for piece in pieces:
        try:
            messages += connection.receive_data(piece)
        except DecodeError as error:
            _must_raise(connection, str(error))
            # However it was cut, what was complete before the error need not have been delivered.
            return [], True
        held = len(connection._buffer)
        assert held < (MAX_FRAME + LENGTH_SIZE if connection.established else LONGEST_HELLO), f"{held} bytes are kept"
        assert connection.queued_bytes <= said + len(WELCOME), f"{connection.queued_bytes} bytes are to be sent"
    return messages, False


def _must_raise(connection: Connection, reason: str) -> None:
    assert not connection.data_to_send(), "something is sent after an error"
    again = None
    try:
        connection.receive_data(b"x")
    except DecodeError as error:
        again = str(error)
    assert reason == again, "bytes are taken after an error"


# Messages


def node(data: bytes) -> None:
    """A node in any state, given anything: handled, with few effects, its invariants kept and its tables small (N1-N3, N10)."""
    drawn = Drawn(data)
    subject = Subject(state(drawn.of(tuple(STATES))).copy())
    for _ in range(MOST_COMMANDS):
        if not drawn.left:
            break
        subject.step(drawn)
    subject.examine()
    subject.live_on()


@attrs.define
class Subject:
    """A node under test, and what it is owed."""

    node: Node
    now: float = 0.0
    writes: list[WriteId] = attrs.field(factory=list)
    ops: int = 5000
    flooded: int = 0

    def __attrs_post_init__(self) -> None:
        """Go on when the node was left, with the writes that it waits for."""
        self.now = self.node.ctx.now
        self.writes += self.node.writes.pending

    def step(self, drawn: Drawn) -> None:
        """Do the next thing that the bytes say."""
        command = drawn.byte()
        if command < 160:
            self.receive(*message(drawn, self.node))
        else:
            _COMMANDS[command % len(_COMMANDS)](self, drawn)

    def receive(self, received: Message, sender: str) -> None:
        """Give it a message; one that has left says nothing."""
        stopped = self.node.phase is Phase.STOPPED
        effects = self.take(self.node.receive(received, sender=sender, now=self.now))
        assert not (stopped and effects), f"stopped, and {effects}"

    def take(self, effects: list[Effect]) -> list[Effect]:
        """Look at what an input has caused."""
        assert len(effects) <= MOST_EFFECTS, f"{len(effects)} effects: {effects}"
        size = 0
        for effect in effects:
            if isinstance(effect, Send):
                size += len(CODECS[1].encode(effect.message))
            elif isinstance(effect, Write):
                self.writes.append(effect.id)
        assert size <= MOST_BYTES, f"{size} bytes are sent"
        return effects

    def flood(self, drawn: Drawn) -> None:
        """The same again and again, under other numbers, from one or from many."""
        received: Any
        received, sender = message(drawn, self.node)
        many = drawn.byte() & 1
        for _ in range(FLOOD):
            self.flooded += 1
            fields: dict[str, Any] = {}
            if isinstance(received, Request):
                fields["request"] = 1_000_000 + self.flooded
            if many and received.source is not None:
                fields["source"] = Peer.at(f"flood{self.flooded}", bits=8)
                sender = fields["source"].address
            self.receive(attrs.evolve(received, **fields), sender)

    def tick(self, drawn: Drawn) -> None:
        """A little time passes, or all until the deadline, or as long as a machine sleeps."""
        due = self.node.deadline
        late = (0.0, 0.01, 0.3, 2.0, 60.0)[drawn.byte() % 5]
        self.pass_time(late if due is None or late == 0.01 else max(0.0, due - self.now) + late)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the node notice."""
        self.now += seconds
        self.take(self.node.tick(now=self.now))
        due = self.node.deadline
        assert due is None or due > self.now, f"after a tick at {self.now} the deadline is {due}"

    def written(self, drawn: Drawn) -> None:
        """Some of what it has asked for is durable."""
        if self.writes:
            count = 1 + drawn.byte() % len(self.writes)
            self.take(self.node.written(self.writes[count - 1], now=self.now))
            del self.writes[:count]

    def write_failed(self, drawn: Drawn) -> None:
        """The disk refuses."""
        if self.writes and drawn.byte() & 1:
            self.take(self.node.write_failed(self.writes.pop(0), now=self.now))

    def unreachable(self, drawn: Drawn) -> None:
        """A connection breaks."""
        self.take(self.node.unreachable(drawn.of(PEERS).address, now=self.now))

    def wall(self, drawn: Drawn) -> None:
        """Its civil clock is set."""
        offset = (0.0, 1.7e9, 1.7e9 + 400, -5.0, 4e12)[drawn.byte() % 5]
        self.take(self.node.wall(offset, now=self.now))

    def perform(self, drawn: Drawn) -> None:
        """Its application wants something."""
        self.ops += 1
        self.take(self.node.perform(OpId(self.ops), operation(drawn), now=self.now))

    def cancel(self, drawn: Drawn) -> None:
        """Its application wants it no more."""
        self.take(self.node.cancel(OpId(self.ops - drawn.byte() % 4), now=self.now))

    def leave(self, drawn: Drawn) -> None:
        """It leaves, if it has not."""
        if drawn.byte() & 1 and self.node.phase not in (Phase.LEAVING, Phase.STOPPED):
            self.ops += 1
            self.take(self.node.leave(OpId(self.ops), now=self.now))

    # What must hold

    def examine(self) -> None:
        """Look at the invariants of one node, and at the sizes of all that it keeps."""
        view = self.node.view()
        found = violations(Snapshot(views=(view,), config=SMALL, now=self.now), ALWAYS)
        assert not found, "; ".join(map(str, found))
        for name, (size, most) in sizes(self.node).items():
            assert size <= most, f"{size} {name}, at most {most}"

    def live_on(self) -> None:
        """Time goes by: nothing is stuck, and it grows no more."""
        for _ in range(12):
            if self.node.deadline is None:
                break
            self.pass_time(max(0.0, self.node.deadline - self.now))
        self.examine()


_COMMANDS: tuple[Callable[[Subject, Drawn], None], ...] = (
    Subject.tick,
    Subject.written,
    Subject.perform,
    Subject.unreachable,
    Subject.tick,
    Subject.flood,
    Subject.written,
    Subject.cancel,
    Subject.wall,
    Subject.write_failed,
    Subject.leave,
)


def sizes(subject: Node) -> dict[str, tuple[int, int]]:
    """Return how much a node keeps of each kind, and how much it may."""
    config, ctx, writes, stats = subject.config, subject.ctx, subject.writes, subject.stats()
    return {
        "requests": (stats.requests, config.max_requests),
        "questions passed on": (stats.passing, config.max_forwards),
        "known peers": (stats.known_peers, config.max_known_peers),
        "lost peers": (len(ctx.routing.lost), config.max_lost_peers),
        # What a node forgets by itself does not ask for room, and is forgotten once.
        "writes": (stats.pending_writes, config.max_pending_writes + config.max_records),
        "records": (stats.records, config.max_records),
        "bytes": (stats.bytes + writes.waiting, config.max_bytes),
        **{f"of {where}": (size, _MOST_OF.get(where, MOST_KEPT)) for where, size in _tables(subject)},
    }


MOST_KEPT = 64
"""What a table may hold that has no bound of its own in Config: each of the small bounds leaves it much smaller."""
_MOST_OF = {
    "timers._heap": 64 + 3 * 64,
    "coordinator.decided": 4096,
    "writes.replaced": 4096,
    "_own.doubted": 256,
}
"""Tables with other bounds."""
_LAYERS = (
    *("ring", "lookups", "membership", "finger_table", "merge", "writes", "syncs", "ranges", "coordinator", "reads"),
    *("graves", "scans", "watches", "repair", "tasks"),
)
_INNER = ("routing", "timers", "table", "history", "grants", "returned", "_forwards", "_own")
"""What layers are made of; a layer refers to lower ones, too, which have their turn."""


def _tables(subject: Node) -> Iterator[tuple[str, int]]:
    """Yield every table, list and tuple of every layer, and of the things in its tables."""
    for layer in ("ctx", *_LAYERS):
        yield from _within(getattr(subject, layer), layer)


def _within(thing: Any, where: str) -> Iterator[tuple[str, int]]:
    for name in _slots(type(thing)):
        held: Any = getattr(thing, name, None)
        kind = type(held)
        if kind is dict or kind is list or kind is tuple:
            yield f"{where}.{name}", len(held)
            if held and kind is not tuple:
                for each in list(held.values() if kind is dict else held)[:8]:
                    yield from _within(each, f"{where}.{name}[]")
        elif name in _INNER:
            yield from _within(held, name)


def _slots(kind: Any) -> tuple[str, ...]:
    if kind not in _SLOTS:
        state = kind.__module__.startswith("chord_proto") and not is_record(kind)
        _SLOTS[kind] = tuple(name for base in kind.__mro__ for name in getattr(base, "__slots__", ())) if state else ()
    return _SLOTS[kind]


_SLOTS: dict[Any, tuple[str, ...]] = {}


TARGETS: dict[str, Callable[[bytes], None]] = {"reader": reader, "decoder": decoder, "node": node}
