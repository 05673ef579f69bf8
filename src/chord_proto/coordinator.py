"""The owner's side of a write: decide its version, copy it to the replicas, acknowledge it (chord.md section 7).

And a holder's side: keep copies, refusing those from a node that one's own pointers do not make the owner.
"""

from __future__ import annotations

import attrs

from chord_proto.context import Asker, Context
from chord_proto.identifiers import content_key
from chord_proto.messages import (
    Acknowledged,
    Answer,
    Done,
    Elsewhere,
    GetRecord,
    PutRecord,
    Reason,
    Record,
    Replicate,
    Space,
    Value,
)
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.ranges import Ranges
from chord_proto.records import record
from chord_proto.ring import Ring
from chord_proto.routing import first_distinct
from chord_proto.sync import is_well_formed
from chord_proto.table import place_of
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
    durable: bool = False
    acked: dict[int, Peer] = attrs.field(factory=dict)
    waiting: dict[int, None] = attrs.field(factory=dict)


def majority(width: int) -> int:
    """Return W for ``width`` replicas."""
    return width // 2 + 1


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
        """Versions of writes decided here lately, by name and write id, so that a retry is recognised."""
        self._next = 0

    # Reading

    def on_get_record(self, message: GetRecord, sender: Address) -> None:
        """Answer from what is held, or say who answers."""
        ctx, routing = self.ctx, self.ctx.routing
        asker = ctx.asker(message, sender)
        if message.space == Space.BLOCK and len(message.name) != 20:
            ctx.refuse(asker, Reason.INVALID)
            return
        held = self.writes.table.get(message.space, message.name)
        is_block = message.space == Space.BLOCK
        if message.through or (is_block and held is not None):
            ctx.answer(asker, Value, held, ())
            return
        place = place_of(message.space, message.name, ctx.config.bits)
        if not routing.owns(place):
            self._elsewhere(asker, place)
            return
        pending = self.ranges.pending_for(place)
        back = self.ranges.returned.may_have(place) if held is None else ()
        others = tuple(dict.fromkeys((*back, *self._others())))
        if self.ranges.decides(place):
            if back:
                ctx.answer(asker, Elsewhere, others if is_block else back, True)
            else:
                ctx.answer(asker, Value, held, others if is_block else ())
        elif pending is None or self.ranges.is_in_question(pending):
            ctx.refuse(asker, Reason.NOT_READY)
        elif pending.granter is not None:
            ctx.answer(asker, Elsewhere, (pending.granter,), True)
        elif held is not None:
            ctx.answer(asker, Value, held, ())
        elif others:
            ctx.answer(asker, Elsewhere, others, True)
        else:
            ctx.refuse(asker, Reason.NOT_READY)

    def _others(self) -> tuple[Peer, ...]:
        """Return where else the keys that this node owns belong."""
        return tuple(peer for peer in self.ctx.routing.replicas() if peer.id != self.ctx.me.id)

    def _elsewhere(self, asker: Asker, place: int) -> None:
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
            self._elsewhere(asker, place)
            return
        if not self.ranges.decides(place):
            ctx.refuse(asker, Reason.NOT_READY)
            return
        if self.ring.phase is Phase.LEAVING:
            ctx.refuse(asker, Reason.LEAVING)
            return
        if len(ctx.routing.replicas()) < self._needed(message.space):
            ctx.refuse(asker, Reason.NO_QUORUM)
            return
        item = self._decide(message)
        if not self.writes.has_room((item,)):
            ctx.refuse(asker, Reason.BUSY)
            return
        self._next += 1
        coordination = Coordination(self._next, asker, item, place, ctx.now + ctx.config.operation_timeout)
        self.active[self._next] = coordination
        ctx.defer(asker)
        self.writes.keep((item,), Decided(coordination.number))
        self._spread(coordination)

    def _refusal(self, message: PutRecord) -> Reason | None:
        config, value = self.ctx.config, message.value
        if value is not None and len(value) > config.max_value_size:
            return Reason.TOO_LARGE
        if message.space == Space.BLOCK:
            if value is None or content_key(value).to_bytes(20) != message.name:
                return Reason.INVALID
        elif message.space != Space.RECORD or len(message.name) > config.max_key_size:
            return Reason.INVALID
        if self.writes.failed:
            return Reason.STORAGE_FAILED
        if len(self.active) >= config.max_operations:
            return Reason.BUSY
        return None

    def _needed(self, space: int) -> int:
        """Return how many replicas must have a write before it is acknowledged: all for a block, else a majority."""
        return self.ring.width if space == Space.BLOCK else majority(self.ring.width)

    def _decide(self, message: PutRecord) -> Record:
        """Give a write its version, or recognise it as a retry of one already decided."""
        if message.space == Space.BLOCK:
            return Record(message.space, message.name, message.value, "", 0)
        newest = self.writes.newest(message.space, message.name)
        if newest is not None and newest.write_id == message.write_id:
            return newest
        version = self.decided.get((message.name, message.write_id))
        if version is None:
            version = self.writes.clock.next(self.ctx.now + self.ctx.wall_offset)
            self.decided[message.name, message.write_id] = version
            while len(self.decided) > _MAX_DECIDED:
                del self.decided[next(iter(self.decided))]
        return Record(message.space, message.name, message.value, version, message.write_id)

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
        self._settle(coordination)

    def on_decided(self, purpose: Decided, peer: Peer | None, durable: bool) -> None:
        """The owner's own copy is durable, or its disk failed."""
        coordination = self.active.get(purpose.number)
        if coordination is None:
            return
        if durable:
            coordination.durable = True
            coordination.acked[self.ctx.me.id] = self.ctx.me
            self._settle(coordination)
        else:
            self._give_up(coordination, Reason.STORAGE_FAILED)

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
            needed = self._needed(coordination.item.space)
            # Distinct addresses count; the present replicas go before places that held one earlier.
            holders = (self.ctx.me, *(p for p in targets if p not in missing), *coordination.acked.values())
            acked = first_distinct(holders, len(holders))
            enough = len(acked) >= needed
            if coordination.item.space == Space.BLOCK:
                enough = enough and not missing and len(targets) >= needed
            if enough and self.ctx.now < coordination.deadline:  # Holders keep their copies no longer.
                self.ctx.answer(coordination.asker, Acknowledged, coordination.item.version, acked)
                coordination.asker = None
        if coordination.asker is None and (not missing or not coordination.waiting):
            self._end(coordination, complete=not missing)

    def _give_up(self, coordination: Coordination, reason: Reason) -> None:
        if coordination.asker is not None:
            self.ctx.refuse(coordination.asker, reason)
        self._end(coordination, complete=False)

    def _end(self, coordination: Coordination, *, complete: bool) -> None:
        del self.active[coordination.number]
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

    def on_kept(self, purpose: Kept, peer: Peer | None, durable: bool) -> None:
        """Copies are durable, or the disk failed."""
        if durable:
            self.ctx.answer(purpose.asker, Done)
        else:
            self.ctx.refuse(purpose.asker, Reason.STORAGE_FAILED)
