"""How long the deleted is remembered: its tombstones go when every replica has them and their time is over.

A tombstone keeps a copy that somebody still has from coming back.  So it stays for ``Config.grace_period``, and then
until the owner has compared its range with all replicas, found them complete, and each of them has agreed.
"""

from __future__ import annotations

from itertools import islice

from chord_proto.context import Context
from chord_proto.messages import Answer, Collect, Done, Reason, Summary
from chord_proto.peer import Address, Peer
from chord_proto.records import record
from chord_proto.ring import Ring
from chord_proto.table import is_gone, place_of
from chord_proto.writes import Writes

_AT_ONCE = 1024
_INTERVAL = 60.0
"""Most seconds between two looks: all tombstones are looked at."""


@record
class Collecting:
    """Purpose of asking a replica to forget tombstones."""

    round: int


class Graves:
    """The tombstones of one node."""

    __slots__ = ("ctx", "due", "entries", "ring", "round", "waiting", "writes")

    def __init__(self, ctx: Context, ring: Ring, writes: Writes) -> None:
        self.ctx = ctx
        self.ring = ring
        self.writes = writes
        self.round = 0
        self.due = 0.0
        """When to look again, in seconds of the node's clock."""
        self.entries: tuple[Summary, ...] = ()
        """What the replicas have been asked to forget."""
        self.waiting: dict[int, None] = {}
        """Who has not answered."""

    def collect(self) -> None:
        """Begin to forget what is long gone; every replica is known to have all of this node's range."""
        ctx = self.ctx
        replicas = ctx.routing.replicas()
        if ctx.now < self.due or len(replicas) < self.ring.width or not ctx.wall_offset:
            return
        grace = ctx.config.grace_period
        self.due = ctx.now + min(_INTERVAL, grace)
        before = ctx.civil - int(grace * 1000)
        owns, bits, table = ctx.routing.owns, ctx.config.bits, self.writes.table
        ended = (
            Summary(*name, table.records[name].version)
            for name, since in table.gone.items()
            if since <= before and name not in self.writes.accepted and owns(place_of(*name, bits))
        )
        self.entries = tuple(islice(ended, _AT_ONCE))
        if not self.entries:
            return
        self.round += 1
        self.waiting = {peer.id: None for peer in replicas if peer.id != ctx.me.id}
        for peer in replicas:
            if peer.id in self.waiting and not ctx.ask(peer, Collecting(self.round), Collect, self.entries):
                self.entries = ()
                break
        self._finish()

    def on_collected(self, purpose: Collecting, peer: Peer | None, answer: Answer | None) -> None:
        """A replica has forgotten them, or not: then all is left as it is until the next time."""
        if purpose.round != self.round or peer is None:
            return
        if not isinstance(answer, Done):
            self.entries = ()
        self.waiting.pop(peer.id, None)
        self._finish()

    def _finish(self) -> None:
        if self.entries and not self.waiting:
            self._forget(self.entries)
            self.entries = ()

    def on_collect(self, message: Collect, sender: Address) -> None:
        """The owner wants tombstones forgotten: not what is older here, or there yet, since it would come back."""
        ctx = self.ctx
        asker, source = ctx.asker(message, sender), message.source
        if source is None:
            ctx.refuse(asker, Reason.INVALID)
            return
        places = [place_of(each.space, each.name, ctx.config.bits) for each in message.entries]
        if any(ctx.routing.closer_owner(place, source) is not None for place in places):
            ctx.refuse(asker, Reason.NOT_OWNER)
        elif any(self._is_behind(entry) for entry in message.entries):
            ctx.refuse(asker, Reason.NOT_READY)
        else:
            self._forget(message.entries)
            ctx.answer(asker, Done)

    def _is_behind(self, entry: Summary) -> bool:
        newest = self.writes.newest(entry.space, entry.name)
        if newest is None or newest.version > entry.version:
            return False
        return newest.version < entry.version or not is_gone(newest, self.ctx.civil)

    def _forget(self, entries: tuple[Summary, ...]) -> None:
        """Drop what is still the last word: a newer version has its own life, written or on its way."""
        civil = self.ctx.civil
        names = []
        for entry in entries:
            newest = self.writes.newest(entry.space, entry.name)
            if newest is not None and newest.version == entry.version and is_gone(newest, civil):
                names.append((entry.space, entry.name))
        if names:
            self.writes.drop(tuple(names))
