r"""The first bytes of a connection: the initiator's hello, and the acceptor's reply of fixed size.

Their layout is for good, whatever the wire version, or two versions could not even find out that they differ::

    hello   8  MARK         b"\x89ChordH\n"
            1  lowest       wire version that the initiator speaks
            1  highest      wire version that it speaks
            1  bits         width of its circle, 1 to 160
            1  network      length of the name that follows, 1 to 255
            1  address      length of the address that follows; 0 for a client, which has none
            1  options      length of what follows for later versions; ignored by this one
               the network's name and the address in UTF-8, the options

    reply   8  REPLY_MARK   b"\x89ChordR\n"
            1  code         see `Reply`
            2  two details  welcome: the version agreed on, 0; VERSION: the acceptor's lowest, highest;
                            BITS: the acceptor's bits, 0; else 0, 0
"""

from __future__ import annotations

import struct
from enum import IntEnum

import attrs

from chord_proto._wire_peers import MAX_ADDRESS
from chord_proto.errors import DecodeError
from chord_proto.identifiers import CONTENT_BITS
from chord_proto.peer import Address
from chord_proto.wire import OLDEST_VERSION, WIRE_VERSION

MARK = b"\x89ChordH\n"
"""What a hello begins with; no text and no other protocol does."""
REPLY_MARK = b"\x89ChordR\n"
"""What the reply to it begins with."""
MAX_NETWORK = 255
"""Most bytes of a network's name in UTF-8."""

_HELLO = struct.Struct(">8s6B")
_REPLY = struct.Struct(">8s3B")
REPLY_SIZE = _REPLY.size
"""Bytes of every reply."""
MAX_HELLO = _HELLO.size + MAX_NETWORK + MAX_ADDRESS + 255
"""Most bytes of a hello, and of what is kept of a stranger's bytes before its hello is complete."""


class Reply(IntEnum):
    """How the acceptor replies to a hello."""

    WELCOME = 0
    """Frames of the agreed version follow, both ways."""
    VERSION = 1
    """There is no wire version that both sides speak."""
    NETWORK = 2
    """The acceptor belongs to a network of another name."""
    BITS = 3
    """The acceptor's circle has another width."""
    FULL = 4
    """The acceptor has as many connections as it takes; another time, perhaps."""


def _text(name: str, low: int, high: int) -> str:
    size = len(name.encode())
    if not low <= size <= high:
        raise ValueError(f"{name!r:.80} has {size} bytes, not {low} to {high}")
    return name


@attrs.frozen
class Hello:
    """What a side says of itself.  ``address`` is where it is reached, ``""`` for a client, which is not.

    Raises `ValueError` for what a hello cannot carry.
    """

    network: str
    bits: int = 160
    address: Address = ""
    versions: tuple[int, int] = (OLDEST_VERSION, WIRE_VERSION)
    """Lowest and highest wire version that it speaks."""

    def __attrs_post_init__(self) -> None:
        """Check the bounds."""
        _text(self.network, 1, MAX_NETWORK)
        _text(self.address, 0, MAX_ADDRESS)
        if not 1 <= self.bits <= CONTENT_BITS:
            raise ValueError(f"a circle has 1 to {CONTENT_BITS} bits, not {self.bits}")
        if not 1 <= self.versions[0] <= self.versions[1] <= 255:
            raise ValueError(f"{self.versions} is no range of wire versions")

    def pack(self) -> bytes:
        """Return the bytes of the hello."""
        network, address = self.network.encode(), self.address.encode()
        return _HELLO.pack(MARK, *self.versions, self.bits, len(network), len(address), 0) + network + address


def read_hello(data: bytes | bytearray) -> tuple[Hello, int] | None:
    """Return the hello that ``data`` begins with, and its length; None while it is incomplete.

    Raises `DecodeError` as soon as the bytes can no longer become a hello.
    """
    _check_mark(data, MARK)
    if len(data) < _HELLO.size:
        return None
    _, low, high, bits, network, address, options = _HELLO.unpack_from(data)
    at_address = _HELLO.size + network
    at_options = at_address + address
    if len(data) < at_options + options:
        return None
    try:
        hello = Hello(
            bytes(data[_HELLO.size : at_address]).decode(),
            bits,
            bytes(data[at_address:at_options]).decode(),
            (low, high),
        )
    except ValueError as error:
        raise DecodeError(f"a hello that cannot be: {error}") from None
    return hello, at_options + options


def pack_reply(code: Reply, first: int = 0, second: int = 0) -> bytes:
    """Return the bytes of a reply."""
    return _REPLY.pack(REPLY_MARK, code, first, second)


def read_reply(data: bytes | bytearray) -> tuple[Reply, int, int] | None:
    """Return the code and the details of the reply that ``data`` begins with; None while it is incomplete.

    Raises `DecodeError` as soon as the bytes can no longer become a reply.
    """
    _check_mark(data, REPLY_MARK)
    if len(data) < REPLY_SIZE:
        return None
    _, code, first, second = _REPLY.unpack_from(data)
    try:
        return Reply(code), first, second
    except ValueError:
        raise DecodeError(f"a reply of the unknown code {code}") from None


def _check_mark(data: bytes | bytearray, mark: bytes) -> None:
    if not mark.startswith(bytes(data[: len(mark)])):
        raise DecodeError("the other side speaks another protocol")
