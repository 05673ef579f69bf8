"""Whose turn it is: operations under way are bounded in number and bytes, the rest wait in lines that take turns."""

from __future__ import annotations

import attrs

from chord_adapters._errors import ChordError
from chord_adapters._runtime import Waiter
from chord_proto.effects import OpId
from chord_proto.operations import Await, Delete, Fetch, Get, Operation, Put, Restore, Scan, Store
from chord_proto.timers import Timers

MOST_UNDER_WAY = 128
"""How many operations of one node or client are under way at once; enough to fill a network at 10 ms a round trip."""
MOST_OF_ONE_LINE = 4
"""How many of these are of one client while there are others: each of them stands before those of others, wherever they
go, at each step."""
MOST_BYTES_OF_ONE_LINE = 512 * 1024
"""How many bytes these carry, unless a single one carries more."""
ALONE_AFTER = 1024
"""After so many of one client, one after the other, there are no others, and it may have all that is there."""
MOST_BYTES_UNDER_WAY = 8 * 1024 * 1024
"""How many bytes they carry, unless a single one carries more: a quarter of what one connection queues."""
_OVERHEAD = 1024
_READ = 64 * 1024
"""How many bytes a read is taken to bring: more than most, less than the longest."""

_DEADLINE = "deadline"


@attrs.define(eq=False)
class Ticket:
    """One operation of a caller, from the call to its end.  ``deadline`` is a time of the loop's clock."""

    number: int
    operation: Operation
    deadline: float
    waiter: Waiter
    place: int | None = None
    """The place whose node is to perform it; None: any node of the process."""
    line: str = ""
    """In which line it waits."""
    op: OpId | None = None
    """Its id at the node, or of its latest request, while it is under way."""
    sent: bool = False
    """It is where it may take effect, and nothing was heard of it since."""
    tries: int = 0
    trouble: ChordError | None = None
    """Why it is to be asked again."""
    ended: bool = False
    weight: int = attrs.field(init=False)
    """How many bytes it carries there or back, about; a page of a scan is as much work as many."""

    @weight.default
    def _weighed(self) -> int:
        operation = self.operation
        if isinstance(operation, (Fetch, Get)):
            return _OVERHEAD + _READ
        if isinstance(operation, (Put, Restore)):
            return len(operation.value or b"") + _OVERHEAD
        if isinstance(operation, Store):
            return len(operation.data) + _OVERHEAD
        return MOST_BYTES_OF_ONE_LINE if isinstance(operation, Scan) else _OVERHEAD

    @property
    def idles(self) -> bool:
        """True when it only waits for others to do something."""
        return isinstance(self.operation, Await) and self.operation.after is not None

    @property
    def is_write(self) -> bool:
        """True when doing it twice is not the same as doing it once."""
        return isinstance(self.operation, (Put, Delete, Restore))


