"""Who knocks: connections that came in and on which the other side has not shown yet who it is.

They are strangers from the moment they are accepted, in the handshake of TLS and then until a valid hello has come.
There is room for so many; where it is full the oldest makes way, at the address that has most of them, so that a crowd
keeps out none but its own.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

HELLO_TIMEOUT = 5.0
"""Seconds from the moment it was accepted in which a connection must have brought a valid hello."""


@attrs.frozen
class Stranger:
    """One that knocks."""

    origin: str
    """The address that it comes from."""
    since: float
    end: Callable[[], None]
    """Close the connection at once."""


class Doors:
    """All that knock at one node; each is known by the object that its connection has at that stage."""

    def __init__(self) -> None:
        self._strangers: dict[object, Stranger] = {}
        self._by_origin: dict[str, dict[object, None]] = {}
        """The same by where they come from, the oldest first."""

    def __len__(self) -> int:
        return len(self._strangers)

    def pop_oldest(self) -> Stranger | None:
        """Take out and return the one that is to make way first, if there is any."""
        return self.leave(self._oldest()) if self._strangers else None

    def knock(self, who: object, stranger: Stranger) -> None:
        """Take in another one."""
        self._strangers[who] = stranger
        self._by_origin.setdefault(stranger.origin, {})[who] = None

    def _oldest(self) -> object:
        crowded = max(self._by_origin, key=lambda origin: len(self._by_origin[origin]))
        return next(iter(self._by_origin[crowded]))

    def leave(self, who: object) -> Stranger | None:
        """Take one out, since it is a stranger no more, or gone; None when it was not among them."""
        stranger = self._strangers.pop(who, None)
        if stranger is not None:
            here = self._by_origin[stranger.origin]
            del here[who]
            if not here:
                del self._by_origin[stranger.origin]
        return stranger

    def pop_overdue(self, now: float) -> Stranger | None:
        """Take out and return one that has had its time."""
        due = self.deadline
        return None if due is None or now < due else self.leave(next(iter(self._strangers)))

    @property
    def deadline(self) -> float | None:
        """When the first has had its time."""
        return next(iter(self._strangers.values())).since + HELLO_TIMEOUT if self._strangers else None
