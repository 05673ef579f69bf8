"""What a node can be asked to do, as data: the same records serve local callers and clients on the wire."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from chord_proto.peer import Peer
from chord_proto.records import record


@record
class Locate:
    """Find the owner of a place on the circle."""

    place: int


@record
class Get:
    """Read the record called ``name``."""

    name: bytes


@record
class Put:
    """Write the record called ``name``."""

    name: bytes
    value: bytes


@record
class Delete:
    """Delete the record called ``name``; deleting what is absent is no failure."""

    name: bytes


@record
class Store:
    """Store one content-addressed block."""

    data: bytes


@record
class Fetch:
    """Fetch the block whose SHA-1 is ``key``."""

    key: int


@record
class Describe:
    """Tell what the node itself knows of its place, its neighbours and its records."""


Operation: TypeAlias = Locate | Get | Put | Delete | Store | Fetch | Describe


@record
class Hop:
    """One answer that a lookup followed: who gave it, and how many seconds after the lookup began."""

    peer: Peer
    seconds: float


@record
class Located:
    """The owner, the places that hold its keys (the owner first) and the way there."""

    owner: Peer
    replicas: tuple[Peer, ...]
    path: tuple[Hop, ...]


@record
class Fetched:
    """A value and its version; both None when nobody has it.  A block has the version ``""``."""

    value: bytes | None
    version: str | None


@record
class Stored:
    """A write took effect: its version, who decided it, and who holds it durably."""

    version: str
    owner: Peer
    acked: tuple[Peer, ...]


@record
class Joined:
    """The node has become a member."""


@record
class Left:
    """The node has left.  ``handed_over`` is False when some range could not be given to anybody."""

    handed_over: bool


@record
class Description:
    """A node as it sees itself.  ``unsafe`` means that a write to its range finds too few replicas."""

    me: Peer
    phase: str
    predecessor: Peer | None
    successors: tuple[Peer, ...]
    came_round: bool
    keys: int
    bytes: int
    peers: int
    pending: int
    small: bool
    unsafe: bool


class Failure(Enum):
    """Why an operation failed."""

    TIMED_OUT = "timed out"
    UNREACHABLE = "unreachable"
    NOT_READY = "not ready"
    NO_QUORUM = "no quorum"
    TOO_LARGE = "value too large"
    BUSY = "busy"
    CANCELLED = "cancelled"
    STORAGE_FAILED = "storage failed"
    STOPPED = "stopped"
    INVALID = "invalid"
    ADDRESS_IN_USE = "address in use"


@record
class Failed:
    """An operation failed.  ``outcome_unknown`` means that a write may have taken effect all the same."""

    reason: Failure
    outcome_unknown: bool = False


Result: TypeAlias = Located | Fetched | Stored | Joined | Left | Description | Failed
