"""One stream between two processes, without I/O: the hello, the frames, and their bounds.

The side that dialled (the initiator) says hello, the other (the acceptor) replies with a welcome or with one refusal
of fixed size; then both send frames, a length of four bytes (big-endian) and the body that `chord_proto.wire`
makes.  An initiator need not wait for the welcome with what is the same in all versions that it speaks.

An adapter passes in what it read and sends what it is given::

    connection = Connection(initiator=True, hello=Hello("chord"), codec=codec, max_frame=frame_limit(config))
    connection.send(message)
    sock.sendall(connection.data_to_send())
    for message in connection.receive_data(sock.recv(65_536)):
        ...
"""

from __future__ import annotations

import struct

from chord_proto._wire_hello import MAX_HELLO, REPLY_SIZE, Hello, Reply, pack_reply, read_hello, read_reply
from chord_proto.blocks import BLOCK_SIZE
from chord_proto.config import Config
from chord_proto.errors import DecodeError, LocalProtocolError
from chord_proto.messages import Message
from chord_proto.peer import Address
from chord_proto.wire import Codec

__all__ = ["MAX_HELLO", "Connection", "Hello", "Reply", "common_version", "frame_limit"]

_LENGTH = struct.Struct(">I")
LENGTH_SIZE = _LENGTH.size
"""Bytes of the length before each frame's body."""
_MAX_LENGTH = (1 << 32) - 1
_AROUND_VALUES = 1024 * 1024
"""What may stand around the values in one message: a name, lists of peers and hops, the heads of many records."""


def frame_limit(config: Config) -> int:
    """Return ``max_frame`` for nodes of this configuration: enough for its longest value and its longest batch."""
    return max(config.max_value_size, config.max_batch_bytes, BLOCK_SIZE) + _AROUND_VALUES


def common_version(ours: tuple[int, int], theirs: tuple[int, int]) -> int | None:
    """Return the wire version in which two sides speak: the highest that both know, by the lowest and highest of each.

    None if there is no such version.
    """
    version = min(ours[1], theirs[1])
    return None if version < max(ours[0], theirs[0]) else version


