"""The tables in which `SqliteStorage` keeps things, how older ones become them, and the statements that write them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import apsw

from chord_adapters.storage import Batch, Saved
from chord_proto.messages import Record

APPLICATION = 0x43484F52
"""``CHOR``: the mark in the header of every file of ours."""

Step: TypeAlias = str | Callable[[apsw.Connection], None]
STEPS: tuple[Step, ...] = (
    # The large column last, so that the others are read without it.  A table with row ids: the value of a row without
    # one would lie in the tree of the keys, which made writes of 1 KiB five times as slow.
    """
    CREATE TABLE record (
        node INTEGER NOT NULL, space INTEGER NOT NULL, name BLOB NOT NULL, version TEXT NOT NULL,
        write_id INTEGER NOT NULL, expires INTEGER NOT NULL, checksum INTEGER NOT NULL, value BLOB,
        UNIQUE (node, space, name)
    ) STRICT;
    CREATE TABLE state (field TEXT NOT NULL PRIMARY KEY, value ANY NOT NULL) STRICT;
    """,
    "-- The state may have the field founded, which schema 1 does not know.",
)
"""The first makes the tables of an empty file; number n brings a file of schema n to schema n + 1."""

SIZES = (1, 8, 64, 512)
"""How many records one statement writes; the rest of it is filled up with nothing.

Of the greatest size there are as many as it takes.  apsw lets go of the interpreter for every statement, and to get it
back from a busy event loop takes milliseconds: one statement a record would take 350 ms for 128 of them, not 18.
"""
_COLUMNS = 8
_NAMES = "node, space, name, version, write_id, expires, checksum, value"
_UPDATES = ", ".join(f"{name} = excluded.{name}" for name in _NAMES.split(", ")[3:])
_KEEP = {
    size: f"INSERT INTO record ({_NAMES}) SELECT * FROM (VALUES {', '.join(['(?, ?, ?, ?, ?, ?, ?, ?)'] * size)}) "
    f"WHERE column1 IS NOT NULL ON CONFLICT (node, space, name) DO UPDATE SET {_UPDATES}"
    for size in SIZES
}
_FORGET = {
    size: f"DELETE FROM record WHERE (node, space, name) IN (VALUES {', '.join(['(?, ?, ?)'] * size)})"
    for size in SIZES
}

_STORED_AS = {
    "incarnation": int,
    "peers": str,
    "was_member": int,
    "seen": float,
    "width": int,
    "founded": int,
    "network": str,
}

Statement: TypeAlias = tuple[str, tuple[Any, ...]]


def statements(batch: Batch) -> list[Statement]:
    """Return what makes a batch; each place is touched once, so their order does not matter."""
    kept: list[tuple[Any, ...]] = []
    forgotten: list[tuple[Any, ...]] = []
    for place, item in batch.outcome().items():
        if item is None:
            forgotten.append(place)
        else:
            kept.append((*place, item.version, item.write_id, item.expires, checksum(place[0], item), item.value))
    found = [*_filled(_KEEP, kept, _COLUMNS), *_filled(_FORGET, forgotten, 3)]
    fields = batch.fields()
    if fields:
        rows = ", ".join(["(?, ?)"] * len(fields))
        text = f"INSERT INTO state VALUES {rows} ON CONFLICT (field) DO UPDATE SET value = excluded.value"
        found.append((text, tuple(each for pair in fields.items() for each in (pair[0], _written(pair[1])))))
    return found


def _filled(texts: dict[int, str], rows: Sequence[tuple[Any, ...]], width: int) -> Iterator[Statement]:
    start = 0
    while start < len(rows):
        left = len(rows) - start
        size = next((size for size in SIZES if size >= left), SIZES[-1])
        values = [each for row in rows[start : start + size] for each in row]
        yield texts[size], (*values, *[None] * (size * width - len(values)))
        start += size


def checksum(index: int, item: Record) -> int:
    """Return the CRC-32 of all that a row says: SQLite notices broken pages, but not a wrong byte in a value."""
    value = b"-" if item.value is None else item.value
    numbers = f"{index} {int(item.space)} {item.write_id} {item.expires} {item.version} {len(item.name)} "
    return zlib.crc32(value, zlib.crc32(item.name, zlib.crc32(numbers.encode())))


def read(database: apsw.Connection) -> Saved:
    """Return what a file holds; raises `ValueError` for what was never written there."""
    records: list[tuple[int, Record]] = []
    for index, space, name, version, write_id, expires, check, value in database.execute(
        f"SELECT {_NAMES} FROM record"
    ):
        item = Record(space, name, value, version, write_id, expires)
        if checksum(index, item) != check:
            raise ValueError(f"the record {name[:100]!r} is not what was written")
        records.append((index, item))
    fields: dict[str, Any] = dict(database.execute("SELECT field, value FROM state"))
    for name, value in fields.items():
        if type(value) is not _STORED_AS.get(name):
            raise ValueError(f"{name} is not what was written")
    if "peers" in fields:
        fields["peers"] = tuple(map(str, json.loads(fields["peers"])))
    if "was_member" in fields:
        fields["was_member"] = bool(fields["was_member"])
    return Saved(records=tuple(records), **fields)


def _written(value: object) -> Any:
    return json.dumps(value) if isinstance(value, tuple) else int(value) if isinstance(value, bool) else value
