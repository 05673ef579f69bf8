"""Hypothesis strategies for everything that crosses the core's border: peers, records, operations, messages.

Each takes ``bits``, the width of the circle.  Classes are drawn field by field from their types and, for plain
numbers, bytes and text, from their names, edges of the allowed range included.  Strategies are made once.
"""

from __future__ import annotations

import types
import typing
from enum import Enum
from functools import cache
from typing import Any

import attrs
from hypothesis import strategies as st

from chord_proto.messages import AnyMessage, Message, Reason, Record, Space
from chord_proto.operations import Operation, Result
from chord_proto.peer import Peer

MESSAGE_CLASSES: tuple[type[Message], ...] = typing.get_args(AnyMessage)
OPERATION_CLASSES: tuple[type[Operation], ...] = typing.get_args(Operation)
RESULT_CLASSES: tuple[type[Result], ...] = typing.get_args(Result)

SMALL = st.integers(0, 2**63 - 1) | st.sampled_from((0, 1, 127, 128, 2**32, 2**63 - 1))
"""Ids and counts: what fits in 63 bits, and the numbers at which MessagePack changes its form."""
NAMES = st.binary(max_size=40) | st.sampled_from((b"", b"users/42", "schlüssel/鍵".encode()))
VALUES = st.binary(max_size=200)
VERSIONS = st.text(max_size=40) | st.builds(
    "{:012x}-{:04x}-{:016x}".format,
    st.integers(0, 2**48 - 1) | st.sampled_from((0, 1_700_000_000_000, 2**48 - 1)),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**64 - 1),
)
"""Any text, and what has the form of a version."""
ADDRESSES = st.integers(7000, 7020).map("127.0.0.1:{}".format) | st.text(min_size=1, max_size=63)
"""Mostly a few that repeat; else any text of at most 255 bytes in UTF-8."""


@cache
def places(bits: int = 160) -> st.SearchStrategy[int]:
    """Return a strategy for places on the circle."""
    return st.integers(0, 2**bits - 1) | st.sampled_from((0, 2**bits - 1))


@cache
def peers(bits: int = 160) -> st.SearchStrategy[Peer]:
    """Return a strategy for well-formed peers."""
    indexes = st.integers(0, 3) | st.sampled_from((0, 255, 256, 65_535))
    return st.builds(lambda address, index: Peer.at(address, index, bits=bits), ADDRESSES, indexes)


@cache
def records(bits: int = 160) -> st.SearchStrategy[Record]:
    """Return a strategy for records and blocks."""
    return instances(Record, bits)


@cache
def operations(bits: int = 160) -> st.SearchStrategy[Operation]:
    """Return a strategy for all operations."""
    return st.one_of([instances(cls, bits) for cls in OPERATION_CLASSES])


@cache
def results(bits: int = 160) -> st.SearchStrategy[Result]:
    """Return a strategy for all results."""
    return st.one_of([instances(cls, bits) for cls in RESULT_CLASSES])


@cache
def messages(bits: int = 160) -> st.SearchStrategy[Message]:
    """Return a strategy for all messages."""
    return st.one_of([instances(cls, bits) for cls in MESSAGE_CLASSES])


def instances(cls: type[Any], bits: int = 160) -> st.SearchStrategy[Any]:
    """Return a strategy for the instances of one record class."""
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{field.name: _field(field.name, hints[field.name], bits) for field in attrs.fields(cls)})


def _field(name: str, hint: Any, bits: int) -> st.SearchStrategy[Any]:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return st.one_of([_field(name, argument, bits) for argument in arguments])
    if name == "after" and hint not in (types.NoneType, str):
        return st.tuples(places(bits), st.sampled_from(Space).map(int), NAMES)
    if name == "names":
        return st.lists(st.tuples(st.sampled_from(Space).map(int), NAMES), max_size=4).map(tuple)
    if name in ("granted", "arcs", "lost"):
        return st.lists(st.tuples(places(bits), places(bits)), max_size=4).map(tuple)
    if typing.get_origin(hint) is tuple:
        return st.lists(_field(name, arguments[0], bits), max_size=4).map(tuple)
    if hint is Peer:
        return peers(bits)
    if hint is types.NoneType:
        return st.none()
    if hint is bool:
        return st.booleans()
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    if attrs.has(hint):
        return instances(hint, bits)
    return _plain(name, hint, bits)


def _plain(name: str, hint: type, bits: int) -> st.SearchStrategy[Any]:
    """Return the strategy of a plain field; one that no table knows is an error, so that none is drawn without edges."""
    tables: dict[type, dict[str, st.SearchStrategy[Any]]] = {
        int: {
            **dict.fromkeys(("target", "place", "start", "end"), places(bits)),
            **dict.fromkeys(("incarnation", "target_incarnation", "request", "write_id", "expires", "ttl"), SMALL),
            **dict.fromkeys(
                (
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
                SMALL,
            ),
            "key": st.integers(0, 2**160 - 1),
            "hops": st.integers(0, 1024),
            "width": st.integers(0, 255),
            "quorum": st.sampled_from((0, 1, 2, 3, 254, 255)),
            "timeout": st.integers(0, 2**32 - 1),
            "space": st.sampled_from(Space).map(int),
            "reason": st.sampled_from(Reason).map(int),
        },
        float: {"seconds": st.floats(0.0, 1e9)},
        bytes: {
            "name": NAMES,
            "prefix": NAMES,
            "value": VALUES,
            "data": VALUES,
            "digest": st.binary(min_size=16, max_size=16),
        },
        str: {
            "version": VERSIONS,
            "condition": VERSIONS | st.just(""),
            "after": VERSIONS,
            "cursor": VERSIONS,
            "phase": st.text(max_size=32),
        },
    }
    return tables[hint][name]
