"""The storage in a folder: what it refuses and how it says so, older and newer files, a disk that fails."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import apsw
import pytest

from chord_adapters import _sqlite_form
from chord_adapters.storage import (
    Batch,
    Saved,
    SqliteStorage,
    StorageDamaged,
    StorageError,
    StorageInUse,
    StorageTooNew,
)
from chord_proto.effects import Write, WriteId
from chord_proto.messages import Record
from tests.adapters.storage.disk import Disk
from tests.adapters.storage.readonly import reachable_folder, unprivileged

numbers = count()


def record(name: bytes, value: bytes = b"value") -> Record:
    """Return a record."""
    return Record(0, name, value, "0-0-0", 1)


def keep(*records: Record) -> Batch:
    """Return a batch that keeps these."""
    return Batch(writes=((0, Write(WriteId(1), records)),))


def drop(*names: bytes) -> Batch:
    """Return a batch that drops these."""
    return Batch(writes=((0, Write(WriteId(1), (), tuple((0, name) for name in names))),))


def held(storage: SqliteStorage) -> list[Record]:
    """Open a storage and return the records that it holds, sorted by name."""
    try:
        return sorted((each for _, each in storage.load().records), key=lambda each: each.name)
    finally:
        storage.close()


@pytest.fixture
def filled(tmp_path: Path) -> SqliteStorage:
    """A storage with two records and an incarnation, closed."""
    storage = SqliteStorage(tmp_path / "data")
    storage.load()
    storage.apply(keep(record(b"a"), record(b"b", b"a value that is easily found")))
    storage.apply(Batch(incarnation=7))
    storage.close()
    return storage


# Its folder


def test_it_makes_its_folder(tmp_path: Path) -> None:
    """With those above it, for nobody else to read; nothing but the file and the lock is left when it is closed."""
    storage = SqliteStorage(tmp_path / "far" / "away")
    assert Saved() == storage.load()
    storage.apply(keep(record(b"a")))
    assert {"chord.sqlite", "chord.sqlite-wal", "lock"} == {path.name for path in storage.path.iterdir()}
    assert {0o700} == {stat.S_IMODE(path.stat().st_mode) for path in (storage.path, storage.path.parent)}
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in storage.path.iterdir()}
    storage.close()
    assert {"chord.sqlite", "lock"} == {path.name for path in storage.path.iterdir()}
    assert f"SqliteStorage({str(storage.path)!r})" == repr(storage)


def test_a_folder_in_use(filled: SqliteStorage) -> None:
    """It is refused to others, who are told by whom it is used, and to oneself; afterwards it is free."""
    filled.load()
    with pytest.raises(StorageInUse, match=f"{filled.path} is in use by process {os.getpid()}$") as caught:
        SqliteStorage(filled.path).load()
    assert str(filled.path) == caught.value.path
    code = f"from chord_adapters.storage import SqliteStorage; SqliteStorage({str(filled.path)!r}).load()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"StorageInUse: {filled.path} is in use by process {os.getpid()}" in done.stderr
    with pytest.raises(StorageInUse, match="by another node of this process"):
        filled.load()
    filled.apply(keep(record(b"c")))
    filled.close()
    assert [b"a", b"b", b"c"] == [each.name for each in held(SqliteStorage(filled.path))]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody can reach."""
    with reachable_folder() as folder:
        yield folder


def test_a_folder_that_is_only_read(open_folder: Path) -> None:
    """One where nothing can be made is refused before anything else, whether there is a storage in it or not."""
    storage = SqliteStorage(open_folder / "data")
    storage.load()
    storage.close()
    storage.path.chmod(0o555)
    open_folder.chmod(0o555)
    for path, where in ((storage.path, storage.path), (open_folder / "new", open_folder / "new")):
        with unprivileged(), pytest.raises(StorageError, match=f"^{where} cannot be used: Permission denied$"):
            SqliteStorage(path).load()
    storage.path.chmod(0o755)


