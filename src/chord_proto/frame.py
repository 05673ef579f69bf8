"""One frame round every input: the layers of a node, the dispatch between them, and the order of things."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from chord_proto._dispatch import ANSWERED, BEFORE_MEMBERSHIP, EVERYONES, REQUESTS, TIMERS
from chord_proto._validate import count_of, fault
from chord_proto.calls import Slow
from chord_proto.config import Config
from chord_proto.context import Context
from chord_proto.coordinator import Coordinator
from chord_proto.effects import Effect, OpId
from chord_proto.errors import LocalProtocolError
from chord_proto.exploring import Exploring
from chord_proto.fingers import Fingers
from chord_proto.graves import Graves
from chord_proto.lookup import Asked, Lookups
from chord_proto.membership import Membership
from chord_proto.merge import Merge
from chord_proto.messages import (
    Answer,
    GetNeighbours,
    ListChanged,
    Message,
    Notify,
    Perform,
    Reached,
    Reason,
    Record,
    Request,
)
from chord_proto.operations import Describe, Description, Failed, Failure, Operation
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.quorums import majority
from chord_proto.ranges import Ranges
from chord_proto.reads import Reads
from chord_proto.recursive import PassedOn
from chord_proto.repair import Repair
from chord_proto.ring import Ring
from chord_proto.ring_state import Probe
from chord_proto.scans import Scans
from chord_proto.sync import Syncs
from chord_proto.tasks import AskedForTask, Tasks
from chord_proto.watches import Watches
from chord_proto.writes import Writes

_MAX_INNER_STEPS = 100_000
_TOLD_OF_SLOWNESS = (Asked, AskedForTask, PassedOn)
_LATEST = 2.0**40
"""Seconds; far beyond, a float no longer tells a period from nothing, and timers would be due for ever."""


class Frame:
    """The inside of a node: its layers, lower ones first, and how one input runs through them."""

    __slots__ = (
        "_dead",
        "_whole",
        "coordinator",
        "ctx",
        "exploring",
        "finger_table",
        "graves",
        "lookups",
        "membership",
        "merge",
        "ranges",
        "reads",
        "repair",
        "ring",
        "scans",
        "syncs",
        "tasks",
        "watches",
        "writes",
    )
    ctx: Context
    ring: Ring
    lookups: Lookups
    membership: Membership
    exploring: Exploring
    finger_table: Fingers
    merge: Merge
    writes: Writes
    syncs: Syncs
    ranges: Ranges
    coordinator: Coordinator
    reads: Reads
    graves: Graves
    scans: Scans
    watches: Watches
    repair: Repair
    tasks: Tasks

    def __init__(
        self,
        me: Peer,
        *,
        seed: int,
        config: Config | None = None,
        incarnation: int = 1,
        records: Iterable[Record] = (),
        width: int = 0,
        founded: int = 0,
        away: float = 0.0,
        lean: bool = False,
    ) -> None:
        config = Config() if config is None else config
        if not me.is_well_formed(config.bits):
            raise ValueError(f"{me} is not the place that its address and index give")
        if not 1 <= incarnation < 1 << 63:
            raise ValueError("an incarnation is a positive number of 63 bits")
        self._dead = self._whole = False
        self.ctx = Context(me, seed=seed, config=config, incarnation=incarnation)
        self.ring = Ring(self.ctx)
        self.lookups = Lookups(self.ctx)
        if lean:
            return
        self._complete(records)
        self.ring.width = self.writes.width = min(max(1, width), config.replicas)
        self.writes.founded = founded
        self.ring.begin(away, founded)

    def _complete(self, records: Iterable[Record] = ()) -> None:
        """Make the layers that do more than to find owners."""
        self._whole = True
        ctx, ring = self.ctx, self.ring
        self.membership = Membership(ctx, ring, self.lookups)
        self.exploring = Exploring(ctx)
        self.finger_table = Fingers(ctx, self.lookups)
        self.merge = Merge(ctx, ring, self.lookups, self.membership)
        self.writes = Writes(ctx, records)
        self.writes.width, self.writes.founded = ring.width, ring.founded
        self.syncs = Syncs(ctx, self.writes)
        self.ranges = Ranges(ctx, self.writes, self.syncs)
        self.coordinator = Coordinator(ctx, ring, self.writes, self.ranges)
        self.reads = Reads(ctx, self.writes, self.ranges, self.coordinator)
        self.scans = Scans(ctx, self.writes, self.ranges, self.coordinator)
        self.watches = Watches(ctx, self.writes, self.ranges, self.coordinator)
        self.graves = Graves(ctx, ring, self.writes)
        self.repair = Repair(
            ctx, ring, self.lookups, self.membership, self.writes, self.syncs, self.ranges, self.graves
        )
        self.tasks = Tasks(ctx, ring, self.lookups)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Make what is missing when it is first asked for."""
            if name not in Frame.__slots__ or self._whole:
                raise AttributeError(f"a node has no {name}")
            self._complete()
            return getattr(self, name)

    def _input(self, now: float, handler: Callable[..., Any], *args: object) -> list[Effect]:
        """Carry out one input, what follows from it inside, and the timers that are due.

        A message goes before a timer that fell due while it waited to be read.  After a gap in the node's own
        inputs (a machine that slept, a blocked loop) what is outstanding gets a fresh timeout; and if others may have
        found the node dead meanwhile, it decides nothing until it knows whether they have.
        """
        if self._dead:
            raise LocalProtocolError("the node died of an internal error")
        ctx, before = self.ctx, self.ctx.now
        if now > ctx.now:
            if now > _LATEST:
                raise LocalProtocolError(f"no clock shows {now} s: periods would no longer add up")
            ctx.now = now
        timers, routing = ctx.timers, ctx.routing
        predecessor, completed = routing.predecessor, self.ranges.completed if self._whole else 0
        try:
            late = ctx.now - ctx.config.late_tolerance
            if (deadline := timers.deadline) is not None and deadline < late:
                ctx.grant_fresh_timeouts()
            if before < late and ctx.now - before >= ctx.config.shortest_suspicion:
                self._slept()
            handler(*args)
            self._settle()
            if self._whole and (self.ranges.completed != completed or routing.predecessor is not predecessor):
                self.tasks.kick()
            while (deadline := timers.deadline) is not None and deadline <= ctx.now:
                kind, number = timers.pop()
                TIMERS[kind](self, number)
                self._settle()
            if self._whole:
                self._take_note()
        except BaseException:
            self._dead = True
            raise
        out, ctx.out = ctx.out, []
        return out

    def _take_note(self) -> None:
        """Look at what may have changed by any input."""
        self.repair.notice()
        ring, writes = self.ring, self.writes
        founded = ring.founded if not ring.former or ring.is_current else writes.founded
        if ring.width != writes.width or founded != writes.founded:
            writes.remember(ring.width, founded)
        if self.membership.said and self.membership.is_done:
            self._stop()

    def _settle(self) -> None:
        """Hand on what lower layers have queued for upper ones, until nothing is left."""
        ctx, ring = self.ctx, self.ring
        steps = 0
        while True:
            if ring.outdated:
                ring.outdated = False
                self.writes.drop_outdated()
            if ring.changes or ring.entered or ring.skipped:
                self._notice_ring()
            if self._whole and self.writes.news:
                self.watches.on_news()
            if ctx.outcomes:
                purpose, peer, outcome = ctx.outcomes.pop(0)
                if type(outcome) is Slow and peer is not None and type(purpose) is not Probe:
                    ring.probe_after(peer)
                if type(outcome) is not Slow or type(purpose) in _TOLD_OF_SLOWNESS:
                    ANSWERED[type(purpose)](self, purpose, peer, outcome)
            elif ctx.departed:
                self._departed(ctx.departed.pop(0))
            elif ctx.reborn:
                self.ranges.grants.on_departed(ctx.reborn.pop(0))
            elif ctx.returned:
                self.ranges.on_returned(ctx.returned.pop(0))
            elif ctx.loopback:
                message = ctx.loopback.pop(0)
                self._receive(message, ctx.me.address)
            else:
                return
            steps += 1
            if steps > _MAX_INNER_STEPS:
                raise AssertionError("one input caused endless work")

    def _notice_ring(self) -> None:
        """Let the records follow the ring: in the same step in which a pointer moved."""
        ring, ranges = self.ring, self.ranges
        changes, ring.changes = ring.changes, []
        for change in changes:
            ranges.on_predecessor_changed(*change, leaving=ring.phase is Phase.LEAVING)
        if ring.skipped:
            ring.skipped = False
            ranges.doubt()
        if ring.entered:
            ring.entered = False
            if ring.ctx.routing.predecessor is None:
                ranges.on_created()
            else:
                ranges.on_joined()
            self.exploring.arm()
            self.finger_table.arm()
            self.merge.arm()
            self.repair.arm()

    def _departed(self, peer: Peer) -> None:
        self.ring.on_departed(peer)
        self.finger_table.on_departed(peer)
        self.merge.on_departed(peer)
        self.ranges.grants.on_departed(peer)
        self.repair.soon()

    def _slept(self) -> None:
        """Others may have taken this node for dead, and what waits to be read may have been decided by them."""
        if self.ring.phase is Phase.ACTIVE and self.ctx.routing.predecessor is not None:
            self.ranges.on_slept()

    def _nothing(self) -> None:
        pass

    def _stop(self) -> None:
        self.tasks.stop()
        self.coordinator.stop()
        self.reads.stop()
        self.watches.stop()
        self.writes.stop()
        self._settle()
        self.membership.finish()

    def _perform(self, op: OpId, operation: Operation, timeout: float) -> None:
        self.tasks.start(operation, timeout, op=op)

    def _cancel(self, op: OpId) -> None:
        if not self.membership.abandon_join(op, Failure.CANCELLED):
            self.tasks.cancel(op)

    def _unreachable(self, address: Address) -> None:
        self.ctx.unreachable(address)
        self.ring.probe_pointers(address)

    def _receive(self, message: Message, sender: Address) -> None:
        ctx = self.ctx
        ctx.counters.received += 1
        target, life = message.target, message.target_incarnation
        if self.ring.phase is Phase.STOPPED or (target is not None and target != ctx.me.id):
            ctx.counters.ignored += 1
            return
        source = message.source
        known = None if source is None else ctx.routing.known.get(source.id)
        complaint = fault(message, ctx.config, known)
        if complaint is not None:
            ctx.misbehaved(sender, complaint)
            return
        if life and life != ctx.incarnation:
            ctx.counters.ignored += 1
            if isinstance(message, Request):
                ctx.refuse(ctx.asker(message, sender), Reason.OTHER_LIFE)
            return
        if source is not None and source.id != ctx.me.id and not ctx.heard(source, message.incarnation, known):
            ctx.counters.ignored += 1  # An earlier life of it is speaking.
            return
        if isinstance(message, Answer):
            call = ctx.match(message, sender)
            if call is None:
                ctx.counters.ignored += 1
            else:
                ctx.outcomes.append((call.purpose, message.source, message))
        elif isinstance(message, Request):
            self._request(message, sender)
        elif isinstance(message, Notify):
            self.ring.on_notify(message, sender)
        elif isinstance(message, Reached):
            self.lookups.on_reached(message, sender)
        elif isinstance(message, ListChanged):
            self.ring.on_list_changed(message)

    def _request(self, message: Request, sender: Address) -> None:
        ctx = self.ctx
        kind = type(message)
        if ctx.in_progress and (sender, message.request) in ctx.in_progress:
            ctx.working(ctx.asker(message, sender))
        elif isinstance(message, Perform):
            self._perform_for_client(message, sender)
        elif message.source is None and kind not in EVERYONES:
            ctx.refuse(ctx.asker(message, sender), Reason.INVALID)
        elif not self.ring.is_member and kind not in BEFORE_MEMBERSHIP:
            ctx.refuse(ctx.asker(message, sender), Reason.NOT_MEMBER)
            if kind is GetNeighbours and message.source is not None:
                self.membership.on_asked_by_member(message.source)
        elif count_of(message) > ctx.config.max_records_in_message:
            ctx.refuse(ctx.asker(message, sender), Reason.TOO_LARGE)
        elif not ctx.may_serve(sender):
            ctx.refuse(ctx.asker(message, sender), Reason.BUSY)
        else:
            REQUESTS[kind](self, message, sender)

    def _perform_for_client(self, message: Perform, sender: Address) -> None:
        asker = self.ctx.asker(message, sender)
        if isinstance(message.operation, Describe):
            self.ctx.performed(asker, self.describe())
        elif message.timeout <= 0:
            self.ctx.performed(asker, Failed(Failure.INVALID))
        else:
            self.tasks.start(message.operation, message.timeout / 1000, asker=asker)

    def describe(self) -> Description:
        """Return how the node sees itself, as a client's ``Describe`` is answered."""
        routing, width, repaired = self.ctx.routing, self.ring.width, self.repair.repaired
        takers = len(self.writes.takers())
        living = [peer for peer in routing.successors if not routing.is_suspect(peer)]
        return Description(
            me=self.ctx.me,
            phase=self.ring.phase.value,
            predecessor=routing.predecessor,
            successors=routing.successors,
            came_round=routing.came_round,
            keys=len(self.writes.table),
            bytes=self.writes.table.bytes,
            peers=len(routing.known),
            pending=len(self.ranges.pending),
            small=len(living) < self.ctx.config.successors,
            in_order=self.ring.is_member and (self.ring.in_order or routing.predecessor is None),
            formed=width >= self.ctx.config.replicas,
            missing=max(0, width - takers),
            repaired=None if repaired is None else int(1000 * (self.ctx.now - repaired)),
            storage_failed=self.writes.failed,
            unsafe=not self.ring.is_member or self.writes.failed or takers < majority(width),
        )