class Turns:
    """The tickets of one node or client: some under way, the others waiting.

    Within a line it is first come, first served; the lines go one after the other, so that a long one holds up nobody
    but itself.
    """

    def __init__(self) -> None:
        self.under_way: dict[int, Ticket] = {}
        self._waiting: dict[int, Ticket] = {}
        self._lines: dict[str, dict[int, Ticket]] = {}
        """Those that wait, by line; the line whose turn it is comes first."""
        self._deadlines = Timers()
        self._busy = self._bytes = 0
        """How many of those under way are at work, and how much that is."""
        self._at_work: dict[str, tuple[int, int]] = {}
        """How many of a line are at work, and how many bytes they carry."""
        self._number = 0
        self._last_line = ""
        self._in_a_row = ALONE_AFTER
        """How many of one line have begun since one of another did."""

    @property
    def room(self) -> bool:
        """True when somebody who came now would have their turn at once."""
        return not self._waiting and self._may_start

    @property
    def _may_start(self) -> bool:
        return self._busy < MOST_UNDER_WAY and self._bytes < MOST_BYTES_UNDER_WAY

    @property
    def deadline(self) -> float | None:
        """When the first of those that wait will have waited too long."""
        return self._deadlines.deadline

    def draw(
        self, operation: Operation, deadline: float, waiter: Waiter, place: int | None = None, line: str = ""
    ) -> Ticket:
        """Return a new ticket, the last in its line."""
        self._number += 1
        ticket = Ticket(self._number, operation, deadline, waiter, place, line)
        self._deadlines.arm((_DEADLINE, ticket.number), deadline)
        self._waiting[ticket.number] = ticket
        self._lines.setdefault(line, {})[ticket.number] = ticket
        return ticket

    def begin(self, operation: Operation, deadline: float, waiter: Waiter, place: int | None = None) -> Ticket:
        """Put an operation of the process's own under way at once, for which there is `room`; return its ticket."""
        self._number += 1
        ticket = self.under_way[self._number] = Ticket(self._number, operation, deadline, waiter, place)
        self._count(ticket, 1)
        return ticket

    def longest(self) -> tuple[str, int]:
        """Return the longest line and how many wait there."""
        lengths = ((line, len(waiting)) for line, waiting in self._lines.items())
        return max(lengths, key=lambda each: each[1], default=("", 0))

    def waiting(self, line: str) -> int:
        """Return how many wait in a line."""
        return len(self._lines.get(line, ()))

    def pop_last(self, line: str) -> Ticket:
        """Take out and return the last of a line."""
        ticket = self._lines[line][next(reversed(self._lines[line]))]
        self.end(ticket)
        return ticket

    def next(self) -> Ticket | None:
        """Put the first of the next line under way and return it, if it is its turn."""
        if not self._waiting or not self._may_start:
            return None
        line = next((each for each in self._lines if not self._is_full(each)), None)
        if line is None:
            return None
        waiting = self._lines[line]
        ticket = waiting[next(iter(waiting))]
        self._leave_line(ticket)
        if self._lines.pop(line, None):  # To the end of the lines.
            self._lines[line] = waiting
        self.under_way[ticket.number] = ticket
        self._count(ticket, 1)
        if line:
            self._in_a_row = self._in_a_row + 1 if line == (self._last_line or line) else 0
            self._last_line = line
        return ticket

    def _is_full(self, line: str) -> bool:
        """Tell whether as many of a line are at work as may be while there are others; the process's own has no such bound."""
        if not line or (self._in_a_row >= ALONE_AFTER and self._lines.keys() | self._at_work.keys() <= {line}):
            return False
        number, size = self._at_work.get(line, (0, 0))
        return number >= MOST_OF_ONE_LINE or size >= MOST_BYTES_OF_ONE_LINE

    def _count(self, ticket: Ticket, by: int) -> None:
        """Count one that has begun, or ended."""
        self._bytes += by * ticket.weight
        if ticket.idles:
            return
        self._busy += by
        number, size = self._at_work.get(ticket.line, (0, 0))
        if number + by:
            self._at_work[ticket.line] = number + by, size + by * ticket.weight
        else:
            del self._at_work[ticket.line]

    def end(self, ticket: Ticket) -> bool:
        """Take a ticket out; False when it has ended before."""
        if ticket.ended:
            return False
        ticket.ended = True
        if self.under_way.pop(ticket.number, None) is not None:
            self._count(ticket, -1)
        else:
            self._leave_line(ticket)
        return True

    def _leave_line(self, ticket: Ticket) -> None:
        del self._waiting[ticket.number]
        self._deadlines.disarm((_DEADLINE, ticket.number))
        line = self._lines[ticket.line]
        del line[ticket.number]
        if not line:
            del self._lines[ticket.line]

    def pop_late(self, now: float) -> Ticket | None:
        """Take out and return one that has waited too long."""
        key = self._deadlines.pop_due(now)
        if key is None:
            return None
        ticket = self._waiting[key[1]]
        self.end(ticket)
        return ticket

    def drain(self) -> list[Ticket]:
        """Take out all and return them, in the order in which they came."""
        tickets = [*self.under_way.values(), *self._waiting.values()]
        for ticket in tickets:
            self.end(ticket)
        return tickets
