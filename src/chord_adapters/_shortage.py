"""What a process does about connections while its file descriptors run out."""

from __future__ import annotations

import logging

from chord_adapters._link import LinkCounters

LEAST_STRANGERS = 8
"""So many that have not said their hello are let in as long as there are file descriptors at all: it takes some turns of
the loop to read it, in each of which another may come."""
CEILING_TIME = 10.0
"""Seconds for which no more connections are accepted than there were when file descriptors ran out."""
RETRY_PAUSE = 0.1
"""Seconds after which a process without file descriptors tries again."""
REPORT_INTERVAL = 60.0
"""Seconds between two reports of that."""
QUIET_CLIENT = 1.0
"""Seconds of silence after which a client's connection may give way to one that the ring needs."""

_log = logging.getLogger("chord_adapters")


class Shortage:
    """Counts and reports, and bounds how many connections are accepted."""

    def __init__(self, counters: LinkCounters) -> None:
        self._counters = counters
        self._reported: float | None = None
        self._ceiling = 0
        self._until: float | None = None
        """How long the ceiling counts."""
        self._strangers = 0
        self._strangers_until: float | None = None

    def note(self, connections: int, now: float) -> None:
        """File descriptors run out, with so many connections."""
        self._counters.starved += 1
        if self._reported is None or now - self._reported >= REPORT_INTERVAL:
            self._reported = now
            _log.warning("file descriptors run out: there are %d connections, and hardly one more can be", connections)

    def limit(self, inbound: int, strangers: int, now: float) -> None:
        """Let no more connections come in than these for a while; ``strangers`` of them have not said their hello."""
        self._ceiling = inbound + max(0, LEAST_STRANGERS - strangers)
        self._until = now + CEILING_TIME

    def limit_strangers(self, strangers: int, now: float) -> None:
        """Let no more knock than these at once for a while."""
        self._strangers = max(LEAST_STRANGERS, strangers)
        self._strangers_until = now + CEILING_TIME

    def most_strangers(self, usually: int, now: float) -> int:
        """Return how many may knock at once."""
        until = self._strangers_until
        return usually if until is None or now >= until else min(usually, self._strangers)

    def most(self, usually: int, now: float) -> int:
        """Return how many connections may come in."""
        return usually if self._until is None or now >= self._until else min(usually, self._ceiling)
