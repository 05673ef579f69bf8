"""Nodes and clients for blocking code: plain calls, from any thread; the event loop runs on a thread of its own.

::

    with open_node("127.0.0.1:7001", join=["127.0.0.1:7000"]) as node:
        node.wait_ready()
        key = node.store(b"any bytes")
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Generic, Self, TypeVar

from chord_adapters._arguments import Quorum
from chord_adapters._blocking import OwnershipReader, ValueReader, store_from
from chord_adapters._client import Client as AsyncClient
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
from chord_adapters._loop_thread import LoopThread
from chord_adapters._node import Node as AsyncNode
from chord_adapters._node import NodeStats
from chord_adapters._opening import FilePath
from chord_adapters._results import Entry, Health, Lagged, PutResult, StoredValue
from chord_adapters._scan import Key
from chord_adapters._scan import Scanner as AsyncScanner
from chord_adapters._sources import Readable
from chord_adapters._tls import Tls
from chord_adapters._transfer import Progress
from chord_adapters._watch import Event, Seen
from chord_adapters._watch import Watcher as AsyncWatcher
from chord_adapters.asyncio import connect as connect_async
from chord_adapters.asyncio import open_node as open_async
from chord_adapters.storage import Storage
from chord_proto.config import Config
from chord_proto.operations import Description, Located
from chord_proto.peer import Address, Peer

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

A = TypeVar("A", AsyncNode, AsyncClient)

_CONFIG = Config()


@contextmanager
def open_node(
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
) -> Iterator[Node]:
    """Open a node and leave the ring on exit; see `chord_adapters.asyncio.open_node`."""
    opening = open_async(
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
    with LoopThread() as thread, thread.entered(opening) as node:
        yield Node(node, thread)


@contextmanager
def connect(
    address: str, *, network: str = "chord", config: Config = _CONFIG, tls: Tls | FilePath | None = None
) -> Iterator[Client]:
    """Ask the node at ``address`` for everything; see `chord_adapters.asyncio.connect`."""
    asked = connect_async(address, network=network, config=config, tls=tls)
    with LoopThread() as thread, thread.entered(asked) as client:
        yield Client(client, thread)


class _Calls(Generic[A]):
    """The calls that a node and a client have in common; each is that of `chord_adapters.asyncio` of the same name."""

    def __init__(self, asynchronous: A, thread: LoopThread) -> None:
        self._asynchronous: A = asynchronous
        self._thread = thread

    def __repr__(self) -> str:
        return repr(self._asynchronous)

    @property
    def address(self) -> Address:
        """The address of the node."""
        return self._asynchronous.address

    def put(
        self,
        key: str | bytes,
        value: bytes,
        *,
        ttl: float | None = None,
        w: Quorum = "majority",
        if_version: str | None = None,
        if_absent: bool = False,
        timeout: float | None = None,
    ) -> PutResult:
        """Write ``value`` under ``key``; when this returns, ``w`` of the replicas have it durably."""
        return self._thread.wait_for(
            self._asynchronous.put,
            key,
            value,
            ttl=ttl,
            w=w,
            if_version=if_version,
            if_absent=if_absent,
            timeout=timeout,
        )

    def get(self, key: str | bytes, *, r: Quorum = "one", timeout: float | None = None) -> Entry | None:
        """Read what is under ``key``, the newest of ``r`` copies; None when there is nothing."""
        return self._thread.wait_for(self._asynchronous.get, key, r=r, timeout=timeout)

    def delete(
        self,
        key: str | bytes,
        *,
        w: Quorum = "majority",
        if_version: str | None = None,
        timeout: float | None = None,
    ) -> PutResult:
        """Delete what is under ``key``, which need not exist."""
        return self._thread.wait_for(self._asynchronous.delete, key, w=w, if_version=if_version, timeout=timeout)

    def watch(self, key: str | bytes, *, after: str | None = None) -> Watcher:
        """Tell each change of a record as it comes; returns an iterator of `Event` and `Lagged`."""
        return Watcher(self._thread.run(partial(self._asynchronous.watch, key, after=after)), self._thread)

    def scan(self, prefix: str | bytes = b"", *, after: str | None = None, timeout: float | None = None) -> Scanner:
        """Walk all records of the ring whose keys begin with ``prefix``; returns an iterator of `Key`."""
        return Scanner(
            self._thread.run(partial(self._asynchronous.scan, prefix, after=after, timeout=timeout)), self._thread
        )

    def store(self, data: bytes, *, timeout: float | None = None) -> int:
        """Store ``data``, of any length, under its content, and return the content key."""
        return self._thread.wait_for(self._asynchronous.store, data, timeout=timeout)

    def fetch(self, key: int, *, timeout: float | None = None) -> bytes | None:
        """Fetch what was stored under ``key``, verified against it; None when nobody has it."""
        return self._thread.wait_for(self._asynchronous.fetch, key, timeout=timeout)

    def store_stream(
        self, source: Readable | Iterable[bytes], *, progress: Progress | None = None, timeout: float | None = None
    ) -> StoredValue:
        """Store what ``source`` gives, a binary file or an iterable of ``bytes``, as one value, in a few MiB of memory.

        ``source`` is read, and ``progress`` called, in the thread of the caller.
        """
        return store_from(self._thread, self._asynchronous, source, progress, timeout)

    def open(self, key: int, *, timeout: float | None = None) -> ValueReader:
        """Open what was stored under ``key``: a context manager, and in it an iterator of pieces, see `ValueReader`."""
        return ValueReader(self._thread, self._asynchronous.open(key, timeout=timeout))

    def locate(self, key: str | bytes | int, *, timeout: float | None = None) -> Peer:
        """Return the owner of a key; an int is a content key or a place on the circle."""
        return self._thread.wait_for(self._asynchronous.locate, key, timeout=timeout)

    def replicas(self, key: str | bytes | int, *, timeout: float | None = None) -> tuple[Peer, ...]:
        """Return the places that hold a key, its owner first."""
        return self._thread.wait_for(self._asynchronous.replicas, key, timeout=timeout)

    def lookup(self, key: str | bytes | int, *, timeout: float | None = None) -> Located:
        """Return the owner of a key, its replicas and the way there, hop by hop."""
        return self._thread.wait_for(self._asynchronous.lookup, key, timeout=timeout)

    def describe(self, *, place: int | None = None, timeout: float | None = None) -> Description:
        """Return what the node knows of its place, its neighbours and its records."""
        return self._thread.wait_for(self._asynchronous.describe, place=place, timeout=timeout)


class Watcher:
    """An iterator of `Event` and `Lagged`, and a context manager; see `chord_adapters.asyncio.Watcher`."""

    def __init__(self, watcher: AsyncWatcher, thread: LoopThread) -> None:
        self._watcher = watcher
        self._thread = thread

    @property
    def cursor(self) -> str | None:
        """Behind the last event that was told."""
        return self._watcher.cursor

    def __iter__(self) -> Self:
        return self

    def __enter__(self) -> Self:
        self._thread.wait_for(self._watcher.__aenter__)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._thread.wait_for(self._watcher.__aexit__, None, None, None)

    def __next__(self) -> Seen:
        """Wait for the next change."""
        return self.next(None)

    def next(self, timeout: float | None) -> Seen:
        """Wait for the next change, at most so many seconds; raises ``TimeoutError`` and ``StopIteration``."""

        async def step() -> Seen:
            return await asyncio.wait_for(anext(self._watcher), timeout)

        try:
            return self._thread.wait_for(step)
        except StopAsyncIteration:
            raise StopIteration from None


class Scanner:
    """An iterator of `Key`, and a context manager; see `chord_adapters.asyncio.Scanner`."""

    def __init__(self, scanner: AsyncScanner, thread: LoopThread) -> None:
        self._scanner = scanner
        self._thread = thread

    @property
    def cursor(self) -> str | None:
        """Behind the last key that was told."""
        return self._scanner.cursor

    def __iter__(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._thread.wait_for(self._scanner.__aexit__, None, None, None)

    def __next__(self) -> Key:
        """Return the next key."""
        try:
            return self._thread.wait_for(self._scanner.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None


class Client(_Calls[AsyncClient]):
    """The calls of a node without being one; made by `connect`."""


class Node(_Calls[AsyncNode]):
    """A member of a ring, or one on its way there; made by `open_node`."""

    def wait_ready(self, *, timeout: float | None = None) -> None:
        """Wait until the node is a member and its own range is here; raises `JoinRefused`, `NotReady` or `Closed`."""
        self._thread.wait_for(self._asynchronous.wait_ready, timeout=timeout)

    def wait_closed(self) -> None:
        """Wait until the node has left, was aborted, or has died, which raises `Closed` with the cause."""
        self._thread.wait_for(self._asynchronous.wait_closed)

    def leave(self, *, drain: bool = False) -> None:
        """Leave the ring; with ``drain`` raises `Timeout` when something could not be handed over."""
        self._thread.wait_for(self._asynchronous.leave, drain=drain)

    def abort(self) -> None:
        """Crash: close all sockets at once and tell nobody."""
        self._thread.run(self._asynchronous.abort)

    @property
    def id(self) -> int:
        """The node's place on the circle."""
        return self._asynchronous.id

    @property
    def peer(self) -> Peer:
        """The node's own place and address."""
        return self._asynchronous.peer

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The places of all its virtual nodes."""
        return self._asynchronous.peers

    @property
    def predecessor(self) -> Peer | None:
        """The predecessor pointer; None for a ring of one."""
        return self._asynchronous.predecessor

    @property
    def predecessors(self) -> tuple[Peer, ...]:
        """The nodes before it, nearest first."""
        return self._asynchronous.predecessors

    @property
    def successors(self) -> tuple[Peer, ...]:
        """The successor list, never holding the node itself."""
        return self._asynchronous.successors

    @property
    def is_ready(self) -> bool:
        """True when `wait_ready` would return at once."""
        return self._thread.run(lambda: self._asynchronous.is_ready)

    @property
    def contacts(self) -> dict[Address, str]:
        """What is known of each address to join by: a word or two for people."""
        return self._thread.run(lambda: self._asynchronous.contacts)

    def owns(self, key: str | bytes | int) -> bool:
        """Tell whether a key lies on the range of this node."""
        return self._thread.run(self._asynchronous.owns, key)

    def ownership(self) -> OwnershipReader:
        """Return a subscription to the arcs that this node decides for: a plain iterator, see `OwnershipReader`."""
        return OwnershipReader(self._thread, self._asynchronous.ownership())

    def health(self) -> Health:
        """Return how the node is."""
        return self._thread.run(self._asynchronous.health)

    def stats(self) -> NodeStats:
        """Return counters since the node began, and sizes now."""
        return self._thread.run(self._asynchronous.stats)
