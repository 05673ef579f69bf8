"""The checks for storages: ours pass them, and storages that are wrong in one way each do not."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest

from chord_adapters.storage import Batch, MemoryStorage, Saved, SqliteStorage, Storage, StorageInUse
from chord_adapters.testing import World, simulate
from chord_adapters.testing.storage import (
    CHECKS,
    IN_ONE_PROCESS,
    SHARED,
    MakeStorage,
    as_disk,
    check_all_or_nothing,
    check_bytes,
    check_fields,
    check_killed,
    check_lifetime,
    check_one_owner,
    check_order,
    check_threads,
)
from chord_proto.effects import Write
from chord_proto.messages import Record

Check = Callable[[MakeStorage], None]


def kept_by_folder(kind: Callable[[], Storage]) -> MakeStorage:
    """Return what gives the same object for the same folder."""
    return cache(lambda folder: kind())


@pytest.mark.parametrize("check", CHECKS)
def test_sqlite_passes(check: Check) -> None:
    """The storage in a folder does all that is asked of one."""
    check(SqliteStorage)


@pytest.mark.parametrize("check", IN_ONE_PROCESS)
def test_memory_passes(check: Check) -> None:
    """The one in memory does what does not need another process."""
    check(kept_by_folder(MemoryStorage))


def test_the_checks_are_listed() -> None:
    """Who parametrises over the lists has every check."""
    alone = [check_bytes, check_order, check_fields, check_all_or_nothing, check_lifetime, check_threads]
    assert (*alone, check_one_owner, check_killed) == CHECKS
    assert (*alone, check_one_owner) == IN_ONE_PROCESS
    assert (*alone, check_killed) == SHARED


@pytest.mark.slow
def test_a_simulated_ring_on_sqlite(tmp_path: Path) -> None:
    """Under crashes, restarts and whatever else plans hold, nodes keep their promises with it."""
    folders = iter(range(1_000_000))
    make_disk = as_disk(lambda: SqliteStorage(tmp_path / str(next(folders))))
    simulated = simulate(0, 6, make=lambda *arguments, **keywords: World(*arguments, make_disk=make_disk, **keywords))
    assert simulated.failure is None, str(simulated)


# Storages that are wrong


def changed(batch: Batch, change: Callable[[Record], Record | None]) -> Batch:
    """Return a batch in which each record is made into something else."""
    writes = [
        (index, Write(each.id, tuple(new for item in each.changes if (new := change(item)) is not None), each.dropped))
        for index, each in batch.writes
    ]
    return attrs.evolve(batch, writes=tuple(writes))


def with_(item: Record, **fields: Any) -> Record:
    """Return a record with other fields."""
    names = ("space", "name", "value", "version", "write_id", "expires")
    return Record(**{name: getattr(item, name) for name in names} | fields)


class Altering(MemoryStorage):
    """Makes something else of each record."""

    def change(self, item: Record) -> Record | None:
        """Return what it keeps instead."""
        raise NotImplementedError

    def apply(self, batch: Batch) -> None:
        """Keep it, changed."""
        super().apply(changed(batch, self.change))


class WithoutMarks(Altering):
    """Keeps no marks of what was deleted."""

    def change(self, item: Record) -> Record | None:
        """Leave them out."""
        return None if item.value is None else item


class ThroughC(Altering):
    """Ends names at their first zero byte."""

    def change(self, item: Record) -> Record:
        """Cut the name."""
        return with_(item, name=item.name.split(b"\0")[0])


class Lax(Altering):
    """Takes capitals for small letters."""

    def change(self, item: Record) -> Record:
        """Make them so."""
        return with_(item, name=item.name.lower())


class Narrow(Altering):
    """Has 32 bits for a number."""

    def change(self, item: Record) -> Record:
        """Cut the write id."""
        return with_(item, write_id=item.write_id & 0xFFFF_FFFF)


class Small(Altering):
    """Has room for a mebibyte."""

    def change(self, item: Record) -> Record:
        """Cut the value."""
        return with_(item, value=None if item.value is None else item.value[: 1 << 20])


class Buffers(Altering):
    """Gives back what the driver of its database gave."""

    def change(self, item: Record) -> Record:
        """Let the value be of another type."""
        return with_(item, value=None if item.value is None else bytearray(item.value))


class Timeless(Altering):
    """Forgets when a record ends."""

    def change(self, item: Record) -> Record:
        """Leave it out."""
        return with_(item, expires=0)


class NewestWins(MemoryStorage):
    """Knows better which of two records is to be kept."""

    def apply(self, batch: Batch) -> None:
        """Keep the greater version."""
        held = {(index, item.space, item.name): item.version for index, item in self._items()}
        for index, write in batch.writes:
            for name in write.dropped:
                held.pop((index, *name), None)
            fresh = tuple(
                each for each in write.changes if each.version >= held.get((index, each.space, each.name), "")
            )
            super().apply(Batch(writes=((index, Write(write.id, fresh, write.dropped)),)))

    def _items(self) -> list[tuple[int, Record]]:
        return [(place[0], item) for place, item in self._records.items()]


class DropsLast(MemoryStorage):
    """Keeps first, then drops, all of a batch."""

    def apply(self, batch: Batch) -> None:
        """Put what is dropped at the end."""
        kept = [(index, Write(each.id, each.changes)) for index, each in batch.writes]
        dropped = [(index, Write(each.id, (), each.dropped)) for index, each in batch.writes]
        super().apply(attrs.evolve(batch, writes=(*kept, *dropped)))


class DropsFirst(MemoryStorage):
    """Drops first, then keeps, all of a batch."""

    def apply(self, batch: Batch) -> None:
        """Put what is dropped in front."""
        kept = [(index, Write(each.id, each.changes)) for index, each in batch.writes]
        dropped = [(index, Write(each.id, (), each.dropped)) for index, each in batch.writes]
        super().apply(attrs.evolve(batch, writes=(*dropped, *kept)))


class OneNode(MemoryStorage):
    """Does not ask which virtual node it was."""

    def apply(self, batch: Batch) -> None:
        """Take all for the first one's."""
        super().apply(attrs.evolve(batch, writes=tuple((0, write) for _, write in batch.writes)))


