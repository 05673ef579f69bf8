"""Messages to bytes and back: the body of one frame, bounded in every field.

A body is one byte for the type of message and the MessagePack array of its fields, in the order of the class,
the header (source, incarnation, target, target_incarnation, and the request id where there is one) first.
docs/reference/wire.md, made from these tables by `chord_proto._wire_doc`, says what each field looks like.
Length prefixes, the hello and the versions are `chord_proto.connection`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from chord_proto._wire_fields import MAX_ID, MAX_NAME, Kinds
from chord_proto._wire_peers import MAX_ADDRESS, PeerTable
from chord_proto._wire_types import INSTEAD, MESSAGES, SINCE, TAGGED
from chord_proto.errors import DecodeError, LocalProtocolError
from chord_proto.messages import Message

__all__ = ["MAX_ADDRESS", "MAX_NAME", "OLDEST_VERSION", "WIRE_VERSION", "Codec", "DecodeError"]

WIRE_VERSION = 2
"""The version of the format that this module writes and reads."""
OLDEST_VERSION = 1
"""The earliest version that it writes and reads as well."""

_HEADER = len(("source", "incarnation", "target", "target_incarnation"))


class Codec:
    """Encodes and decodes the messages of a circle of ``bits`` bits (1 to 160).

    One serves all connections of a process.  It remembers up to ``interned`` peers each way, so that a peer met
    again costs a dictionary lookup and comes out as the same object.  It speaks ``version``; what an earlier one does not
    know is sent as something that it does know, if there is such, and not read.
    """

    __slots__ = ("_encode", "_others", "_readers", "_writers", "bits", "version")

    def __init__(self, bits: int = 160, *, interned: int = 4096, version: int = WIRE_VERSION) -> None:
        if not 1 <= bits <= 160:
            raise ValueError(f"a circle has 1 to 160 bits, not {bits}")
        if not OLDEST_VERSION <= version <= WIRE_VERSION:
            raise ValueError(f"wire versions {OLDEST_VERSION} to {WIRE_VERSION} are spoken, not {version}")
        self.version = version
        self._others: dict[int, Codec] = {}
        self.bits = bits
        """Width of the circle."""
        kinds = Kinds(bits, PeerTable(bits, interned), TAGGED)
        self._encode = msgspec.msgpack.Encoder().encode
        self._writers: dict[type, tuple[bytes, Callable[[Any], list[Any]]]] = {}
        self._readers: dict[int, tuple[Callable[[bytes | memoryview], Any], Callable[[Any], Message]]] = {}
        for number, cls in MESSAGES.items():
            kind = kinds.of_class(cls)
            assert kind.pack is not None
            assert kind.unpack is not None
            self._writers[cls] = (bytes((number,)), kind.pack)
            self._readers[number] = (msgspec.msgpack.Decoder(kind.wire).decode, kind.unpack)
        self._limit(version)

    def speaking(self, version: int) -> Codec:
        """Return the codec of a version up to this one's that remembers peers together with this one.

        Of a version that is not spoken here it is the nearest one.
        """
        version = min(max(version, OLDEST_VERSION), self.version)
        if version == self.version:
            return self
        other = self._others.get(version)
        if other is None:
            other = self._others[version] = object.__new__(Codec)
            other.bits, other.version, other._encode, other._others = self.bits, version, self._encode, {}
            other._writers, other._readers = dict(self._writers), dict(self._readers)
            other._limit(version)
        return other

    def knows(self, message: Message) -> bool:
        """Tell whether there is a way to say ``message`` in this version."""
        return type(message) in self._writers

    def _limit(self, version: int) -> None:
        """Leave out what came after ``version``; what stands for it there has its first fields."""
        for number, cls in MESSAGES.items():
            if SINCE.get(cls, OLDEST_VERSION) > version:
                del self._readers[number], self._writers[cls]
                if cls in INSTEAD:
                    self._writers[cls] = self._writers[INSTEAD[cls]]

    def encode(self, message: Message) -> bytes:
        """Return the body of the frame that carries ``message``.

        Raises `LocalProtocolError` for a message that `decode` would refuse: a number, a name or a list beyond its
        bounds, a place that is not on the circle, a peer whose id is not its own, a class that is no message.
        """
        try:
            number, pack = self._writers[type(message)]
        except KeyError:
            raise LocalProtocolError(f"{type(message).__name__} is no message of wire version {self.version}") from None
        try:
            values = pack(message)
            body = number + self._encode(values)
        except (ValueError, OverflowError) as error:
            raise LocalProtocolError(f"{type(message).__name__} cannot be sent: {error}") from error
        numbers = values[1] | values[3]
        if len(values) > _HEADER:
            numbers |= values[_HEADER]
        # Together they are negative or too great when one of them is: one check instead of three.
        if not 0 <= numbers <= MAX_ID:
            raise LocalProtocolError(f"{type(message).__name__} cannot be sent: a number in its header is out of range")
        return body

    def decode(self, data: bytes | memoryview) -> Message:
        """Return the message in the body of a frame.

        Raises `DecodeError` for anything that is not exactly one message within its bounds, and nothing else.
        """
        try:
            read, unpack = self._readers[data[0]]
        except (IndexError, KeyError):
            kind = f"of the unknown type {data[0]}" if data else "empty"
            raise DecodeError(f"the body of a frame is {kind}") from None
        try:
            return unpack(read(data[1:]))
        # msgspec's own errors, text that is no UTF-8 and peers that are none are ValueErrors; nesting is not.
        except (ValueError, RecursionError) as error:
            # Cut, and without the cause: either may quote what the peer sent, however long.
            raise DecodeError(f"not a message of type {data[0]}: {str(error)[:200]}") from None
