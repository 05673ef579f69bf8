"""The records that a node holds, in order of place, with digests of arcs."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import TypeAlias

from chord_proto.identifiers import place_of_content, place_of_name, within
from chord_proto.messages import Record, Space, Summary

Name: TypeAlias = tuple[int, bytes]
"""Space and name of a record."""
Position: TypeAlias = tuple[int, int, bytes]
"""Place, space and name: the order of the table."""


def place_of(space: int, name: bytes, bits: int) -> int:
    """Return where a record or block belongs on the circle."""
    if space == Space.BLOCK:
        return place_of_content(int.from_bytes(name), bits)
    return place_of_name(name, bits)


def is_newer(version: str, than: str | None) -> bool:
    """Tell whether ``version`` replaces ``than`` (None: nothing there): the one rule of merging (property D6)."""
    return than is None or version > than


def _hash(item: Record) -> int:
    data = b"%d %s %s" % (item.space, item.version.encode(), item.name)
    return int.from_bytes(hashlib.blake2b(data, digest_size=16).digest())


class Table:
    """Records by name, and their names in order of place."""

    __slots__ = ("_hashes", "_order", "bits", "bytes", "records")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.bytes = 0
        self.records: dict[Name, Record] = {}
        self._hashes: dict[Name, int] = {}
        self._order: list[Position] = []

    def __len__(self) -> int:
        return len(self.records)

    def get(self, space: int, name: bytes) -> Record | None:
        """Return what is held under the name, a tombstone too."""
        return self.records.get((space, name))

    def put(self, item: Record) -> bool:
        """Keep ``item`` if it is newer than what is held; tell whether it was."""
        key = (item.space, item.name)
        old = self.records.get(key)
        if not is_newer(item.version, None if old is None else old.version):
            return False
        if old is None:
            insort(self._order, (place_of(*key, self.bits), *key))
        else:
            self.bytes -= len(old.value or b"")
        self.bytes += len(item.value or b"")
        self.records[key] = item
        self._hashes[key] = _hash(item)
        return True

    def drop(self, space: int, name: bytes) -> None:
        """Forget a record; harmless when it is not held."""
        old = self.records.pop((space, name), None)
        if old is not None:
            self.bytes -= len(old.value or b"")
            del self._hashes[space, name]
            del self._order[bisect_left(self._order, (place_of(space, name, self.bits), space, name))]

    def on_arc(self, start: int, end: int, after: Position | None = None) -> Iterator[Record]:
        """Yield the records on (start, end] in order along the arc, those after position ``after`` only."""
        order = self._order
        if start < end:
            pieces = [(bisect_left(order, (start + 1,)), bisect_left(order, (end + 1,)))]
        else:
            pieces = [(bisect_left(order, (start + 1,)), len(order)), (0, bisect_left(order, (end + 1,)))]
        if after is not None:
            where = bisect_right(order, after)
            if start < end or after[0] > start:
                pieces[0] = (max(where, pieces[0][0]), pieces[0][1])
            else:
                pieces = [(max(where, pieces[1][0]), pieces[1][1])]
        for low, high in pieces:
            for position in order[low:high]:
                yield self.records[position[1], position[2]]

    def digest(self, start: int, end: int) -> tuple[int, bytes]:
        """Return how many records lie on (start, end], and the XOR of their hashes."""
        count = total = 0
        for item in self.on_arc(start, end):
            count += 1
            total ^= self._hashes[item.space, item.name]
        return count, total.to_bytes(16)

    def outside(self, start: int, end: int) -> Iterator[Record]:
        """Yield the records that do not lie on (start, end]."""
        if start != end:
            yield from self.on_arc(end, start)


def summary(item: Record) -> Summary:
    """Return an item without its value."""
    return Summary(item.space, item.name, item.version)


def is_on(item: Record | Summary, start: int, end: int, bits: int) -> bool:
    """Tell whether a record belongs on (start, end]."""
    return within(start, place_of(item.space, item.name, bits), end)
