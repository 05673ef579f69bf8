"""The answering side of a read: what is held, who else to ask, and, for a quorum, the newest of several copies."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from chord_proto.calls import Asker
from chord_proto.context import Context
from chord_proto.coordinator import Coordinator
from chord_proto.messages import Answer, Elsewhere, GetCopy, GetRecord, Reason, Record, Space, Value
from chord_proto.peer import Address, Peer
from chord_proto.quorums import needed
from chord_proto.ranges import Ranges
from chord_proto.records import record
from chord_proto.sync import is_well_formed
from chord_proto.table import as_read, place_of
from chord_proto.writes import Writes

_PAUSE = 0.1


@record
class AskedForCopy:
    """Purpose of asking a replica for its copy."""

    number: int


@attrs.define(eq=False)
class Reading:
    """One read of several copies."""

    number: int
    asker: Asker
    name: bytes
    place: int
    quorum: int
    deadline: float
    size: int
    """Bytes that the copies may have: as many as this node's own, each of them."""
    copies: dict[int, Record | None] = attrs.field(factory=dict)
    """What each replica that has answered holds, by its id."""
    waiting: dict[int, None] = attrs.field(factory=dict)


class Reads:
    """The reads that a node answers."""

    __slots__ = ("_next", "active", "coordinator", "ctx", "ranges", "writes")

    def __init__(self, ctx: Context, writes: Writes, ranges: Ranges, coordinator: Coordinator) -> None:
        self.ctx = ctx
        self.writes = writes
        self.ranges = ranges
        self.coordinator = coordinator
        self.active: dict[int, Reading] = {}
        self._next = 0

    def on_get_record(self, message: GetRecord, sender: Address) -> None:
        """Answer from what is held, or say who answers."""
        ctx, routing = self.ctx, self.ctx.routing
        asker = ctx.asker(message, sender)
        is_block = message.space == Space.BLOCK
        if is_block and len(message.name) != 20:
            ctx.refuse(asker, Reason.INVALID)
            return
        held = self.writes.table.get(message.space, message.name)
        held = None if held is None else as_read(held, ctx.civil)
        if message.through or (is_block and held is not None):
            ctx.answer(asker, Value, held, ())
            return
        place = place_of(message.space, message.name, ctx.config.bits)
        if not routing.owns(place):
            self.coordinator.elsewhere(asker, place)
            return
        back = self.ranges.returned.may_have(place) if held is None else ()
        if message.quorum != 1 and not is_block:
            self._read_several(asker, message, place, complete=not back)
            return
        if self.ranges.decides(place):
            if back:
                ctx.answer(asker, Elsewhere, self._elsewhere(back) if is_block else back, True)
            else:
                ctx.answer(asker, Value, held, self._others() if is_block else ())
            return
        pending = self.ranges.pending_for(place)
        others = self._elsewhere(back)
        if pending is None or self.ranges.is_in_question(pending):
            ctx.refuse(asker, Reason.NOT_READY)
        elif pending.granter is not None:
            ctx.answer(asker, Elsewhere, (pending.granter,), True)
        elif held is not None:
            ctx.answer(asker, Value, held, ())
        elif others:
            ctx.answer(asker, Elsewhere, others, True)
        else:
            ctx.refuse(asker, Reason.NOT_READY)

    def _read_several(self, asker: Asker, message: GetRecord, place: int, *, complete: bool) -> None:
        """Read the newest of several copies, if this node is the one that decides, and has all that there is."""
        held = self.writes.table.get(Space.RECORD, message.name)
        size = 0 if held is None else len(held.value or b"") * self.ctx.config.replicas
        refusal = self._why_not(message.quorum, place, size) if complete else Reason.NOT_READY
        if refusal is not None:
            self.ctx.refuse(asker, refusal)
            return
        self.ctx.defer(asker)
        self._next += 1
        deadline = self.ctx.now + self.ctx.config.operation_timeout
        reading = Reading(self._next, asker, message.name, place, message.quorum, deadline, size)
        self.active[reading.number] = reading
        self.ctx.carried += size
        if not self._settle(reading):
            # As many as must answer; who is slow to do so, or does not, is not waited for alone.
            self._ask(reading, self._others()[: self._wanted(reading) - 1])

    def _why_not(self, quorum: int, place: int, size: int) -> Reason | None:
        if len(self.active) >= self.ctx.config.max_operations:
            return Reason.BUSY
        return self.coordinator.why_not(quorum, place, self.ctx.routing.replicas(), size)

    def _others(self) -> tuple[Peer, ...]:
        """Return where else the keys that this node owns belong."""
        return tuple(peer for peer in self.ctx.routing.replicas() if peer.id != self.ctx.me.id)

    def _elsewhere(self, back: tuple[Peer, ...]) -> tuple[Peer, ...]:
        """Return who may hold what this node does not, those that have come ``back`` first."""
        return tuple(dict.fromkeys((*back, *self._others())))

    # The newest of several copies

    def _wanted(self, reading: Reading) -> int:
        """Return how many copies are to be compared, this node's own among them."""
        return needed(reading.quorum, self.coordinator.ring.width)

    def _go_on(self, reading: Reading) -> None:
        """Ask all replicas that have not answered, unless enough have."""
        if not self._settle(reading):
            self._ask(reading, self._others())

    def _ask(self, reading: Reading, peers: Iterable[Peer]) -> None:
        ctx = self.ctx
        for peer in peers:
            if peer.id not in reading.copies and peer.id not in reading.waiting:
                purpose = AskedForCopy(reading.number)
                if ctx.ask(peer, purpose, GetCopy, int(Space.RECORD), reading.name):
                    reading.waiting[peer.id] = None
        ctx.timers.arm(("read", reading.number), ctx.now + ctx.rng.jitter(_PAUSE))

    def on_copy(self, purpose: AskedForCopy, peer: Peer | None, answer: Answer | None) -> None:
        """A replica has told its copy, refused, or failed."""
        reading = self.active.get(purpose.number)
        if reading is None or peer is None:
            return
        reading.waiting.pop(peer.id, None)
        if isinstance(answer, Value) and (answer.held is None or self._is_it(answer.held, reading)):
            reading.copies[peer.id] = answer.held
            self._settle(reading)
        elif answer is None:
            self._go_on(reading)
        else:
            if isinstance(answer, Value):
                self.ctx.misbehaved(peer.address, "a copy that is not the one")
            # Others at once; who said nothing of use is asked again later.
            self._ask(reading, (each for each in self._others() if each.id != peer.id))

    def _is_it(self, held: Record, reading: Reading) -> bool:
        asked = held.space == Space.RECORD and held.name == reading.name
        return asked and is_well_formed(held, self.ctx.config)

    def on_timer(self, number: int) -> None:
        """Ask those again that refused, until time is over or somebody else decides."""
        reading = self.active.get(number)
        if reading is None:
            return
        if self.ctx.now >= reading.deadline:
            self._end(reading, Reason.NO_QUORUM)
        elif not self.ranges.decides(reading.place):
            self._end(reading, Reason.NOT_READY)
        else:
            self._go_on(reading)

    def _settle(self, reading: Reading) -> bool:
        """Answer once enough have answered: at once if enough hold the newest copy, else once they do."""
        ctx = self.ctx
        if not self.ranges.decides(reading.place):
            return False
        reading.copies[ctx.me.id] = self.writes.table.get(Space.RECORD, reading.name)
        wanted = self._wanted(reading)
        answered = [peer for peer in ctx.routing.replicas() if peer.id in reading.copies]
        if len(answered) < wanted:
            return False
        newest = max(filter(None, reading.copies.values()), key=lambda item: item.version, default=None)
        self._end(reading)
        if newest is None:
            ctx.answer(reading.asker, Value, None, ())
            return True
        version = newest.version
        holders = tuple(p for p in answered if (copy := reading.copies[p.id]) is not None and copy.version == version)
        if len(holders) >= wanted:
            ctx.answer(reading.asker, Value, as_read(newest, ctx.civil), ())
        else:
            self.coordinator.write_back(reading.asker, newest, reading.place, reading.quorum, holders)
        return True

    def _end(self, reading: Reading, refusal: Reason | None = None) -> None:
        del self.active[reading.number]
        self.ctx.carried -= reading.size
        self.ctx.timers.disarm(("read", reading.number))
        if refusal is not None:
            self.ctx.refuse(reading.asker, refusal)

    def stop(self) -> None:
        """The node has left: who waits asks elsewhere."""
        for reading in list(self.active.values()):
            self._end(reading, Reason.NOT_MEMBER)

    def on_get_copy(self, message: GetCopy, sender: Address) -> None:
        """Tell the owner what this replica holds."""
        ctx = self.ctx
        asker = ctx.asker(message, sender)
        place = place_of(message.space, message.name, ctx.config.bits)
        if message.source is None or message.space != Space.RECORD:
            ctx.refuse(asker, Reason.INVALID)
        elif ctx.routing.closer_owner(place, message.source) is not None:
            ctx.refuse(asker, Reason.NOT_OWNER)
        else:
            ctx.answer(asker, Value, self.writes.table.get(message.space, message.name), ())