class Bounded(MemoryStorage):
    """Reads a thousand rows."""

    def load(self) -> Saved:
        """Leave out the others."""
        saved = super().load()
        return attrs.evolve(saved, records=saved.records[:1000])


class Sorting(MemoryStorage):
    """Keeps peers in a set."""

    def load(self) -> Saved:
        """Return them in another order."""
        saved = super().load()
        return attrs.evolve(saved, peers=tuple(sorted(saved.peers)))


class Rounding(MemoryStorage):
    """Keeps whole seconds."""

    def load(self) -> Saved:
        """Return them."""
        saved = super().load()
        return attrs.evolve(saved, seen=float(int(saved.seen)))


class Replacing(MemoryStorage):
    """Takes what is not mentioned for nothing."""

    def apply(self, batch: Batch) -> None:
        """Empty the peers."""
        super().apply(attrs.evolve(batch, peers=batch.peers or ()))


class Truthful(MemoryStorage):
    """Takes nothing for what is not mentioned."""

    def apply(self, batch: Batch) -> None:
        """Leave out what is false."""
        super().apply(attrs.evolve(batch, peers=batch.peers or None, was_member=batch.was_member or None))


class Piecemeal(MemoryStorage):
    """Carries out one write after the other."""

    def apply(self, batch: Batch) -> None:
        """Do so."""
        for write in batch.writes:
            super().apply(Batch(writes=(write,)))
        super().apply(attrs.evolve(batch, writes=()))


class Hopeful(MemoryStorage):
    """Says nothing of what went wrong."""

    def apply(self, batch: Batch) -> None:
        """Keep it, perhaps."""
        try:
            super().apply(batch)
        except Exception:  # noqa: BLE001 -- that is what is wrong with it
            return


class Once(MemoryStorage):
    """Cannot be closed twice."""

    def close(self) -> None:
        """Close it."""
        if not self._is_open:
            raise ValueError("it is closed")
        super().close()


class Open(MemoryStorage):
    """Takes writes whenever they come."""

    def apply(self, batch: Batch) -> None:
        """Keep them."""
        self._is_open, before = True, self._is_open
        super().apply(batch)
        self._is_open = before


class Fresh(MemoryStorage):
    """Begins anew each time."""

    def close(self) -> None:
        """Forget everything."""
        self.__init__()  # type: ignore[misc]


class Bound(MemoryStorage):
    """Is used by the thread that opened it only, as connections of sqlite3 are."""

    def load(self) -> Saved:
        """Remember which it is."""
        self._thread = threading.get_ident()
        return super().load()

    def apply(self, batch: Batch) -> None:
        """Keep it, there."""
        if threading.get_ident() != self._thread:
            raise RuntimeError("the wrong thread")
        super().apply(batch)


class Anyones(MemoryStorage):
    """May be opened by two at once."""

    def load(self) -> Saved:
        """Open it."""
        self._is_open = False
        return super().load()


