"""The messages that nodes exchange.

Every message names its sender (None for a client, which has no place), the sender's incarnation, the
node it is for (None: whoever answers at that address) and the incarnation it is for (0: not known).
Requests carry a random id; answers echo it.  Fields hold only ints, ``str``, ``bytes``, records and tuples.
"""

from __future__ import annotations

from typing import TypeAlias

from chord_proto._messages_base import Answer, Grant, Message, Reason, Record, Request, Space, Summary
from chord_proto.operations import MAJORITY, Change, Entry, Operation, Result
from chord_proto.peer import Peer
from chord_proto.places import Arc
from chord_proto.records import record

__all__ = [
    "Acknowledged",
    "Answer",
    "AnyMessage",
    "AwaitChange",
    "Busy",
    "Changed",
    "Claim",
    "Closer",
    "Collect",
    "Confirm",
    "Copies",
    "Digest",
    "Done",
    "Elsewhere",
    "FindSuccessor",
    "Forward",
    "Found",
    "GetClaim",
    "GetCopies",
    "GetCopy",
    "GetDigest",
    "GetKeys",
    "GetNeighbours",
    "GetRecord",
    "Grant",
    "Granted",
    "Keys",
    "Leaving",
    "ListChanged",
    "ListRange",
    "Listing",
    "Message",
    "Neighbours",
    "Notify",
    "Perform",
    "Performed",
    "Ping",
    "Pong",
    "PutRecord",
    "Reached",
    "Reason",
    "Record",
    "Refused",
    "Replicate",
    "Request",
    "Space",
    "Summary",
    "TakeOver",
    "Value",
    "Working",
]

# Any request


@record
class Refused(Answer):
    """The request was not carried out."""

    reason: int


# The ring (chord.md section 2)


@record
class Ping(Request):
    """Do you live?  Also the dial-back of a notifier."""


@record
class Working(Answer):
    """I live and still work on that request; keep waiting.  Sent when a request arrives again meanwhile."""


@record
class Pong(Answer):
    """I live; whether I am a member, and the nodes before me, nearest first; ``size`` as in `Neighbours`."""

    member: bool
    predecessors: tuple[Peer, ...]
    size: int = 0


@record
class GetNeighbours(Request):
    """Stabilise and join: tell me your predecessor and your successor list.

    ``founded`` is what `Neighbours` says, of the asker's ring; 0 from a joiner, that has none yet.
    """

    founded: int = 0


@record
class Neighbours(Answer):
    """The sender's pointers.  ``came_round``: the list is short because it came round to the sender.

    ``width`` is the largest number of distinct addresses that the ring is known to have had, up to R.  ``founded`` is
    the incarnation of the node that founded the ring, of rings that have merged the smallest: a name that rings of one
    past have in common for as long as one of them lives; 0: not known.  ``size`` is how many nodes the ring has, by the
    sender's neighbours; 0: it has not looked.
    """

    predecessor: Peer | None
    successors: tuple[Peer, ...]
    came_round: bool
    width: int
    founded: int = 0
    size: int = 0


@record
class Busy(Answer):
    """I live, but wait for an answer that will change the state you ask about; ask again later."""


@record
class Notify(Message):
    """I believe that I am your predecessor."""


@record
class ListChanged(Message):
    """You seem to be my predecessor, and my successor list has changed: do not wait for your period to ask for it."""


@record
class Leaving(Request):
    """I leave; here are my neighbours, as candidates for you to ask.

    Of the arcs in ``granted`` the receiver was given all records: it may decide for them from now on.  ``given`` is
    what others were granted, for the receiver to remember.
    """

    predecessor: Peer | None
    predecessors: tuple[Peer, ...]
    successors: tuple[Peer, ...]
    granted: tuple[Arc, ...]
    given: tuple[Grant, ...]


@record
class Done(Answer):
    """The request was carried out; nothing more to say."""


# Lookup (section 5)


@record
class FindSuccessor(Request):
    """Ask who owns this place."""

    place: int


@record
class Found(Answer):
    """The owner's predecessor or the owner itself answers: ``successors[0]`` owns (predecessor, owner]."""

    predecessor: Peer
    successors: tuple[Peer, ...]
    came_round: bool


@record
class Closer(Answer):
    """Peers that lie closer before the place, closest first."""

    peers: tuple[Peer, ...]


@record
class Forward(Request):
    """Ask who owns this place, or pass the question on to somebody closer before it, and say `Done` at once.

    Whoever can say who owns the place tells ``asker``, in its life ``life``, by `Reached` with this ``number``, unless the
    asker is the sender: that gets an answer, as to `FindSuccessor`.  So does every sender whose question is not passed on,
    and goes on with it.  ``hops``: how often it has been passed on.
    """

    place: int
    asker: Peer
    life: int
    number: int
    hops: int


@record
class Reached(Message):
    """To the asker of a question that was passed on: what `Found` says, with the question's number and number of hops."""

    number: int
    hops: int
    predecessor: Peer
    successors: tuple[Peer, ...]
    came_round: bool


# Records (section 7)


@record
class GetRecord(Request):
    """Read one record or block.

    ``through``: answer with what you hold although you may not own it.  ``quorum``: of so many replicas the newest
    copy, as `chord_proto.operations.Get` says; a block has only one.
    """

    space: int
    name: bytes
    through: bool
    quorum: int = 1


