"""Everything that a fuzzer's bytes are made into: numbers, peers, records, operations, and well-formed messages.

A byte more or less makes another input, never none: what is missing at the end reads as zero.  Places are of a circle
of 8 bits, and names, peers, versions and numbers of a few that a node knows, so that what is drawn gets past the first
checks.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, TypeVar

import attrs

from chord_proto.messages import Answer, AnyMessage, Message, Reached, Reason, Space
from chord_proto.node import Node
from chord_proto.operations import Describe, Operation
from chord_proto.peer import Peer
from tests.proto.rig import block_at, name_at, peer, version

T = TypeVar("T")
Maker = Callable[["Drawn"], Any]

MEMBERS = (200, 60, 100, 230)
"""Places of the neighbours that the nodes of `tests.fuzz.states` have, besides their own place 10."""
PEERS = (
    *(peer(place) for place in (10, *MEMBERS, 5, 11, 30, 59, 61, 70, 150, 199, 201, 220, 255)),
    *(Peer.at(f"host{number}", number % 3, bits=8) for number in range(16)),
)
NAMES = (*(name_at(place) for place in (5, 10, 30, 70, 150, 200, 220)), b"", b"a" * 1025)
BLOCKS = tuple(block_at(place) for place in (5, 30, 150))
VERSIONS = (
    *(version(number) for number in (0, 1, 2, 100_000, 2**47)),
    "",
    "0001",
    "ffffffffffff-ffff-ffffffffffffffff",
)
NUMBERS = (0, 1, 2, 77, 2**31, 2**63 - 1)
MESSAGE_CLASSES: tuple[type[Message], ...] = typing.get_args(AnyMessage)
OPERATION_CLASSES: tuple[type[Operation], ...] = typing.get_args(Operation)
LOCAL = tuple(kind for kind in OPERATION_CLASSES if kind is not Describe)
"""What an application may ask its own node for."""


class Drawn:
    """The bytes of one input, read from the front."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return max(0, len(self.data) - self.at)

    def byte(self) -> int:
        """Return the next byte, 0 at the end."""
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def of(self, choices: Sequence[T]) -> T:
        """Return one of some."""
        return choices[self.byte() % len(choices)]

    def few(self, maker: Callable[[Drawn], T]) -> tuple[T, ...]:
        """Return up to three things; seldom many, to meet the bounds of lists."""
        count = self.byte()
        if count == 255:
            return tuple(maker(self) for _ in range(70))
        return tuple(maker(self) for _ in range(count % 4))

    def rest(self) -> bytes:
        """Return all that is left."""
        at, self.at = self.at, len(self.data)
        return self.data[at:]


def message(drawn: Drawn, node: Node) -> tuple[Message, str]:
    """Return a message for a node, and where it comes from; most have a sender, a life and a request that fit."""
    kind = drawn.of(MESSAGE_CLASSES)
    fit = drawn.byte()
    source: Peer | None = drawn.of(PEERS)
    life = 1 + drawn.byte() % 3
    request = drawn.of(NUMBERS)
    calls = node.ctx.calls
    if issubclass(kind, Answer) and calls and fit & 7:
        call = calls[sorted(calls)[request % len(calls)]]
        request, source, life = call.request, call.peer or source, 1
    elif fit & 8 and fit & 16:
        source, life = None, 0
    header: dict[str, Any] = {
        "source": source,
        "incarnation": life,
        "target": node.me.id if fit & 0xE0 else drawn.byte(),
        "target_incarnation": 1 if fit & 0x60 == 0x60 else 0,
        "request": request,
    }
    fields = {name: header[name] if name in header else maker(drawn) for name, maker in makers(kind)}
    tokens = sorted(node.lookups.patience.tokens)
    if kind is Reached and tokens and fit & 7:
        fields["number"] = tokens[request % len(tokens)]
    # Nobody outside is at the node's own address.
    return kind(**fields), "in:1" if source is None or source == node.me else source.address


