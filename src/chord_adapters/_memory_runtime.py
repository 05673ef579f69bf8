"""The event loop of a node or client in virtual time: timers, and connections that carry bytes over the simulated links.

What the asyncio and trio adapters do with sockets this does in the event queue of a `Simulation`: the driver above
is the same, byte for byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio
import anyio.lowlevel

from chord_adapters._address import UNACKNOWLEDGED
from chord_adapters._driver import Driver
from chord_adapters._engine import Engine
from chord_adapters._links import DIAL_TIMEOUT, Link
from chord_adapters._memory_host import NEVER
from chord_adapters._memory_links import EPOCH, MICROS, Micros, micros
from chord_adapters._memory_simulation import Simulation
from chord_adapters._runtime import Outcome
from chord_adapters._worker import Done, Work, attempt
from chord_proto.node import Node
from chord_proto.peer import Address

RESENT_AFTER = micros(0.2)
"""A connection loses nothing: what a link loses or cuts off is sent again so much later, as TCP would at the earliest."""
UNCONFIRMED = micros(UNACKNOWLEDGED)
SLICE = 8
"""Events that happen before the loop's other tasks get a turn."""
IDLE = 0.001


class VirtualWaiter:
    """Lets one task wait for one outcome, and time pass meanwhile.

    Of all that wait one lets events happen, a few between two turns of the loop, and none while a task has its
    outcome and has not gone on yet, so that other tasks do not see time race past them.
    """

    __slots__ = ("_event", "_outcome", "_simulation", "_waiting")

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._outcome: list[Outcome] = []
        self._event: anyio.Event | None = None
        self._waiting = False

    def resolve(self, outcome: Outcome) -> None:
        """Give the outcome; of several the first counts."""
        if not self._outcome:
            self._outcome.append(outcome)
            self._simulation.resolved += 1
            if self._waiting:
                self._simulation.resuming[self] = None
            self.wake()

    def wake(self) -> None:
        """Let the task look again: there is an outcome, or it is its turn to let time pass."""
        if self._event is not None:
            self._event.set()

    async def wait(self) -> Outcome:
        """Wait for the outcome, at least for a turn of the loop."""
        simulation = self._simulation
        self._waiting = True
        if self._outcome:
            simulation.resuming[self] = None
        try:
            await anyio.lowlevel.checkpoint()
            while not self._outcome:
                await self._take_part()
        finally:
            self._waiting = False
            simulation.resuming.pop(self, None)
        return self._outcome[0]

    async def _take_part(self) -> None:
        """Let time pass, or wait until it is this one's turn to do so."""
        simulation = self._simulation
        try:
            if simulation.pump is None:
                simulation.pump = self
                await self._let_time_pass()
            else:
                self._event = anyio.Event()
                simulation.waiters[self] = None
                await self._event.wait()
        finally:
            simulation.waiters.pop(self, None)
            if simulation.pump is self:
                simulation.pump = None
            if simulation.pump is None and simulation.waiters:
                next(iter(simulation.waiters)).wake()

    async def _let_time_pass(self) -> None:
        while not self._outcome:
            if self._simulation.resuming or self._simulation.run_slice(SLICE):
                await anyio.lowlevel.checkpoint()
            else:
                await anyio.sleep(IDLE)  # Nothing will ever happen here, unless another task makes it.


class VirtualWire:
    """One end of a connection.  What is queued at one moment leaves in one piece."""

    def __init__(self, runtime: VirtualRuntime, link: Link | None) -> None:
        self.runtime = runtime
        self.link = link
        self.other: VirtualWire | None = None
        self.address: Address = ""
        """Where this end is, for links that are cut."""
        self.open = True
        self.unknown = False
        """This end is gone, and the other one was not told: it learns from what it sends."""
        self._scheduled = False
        self._arriving: deque[tuple[Micros, bytes | None]] = deque()
        """What is on its way here, each with the time of its arrival; None is the end."""

    # What the links call

    def wake(self) -> None:
        """Send what is queued, at the end of this moment's turn."""
        if not self._scheduled and self.open:
            self._scheduled = True
            self.runtime.soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self.open and self.link is not None and self.other is not None and (data := self.link.take()):
            self.other._travel(data)
            self.runtime.engine.drained(self.link)

    def pending(self) -> int:
        """Nothing waits here: what was taken is on its way."""
        return 0

    def close(self) -> None:
        """Send what is queued, then the end."""
        self._flush()
        self.abort()

    def origin(self) -> str:
        return "" if self.other is None else self.other.address.rpartition(":")[0]

    def covers(self, host: str) -> bool:
        return True

    def abort(self) -> None:
        """End it; the other side learns one latency later."""
        if self.open:
            self.open = False
            self.runtime.wires.pop(self, None)
            if self.other is not None:
                self.other._travel(None)

    def vanish(self) -> None:
        """End it without a word."""
        self.open, self.unknown = False, True
        self.runtime.wires.pop(self, None)

    def lost(self) -> None:
        """End it, and tell the node."""
        if self.open and self.link is not None:
            self.vanish()
            self.runtime.engine.lost(self.link)

    # What arrives

    def _travel(self, data: bytes | None) -> None:
        simulation = self.runtime.simulation
        links = simulation.links
        assert self.other is not None
        at = simulation.now + links.latency(self.other.address, self.address)
        if links.loss and links.chance(links.loss):
            at += RESENT_AFTER
        if self._arriving:
            at = max(at, self._arriving[-1][0])
        self._arriving.append((at, data))
        self.runtime.later(at, self._arrive)

    def _arrive(self) -> None:
        other, simulation = self.other, self.runtime.simulation
        if not self._arriving or other is None:
            return
        if self.unknown:
            self._arriving.clear()
            silent = self.address in simulation.silent
            after = UNCONFIRMED if silent else simulation.links.latency(self.address, other.address)
            other.runtime.later(simulation.now + after, other.lost)
            return
        if not self.open:
            return
        if not simulation.links.whole and simulation.links.blocked(other.address, self.address):
            if simulation.now - self._arriving[0][0] < UNCONFIRMED:
                self.runtime.later(simulation.now + RESENT_AFTER, self._arrive)
            else:
                other.runtime.later(simulation.now, other.lost)
            return
        # One event a piece: what the cut held back arrives together, in order.
        while self.open and self._arriving and self._arriving[0][0] <= simulation.now:
            _, data = self._arriving.popleft()
            if self.link is None:
                continue
            if data is not None:
                self.runtime.engine.received(self.link, data)
            else:
                self.lost()


