"""What an event loop gives a node or client, and what it tells them: the seam between asyncio, trio and the rest.

Nothing here waits but `Waiter.wait`, and everything is called in the thread of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from chord_adapters._links import Link
from chord_proto.operations import Result

Outcome: TypeAlias = Result | Exception | None
"""How a wait ends: a result, an exception to be raised, or None when there is nothing to say."""


class Waiter(Protocol):
    """Lets one task wait for one outcome."""

    def resolve(self, outcome: Outcome) -> None:
        """Give the outcome; of several the first counts."""

    async def wait(self) -> Outcome:
        """Wait for the outcome, also of one that is there already at least for a turn of the loop."""


class Runtime(Protocol):
    """What the loop does for a node or client."""

    def now(self) -> float:
        """Return the seconds of the loop's monotonic clock."""

    def civil(self) -> float:
        """Return civil time, Unix seconds."""

    def wake_at(self, when: float) -> None:
        """Call ``Engine.woken`` once at ``when``, and no more at what was said before."""

    def dial(self, link: Link, delay: float) -> None:
        """Connect to ``link.name`` after ``delay`` seconds; then call ``Engine.dialled`` or ``dial_failed``."""

    def hang_up(self, link: Link) -> None:
        """Give up dialling ``link``; nothing will be heard of it any more."""

    def waiter(self) -> Waiter:
        """Return a fresh waiter."""

    def persist(self, work: Callable[[], None], done: Callable[[Exception | None], None]) -> None:
        """Carry out ``work``, which blocks, outside the loop and after all that was asked for here before.

        Then, in a later turn of the loop, call ``done`` with what it raised, None if nothing.
        """

    def stop(self) -> None:
        """Close the listening socket and stop the timer, at once."""