class Rude(MemoryStorage):
    """Refuses the second in words of its own."""

    def load(self) -> Saved:
        """Open it."""
        try:
            return super().load()
        except StorageInUse as error:
            raise LookupError from error


class Filed(MemoryStorage):
    """Is a file, written when it is closed."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    @property
    def _file(self) -> Path:
        return self._folder / "records"

    def load(self) -> Saved:
        """Read the file."""
        self._folder.mkdir(exist_ok=True)
        if self._file.exists():
            self._saved, self._records = pickle.loads(self._file.read_bytes())
        return super().load()

    def close(self) -> None:
        """Write the file."""
        if self._is_open:
            self._write()
        super().close()

    def _write(self) -> None:
        self._file.write_bytes(pickle.dumps((self._saved, self._records)))


class Written(Filed):
    """Writes the file each time."""

    def apply(self, batch: Batch) -> None:
        """Keep it."""
        super().apply(batch)
        self._write()


class Blocked(Written):
    """Marks the folder as its own with a file, and takes it away in the end."""

    def load(self) -> Saved:
        """Make the mark."""
        self._folder.mkdir(exist_ok=True)
        os.close(os.open(self._folder / "mark", os.O_CREAT | os.O_EXCL))
        return super().load()

    def close(self) -> None:
        """Take it away."""
        (self._folder / "mark").unlink(missing_ok=self._is_open is False)
        super().close()


WRONG: list[tuple[Callable[..., Storage], Check, str]] = [
    (WithoutMarks, check_bytes, "1 x is missing, for example b'deleted'"),
    (ThroughC, check_bytes, "is missing, for example"),
    (Lax, check_bytes, "2 x is missing"),
    (Narrow, check_bytes, "1 x is not what was kept, for example b'largest'"),
    (Small, check_bytes, "1 x is not what was kept, for example b'largest'"),
    (Buffers, check_bytes, "names and values come back as bytearray"),
    (Timeless, check_bytes, "1 x is not what was kept"),
    (NewestWins, check_order, "kept again in the next: 1 x is not what was kept"),
    (DropsLast, check_order, "dropped, then kept: 1 x is missing"),
    (DropsFirst, check_order, "kept, then dropped: 1 x should not be there"),
    (OneNode, check_order, "by two virtual nodes and in two spaces"),
    (Bounded, check_order, r"3,000 at once: 200\d x is missing"),
    (Sorting, check_fields, "peers is"),
    (Rounding, check_fields, "seen is 1700000000.0, not 1700000000.123456"),
    (Replacing, check_fields, r"peers is \(\), not"),
    (Truthful, check_fields, r"peers is \('b:1', .*, not \(\)"),
    (Piecemeal, check_all_or_nothing, "when a batch broke in the middle: 1 x is missing"),
    (Hopeful, check_all_or_nothing, "a batch broke in the middle: it raised nothing"),
    (Once, check_lifetime, "it raised ValueError: it is closed"),
    (Open, check_lifetime, "apply, though it is closed: it raised nothing"),
    (Fresh, check_lifetime, "opened for the 2. time it holds Saved"),
    (Bound, check_threads, "it raised RuntimeError: the wrong thread"),
    (Anyones, check_one_owner, "loaded twice: it raised nothing"),
    (Rude, check_one_owner, r"loaded twice: it raised LookupError\(.*\), no OSError"),
]


@pytest.mark.parametrize("kind, check, message", WRONG, ids=[kind.__name__ for kind, *_ in WRONG])
def test_a_wrong_storage_is_found(kind: Callable[[], Storage], check: Check, message: str) -> None:
    """Each is caught by the check that is about what is wrong with it, which says so."""
    with pytest.raises(AssertionError, match=message):
        check(kept_by_folder(kind))


@pytest.mark.parametrize(
    "kind, check, message",
    [
        (Filed, check_killed, "what a process left that ended without closing it: 100 x is missing"),
        (Blocked, check_killed, "it raised FileExistsError"),
        (Written, check_one_owner, "loaded while another one was open in the same folder: it raised nothing"),
    ],
)
def test_a_wrong_storage_of_several_processes_is_found(kind: MakeStorage, check: Check, message: str) -> None:
    """What a process leaves, and whom it keeps out."""
    with pytest.raises(AssertionError, match=message):
        check(kind)


@pytest.mark.parametrize("check", SHARED)
def test_a_storage_that_is_not_exclusive_passes_the_rest(check: Check) -> None:
    """Who writes its file each time needs no lock for the other checks."""
    check(Written)
