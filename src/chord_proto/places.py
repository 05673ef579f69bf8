"""Sets of places on the circle, as arcs: what was granted, what is owned, what is missing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from chord_proto.records import record

Arc: TypeAlias = tuple[int, int]
"""(start, end]: from behind ``start`` clockwise to ``end``; the whole circle if both are equal."""


@record
class Places:
    """A set of places of a circle of ``size`` places.  Never changed: every operation returns another set.

    ``spans`` are the runs of numbers [low, high) of the set in rising order, none touching the next.
    """

    size: int
    spans: tuple[tuple[int, int], ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is any place."""
        return bool(self.spans)

    def __contains__(self, place: int) -> bool:
        """Tell whether ``place`` is in the set."""
        at = bisect_right(self.spans, (place, self.size)) - 1
        return at >= 0 and place < self.spans[at][1]

    def __or__(self, other: Places) -> Places:
        """Return what is in one or the other."""
        joined: list[tuple[int, int]] = []
        for low, high in sorted(self.spans + other.spans):
            if joined and low <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
            else:
                joined.append((low, high))
        return Places(self.size, tuple(joined))

    def __and__(self, other: Places) -> Places:
        """Return what is in both."""
        if self.spans == other.spans:
            return self
        common: list[tuple[int, int]] = []
        mine, theirs = self.spans, other.spans
        i = j = 0
        while i < len(mine) and j < len(theirs):
            low, high = max(mine[i][0], theirs[j][0]), min(mine[i][1], theirs[j][1])
            if low < high:
                common.append((low, high))
            if mine[i][1] < theirs[j][1]:
                i += 1
            else:
                j += 1
        return Places(self.size, tuple(common))

    def __sub__(self, other: Places) -> Places:
        """Return what is in this set and not in the other."""
        if self.spans == other.spans:
            return Places(self.size)
        edges = (0, *(edge for span in other.spans for edge in span), self.size)
        gaps = tuple((low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if low < high)
        return self & Places(self.size, gaps)

    def arcs(self) -> tuple[Arc, ...]:
        """Return the set as arcs that neither meet nor touch, in rising order of their beginnings."""
        runs = list(self.spans)
        if len(runs) > 1 and runs[0][0] == 0 and runs[-1][1] == self.size:
            runs[-1] = (runs[-1][0], runs.pop(0)[1])
        return tuple(((low - 1) % self.size, (high - 1) % self.size) for low, high in runs)


@lru_cache(maxsize=65_536)
def arc(start: int, end: int, size: int) -> Places:
    """Return the places of the arc (start, end]."""
    low, high = start + 1, end + 1
    if start < end:
        spans: Iterable[tuple[int, int]] = [(low, high)]
    elif start == end:
        spans = [(0, size)]
    else:
        spans = [(0, high), (low, size)]
    return Places(size, tuple((a, b) for a, b in spans if a < b))
