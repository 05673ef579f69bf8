"""The owner's side of a write: decide its version, copy it to the replicas, acknowledge it (chord.md section 7).

And a holder's side: keep copies, refusing those from a node that one's own pointers do not make the owner.
"""

from __future__ import annotations

import attrs

from chord_proto.calls import Asker
from chord_proto.context import Context
from chord_proto.identifiers import content_key
from chord_proto.messages import (
    Acknowledged,
    Answer,
    Done,
    Elsewhere,
    PutRecord,
    Reason,
    Record,
    Refused,
    Replicate,
    Space,
    Value,
)
from chord_proto.operations import ALL
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.quorums import is_quorum, needed
from chord_proto.ranges import Ranges
from chord_proto.records import record
from chord_proto.ring import Ring
from chord_proto.routing import first_distinct
from chord_proto.sync import is_well_formed
from chord_proto.table import as_read, is_gone, is_newer, place_of
from chord_proto.versions import is_version, time_of
from chord_proto.writes import Writes

_PAUSE = 0.1
_MAX_DECIDED = 4096


@record
class AskedToReplicate:
    """Purpose of a copy sent to a replica."""

    number: int


@record
class Decided:
    """Purpose of making a decided write durable at its owner."""

    number: int


@record
class Kept:
    """Purpose of making copies durable at a replica."""

    asker: Asker


@attrs.define(eq=False)
class Coordination:
    """One write on its way to its replicas."""

    number: int
    asker: Asker | None
    """None once answered."""
    item: Record
    place: int
    deadline: float
    quorum: int
    is_read: bool = False
    """A read has found the newest copy on too few: it gets the value once the copy is spread."""
    durable: bool = False
    acked: dict[int, Peer] = attrs.field(factory=dict)
    waiting: dict[int, None] = attrs.field(factory=dict)


