"""Whether processes grow: their memory, file descriptors, tasks and threads, looked at once a second."""

from __future__ import annotations

import json
import os
import signal
import statistics
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

WARM_UP = 0.25
"""The part of the time in which processes may grow."""
ALLOWED: Mapping[str, float] = {"rss_kb": 1536, "fds": 4, "tasks": 4, "threads": 2}
"""By how much the median of the last third may exceed that of the first third after warm-up, and ..."""
SHARE = 0.02
"""... by which share of it on top."""


class Growth:
    """What was seen of processes that run all the time; ``files`` are those that `tests.e2e.counted` writes."""

    def __init__(self, files: Mapping[int, Path]) -> None:
        self._files = files
        self._seen: dict[int, list[dict[str, int]]] = {pid: [] for pid in files}

    def look(self) -> None:
        """Look at each once, and ask it to count its tasks for the next time."""
        for pid, file in self._files.items():
            found = {"rss_kb": resident(pid), "fds": len(list(Path(f"/proc/{pid}/fd").iterdir()))}
            if file.exists():
                self._seen[pid].append(found | json.loads(file.read_text()))
            os.kill(pid, signal.SIGUSR1)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look once a second for as long as the block lasts."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(1.0):
                self.look()

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def medians(self) -> dict[str, list[tuple[float, float]]]:
        """Return for each figure the medians of the first and the last third after warm-up, of each process."""
        return {name: [thirds([each[name] for each in seen]) for seen in self._seen.values()] for name in ALLOWED}

    def problems(self) -> list[str]:
        """Return what has grown, in words."""
        return [
            f"{name} of a process grew from {first} to {last}"
            for name, pairs in self.medians().items()
            for first, last in pairs
            if last > first * (1 + SHARE) + ALLOWED[name]
        ]


def thirds(values: list[int]) -> tuple[float, float]:
    """Return the medians of the first and the last third of what comes after warm-up."""
    settled = values[int(WARM_UP * len(values)) :]
    third = len(settled) // 3
    return statistics.median(settled[:third]), statistics.median(settled[-third:])


def resident(pid: int) -> int:
    """Return how many kilobytes of memory a process has."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
