"""Deadlines: one heap, one earliest deadline, entries named by what they are for."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TypeAlias

TimerKey: TypeAlias = tuple[str, int]
"""What a timer is for: its kind, and which of that kind (0 for the periodic ones)."""
_Entry: TypeAlias = tuple[float, int, TimerKey]


class Timers:
    """Armed timers.  Arming again moves a timer; stale heap entries are dropped as they surface."""

    __slots__ = ("_armed", "_heap", "_sequence", "deadline")

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        """The earliest entry is never stale."""
        self._armed: dict[TimerKey, _Entry] = {}
        """The entry of the heap that counts, for each key: all others are stale."""
        self._sequence = 0
        self.deadline: float | None = None
        """When the earliest timer falls due."""

    def arm(self, key: TimerKey, when: float) -> None:
        """Let ``key`` fall due at ``when`` (seconds), instead of any earlier setting."""
        self._sequence += 1
        heap, armed = self._heap, self._armed
        entry = armed[key] = (when, self._sequence, key)
        heappush(heap, entry)
        if heap[0] is entry:
            self.deadline = when
            if len(heap) > 64 + 2 * len(armed):
                self._compact()
        elif heap[0][2] == key:
            self._prune()
        elif len(heap) > 64 + 2 * len(armed):
            self._compact()

    def arm_earlier(self, key: TimerKey, when: float) -> None:
        """Let ``key`` fall due at ``when`` unless it already does so earlier."""
        armed = self._armed.get(key)
        if armed is None or armed[0] > when:
            self.arm(key, when)

    def disarm(self, key: TimerKey) -> None:
        """Forget ``key``; harmless when it is not armed."""
        entry = self._armed.pop(key, None)
        if entry is not None and self._heap[0] is entry:
            self._prune()

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()
        self._armed.clear()
        self.deadline = None

    def when(self, key: TimerKey) -> float | None:
        """Return when ``key`` falls due, None when it is not armed."""
        armed = self._armed.get(key)
        return None if armed is None else armed[0]

    def pop(self) -> TimerKey:
        """Disarm and return the earliest timer; raises `IndexError` when none is armed."""
        key = self._heap[0][2]
        del self._armed[key]
        self._prune()
        return key

    def pop_due(self, now: float) -> TimerKey | None:
        """Disarm and return the earliest timer if it is due, else None."""
        return None if self.deadline is None or self.deadline > now else self.pop()

    def items(self) -> list[tuple[TimerKey, float]]:
        """Return all armed timers, in order of key."""
        return sorted((key, entry[0]) for key, entry in self._armed.items())

    def periodic(self) -> tuple[tuple[str, float], ...]:
        """Return the armed timers of number 0 by their kinds, in order."""
        return tuple(sorted((kind, entry[0]) for (kind, number), entry in self._armed.items() if number == 0))

    def _prune(self) -> None:
        """Drop what is stale from the front."""
        heap, armed = self._heap, self._armed
        while heap and armed.get(heap[0][2]) is not heap[0]:
            heappop(heap)
        self.deadline = heap[0][0] if heap else None

    def _compact(self) -> None:
        """Drop everything that is stale."""
        self._heap[:] = self._armed.values()
        heapify(self._heap)
