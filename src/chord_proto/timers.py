"""Deadlines: one heap, one earliest deadline, entries named by what they are for."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TypeAlias

TimerKey: TypeAlias = tuple[str, int]
"""What a timer is for: its kind, and which of that kind (0 for the periodic ones)."""
_Entry: TypeAlias = tuple[float, int, TimerKey]


class Timers:
    """Armed timers.  Arming again moves a timer; stale heap entries are dropped as they surface."""

    __slots__ = ("_armed", "_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._armed: dict[TimerKey, _Entry] = {}
        """The entry of the heap that counts, for each key: all others are stale."""
        self._sequence = 0

    def arm(self, key: TimerKey, when: float) -> None:
        """Let ``key`` fall due at ``when`` (seconds), instead of any earlier setting."""
        self._sequence += 1
        heap, armed = self._heap, self._armed
        entry = armed[key] = (when, self._sequence, key)
        heappush(heap, entry)
        if len(heap) > 64 + 2 * len(armed):
            heap[:] = armed.values()
            heapify(heap)

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

    def when(self, key: TimerKey) -> float | None:
        """Return when ``key`` falls due, None when it is not armed."""
        armed = self._armed.get(key)
        return None if armed is None else armed[0]

    def pop_due(self, now: float) -> TimerKey | None:
        """Disarm and return the earliest timer that is due, or None."""
        heap, armed = self._heap, self._armed
        while heap:
            entry = heap[0]
            if armed.get(entry[2]) is not entry:
                heappop(heap)
            elif entry[0] > now:
                return None
            else:
                del armed[entry[2]]
                self._prune()
                return entry[2]
        return None

    @property
    def deadline(self) -> float | None:
        """When the earliest timer falls due."""
        if not self._heap:
            return None
        top = self._heap[0]
        if self._armed.get(top[2]) is top:
            return top[0]
        return min((entry[0] for entry in self._armed.values()), default=None)

    def items(self) -> list[tuple[TimerKey, float]]:
        """Return all armed timers, in order of key."""
        return sorted((key, entry[0]) for key, entry in self._armed.items())

    def _prune(self) -> None:
        heap, armed = self._heap, self._armed
        while heap and armed.get(heap[0][2]) is not heap[0]:
            heappop(heap)
