"""Nodes and clients on trio: the same names and behaviour as `chord_adapters.asyncio`, and `serve_node`.

::

    async with open_node("127.0.0.1:7001", join=["127.0.0.1:7000"]) as node:
        await node.wait_ready()
        key = await node.store(b"any bytes")
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import trio

from chord_adapters import _tls
from chord_adapters._address import listening_socket
from chord_adapters._client import Asker, Client
from chord_adapters._descriptors import OUT_OF_RESOURCES, is_scarce
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
from chord_adapters._links import DIAL_TIMEOUT, FLUSH_TIMEOUT, Link
from chord_adapters._node import Node
from chord_adapters._opening import FilePath, Opening, client_of
from chord_adapters._results import Entry, Health, Lagged, PutResult, StoredValue
from chord_adapters._scan import Key
from chord_adapters._shortage import RETRY_PAUSE
from chord_adapters._tls import Tls, reason_of, tls_of
from chord_adapters._trio_sockets import connect as connect_to
from chord_adapters._trio_sockets import resolve
from chord_adapters._trio_wire import TrioWaiter, TrioWire, origin_of_socket
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
    "serve_node",
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
    failure: BaseException | None = None
    driver: Driver | None = None
    runtime: _Runtime | None = None
    async with trio.open_nursery() as nursery:
        # What the body raises must not pass through the nursery, or it would come out as a group.
        try:
            runtime = _Runtime(nursery, opening.tls)
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
        if runtime is not None:
            await runtime.close_storage()
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
    storage: Storage | None = None,
    virtual_nodes: int = 1,
    network: str = "chord",
    advertise: str | None = None,
    seed: int | None = None,
    record: FilePath | None = None,
    tls: Tls | FilePath | None = None,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a node, for ``node = await nursery.start(partial(serve_node, ...))``, as `open_node` does.

    Returns when the node has left or was aborted, raises `Closed` when it dies; cancelled, it says goodbye.
    """
    async with open_node(
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
    ) as node:
        task_status.started(node)
        await node.wait_closed()


@asynccontextmanager
async def connect(
    address: str, *, network: str = "chord", config: Config = _CONFIG, tls: Tls | FilePath | None = None
) -> AsyncIterator[Client]:
    """Ask the node at ``address`` for everything, without being one; it is dialled with the first call.

    Of ``config`` count ``bits``, ``operation_timeout`` and the sizes.  ``tls`` is what `open_node` takes; a ring with it
    lets no others in.  Raises `ValueError` and `TypeError`, and `OSError` for certificates that cannot be read.
    """
    shown = tls_of(tls)
    failure: BaseException | None = None
    asker: Asker | None = None
    async with trio.open_nursery() as nursery:
        runtime = _Runtime(nursery, shown)
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


