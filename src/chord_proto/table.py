"""The records that a node holds, in order of place, with digests of arcs."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import TypeAlias

from chord_proto.identifiers import CONTENT_BITS, place_of_content, place_of_name, within
from chord_proto.messages import Record, Space, Summary
from chord_proto.versions import time_of

Name: TypeAlias = tuple[int, bytes]
"""Space and name of a record."""
Position: TypeAlias = tuple[int, int, bytes]
"""Place, space and name: the order of the table."""
_SECTOR_BITS = 10
"""The leading bits of a place name its sector; so many that of a million records about a thousand share one."""


def place_of(space: int, name: bytes, bits: int) -> int:
    """Return where a record or block belongs on the circle; a block by a name that none has is on it all the same."""
    if space == Space.BLOCK:
        return place_of_content(int.from_bytes(name[: CONTENT_BITS // 8]), bits)
    return place_of_name(name, bits)


def is_newer(version: str, than: str | None) -> bool:
    """Tell whether ``version`` replaces ``than`` (None: nothing there): the one rule of merging (property D6)."""
    return than is None or version > than


def is_gone(item: Record, civil: int) -> bool:
    """Tell whether a record is not there for readers: deleted, or expired at ``civil`` (milliseconds of Unix time)."""
    return item.value is None or 0 < item.expires <= civil


def as_read(item: Record, civil: int) -> Record:
    """Return a record as readers may see it at ``civil``: what has expired has no value."""
    if item.value is not None and is_gone(item, civil):
        return Record(item.space, item.name, None, item.version, item.write_id, item.expires)
    return item


def gone_since(item: Record) -> int:
    """Return when a deleted or expired record went, in milliseconds of Unix time."""
    return max(time_of(item.version), item.expires)


def _replaces(item: Record, old: Record | None) -> bool:
    """Tell whether ``item`` is newer, or what is left of ``old`` once it has expired."""
    if is_newer(item.version, None if old is None else old.version):
        return True
    return old is not None and old.version == item.version and old.expires > 0 and None is item.value is not old.value


def _hash(item: Record) -> int:
    data = b"%d %s %s" % (item.space, item.version.encode(), item.name)
    return int.from_bytes(hashlib.blake2b(data, digest_size=16).digest())


class Table:
    """Records by name, their names in order of place, and digests of sectors of the circle.

    The sectors make the digest of an arc cheap, however many records lie on it: only those in the two sectors
    where the arc begins and ends are looked at one by one.
    """

    __slots__ = (
        "_expiring",
        "_hashes",
        "_order",
        "_sectors",
        "_width",
        "bits",
        "bytes",
        "gone",
        "looked_at",
        "records",
    )

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.bytes = 0
        self.looked_at = 0
        """Records that were looked at one by one, on arcs."""
        self.records: dict[Name, Record] = {}
        self.gone: dict[Name, int] = {}
        """What was deleted or has expired and is still remembered: since when, milliseconds of Unix time."""
        self._expiring: list[tuple[int, int, bytes, str]] = []
        """A heap of what will expire: when, space, name and version; some of it long replaced."""
        self._hashes: dict[Name, int] = {}
        self._order: list[Position] = []
        self._width = max(0, bits - _SECTOR_BITS)
        """How many bits of a place tell where in its sector it lies."""
        self._sectors: dict[int, tuple[int, int]] = {}
        """By sector, where there are any: how many records, and the XOR of their hashes."""

    def __len__(self) -> int:
        return len(self.records)

    def get(self, space: int, name: bytes) -> Record | None:
        """Return what is held under the name, a tombstone too."""
        return self.records.get((space, name))

    def put(self, item: Record) -> bool:
        """Keep ``item`` if it is newer than what is held, or what is left of it; tell whether it was."""
        key = (item.space, item.name)
        old = self.records.get(key)
        if not _replaces(item, old):
            return False
        if item.space == Space.RECORD and item.value is None:
            self.gone[key] = gone_since(item)
        else:
            self.gone.pop(key, None)
            if item.expires:
                heappush(self._expiring, (item.expires, *key, item.version))
        place, added = place_of(*key, self.bits), _hash(item)
        if old is None:
            insort(self._order, (place, *key))
            self._change(place, 1, added)
        else:
            self.bytes -= len(old.value or b"")
            self._change(place, 0, added ^ self._hashes[key])
        self.bytes += len(item.value or b"")
        self.records[key] = item
        self._hashes[key] = added
        return True

    def drop(self, space: int, name: bytes) -> None:
        """Forget a record; harmless when it is not held."""
        old = self.records.pop((space, name), None)
        if old is not None:
            self.gone.pop((space, name), None)
            self.bytes -= len(old.value or b"")
            place = place_of(space, name, self.bits)
            self._change(place, -1, self._hashes.pop((space, name)))
            del self._order[bisect_left(self._order, (place, space, name))]

    def expired(self, civil: int, most: int) -> list[Record]:
        """Return what is left of up to ``most`` records that have expired and still have their values."""
        heap = self._expiring
        left: list[Record] = []
        while heap and heap[0][0] <= civil and len(left) < most:
            _, space, name, version = heappop(heap)
            item = self.records.get((space, name))
            if item is not None and item.version == version and item.value is not None:
                left.append(as_read(item, civil))
        return left

    def _change(self, place: int, count: int, digest: int) -> None:
        sector = place >> self._width
        held, total = self._sectors.get(sector, (0, 0))
        if held + count:
            self._sectors[sector] = (held + count, total ^ digest)
        else:
            del self._sectors[sector]

    def on_arc(self, start: int, end: int, after: Position | None = None) -> Iterator[Record]:
        """Yield the records on (start, end] in order along the arc, those after position ``after`` only.

        Work grows with what is taken, not with what lies there; nothing may be put or dropped meanwhile.
        """
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
            for index in range(low, high):
                _, space, name = order[index]
                self.looked_at += 1
                yield self.records[space, name]

    def digest(self, start: int, end: int) -> tuple[int, bytes]:
        """Return how many records lie on (start, end], and the XOR of their hashes."""
        width, around = self._width, 1 << (self.bits - self._width)
        first, last = start >> width, end >> width
        if len(self) <= around or (start < end and first == last):
            whole, pieces = range(0), [(start, end)]
        else:
            whole = range(first + 1, last if start < end else last + around)
            pieces = [((last << width) - 1, end)]
            if start < (top := ((first + 1) << width) - 1):
                pieces.append((start, top))
        count = total = 0
        for sector in whole:
            held, digest = self._sectors.get(sector % around, (0, 0))
            count += held
            total ^= digest
        for low, high in pieces:
            for item in self.on_arc(low, high):
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
