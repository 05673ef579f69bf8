"""A client: the calls of a node, carried out by one that is asked over a connection."""

from __future__ import annotations

from chord_adapters._arguments import timeout_of
from chord_adapters._engine import Engine
from chord_adapters._errors import (
    Busy,
    ChordError,
    JoinRefused,
    NotReady,
    StorageFailed,
    Timeout,
    Unreachable,
    ValueTooLarge,
)
from chord_adapters._links import Loss
from chord_adapters._operations import Operations, succeeded
from chord_adapters._runtime import Runtime
from chord_adapters._turns import Ticket
from chord_proto.config import Config
from chord_proto.connection import Hello
from chord_proto.effects import OpId
from chord_proto.messages import Message, Perform, Performed, Reason, Refused
from chord_proto.operations import Describe, Description, Failed, Failure, Operation, Result
from chord_proto.peer import Address
from chord_proto.rng import Rng
from chord_proto.timers import Timers

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_MARGIN = 0.2
"""Seconds, or this share of the timeout if that is less, by which the node is to give up before the client does:
its verdict says more than silence."""
_GONE = "gone"
_AGAIN = "again"


class Asker(Engine):
    """Asks the node at one address; asks again what was not heard there, until the timeout."""

    def __init__(self, runtime: Runtime, address: Address, *, config: Config, network: str, seed: int) -> None:
        super().__init__(runtime, config, Hello(network, config.bits), patient=True)
        self.address = address
        self._rng = Rng(seed)
        self._asked: dict[int, Ticket] = {}
        """What was asked and not answered, by request id."""
        self._timers = Timers()

    # Asking

    def _begin(self, ticket: Ticket) -> None:
        self._timers.arm((_GONE, ticket.number), ticket.deadline)
        self._ask(ticket)

    def _ask(self, ticket: Ticket) -> None:
        now = self.runtime.now()
        left = ticket.deadline - now
        if left <= 0:
            return  # The timer is about to end it.
        request = self._rng.request_id()
        ticket.op = OpId(request)
        ticket.sent = True
        self._asked[request] = ticket
        milliseconds = max(1, int(1000 * (left - min(_MARGIN, _MARGIN * left))))
        self.links.send(self.address, Perform(None, 0, ticket.place, 0, request, ticket.operation, milliseconds), now)

    def _ask_later(self, ticket: Ticket, reason: ChordError) -> None:
        ticket.trouble = reason
        ticket.op = None
        ticket.sent = False
        pause = min(_FIRST_PAUSE * 2 ** min(ticket.tries, 10), _LONGEST_PAUSE)
        ticket.tries += 1
        self._timers.arm((_AGAIN, ticket.number), self.runtime.now() + self._rng.jitter(pause))

    # Answers

    def _receive(self, message: Message, sender: Address) -> None:
        if not isinstance(message, (Performed, Refused)):
            return  # A node that works on something says so; nothing else is sent to a client.
        ticket = self._asked.pop(message.request, None)
        if ticket is None:
            return  # Late: it was cancelled, or has timed out.
        if isinstance(message, Performed):
            if message.result == Failed(Failure.BUSY):
                self._ask_later(ticket, Busy("the node that was asked has too many operations under way"))
            else:
                self._end(ticket, message.result)
        else:
            self._refused(ticket, message.reason)

    def _refused(self, ticket: Ticket, reason: int) -> None:
        if reason == Reason.BUSY:
            self._ask_later(ticket, Busy("the node that was asked has too many operations under way"))
        elif reason == Reason.TOO_LARGE:
            self._end(ticket, ValueTooLarge("the value is too large for the node that was asked"))
        elif reason == Reason.STORAGE_FAILED:
            self._end(ticket, StorageFailed("the write could not be made durable"))
        elif reason == Reason.INVALID:
            self._end(ticket, ValueError("the node that was asked refuses these arguments"))
        else:
            self._ask_later(ticket, NotReady("the node that was asked is not a member of a ring"))

    def _unreachable(self, loss: Loss) -> None:
        """Ask again later what was not sent or may be asked twice; the connection is gone."""
        lost = list(self._asked.values())
        self._asked.clear()
        for ticket in lost:
            if loss.refused is not None:
                self._end(ticket, JoinRefused(loss.refused))
            elif loss.full:
                self._ask_later(ticket, Busy(f"{self.address} has as many connections as it takes"))
            elif loss.sent and ticket.is_write:
                self._end(ticket, Unreachable(f"{self.address} went away before it answered", outcome_unknown=True))
            else:
                self._ask_later(ticket, self._not_reached(loss.reason))

    def _not_reached(self, reason: str) -> Unreachable:
        return Unreachable(f"{self.address} cannot be reached{reason and f': {reason}'}")

    # The end of an operation

    def _end(self, ticket: Ticket, outcome: Result | Exception) -> None:
        self._forget(ticket)
        self.turns.end(ticket)
        ticket.waiter.resolve(outcome)

    def _forget(self, ticket: Ticket) -> None:
        self._timers.disarm((_GONE, ticket.number))
        self._timers.disarm((_AGAIN, ticket.number))
        if ticket.op is not None and self._asked.pop(ticket.op, None) is not None:
            self.links.withdraw(self.address, ticket.op)

    def _cancel(self, ticket: Ticket) -> None:
        self._forget(ticket)

    def _late(self, ticket: Ticket) -> Exception:
        return Timeout("the operation did not have its turn within its timeout")

    def _too_long(self, ticket: Ticket) -> ChordError:
        link = self.links.outbound.get(self.address)
        if ticket.op is None and ticket.trouble is not None:
            return ticket.trouble
        if link is None or not link.connection.established:
            return self._not_reached(self.links.contact(self.address).reason)
        return Timeout(f"{self.address} did not answer in time", outcome_unknown=ticket.is_write)

    # Time

    def _tick(self, now: float) -> None:
        link = self.links.outbound.get(self.address)
        if link is not None and self._asked:
            link.used = now  # It is not idle, only quiet.
        self.links.check(now)
        while (key := self._timers.pop_due(now)) is not None:
            ticket = self.turns.under_way[key[1]]
            if key[0] == _GONE:
                self._end(ticket, self._too_long(ticket))
            else:
                self._ask(ticket)

    def _deadline(self) -> float | None:
        return self._timers.deadline

    def _settled(self, now: float) -> None:
        return