def test_a_file_that_is_only_read(open_folder: Path) -> None:
    """A database that somebody else owns is refused, too."""
    storage = SqliteStorage(open_folder)
    storage.load()
    storage.close()
    storage.file.chmod(0o444)
    (open_folder / "lock").chmod(0o666)
    with unprivileged(), pytest.raises(StorageError, match="Permission denied"):
        storage.load()
    assert [] == held(storage)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    """What is no folder is named."""
    (tmp_path / "file").write_text("something")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=f"{path} cannot be used: "):
            SqliteStorage(path).load()
    assert "something" == (tmp_path / "file").read_text()


# What is not as it was written


def spoil(path: Path, at: int, data: bytes) -> None:
    """Write somewhere into a file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def refused(storage: SqliteStorage, words: str) -> None:
    """Check that it is damaged, says so in these words, is not touched, and is not left locked."""
    before = storage.file.read_bytes()
    for _ in range(2):
        with pytest.raises(StorageDamaged, match=words) as caught:
            storage.load()
        assert str(storage.file) in str(caught.value)
        assert "move it away" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert before == storage.file.read_bytes()


def test_no_database_at_all(filled: SqliteStorage) -> None:
    """Some other file of that name."""
    filled.file.write_bytes(b"Dear diary, " * 1000)
    refused(filled, "file is not a database")


def test_somebody_else_s_database(filled: SqliteStorage) -> None:
    """A database of another program is left alone."""
    filled.file.unlink()
    other = apsw.Connection(str(filled.file))
    other.execute("CREATE TABLE bookmark (url)")
    other.close()
    refused(filled, "is no storage of a chord node")


def test_a_header_that_is_overwritten(filled: SqliteStorage) -> None:
    """The first page is noise."""
    spoil(filled.file, 0, os.urandom(100))
    refused(filled, "file is not a database")


@pytest.mark.parametrize("page", [2, 3, 4, 5])
def test_a_page_that_is_overwritten(filled: SqliteStorage, page: int) -> None:
    """Any page is noise: the tables' roots, and those of their indexes."""
    spoil(filled.file, 4096 * (page - 1), os.urandom(4096))
    refused(filled, "is damaged")


def test_a_file_that_is_cut_off(filled: SqliteStorage) -> None:
    """Its end is missing."""
    os.truncate(filled.file, 4096 * 2)
    refused(filled, "is damaged")


def test_a_byte_of_a_value(filled: SqliteStorage) -> None:
    """SQLite does not see it, the checksum of the record does."""
    at = filled.file.read_bytes().index(b"a value that is easily found")
    spoil(filled.file, at, b"A")
    refused(filled, "the record b'b' is not what was written")


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("incarnation", "soon", "incarnation is not what was written"),
        ("peers", "[", "Expecting value"),
        ("seen", 5, "seen is not what was written"),
        ("more", 1, "more is not what was written"),
    ],
)
def test_a_field_that_nobody_wrote(filled: SqliteStorage, field: str, value: object, words: str) -> None:
    """What the node knew of itself is looked at, too."""
    database = apsw.Connection(str(filled.file))
    database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (field, value))
    database.close()
    refused(filled, words)


def test_a_log_that_ends_in_noise(filled: SqliteStorage) -> None:
    """What a crash left of a commit that nobody was told of is forgotten."""
    filled.load()
    filled.apply(keep(record(b"c")))
    log = filled.path / "chord.sqlite-wal"
    kept = filled.file.read_bytes(), log.read_bytes() + os.urandom(5000)
    filled.close()
    filled.file.write_bytes(kept[0])
    log.write_bytes(kept[1])
    assert [b"a", b"b", b"c"] == [each.name for each in held(filled)]


# Older and newer


def test_a_file_of_the_first_schema(filled: SqliteStorage) -> None:
    """A file of the first schema has no less in it, and is of today's once it was opened."""
    with apsw.Connection(str(filled.file)) as database:
        database.pragma("user_version", 1)
    database.close()
    saved = filled.load()
    filled.close()
    assert saved.records
    database = apsw.Connection(str(filled.file))
    assert 2 == database.pragma("user_version")
    database.close()


