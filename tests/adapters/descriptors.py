"""A process without a file descriptor to spare."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOM = 64
"""How many there are at least once they are given back."""


class Hog:
    """Takes every file descriptor that the process may still have."""

    def __init__(self) -> None:
        self._taken: list[int] = []

    def take_all(self) -> None:
        """Take those, too, that have become free since."""
        while True:
            try:
                self._taken.append(os.dup(0))
            except OSError:
                return

    def free(self, number: int) -> None:
        """Give so many back."""
        for _ in range(number):
            os.close(self._taken.pop())

    def free_all(self) -> None:
        """Give all back."""
        for descriptor in self._taken:
            os.close(descriptor)
        self._taken.clear()


@contextmanager
def no_descriptors() -> Iterator[Hog]:
    """Leave the process no file descriptor; afterwards the limit is what it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/dev/fd").iterdir())
    hog = Hog()
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + ROOM, hard))
    try:
        hog.take_all()
        yield hog
    finally:
        hog.free_all()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
