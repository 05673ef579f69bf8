"""Whose messages wait: for their turn, which goes round, or until the other side has read what is there for it."""

from __future__ import annotations

from collections.abc import Iterable

from chord_adapters._link import CROWDED, Link, LinkCounters
from chord_proto.messages import Message

HELD_ABOVE = 2 * 1024 * 1024
"""How many bytes of answers wait on a connection when no more questions are taken from it until they are read."""
HELD_INTERVAL = 0.02
"""Seconds between two looks at those connections, should their runtimes not say that they have sent all."""


class Backlogs:
    """The connections on which messages have come that are not handled yet."""

    def __init__(self, counters: LinkCounters) -> None:
        self.ready: dict[Link, None] = {}
        """Those that wait for their turn, the next one first."""
        self.held: dict[Link, None] = {}
        """Those that wait until the other side has read more."""
        self.resting: dict[Link, float] = {}
        """Those whose last message was much work: until when all others come first."""
        self._counters = counters
        self._looked_at = 0.0
        self._latest: Link | None = None
        """On which connection messages came last."""
        self._others = False
        """Whether they have come on several since one began to rest."""

    def came(self, link: Link, messages: Iterable[Message]) -> None:
        """Let messages wait."""
        link.backlog.extend(messages)
        self._others = self._others or link is not self._latest
        self._latest = link
        # Read in smaller pieces since, a flood is still one when they are full.
        link.crowded = len(link.backlog) > (CROWDED // 4 if link.crowded else CROWDED)
        if link not in self.held and link not in self.resting:
            self.ready[link] = None

    def rest(self, link: Link, until: float) -> None:
        """Let a connection that has more wait until then, if there are others: it may take no more than half of the time."""
        if link.backlog and link not in self.held and self._others:
            self._others = False
            self.ready.pop(link, None)
            self.resting[link] = until

    def next_of(self, link: Link) -> Message | None:
        """Take the next message of a connection, which has its next turn after all others; None when there is none now."""
        self.ready.pop(link, None)
        if not link.backlog or link in self.held or link in self.resting:
            return None
        if not link.dialled and link.queued() > HELD_ABOVE:
            self._counters.held += 1
            self.held[link] = None
            return None
        message = link.backlog.popleft()
        if link.backlog:
            self.ready[link] = None
        return message

    def release(self, now: float) -> None:
        """Let those have their turn again whose other side has read enough, or who have rested."""
        for link in [link for link, until in self.resting.items() if until <= now]:
            del self.resting[link]
            self.ready[link] = None
        if now - self._looked_at >= HELD_INTERVAL:
            self._looked_at = now
            for link in tuple(self.held):
                self.drained(link)

    def drained(self, link: Link) -> None:
        """The other side has read what was there for it."""
        if link in self.held and link.queued() <= HELD_ABOVE:
            del self.held[link]
            self.ready[link] = None

    def forget(self, link: Link) -> None:
        """A connection has ended."""
        link.backlog.clear()
        self.ready.pop(link, None)
        self.held.pop(link, None)
        self.resting.pop(link, None)
        if self._latest is link:
            self._latest = None

    def deadline(self, now: float) -> float | None:
        """Return when somebody has a turn, or is to be looked at."""
        if self.ready:
            return now
        if not self.resting and not self.held:
            return None
        rested = min(self.resting.values(), default=None)
        looked_at = now + HELD_INTERVAL if self.held else None
        return min((when for when in (rested, looked_at) if when is not None), default=None)
