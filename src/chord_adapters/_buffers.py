"""How many bytes all connections of a process hold together, and which of them are to be closed where that is too much."""

from __future__ import annotations

from collections.abc import Callable

from chord_adapters._link import Link
from chord_proto.config import Config

UNWATCHED = 64 * 1024
"""So many bytes may wait on a connection before it is looked at how many wait in all."""
RECOUNTED = 0.02
"""Seconds between two counts of what waits on all connections while there is too much."""


class Buffers:
    """What waits to be sent, and what has come of frames that are not complete."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.received = 0
        """Bytes that have come of frames that are not complete."""
        self.room = config.max_buffered_bytes
        """So many bytes may be queued before it is counted again how many wait."""
        self._counted = -RECOUNTED

    def has_room(self, link: Link) -> bool:
        """Tell whether more may be queued on a connection; what comes on top is dropped, and repeated by who misses it."""
        return link.connection.queued_bytes <= UNWATCHED or (
            self.room > 0 and link.queued() < self._config.max_buffered_bytes_per_connection
        )

    def unread(self, all_links: Callable[[], list[Link]], now: float) -> list[Link]:
        """Count what waits to be sent, since that may be too much; return who is to be closed then.

        That is who reads nothing, and of these, or of all, who has most to read.
        """
        if now - self._counted < RECOUNTED:
            return []
        self._counted, links = now, all_links()
        self.room = self._config.max_buffered_bytes - sum(each.queued() for each in links)
        away: list[Link] = []
        for link in sorted(links, key=lambda each: (each.stalled is not None, each.queued()), reverse=True):
            if self.room > 0:
                break
            self.room += link.queued()
            away.append(link)
        return away

    def came(self, link: Link, now: float, *, complete: bool) -> None:
        """Something has come on a connection; ``complete``: of a frame at least all."""
        held = link.connection.held_bytes
        if complete or not link.held:
            link.partial = now
        self.received += held - link.held
        link.held = held

    def forget(self, link: Link) -> None:
        """A connection has ended."""
        self.received -= link.held
        link.held = 0

    def unfinished(self, all_links: Callable[[], list[Link]]) -> Link | None:
        """Return who is to be closed since too much has come of frames that are not complete.

        That is whose frame has been coming for longest, of those at the address from where most has come.
        """
        if self.received <= self._config.max_received_bytes:
            return None
        links = all_links()
        sizes: dict[str, int] = {}
        for link in links:
            sizes[link.origin] = sizes.get(link.origin, 0) + link.held
        origin = max(sizes, key=lambda each: sizes[each])
        return min((each for each in links if each.origin == origin and each.held), key=lambda each: each.partial)
