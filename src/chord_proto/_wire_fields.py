"""How one field is written: a table of kinds, from which the codec of every class is put together.

A kind says what the field looks like in MessagePack (a type that msgspec checks in C, with its bounds), and how
it is turned into the Python value and back where the two differ.  Which kind a field has follows from its type
and, for plain numbers, bytes and text, from its name: a field that the tables do not know is an error when the
codec is built, never a field without bounds.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from operator import attrgetter
from typing import Annotated, Any, Literal

import attrs
import msgspec
from msgspec import Meta

from chord_proto._wire_peers import MAX_BLOB, MIN_BLOB, PeerTable
from chord_proto.identifiers import CONTENT_BITS
from chord_proto.messages import Grant, Reason, Record, Space, Summary
from chord_proto.operations import Change, Entry, Hop
from chord_proto.peer import Peer

MAX_ID = (1 << 63) - 1
"""Greatest request id, write id and incarnation, and greatest number of anything counted."""
MAX_NAME = 65_535
"""Most bytes of a record's name."""
MAX_VERSION = 128
"""Most characters of a version."""
MAX_WORD = 32
"""Most characters of a short word, such as a phase."""
MAX_PEERS = 256
"""Most peers in one list."""
MAX_RECORDS = 16_384
"""Most records, summaries or names in one list."""
MAX_ARCS = 256
"""Most arcs of the circle in one list."""
MAX_HOPS = 1024
"""Most hops in the path of a lookup."""
MAX_WIDTH = 255
"""Greatest number of distinct addresses that a ring is said to have had."""
MAX_TIMEOUT = (1 << 32) - 1
"""Longest timeout in milliseconds: 49 days."""
MAX_SECONDS = 1e9
"""Longest time that a hop of a lookup takes; anything finite would do."""
DIGEST_SIZE = 16
"""Bytes of the digest of a range."""

_LENGTHS: dict[Any, int] = {
    Peer: MAX_PEERS,
    Hop: MAX_HOPS,
    Record: MAX_RECORDS,
    Summary: MAX_RECORDS,
    Entry: MAX_RECORDS,
    Change: MAX_RECORDS,
    Grant: MAX_ARCS,
}

Convert = Callable[[Any], Any]


@attrs.frozen
class Kind:
    """How a field is written.  ``pack`` raises `ValueError` for what ``unpack`` would refuse."""

    wire: Any
    """The type that msgspec decodes and checks."""
    text: str
    """The same in words, for the reference."""
    pack: Convert | None = None
    """Turns the Python value into what msgspec encodes; None: they are the same."""
    unpack: Convert | None = None
    """Turns what msgspec decoded into the Python value; None: they are the same."""


def optional(kind: Kind) -> Kind:
    """Return the kind of a field that may be None.  Converters never see None: `struct` passes it by."""
    return attrs.evolve(kind, wire=kind.wire | None, text=f"{kind.text}, or nil")


def checked(wire: Any, text: str, valid: Callable[[Any], bool], unpack: Convert | None = None) -> Kind:
    """Return a kind whose value is checked, and not changed, before it is written."""

    def pack(value: Any) -> Any:
        if not valid(value):
            raise ValueError(f"{value!r:.80} is not {text}")
        return value

    return Kind(wire, text, pack, unpack)


def whole(high: int) -> Kind:
    """Return the kind of a number from 0 to ``high``."""
    text = f"integer, 0 to {high:,}" if high < MAX_ID else "integer, 0 to 2^63 - 1"
    return checked(Annotated[int, Meta(ge=0, le=high)], text, lambda value: 0 <= value <= high)


def one_of(values: type[Enum]) -> Kind:
    """Return the kind of a number that stands for something."""
    known = tuple(sorted(int(member.value) for member in values))
    return checked(Literal[known], f"integer, a *{values.__name__}*", frozenset(known).__contains__)


def sized(base: type[bytes | str], low: int, high: int) -> Kind:
    """Return the kind of bytes or text of ``low`` to ``high`` bytes or characters."""
    sort, unit = ("binary", "bytes") if base is bytes else ("string", "characters")
    text = f"{sort}, {high} {unit}" if low == high else f"{sort}, up to {high:,} {unit}"
    bounds = Meta(min_length=low, max_length=high)
    wire = Annotated[bytes, bounds] if base is bytes else Annotated[str, bounds]
    return checked(wire, text, lambda value: low <= len(value) <= high)


