"""Durability: what is accepted becomes readable, and is acknowledged, once the driver says that it is written."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from chord_proto.calls import Purpose
from chord_proto.context import Context
from chord_proto.effects import OutdatedDropped, Write, WriteId
from chord_proto.errors import LocalProtocolError
from chord_proto.messages import Record, Space
from chord_proto.peer import Peer
from chord_proto.table import Name, Table, is_newer, is_on, place_of
from chord_proto.versions import HybridClock, time_of

_EXPIRED_AT_ONCE = 1024
_COUNTED_ON = 1.25
"""For how many of ``Config.operation_timeout`` a decided copy stays: a quarter more, since clocks do not run alike."""
_MAX_REPLACED = 4096
_MAX_FAILING = 64


@attrs.define(eq=False)
class Pending:
    """A write that the driver has been given."""

    changes: tuple[Record, ...]
    dropped: tuple[Name, ...]
    purposes: list[Purpose]
    """Who wants to know when it is durable (their outcome is True) or failed (False)."""


class Writes:
    """The table, and the writes on their way into it."""

    __slots__ = (
        "_last",
        "_tidy_at",
        "accepted",
        "clock",
        "counted",
        "ctx",
        "failed",
        "failing",
        "founded",
        "loaded",
        "news",
        "pending",
        "replaced",
        "table",
        "unshared",
        "waiting",
        "width",
    )

    def __init__(self, ctx: Context, records: Iterable[Record]) -> None:
        self.ctx = ctx
        self.table = Table(ctx.config.bits)
        self.clock = HybridClock(ctx.me.id, ctx.config.bits)
        self.pending: dict[WriteId, Pending] = {}
        self.accepted: dict[Name, tuple[Record, WriteId]] = {}
        """The newest record of each name that is not durable yet."""
        self.counted: dict[Name, float] = {}
        """Until when whoever decided a write may acknowledge it as held here."""
        self.replaced: dict[tuple[bytes, int], str] = {}
        """Versions of writes that newer ones have replaced here lately, by name and write id: decided, if they come again."""
        self.waiting = 0
        """Bytes of the values that are not durable yet."""
        self.failed = False
        self.failing: dict[int, int] = {}
        """Peers whose disks have failed, by id, and in which life: until their next one they take no copies."""
        self.news: list[tuple[Record, Record | None]] = []
        """Records that have become durable, and what was there before; reset by who takes note."""
        self.width = 1
        """The ring's width as it was given to the driver."""
        self.founded = 0
        """The founding of the ring as it was given to the driver."""
        self.loaded = ""
        """The newest version of what an earlier life has left."""
        self.unshared = 0
        """Counts changes of this node's range that not every replica may have: what repair looks after."""
        self._last = WriteId(0)
        self._tidy_at = 0.0
        """When what is over is removed from ``counted`` next."""
        for item in records:
            self.table.put(item)
            self.clock.observe(item.version)
            self.loaded = max(self.loaded, item.version)

    def newest(self, space: int, name: bytes) -> Record | None:
        """Return the newest accepted record of a name, durable or not: what decisions are judged against."""
        waiting = self.accepted.get((space, name))
        return self.table.get(space, name) if waiting is None else waiting[0]

    def has_room(self, items: Iterable[Record]) -> bool:
        """Tell whether the table may take these."""
        config, table, items = self.ctx.config, self.table, tuple(items)
        count, size = len(items), _size(items)
        return (
            len(self.pending) < config.max_pending_writes
            and len(table) + len(self.accepted) + count <= config.max_records
            and table.bytes + self.waiting + size <= config.max_bytes
        )

    def keep(self, items: Iterable[Record], purpose: Purpose | None = None, *, shared: bool = True) -> None:
        """Make those of ``items`` durable that are newer than what is held.

        The outcome of ``purpose`` is True once all of them are durable, at once if they are.  Not ``shared``
        are those that come from repair or hand-over rather than from their owner's decision.
        """
        fresh: list[Record] = []
        waits_for: WriteId | None = None
        for item in items:
            newest = self.newest(item.space, item.name)
            if item.version and not self.is_ahead(item.version):
                self.clock.observe(item.version)
            if shared:
                self._count_on((item.space, item.name))
            if is_newer(item.version, None if newest is None else newest.version):
                fresh.append(item)
                self._remember_replaced(item, newest)
            elif (waiting := self.accepted.get((item.space, item.name))) is not None:
                waits_for = max(waits_for or waiting[1], waiting[1])
        if fresh:
            owns, bits = self.ctx.routing.owns, self.table.bits
            if not shared and any(owns(place_of(item.space, item.name, bits)) for item in fresh):
                self.unshared += 1
            self._write(tuple(fresh), (), purpose)
        elif purpose is not None and waits_for is not None and waits_for in self.pending:
            self.pending[waits_for].purposes.append(purpose)
        elif purpose is not None:
            self.ctx.outcomes.append((purpose, None, True))

    def is_ahead(self, version: str) -> bool:
        """Tell whether the clock that made a version is too far ahead of this node's; no clock is no judge."""
        ctx = self.ctx
        return ctx.wall_offset != 0.0 and time_of(version) > ctx.civil + ctx.config.max_clock_ahead * 1000

    def next_version(self, newest: Record | None) -> str:
        """Return a version for a write over ``newest``.

        It is after all that was made and seen here, unless that came of a clock that was far ahead; and after
        ``newest`` in any case, also where that is from the future: who writes there again takes the next one.
        """
        ctx, clock = self.ctx, self.clock
        if ctx.wall_offset and clock.time > ctx.civil + ctx.config.max_clock_ahead * 1000:
            clock.forget()
        version = clock.next(ctx.now + ctx.wall_offset)
        if newest is not None and not is_newer(version, newest.version):
            version = clock.following(newest.version)
        return version

    def _remember_replaced(self, item: Record, old: Record | None) -> None:
        if old is None or item.space != Space.RECORD or item.write_id == old.write_id:
            return
        self.replaced[old.name, old.write_id] = old.version
        while len(self.replaced) > _MAX_REPLACED:
            del self.replaced[next(iter(self.replaced))]

    def expire(self) -> None:
        """Forget the values of what has expired, durably; names and versions stay, so that nothing comes back."""
        left = () if self.failed else tuple(self.table.expired(self.ctx.civil, _EXPIRED_AT_ONCE))
        going = self._going()
        left = tuple(item for item in left if (item.space, item.name) not in self.accepted.keys() | going)
        if left:
            self._write(left, (), None)

    def _count_on(self, name: Name) -> None:
        now = self.ctx.now
        until = now + _COUNTED_ON * self.ctx.config.operation_timeout
        if now >= self._tidy_at:
            self._tidy_at = until
            self.counted = {each: end for each, end in self.counted.items() if end > now}
        self.counted[name] = until

    def is_counted_on(self, name: Name) -> bool:
        """Tell whether a write of ``name`` may still be acknowledged on the strength of the copy here (property D3)."""
        return self.counted.get(name, self.ctx.now) > self.ctx.now

    def drop(self, names: tuple[Name, ...]) -> None:
        """Forget records durably, those that are not being forgotten already."""
        going = self._going()
        names = tuple(name for name in names if name not in going)
        if names:
            self._write((), names, None)

    def _going(self) -> set[Name]:
        """Return what is being forgotten; what was accepted after that is not."""
        dropped = ((name, number) for number, each in self.pending.items() for name in each.dropped)
        return {name for name, number in dropped if name not in self.accepted or self.accepted[name][1] < number}

    def drop_outdated(self) -> None:
        """Forget the named records of earlier lives, from here on and durably; what was written since stays."""
        held = (self.newest(*name) for name in {**self.table.records, **self.accepted})
        records = (item for item in held if item is not None and item.space == Space.RECORD)
        old = tuple(item for item in records if item.version <= self.loaded)
        for item in old:
            self.table.drop(item.space, item.name)
        if old:
            self.ctx.emit(OutdatedDropped(old))
            self.drop(tuple((item.space, item.name) for item in old))

    def remember(self, width: int, founded: int) -> None:
        """Let a later life know how wide the ring was, not to take itself for a majority alone; and which ring it was.

        While too much waits to become durable nothing is changed, and this is to be called again.
        """
        if not self.failed and len(self.pending) < self.ctx.config.max_pending_writes:
            self.width, self.founded = width, founded
            self._write((), (), None, width, founded)

    def is_settled(self, start: int, end: int) -> bool:
        """Tell whether nothing on (start, end] is still on its way to disk."""
        table = self.table
        return not any(is_on(item, start, end, table.bits) for item, _ in self.accepted.values())

    def _write(
        self,
        changes: tuple[Record, ...],
        dropped: tuple[Name, ...],
        purpose: Purpose | None,
        width: int = 0,
        founded: int = 0,
    ) -> None:
        if self.failed:
            if purpose is not None:
                self.ctx.outcomes.append((purpose, None, False))
            return
        self._last = WriteId(self._last + 1)
        self.pending[self._last] = Pending(changes, dropped, [] if purpose is None else [purpose])
        self.waiting += _size(changes)
        for item in changes:
            self.accepted[item.space, item.name] = (item, self._last)
        self.ctx.emit(Write(self._last, changes, dropped, width, founded))

    def written(self, write: WriteId) -> None:
        """All writes up to ``write`` are durable: apply them, and tell who waited."""
        for number in [number for number in self.pending if number <= write]:
            done = self.pending.pop(number)
            self.waiting -= _size(done.changes)
            for item in done.changes:
                old = self.table.get(item.space, item.name)
                if self.table.put(item) and item.space == Space.RECORD:
                    self.news.append((item, old))
                self._settle((item.space, item.name), number)
            for space, name in done.dropped:
                if (space, name) not in self.accepted:
                    self.table.drop(space, name)
            for purpose in done.purposes:
                self.ctx.outcomes.append((purpose, None, True))

    def write_failed(self, write: WriteId) -> None:
        """The disk refused: keep serving reads, refuse writes from now on."""
        self.failed = True
        for done in self.pending.values():
            for purpose in done.purposes:
                self.ctx.outcomes.append((purpose, None, False))
        self.pending.clear()
        self.accepted.clear()
        self.waiting = 0

    def note_failed(self, peer: Peer, life: int) -> None:
        """A peer has said that its disk has failed."""
        self.failing.pop(peer.id, None)
        self.failing[peer.id] = life
        while len(self.failing) > _MAX_FAILING:
            del self.failing[next(iter(self.failing))]

    def takers(self) -> tuple[Peer, ...]:
        """Return the replicas of this node's range that take copies, itself among them: whose disks have not failed."""
        ctx = self.ctx
        return tuple(
            peer
            for peer in ctx.routing.replicas()
            if not (self.failed if peer.id == ctx.me.id else self.failing.get(peer.id) == ctx.life_of(peer))
        )

    def stop(self) -> None:
        """The node has left: nobody is told of what becomes durable from now on."""
        for waiting in self.pending.values():
            waiting.purposes.clear()

    def check(self, write: WriteId) -> None:
        """Raise `LocalProtocolError` for a write that this node has never asked for."""
        if write > self._last:
            raise LocalProtocolError(f"write {write} was never asked for")

    def _settle(self, name: Name, number: WriteId) -> None:
        waiting = self.accepted.get(name)
        if waiting is not None and waiting[1] == number:
            del self.accepted[name]


def _size(items: Iterable[Record]) -> int:
    """Return how many bytes the values of these have."""
    return sum(len(item.value or b"") for item in items)
