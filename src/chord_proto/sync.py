"""Comparing an arc with another node and moving what differs: hand-off, taking over and repair are all this.

A session compares digests.  Where they differ it goes on with parts of the arc, and lists the other's records of those
that hold few, page by page; it pulls what is newer there and pushes what is newer here.  So what is sent grows with the
differences, not with what both have.  One request is out at a time for each session.
"""

from __future__ import annotations

from itertools import islice

import attrs

from chord_proto.calls import Purpose
from chord_proto.config import Config
from chord_proto.context import Context
from chord_proto.identifiers import content_key
from chord_proto.messages import (
    Answer,
    Copies,
    Digest,
    Done,
    GetCopies,
    GetDigest,
    Listing,
    ListRange,
    Record,
    Replicate,
    Space,
)
from chord_proto.peer import Address, Peer
from chord_proto.places import Arc
from chord_proto.records import record
from chord_proto.table import Name, Position, is_newer, is_on, place_of, summary
from chord_proto.versions import is_version
from chord_proto.writes import Writes

PAGE = 512
"""Most records in one message: a listing of about 25 kB."""
_LISTED = 256
"""Records on an arc up to which it is listed at once; two nodes that have more there compare parts of it first."""
_PARTS = 16


@record
class AskedForSync:
    """Purpose of a session's request."""

    number: int


@record
class PulledForSync:
    """Purpose of making durable what a session pulled."""

    number: int


@record
class SyncEnded:
    """How a session ended."""

    peer: Peer
    ok: bool


@attrs.define(eq=False)
class Session:
    """One comparison under way."""

    number: int
    peer: Peer
    start: int
    end: int
    pull: bool
    push: bool
    purpose: Purpose
    todo: list[Arc] = attrs.field(factory=list)
    """Parts of the arc that are still to be compared, the next one last."""
    after: Position | None = None
    more: bool = False
    """Whether there is more to be listed on the arc from ``start`` to ``end``."""
    want: list[Name] = attrs.field(factory=list)
    give: list[Name] = attrs.field(factory=list)


