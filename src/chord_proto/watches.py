"""The owner's side of watching a record: who waits for its next change, and what it was lately.

A watcher asks for what came after the change that it knows last, and the answer waits until there is something.  So it
is told each change once and in order, as far as the owner remembers (`History`); where it does not, since ownership has
moved or the watcher fell behind, the newest is told, and that there may have been others.
"""

from __future__ import annotations

import attrs

from chord_proto.calls import Asker
from chord_proto.context import Context
from chord_proto.coordinator import Coordinator
from chord_proto.history import History, cursor_of
from chord_proto.messages import AwaitChange, Changed, Reason, Record, Space
from chord_proto.operations import Change
from chord_proto.peer import Address
from chord_proto.ranges import Ranges
from chord_proto.records import record
from chord_proto.table import is_gone, place_of
from chord_proto.writes import Writes

_WAIT = 20.0
"""Seconds after which a watcher hears that nothing has changed: so it is known whether it is still there."""
_FORGOTTEN = 30.0
"""Seconds for which a record counts as watched that nobody waits for."""
_LOOK = 0.5
"""Seconds between two looks whether this node still decides."""


@record
class Waiting:
    """Somebody waits for what comes after a change, until then."""

    asker: Asker
    after: str
    until: float


@attrs.define(eq=False)
class Watched:
    """One record that somebody watches."""

    name: bytes
    place: int
    asked: float
    waiting: dict[tuple[Address, int], Waiting] = attrs.field(factory=dict)
    """Who waits, by address and request."""


class Watches:
    """The watchers of the records that a node owns."""

    __slots__ = ("coordinator", "count", "ctx", "history", "ranges", "watched", "writes")

    def __init__(self, ctx: Context, writes: Writes, ranges: Ranges, coordinator: Coordinator) -> None:
        self.ctx = ctx
        self.writes = writes
        self.ranges = ranges
        self.coordinator = coordinator
        self.watched: dict[bytes, Watched] = {}
        self.history = History(ctx.config.max_batch_bytes)
        self.count = 0
        """How many wait, in all."""

    def on_await(self, message: AwaitChange, sender: Address) -> None:
        """Tell what came after ``message.after``: at once, or when it comes."""
        ctx = self.ctx
        asker = ctx.asker(message, sender)
        place = place_of(Space.RECORD, message.name, ctx.config.bits)
        if not ctx.routing.owns(place):
            self.coordinator.elsewhere(asker, place)
        elif not self.ranges.decides(place) or self.ranges.returned.may_have(place):
            ctx.refuse(asker, Reason.NOT_READY)
        elif len(message.name) > ctx.config.max_key_size:
            ctx.refuse(asker, Reason.INVALID)
        elif max(self.count, len(self.watched)) >= ctx.config.max_watchers:
            ctx.refuse(asker, Reason.BUSY)
        else:
            self._await(asker, self._watched(message.name, place), message.after)

    def _watched(self, name: bytes, place: int) -> Watched:
        watched = self.watched.get(name)
        if watched is None:
            watched = self.watched[name] = Watched(name, place, self.ctx.now)
        watched.asked = self.ctx.now
        self._arm(watched)
        return watched

    def _present(self, name: bytes) -> Change | None:
        """Return the latest change of a record, as far as it is durable; None if there never was one."""
        held = self.writes.table.get(Space.RECORD, name)
        return None if held is None else self._change(held)

    def _change(self, item: Record) -> Change:
        expired = item.expires > 0 and is_gone(item, self.ctx.civil)
        return Change(item.version, None if expired else item.value, item.expires, expired)

    def _await(self, asker: Asker, watched: Watched, after: str | None) -> None:
        self._look_for_expiry(watched.name)
        present = self._present(watched.name)
        latest = "" if present is None else cursor_of(present)
        if after is None:
            self.ctx.answer(asker, Changed, (), False, latest)
        elif after >= latest:
            self.ctx.defer(asker)
            watched.waiting[asker.sender, asker.request] = Waiting(asker, after, self.ctx.now + _WAIT)
            self.count += 1
        elif present is not None:
            changes = self.history.since(watched.name, after)
            self._tell(asker, changes or (present,), lagged=changes is None)

    def _tell(self, asker: Asker, changes: tuple[Change, ...], *, lagged: bool) -> None:
        """Tell changes: all that are remembered fit in one message."""
        self.ctx.answer(asker, Changed, changes, lagged, cursor_of(changes[-1]))

    # What happens

    def on_news(self) -> None:
        """Records have become durable in place of others."""
        news, self.writes.news = self.writes.news, []
        for item, old in news:
            # Who decided it here has seen all that was before.
            sure = self.coordinator.decided.get((item.name, item.write_id)) == item.version
            before = self._change(old) if old is not None else None
            if before is not None and before.expired and before.version != item.version:
                self._remember(item.name, before.version, before)
            self._remember(item.name, (cursor_of(before) if before else "") if sure else None, self._change(item))

    def _look_for_expiry(self, name: bytes) -> None:
        present = self._present(name)
        if present is not None and present.expired:
            self._remember(name, present.version, present)

    def _remember(self, name: bytes, before: str | None, change: Change) -> None:
        watched = self.watched.get(name)
        if not self.history.add(name, before, change) or watched is None:
            return
        for key, waiting in tuple(watched.waiting.items()):
            if cursor_of(change) > waiting.after:
                self._release(watched, key)
                self._tell(waiting.asker, (change,), lagged=False)

    # Time

    def on_timer(self) -> None:
        """Look for what has expired, who has waited long, and whether this node still decides."""
        now = self.ctx.now
        for watched in tuple(self.watched.values()):
            if not self.ranges.decides(watched.place):
                self._drop(watched, Reason.NOT_READY)
                continue
            self._look_for_expiry(watched.name)
            for key, waiting in tuple(watched.waiting.items()):
                if waiting.until <= now:
                    self._release(watched, key)
                    self.ctx.answer(waiting.asker, Changed, (), False, waiting.after)
            if not watched.waiting and now - watched.asked > _FORGOTTEN:
                self._drop(watched, Reason.NOT_READY)
            else:
                self._arm(watched)

    def _arm(self, watched: Watched) -> None:
        """Look again soon, or when the record expires."""
        ctx, soon = self.ctx, _LOOK
        held = self.writes.table.get(Space.RECORD, watched.name)
        if held is not None and held.value is not None and held.expires:
            soon = min(soon, max(0.001, held.expires / 1000 - ctx.wall_offset - ctx.now))
        ctx.timers.arm_earlier(("watch", 0), ctx.now + soon)

    def _release(self, watched: Watched, key: tuple[Address, int]) -> None:
        del watched.waiting[key]
        self.count -= 1

    def _drop(self, watched: Watched, reason: Reason) -> None:
        del self.watched[watched.name]
        for key, waiting in tuple(watched.waiting.items()):
            self._release(watched, key)
            self.ctx.refuse(waiting.asker, reason)

    def stop(self) -> None:
        """The node has left: who waits asks elsewhere."""
        for watched in tuple(self.watched.values()):
            self._drop(watched, Reason.NOT_MEMBER)
        self.ctx.timers.disarm(("watch", 0))
