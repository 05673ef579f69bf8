"""What a storage must do: checks for those who bring their own, without any test framework.

Each check is a function of one argument, which makes a storage that keeps its things in the folder that it is given (or
under its name, if it keeps them elsewhere): of the same things each time it is called with the same folder.
`SqliteStorage` itself is such a function.  A check takes at most some seconds and raises `AssertionError` saying what
is wrong.  `CHECKS` has them all; `IN_ONE_PROCESS` those for a storage that ends with its process; `SHARED` those for
one that does not mind being opened twice.

`as_disk` puts a storage under the nodes of a simulated network.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from chord_adapters._memory_disk import Disk
from chord_adapters.storage import Batch, Saved, Storage
from chord_proto.effects import Write, WriteId
from chord_proto.messages import Record, Space

__all__ = [
    "CHECKS",
    "IN_ONE_PROCESS",
    "SHARED",
    "MakeStorage",
    "as_disk",
    "check_all_or_nothing",
    "check_bytes",
    "check_fields",
    "check_killed",
    "check_lifetime",
    "check_one_owner",
    "check_order",
    "check_threads",
]

MakeStorage: TypeAlias = Callable[[Path], Storage]
"""Makes a storage whose things are in that folder."""

LARGEST = 4 * 1024 * 1024
"""Bytes of the longest value of a named record, unless a ring is configured otherwise."""


def _in_a_folder(check: Callable[[MakeStorage, Path], None]) -> Callable[[MakeStorage], None]:
    """Give a check a fresh folder, and let whatever it finds be an `AssertionError`."""

    @wraps(check)
    def checked(make: MakeStorage) -> None:
        with tempfile.TemporaryDirectory(prefix="chord-storage-") as folder:
            try:
                check(make, Path(folder) / "data")
            except AssertionError:
                raise
            except Exception as error:
                raise AssertionError(f"it raised {type(error).__name__}: {error}") from error

    del checked.__dict__["__wrapped__"]  # Its arguments are others.
    return checked


@_in_a_folder
def check_bytes(make: MakeStorage, folder: Path) -> None:
    """Whatever a record may be made of comes back the same: any bytes, none, 4 MiB of them, the largest numbers."""
    records = [
        _record(b"", b"an empty name"),
        _record(b"deleted", None),
        _record(b"empty", b""),
        _record(bytes(range(256)) * 16, bytes(range(256)), expires=(1 << 63) - 1),
        _record(b"zero\0byte", b"\0"),
        _record(b"zero", b"another"),
        _record(b"ZERO", b"a third"),
        _record("ü".encode(), "ü".encode(), version="ü" * 128),
        _record("u\u0308".encode(), b"not the same, though it looks so"),
        _record(b"largest", os.urandom(LARGEST), write_id=(1 << 63) - 1),
        _record(bytes(20), b"a block", space=Space.BLOCK, version="", write_id=0),
        _record(bytes(20), b"a record of that name"),
    ]
    with _opened(make, folder) as (storage, saved):
        _same(Saved(), saved, "what a new storage holds")
        storage.apply(Batch(writes=((0, _write(*records)),)))
    with _opened(make, folder) as (_, saved):
        _same_records([(0, each) for each in records], saved)
        strange = {type(part).__name__ for _, each in saved.records for part in (each.name, each.value or b"")}
        _require(strange == {"bytes"}, f"names and values come back as {', '.join(sorted(strange))}")


@_in_a_folder
def check_order(make: MakeStorage, folder: Path) -> None:
    """The last word counts, within a batch and from batch to batch; virtual nodes and spaces do not mix."""
    old, new = _record(b"n", b"old", version="1"), _record(b"n", b"new", version="2")
    block = _record(b"n", b"block", space=Space.BLOCK, version="")
    name = (int(Space.RECORD), b"n")
    with _opened(make, folder) as (storage, _):

        def holds(what: str, expected: list[tuple[int, Record]], *writes: tuple[int, Write]) -> None:
            nonlocal storage
            storage.apply(Batch(writes=writes))
            storage.close()
            storage = make(folder)
            _same_records(expected, storage.load(), what)

        try:
            holds("kept twice in a batch", [(0, new)], (0, _write(old)), (0, _write(new)))
            holds("kept again in the next", [(0, old)], (0, _write(old)))
            holds("dropped", [], (0, _drop(name)))
            holds("dropped what is not there", [], (0, _drop(name, (1, b"?"))))
            holds("dropped, then kept", [(0, new)], (0, _drop(name)), (0, _write(new)))
            holds("kept, then dropped", [], (0, _write(old)), (0, _drop(name)))
            holds("in one write, which drops before it keeps", [(0, new)], (0, Write(WriteId(1), (new,), (name,))))
            everywhere = [(0, new), (0, block), (7, old)]
            holds("by two virtual nodes and in two spaces", everywhere, (0, _write(block)), (7, _write(old)))
            holds("dropped by one virtual node", [(0, block), (7, old)], (0, _drop(name)))
            many = [_record(b"%d" % number, b"v") for number in range(3000)]
            expected = [(0, block), (7, old), *((1, each) for each in many)]
            holds("3,000 at once", expected, (1, _write(*many)))
            holds("all but one dropped", expected[:3], (1, _drop(*((each.space, each.name) for each in many[1:]))))
        finally:
            storage.close()


@_in_a_folder
def check_fields(make: MakeStorage, folder: Path) -> None:
    """What it knows of the node itself comes back, and what a batch does not mention stays."""
    said = Saved(
        incarnation=(1 << 63) - 1,
        peers=("b:1", "a:1", "[::1]:65535"),
        was_member=True,
        seen=1_700_000_000.123456,
        width=255,
        founded=(1 << 63) - 1,
        network="a ring's name",
    )
    kept = _record(b"k", b"v")
    with _opened(make, folder) as (storage, _):
        fields = {name: value for name, value in attrs.asdict(said).items() if name != "records"}
        storage.apply(Batch(writes=((0, _write(kept)),), **fields))
    said = attrs.evolve(said, records=((0, kept),))
    changes: list[dict[str, Any]] = [
        {},
        {"peers": ()},
        {"was_member": False},
        {"incarnation": 1},
        {"seen": 0.5, "width": 0, "founded": 0},
        {"peers": ("c:1",), "network": ""},
    ]
    for change in changes:
        with _opened(make, folder) as (storage, saved):
            _same(said, saved, "what was saved of the node")
            storage.apply(Batch(**change))
        said = attrs.evolve(said, **change)
    with _opened(make, folder) as (_, saved):
        _same(said, saved, "what was saved of the node")


@_in_a_folder
def check_all_or_nothing(make: MakeStorage, folder: Path) -> None:
    """A batch that cannot be carried out to its end changes nothing, and nobody is told that it is durable."""
    before = _record(b"k", b"before")
    with _opened(make, folder) as (storage, _):
        storage.apply(Batch(writes=((0, _write(before)),), incarnation=1))
        broken = _Broken((_record(b"k", b"after"), _record(b"more", b"after")))
        writes = ((0, _drop((0, b"k"))), (0, Write(WriteId(2), broken)))
        _raises(lambda: storage.apply(Batch(writes=writes, incarnation=2)), "a batch broke in the middle")
    with _opened(make, folder) as (_, saved):
        _same(Saved(records=((0, before),), incarnation=1), saved, "what is left when a batch broke in the middle")


@_in_a_folder
def check_lifetime(make: MakeStorage, folder: Path) -> None:
    """It is closed twice without harm, takes nothing when it is not open, and may be opened again."""
    storage = make(folder)
    storage.close()
    for number in range(1, 4):
        saved = storage.load()
        _require(saved.incarnation == number - 1, f"opened for the {number}. time it holds {saved}")
        storage.apply(Batch(incarnation=number))
        storage.close()
        storage.close()
    _raises(lambda: storage.apply(Batch(incarnation=9)), "apply, though it is closed")
    with _opened(make, folder) as (_, saved):
        _same(Saved(incarnation=3), saved, "what a storage holds that was opened three times")


@_in_a_folder
def check_threads(make: MakeStorage, folder: Path) -> None:
    """Each call may come from another thread than the one before."""
    storage = make(folder)
    applied = [partial(storage.apply, Batch(incarnation=number)) for number in range(1, 4)]
    calls: list[Callable[[], object]] = [storage.load, *applied, storage.close]
    with ExitStack() as stack:
        for call in calls:
            # All of them live to the end, so that none is taken for another.
            stack.enter_context(ThreadPoolExecutor(1)).submit(call).result()
    with _opened(make, folder) as (_, saved):
        _same(Saved(incarnation=3), saved, "what was written by several threads")


@_in_a_folder
def check_one_owner(make: MakeStorage, folder: Path) -> None:
    """While it is open it cannot be opened again, by nobody, and that does no harm; `OSError` says so."""
    storage, kept = make(folder), _record(b"k", b"v")
    storage.load()
    try:
        _raises(storage.load, "loaded twice", OSError)
        _raises(make(folder).load, "loaded while another one was open in the same folder", OSError)
        if storage is not make(folder):
            _require(_in_child(make(folder).load) == "OSError", "another process could load it while it was open")
        storage.apply(Batch(writes=((0, _write(kept)),)))
    finally:
        storage.close()
    with _opened(make, folder) as (_, saved):
        _same_records([(0, kept)], saved)


@_in_a_folder
def check_killed(make: MakeStorage, folder: Path) -> None:
    """What `apply` has returned from is there when the process is gone without another word, and nobody is locked out."""
    kept = [_record(b"%d" % number, os.urandom(1000)) for number in range(100)]

    def live() -> None:
        storage = make(folder)
        storage.load()
        for each in kept:
            storage.apply(Batch(writes=((0, _write(each)),)))

    for _ in range(2):
        _require(_in_child(live) == "", "a process could not write")
        with _opened(make, folder) as (_, saved):
            _same_records([(0, each) for each in kept], saved, "what a process left that ended without closing it")


IN_ONE_PROCESS: tuple[Callable[[MakeStorage], None], ...] = (
    check_bytes,
    check_order,
    check_fields,
    check_all_or_nothing,
    check_lifetime,
    check_threads,
    check_one_owner,
)
SHARED: tuple[Callable[[MakeStorage], None], ...] = (*IN_ONE_PROCESS[:-1], check_killed)
CHECKS: tuple[Callable[[MakeStorage], None], ...] = (*IN_ONE_PROCESS, check_killed)


def as_disk(make: Callable[[], Storage]) -> Callable[[], Disk]:
    """Return what makes disks for `World` and `Network`, each on a fresh storage that ``make`` returns."""
    return lambda: _StorageDisk(make())


class _StorageDisk:
    """The records of one simulated node on a storage, which is opened anew whenever they are read."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._storage.load()

    def keep(self, write: Write) -> None:
        self._storage.apply(Batch(writes=((0, write),), width=write.width or None, founded=write.founded or None))

    @property
    def width(self) -> int:
        return self._loaded().width

    @property
    def founded(self) -> int:
        return self._loaded().founded

    def records(self) -> Mapping[tuple[int, bytes], Record]:
        return {(each.space, each.name): each for _, each in self._loaded().records}

    def _loaded(self) -> Saved:
        self._storage.close()
        return self._storage.load()