def test_a_newer_file(filled: SqliteStorage) -> None:
    """A file of a schema that is not known is refused as it is."""
    database = apsw.Connection(str(filled.file))
    database.pragma("user_version", 7)
    database.close()
    before = filled.file.read_bytes()
    with pytest.raises(StorageTooNew, match=r"written by a newer version \(schema 7; this one knows up to 2\)"):
        filled.load()
    assert before == filled.file.read_bytes()


OLD = (
    "CREATE TABLE record (node INTEGER NOT NULL, space INTEGER NOT NULL, name BLOB NOT NULL, version TEXT NOT NULL,"
    " write_id INTEGER NOT NULL, checksum INTEGER NOT NULL, value BLOB, UNIQUE (node, space, name)) STRICT;"
    "CREATE TABLE state (field TEXT NOT NULL PRIMARY KEY, value ANY NOT NULL) STRICT;"
)
"""As the tables might have been before records expired."""


def expire(database: apsw.Connection) -> None:
    """Let them be as they are."""
    database.execute("ALTER TABLE record ADD COLUMN expires INTEGER NOT NULL DEFAULT 0")


def made_older(folder: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteStorage:
    """Return a storage whose file is of a schema that is not today's."""
    storage = SqliteStorage(folder)
    folder.mkdir()
    database = apsw.Connection(str(storage.file))
    database.execute(OLD)
    kept = record(b"old")
    row = (0, 0, kept.name, kept.version, kept.write_id, _sqlite_form.checksum(0, kept), kept.value)
    database.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    database.pragma("application_id", _sqlite_form.APPLICATION)
    database.pragma("user_version", 1)
    database.close()
    monkeypatch.setattr(_sqlite_form, "STEPS", (OLD, expire))
    return storage


def test_an_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of an older schema becomes one of today's, with all that it holds."""
    storage = made_older(tmp_path / "data", monkeypatch)
    for _ in range(2):
        assert [record(b"old")] == held(storage)
    storage.load()
    storage.apply(keep(record(b"new")))
    storage.close()
    assert [record(b"new"), record(b"old")] == held(storage)


def test_an_older_file_that_cannot_become_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a step fails the file is as it was, and the next attempt may succeed."""
    storage = made_older(tmp_path / "data", monkeypatch)

    def fails(database: apsw.Connection) -> None:
        expire(database)
        database.execute("CREATE TABLE record (x)")

    with monkeypatch.context() as patch:
        patch.setattr(_sqlite_form, "STEPS", (OLD, fails))
        with pytest.raises(StorageError, match="table record already exists"):
            storage.load()
    assert [record(b"old")] == held(storage)


def test_a_new_file_takes_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file is made as the first one was, and then brought up to date."""
    monkeypatch.setattr(_sqlite_form, "STEPS", (OLD, expire))
    storage = SqliteStorage(tmp_path)
    storage.load()
    storage.apply(keep(record(b"a")))
    storage.close()
    assert [record(b"a")] == held(storage)


# What it writes


@pytest.mark.parametrize("number", [1, 2, 8, 9, 64, 65, 512, 513, 1100])
def test_batches_of_any_size(tmp_path: Path, number: int) -> None:
    """However the records of a batch are spread over statements, each is kept or dropped once."""
    storage = SqliteStorage(tmp_path)
    records = [record(b"%06d" % each) for each in range(number)]
    storage.load()
    storage.apply(keep(*records))
    storage.close()
    assert records == held(storage)
    storage.load()
    storage.apply(drop(*(each.name for each in records[1:])))
    storage.close()
    assert records[:1] == held(storage)


def test_an_empty_batch_writes_nothing(disk: Disk, tmp_path: Path) -> None:
    """Nothing to be made durable is nothing to wait for."""
    storage = SqliteStorage(tmp_path, vfs=disk.name)
    storage.load()
    steps = disk.steps
    storage.apply(Batch())
    assert steps == disk.steps
    storage.close()


# A disk that fails


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk of the test's own."""
    disk = Disk(f"failing disk {next(numbers)}")
    yield disk
    disk.unregister()


def test_one_batch_is_one_wait_for_the_disk(disk: Disk, tmp_path: Path) -> None:
    """All writes of a batch are synchronised at once, and a batch is synchronised always."""
    storage = SqliteStorage(tmp_path, vfs=disk.name)
    storage.load()
    for number in (1, 100):
        before = disk.syncs
        storage.apply(keep(*(record(b"%d/%d" % (number, each)) for each in range(number))))
        assert 1 == disk.syncs - before
    storage.close()


def test_a_full_disk(disk: Disk, tmp_path: Path) -> None:
    """It says so, takes nothing more though there be room again, and holds what it held when it is opened anew."""
    storage = SqliteStorage(tmp_path, vfs=disk.name)
    storage.load()
    storage.apply(keep(record(b"a")))
    disk.limit = 200_000
    with pytest.raises(StorageError, match="cannot grow: the disk is full"):
        storage.apply(keep(record(b"large", bytes(1_000_000)), record(b"b")))
    disk.limit = None
    with pytest.raises(StorageError, match=r"has failed before: .* the disk is full"):
        storage.apply(keep(record(b"b")))
    storage.close()
    assert [record(b"a")] == held(storage)
    storage.load()
    storage.apply(keep(record(b"b")))
    storage.close()
    assert [record(b"a"), record(b"b")] == held(storage)


def test_a_disk_that_does_not_synchronise(disk: Disk, tmp_path: Path) -> None:
    """After such an error nobody knows what is on the disk, and a later success would not mean anything."""
    storage = SqliteStorage(tmp_path, vfs=disk.name)
    storage.load()
    disk.sync_fails = True
    with pytest.raises(StorageError, match="cannot be used: input/output error"):
        storage.apply(keep(record(b"a")))
    disk.sync_fails = False
    with pytest.raises(StorageError, match=r"has failed before: .* input/output error"):
        storage.apply(keep(record(b"b")))
    storage.close()
    assert held(storage) in ([], [record(b"a")])


@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.parametrize("replaced", [False, True])
def test_what_was_removed_or_replaced(what: str, replaced: bool, filled: SqliteStorage) -> None:
    """What goes into a file that nobody will find again is not called durable."""
    filled.load()
    filled.apply(keep(record(b"c")))
    path = filled.file if what == "file" else filled.path
    path.rename(path.with_name("elsewhere"))
    if replaced:
        path.touch()
    words = f"{filled.file} was removed or replaced while it was in use"
    with pytest.raises(StorageError, match=re.escape(words)):
        filled.apply(keep(record(b"d")))
    with pytest.raises(StorageError, match=re.escape(f"has failed before: {words}")):
        filled.apply(keep(record(b"e")))
    filled.close()


def test_the_current_folder_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder named from where the process is stays the same folder."""
    monkeypatch.chdir(tmp_path)
    storage = SqliteStorage("data")
    storage.load()
    monkeypatch.chdir("/")
    storage.apply(keep(record(b"a")))
    storage.close()
    monkeypatch.chdir(tmp_path)
    assert [record(b"a")] == held(storage)


# Without apsw


def test_apsw_is_needed_by_those_only_who_use_it() -> None:
    """Without it the module can be imported, and the one name that needs it says what to install."""
    code = """if True:
        import sys
        sys.modules["apsw"] = None
        import chord_adapters.storage as storage
        storage.MemoryStorage().load()
        try:
            storage.SqliteStorage
        except ImportError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "SqliteStorage needs apsw: python -m pip install 'chord-dht[sqlite]'\n" == done.stdout
    with pytest.raises(AttributeError, match="has no attribute 'LogStorage'"):
        __import__("chord_adapters.storage").storage.LogStorage  # noqa: B018


def test_the_lock_is_let_go_when_it_cannot_be_opened(filled: SqliteStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong on the way, the folder is free afterwards."""

    def fails(database: apsw.Connection) -> Saved:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(_sqlite_form, "read", fails)
        with pytest.raises(MemoryError):
            filled.load()
    assert [record(b"a"), record(b"b", b"a value that is easily found")] == held(filled)
