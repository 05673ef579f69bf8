"""The owner's side of a scan: what lies on its range, page by page, in order of place."""

from __future__ import annotations

from itertools import islice

from chord_proto.context import Context
from chord_proto.coordinator import Coordinator
from chord_proto.messages import GetKeys, Keys, Reason, Record
from chord_proto.operations import Entry
from chord_proto.peer import Address
from chord_proto.ranges import Ranges
from chord_proto.table import Position, is_gone, place_of
from chord_proto.writes import Writes

PAGE = 64
"""Most entries of one page."""
_PAGE_BYTES = 131_072
"""Bytes of names after which a page ends: its last name goes beyond."""


class Scans:
    """The scans that a node answers; it remembers nothing of them."""

    __slots__ = ("coordinator", "ctx", "ranges", "writes")

    def __init__(self, ctx: Context, writes: Writes, ranges: Ranges, coordinator: Coordinator) -> None:
        self.ctx = ctx
        self.writes = writes
        self.ranges = ranges
        self.coordinator = coordinator

    def on_get_keys(self, message: GetKeys, sender: Address) -> None:
        """Tell one page, as far as this node decides; what it is still fetching it does not know."""
        ctx, place = self.ctx, message.place
        asker = ctx.asker(message, sender)
        if not ctx.routing.owns(place):
            self.coordinator.elsewhere(asker, place)
            return
        decided = self.ranges.held & self.ranges.owned
        high = next((high for low, high in decided.spans if low <= place < high), None)
        if high is None or self.ranges.returned.is_checking:
            ctx.refuse(asker, Reason.NOT_READY)
            return
        entries, after = self._page(message, high - 1)
        ctx.answer(asker, Keys, entries, high - 1, after)

    def _page(self, message: GetKeys, end: int) -> tuple[tuple[Entry, ...], Position | None]:
        size, civil = 1 << self.ctx.config.bits, self.ctx.civil
        records = self.writes.table.on_arc((message.place - 1) % size, end, message.after)
        entries: list[Entry] = []
        length = 0
        last: Record | None = None
        for item in islice(records, self.ctx.config.max_scanned):
            if len(entries) == PAGE or length > _PAGE_BYTES:
                break
            last = item
            if item.space == message.space and item.name.startswith(message.prefix) and not is_gone(item, civil):
                entries.append(Entry(item.name, item.version, item.expires))
                length += len(item.name)
        else:
            if next(records, None) is None:
                last = None
        if last is None:
            return tuple(entries), None
        return tuple(entries), (place_of(last.space, last.name, self.ctx.config.bits), last.space, last.name)
