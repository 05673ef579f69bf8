"""Two ends of a connection and the way between them, for the tests of hello and frames."""

from __future__ import annotations

from itertools import pairwise

from chord_proto import messages as m
from chord_proto.connection import Connection, Hello
from chord_proto.wire import Codec
from tests.proto import samples

CODECS = {bits: Codec(bits) for bits in (8, 9, 160)}
CODEC = CODECS[160]
MAX_FRAME = 100_000
ALL = list(samples.MESSAGES.values())
PING = samples.MESSAGES["Ping"]
HELLO = Hello("chord", address="127.0.0.1:7000")


def dialled(hello: Hello = HELLO, *, max_frame: int = MAX_FRAME) -> Connection:
    """Return the initiator's end of a connection."""
    return Connection(initiator=True, hello=hello, codec=CODECS[hello.bits], max_frame=max_frame)


def accepted(hello: Hello = HELLO, *, max_frame: int = MAX_FRAME) -> Connection:
    """Return the acceptor's end of a connection."""
    return Connection(initiator=False, hello=hello, codec=CODECS[hello.bits], max_frame=max_frame)


def transfer(sender: Connection, receiver: Connection) -> list[m.Message]:
    """Carry over all that waits at ``sender``."""
    return receiver.receive_data(sender.data_to_send())


def pair() -> tuple[Connection, Connection]:
    """Return both ends of a connection whose hello exchange is complete."""
    initiator, acceptor = dialled(), accepted()
    transfer(initiator, acceptor)
    transfer(acceptor, initiator)
    return initiator, acceptor


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut ``data`` at these places."""
    return [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]
