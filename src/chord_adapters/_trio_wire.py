"""What the trio adapter does for one task that waits, and for one TCP connection."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Protocol

import trio

from chord_adapters._address import origin_of, tune
from chord_adapters._descriptors import is_scarce
from chord_adapters._engine import Engine
from chord_adapters._links import HIGH_WATER, Link
from chord_adapters._runtime import Outcome
from chord_adapters._tls import covers

_PIECE = 64 * 1024
"""Most bytes that are sent before it is noted how many are left: so it is known who reads slowly, and who not at all."""


class Home(Protocol):
    """The runtime that a connection belongs to."""

    engine: Engine

    def lost(self, wire: TrioWire) -> None:
        """Forget a connection that is closed."""


class TrioWaiter:
    """Lets one task wait for one outcome: half the cost of a `trio.Event`, for which any number may wait."""

    __slots__ = ("_outcome", "_resolved", "_task")

    def __init__(self) -> None:
        self._outcome: Outcome = None
        self._resolved = False
        self._task: trio.lowlevel.Task | None = None

    def resolve(self, outcome: Outcome) -> None:
        if self._resolved:
            return
        self._resolved = True
        self._outcome = outcome
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    async def wait(self) -> Outcome:
        if self._resolved:
            await trio.lowlevel.checkpoint()
        else:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        return self._outcome

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class TrioWire:
    """One TCP connection: one task reads, one writes all that is queued when it gets its turn."""

    def __init__(
        self, runtime: Home, stream: trio.SocketStream, secured: trio.SSLStream[trio.SocketStream] | None = None
    ) -> None:
        self.link: Link | None = None
        self._runtime = runtime
        self._socket = stream.socket
        self._secured = secured
        self._stream: trio.abc.Stream = stream if secured is None else secured
        self._scope = trio.CancelScope()
        self._wanted = trio.Event()
        self._drained = trio.Event()
        self._sending = 0
        self._rest = b""
        self._closing = False
        tune(stream.socket.setsockopt)

    @property
    def is_scarce(self) -> bool:
        """Tell whether file descriptors ran out when this one was given."""
        return is_scarce(self._socket.fileno())

    async def run(self) -> None:
        """Serve the connection until it ends."""
        assert self.link is not None
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, self.link)
                    await self._read(self.link)
                    self._scope.cancel()
        finally:
            self._socket.close()
            self._runtime.lost(self)
            self._runtime.engine.lost(self.link)

    async def _read(self, link: Link) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self._stream.receive_some(link.wanted):
                self._runtime.engine.received(link, bytes(data))
                # Who does not read our answers need not ask for more.
                while link.backlog or (self._sending > HIGH_WATER and not link.dialled):
                    self._drained = trio.Event()
                    link.paused = True
                    await self._drained.wait()
                    link.paused = False
                    self._runtime.engine.drained(link)

    async def _write(self, link: Link) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                while data := self._take(link):
                    self._sending = len(data)
                    for piece in range(0, len(data), _PIECE):
                        await self._stream.send_all(memoryview(data)[piece : piece + _PIECE])
                        self._sending = max(0, len(data) - piece - _PIECE)
                self._drained.set()
                if self._closing:
                    break
                self._wanted = trio.Event()
                await self._wanted.wait()
        self._scope.cancel()

    def _take(self, link: Link) -> bytes:
        rest, self._rest = self._rest, b""
        return rest or link.take()

    def origin(self) -> str:
        return origin_of_socket(self._socket)

    def covers(self, host: str) -> bool:
        certificate = None if self._secured is None else self._secured.getpeercert()
        return certificate is None or covers(certificate, host)

    def wake(self) -> None:
        self._wanted.set()

    def pending(self) -> int:
        return self._sending + len(self._rest)

    def close(self) -> None:
        self._closing = True
        if not self._sending and self._secured is None:
            self._send_at_once()
        self.wake()

    def _send_at_once(self) -> None:
        """Send what the system takes without waiting: a goodbye must go out though all tasks are being cancelled."""
        assert self.link is not None
        descriptor = self._socket.fileno()
        data = self._take(self.link)
        if descriptor < 0 or not data:
            return
        raw = socket.socket(fileno=descriptor)
        try:
            self._rest = data[raw.send(data) :]
        except OSError:
            self._rest = data  # Too much for now, or broken: the writing task will see.
        finally:
            raw.detach()

    def abort(self) -> None:
        self._scope.cancel()
        self._socket.close()


def origin_of_socket(sock: trio.socket.SocketType) -> str:
    """Return where a connection comes from."""
    try:
        return origin_of(sock.getpeername())
    except OSError:
        return ""  # It is gone already.
