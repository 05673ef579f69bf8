"""What the asyncio adapter does for one task that waits, and for one TCP connection."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol, cast

from chord_adapters._address import origin_of, tune
from chord_adapters._descriptors import is_scarce
from chord_adapters._doors import HELLO_TIMEOUT
from chord_adapters._engine import Engine
from chord_adapters._link import READ_AHEAD
from chord_adapters._links import FLUSH_TIMEOUT, HIGH_WATER, Link
from chord_adapters._runtime import Outcome
from chord_adapters._tls import Tls, covers


class Home(Protocol):
    """The runtime that a connection belongs to."""

    engine: Engine
    loop: asyncio.AbstractEventLoop
    buffer: memoryview
    wires: set[AsyncioWire]
    is_stopped: bool

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let a task do this, and end it with the runtime."""

    def lost(self, wire: AsyncioWire) -> None:
        """Forget a connection that is closed."""


class AsyncioWaiter:
    """Lets one task wait for one outcome."""

    __slots__ = ("_future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._future: asyncio.Future[Outcome] = loop.create_future()

    def resolve(self, outcome: Outcome) -> None:
        if not self._future.done():
            self._future.set_result(outcome)

    async def wait(self) -> Outcome:
        if self._future.done():
            await asyncio.sleep(0)  # A task with nothing to wait for must not keep the loop to itself.
        return await self._future


class AsyncioGreeting(asyncio.Protocol):
    """A connection that came in, until the other side has shown who it is; then it is an `AsyncioWire`."""

    def __init__(self, runtime: Home, tls: Tls) -> None:
        self._runtime = runtime
        self._tls = tls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # that of uvloop is no subclass
        if self._runtime.is_stopped:
            transport.abort()
            return
        transport.pause_reading()
        scarce = is_scarce(transport.get_extra_info("socket").fileno())
        origin = origin_of(transport.get_extra_info("peername"))
        self._runtime.engine.knocked(self, origin, transport.abort, scarce=scarce)
        self._runtime.spawn(self._greet(transport))

    async def _greet(self, transport: asyncio.Transport) -> None:
        wire = AsyncioWire(self._runtime, None, self)
        secured: asyncio.Transport | None = None
        try:
            with suppress(OSError):
                secured = await self._runtime.loop.start_tls(
                    transport,
                    wire,
                    self._tls.server,
                    server_side=True,
                    ssl_handshake_timeout=2 * HELLO_TIMEOUT,  # It was sent away by then.
                    ssl_shutdown_timeout=FLUSH_TIMEOUT,
                )
        finally:
            if secured is None:
                self._runtime.engine.gave_up(self)
                transport.abort()
        if secured is not None:
            wire.connection_made(secured)


class AsyncioWire(asyncio.BufferedProtocol):
    """One TCP connection; what is queued in one turn of the loop leaves in one write."""

    def __init__(self, runtime: Home, link: Link | None, knocked: AsyncioGreeting | None = None) -> None:
        self._runtime = runtime
        self._link = link
        self._knocked = knocked
        self._transport: asyncio.Transport | None = None
        self._scheduled = False
        self._paused = False
        self._early = b""
        """What came together with the end of the handshake."""

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)  # that of uvloop is no subclass
        tune(transport.get_extra_info("socket").setsockopt)
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._runtime.wires.add(self)
        if self._link is not None:
            self._runtime.engine.dialled(self._link, self)
        elif self._runtime.is_stopped:
            transport.abort()  # The handshake was under way.
        else:
            scarce = is_scarce(transport.get_extra_info("socket").fileno())
            self._link = self._runtime.engine.accepted(self, self._knocked, scarce=scarce)
            if self._link is None:
                transport.abort()
            elif self._early:
                self._runtime.engine.received(self._link, self._early)
                self._read_on()
            self._early = b""

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._runtime.buffer[: READ_AHEAD if self._link is None else self._link.wanted]

    def buffer_updated(self, nbytes: int) -> None:
        if self._transport is None:
            self._early += bytes(self._runtime.buffer[:nbytes])
        elif self._link is not None:
            self._scheduled = True  # Answers leave at once, together.
            self._runtime.engine.received(self._link, self._runtime.buffer[:nbytes])
            self._flush()
            if self._link.backlog and not self._link.paused:
                self._read_on()

    def pause_writing(self) -> None:
        self._paused = True
        self._read_on()

    def resume_writing(self) -> None:
        self._paused = False
        self.wake()

    def _read_on(self) -> None:
        """Read, or do not: who does not read our answers need not ask for more."""
        if self._transport is None or self._link is None or self._transport.is_closing():
            return
        if self._link.backlog or (self._paused and not self._link.dialled):
            self._link.paused = True
            self._transport.pause_reading()
        else:
            self._link.paused = False
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._runtime.lost(self)
        if self._link is not None:
            self._runtime.engine.lost(self._link)

    # What the links call

    def origin(self) -> str:
        return "" if self._transport is None else origin_of(self._transport.get_extra_info("peername"))

    def covers(self, host: str) -> bool:
        certificate = None if self._transport is None else self._transport.get_extra_info("peercert")
        return certificate is None or covers(certificate, host)

    def wake(self) -> None:
        if not self._scheduled and not self._paused:
            self._scheduled = True
            self._runtime.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._paused or self._link is None:
            return
        if self._link.connection.queued_bytes:
            self._write()
        if self._link.paused and not self._paused:
            self._runtime.engine.drained(self._link)
            self._read_on()

    def _write(self) -> None:
        assert self._transport is not None
        assert self._link is not None
        if not self._transport.is_closing() and (data := self._link.take()):
            self._transport.write(data)

    def pending(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        self._write()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
