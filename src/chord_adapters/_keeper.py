"""What stands between the nodes of a process and its storage: all writes that wait go into one batch, one batch at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import attrs

from chord_adapters._runtime import Runtime
from chord_adapters.storage import Batch, Saved, Storage, StorageDamaged
from chord_proto.effects import Write, WriteId
from chord_proto.messages import Record
from chord_proto.peer import Address
from chord_proto.table import is_newer, place_of

MAX_PEERS = 32
"""How many addresses are kept to join by after a restart: twice the neighbours of one place."""
PEERS_INTERVAL = 2.0
"""Least seconds between two looks at which members are known, should nothing else be written."""
SEEN_INTERVAL = 60.0
"""Seconds between two marks of the time, should nothing else be written."""
MAX_BATCH_BYTES = 16 * 1024 * 1024
"""Bytes of values after which a batch takes no more writes, so that those who wait for it are answered now and then."""
_LAST_INCARNATION = (1 << 63) - 1
ASIDE = 65_536
"""The index under which records are set aside, beyond that of any virtual node."""


@attrs.define(eq=False)
class StorageCounters:
    """What was handed to the storage, in numbers since the beginning."""

    batches: int = 0
    """How often it was asked to make something durable."""
    writes: int = 0
    """How many writes of nodes these held; several to a batch while the disk is slower than they come."""
    waiting: int = 0
    """How many wait for the next batch, now."""
    failure: str | None = None
    """Why nothing can be made durable any more."""


def begin(
    storage: Storage, *, civil: float, network: str, places: int, bits: int, keep_outdated: bool = False
) -> Saved:
    """Load a storage and make the beginning of a new life durable; blocks.  The records come in order of their place.

    Records of virtual nodes that are no more become those of the first one, the newer of two under one name; with
    ``keep_outdated`` those that were set aside, too.
    Raises `ValueError` when the storage belongs to another network, and what the storage raises.
    """
    saved = storage.load()
    try:
        _check(saved, storage, network)
        incarnation = max(int(civil * 1_000_000), saved.incarnation + 1)
        held = saved.records if keep_outdated else (each for each in saved.records if each[0] != ASIDE)
        records, moves = _gathered(held, places)
        # In order, each goes to the end of its node's table; in no order a million take minutes.
        records.sort(key=lambda each: (each[0], place_of(each[1].space, each[1].name, bits)))
        storage.apply(Batch(writes=moves, incarnation=incarnation, network=network))
    except BaseException:
        storage.close()
        raise
    return attrs.evolve(saved, records=tuple(records), incarnation=incarnation)


def _check(saved: Saved, storage: Storage, network: str) -> None:
    if saved.network not in (None, network):
        raise ValueError(f"{storage!r} holds the records of network {saved.network!r}, not of {network!r}")
    if saved.incarnation >= _LAST_INCARNATION:
        raise StorageDamaged(f"{storage!r} says that its latest life was {saved.incarnation}, the last that there is")


def _gathered(
    records: Iterable[tuple[int, Record]], places: int
) -> tuple[list[tuple[int, Record]], tuple[tuple[int, Write], ...]]:
    """Return the records of the first ``places`` virtual nodes with all others at the first, and the writes that do so."""
    here: list[tuple[int, Record]] = []
    strays: list[tuple[int, Record]] = []
    for index, item in records:
        (here if index < places else strays).append((index, item))
    if not strays:
        return here, ()
    first = {(item.space, item.name): item for index, item in here if index == 0}
    moved: dict[tuple[int, bytes], Record] = {}
    dropped: dict[int, list[tuple[int, bytes]]] = {}
    for index, item in strays:
        name = item.space, item.name
        dropped.setdefault(index, []).append(name)
        held = moved.get(name, first.get(name))
        if is_newer(item.version, None if held is None else held.version):
            moved[name] = item
    kept = [(index, item) for index, item in here if index or (item.space, item.name) not in moved]
    writes = [(index, Write(WriteId(0), (), tuple(names))) for index, names in dropped.items()]
    return kept + [(0, item) for item in moved.values()], ((0, Write(WriteId(0), tuple(moved.values()))), *writes)


class Keeper:
    """Collects what is to be made durable, and knows what is under way.

    ``saved`` is what earlier lives have left, with the incarnation of this one.
    """

    def __init__(self, storage: Storage, saved: Saved) -> None:
        self.counters = StorageCounters()
        self.failure: Exception | None = None
        self._storage = storage
        self._records: dict[int, list[Record]] = {}
        for index, item in saved.records:
            self._records.setdefault(index, []).append(item)
        self.saved = attrs.evolve(saved, records=())
        self._waiting: deque[tuple[int, Write]] = deque()
        self._under_way: dict[int, WriteId] | None = None
        self._was_member = saved.was_member
        self._peers = saved.peers
        self._look_at = float("-inf")
        self._mark_at = float("-inf")

    @classmethod
    async def opened(cls, storage: Storage, runtime: Runtime, **begins: Any) -> Keeper:
        """Begin a new life on ``storage``, which blocks, outside the loop; takes and raises what `begin` does."""
        civil, waiter = runtime.civil(), runtime.waiter()
        found: list[Saved] = []
        runtime.persist(lambda: found.append(begin(storage, civil=civil, **begins)), waiter.resolve)
        try:
            outcome = await waiter.wait()
        except BaseException:
            runtime.persist(lambda: storage.close() if found else None, lambda _: None)
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return cls(storage, found[0])

    def take_records(self, index: int) -> list[Record]:
        """Return what a virtual node held, and forget it."""
        return self._records.pop(index, [])

    def keep(self, index: int, write: Write) -> None:
        """Let a write of a virtual node wait for the next batch."""
        if self.failure is None:
            self._waiting.append((index, write))

    def set_aside(self, records: tuple[Record, ...]) -> None:
        """Keep records that no node holds any more, for a later life that is told to keep them (`begin`)."""
        self.keep(ASIDE, Write(WriteId(0), records))

    def next(
        self,
        now: float,
        civil: Callable[[], float],
        is_member: Callable[[], bool],
        known: Callable[[], list[Address]],
        is_current: Callable[[], bool],
    ) -> Batch | None:
        """Return the next batch, which is under way then; None while one is, or when nothing is to be written.

        ``known`` tells the members that are known, the most useful first; ``is_current`` whether this life counts as
        the last one of all nodes (`chord_proto.node.Node.is_current`), in which the ring may rely on what they have.
        """
        if self._under_way is not None or self.failure is not None:
            return None
        fields: dict[str, Any] = {}
        if not self._was_member and is_member():
            # With the first write at the latest: who holds what was acknowledged must not wait for others to be there.
            self._was_member = fields["was_member"] = True
            self._look_at = now
        # Nothing is acknowledged without those being on the disk who hold it, too: all may be gone in the next moment.
        if self._was_member and (now >= self._look_at or self._waiting):
            self._look_at = now + PEERS_INTERVAL
            peers = tuple(dict.fromkeys((*known(), *self._peers)))[:MAX_PEERS]
            if set(peers) != set(self._peers):
                self._peers = fields["peers"] = peers
        if now >= self._mark_at and is_current():
            self._mark_at = now + SEEN_INTERVAL
            fields["seen"] = civil()
        if not self._waiting and not fields:
            return None
        writes = self._taken()
        fields |= _told(writes)
        self._under_way = {index: write.id for index, write in writes if index != ASIDE}
        self.counters.batches += 1
        self.counters.writes += len(writes)
        return Batch(writes=writes, **fields)

    def work(self, batch: Batch) -> Callable[[], None]:
        """Return what makes a batch durable; it blocks."""
        return partial(self._storage.apply, batch)

    def ended(self, error: Exception | None) -> dict[int, WriteId]:
        """Learn how the batch under way ended, and return the last write in it of each virtual node."""
        done, self._under_way = self._under_way, None
        if error is not None:
            self.failure = error
            self.counters.failure = str(error) or type(error).__name__
            self._waiting.clear()
        return done or {}

    def close(self, runtime: Runtime, *, flush: bool, report: Callable[[str, Exception], None] | None = None) -> None:
        """Let go of the storage once the batch under way has ended, before that writing what waits if ``flush``.

        What goes wrong then is told to ``report``.
        """

        def told(what: str) -> Callable[[Exception | None], None]:
            return lambda error: None if error is None or report is None else report(what, error)

        if flush and self.failure is None:
            writes = tuple(self._waiting)
            seen = runtime.civil() if self._mark_at > float("-inf") else None
            last = Batch(writes=writes, seen=seen, **_told(writes))
            runtime.persist(self.work(last), told("the last writes were not made durable"))
        self._waiting.clear()
        runtime.persist(self._storage.close, told("the storage was not closed"))

    def counted(self) -> StorageCounters:
        """Return the counters as they are now."""
        return attrs.evolve(self.counters, waiting=len(self._waiting))

    def _taken(self) -> tuple[tuple[int, Write], ...]:
        waiting, taken, size = self._waiting, [], 0
        while waiting and size < MAX_BATCH_BYTES:
            index, write = waiting.popleft()
            size += sum(len(item.value or b"") for item in write.changes)
            taken.append((index, write))
        return tuple(taken)


def _told(writes: Iterable[tuple[int, Write]]) -> dict[str, Any]:
    """Return what writes tell of the ring, the latest of each; nothing if none does."""
    told: dict[str, Any] = {}
    for _, write in writes:
        told |= {name: value for name, value in (("width", write.width), ("founded", write.founded)) if value}
    return told
