"""What clients ask of a node: it waits its turn like the node's own calls, each connection in a line of its own.

The core takes any number up to `Config.max_operations` at once; here they are kept to what connections can carry, and
beyond `Config.max_guests` who asks for most is refused.
"""

from __future__ import annotations

from typing import TypeAlias

from chord_adapters._runtime import Outcome
from chord_adapters._turns import Ticket, Turns
from chord_proto.config import Config
from chord_proto.messages import Message, Perform, Performed, Refused
from chord_proto.node import Node
from chord_proto.operations import Put, Restore, Store
from chord_proto.peer import Address
from chord_proto.records import record
from chord_proto.timers import Timers

_GRACE = 1.0
"""Seconds after its timeout in which a node must have answered, or it never will: the request was no good."""
_OVERDUE = "overdue"

Key: TypeAlias = tuple[Address, int]
"""The connection by which a client asked, and the id of its request."""


@record
class Guest:
    """One operation of a client: by which connection it came, and what for."""

    sender: Address
    message: Perform
    node: Node


class _Nobody:
    """Clients wait elsewhere, and know their timeouts."""

    def resolve(self, outcome: Outcome) -> None:
        """Do nothing: the client has given up by now."""

    async def wait(self) -> Outcome:
        """Never called."""
        raise NotImplementedError


class Guests:
    """The operations of all clients."""

    def __init__(self, config: Config) -> None:
        self.bytes = 0
        """Bytes of the values that they carry."""
        self.turns = Turns()
        self._config = config
        self._of: dict[Address, int] = {}
        """How many there are of each connection."""
        self._guests: dict[int, Guest] = {}
        self._asked: dict[Key, Ticket] = {}
        """Those under way."""
        self._overdue = Timers()

    def __len__(self) -> int:
        return len(self._guests)

    def knows(self, sender: Address, request: int) -> bool:
        """Tell whether this request is under way."""
        return (sender, request) in self._asked

    def admit(self, message: Perform, sender: Address, node: Node, now: float) -> None:
        """Let a request wait its turn."""
        ticket = self.turns.draw(message.operation, now + message.timeout / 1000, _Nobody(), line=sender)
        self._guests[ticket.number] = Guest(sender, message, node)
        self._of[sender] = self._of.get(sender, 0) + 1
        self.bytes += _size(message)

    def _remove(self, number: int) -> Guest:
        guest = self._guests.pop(number)
        self.bytes -= _size(guest.message)
        left = self._of[guest.sender] - 1
        if left:
            self._of[guest.sender] = left
        else:
            del self._of[guest.sender]
        return guest

    def has_room(self, message: Perform) -> bool:
        """Tell whether one more may come, whoever asks; else `give_way` may make room."""
        fits = not self.bytes or self.bytes + _size(message) <= self._config.max_guest_bytes
        return fits and len(self._guests) < self._config.max_guests

    def has_too_many(self, sender: Address) -> bool:
        """Tell whether as many came by this connection as may."""
        return self._of.get(sender, 0) >= self._config.max_guests_per_connection

    def give_way(self, sender: Address) -> Guest | None:
        """Take out and return one that waits, for a newcomer: the last of the longest line, if that is not the newcomer's."""
        line, length = self.turns.longest()
        if length <= self.turns.waiting(sender) + 1:
            return None
        return self._remove(self.turns.pop_last(line).number)

    def next(self) -> tuple[Guest, float] | None:
        """Return whose turn it is and until when."""
        ticket = self.turns.next() if self._guests else None
        if ticket is None:
            return None
        guest = self._guests[ticket.number]
        self._asked[guest.sender, guest.message.request] = ticket
        self._overdue.arm((_OVERDUE, ticket.number), ticket.deadline + _GRACE)
        return guest, ticket.deadline

    def sent(self, to: Address, message: Message) -> None:
        """Note that an answer went out."""
        if isinstance(message, (Performed, Refused)):
            self.end(to, message.request)

    def end(self, sender: Address, request: int) -> None:
        """Take a request out that was under way; harmless if it was not."""
        ticket = self._asked.pop((sender, request), None)
        if ticket is not None:
            self._overdue.disarm((_OVERDUE, ticket.number))
            self._remove(ticket.number)
            self.turns.end(ticket)

    def check(self, now: float) -> None:
        """Take out what has waited too long, and what was never answered."""
        while (late := self.turns.pop_late(now)) is not None:
            self._remove(late.number)
        while (key := self._overdue.pop_due(now)) is not None:
            guest = self._guests[key[1]]
            self.end(guest.sender, guest.message.request)

    @property
    def deadline(self) -> float | None:
        """When `check` is due."""
        waiting, asked = self.turns.deadline, self._overdue.deadline
        return asked if waiting is None or (asked is not None and asked < waiting) else waiting


def _size(message: Perform) -> int:
    operation = message.operation
    if isinstance(operation, (Put, Restore)):
        return len(operation.value or b"")
    return len(operation.data) if isinstance(operation, Store) else 0
