"""Power fails at any moment: what `apply` returned from is there afterwards, and what it did not is there whole or not at all."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TypeAlias

import apsw
import attrs
import pytest

from chord_adapters import _sqlite, _sqlite_form
from chord_adapters.storage import Batch, Saved, SqliteStorage, StorageDamaged
from chord_proto.effects import Write, WriteId
from chord_proto.messages import Record
from tests.adapters.storage.disk import Disk, PowerCut

CUTS_A_DISK = 10
Found: TypeAlias = tuple[dict[tuple[int, int, bytes], Record], Saved]
"""What is kept: records, and the rest."""
Workload: TypeAlias = Callable[[random.Random], Iterator[Batch | None]]
"""Batches, in endless number; None: close and open it."""
numbers = count()


def found_in(saved: Saved) -> Found:
    """Return what a storage holds in a form that can be compared."""
    records = {(index, int(item.space), item.name): item for index, item in saved.records}
    assert len(records) == len(saved.records)
    return records, attrs.evolve(saved, records=())


def after(found: Found, batch: Batch) -> Found:
    """Return what is kept after a batch."""
    records = found[0] | batch.outcome()
    kept = {place: item for place, item in records.items() if item is not None}
    return kept, attrs.evolve(found[1], **batch.fields())


def batch(chance: random.Random, writes: int, size: int, names: int = 200) -> Batch:
    """Draw a batch of writes that keep and drop."""
    drawn: list[tuple[int, Write]] = []
    for number in range(writes):
        name = b"name %d" % chance.randrange(names)
        if chance.random() < 0.2:
            drawn.append((chance.randrange(2), Write(WriteId(number), (), ((0, name),))))
        else:
            value = chance.randbytes(chance.randrange(size))
            item = Record(0, name, value, f"{chance.getrandbits(48):012x}", chance.getrandbits(63))
            drawn.append((chance.randrange(2), Write(WriteId(number), (item,))))
    return Batch(writes=tuple(drawn))


def single_puts(chance: random.Random) -> Iterator[Batch]:
    """One small record at a time."""
    while True:
        yield batch(chance, 1, 200)


def group_commits(chance: random.Random) -> Iterator[Batch]:
    """Up to two hundred at once, in several statements, with what the node knows of itself."""
    while True:
        drawn = batch(chance, chance.randrange(1, 200), 200)
        peers = tuple(f"host:{chance.randrange(9)}" for _ in range(chance.randrange(4)))
        yield attrs.evolve(drawn, incarnation=chance.getrandbits(40), peers=peers, seen=chance.random())


def large_values(chance: random.Random) -> Iterator[Batch]:
    """Values of many pages, so that the log goes into the file every few batches."""
    while True:
        yield batch(chance, chance.randrange(1, 4), 1_000_000, names=6)


def many_lives(chance: random.Random) -> Iterator[Batch | None]:
    """Closed and opened again, now with much in the log, now with little."""
    while True:
        yield batch(chance, chance.choice((1, 10, 100)), chance.choice((10, 1000, 50_000)), names=40)
        if chance.random() < 0.3:
            yield None


WORKLOADS: list[Workload] = [single_puts, group_commits, large_values, many_lives]
REACH: dict[Workload, int] = {single_puts: 8}
"""The power of two of steps within which power fails, where that is not 11."""


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk of the test's own; the storage synchronises its folder, too."""
    disk = Disk(f"disk {next(numbers)}")
    monkeypatch.setattr(_sqlite, "sync_folder", disk.synchronise_folder)
    yield disk
    disk.unregister()


@attrs.define
class Tally:
    """What power cuts came upon."""

    opening: int = 0
    """Cuts while it was being opened or closed."""
    kept: int = 0
    """Batches under way that were there afterwards."""
    lost: int = 0
    """Batches under way that were not."""
    torn: int = 0
    """Logs or files whose last writes were there in part."""


def lives(
    disk: Disk, storage: Callable[[], SqliteStorage], workload: Workload, chance: random.Random, cuts: int
) -> Tally:
    """Let power fail so many times while batches are written, and look after each what is there."""
    tally = Tally()
    found: Found = {}, Saved()
    under_way: Batch | None = None
    batches = workload(chance)
    for _ in range(cuts):
        disk.cut_at = disk.steps + int(2 ** chance.uniform(0, REACH.get(workload, 11)))
        tally.opening += 1
        with opened_on(storage) as opened, suppress(PowerCut):
            before = found
            found = look(opened, found, under_way)
            tally.kept += under_way is not None and found != before
            tally.lost += under_way is not None and found == before
            under_way = None
            tally.opening -= 1
            while True:
                under_way = next(batches)
                if under_way is None:
                    tally.opening += 1
                    opened.close()
                    found = look(opened, found, None)
                    tally.opening -= 1
                else:
                    opened.apply(under_way)
                    found, under_way = after(found, under_way), None
        tally.torn += disk.cut(chance)
    with opened_on(storage) as opened:
        look(opened, found, under_way)
    return tally


