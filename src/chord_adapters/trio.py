"""Nodes and clients on trio: the same names and behaviour as `chord_adapters.asyncio`, and `serve_node`.

::

    async with open_node("127.0.0.1:7001", join=["127.0.0.1:7000"]) as node:
        await node.wait_ready()
        key = await node.store(b"any bytes")
"""

from __future__ import annotations

import errno
import math
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio

from chord_adapters._address import listening_socket, parse, tune
from chord_adapters._client import Asker, Client
from chord_adapters._driver import Driver
from chord_adapters._engine import Engine
from chord_adapters._errors import (
    Busy,
    ChordError,
    Closed,
    JoinRefused,
    NoQuorum,
    NotReady,
    StorageFailed,
    Timeout,
    Unreachable,
    ValueTooLarge,
    VersionMismatch,
)
from chord_adapters._links import DIAL_TIMEOUT, FLUSH_TIMEOUT, HIGH_WATER, READ_SIZE, Link
from chord_adapters._node import Node
from chord_adapters._opening import FilePath, Opening, client_of
from chord_adapters._results import Entry, Health, Lagged, PutResult
from chord_adapters._runtime import Outcome
from chord_adapters._scan import Key
from chord_adapters._watch import Event
from chord_proto.config import Config
from chord_proto.peer import Peer

__all__ = [
    "Busy",
    "ChordError",
    "Client",
    "Closed",
    "Config",
    "Entry",
    "Event",
    "Health",
    "JoinRefused",
    "Key",
    "Lagged",
    "NoQuorum",
    "Node",
    "NotReady",
    "Peer",
    "PutResult",
    "StorageFailed",
    "Timeout",
    "Unreachable",
    "ValueTooLarge",
    "VersionMismatch",
    "connect",
    "open_node",
    "serve_node",
]

_CONFIG = Config()
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_ACCEPT_PAUSE = 0.1


@asynccontextmanager
async def open_node(
    listen: str,
    *,
    join: Sequence[str] = (),
    config: Config = _CONFIG,
    virtual_nodes: int = 1,
    network: str = "chord",
    advertise: str | None = None,
    seed: int | None = None,
    record: FilePath | None = None,
) -> AsyncIterator[Node]:
    """Open a node that listens at ``listen``, ``HOST:PORT`` (port 0 picks a free one), and leave the ring on exit.

    Joins the ring of any of the addresses ``join``, for ever if need be, or creates one when there are none; entering
    returns once it listens.  ``advertise`` is the address that others dial, needed when ``listen`` is a wildcard.
    ``virtual_nodes`` places on the circle share the address.  ``seed`` makes the node's random choices repeat, and
    ``record`` is a new file for all that it is told and does, for ``chord replay``.

    A normal exit leaves within ``Config.leave_timeout``; by exception or cancellation it says goodbye without waiting.
    Raises `ValueError` and `TypeError` for bad arguments, `OSError` for a port in use or a file that exists, and on
    exit `Closed` when the node died and the body raised nothing.
    """
    opening = Opening.of(
        listen,
        join=join,
        config=config,
        virtual_nodes=virtual_nodes,
        network=network,
        advertise=advertise,
        seed=seed,
        record=record,
    )
    failure: BaseException | None = None
    driver: Driver | None = None
    async with trio.open_nursery() as nursery:
        # What the body raises must not pass through the nursery, or it would come out as a group.
        try:
            runtime = _Runtime(nursery)
            driver = await runtime.open(opening)
            try:
                yield Node(driver)
                await driver.depart()
                await runtime.flush()
            except BaseException:
                driver.say_goodbye()
                raise
        except BaseException as error:  # noqa: BLE001 -- raised below
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if driver is not None and driver.cause is not None:
        raise driver.closed()


