"""A storage in a folder: SQLite, written ahead and synchronised with every commit, locked against others."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import apsw

from chord_adapters import _sqlite_form as form
from chord_adapters.storage import Batch, Saved, StorageDamaged, StorageError, StorageInUse, StorageTooNew

FILE = "chord.sqlite"
LOCK = "lock"
_ADVICE = "move it away, and the node begins without records and fetches its own from the ring"


class SqliteStorage:
    """Keeps everything in the folder ``path``, which is made if it is missing.

    What `apply` has returned from survives a crash of the process and of the machine, as far as the disk keeps what it
    says it has: the log is synchronised with every commit.  The folder is for one node at a time, locked while it is open.

    ``vfs`` names a file system of SQLite's, registered with apsw, to be used instead of its own.

    `load` raises `StorageInUse`, `StorageDamaged`, `StorageTooNew`, or `StorageError` for a folder that cannot be
    read and written.  `apply` raises it for a full or broken disk, and when the file was removed or replaced.  When it
    has raised once, it always does: what a disk has that has failed nobody can tell until the file is opened anew.
    """

    def __init__(self, path: str | os.PathLike[str], *, vfs: str | None = None) -> None:
        self.path = Path(path)
        self._vfs = vfs
        self._database: apsw.Connection | None = None
        self._lock = -1
        self._failure = ""
        self._opened: tuple[Path, os.stat_result] | None = None
        """Which file is open, and where it is found, whatever becomes of the current folder."""

    def __repr__(self) -> str:
        return f"SqliteStorage({str(self.path)!r})"

    @property
    def file(self) -> Path:
        """The file of the database; beside it lies its log while it is open."""
        return self.path / FILE

    def load(self) -> Saved:
        """Open the folder and return what it holds."""
        if self._database is not None:
            raise StorageInUse(f"{self.path} is in use by another node of this process", str(self.path))
        with ExitStack() as undo, self._translated():
            _make_folder(self.path)
            lock = self._locked()
            undo.callback(os.close, lock)
            if self._vfs is None:  # SQLite would let others read a new file.
                os.close(os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            database = apsw.Connection(str(self.file), vfs=self._vfs)
            undo.callback(_close_quietly, database)
            self._prepare(database)
            saved = form.read(database)
            # Each time: an earlier process may have made the file, and been killed before it got so far.
            sync_folder(self.path)
            opened = self.file.absolute()
            self._opened = (opened, opened.stat()) if self._vfs is None else None
            undo.pop_all()
        self._database, self._lock, self._failure = database, lock, ""
        return saved

    def apply(self, batch: Batch) -> None:
        """Make a batch durable; raises `StorageError` when that failed, now or before."""
        database = self._database
        if database is None:
            raise StorageError(f"{self.path} is not open", str(self.path))
        if self._failure:
            raise StorageError(f"{self.path} has failed before: {self._failure}", str(self.path))
        statements = form.statements(batch)
        try:
            with self._translated():
                if len(statements) == 1:  # which is a transaction by itself
                    database.execute(*statements[0])
                elif statements:
                    database.execute("BEGIN IMMEDIATE")
                    for text, values in statements:
                        database.execute(text, values)
                    database.execute("COMMIT")
                self._check_file()
        except BaseException as error:
            self._failure = str(error)
            with suppress(apsw.Error):
                if database.in_transaction:
                    database.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Bring the log into the file and let go of the folder."""
        database, self._database = self._database, None
        if database is None:
            return
        try:
            with self._translated():
                database.close()
        finally:
            os.close(self._lock)

    def _prepare(self, database: apsw.Connection) -> None:
        """Make an empty file one of ours, and an older one one of today's; raises for others."""
        # Exclusive before anything is read: then the index of the log is memory of this process only.
        database.pragma("locking_mode", "exclusive")
        application, schema = database.pragma("application_id"), database.pragma("user_version")
        is_empty = database.execute("SELECT count(*) FROM sqlite_schema").get == 0
        if application != form.APPLICATION and not (is_empty and application == schema == 0):
            raise StorageDamaged(f"{self.file} is no storage of a chord node; {_ADVICE}", str(self.file))
        newest = len(form.STEPS)
        if schema > newest:
            text = f"{self.file} was written by a newer version (schema {schema}; this one knows up to {newest}): use that version"
            raise StorageTooNew(text, str(self.file))
        if database.pragma("journal_mode", "wal") != "wal":
            raise StorageError(f"{self.file} cannot be written ahead: its file system lacks something", str(self.file))
        database.pragma("synchronous", "full")
        found = database.pragma("quick_check", 1)
        if found != "ok":
            found = str(found).splitlines()[-1]
            raise StorageDamaged(f"{self.file} is damaged ({found}); {_ADVICE}", str(self.file))
        for number in range(schema, newest):
            _take_step(database, number)

    def _check_file(self) -> None:
        """Raise `StorageError` when what was written lies in a file that nobody will find again."""
        if self._opened is None:
            return
        path, opened = self._opened
        try:
            is_there = os.path.samestat(opened, path.stat())
        except (FileNotFoundError, NotADirectoryError):
            is_there = False
        if not is_there:
            raise StorageError(f"{self.file} was removed or replaced while it was in use", str(self.file))

    def _locked(self) -> int:
        lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            os.write(lock, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            owner = os.read(lock, 20).decode("ascii", "replace").strip()
            os.close(lock)
            raise StorageInUse(f"{self.path} is in use by process {owner or 'unknown'}", str(self.path)) from None
        except BaseException:
            os.close(lock)
            raise
        return lock

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Let what goes wrong come out as one of the errors of storages, saying where."""
        where = str(self.file)
        try:
            yield
        except StorageError:
            raise
        except (apsw.CorruptError, apsw.NotADBError, ValueError) as error:
            raise StorageDamaged(f"{where} is damaged ({error}); {_ADVICE}", where) from error
        except apsw.FullError as error:
            raise StorageError(f"{where} cannot grow: the disk is full", where) from error
        except apsw.Error as error:
            raise StorageError(f"{where} cannot be used: {error}", where) from error
        except OSError as error:
            raise StorageError(f"{self.path} cannot be used: {error.strerror or error}", str(self.path)) from error


def _take_step(database: apsw.Connection, number: int) -> None:
    """Bring a file of schema ``number`` to the next one, whole or not at all."""
    step = form.STEPS[number]
    database.execute("BEGIN IMMEDIATE")
    try:
        if callable(step):
            step(database)
        else:
            database.execute(step)
        database.pragma("application_id", form.APPLICATION)
        database.pragma("user_version", number + 1)
        database.execute("COMMIT")
    except BaseException:
        with suppress(apsw.Error):
            database.execute("ROLLBACK")
        raise


def _close_quietly(database: apsw.Connection) -> None:
    with suppress(apsw.Error):  # Something else is being raised.
        database.close()


def _make_folder(path: Path) -> None:
    """Make a folder and those above it, for nobody else to read, durably."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        _make_folder(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is not a folder", str(path))
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make durable which files a folder has."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