@contextmanager
def opened_on(storage: Callable[[], SqliteStorage]) -> Iterator[SqliteStorage]:
    """Make a storage, and let it go in the end, though there may be no power then."""
    opened = storage()
    try:
        yield opened
    finally:
        with suppress(PowerCut, OSError):
            opened.close()


def look(opened: SqliteStorage, found: Found, under_way: Batch | None) -> Found:
    """Open a storage and check that it holds what it must; what was under way may be there, too, all of it."""
    actual = found_in(opened.load())
    if under_way is not None and actual == after(found, under_way):
        return actual
    assert found[1] == actual[1]
    assert found[0] == actual[0]
    return actual


SEEDS = [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 25))]
"""With the workloads and the cuts of each a thousand cuts in all, two hundred of them quick."""


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("seed", SEEDS)
def test_power_cuts(disk: Disk, tmp_path: Path, workload: Workload, seed: int) -> None:
    """Nothing that was acknowledged is lost, nothing is damaged, no batch is there in part."""
    chance = random.Random(f"{workload.__name__} {seed}")
    lives(disk, lambda: SqliteStorage(tmp_path, vfs=disk.name), workload, chance, CUTS_A_DISK)


def test_what_power_cuts_come_upon(disk: Disk, tmp_path: Path) -> None:
    """They come while it opens, and within batches, which are then there or not, and leave half of what was written."""
    tally = lives(disk, lambda: SqliteStorage(tmp_path, vfs=disk.name), single_puts, random.Random(0), 60)
    assert min(tally.opening, tally.kept, tally.lost, tally.torn) >= 2, tally


# Storages that do not deserve the name


class Lenient(SqliteStorage):
    """Does not wait for the disk with each commit."""

    level = "normal"

    def _prepare(self, database: apsw.Connection) -> None:
        super()._prepare(database)
        database.pragma("synchronous", self.level)


class Careless(Lenient):
    """Never waits for the disk."""

    level = "off"


class Piecemeal(SqliteStorage):
    """Takes one transaction for each write of a batch."""

    def apply(self, batch: Batch) -> None:
        """Write one after the other."""
        for write in batch.writes:
            super().apply(Batch(writes=(write,)))
        super().apply(attrs.evolve(batch, writes=()))


@pytest.mark.parametrize(
    "kind, workload, error",
    [
        (Lenient, single_puts, AssertionError),
        (Lenient, group_commits, AssertionError),
        (Careless, large_values, (AssertionError, StorageDamaged)),
        (Piecemeal, group_commits, AssertionError),
    ],
)
def test_power_cuts_find_what_is_not_durable(
    disk: Disk, tmp_path: Path, kind: type[SqliteStorage], workload: Workload, error: type[Exception]
) -> None:
    """Storages that are wrong in one way lose something, or are damaged, within sixty cuts."""
    with pytest.raises(error):
        lives(disk, lambda: kind(tmp_path, vfs=disk.name), workload, random.Random(1), 60)


def test_power_cuts_find_a_folder_that_is_not_synchronised(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that its folder does not name is lost with all that is in it."""
    monkeypatch.setattr(_sqlite, "sync_folder", lambda folder: None)

    def begin(seed: int) -> Tally:
        disk.files.clear()
        return lives(disk, lambda: SqliteStorage(tmp_path, vfs=disk.name), single_puts, random.Random(seed), 3)

    with pytest.raises(AssertionError):
        list(map(begin, range(20)))


def test_a_migration_survives_power_cuts(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is of the old schema or of the new one, and holds the same, wherever power fails while it becomes newer."""
    older = _sqlite_form.STEPS
    newer = (*older, "CREATE TABLE more (x) STRICT; CREATE INDEX i ON record (version);".replace("(x)", "(x ANY)"))
    kept = batch(random.Random(0), 500, 1000)
    cut, stopped = 0, True
    while stopped:
        cut += 1
        disk.files.clear()
        monkeypatch.setattr(_sqlite_form, "STEPS", older)
        opened = SqliteStorage(tmp_path, vfs=disk.name)
        opened.load()
        opened.apply(kept)
        opened.close()
        monkeypatch.setattr(_sqlite_form, "STEPS", newer)
        disk.cut_at = disk.steps + cut
        stopped = False
        opened = SqliteStorage(tmp_path, vfs=disk.name)
        try:
            opened.load()
        except PowerCut:
            stopped = True
        else:
            disk.cut_at = None
            opened.close()
        disk.cut(random.Random(cut))
        opened = SqliteStorage(tmp_path, vfs=disk.name)
        assert found_in(opened.load()) == after(({}, Saved()), kept)
        opened.close()
    assert cut > 10