async def serve_node(
    listen: str,
    *,
    join: Sequence[str] = (),
    config: Config = _CONFIG,
    virtual_nodes: int = 1,
    network: str = "chord",
    advertise: str | None = None,
    seed: int | None = None,
    record: FilePath | None = None,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a node, for ``node = await nursery.start(partial(serve_node, ...))``, as `open_node` does.

    Returns when the node has left or was aborted, raises `Closed` when it dies; cancelled, it says goodbye.
    """
    async with open_node(
        listen,
        join=join,
        config=config,
        virtual_nodes=virtual_nodes,
        network=network,
        advertise=advertise,
        seed=seed,
        record=record,
    ) as node:
        task_status.started(node)
        await node.wait_closed()


@asynccontextmanager
async def connect(address: str, *, network: str = "chord", config: Config = _CONFIG) -> AsyncIterator[Client]:
    """Ask the node at ``address`` for everything, without being one; it is dialled with the first call.

    Of ``config`` count ``bits``, ``operation_timeout`` and the sizes.  Raises `ValueError` and `TypeError`.
    """
    failure: BaseException | None = None
    asker: Asker | None = None
    async with trio.open_nursery() as nursery:
        runtime = _Runtime(nursery)
        try:
            asker, client = client_of(runtime, address, network=network, config=config)
            runtime.start(asker)
            try:
                yield client
            finally:
                asker.end("the client was closed")
        except BaseException as error:  # noqa: BLE001 -- raised below
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if asker is not None and asker.cause is not None:
        raise asker.closed()


class _Waiter:
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


class _Wire:
    """One TCP connection: one task reads, one writes all that is queued when it gets its turn."""

    def __init__(self, runtime: _Runtime, stream: trio.SocketStream) -> None:
        self.link: Link | None = None
        self._runtime = runtime
        self._stream = stream
        self._scope = trio.CancelScope()
        self._wanted = trio.Event()
        self._drained = trio.Event()
        self._sending = 0
        self._rest = b""
        self._closing = False
        tune(stream.socket.setsockopt)

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
            self._stream.socket.close()
            self._runtime.lost(self)
            self._runtime.engine.lost(self.link)

    async def _read(self, link: Link) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self._stream.receive_some(READ_SIZE):
                self._runtime.engine.received(link, bytes(data))
                # Who does not read our answers need not ask for more.
                while link.backlog or (self._sending > HIGH_WATER and not link.dialled):
                    self._drained = trio.Event()
                    await self._drained.wait()
                    self._runtime.engine.drained(link)

    async def _write(self, link: Link) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                while data := self._take(link):
                    self._sending = len(data)
                    await self._stream.send_all(data)
                    self._sending = 0
                self._drained.set()
                if self._closing:
                    break
                self._wanted = trio.Event()
                await self._wanted.wait()
        self._scope.cancel()

    def _take(self, link: Link) -> bytes:
        rest, self._rest = self._rest, b""
        return rest or link.take()

    def wake(self) -> None:
        self._wanted.set()

    def pending(self) -> int:
        return self._sending + len(self._rest)

    def close(self) -> None:
        self._closing = True
        if not self._sending:
            self._send_at_once()
        self.wake()

    def _send_at_once(self) -> None:
        """Send what the system takes without waiting: a goodbye must go out though all tasks are being cancelled."""
        assert self.link is not None
        descriptor = self._stream.socket.fileno()
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
        self._stream.socket.close()


class _Runtime:
    """What the loop does for one node or client."""

    engine: Engine

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._wires: set[_Wire] = set()
        self._listener: trio.SocketListener | None = None
        self._dials: dict[Link, trio.CancelScope] = {}
        self._sleep = trio.CancelScope()
        self._due = math.inf
        self._stopped = False
        self._all_gone = trio.Event()

    async def open(self, opening: Opening) -> Driver:
        """Listen, and start the nodes."""
        sock = listening_socket(await _resolve(opening.listen.host, opening.listen.port))
        try:
            contacts = await opening.contacts(sock, _resolve)
            driver = opening.driver(self, opening.address(sock), contacts)
            self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        except BaseException:
            sock.close()
            raise
        self.start(driver)
        self._spawn(self._accept, self._listener)
        driver.start()
        return driver

    def start(self, engine: Engine) -> None:
        """Let ``engine`` have its timer."""
        self.engine = engine
        self._spawn(self._keep_time)

    async def flush(self) -> None:
        """Wait a moment for what is still to be sent."""
        if self._wires:
            self._all_gone = trio.Event()
            with trio.move_on_after(FLUSH_TIMEOUT):
                await self._all_gone.wait()

    def lost(self, wire: _Wire) -> None:
        """Forget a connection that is closed."""
        self._wires.discard(wire)
        if not self._wires:
            self._all_gone.set()

    def _spawn(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        self._nursery.start_soon(self._guard, task, *args)

    async def _guard(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Let a bug in a task be the end of the node, and not of the nursery in which the caller's body runs."""
        try:
            await task(*args)
        except Exception as error:  # noqa: BLE001 -- becomes the cause of `Closed`
            self.engine.fail(error)

    async def _accept(self, listener: trio.SocketListener) -> None:
        while True:
            try:
                stream = await listener.accept()
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    await trio.sleep(_ACCEPT_PAUSE)
                continue
            wire = _Wire(self, stream)
            wire.link = self.engine.accepted(wire)
            if wire.link is None:
                stream.socket.close()
            else:
                self._wires.add(wire)
                self._spawn(wire.run)

    async def _keep_time(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._due) as self._sleep:
                await trio.sleep_forever()
            if self._stopped:
                return
            if trio.current_time() >= self._due:
                self._due = math.inf
                self.engine.woken()

    # What a node or client calls

    def now(self) -> float:
        return trio.current_time()

    def civil(self) -> float:
        return time.time()

    def waiter(self) -> _Waiter:
        return _Waiter()

    def wake_at(self, when: float) -> None:
        self._due = when
        # A sleep that ends too early finds out: moving its deadline is dear, and deadlines mostly move on.
        if when < self._sleep.deadline:
            self._sleep.deadline = when

    def dial(self, link: Link, delay: float) -> None:
        self._dials[link] = scope = trio.CancelScope()
        self._spawn(self._dial, link, delay, scope)

    async def _dial(self, link: Link, delay: float, scope: trio.CancelScope) -> None:
        stream: trio.SocketStream | None = None
        try:
            with scope:
                await trio.sleep(delay)
                where = parse(link.name)
                with trio.fail_after(DIAL_TIMEOUT):
                    stream = await trio.open_tcp_stream(where.host, where.port)
        except (OSError, ValueError, trio.TooSlowError):
            pass
        finally:
            self._dials.pop(link, None)
        if stream is not None:
            wire = _Wire(self, stream)
            wire.link = link
            self._wires.add(wire)
            self.engine.dialled(link, wire)
            await wire.run()
        elif not scope.cancelled_caught:
            self.engine.dial_failed(link)

    def hang_up(self, link: Link) -> None:
        scope = self._dials.pop(link, None)
        if scope is not None:
            scope.cancel()

    def stop(self) -> None:
        self._stopped = True
        self._sleep.cancel()
        if self._listener is not None:
            self._listener.socket.close()


async def _resolve(host: str, port: int) -> list[Any]:
    return list(await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP))
