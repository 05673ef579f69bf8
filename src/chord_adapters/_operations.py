"""The calls that a node and a client have in common, on any runtime.

A subclass says how an operation starts and how a task waits for its end; all the rest is here, as plain coroutines
that suspend only in ``_wait``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Generic, TypeVar

from chord_adapters._arguments import (
    Quorum,
    bytes_of,
    condition_of,
    content_key_of,
    name_of,
    place_of,
    quorum_of,
    timeout_of,
    ttl_of,
    value_of,
)
from chord_adapters._errors import Busy, VersionMismatch, error_of
from chord_adapters._results import Entry, PutResult, StoredValue
from chord_adapters._scan import Scanner
from chord_adapters._sources import Source, reading
from chord_adapters._transfer import BlockReader, BlockWriter, Doors, Progress, check_progress
from chord_adapters._watch import Watcher
from chord_proto.config import Config
from chord_proto.messages import Space
from chord_proto.operations import (
    Delete,
    Describe,
    Description,
    Failed,
    Fetched,
    Get,
    Locate,
    Located,
    Operation,
    Put,
    Result,
    Stored,
)
from chord_proto.peer import Peer

MAX_CALLS = 1024
"""How many calls of one node or client may be unfinished, those under way and those that wait their turn."""

W = TypeVar("W")


class Operations(ABC, Generic[W]):
    """put, get, delete, store, fetch, their streams, locate and replicas.

    Every call takes ``timeout=`` in seconds, by default ``Config.operation_timeout``, and retries inside until then.
    Cancelling a call at any point leaks nothing; the outcome of a cancelled write is unknown.
    """

    _config: Config
    _calls: int = 0
    _verified = False
    """Whether a block that comes was compared with its key by a node in this process."""

    @abstractmethod
    def _start(self, operation: Operation, timeout: float) -> W:
        """Start ``operation`` and return at once; raise `Closed` when the node has ended."""

    @abstractmethod
    async def _wait(self, waiter: W) -> Result:
        """Wait for the end; cancelling this cancels the operation.  Raise `Closed` when the node ends."""

    @abstractmethod
    def _abandon(self, waiter: W) -> None:
        """Cancel the operation, for which nobody waits; of one that has ended, do nothing."""

    @abstractmethod
    def _now(self) -> float:
        """Return the time in seconds of the runtime's monotonic clock."""

    def _room(self) -> bool:
        """Tell whether a call may have more operations under way than one just now."""
        return True

    def _call(self) -> _Call:
        return _Call(self)

    async def _perform(self, operation: Operation, timeout: float | None) -> Result:
        timeout = timeout_of(timeout) or self._config.operation_timeout
        with self._call():
            return succeeded(await self._wait(self._start(operation, timeout)))

    async def put(
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
        """Write ``value`` under ``key``; when this returns, ``w`` of the replicas have it durably, the owner among them.

        It can be read for ``ttl`` seconds from now, by default for ever.  ``if_version`` is the version that the record
        must have now, ``if_absent`` means that there must be none; the owner decides, and `VersionMismatch` says that
        somebody else was faster (``outcome_unknown``: this write may have taken effect before that).

        Raises `ValueTooLarge`, `Timeout`, `NoQuorum`, `Unreachable`, `NotReady`, `Busy`, `StorageFailed` or `Closed`.
        """
        name, value = name_of(key, self._config), value_of(value, self._config)
        condition = condition_of(if_version, if_absent)
        operation = Put(name, value, ttl_of(ttl), condition, quorum_of("w", w, self._config))
        try:
            return _written(await self._perform(operation, timeout))
        except VersionMismatch as error:
            if not if_absent:
                raise
            raise VersionMismatch("there is a record already", outcome_unknown=error.outcome_unknown) from None

    async def get(self, key: str | bytes, *, r: Quorum = "one", timeout: float | None = None) -> Entry | None:
        """Read what is under ``key``, the newest of ``r`` copies, by default the owner's alone; None if there is nothing.

        With ``r="majority"`` it is never older than what any write by a majority has acknowledged before.  Raises
        `Timeout`, `NoQuorum`, `Unreachable`, `NotReady`, `Busy` or `Closed`.
        """
        fetched = await self._perform(Get(name_of(key, self._config), quorum_of("r", r, self._config)), timeout)
        assert isinstance(fetched, Fetched)
        if fetched.value is None or fetched.version is None:
            return None
        return Entry(fetched.value, fetched.version, fetched.expires / 1000 if fetched.expires else None)

    async def delete(
        self,
        key: str | bytes,
        *,
        w: Quorum = "majority",
        if_version: str | None = None,
        timeout: float | None = None,
    ) -> PutResult:
        """Delete what is under ``key``, which need not exist; takes what `put` takes, and raises what it raises."""
        quorum = quorum_of("w", w, self._config)
        operation = Delete(name_of(key, self._config), condition_of(if_version, False), quorum)
        return _written(await self._perform(operation, timeout))

    async def store(self, data: bytes, *, timeout: float | None = None) -> int:
        """Store ``data``, of any length, under its content, and return the content key.

        The key is the SHA-1 of the bytes, or, of what is longer than one block, of the root of its tree.  When this
        returns, every block is on all replicas.  ``timeout`` bounds the whole call; without one each block has
        ``Config.operation_timeout``.  Raises what `put` raises.
        """
        data = bytes_of(data)
        with self._writer(None, timeout) as writer:
            await writer.feed(data)
            return (await writer.finish()).key

    async def fetch(self, key: int, *, timeout: float | None = None) -> bytes | None:
        """Fetch what was stored under ``key``, verified against it; None when nobody has it.

        ``timeout`` bounds the whole call; without one each block has ``Config.operation_timeout``.  Raises `Timeout`,
        `Unreachable` (also when a part is missing), `NotReady`, `Busy`, `StorageFailed` (what is stored is no whole
        value) or `Closed`.
        """
        async with self.open(key, timeout=timeout) as reader:
            return None if reader.length is None else await reader.read()

    async def store_stream(
        self, source: Source, *, progress: Progress | None = None, timeout: float | None = None
    ) -> StoredValue:
        """Store what ``source`` gives as one value, as `store` does, in a few MiB of memory whatever its length.

        ``source`` is a binary file, read in a thread, or one whose ``read`` is awaited, or an iterable of ``bytes``,
        asynchronous or one that does not block; what it raises comes out as it is.  Several blocks are under way at
        once, the root goes last: nobody finds a part of a value.  ``progress`` is called with the number of bytes
        that were stored since the last time.  ``timeout`` bounds the whole call, but does not interrupt the source.
        Raises `TypeError` for what is no source, and what `store` raises.
        """
        async with reading(source) as read:
            with self._writer(progress, timeout) as writer:
                while piece := await read():
                    await writer.feed(piece)
                return await writer.finish()

    def open(self, key: int, *, timeout: float | None = None) -> BlockReader[W]:
        """Open what was stored under ``key``, to be read in pieces, in a few MiB of memory whatever its length.

        ::

            async with node.open(key) as reader:
                if reader.length is not None:  # somebody has it
                    async for piece in reader:
                        file.write(piece)

        ``timeout`` bounds all of the reading.  Entering and reading raise what `fetch` raises: every piece that was
        handed out is verified, but only all of them are the value.
        """
        return BlockReader(self._doors(), content_key_of(key), timeout_of(timeout), self._call())

    async def locate(self, key: str | bytes | int, *, timeout: float | None = None) -> Peer:
        """Return the owner of a key; an int is a content key or a place on the circle.

        Raises `Timeout`, `Unreachable`, `NotReady`, `Busy` or `Closed`.
        """
        return (await self.lookup(key, timeout=timeout)).owner

    async def replicas(self, key: str | bytes | int, *, timeout: float | None = None) -> tuple[Peer, ...]:
        """Return the places that hold a key, its owner first; raises what `locate` raises."""
        return (await self.lookup(key, timeout=timeout)).replicas

    async def lookup(self, key: str | bytes | int, *, timeout: float | None = None) -> Located:
        """Return the owner of a key, its replicas and the way there, hop by hop; raises what `locate` raises."""
        located = await self._perform(Locate(place_of(key, self._config)), timeout)
        assert isinstance(located, Located)
        return located

    async def describe(self, *, timeout: float | None = None) -> Description:
        """Return what the node knows of its place, its neighbours and its records; raises what `locate` raises."""
        description = await self._perform(Describe(), timeout)
        assert isinstance(description, Description)
        return description

    def watch(self, key: str | bytes, *, after: str | None = None) -> Watcher:
        """Tell each change of a record as it comes: put, deleted, expired.

        Returns an async iterator of `Event` and `Lagged`, see `Watcher`; by default it tells what changes from now on,
        otherwise what came ``after`` a version or the cursor of an event.  Raises `ValueError` and `TypeError`.
        """
        if after is not None and not isinstance(after, str):
            raise TypeError(f"a version is a str, not {type(after).__name__}")
        return self._watch(key, after)

    def _watch(self, key: str | bytes, after: str | None, *, within: float | None = None) -> Watcher:
        return Watcher(self._perform, name_of(key, self._config), after, within=within)

    def scan(self, prefix: str | bytes = b"", *, after: str | None = None, timeout: float | None = None) -> Scanner:
        """Walk all records of the ring whose keys begin with ``prefix``, in no order that means anything.

        Returns an async iterator of `Key`; ``after`` is the cursor of one, behind which to go on.  ``timeout`` is that of
        each page.  Its steps raise what `get` raises; `ValueError` and `TypeError` come at once.
        """
        return self._scan(Space.RECORD, name_of(prefix, self._config), after, timeout)

    def _scan(self, space: Space, prefix: bytes, after: str | None, timeout: float | None) -> Scanner:
        return Scanner(
            self._perform, self._config, space=space, prefix=prefix, after=after, timeout=timeout_of(timeout)
        )

    @contextmanager
    def _writer(self, progress: Progress | None, timeout: float | None) -> Iterator[BlockWriter[W]]:
        """Return what stores a value piece by piece; what is still under way on exit is cancelled."""
        check_progress(progress)
        limit = timeout_of(timeout)
        with self._call(), closing(BlockWriter(self._doors(), progress, limit)) as writer:
            yield writer

    def _doors(self) -> Doors[W]:
        how = (self._start, self._wait, self._abandon, self._now, self._room, self._config.operation_timeout)
        return Doors(*how, self._verified)


class _Call:
    """Counts a call while it is unfinished; raises `Busy` on entering when there are too many."""

    __slots__ = ("_operations",)

    def __init__(self, operations: Operations[Any]) -> None:
        self._operations = operations

    def __enter__(self) -> None:
        operations = self._operations
        if operations._calls >= MAX_CALLS:
            raise Busy(f"{operations._calls} calls wait already")
        operations._calls += 1

    def __exit__(self, *exc_info: object) -> None:
        self._operations._calls -= 1


def succeeded(result: Result) -> Result:
    """Return ``result``, or raise the error that it stands for."""
    if isinstance(result, Failed):
        raise error_of(result)
    return result


def _written(result: Result) -> PutResult:
    assert isinstance(result, Stored)
    return PutResult(result.version, result.owner, result.acked)