class Connection:
    """The state of one connection; ``hello`` is what this side says, or wants to hear, of network and circle.

    ``max_frame`` is the longest body of a frame, in bytes, that is taken or sent.  Raises `ValueError` when hello
    and codec disagree about the circle.
    """

    __slots__ = (
        "_buffer", "_codec", "_failure", "_held", "_hello", "_initiator", "_max_frame", "_newest", "_out", "_over",
        "established", "full", "queued_bytes", "refused", "remote_address", "version",
    )  # fmt: skip

    def __init__(self, *, initiator: bool, hello: Hello, codec: Codec, max_frame: int) -> None:
        if hello.bits != codec.bits:
            raise ValueError(f"the hello says {hello.bits} bits, the codec {codec.bits}")
        if not 1 <= max_frame <= _MAX_LENGTH:
            raise ValueError(f"max_frame must be 1 to {_MAX_LENGTH}")
        self._initiator = initiator
        self._hello = hello
        self._newest = codec
        self._codec = codec.speaking(hello.versions[0])
        """Of the version that was agreed on; before that, of the earliest that this side speaks."""
        self._max_frame = max_frame
        self._buffer = bytearray()
        """What was received of a hello, reply or frame that is not complete."""
        self._out: list[bytes] = []
        self._held: list[tuple[Message, int]] = []
        """What has to wait for the end of the hello exchange, and how many bytes it is counted for."""
        self._over = False
        self._failure: str | None = None
        self.full: bool = False
        """An acceptor sets this while it has no room: a good hello is refused.  An initiator that was refused so finds it True."""
        self.established: bool = False
        """The hello exchange is complete on this side."""
        self.version: int | None = None
        """The wire version that was agreed on; None before that."""
        self.refused: str | None = None
        """Why the other side refused us or we refused it: send `data_to_send`, then close.  None: nobody did."""
        self.remote_address: Address | None = None
        """What the initiator claimed as its address; None for a client, and at the initiator itself.

        A claim: it counts once a peer has answered at that address.
        """
        self.queued_bytes: int = 0
        """How many bytes wait to be taken by `data_to_send`, those that wait for the welcome included."""
        if initiator:
            self._queue(hello.pack())

    @property
    def held_bytes(self) -> int:
        """How many bytes are held of what has not come completely."""
        return len(self._buffer)

    @property
    def missing(self) -> int:
        """How many bytes are missing of the frame of which something has come; 0 if that is not known yet."""
        if not self.established or len(self._buffer) < LENGTH_SIZE:
            return 0
        return int(_LENGTH.unpack_from(self._buffer)[0]) + LENGTH_SIZE - len(self._buffer)

    def send(self, message: Message) -> None:
        """Queue a message.  One that comes after the end of the connection is dropped, as on its way it might be.

        So is one that the agreed version has no way to say: nothing that needs an answer.

        Raises `LocalProtocolError`, and queues nothing, for a message that the codec refuses or that is longer
        than ``max_frame``.
        """
        waits = not self.established and not (self._initiator and self._codec.knows(message))
        codec = self._newest if waits else self._codec
        if not codec.knows(message) and self._newest.knows(message):
            return
        body = codec.encode(message)
        if len(body) > self._max_frame:
            name = type(message).__name__
            raise LocalProtocolError(f"{name} takes {len(body)} bytes, more than a frame's {self._max_frame}")
        if self._over:
            return
        size = LENGTH_SIZE + len(body)
        if waits:
            self._held.append((message, size))
        else:
            self._out += (_LENGTH.pack(len(body)), body)
        self.queued_bytes += size

    def data_to_send(self) -> bytes:
        """Return all that waits to be sent, in one piece, and forget it; ``b""`` when nothing waits."""
        data = b"".join(self._out)
        self._out.clear()
        self.queued_bytes -= len(data)
        return data

    def receive_data(self, data: bytes | memoryview) -> list[Message]:
        """Take the next bytes of the stream; return the messages that they complete, in order.  No view is kept.

        However the stream is split, the messages are the same.  Raises `DecodeError` for bytes that no correct
        peer sends; what came with them is lost, nothing is sent any more, and each further call raises it again.
        After a refusal and after `eof` bytes are ignored.
        """
        if self._failure is not None:
            raise DecodeError(self._failure)
        if self._over:
            return []
        work: bytes | bytearray | memoryview = data
        if self._buffer:
            self._buffer += data
            work = self._buffer
        try:
            offset = 0 if self.established else self._greet(bytes(work))
            if self.established:
                return self._frames(work, offset)
        except DecodeError as error:
            self._failure = str(error)
            self._end()
            raise
        if not self._over:
            self._keep(work, offset)
        return []

    def abandon(self) -> None:
        """Forget all that is held and queued: nothing more is read or sent."""
        self._end()

    def eof(self) -> None:
        """Take the end of the stream.

        Raises `DecodeError` when it ends within a hello or a frame.  An initiator that was neither welcomed nor
        refused finds `established` False.
        """
        if self._over:
            return
        incomplete = len(self._buffer)
        self._end()
        if incomplete:
            self._failure = f"the stream ended after {incomplete} bytes of an incomplete frame or hello"
            raise DecodeError(self._failure)

    def _frames(self, work: bytes | bytearray | memoryview, offset: int) -> list[Message]:
        """Decode the complete frames of ``work`` from ``offset`` on, and keep the rest."""
        messages: list[Message] = []
        end = len(work)
        decode = self._codec.decode
        view = memoryview(work)
        while end - offset >= LENGTH_SIZE:
            (length,) = _LENGTH.unpack_from(work, offset)
            if not 1 <= length <= self._max_frame:
                raise DecodeError(f"a frame of {length} bytes; they have 1 to {self._max_frame}")
            if end - offset - LENGTH_SIZE < length:
                break
            offset += LENGTH_SIZE
            messages.append(decode(view[offset : offset + length]))
            offset += length
        view.release()
        self._keep(work, offset)
        return messages

    def _keep(self, work: bytes | bytearray | memoryview, offset: int) -> None:
        """Keep what is left of ``work`` from ``offset`` on until more comes."""
        if offset == len(work):
            if self._buffer:
                self._buffer = bytearray()
        # What is left came with the last piece, if anything was taken: each byte moves once, whatever the split.
        elif offset or work is not self._buffer:
            self._buffer = bytearray(memoryview(work)[offset:])

    def _greet(self, work: bytes | bytearray) -> int:
        """Take the hello or the reply to it, if it is complete; return how many bytes it took."""
        if not self._initiator:
            return self._take_hello(work)
        reply = read_reply(work)
        if reply is None:
            return 0
        code, first, second = reply
        lowest, highest = self._hello.versions
        if code is Reply.WELCOME:
            if not lowest <= first <= highest:
                raise DecodeError(f"welcomed with wire version {first}, which was not offered")
            self._open(first)
        elif code is Reply.VERSION:
            self._refuse(f"no common wire version: the other side speaks {first} to {second}, we {lowest} to {highest}")
        elif code is Reply.NETWORK:
            self._refuse(f"the other side belongs to another network than {self._hello.network!r}")
        elif code is Reply.BITS:
            self._refuse(f"the other side's circle has {first} bits, ours {self._hello.bits}")
        else:
            self.full = True
            self._refuse("the other side has as many connections as it takes")
        return REPLY_SIZE

    def _take_hello(self, work: bytes | bytearray) -> int:
        """Welcome or refuse the initiator once its hello is complete; return how many bytes the hello took."""
        read = read_hello(work)
        if read is None:
            return 0
        theirs, size = read
        ours = self._hello
        version = common_version(ours.versions, theirs.versions)
        if version is None:
            reply = pack_reply(Reply.VERSION, *ours.versions)
            self._refuse(
                f"no common wire version: the other side speaks {theirs.versions[0]} to {theirs.versions[1]},"
                f" we {ours.versions[0]} to {ours.versions[1]}",
                reply,
            )
        elif theirs.network != ours.network:
            reason = f"the other side belongs to network {theirs.network!r}, we to {ours.network!r}"
            self._refuse(reason, pack_reply(Reply.NETWORK))
        elif theirs.bits != ours.bits:
            reason = f"the other side's circle has {theirs.bits} bits, ours {ours.bits}"
            self._refuse(reason, pack_reply(Reply.BITS, ours.bits))
        elif self.full:
            self._refuse("there are as many connections as are taken here", pack_reply(Reply.FULL))
        else:
            self.remote_address = theirs.address or None
            self._queue(pack_reply(Reply.WELCOME, version))
            self._open(version)
        return size

    def _open(self, version: int) -> None:
        """End the hello exchange well: what was held back may go."""
        self.established = True
        self.version = version
        self._codec = self._newest.speaking(version)
        held, self._held = self._held, []
        for message, size in held:
            self.queued_bytes -= size
            if self._codec.knows(message):
                self.send(message)

    def _refuse(self, reason: str, reply: bytes = b"") -> None:
        """End the hello exchange for good: nothing is sent but the one refusal, nothing is read any more."""
        self.refused = reason
        self._end()
        if reply:
            self._queue(reply)

    def _end(self) -> None:
        """Forget all that was queued and buffered."""
        self._over = True
        # A new one: a failed decode may still hold a view of the old one, which then cannot be resized.
        self._buffer = bytearray()
        self._out.clear()
        self._held.clear()
        self.queued_bytes = 0

    def _queue(self, piece: bytes) -> None:
        self._out.append(piece)
        self.queued_bytes += len(piece)