class _Breaks(Exception):
    """Something in a batch cannot be read."""


class _Broken(tuple[Record, ...]):
    """Records of which only the first can be had."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Record]:
        yield self[0]
        raise _Breaks("this batch breaks here")


def _record(
    name: bytes, value: bytes | None, *, space: int = 0, version: str = "0-0-0", write_id: int = 1, expires: int = 0
) -> Record:
    return Record(int(space), name, value, version, write_id, expires)


def _write(*records: Record) -> Write:
    return Write(WriteId(1), records)


def _drop(*names: tuple[int, bytes]) -> Write:
    return Write(WriteId(1), (), names)


@contextmanager
def _opened(make: MakeStorage, folder: Path) -> Iterator[tuple[Storage, Saved]]:
    storage = make(folder)
    saved = storage.load()
    try:
        yield storage, saved
    finally:
        storage.close()


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def _same(expected: Saved, actual: Saved, what: str) -> None:
    for name in ("incarnation", "peers", "was_member", "seen", "width", "founded", "network"):
        ours, theirs = getattr(expected, name), getattr(actual, name)
        _require(ours == theirs and type(ours) is type(theirs), f"{what}: {name} is {theirs!r}, not {ours!r}")
    _same_records(expected.records, actual, what)


def _same_records(
    expected: list[tuple[int, Record]] | tuple[tuple[int, Record], ...], saved: Saved, what: str = "what was kept"
) -> None:
    ours, theirs = {_key(*each): each for each in expected}, {_key(*each): each for each in saved.records}
    _require(len(theirs) == len(saved.records), f"{what}: a name comes twice")
    missing, more = ours.keys() - theirs.keys(), theirs.keys() - ours.keys()
    changed = [key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]]
    found = [("is missing", missing), ("should not be there", more), ("is not what was kept", changed)]
    _require(not (missing or more or changed), f"{what}: " + "; ".join(_told(*each) for each in found if each[1]))


def _told(what: str, keys: Any) -> str:
    index, space, name = min(keys)
    return f"{len(keys)} x {what}, for example {name[:40]!r} in space {space} of virtual node {index}"


def _key(index: int, item: Record) -> tuple[int, int, bytes]:
    return index, int(item.space), item.name


def _raises(call: Callable[[], object], what: str, kind: type[Exception] = Exception) -> None:
    try:
        call()
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"{what}: it raised {error!r}, no {kind.__name__}") from error
    raise AssertionError(f"{what}: it raised nothing")


def _in_child(call: Callable[[], object]) -> str:
    """Carry ``call`` out in a process that ends without another word, and return what was raised there."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Whatever other threads do here does not concern what the child does.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            os.close(reader)
            call()
        except BaseException as error:  # noqa: BLE001 -- nothing may come out of here
            os.write(writer, (b"OSError" if isinstance(error, OSError) else repr(error).encode())[:4096])
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    os.waitpid(child, 0)
    return said
