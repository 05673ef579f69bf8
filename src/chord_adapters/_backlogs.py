"""Whose messages wait: for their turn, until they have rested, or until the other side has read what is there for it."""

from __future__ import annotations

from collections.abc import Iterable

from chord_adapters._link import CROWDED, Link, LinkCounters
from chord_proto.messages import Message

HELD_ABOVE = 2 * 1024 * 1024
"""How many bytes of answers wait on a connection when no more questions are taken from it until they are read."""
HELD_INTERVAL = 0.02
"""Seconds between two looks at those connections, should their runtimes not say that they have sent all."""
REST = 8
"""How many times as long as a turn took its connection rests, once its credit is used up: it has a ninth of the time, and
what others leave."""
CREDIT = 0.02
"""Seconds of rest that a connection may owe: who makes much work now and then need not rest."""
DEAREST = 0.005
"""Seconds for which it pays at most in one turn, as much as any message takes: else it was the machine that stood still."""
LOOKS = 4
"""At so many looks in a row nobody else has anything before one that rests goes on; they take as long as its latest message."""


class Backlogs:
    """The connections on which messages have come that are not handled yet."""

    def __init__(self, counters: LinkCounters) -> None:
        self.ready: dict[Link, None] = {}
        """Those that wait for their turn, the next one first."""
        self.held: dict[Link, None] = {}
        """Those that wait until the other side has read more."""
        self.resting: dict[Link, None] = {}
        """Those that have made too much work: all others come first."""
        self._counters = counters
        self._looked_at = 0.0
        self._rested_at = 0.0
        """When it was last looked whether those that rest have rested."""
        self._others = False
        """Since then messages have come on a connection that need not rest."""
        self._quiet = 0
        """At how many looks in a row none had."""

    def came(self, link: Link, messages: Iterable[Message]) -> None:
        """Let messages wait."""
        link.backlog.extend(messages)
        # Read in smaller pieces since, a flood is still one when they are full.
        link.crowded = len(link.backlog) > (CROWDED // 4 if link.crowded else CROWDED)
        if link not in self.held and link not in self.resting:
            self.ready[link] = None
            self._others = self._others or link.paid <= self._rested_at

    def first(self) -> Link | None:
        """Return whose turn it is; None when nobody has anything, or all have to wait."""
        return next(iter(self.ready), None)

    def charge(self, link: Link, taken: float, latest: float, now: float) -> None:
        """Let a connection pay for a turn that took so long, and its latest message; rest it if it has had its share."""
        link.paid = max(link.paid, now) + REST * min(taken, DEAREST)
        link.latest = min(latest, DEAREST)
        if link.paid > now + CREDIT and not link.closed and link not in self.held:
            self.ready.pop(link, None)
            self.resting[link] = None

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
        if self.resting:
            for link in self._rested(now):
                link.paid = min(link.paid, now + CREDIT)
                del self.resting[link]
                if link.backlog:
                    self.ready[link] = None
        if now - self._looked_at >= HELD_INTERVAL:
            self._looked_at = now
            for link in tuple(self.held):
                self.drained(link)

    def _rested(self, now: float) -> list[Link]:
        """Return those that have rested, or the next of them if nobody else has had anything for some looks."""
        self._quiet = 0 if self._others or self.ready else self._quiet + 1
        self._others = False
        self._rested_at = now
        over = [link for link in self.resting if link.paid <= now + CREDIT]
        if not over and self._quiet >= LOOKS:
            over = [link for link in self.resting if link.backlog][:1]
        return over

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

    def deadline(self, now: float) -> float | None:
        """Return when somebody has a turn, or is to be looked at."""
        if self.ready:
            return now
        if not self.resting and not self.held:
            return None
        waits = [HELD_INTERVAL] if self.held else []
        waits += [link.latest / LOOKS for link in self.resting if link.backlog]
        return now + min(waits) if waits else None
