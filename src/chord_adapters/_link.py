"""One connection of a node or client, and what is remembered of the addresses that were dialled."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import attrs

from chord_adapters._names import Spot
from chord_proto.connection import Connection
from chord_proto.messages import Message, Perform
from chord_proto.peer import Address

MAX_WAITING = 256
"""Most messages that wait for a connection to be made; the oldest make way, since they are repeated first."""

READ_SIZE = 320 * 1024
"""Most bytes read in one turn of the loop, of a frame that is that long."""
READ_BEHIND_LONG = 64 * 1024
"""Most bytes read behind a long frame, when it is not known what comes."""
READ_AHEAD = 16 * 1024
"""Most bytes read when it is not known what comes."""
READ_CROWDED = 2 * 1024
"""The same of a connection on which more comes than is handled at once: some tens of small messages."""
CROWDED = 32
"""So many messages that came together are more than who waits for each answer has under way."""
STALL_TIMEOUT = 15.0
"""Seconds after which a connection is closed on which the other side reads nothing."""


class Wire(Protocol):
    """A connection of the runtime's."""

    def wake(self) -> None:
        """Take ``Link.take()`` by the end of this turn and send it."""

    def origin(self) -> str:
        """Return the IP address that the connection comes from, of IPv6 the network; of those who dial us only."""

    def covers(self, host: str) -> bool:
        """Tell whether the other side has shown that it is this host; always where nobody shows anything."""

    def pending(self) -> int:
        """Return how many bytes were taken and are not sent yet."""

    def close(self) -> None:
        """Send what is queued, then close."""

    def abort(self) -> None:
        """Close at once."""


class Standing(Enum):
    """What is known of an address that was dialled."""

    UNKNOWN = "not answered yet"
    UP = "answers"
    DOWN = "cannot be reached"
    REFUSED = "refuses us"


@attrs.define(eq=False)
class Contact:
    """What is remembered of an address that was dialled."""

    standing: Standing = Standing.UNKNOWN
    reason: str = ""
    failures: int = 0
    """Dials in a row that failed."""
    retry_at: float = 0.0
    passed: dict[Spot, None] = attrs.field(factory=dict)
    """Where its name has led, if it leads to several places, longest ago first: there it is dialled last."""
    refusing: set[Spot] = attrs.field(factory=set)
    """Which of them have refused us since one last took us."""


