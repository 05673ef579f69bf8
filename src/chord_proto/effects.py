"""What a node tells its driver to do, in the order in which it must be done."""

from __future__ import annotations

from typing import NewType, TypeAlias

from chord_proto.messages import Message, Record
from chord_proto.operations import Result
from chord_proto.peer import Address, Peer
from chord_proto.records import record

OpId = NewType("OpId", int)
"""Names an operation; chosen by the caller, never used twice for one node."""
WriteId = NewType("WriteId", int)
"""Names a write; chosen by the node, strictly increasing."""


@record
class Send:
    """Send ``message`` to ``to``: at most once, best effort; it may be lost silently."""

    to: Address
    message: Message


@record
class Write:
    """Make the changes durable, in order of ``id``, then call ``written(id)``.

    ``changes`` holds records to keep; ``dropped`` holds the (space, name) of records to forget.  ``width`` and
    ``founded``, unless they are 0, are what a later life of the node is to be told: on how many distinct addresses the
    ring has had a record, and which founding the ring goes back to.
    """

    id: WriteId
    changes: tuple[Record, ...]
    dropped: tuple[tuple[int, bytes], ...] = ()
    width: int = 0
    founded: int = 0


@record
class Finished:
    """An operation has ended, with this result and for good."""

    op: OpId
    result: Result


# Events: what an application may care about, never an obligation.


@record
class MemberOf:
    """The node has become a member of a ring, through ``via`` or, if None, by creating one."""

    via: Peer | None


@record
class PredecessorChanged:
    """The predecessor pointer moved."""

    old: Peer | None
    new: Peer | None


@record
class SuccessorsChanged:
    """The successor list changed."""

    successors: tuple[Peer, ...]


@record
class PeerFailed:
    """A peer was suspected, on direct evidence: silence, refused connections, or a new life of it that spoke."""

    peer: Peer


@record
class PeerLeft:
    """A peer said that it leaves."""

    peer: Peer


@record
class RangeGained:
    """The node now owns the arc (start, end]; `RangeReady` follows once its records are here."""

    start: int
    end: int


@record
class RangeLost:
    """The node no longer owns the arc (start, end]."""

    start: int
    end: int


@record
class RangeReady:
    """The records of the arc (start, end] are here; the node answers and decides for it."""

    start: int
    end: int


@record
class OutdatedDropped:
    """The node was away for longer than the grace period while its ring lived, and forgets these named records of then.

    The `Write` that drops them follows.  They may be of what was deleted meanwhile; or all that hold one were away.
    """

    records: tuple[Record, ...]


@record
class Misbehaved:
    """A peer sent what no correct peer sends; the message was ignored."""

    address: Address
    reason: str


@record
class Stopped:
    """The node has left, or was stopped; it sends nothing any more."""


Event: TypeAlias = (
    MemberOf
    | PredecessorChanged
    | SuccessorsChanged
    | PeerFailed
    | PeerLeft
    | RangeGained
    | RangeLost
    | RangeReady
    | OutdatedDropped
    | Misbehaved
    | Stopped
)
Effect: TypeAlias = Send | Write | Finished | Event