class Coordinator:
    """The writes that a node decides, the copies that it keeps, the reads that it answers."""

    __slots__ = ("_next", "active", "ctx", "decided", "ranges", "ring", "writes")

    def __init__(self, ctx: Context, ring: Ring, writes: Writes, ranges: Ranges) -> None:
        self.ctx = ctx
        self.ring = ring
        self.writes = writes
        self.ranges = ranges
        self.active: dict[int, Coordination] = {}
        self.decided: dict[tuple[bytes, int], str] = {}
        """Versions of writes decided here lately, by name and write id, so that a retry is recognised.

        Empty: its condition was not met.  It has been refused for good, and another copy of it may still come.
        """
        self._next = 0

    def why_not(self, quorum: int, place: int, among: tuple[Peer, ...], size: int) -> Reason | None:
        """Return why this node cannot have a quorum ``among`` these replicas for a place that it owns.

        ``size`` is how many bytes of values it would take.
        """
        if not is_quorum(quorum, self.ctx.config.replicas):
            return Reason.INVALID
        if not self.ranges.decides(place):
            return Reason.NOT_READY
        if len(among) < needed(quorum, self.ring.width):
            return Reason.NO_QUORUM
        if len(self.active) >= self.ctx.config.max_operations or not self.ctx.may_carry(size):
            return Reason.BUSY
        return None

    def elsewhere(self, asker: Asker, place: int) -> None:
        """Say whom to ask about a place that this node does not own."""
        routing = self.ctx.routing
        owner = routing.closer_owner(place, self.ctx.me)
        peers = routing.closest_preceding(place, 2)
        first = () if owner is None else (owner,)
        self.ctx.answer(asker, Elsewhere, (*first, *(peer for peer in peers if peer not in first)), False)

    # Deciding

    def on_put_record(self, message: PutRecord, sender: Address) -> None:
        """Decide a write, if this node is the one that decides."""
        ctx = self.ctx
        asker = ctx.asker(message, sender)
        refusal = self._refusal(message)
        if refusal is not None:
            ctx.refuse(asker, refusal)
            return
        place = place_of(message.space, message.name, ctx.config.bits)
        if not ctx.routing.owns(place):
            self.elsewhere(asker, place)
            return
        quorum = ALL if message.space == Space.BLOCK else message.quorum
        refusal = self.why_not(quorum, place, self.writes.takers(), len(message.value or b""))
        if refusal is None and self.ring.phase is Phase.LEAVING:
            refusal = Reason.LEAVING
        if refusal is not None:
            ctx.refuse(asker, refusal)
            return
        item = self._decide(message)
        if isinstance(item, Reason):
            ctx.refuse(asker, item)
        elif not self.writes.has_room((item,)):
            ctx.refuse(asker, Reason.BUSY)
        else:
            ctx.defer(asker)
            self.coordinate(Coordination(self._number(), asker, item, place, self._deadline(), quorum))

    def coordinate(self, coordination: Coordination) -> None:
        """Make a record durable here and on its replicas."""
        self.active[coordination.number] = coordination
        self.ctx.carried += len(coordination.item.value or b"")
        self.writes.keep((coordination.item,), Decided(coordination.number))
        self._spread(coordination)

    def write_back(self, asker: Asker, item: Record, place: int, quorum: int, holders: tuple[Peer, ...]) -> None:
        """Make the newest copy that a read has found durable on ``quorum`` replicas, and answer the read then."""
        mine = self.writes.newest(item.space, item.name)
        if is_newer(item.version, None if mine is None else mine.version) and not self.writes.has_room((item,)):
            self.ctx.refuse(asker, Reason.BUSY)
            return
        coordination = Coordination(self._number(), asker, item, place, self._deadline(), quorum, is_read=True)
        coordination.acked = {peer.id: peer for peer in holders if peer.id != self.ctx.me.id}
        self.coordinate(coordination)

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _deadline(self) -> float:
        return self.ctx.now + self.ctx.config.operation_timeout

    def _refusal(self, message: PutRecord) -> Reason | None:
        config, value = self.ctx.config, message.value
        if value is not None and len(value) > config.max_value_size:
            return Reason.TOO_LARGE
        if message.space == Space.BLOCK:
            if value is None or content_key(value).to_bytes(20) != message.name:
                return Reason.INVALID
        elif (
            message.space != Space.RECORD
            or len(message.name) > config.max_key_size
            or (message.version and not is_version(message.version))
        ):
            return Reason.INVALID
        elif message.version and self.writes.is_ahead(message.version):
            return Reason.CLOCK
        if self.writes.failed:
            return Reason.STORAGE_FAILED
        return None

    def _decide(self, message: PutRecord) -> Record | Reason:
        """Give a write its version, or recognise it as a retry of one already decided; or say why it is refused."""
        if message.space == Space.BLOCK:
            return Record(message.space, message.name, message.value, "", 0)
        newest = self.writes.newest(message.space, message.name)
        if newest is not None and newest.write_id == message.write_id:
            return newest
        if message.version:
            given = Record(
                message.space, message.name, message.value, message.version, message.write_id, message.expires
            )
            return newest if newest is not None and not is_newer(given.version, newest.version) else given
        key = message.name, message.write_id
        version = self.decided.get(key, self.writes.replaced.get(key))
        if version is None:
            met = _is_met(message.condition, newest, self.ctx.civil)
            version = self.writes.next_version(newest) if met else ""
            if met and not is_version(version):
                return Reason.CLOCK  # What is there is the last version that there is.
            self.decided[message.name, message.write_id] = version
            while len(self.decided) > _MAX_DECIDED:
                del self.decided[next(iter(self.decided))]
        if not version:
            return Reason.VERSION_MISMATCH
        return Record(message.space, message.name, message.value, version, message.write_id, message.expires)

    def _spread(self, coordination: Coordination) -> None:
        """Send the copies that are missing to the present replicas."""
        ctx = self.ctx
        for peer in ctx.routing.replicas():
            if peer.id == ctx.me.id or peer.id in coordination.acked or peer.id in coordination.waiting:
                continue
            if ctx.ask(peer, AskedToReplicate(coordination.number), Replicate, (coordination.item,), True):
                coordination.waiting[peer.id] = None
        ctx.timers.arm(("spread", coordination.number), ctx.now + ctx.rng.jitter(_PAUSE))

    def on_replicated(self, purpose: AskedToReplicate, peer: Peer | None, answer: Answer | None) -> None:
        """A replica has the copy, refused it, or failed."""
        coordination = self.active.get(purpose.number)
        if coordination is None or peer is None:
            return
        coordination.waiting.pop(peer.id, None)
        if isinstance(answer, Done):
            coordination.acked[peer.id] = peer
        elif answer is None:
            self._spread(coordination)
        elif isinstance(answer, Refused) and answer.reason == Reason.STORAGE_FAILED:
            self.writes.note_failed(peer, answer.incarnation)
        self._settle(coordination)

    def on_decided(self, purpose: Decided, peer: Peer | None, durable: bool) -> None:
        """The owner's own copy is durable, or its disk failed: then the copies that went out may last all the same."""
        coordination = self.active.get(purpose.number)
        if coordination is None:
            return
        if durable:
            coordination.durable = True
            coordination.acked[self.ctx.me.id] = self.ctx.me
            self._settle(coordination)
        else:
            alone = not coordination.waiting and not coordination.acked
            self._give_up(coordination, Reason.STORAGE_FAILED if alone else Reason.OUTCOME_UNKNOWN)

    def on_spread_timer(self, number: int) -> None:
        """Try the replicas that refused again, until the write is complete or too old."""
        coordination = self.active.get(number)
        if coordination is None:
            return
        if self.ctx.now >= coordination.deadline or not self.ranges.decides(coordination.place):
            self._give_up(coordination, Reason.OUTCOME_UNKNOWN)
        else:
            self._spread(coordination)
            self._settle(coordination)

    def _settle(self, coordination: Coordination) -> None:
        """Acknowledge once enough distinct replicas hold the write durably; end once all do."""
        targets = self.ctx.routing.replicas()
        missing = [peer for peer in targets if peer.id not in coordination.acked]
        if coordination.asker is not None and coordination.durable:
            wanted = needed(coordination.quorum, self.ring.width)
            # Distinct addresses count; the present replicas go before places that held one earlier.
            holders = (self.ctx.me, *(p for p in targets if p not in missing), *coordination.acked.values())
            acked = first_distinct(holders, len(holders))
            enough = len(acked) >= wanted
            if coordination.item.space == Space.BLOCK:
                enough = enough and not missing and len(targets) >= wanted
            if enough and self.ctx.now < coordination.deadline:  # Holders keep their copies no longer.
                self._answer(coordination, coordination.asker, acked)
                coordination.asker = None
        if coordination.asker is None and (not missing or not coordination.waiting):
            self._end(coordination, complete=not missing)

    def _answer(self, coordination: Coordination, asker: Asker, acked: tuple[Peer, ...]) -> None:
        item = coordination.item
        if coordination.is_read:
            self.ctx.answer(asker, Value, as_read(item, self.ctx.civil), ())
        else:
            self.ctx.answer(asker, Acknowledged, item.version, acked)

    def _give_up(self, coordination: Coordination, reason: Reason) -> None:
        if coordination.asker is not None:
            lost = coordination.is_read and reason is Reason.OUTCOME_UNKNOWN
            self.ctx.refuse(coordination.asker, Reason.NO_QUORUM if lost else reason)
        self._end(coordination, complete=False)

    def _end(self, coordination: Coordination, *, complete: bool) -> None:
        del self.active[coordination.number]
        self.ctx.carried -= len(coordination.item.value or b"")
        self.ctx.timers.disarm(("spread", coordination.number))
        if not complete:
            self.writes.unshared += 1

    def stop(self) -> None:
        """The node has left: tell who waits that the outcome is unknown here."""
        for coordination in list(self.active.values()):
            self._give_up(coordination, Reason.OUTCOME_UNKNOWN)

    # Keeping copies

    def on_replicate(self, message: Replicate, sender: Address) -> None:
        """Keep copies; the answer follows once they are durable."""
        ctx, bits = self.ctx, self.ctx.config.bits
        asker = ctx.asker(message, sender)
        if message.source is None or not all(is_well_formed(item, ctx.config) for item in message.records):
            ctx.refuse(asker, Reason.INVALID)
            return
        if message.decided:
            for item in message.records:
                place = place_of(item.space, item.name, bits)
                if ctx.routing.closer_owner(place, message.source) is not None:
                    ctx.refuse(asker, Reason.NOT_OWNER)
                    return
                if item.space == Space.RECORD and self._is_too_far_ahead(item):
                    ctx.refuse(asker, Reason.CLOCK)
                    return
                self.ranges.decided_elsewhere(place)
        if self.ring.phase is Phase.LEAVING and not message.decided:
            ctx.refuse(asker, Reason.LEAVING)
        elif self.writes.failed:
            ctx.refuse(asker, Reason.STORAGE_FAILED)
        elif not self.writes.has_room(message.records):
            ctx.refuse(asker, Reason.BUSY)
        else:
            ctx.defer(asker)
            self.writes.keep(message.records, Kept(asker), shared=message.decided)

    def _is_too_far_ahead(self, item: Record) -> bool:
        """Tell whether a version is from the future, and not just the next one of that moment after what is held here."""
        if not self.writes.is_ahead(item.version):
            return False
        held = self.writes.newest(item.space, item.name)
        return held is None or held.version >= item.version or time_of(held.version) < time_of(item.version)

    def on_kept(self, purpose: Kept, peer: Peer | None, durable: bool) -> None:
        """Copies are durable, or the disk failed."""
        if durable:
            self.ctx.answer(purpose.asker, Done)
        else:
            self.ctx.refuse(purpose.asker, Reason.STORAGE_FAILED)


def _is_met(condition: str | None, newest: Record | None, civil: int) -> bool:
    """Tell whether a write's condition holds for the newest accepted version: none, that there is nothing, or this one."""
    if condition is None:
        return True
    there = newest is not None and not is_gone(newest, civil)
    if condition == "":
        return not there
    # A deletion has a version to build on; what has expired is over.
    return newest is not None and newest.version == condition and (there or not newest.expires)