@attrs.define(eq=False)
class Link:
    """One connection, also while it is being dialled (then ``wire`` is None)."""

    name: Address
    """The address that was dialled, or a name of our own for a connection that came in."""
    dialled: bool
    connection: Connection
    since: float
    used: float
    wire: Wire | None = None
    waiting: deque[Message] = attrs.field(factory=lambda: deque(maxlen=MAX_WAITING))
    backlog: deque[Message] = attrs.field(factory=deque)
    """What came and waits until the other side has read the answers to what came before; nothing more is read then."""
    origin: str = ""
    """Where it comes from; the name of one that was dialled."""
    taken: int = 0
    """Bytes that were taken to be sent, since the beginning."""
    passed: int = 0
    """How many of them had been sent when that was last looked at."""
    stalled: float | None = None
    """Since when nothing of what waits to be sent has been."""
    held: int = 0
    """Bytes that have come of a frame that is not complete."""
    partial: float = 0.0
    """Since when they have been coming."""
    crowded: bool = False
    """More came at once than is handled at once: it takes turns with the others in small steps."""
    paused: bool = False
    """Its wire reads nothing for now, and has to be woken to go on."""
    paid: float = 0.0
    """Until when it would rest if it had to for all the work that it has made."""
    latest: float = 0.0
    """How long its latest message took that was much work; 0 after one that was not."""
    bulky: bool = False
    """What came last was of long frames, so that the next may be one."""
    shown: Address = ""
    """The address that the other side has last spoken for, and shown to be its own."""
    closed: bool = False
    """We are done with it: whatever comes on it is ignored."""
    contact: Contact = attrs.field(factory=Contact)
    spot: Spot | None = None
    """Where the name led this time."""
    choices: int = 1
    """To how many places it leads."""

    def in_turn(self, spots: Sequence[Spot]) -> list[Spot]:
        """Return the places to which the name leads now in the order in which to dial them."""
        self.choices = len(spots)
        passed = self.contact.passed
        for gone in passed.keys() - set(spots):
            del passed[gone]
        self.contact.refusing.intersection_update(spots)
        age = {spot: number for number, spot in enumerate(passed)}
        return sorted(spots, key=lambda spot: age.get(spot, -1))

    def pass_on(self) -> None:
        """Let the next dial begin elsewhere, if there is somewhere else."""
        if self.spot is not None and self.choices > 1:
            self.contact.passed.pop(self.spot, None)
            self.contact.passed[self.spot] = None

    def withdraw(self, request: int) -> None:
        """Do not send a client's request any more, if it still waits for the connection."""
        kept = [each for each in self.waiting if not (isinstance(each, Perform) and each.request == request)]
        self.waiting.clear()
        self.waiting.extend(kept)

    @property
    def wanted(self) -> int:
        """How many bytes to read at once: of a long frame much, else little, so that nobody waits long for what comes of it."""
        unknown = READ_CROWDED if self.crowded else READ_BEHIND_LONG if self.bulky else READ_AHEAD
        return min(READ_SIZE, max(unknown, self.connection.missing))

    def take(self) -> bytes:
        """Return all bytes that are to be sent, in one piece."""
        data = self.connection.data_to_send()
        self.taken += len(data)
        return data

    def queued(self) -> int:
        """Return how many bytes wait to be sent."""
        return self.connection.queued_bytes + (self.wire.pending() if self.wire is not None else 0)

    def is_stalled(self, now: float) -> bool:
        """Tell whether nothing has been sent for long of what is to be; looked at now and then."""
        assert self.wire is not None
        passed = self.taken - self.wire.pending()
        if passed != self.passed or not self.queued():
            self.passed, self.stalled = passed, None
        elif self.stalled is None:
            self.stalled = now
        return self.stalled is not None and now - self.stalled >= STALL_TIMEOUT


@attrs.frozen
class Loss:
    """A dial that failed, or a connection that we dialled and that broke."""

    address: Address
    refused: str | None
    """Why the other side refused us, if it did."""
    sent: bool
    """What was queued may have arrived."""
    reason: str = ""
    """Why it could not be reached, if there is more to say."""
    full: bool = False
    """The other side has refused us since it has too many connections."""


@attrs.define(eq=False)
class LinkCounters:
    """What happened to connections, in numbers since the beginning."""

    accepted: int = 0
    dialled: int = 0
    dial_failures: int = 0
    broken: int = 0
    """Connections that ended from the other side."""
    garbage: int = 0
    """Connections closed because bytes came that no correct peer sends, or ended within a frame."""
    refused: int = 0
    """Connections that were refused for network, wire version or bits, by either side."""
    full: int = 0
    """Connections that were refused because there were too many, by either side."""
    silent: int = 0
    """Connections closed because no hello came in time."""
    stalled: int = 0
    """Connections closed because the other side did not read."""
    held: int = 0
    """How often a connection had to wait until the other side had read its answers."""
    impostors: int = 0
    """Connections closed because the other side spoke for an address that its certificate does not cover."""
    turned_away: int = 0
    """Strangers that made way for others before they had shown who they are, and connections for which nobody did."""
    made_way: int = 0
    """Connections that nobody had used for a minute and that made way for others."""
    crowded: int = 0
    """Connections closed because all together held too many bytes, and these most."""
    starved: int = 0
    """How often file descriptors had run out when a connection was to be made or accepted."""
    dropped: int = 0
    """Messages dropped because a queue was full, or nobody was left to send them to."""
    unsendable: int = 0
    """Messages that cannot be written in the wire format."""


class Dialler(Protocol):
    """The part of a runtime that makes connections."""

    def dial(self, link: Link, delay: float) -> None:
        """Connect to ``link.name`` after ``delay`` seconds."""

    def hang_up(self, link: Link) -> None:
        """Give up dialling."""
