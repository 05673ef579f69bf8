"""Versions: a hybrid logical clock (Kulkarni et al., OPODIS 2014), written as text that sorts in order.

A version is milliseconds of civil time, a counter and the writing node, each in hexadecimal of fixed width:
the order is total, and later writes at one node sort after all versions that it has seen.
"""

from __future__ import annotations

import re

_FORM = re.compile(r"[0-9a-f]{12}-[0-9a-f]{4}-[0-9a-f]{16}")
_COUNTER_LIMIT = 1 << 16
_TIME_LIMIT = 1 << 48


class HybridClock:
    """Makes versions for one node."""

    __slots__ = ("counter", "node", "time")

    def __init__(self, node: int, bits: int) -> None:
        self.time = 0
        self.counter = 0
        self.node = f"{node >> max(0, bits - 64):016x}"

    def next(self, seconds: float) -> str:
        """Return a new version at civil time ``seconds``, after every version made or seen so far."""
        now = int(seconds * 1000) % _TIME_LIMIT if seconds > 0 else 0
        if now > self.time:
            self.time, self.counter = now, 0
        else:
            self._count()
        return f"{self.time:012x}-{self.counter:04x}-{self.node}"

    def following(self, version: str) -> str:
        """Return the next version of this node after a well-formed ``version``; the clock takes no note of it."""
        time, counter = int(version[:12], 16), int(version[13:17], 16) + 1
        if counter == _COUNTER_LIMIT:
            time, counter = time + 1, 0
        return f"{time:012x}-{counter:04x}-{self.node}"

    def forget(self) -> None:
        """Go by civil time again: what was made or seen so far was from a clock that was wrong."""
        self.time, self.counter = 0, 0

    def observe(self, version: str) -> None:
        """Let the versions to come sort after ``version``."""
        if not is_version(version):
            return
        time, counter = int(version[:12], 16), int(version[13:17], 16)
        if (time, counter) > (self.time, self.counter):
            self.time, self.counter = time, counter

    def _count(self) -> None:
        self.counter += 1
        if self.counter == _COUNTER_LIMIT:
            self.time, self.counter = self.time + 1, 0


def time_of(version: str) -> int:
    """Return the civil time of a well-formed version, in milliseconds of Unix time."""
    return int(version[:12], 16)


def is_version(text: str) -> bool:
    """Tell whether ``text`` has the form of a version."""
    return _FORM.fullmatch(text) is not None
