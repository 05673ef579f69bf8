"""A stand-in for the next wire version: two must be able to live in one ring, however much they differ."""

from __future__ import annotations

from chord_proto.errors import DecodeError
from chord_proto.messages import Message
from chord_proto.wire import WIRE_VERSION, Codec

THIS = (WIRE_VERSION, WIRE_VERSION)
"""The versions of a host as it is today."""
BOTH = (WIRE_VERSION, WIRE_VERSION + 1)
"""The versions of a host that speaks the next one, too."""
_MARK = b"\xff"
_FIELD = b"\xa4next"


class NextCodec:
    """The next wire version: other bytes at the beginning, one more field at the end.

    Neither version's decoder takes the bytes of the other for a message.
    """

    def __init__(self, bits: int = 160) -> None:
        self._codec = Codec(bits)

    def encode(self, message: Message) -> bytes:
        """Return the bytes of a message."""
        return _MARK + self._codec.encode(message) + _FIELD

    def decode(self, data: bytes) -> Message:
        """Return the message that the bytes are; raises `DecodeError` for those of another version."""
        if not data.startswith(_MARK) or not data.endswith(_FIELD):
            raise DecodeError("not a message of the next wire version")
        return self._codec.decode(data[len(_MARK) : -len(_FIELD)])
