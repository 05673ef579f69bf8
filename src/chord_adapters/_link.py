"""One connection of a node or client, and what is remembered of the addresses that were dialled."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import attrs

from chord_adapters._names import Spot
from chord_proto.connection import Connection
from chord_proto.messages import Message
from chord_proto.peer import Address

MAX_WAITING = 256
"""Most messages that wait for a connection to be made; the oldest make way, since they are repeated first."""


class Wire(Protocol):
    """A connection of the runtime's."""

    def wake(self) -> None:
        """Take ``Link.take()`` by the end of this turn and send it."""

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
    stalled: float | None = None
    """Since when the queue is too long."""
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

    def take(self) -> bytes:
        """Return all bytes that are to be sent, in one piece."""
        return self.connection.data_to_send()

    def queued(self) -> int:
        """Return how many bytes wait to be sent."""
        return self.connection.queued_bytes + (self.wire.pending() if self.wire is not None else 0)


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
    silent: int = 0
    """Connections closed because no hello came in time."""
    stalled: int = 0
    """Connections closed because the other side did not read."""
    held: int = 0
    """How often a connection had to wait until the other side had read its answers."""
    impostors: int = 0
    """Connections closed because the other side spoke for an address that its certificate does not cover."""
    turned_away: int = 0
    """Connections not accepted because there were too many."""
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