class _Runtime:
    """What the loop does for one node or client."""

    engine: Engine

    def __init__(self, nursery: trio.Nursery, tls: Tls | None) -> None:
        self._tls = tls
        self._nursery = nursery
        self._wires: set[TrioWire] = set()
        self._listener: trio.SocketListener | None = None
        self._dials: dict[Link, trio.CancelScope] = {}
        self._sleep = trio.CancelScope()
        self._due = math.inf
        self._stopped = False
        self._all_gone = trio.Event()
        self._worker: Worker | None = None

    async def open(self, opening: Opening) -> Driver:
        """Listen, and start the nodes."""
        sock = listening_socket(await resolve(opening.listen.host, opening.listen.port))
        driver: Driver | None = None
        try:
            contacts = await opening.contacts(sock, resolve)
            keeper = await opening.keeper(self)
            self.engine = driver = opening.driver(self, opening.address(sock), contacts, keeper)
            self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        except BaseException:
            sock.close()
            if driver is not None:
                driver.abort()
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

    def lost(self, wire: TrioWire) -> None:
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
                if error.errno in OUT_OF_RESOURCES:
                    await trio.sleep(0.0 if self._make_way() else RETRY_PAUSE)
                continue
            if self._tls is None:
                self._take(TrioWire(self, stream))
            else:
                scope = trio.CancelScope()
                scarce = is_scarce(stream.socket.fileno())
                self.engine.knocked(scope, origin_of_socket(stream.socket), scope.cancel, scarce=scarce)
                self._spawn(self._greet, stream, self._tls, scope)

    def _make_way(self, *, dialling: bool = False) -> bool:
        """Let somebody make way for a connection, since file descriptors run out; tell whether somebody did."""
        return self.engine.starved(dialling=dialling)

    def _take(self, wire: TrioWire, knocked: object = None) -> None:
        """Take a connection that came in."""
        wire.link = self.engine.accepted(wire, knocked, scarce=wire.is_scarce)
        if wire.link is None:
            wire.abort()
        else:
            self._wires.add(wire)
            self._spawn(wire.run)

    async def _greet(self, stream: trio.SocketStream, tls: Tls, scope: trio.CancelScope) -> None:
        """Let the other side show who it is."""
        secured = trio.SSLStream(stream, tls.server, server_side=True, https_compatible=True)
        shown = False
        try:
            with scope, suppress(trio.BrokenResourceError):
                await secured.do_handshake()
                shown = not self._stopped
        finally:
            if not shown:
                self.engine.gave_up(scope)
                stream.socket.close()
        if shown:
            self._take(TrioWire(self, stream, secured), scope)

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

    def waiter(self) -> TrioWaiter:
        return TrioWaiter()

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
        secured: trio.SSLStream[trio.SocketStream] | None = None
        made, reason = False, ""
        try:
            with scope:
                await trio.sleep(delay)
                with trio.fail_after(DIAL_TIMEOUT) as limit:
                    while stream is None:
                        stream = await self._connected(link, limit)
                    if self._tls is not None:
                        assert link.spot is not None
                        secured = trio.SSLStream(
                            stream, self._tls.client, server_hostname=link.spot.host, https_compatible=True
                        )
                        await secured.do_handshake()
                made = True
        except trio.BrokenResourceError as error:
            reason = reason_of(error) or _tls.NOT_SHOWN
        except (OSError, ValueError, trio.TooSlowError) as error:
            reason = "" if self._tls is None else reason_of(error)
        finally:
            self._dials.pop(link, None)
            if stream is not None and not made:
                stream.socket.close()
        if stream is not None and made:
            wire = TrioWire(self, stream, secured)
            wire.link = link
            self._wires.add(wire)
            self.engine.dialled(link, wire)
            await wire.run()
        elif not scope.cancelled_caught:
            self.engine.dial_failed(link, reason)

    async def _connected(self, link: Link, limit: trio.CancelScope) -> trio.SocketStream | None:
        """Connect to where the name leads; None when there was no file descriptor for it, and then time begins anew."""
        bound = None if self._listener is None else self._listener.socket.getsockname()
        try:
            return await connect_to(link, bound)
        except OSError as error:
            if error.errno not in OUT_OF_RESOURCES:
                raise
        limit.deadline = trio.current_time() + RETRY_PAUSE + DIAL_TIMEOUT
        await trio.sleep(0.0 if self._make_way(dialling=True) else RETRY_PAUSE)
        return None

    def hang_up(self, link: Link) -> None:
        scope = self._dials.pop(link, None)
        if scope is not None:
            scope.cancel()

    def persist(self, work: Work, done: Done) -> None:
        if self._worker is None:
            self._worker = Worker(trio.lowlevel.current_trio_token().run_sync_soon)
        self._worker.do(work, done)

    async def close_storage(self) -> None:
        """Wait until the storage is let go, however long the disk takes: cancelling this does not leave it locked."""
        worker, self._worker = self._worker, None
        if worker is not None:
            ended = trio.Event()
            worker.end(ended.set)
            with trio.CancelScope(shield=True):
                await ended.wait()

    def stop(self) -> None:
        self._stopped = True
        self._sleep.cancel()
        if self._listener is not None:
            self._listener.socket.close()
