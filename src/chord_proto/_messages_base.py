"""What all messages have in common, and the plain records that they carry; `chord_proto.messages` is the door."""

from __future__ import annotations

from enum import IntEnum

from chord_proto.peer import Peer
from chord_proto.records import record


class Space(IntEnum):
    """Named records and content-addressed blocks are separate spaces."""

    RECORD = 0
    BLOCK = 1


@record
class Record:
    """A record or block as nodes hold it and hand it to each other.

    ``name`` is the record's key, or the 20 bytes of a block's SHA-1.  ``value`` None is a tombstone.
    ``version`` sorts as text, a block's is empty.  ``write_id`` names the write, so that a retry is
    recognised; a block's is 0.  ``expires`` is when nobody may read it any more, in milliseconds of Unix time, 0 for never.
    """

    space: int
    name: bytes
    value: bytes | None
    version: str
    write_id: int
    expires: int = 0


@record
class Summary:
    """A record without its value, for comparing what two nodes hold."""

    space: int
    name: bytes
    version: str


class Reason(IntEnum):
    """Why a request was refused."""

    NOT_MEMBER = 0
    OTHER_LIFE = 1
    LEAVING = 2
    NOT_READY = 3
    NO_QUORUM = 4
    TOO_LARGE = 5
    BUSY = 6
    STORAGE_FAILED = 7
    NOT_OWNER = 8
    NOT_HOLDER = 9
    INVALID = 10
    OUTCOME_UNKNOWN = 11
    VERSION_MISMATCH = 12
    CLOCK = 13


@record
class Grant:
    """One life of ``to`` was granted the arc (start, end], ``age`` milliseconds ago."""

    start: int
    end: int
    to: Peer
    incarnation: int
    age: int


@record
class Message:
    """What every message carries."""

    source: Peer | None
    incarnation: int
    target: int | None
    target_incarnation: int


@record
class Request(Message):
    """A message that wants an answer."""

    request: int


@record
class Answer(Message):
    """The answer to the request of the same id."""

    request: int
