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


MAJORITY = 0
"""As a quorum: more than half of the replicas."""
ALL = 255
"""As a quorum: all replicas.  Any other number means so many, the owner among them."""


@record
class Get:
    """Read the record called ``name``: the newest of ``quorum`` copies, by default the owner's alone.

    What was acknowledged by a majority is never newer than what a majority has.
    """

    name: bytes
    quorum: int = 1


@record
class Put:
    """Write the record called ``name``; acknowledged once ``quorum`` of its replicas have it durably.

    It can be read for ``ttl`` milliseconds from now (0: for ever).  ``condition`` is the version that the record must
    have now, ``""`` if there must be none, None for a write in any case; the owner decides.
    """

    name: bytes
    value: bytes
    ttl: int = 0
    condition: str | None = None
    quorum: int = MAJORITY


@record
class Delete:
    """Delete the record called ``name``; deleting what is absent is no failure.  See `Put` for the rest."""

    name: bytes
    condition: str | None = None
    quorum: int = MAJORITY


@record
class Restore:
    """Write a record as it was, with its version and the time at which it expires (`Fetched`); a newer one stays."""

    name: bytes
    value: bytes | None
    version: str
    expires: int = 0
    quorum: int = MAJORITY


@record
class Await:
    """Wait for what comes after the change ``after`` of a record; None: tell only where it stands (`Changes.cursor`)."""

    name: bytes
    after: str | None


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


@record
class Scan:
    """List records, or blocks, in order of place from ``place`` on, at the owner of that place: one page.

    Only those after position ``after`` (place, space, name) whose names begin with ``prefix``.
    """

    place: int
    space: int = 0
    prefix: bytes = b""
    after: tuple[int, int, bytes] | None = None


Operation: TypeAlias = Locate | Get | Put | Delete | Store | Fetch | Describe | Scan | Restore | Await


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
    """A value, its version, and when it expires (milliseconds of Unix time, 0 for never); None when nobody has it.

    What was deleted has a version and no value, a block the version ``""``.
    """

    value: bytes | None
    version: str | None
    expires: int = 0


@record
class Entry:
    """What a scan finds: a name (of a block, its SHA-1), its version, and when it expires (`Fetched`)."""

    name: bytes
    version: str
    expires: int


@record
class Page:
    """What lies between the place that was asked for and ``end``; up to position ``after`` only, if there is more."""

    entries: tuple[Entry, ...]
    end: int
    after: tuple[int, int, bytes] | None


@record
class Change:
    """A record was written (``value`` None: deleted), or has ``expired``, which has the version that expired."""

    version: str
    value: bytes | None
    expires: int
    expired: bool


@record
class Changes:
    """The next changes, oldest first, none if none came in time; ``lagged``: others may have been missed before them.

    ``cursor`` is where to go on.
    """

    changes: tuple[Change, ...]
    lagged: bool
    cursor: str


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
    """A node as it sees itself.

    ``small``: its ring has at most r members.  ``unsafe``: a write to its range finds too few replicas.  ``in_order``: its
    successor takes it for its predecessor.  ``formed``: the ring has had R distinct addresses.  ``missing``: how many
    replicas of its range there were and are not now.  ``pending``: arcs that are still to be handed to it.  ``repaired``:
    how many milliseconds ago all replicas were last found complete, None for never.  ``storage_failed``: nothing can be
    made durable any more.
    """

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
    in_order: bool
    formed: bool
    missing: int
    repaired: int | None
    storage_failed: bool


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
    VERSION_MISMATCH = "version mismatch"


@record
class Failed:
    """An operation failed.  ``outcome_unknown`` means that a write may have taken effect all the same."""

    reason: Failure
    outcome_unknown: bool = False


Result: TypeAlias = Located | Fetched | Stored | Joined | Left | Description | Failed | Page | Changes
