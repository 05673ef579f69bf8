"""Requests under way: what is kept of one that was sent, and of one whose answer is owed."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from chord_proto.messages import Request
from chord_proto.peer import Address, Peer
from chord_proto.records import record

Purpose: TypeAlias = Any
"""Why a request was sent or a lookup begun: a record of the layer that did, which says who handles the outcome."""


@record
class Slow:
    """Told to the handler of a lookup's question when that had to be sent again."""


@record
class Asker:
    """Who waits for a deferred answer: the return path, and what the answer's header needs."""

    sender: Address
    source: int | None
    incarnation: int
    request: int


@attrs.define(eq=False)
class Call:
    """One outstanding request."""

    request: int
    address: Address
    peer: Peer | None
    """Whom it was sent to; None for whoever answers at the address."""
    message: Request
    purpose: Purpose
    sent: float
    latest: float = 0.0
    """When it was last sent."""
    tries: int = 1
    refusals: int = 0
    timeout: float = 0.0
    timed: bool = True
    """The time until its answer is a round trip, and nothing else."""


@attrs.define(eq=False)
class Counters:
    """What happened so far."""

    received: int = 0
    sent: int = 0
    ignored: int = 0
    misbehaved: int = 0
    retransmitted: int = 0
    suspected: int = 0
    refused: int = 0
    lookups: int = 0
    hops: int = 0
    doubted: int = 0
    forwarded: int = 0