class Syncs:
    """All sessions of a node, and its answers to those of others."""

    __slots__ = ("_next", "active", "ctx", "writes")

    def __init__(self, ctx: Context, writes: Writes) -> None:
        self.ctx = ctx
        self.writes = writes
        self.active: dict[int, Session] = {}
        self._next = 0

    def start(self, peer: Peer, start: int, end: int, purpose: Purpose, *, pull: bool, push: bool) -> None:
        """Begin; a `SyncEnded` reaches the handler of ``purpose``."""
        self._next += 1
        session = Session(self._next, peer, start, end, pull, push, purpose, [(start, end)])
        self.active[session.number] = session
        self._go_on(session)

    def on_answer(self, purpose: AskedForSync, peer: Peer | None, answer: Answer | None) -> None:
        """Take the next answer of a session."""
        session = self.active.get(purpose.number)
        if session is None:
            return
        if isinstance(answer, Digest):
            if answer.failed:
                self.writes.note_failed(session.peer, answer.incarnation)
            self._look_closer(session, answer)
            self._go_on(session)
        elif isinstance(answer, Listing):
            self._compare(session, answer)
            self._go_on(session)
        elif isinstance(answer, Copies):
            self._take(session, answer)
        elif isinstance(answer, Done):
            self._go_on(session)
        else:
            self._end(session, ok=False)

    def on_pulled(self, purpose: PulledForSync, peer: Peer | None, durable: bool) -> None:
        """What was pulled is durable, or the disk failed."""
        session = self.active.get(purpose.number)
        if session is not None:
            if durable:
                self._go_on(session)
            else:
                self._end(session, ok=False)

    def _go_on(self, session: Session) -> None:
        ctx, asked = self.ctx, AskedForSync(session.number)
        if session.want:
            sent = ctx.ask(session.peer, asked, GetCopies, tuple(session.want))
        elif session.give:
            batch = self._batch(session.give)
            if not batch:
                self._go_on(session)
                return
            sent = ctx.ask(session.peer, asked, Replicate, batch, False)
        elif session.more:
            sent = ctx.ask(session.peer, asked, ListRange, session.start, session.end, session.after)
        elif session.todo:
            session.start, session.end = session.todo.pop()
            sent = ctx.ask(session.peer, asked, GetDigest, session.start, session.end)
        else:
            self._end(session, ok=True)
            return
        if not sent:
            self._end(session, ok=False)

    def _look_closer(self, session: Session, theirs: Digest) -> None:
        """List what differs, or compare its parts if both have much there."""
        count, digest = self.writes.table.digest(session.start, session.end)
        if (theirs.count, theirs.digest) == (count, digest):
            return
        parts = _split(session.start, session.end, 1 << self.ctx.config.bits)
        if min(count, theirs.count) > _LISTED and parts:
            session.todo += reversed(parts)
        else:
            session.after, session.more = None, True

    def _batch(self, names: list[Name]) -> tuple[Record, ...]:
        """Take from the front of ``names`` what fits in one message."""
        batch: list[Record] = []
        size = 0
        while names:
            item = self.writes.table.get(*names[0])
            if item is not None:
                length = len(item.value or b"") + len(item.name)
                if batch and (size + length > self.ctx.config.max_batch_bytes or len(batch) == PAGE):
                    break
                batch.append(item)
                size += length
            del names[0]
        return tuple(batch)

    def _compare(self, session: Session, page: Listing) -> None:
        """Compare one page of the other's list with the same stretch of this table."""
        table, bits = self.writes.table, self.ctx.config.bits
        theirs: dict[Name, str] = {}
        for entry in page.entries:
            if is_on(entry, session.start, session.end, bits):
                theirs[entry.space, entry.name] = entry.version
        last = page.entries[-1] if page.entries else None
        until: Position | None = None
        if page.more and last is not None:
            until = (place_of(last.space, last.name, bits), last.space, last.name)
        if session.pull:
            for name, version in theirs.items():
                newest = self.writes.newest(*name)
                if is_newer(version, None if newest is None else newest.version):
                    session.want.append(name)
        if session.push:
            for item in table.on_arc(session.start, session.end, session.after):
                if is_newer(item.version, theirs.get((item.space, item.name))):
                    session.give.append((item.space, item.name))
                if until is not None and (item.space, item.name) == until[1:]:
                    break
                if until is not None and self._is_past(session, item, until):
                    if session.give and session.give[-1] == (item.space, item.name):
                        session.give.pop()
                    break
        session.after = until
        session.more = until is not None

    def _is_past(self, session: Session, item: Record, until: Position) -> bool:
        mask = (1 << self.ctx.config.bits) - 1
        position = (place_of(item.space, item.name, self.ctx.config.bits), item.space, item.name)
        return ((position[0] - session.start - 1) & mask, *position[1:]) > (
            (until[0] - session.start - 1) & mask,
            *until[1:],
        )

    def _take(self, session: Session, answer: Copies) -> None:
        asked = dict.fromkeys(session.want[: answer.asked])
        if not asked:
            self._end(session, ok=False)
            return
        del session.want[: answer.asked]
        items = [
            item
            for item in answer.records
            if (item.space, item.name) in asked and is_well_formed(item, self.ctx.config)
        ]
        if not self.writes.has_room(items):
            self._end(session, ok=False)
            return
        self.writes.keep(items, PulledForSync(session.number), shared=False)

    def _end(self, session: Session, *, ok: bool) -> None:
        del self.active[session.number]
        self.ctx.outcomes.append((session.purpose, session.peer, SyncEnded(session.peer, ok)))

    # Answers

    def on_get_digest(self, message: GetDigest, sender: Address) -> None:
        """Tell the digest of an arc."""
        count, digest = self.writes.table.digest(message.start, message.end)
        self.ctx.answer(self.ctx.asker(message, sender), Digest, count, digest, self.writes.failed)

    def on_list_range(self, message: ListRange, sender: Address) -> None:
        """Tell one page of what this node holds on an arc."""
        items = list(islice(self.writes.table.on_arc(message.start, message.end, message.after), PAGE + 1))
        entries = tuple(summary(item) for item in items[:PAGE])
        self.ctx.answer(self.ctx.asker(message, sender), Listing, entries, len(items) > PAGE)

    def on_get_copies(self, message: GetCopies, sender: Address) -> None:
        """Hand out records, as many as fit."""
        names = list(message.names[:PAGE])
        total = len(names)
        batch = self._batch(names)
        self.ctx.answer(self.ctx.asker(message, sender), Copies, batch, total - len(names))


def _split(start: int, end: int, size: int) -> list[Arc]:
    """Return the parts of an arc, in order; none if it has too few places."""
    length = (end - start) % size or size
    if length < _PARTS:
        return []
    bounds = [(start + length * part // _PARTS) % size for part in range(_PARTS)]
    return list(zip(bounds, [*bounds[1:], end], strict=True))


def is_well_formed(item: Record, config: Config) -> bool:
    """Tell whether a copy may be kept: a block that is its key's, or a record with a version, within the bounds."""
    if item.value is not None and len(item.value) > config.max_value_size:
        return False
    if item.space == Space.BLOCK:
        return item.value is not None and item.version == "" and content_key(item.value).to_bytes(20) == item.name
    return item.space == Space.RECORD and len(item.name) <= config.max_key_size and is_version(item.version)