def seconds() -> Kind:
    """Return the kind of a length of time; the bounds leave out infinity and what is no number."""
    wire = Annotated[float, Meta(ge=0.0, le=MAX_SECONDS)]
    return checked(wire, f"float, 0 to {MAX_SECONDS:,.0f}", lambda value: 0.0 <= value <= MAX_SECONDS)


def big(bits: int, text: str) -> Kind:
    """Return the kind of a number of ``bits`` bits, written as bytes: integers of MessagePack end at 64 bits."""
    size = (bits + 7) // 8
    limit = 1 << bits

    def pack(value: int) -> bytes:
        if not 0 <= value < limit:
            raise ValueError(f"{value} is no place or key of {bits} bits")
        return value.to_bytes(size)

    def unpack(data: bytes) -> int:
        value = int.from_bytes(data)
        if value >= limit:
            raise ValueError(f"{value} is no place or key of {bits} bits")
        return value

    # Where the bits fill the bytes every value is in range, and the builtin is twice as fast.
    return Kind(
        Annotated[bytes, Meta(min_length=size, max_length=size)], text, pack, unpack if bits % 8 else int.from_bytes
    )


def many(kind: Kind, high: int) -> Kind:
    """Return the kind of a tuple of up to ``high`` values of one kind."""
    pack_one, unpack_one = kind.pack, kind.unpack

    def pack(values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(values) > high:
            raise ValueError(f"a list of {len(values)} is longer than {high}")
        return values if pack_one is None else tuple(map(pack_one, values))

    def unpack(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return values if unpack_one is None else tuple(map(unpack_one, values))

    wire: Any = types.GenericAlias(tuple, (kind.wire, ...))
    wire = Annotated[wire, Meta(max_length=high)]
    return Kind(wire, f"array of up to {high:,}: {kind.text}", pack, unpack if unpack_one else None)


def struct(kinds: list[Kind], text: str, make: Callable[..., Any], fields: Convert) -> Kind:
    """Return the kind of an array of fixed fields: ``fields`` takes a value apart, ``make`` makes one of its parts."""
    packs = tuple((at, kind.pack) for at, kind in enumerate(kinds) if kind.pack is not None)
    unpacks = tuple((at, kind.unpack) for at, kind in enumerate(kinds) if kind.unpack is not None)

    def pack(value: Any) -> list[Any]:
        parts = list(fields(value))
        for at, convert in packs:
            if (part := parts[at]) is not None:
                parts[at] = convert(part)
        return parts

    def unpack(parts: tuple[Any, ...]) -> Any:
        if not unpacks:
            return make(*parts)
        values = list(parts)
        for at, convert in unpacks:
            if (part := values[at]) is not None:
                values[at] = convert(part)
        return make(*values)

    return Kind(types.GenericAlias(tuple, tuple(kind.wire for kind in kinds)), text, pack, unpack)


def fields_getter(names: tuple[str, ...]) -> Convert:
    """Return what takes an object apart into the tuple of its fields."""
    if len(names) > 1:
        return attrgetter(*names)
    # attrgetter returns a single field bare.
    return lambda value: tuple(getattr(value, name) for name in names)


def _under(kind: Kind, base: type, *names: str) -> dict[tuple[str, Any], Kind]:
    return {(name, base): kind for name in names}


def _together(*parts: Any) -> tuple[Any, ...]:
    return parts


_FIELD_TYPES: dict[type, Mapping[str, Any]] = {}
"""What `field_types` has found: it takes long, and each client and each node makes a codec."""


def field_types(cls: type) -> Mapping[str, Any]:
    """Return the fields of a class in the order in which they are written, and their types."""
    found = _FIELD_TYPES.get(cls)
    if found is None:
        hints = typing.get_type_hints(cls)
        found = _FIELD_TYPES[cls] = {field.name: hints[field.name] for field in attrs.fields(cls)}
    return found


class Kinds:
    """All kinds of one circle: finds the kind of each field of each class.

    ``tagged`` names the unions of classes that may stand in a field, each with the numbers of its classes.
    """

    def __init__(self, bits: int, peers: PeerTable, tagged: Mapping[Any, Mapping[int, type]]) -> None:
        self._tagged = tagged
        self._peer = Kind(
            Annotated[bytes, Meta(min_length=MIN_BLOB, max_length=MAX_BLOB)], "*peer*", peers.pack, peers.unpack
        )
        place = big(bits, "*place*")
        number = whole(MAX_ID)
        # The numbers of the header are in every message and the core's own: `Codec.encode` checks them at once.
        header = attrs.evolve(number, pack=None)
        content = Kind(bytes, "binary, as long as the frame allows")
        self._plain: dict[tuple[str, Any], Kind] = {
            **_under(header, int, "incarnation", "target_incarnation", "request"),
            **_under(place, int, "target", "place", "start", "end"),
            **_under(big(CONTENT_BITS, "*content key*"), int, "key"),
            **_under(
                number,
                int,
                "write_id",
                "expires",
                "ttl",
                "count",
                "asked",
                "keys",
                "bytes",
                "peers",
                "pending",
                "missing",
                "repaired",
                "age",
                "founded",
                "size",
                "life",
                "number",
            ),
            **_under(whole(MAX_HOPS), int, "hops"),
            **_under(whole(MAX_WIDTH), int, "width", "quorum"),
            **_under(whole(MAX_TIMEOUT), int, "timeout"),
            **_under(one_of(Space), int, "space"),
            **_under(one_of(Reason), int, "reason"),
            **_under(seconds(), float, "seconds"),
            **_under(sized(bytes, 0, MAX_NAME), bytes, "name", "prefix"),
            **_under(sized(bytes, DIGEST_SIZE, DIGEST_SIZE), bytes, "digest"),
            **_under(content, bytes, "value", "data"),
            **_under(sized(str, 0, MAX_VERSION), str, "version", "condition", "after", "cursor"),
            **_under(sized(str, 0, MAX_WORD), str, "phase"),
        }
        # Tuples without a class of their own, by the name of the field.
        arc = struct([place, place], "array of start, end", _together, tuple)
        pair = [self._plain["space", int], self._plain["name", bytes]]
        self._tuples = {
            "after": struct([place, *pair], "array of place, space, name", _together, tuple),
            "names": many(struct(pair, "array of space, name", _together, tuple), MAX_RECORDS),
            **dict.fromkeys(("granted", "arcs", "lost"), many(arc, MAX_ARCS)),
        }

    def of_class(self, cls: type) -> Kind:
        """Return the kind of a record class: the array of its fields."""
        kinds = [self.of_field(name, hint) for name, hint in field_types(cls).items()]
        return struct(kinds, f"*{cls.__name__}*", cls, fields_getter(tuple(field_types(cls))))

    def of_field(self, name: str, hint: Any) -> Kind:
        """Return the kind of a field; `TypeError` when the tables do not know it."""
        if hint in self._tagged:
            return self._union(self._tagged[hint])
        arguments = typing.get_args(hint)
        if typing.get_origin(hint) in (types.UnionType, typing.Union):
            (inner,) = (argument for argument in arguments if argument is not types.NoneType)
            return optional(self.of_field(name, inner))
        if typing.get_origin(hint) is tuple and name in self._tuples:
            return self._tuples[name]
        if typing.get_origin(hint) is tuple and arguments[-1] is Ellipsis:
            return many(self.of_field(name, arguments[0]), _LENGTHS[arguments[0]])
        if hint is Peer:
            return self._peer
        if hint is bool:
            return Kind(bool, "boolean")
        if isinstance(hint, type) and issubclass(hint, Enum):
            return Kind(hint, "string, one of " + ", ".join(f"`{member.value}`" for member in hint))
        if attrs.has(hint):
            return self.of_class(hint)
        if (name, hint) in self._plain:
            return self._plain[name, hint]
        raise TypeError(f"no kind is known for the field {name}: {hint}")

    def _union(self, numbers: Mapping[int, type]) -> Kind:
        """Return the kind of a field that holds one of several classes: their number, then the class."""
        kinds = {number: self.of_class(cls) for number, cls in numbers.items()}
        tags = {cls: number for number, cls in numbers.items()}
        packs = {cls: kinds[number].pack for number, cls in numbers.items()}
        readers = {number: (msgspec.msgpack.Decoder(kind.wire).decode, kind.unpack) for number, kind in kinds.items()}

        def pack(value: Any) -> tuple[int, Any]:
            cls = type(value)
            convert = packs[cls]
            assert convert is not None
            return tags[cls], convert(value)

        def unpack(parts: tuple[int, msgspec.Raw]) -> Any:
            number, raw = parts
            decode, convert = readers[number]
            assert convert is not None
            return convert(decode(raw))

        wire = types.GenericAlias(tuple, (Literal[tuple(numbers)], msgspec.Raw))
        return Kind(wire, "array of a number and the fields that it stands for", pack, unpack)