class Client(Operations[Ticket]):
    """The calls of a node without being one; made by ``connect``.

    It connects with the first call and again whenever the connection is lost; until the timeout a call is tried
    again, but for a write that was sent and not answered, which raises `Unreachable` with ``outcome_unknown``.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._config = asker.config

    def __repr__(self) -> str:
        return f"<Client of {self.address}>"

    @property
    def address(self) -> Address:
        """The address of the node that is asked."""
        return self._asker.address

    async def describe(self, *, place: int | None = None, timeout: float | None = None) -> Description:
        """Return what the node that is asked knows of its place, its neighbours and its records.

        ``place`` is the id of one of its virtual nodes, by default the first; who has no such place does not answer.
        Raises what `locate` raises.
        """
        limit = timeout_of(timeout) or self._config.operation_timeout
        with self._call():
            description = succeeded(await self._wait(self._asker.perform(Describe(), limit, place)))
        assert isinstance(description, Description)
        return description

    def _start(self, operation: Operation, timeout: float) -> Ticket:
        return self._asker.perform(operation, timeout)

    async def _wait(self, waiter: Ticket) -> Result:
        return await self._asker.wait(waiter)

    def _abandon(self, waiter: Ticket) -> None:
        self._asker.abandon(waiter)

    def _now(self) -> float:
        return self._asker.runtime.now()

    def _room(self) -> bool:
        return self._asker.turns.room
