"""Whether there is room for another connection, and who would make way for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chord_adapters._link import Link
from chord_adapters._shortage import QUIET_CLIENT
from chord_proto.config import Config

IDLE_TIMEOUT = 60.0
"""Seconds after which a connection that we dialled and do not use is closed, and one that came in makes way for others."""


def crowd_of(inbound: Collection[Link], link: Link, config: Config) -> Sequence[Link]:
    """Return those of whom one would have to make way for ``link``, which has not said hello yet; nobody while there is room."""
    if len(inbound) <= min(config.max_connections, config.max_connections_per_address):
        return ()
    known = [each for each in inbound if each.connection.established]
    here = [each for each in known if each.origin == link.origin]
    if len(here) >= config.max_connections_per_address:
        return here
    return known if len(known) >= config.max_connections else ()


def unused(crowd: Sequence[Link], now: float) -> Link | None:
    """Return the one that was used least lately, if that is long ago."""
    idle = min(crowd, key=lambda each: each.used, default=None)
    return idle if idle is not None and now - idle.used >= IDLE_TIMEOUT else None


def quiet_client(inbound: Collection[Link], now: float) -> Link | None:
    """Return the client that has been quiet for longest, if one has been for a while and has nothing to read."""
    quiet = (
        each
        for each in inbound
        if not each.connection.remote_address and not each.queued() and now - each.used >= QUIET_CLIENT
    )
    return min(quiet, key=lambda each: each.used, default=None)
