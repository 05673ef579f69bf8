"""Deadlines: one heap, one earliest deadline, entries named by what they are for."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TypeAlias

TimerKey: TypeAlias = tuple[str, int]
"""What a timer is for: its kind, and which of that kind (0 for the periodic ones)."""


class Timers:
    """Armed timers.  Arming again moves a timer; stale heap entries are dropped as they surface."""

    __slots__ = ("_armed", "_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, TimerKey]] = []
        self._armed: dict[TimerKey, tuple[float, int]] = {}
        self._sequence = 0

    def arm(self, key: TimerKey, when: float) -> None:
        """Let ``key`` fall due at ``when`` (seconds), instead of any earlier setting."""
        self._sequence += 1
        self._armed[key] = (when, self._sequence)
        heappush(self._heap, (when, self._sequence, key))
        if len(self._heap) > 64 + 2 * len(self._armed):
            self._heap = [(at, number, name) for name, (at, number) in self._armed.items()]
            heapify(self._heap)

    def arm_earlier(self, key: TimerKey, when: float) -> None:
        """Let ``key`` fall due at ``when`` unless it already does so earlier."""
        armed = self._armed.get(key)
        if armed is None or armed[0] > when:
            self.arm(key, when)

    def disarm(self, key: TimerKey) -> None:
        """Forget ``key``; harmless when it is not armed."""
        self._armed.pop(key, None)
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
        self._prune()
        if not self._heap or self._heap[0][0] > now:
            return None
        key = heappop(self._heap)[2]
        del self._armed[key]
        self._prune()
        return key

    @property
    def deadline(self) -> float | None:
        """When the earliest timer falls due."""
        heap = self._heap
        if not heap:
            return None
        top = heap[0]
        armed = self._armed.get(top[2])
        if armed is not None and armed[1] == top[1]:
            return top[0]
        return min((at for at, _ in self._armed.values()), default=None)

    def items(self) -> list[tuple[TimerKey, float]]:
        """Return all armed timers, in order of key."""
        return sorted((key, when) for key, (when, _) in self._armed.items())

    def _prune(self) -> None:
        heap = self._heap
        while heap:
            _, number, key = heap[0]
            armed = self._armed.get(key)
            if armed is not None and armed[1] == number:
                return
            heappop(heap)