def operation(drawn: Drawn) -> Operation:
    """Return an operation for an application to begin."""
    return typing.cast("Operation", instance(drawn, drawn.of(LOCAL)))


def instance(drawn: Drawn, kind: type[Any]) -> Any:
    """Return an instance of a record class, drawn field by field."""
    return kind(**{name: maker(drawn) for name, maker in makers(kind)})


def makers(kind: Any) -> tuple[tuple[str, Maker], ...]:
    """Return how each field of a class is drawn."""
    if kind not in _MAKERS:
        hints = typing.get_type_hints(kind)
        _MAKERS[kind] = tuple((field.name, _maker(field.name, hints[field.name])) for field in attrs.fields(kind))
    return _MAKERS[kind]


_MAKERS: dict[Any, tuple[tuple[str, Maker], ...]] = {}


def _maker(name: str, hint: Any) -> Maker:
    inner = typing.get_args(hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return _any_of([_maker(name, each) for each in inner])
    if name == "after" and hint not in (types.NoneType, str):
        return lambda drawn: (drawn.byte(), drawn.byte() % 2, drawn.of(NAMES))
    if name == "names":
        return lambda drawn: drawn.few(_name)
    if name in ("granted", "arcs", "lost"):
        return lambda drawn: drawn.few(lambda each: (each.byte(), each.byte()))
    if typing.get_origin(hint) is tuple:
        element = _maker(name, inner[0])
        return lambda drawn: drawn.few(element)
    if hint is Peer:
        return lambda drawn: drawn.of(PEERS)
    if hint is types.NoneType:
        return lambda _: None
    if hint is bool:
        return lambda drawn: bool(drawn.byte() & 1)
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = tuple(hint)
        return lambda drawn: drawn.of(members)
    if attrs.has(hint):
        return lambda drawn: instance(drawn, hint)
    return _PLAIN.get((hint, name), _BY_TYPE.get(hint, _number))


def _any_of(each: list[Maker]) -> Maker:
    return lambda drawn: drawn.of(each)(drawn)


def _number(drawn: Drawn) -> int:
    which = drawn.byte()
    return NUMBERS[which % len(NUMBERS)] if which < 128 else drawn.byte()


def _place(drawn: Drawn) -> int:
    return drawn.byte()


def _name(drawn: Drawn) -> tuple[int, bytes]:
    which = drawn.byte()
    return (int(Space.BLOCK), BLOCKS[which % len(BLOCKS)].name) if which & 1 else (0, NAMES[which // 2 % len(NAMES)])


def _record_name(drawn: Drawn) -> bytes:
    return _name(drawn)[1]


def _value(drawn: Drawn) -> bytes:
    which = drawn.byte()
    if which & 1:
        return BLOCKS[which // 2 % len(BLOCKS)].value or b""
    return (b"", b"v", b"w", b"x" * 600)[which // 2 % 4]


_PLAIN: dict[tuple[Any, str], Maker] = {
    **{(int, name): _place for name in ("target", "place", "start", "end")},
    (int, "space"): lambda drawn: drawn.byte() % 2,
    (int, "reason"): lambda drawn: drawn.byte() % (len(Reason) + 1),
    (int, "quorum"): lambda drawn: drawn.of((0, 1, 2, 3, 254, 255)),
    (int, "timeout"): lambda drawn: 100 * drawn.byte(),
    (int, "key"): lambda drawn: int.from_bytes(drawn.of(BLOCKS).name),
    (int, "expires"): lambda drawn: drawn.of((0, 1, 1_700_000_000_000, 2**63 - 1)),
    (int, "width"): lambda drawn: drawn.of((0, 1, 2, 3, 255)),
    (bytes, "name"): _record_name,
    (bytes, "prefix"): _record_name,
    (bytes, "digest"): lambda drawn: bytes((drawn.byte(),)) * 16,
}
_BY_TYPE: dict[Any, Maker] = {
    str: lambda drawn: drawn.of(VERSIONS),
    bytes: _value,
    float: lambda drawn: float(drawn.byte()),
}
