"""What a node and a client have in common below their calls: connections, turns, one wake-up, and an end.

The runtime calls the methods of `Engine` in the thread of its loop, never one from within another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ParamSpec

from chord_adapters._errors import Closed
from chord_adapters._link import CROWDED
from chord_adapters._links import Link, Links, Loss, Wire
from chord_adapters._runtime import Runtime, Waiter
from chord_adapters._turns import Ticket, Turns
from chord_proto.config import Config
from chord_proto.connection import Hello
from chord_proto.messages import Message
from chord_proto.operations import Operation, Result
from chord_proto.peer import Address
from chord_proto.wire import Codec

AT_ONCE = CROWDED
"""Most messages of one connection that are handled when they come, and steps of what inputs have left to do: what is
left then waits for the engine's own turns, which it takes with all else that the loop does."""
CROWDED_AT_ONCE = 4
"""The same while some connection has more."""
STEPS_PER_TURN = 64
"""Most steps in one such turn."""
SLICE = 0.0002
"""Seconds after which a turn ends, or the handling of what has come, while some connection has more: nobody else waits
longer for theirs."""

P = ParamSpec("P")


class Engine(ABC):
    """Turns what the loop tells into inputs, and what comes of it into what the loop is told.

    ``ended`` is None while it runs, afterwards the error that every call raises (a fresh one each time).
    """

    def __init__(self, runtime: Runtime, config: Config, hello: Hello, *, patient: bool) -> None:
        self.runtime = runtime
        self.config = config
        self.turns = Turns()
        self.links = Links(
            runtime,
            hello,
            Codec(config.bits),
            config,
            receive=self._receive,
            unreachable=self._unreachable,
            patient=patient,
        )
        self._armed: float | None = None
        self._again = False
        """Something is left to be done, at once."""
        self._until_over: dict[Waiter, None] = {}
        self.is_over = False
        """True once it has left, was closed or aborted, or has died."""
        self._why = "closed"
        self._cause: BaseException | None = None

    @property
    def cause(self) -> BaseException | None:
        """What it died of, if it died."""
        return self._cause

    def closed(self, *, outcome_unknown: bool = False) -> Closed:
        """Return a fresh error that says why it is over."""
        error = Closed(self._why, outcome_unknown=outcome_unknown)
        error.__cause__ = self._cause
        return error

    # What the loop tells

    def knocked(self, who: object, origin: str, end: Callable[[], None], *, scarce: bool = False) -> None:
        """A connection came in on which the other side is still to show who it is; it may be ended at any time."""
        if self.is_over:
            end()
        else:
            self._safely(self.links.knocked, who, origin, end, self.runtime.now(), scarce=scarce)

    def gave_up(self, who: object) -> None:
        """Who has knocked has gone, or has not shown anything that counts."""
        self.links.doors.leave(who)

    def accepted(self, wire: Wire, knocked: object = None, *, scarce: bool = False) -> Link | None:
        """A connection came in, or one that has knocked has shown who it is; None when it is to be closed.

        It has one of the last file descriptors if ``scarce``.
        """
        return None if self.is_over else self._safely(self._accepted, wire, knocked, scarce)

    def _accepted(self, wire: Wire, knocked: object, scarce: bool) -> Link | None:
        return self.links.accepted(wire, self.runtime.now(), knocked, scarce=scarce)

    def starved(self, *, dialling: bool) -> bool:
        """File descriptors run out; tell whether a connection has made way."""
        return not self.is_over and self.links.starved(self.runtime.now(), dialling=dialling)

    def dialled(self, link: Link, wire: Wire) -> None:
        """A connection that was asked for stands."""
        if link.closed:
            wire.abort()
        else:
            self._safely(self.links.dialled, link, wire, self.runtime.now())

    def dial_failed(self, link: Link, reason: str = "") -> None:
        """A connection that was asked for could not be made; for a reason, if there is more to say."""
        if not link.closed:
            self._safely(self.links.dial_failed, link, self.runtime.now(), reason)

    def received(self, link: Link, data: bytes | memoryview) -> None:
        """Bytes came; they are looked at now only, so that the buffer may be used again."""
        if not link.closed:
            self._safely(self._received, link, data)

    def _received(self, link: Link, data: bytes | memoryview) -> None:
        began = self.runtime.now()
        self.links.received(link, data, began)
        self._serve(link, began, CROWDED_AT_ONCE if link.crowded else AT_ONCE)

    def _serve(self, link: Link, began: float, most: int) -> None:
        """Handle so many messages of a connection, or fewer where one is much work; for what is much it pays."""
        now, taken = began, 0.0
        for _ in range(most):
            if not link.backlog or not self.links.work_off(link) or self.is_over:
                break
            before, now = now, self.runtime.now()
            taken = now - before
            if taken >= SLICE:
                break
        if link.backlog or taken >= SLICE:
            now = self.runtime.now()
            self.links.backlogs.charge(link, now - began, taken if taken >= SLICE else 0.0, now)

    def lost(self, link: Link) -> None:
        """A connection has ended, from whatever side."""
        if not link.closed:
            self._safely(self.links.lost, link, self.runtime.now())

    def drained(self, link: Link) -> None:
        """All that was queued on a connection has been sent."""
        if link in self.links.backlogs.held:
            self._safely(self.links.backlogs.drained, link)

    def woken(self) -> None:
        """The time asked for with `Runtime.wake_at` has come."""
        self._armed = None
        if not self.is_over:
            self._safely(self._turn, self.runtime.now())

    def _turn(self, now: float) -> None:
        self._tick(now)
        self.links.backlogs.release(now)
        for _ in range(STEPS_PER_TURN):
            link = self.links.backlogs.first()
            if link is not None:
                self._serve(link, self.runtime.now(), 1)
            if self.is_over or not (self._next_step() or link) or self.runtime.now() - now >= SLICE:
                break

    def fail(self, error: BaseException) -> None:
        """Die of something that must not happen."""
        if not self.is_over:
            self.end(f"it died of {type(error).__name__}: {error}", error)

    # Calls

    def perform(self, operation: Operation, timeout: float, place: int | None = None) -> Ticket:
        """Start an operation, or put it in the line; raises `Closed`."""
        if self.is_over:
            raise self.closed()
        asked = operation, self.runtime.now() + timeout, self.runtime.waiter(), place
        if self.turns.room:
            ticket = self.turns.begin(*asked)
            self._safely(self._begin, ticket)
        else:
            ticket = self.turns.draw(*asked)
            self._safely(self._nothing)
        return ticket

    def abandon(self, ticket: Ticket) -> None:
        """Cancel an operation for which nobody waits any more; harmless when it has ended."""
        if self.turns.end(ticket) and not self.is_over:
            self._safely(self._cancel, ticket)

    async def wait(self, ticket: Ticket) -> Result:
        """Wait for the end of an operation; cancelling this cancels it.  Raises `Closed`."""
        try:
            outcome = await ticket.waiter.wait()
        except BaseException:
            self.abandon(ticket)
            raise
        if isinstance(outcome, Exception):
            raise outcome
        assert outcome is not None
        return outcome

    async def checkpoint(self) -> None:
        """Let other tasks run; raises `Closed`."""
        waiter = self.runtime.waiter()
        waiter.resolve(None)
        await waiter.wait()
        if self.is_over:
            raise self.closed()

    # The end

    async def wait_over(self) -> None:
        """Wait until it is over, for whatever reason."""
        waiter = self.runtime.waiter()
        if self.is_over:
            waiter.resolve(None)
        self._until_over[waiter] = None
        try:
            await waiter.wait()
        finally:
            self._until_over.pop(waiter, None)

    def end(self, why: str, cause: BaseException | None = None, *, politely: bool = False) -> None:
        """Stop, at once unless ``politely`` lets what is queued be sent; every call ends in `Closed`."""
        if self.is_over:
            return
        self.is_over = True
        self._why = why
        self._cause = cause
        self.runtime.stop()
        for ticket in self.turns.drain():
            ticket.waiter.resolve(self.closed(outcome_unknown=ticket.sent and ticket.is_write))
        for waiter in (*self._waiters(), *self._until_over):
            waiter.resolve(self.closed())
        self.links.close(politely=politely)

    def abort(self) -> None:
        """Crash: close everything, tell nobody."""
        self.end("it was aborted")

    # What differs

    @abstractmethod
    def _receive(self, message: Message, sender: Address) -> None:
        """Take a message."""

    @abstractmethod
    def _unreachable(self, loss: Loss) -> None:
        """Learn that a dial failed or a connection that we dialled broke."""

    @abstractmethod
    def _begin(self, ticket: Ticket) -> None:
        """Start an operation whose turn has come."""

    @abstractmethod
    def _late(self, ticket: Ticket) -> Exception:
        """Return the error for an operation whose turn has not come in time."""

    @abstractmethod
    def _cancel(self, ticket: Ticket) -> None:
        """End an operation that nobody waits for."""

    def _step(self) -> bool:
        """Do one thing of what earlier inputs have left to do; False when nothing is left."""
        return False

    @abstractmethod
    def _settled(self, now: float) -> None:
        """Look at the state once all inputs of this turn are carried out."""

    @abstractmethod
    def _deadline(self) -> float | None:
        """Return when something more is due."""

    @abstractmethod
    def _tick(self, now: float) -> None:
        """Do what is due."""

    def _waiters(self) -> list[Waiter]:
        """Return who waits for something else than an operation, and forget them and all else: it is over."""
        return []

    # The frame

    def _nothing(self) -> None:
        """Let only what follows happen."""
        return

    def _safely(self, step: Callable[P, Link | None], *args: P.args, **kwargs: P.kwargs) -> Link | None:
        """Carry out one input and all that follows from it; whatever it raises is a bug, and the end."""
        try:
            result = step(*args, **kwargs)
            if not self.is_over:
                self._finish_turn()
        except Exception as error:  # noqa: BLE001 -- a bug in here must not take the caller's loop down
            self.fail(error)
        else:
            return result
        return None

    def _finish_turn(self) -> None:
        now = self.runtime.now()
        while (late := self.turns.pop_late(now)) is not None:
            late.waiter.resolve(self._late(late))
        left = CROWDED_AT_ONCE if self.links.backlogs.ready else AT_ONCE
        while left and self._next_step():
            left -= 1
        self._again = not left
        if self.is_over:
            return
        self._settled(now)
        if not self.is_over:
            self._rearm(now)

    def _next_step(self) -> bool:
        """Do one thing that is left to be done; False when nothing is."""
        if self.is_over:
            return False
        if self.links.turned_down:
            self._unreachable(self.links.turned_down.popitem()[1])
        elif (ticket := self.turns.next()) is not None:
            self._begin(ticket)
        else:
            return self._step()
        return True

    def _rearm(self, now: float) -> None:
        """Ask for one wake-up at the earliest deadline, and only if that has moved."""
        earliest = now if self._again else self._deadline()
        for when in (self.links.deadline(now), self.turns.deadline):
            if when is not None and (earliest is None or when < earliest):
                earliest = when
        if earliest is not None and earliest != self._armed:
            self._armed = earliest
            self.runtime.wake_at(earliest)