class VirtualRuntime:
    """What a loop does for one node or client."""

    engine: Engine

    def __init__(self, simulation: Simulation, address: Address, *, write_delay: Micros = 0) -> None:
        self.simulation = simulation
        self.address = address
        self._write_delay = write_delay
        self.wires: dict[VirtualWire, None] = {}
        self._dials: dict[Link, Callable[[], None]] = {}
        self._due: Micros = NEVER
        self._armed: Micros = NEVER
        self._stopped = False
        self._paused: Micros = 0

    # What a node or client calls

    def now(self) -> float:
        """Return virtual time in seconds."""
        return self.simulation.seconds

    def civil(self) -> float:
        """Return civil time, later each time it is asked for, so that no two lives of a node begin at one moment."""
        simulation = self.simulation
        simulation.told = max(EPOCH + simulation.seconds, simulation.told + 1 / MICROS)
        return simulation.told

    def waiter(self) -> VirtualWaiter:
        """Return a fresh waiter."""
        return VirtualWaiter(self.simulation)

    def wake_at(self, when: float) -> None:
        """Call ``Engine.woken`` once at ``when``, and no more at what was said before."""
        self._due = max(micros(when), self.simulation.now)
        if self._due < self._armed:
            self._armed = self._due
            self.later(self._due, self._fire)

    def _fire(self) -> None:
        if self._stopped or self._armed > self.simulation.now:
            return
        self._armed = NEVER
        if self._due > self.simulation.now:
            self._armed = self._due
            self.later(self._due, self._fire)
        else:
            self.engine.woken()

    def dial(self, link: Link, delay: float) -> None:
        """Connect to ``link.name`` after ``delay`` seconds."""

        def knock() -> None:
            if self._dials.get(link) is knock:
                self._knock(link)

        self._dials[link] = knock
        self.later(self.simulation.now + micros(delay), knock)

    def hang_up(self, link: Link) -> None:
        """Give up dialling."""
        self._dials.pop(link, None)

    def persist(self, work: Work, done: Done) -> None:
        """Carry out ``work`` at once, and say so as long after as a write takes in this network."""
        error = attempt(work)
        if self._stopped:  # Nobody may be left who lets time pass.
            done(error)
        else:
            self.later(self.simulation.now + self._write_delay, lambda: done(error))

    def stop(self) -> None:
        """Listen no more, and be woken no more."""
        self._stopped = True
        if self.simulation.listening.get(self.address) is self:
            del self.simulation.listening[self.address]

    def _knock(self, link: Link) -> None:
        simulation, to = self.simulation, link.name
        links = simulation.links
        there = simulation.now + links.latency(self.address, to)
        if to in simulation.silent or (not links.whole and links.blocked(self.address, to)):
            self.later(simulation.now + micros(DIAL_TIMEOUT), lambda: self._failed(link))
        else:
            simulation.call_at(there, lambda: self._reached(link, to))

    def _reached(self, link: Link, to: Address) -> None:
        simulation = self.simulation
        back = simulation.now + simulation.links.latency(to, self.address)
        host = simulation.listening.get(to)
        if not isinstance(host, VirtualRuntime):
            self.later(back, lambda: self._failed(link))
            return
        ours, theirs = VirtualWire(self, link), VirtualWire(host, None)
        ours.other, theirs.other = theirs, ours
        ours.address, theirs.address = self.address, to
        self.wires[ours] = host.wires[theirs] = None
        host.soon(lambda: host.accept(theirs))
        self.later(back, lambda: self._connected(link, ours))

    def accept(self, wire: VirtualWire) -> None:
        """Take a connection that came in, or end it."""
        wire.link = None if self._stopped else self.engine.accepted(wire)
        if wire.link is None:
            wire.abort()

    def _connected(self, link: Link, wire: VirtualWire) -> None:
        if self._dials.pop(link, None) is None or not wire.open:
            wire.abort()
            return
        self.engine.dialled(link, wire)

    def _failed(self, link: Link) -> None:
        if self._dials.pop(link, None) is not None:
            self.engine.dial_failed(link)

    # Time, and faults

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of this process; a client has none."""
        return self.engine.nodes if isinstance(self.engine, Driver) else ()

    def soon(self, do: Callable[[], None]) -> None:
        """Do something at the end of this moment's turn."""
        self.later(self.simulation.now, do)

    def later(self, at: Micros, do: Callable[[], None]) -> None:
        """Do something at ``at``, or once the process is not paused any more."""

        def happen() -> None:
            if self._paused > self.simulation.now:
                self.simulation.call_at(self._paused, happen)
            else:
                do()

        self.simulation.call_at(at, happen)

    def pause(self, until: Micros) -> None:
        """Let nothing happen here until then."""
        self._paused = until

    def crash(self, *, silent: bool) -> None:
        """End the process; ``silent``, nobody is told, not even by the connections."""
        if silent:
            for wire in tuple(self.wires):
                wire.vanish()
        self.engine.abort()