@record
class Value(Answer):
    """What the node holds under the name, and the other places that hold it too."""

    held: Record | None
    replicas: tuple[Peer, ...]


@record
class PutRecord(Request):
    """Write one record (``value`` None deletes it) or block.

    ``expires`` is in milliseconds of Unix time, 0 for never.  ``condition`` is the version that the record must have,
    ``""`` if it must not be there, None for a write in any case.  ``quorum`` says how many must have it before it is
    acknowledged, as `chord_proto.operations.Put` does; of a block always all.  ``version`` is decided by the owner if it
    is ``""``; otherwise the write is one that was decided before, and is nothing to whoever has a newer one.
    """

    space: int
    name: bytes
    value: bytes | None
    write_id: int
    expires: int = 0
    condition: str | None = None
    quorum: int = MAJORITY
    version: str = ""


@record
class Acknowledged(Answer):
    """The write is durable on ``acked``, the owner among them."""

    version: str
    acked: tuple[Peer, ...]


@record
class Elsewhere(Answer):
    """Not mine: ask these.  ``through``: they answer for it although they do not own it (any more).

    To `TakeOver`: these were granted parts of it (``through``), or come next along the ring.
    """

    peers: tuple[Peer, ...]
    through: bool


@record
class Replicate(Request):
    """The owner, or whoever hands records on, gives copies to keep.

    ``decided``: the source decided these as owner; the receiver refuses when its pointers say otherwise.
    """

    records: tuple[Record, ...]
    decided: bool


@record
class GetCopy(Request):
    """The owner asks a replica for its copy, for a read of several; who does not take it for the owner refuses."""

    space: int
    name: bytes


# Comparing and moving ranges: hand-off, taking over, repair


@record
class TakeOver(Request):
    """Grant me what you may grant of (start, end], of which I am the owner now.

    ``first``: I have never held any of it, so that what I was granted earlier has not arrived.
    """

    start: int
    end: int
    first: bool


@record
class Granted(Answer):
    """You decide for (start, end], a part of what you asked for, as soon as you have fetched my records of it."""

    start: int
    end: int


@record
class GetClaim(Request):
    """I granted you parts of (start, end]: tell me which of it you know of."""

    start: int
    end: int


@record
class Claim(Answer):
    """The arcs that the sender was granted, is asking for, or has granted on, and those that it has lost since.

    It never learnt of any others.
    """

    arcs: tuple[Arc, ...]
    lost: tuple[Arc, ...]


@record
class GetDigest(Request):
    """Ask how many records the node holds on (start, end], and for their digest."""

    start: int
    end: int


@record
class Digest(Answer):
    """Number of records, and the XOR of their hashes (16 bytes).

    ``failed``: the sender's disk has failed, so that it takes no copies in this life.
    """

    count: int
    digest: bytes
    failed: bool = False


@record
class ListRange(Request):
    """List what you hold on (start, end], after the (place, space, name) of the last page's end."""

    start: int
    end: int
    after: tuple[int, int, bytes] | None


@record
class Listing(Answer):
    """One page, in order of place along the arc; ``more`` when there is another."""

    entries: tuple[Summary, ...]
    more: bool


@record
class GetCopies(Request):
    """Send me these records, as many as fit in one message."""

    names: tuple[tuple[int, bytes], ...]


@record
class Copies(Answer):
    """The records asked for, those from the front of the list that fit."""

    records: tuple[Record, ...]
    asked: int


@record
class Confirm(Request):
    """Do you own (start, end], and are all your replicas of it complete?  Asked before copies are dropped."""

    start: int
    end: int


@record
class GetKeys(Request):
    """The owner of a place lists the records from there on, those after position ``after`` whose names begin so."""

    place: int
    space: int
    prefix: bytes
    after: tuple[int, int, bytes] | None


@record
class Keys(Answer):
    """One page in order of place: there is no other record up to ``end``, or up to position ``after`` if there is more."""

    entries: tuple[Entry, ...]
    end: int
    after: tuple[int, int, bytes] | None


@record
class AwaitChange(Request):
    """Tell what came after the change ``after`` of a record, at once or when it comes; None: tell only where it stands."""

    name: bytes
    after: str | None


@record
class Changed(Answer):
    """The next changes, if any in time, and behind which one to go on; ``lagged``: there may have been others before."""

    changes: tuple[Change, ...]
    lagged: bool
    cursor: str


@record
class Collect(Request):
    """The owner says that all replicas have these deletions, and that their time is over: forget them."""

    entries: tuple[Summary, ...]


# Clients


@record
class Perform(Request):
    """A client asks this node to carry out an operation, within ``timeout`` milliseconds."""

    operation: Operation
    timeout: int


@record
class Performed(Answer):
    """How the operation ended."""

    result: Result


AnyMessage: TypeAlias = (
    Refused | Working | Ping | Pong | GetNeighbours | Neighbours | Busy | Notify | Leaving | Done | FindSuccessor | Found | Closer
    | GetRecord | Value | PutRecord | Acknowledged | Elsewhere | Replicate | TakeOver | Granted | GetClaim | Claim
    | GetDigest | Digest | ListRange | Listing | GetCopies | Copies | Confirm | Perform | Performed
    | GetCopy | Collect | GetKeys | Keys | AwaitChange | Changed | Forward | Reached | ListChanged
)  # fmt: skip
