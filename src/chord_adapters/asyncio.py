"""Nodes and clients on asyncio.

::

    async with open_node("127.0.0.1:7001", join=["127.0.0.1:7000"]) as node:
        await node.wait_ready()
        key = await node.store(b"any bytes")
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from chord_adapters._address import listening_socket
from chord_adapters._asyncio_sockets import Listener, resolve
from chord_adapters._asyncio_sockets import connect as connect_to
from chord_adapters._asyncio_wire import AsyncioGreeting, AsyncioWaiter, AsyncioWire
from chord_adapters._client import Client
from chord_adapters._descriptors import OUT_OF_RESOURCES
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
from chord_adapters._events import Gained, Lost
from chord_adapters._link import READ_SIZE
from chord_adapters._links import DIAL_TIMEOUT, FLUSH_TIMEOUT, Link
from chord_adapters._node import Node
from chord_adapters._opening import FilePath, Opening, client_of
from chord_adapters._results import Entry, Health, Lagged, PutResult, StoredValue
from chord_adapters._scan import Key
from chord_adapters._shortage import RETRY_PAUSE
from chord_adapters._tls import Tls, reason_of, tls_of
from chord_adapters._watch import Event
from chord_adapters._worker import Done, Work, Worker
from chord_adapters.storage import Storage
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
    "Gained",
    "Health",
    "JoinRefused",
    "Key",
    "Lagged",
    "Lost",
    "NoQuorum",
    "Node",
    "NotReady",
    "Peer",
    "PutResult",
    "StorageFailed",
    "StoredValue",
    "Timeout",
    "Tls",
    "Unreachable",
    "ValueTooLarge",
    "VersionMismatch",
    "connect",
    "open_node",
]

_CONFIG = Config()


@asynccontextmanager
async def open_node(
    listen: str,
    *,
    join: Sequence[str] = (),
    config: Config = _CONFIG,
    storage: Storage | None = None,
    virtual_nodes: int = 1,
    network: str = "chord",
    advertise: str | None = None,
    seed: int | None = None,
    record: FilePath | None = None,
    tls: Tls | FilePath | None = None,
) -> AsyncIterator[Node]:
    """Open a node that listens at ``listen``, ``HOST:PORT`` (port 0 picks a free one), and leave the ring on exit.

    Joins the ring of any of the addresses ``join``, for ever if need be, or creates one when there are none; entering
    returns once it listens.  All addresses of a name are tried; ``_chord._tcp.example.org`` stands for SRV records (the
    extra ``srv``), asked of a certain name server with ``@10.0.0.1:53`` behind it.  ``advertise`` is the address that
    others dial, needed when ``listen`` is a wildcard.  ``virtual_nodes`` places on the circle share the address.
    ``seed`` makes the node's random choices repeat, and ``record`` is a new file for all that it is told and does, for
    ``chord replay``.

    ``storage`` keeps the records, see `chord_adapters.storage`; without one they live in memory.  It is loaded on
    entering, and closed when the node has ended.  A node that was a member before joins by the members that it knew,
    too; if it finds none within some seconds, it is a ring of its own, which merges with others later.

    ``tls`` is the folder of this machine's certificate (``chord tls``), or a `Tls`: then nobody gets in, as a node or as a
    client, who has none of the same authority, and who speaks for an address that its own does not cover is refused.

    A normal exit leaves within ``Config.leave_timeout``; by exception or cancellation it says goodbye without waiting.
    Raises `ValueError` and `TypeError` for bad arguments, `ImportError` for an extra that is missing, `OSError` for a
    port in use, a file that exists or a storage that cannot be used, and on exit `Closed` when the node died and the body raised nothing.
    """
    opening = Opening.of(
        listen,
        join=join,
        config=config,
        storage=storage,
        virtual_nodes=virtual_nodes,
        network=network,
        advertise=advertise,
        seed=seed,
        record=record,
        tls=tls,
    )
    runtime = _Runtime(opening.tls)
    patience = 0.0
    try:
        driver = await runtime.open(opening)
        try:
            yield Node(driver)
            await driver.depart()
            patience = FLUSH_TIMEOUT
        except BaseException:
            driver.say_goodbye()
            raise
    finally:
        await runtime.close(patience)
    if driver.cause is not None:
        raise driver.closed()


@asynccontextmanager
async def connect(
    address: str, *, network: str = "chord", config: Config = _CONFIG, tls: Tls | FilePath | None = None
) -> AsyncIterator[Client]:
    """Ask the node at ``address`` for everything, without being one; it is dialled with the first call.

    Of ``config`` count ``bits``, ``operation_timeout`` and the sizes.  ``tls`` is what `open_node` takes; a ring with it
    lets no others in.  Raises `ValueError` and `TypeError`, and `OSError` for certificates that cannot be read.
    """
    runtime = _Runtime(tls_of(tls))
    asker, client = client_of(runtime, address, network=network, config=config)
    runtime.engine = asker
    try:
        yield client
    finally:
        asker.end("the client was closed")
        await runtime.close(0.0)
    if asker.cause is not None:
        raise asker.closed()


class _Runtime:
    """What the loop does for one node or client."""

    engine: Engine

    def __init__(self, tls: Tls | None) -> None:
        self.tls = tls
        self.loop = loop = asyncio.get_running_loop()
        own = getattr(loop.time, "__func__", None) is not asyncio.BaseEventLoop.time
        self.now = loop.time if own else time.monotonic  # the same, but a call less; it is read several times a message
        self.wires: set[AsyncioWire] = set()
        self.buffer = memoryview(bytearray(READ_SIZE))
        self._listener: Listener | None = None
        self._dials: dict[Link, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._entering: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0.0
        """For when: a handle of uvloop cannot always tell."""
        self._due = 0.0
        self.is_stopped = False
        self._all_gone: asyncio.Future[None] | None = None
        self._worker: Worker | None = None

    async def open(self, opening: Opening) -> Driver:
        """Listen, and start the nodes."""
        sock = listening_socket(await resolve(opening.listen.host, opening.listen.port))
        driver: Driver | None = None
        try:
            contacts = await opening.contacts(sock, resolve)
            keeper = await opening.keeper(self)
            self.engine = driver = opening.driver(self, opening.address(sock), contacts, keeper)
            self._listener = Listener(self.loop, sock, self._came_in, self._make_way)
        except BaseException:
            self.stop()
            sock.close()
            if driver is not None:
                driver.abort()
            raise
        driver.start()
        return driver

    def _came_in(self, sock: socket.socket) -> None:
        # Not cancelled with the others: it takes only some turns, and would forget the socket.
        task = self.loop.create_task(self._take_in(sock))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    async def _take_in(self, sock: socket.socket) -> None:
        with suppress(OSError):  # It has gone again.
            await self.loop.connect_accepted_socket(self._protocol, sock)

    def _protocol(self) -> asyncio.BaseProtocol:
        return AsyncioWire(self, None) if self.tls is None else AsyncioGreeting(self, self.tls)

    def _make_way(self, *, dialling: bool = False) -> bool:
        """Let somebody make way for a connection, since file descriptors run out; tell whether somebody did."""
        return self.engine.starved(dialling=dialling)

    async def close(self, patience: float) -> None:
        """Wait until everything is closed, so many seconds also for what is still to be sent."""
        self.stop()
        for task in self._tasks:
            task.cancel()
        try:
            if self.wires and patience:
                self._all_gone = self.loop.create_future()
                await asyncio.wait([self._all_gone], timeout=patience)
        finally:
            try:
                await self._close_now()
            finally:
                await self._close_storage()

    async def _close_storage(self) -> None:
        """Wait until the storage is let go, however long the disk takes: cancelling this does not leave it locked."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        ended = self.loop.create_future()
        worker.end(lambda: ended.set_result(None))
        cancelled: asyncio.CancelledError | None = None
        while not ended.done():
            try:
                await asyncio.wait([ended])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _close_now(self) -> None:
        """Close what is left; cancelling this does not hinder it, since it only takes a few turns of the loop."""
        cancelled: asyncio.CancelledError | None = None
        while self.wires or self._tasks or self._entering:
            for wire in list(self.wires):
                wire.abort()
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def lost(self, wire: AsyncioWire) -> None:
        """Forget a connection that is closed."""
        self.wires.discard(wire)
        if not self.wires and self._all_gone is not None and not self._all_gone.done():
            self._all_gone.set_result(None)

    # What a node or client calls

    def civil(self) -> float:
        return time.time()

    def waiter(self) -> AsyncioWaiter:
        return AsyncioWaiter(self.loop)

    def wake_at(self, when: float) -> None:
        self._due = when
        # A timer that is too early is left to find out when it fires: arming is dear, and deadlines mostly move on.
        if self._timer is None or self._armed > when:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = self._due
        self._timer = None if self.is_stopped else self.loop.call_at(self._due, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self.now() < self._due:
            self._arm()
        else:
            self.engine.woken()

    def dial(self, link: Link, delay: float) -> None:
        self._dials[link] = self.spawn(self._dial(link, delay))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _dial(self, link: Link, delay: float) -> None:
        try:
            await asyncio.sleep(delay)
            await self._connect(link)
            self._dials.pop(link, None)
        except (OSError, ValueError) as error:
            # Taken out first, or hanging up would cancel this very task.
            self._dials.pop(link, None)
            if link.wire is None:
                self.engine.dial_failed(link, "" if self.tls is None else reason_of(error))

    async def _connect(self, link: Link) -> None:
        bound = None if self._listener is None else self._listener.bound
        tls = None if self.tls is None else self.tls.client
        while True:
            try:
                async with asyncio.timeout(DIAL_TIMEOUT):
                    sock = await connect_to(link, bound)
                    await self.loop.create_connection(
                        lambda: AsyncioWire(self, link),
                        sock=sock,
                        ssl=tls,
                        server_hostname=None if tls is None or link.spot is None else link.spot.host,
                    )
            except OSError as error:
                if error.errno not in OUT_OF_RESOURCES:
                    raise
            else:
                return
            await asyncio.sleep(0.0 if self._make_way(dialling=True) else RETRY_PAUSE)

    def hang_up(self, link: Link) -> None:
        task = self._dials.pop(link, None)
        if task is not None:
            task.cancel()

    def persist(self, work: Work, done: Done) -> None:
        if self._worker is None:
            self._worker = Worker(self.loop.call_soon_threadsafe)
        self._worker.do(work, done)

    def stop(self) -> None:
        self.is_stopped = True
        if self._listener is not None:
            self._listener.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
