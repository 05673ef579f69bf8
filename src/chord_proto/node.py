"""The node: the doors through which input comes, and the views that show what it knows."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from chord_proto.config import Config
from chord_proto.effects import Effect, OpId, WriteId
from chord_proto.errors import LocalProtocolError
from chord_proto.frame import Frame
from chord_proto.identifiers import CONTENT_BITS, place_of_name
from chord_proto.messages import Message
from chord_proto.operations import Delete, Describe, Fetch, Get, Locate, Operation, Put, Store
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.snapshot import copy_state, digest_state
from chord_proto.view import NodeView


@attrs.frozen(kw_only=True)
class Stats:
    """Counters since the node began, and sizes now."""

    received: int
    sent: int
    ignored: int
    misbehaved: int
    retransmitted: int
    suspected: int
    refused: int
    lookups: int
    hops: int
    doubted: int
    forwarded: int
    """Questions of others that were passed on."""
    operations: int
    requests: int
    served: int
    """Requests of others that are answered later."""
    passing: int
    """Questions of others that are being passed on."""
    carried: int
    """Bytes of values in the reads and writes under way that the node coordinates."""
    watchers: int
    pending_writes: int
    known_peers: int
    lost_peers: int
    records: int
    bytes: int
    looked_at: int
    """Records on arcs that were looked at one by one, for others and for the node's own upkeep."""


class Node(Frame):
    """One Chord node without its I/O.

    It is driven by messages (`receive`), time (`tick`), the application (`create`, `join`, `leave`, `locate`,
    `get`, `put`, `delete`, `store`, `fetch`, `cancel`) and the driver's reports (`written`, `write_failed`,
    `unreachable`, `wall`).  Each input takes ``now`` (seconds on a monotonic clock; an earlier value is
    clamped) and returns the effects that it caused, in the order in which they must be carried out, to the
    end and before the next input.  Equal nodes given equal inputs return equal effects.

    ``seed`` feeds the node's own generator; ``incarnation`` names this life of it and must be greater than
    that of any earlier life at the same address; ``records``, ``width`` and ``founded`` are what a disk has kept
    (`Write`), and ``away`` says how many seconds of civil time ago an earlier life was last `is_current`.  A ``lean``
    node, of which a simulation may have a million, makes only when it needs it what finding owners does not take.  Raises `ValueError`
    when ``me`` is not the place that its address gives, `LocalProtocolError` for a caller's mistake before
    anything has changed.
    """

    __slots__ = ()

    # Membership

    def create(self, *, now: float) -> list[Effect]:
        """Become a ring of one."""
        self._require(Phase.NEW)
        return self._input(now, self.membership.create)

    def join(self, op: OpId, via: Sequence[Address], *, now: float) -> list[Effect]:
        """Join the ring through any of the addresses ``via``; tries for ever, ends in ``Joined``.

        Its own address may be among them: another virtual node there may be a member.
        Only when another member holds this very place it ends in ``Failed``.
        """
        self._require(Phase.NEW)
        self._unused(op)
        contacts = tuple(dict.fromkeys(via))
        if not contacts or (contacts == (self.me.address,) and self.me.index == 0):
            raise LocalProtocolError("there is nobody to join by")
        return self._input(now, self.membership.join, op, contacts)

    def leave(self, op: OpId, *, now: float) -> list[Effect]:
        """Hand the range over and leave, within ``Config.leave_timeout``; ends in ``Left``."""
        if self.phase in (Phase.LEAVING, Phase.STOPPED):
            raise LocalProtocolError(f"the node is {self.phase.value} already")
        self._unused(op)
        return self._input(now, self._leave, op)

    def _leave(self, op: OpId) -> None:
        if not self.ring.is_member:
            self.membership.leave_op = op
            self._stop()
            return
        self.membership.begin_leave(op)
        self.repair.hand_over()

    # Messages, time, reports

    def receive(self, message: Message, *, sender: Address, now: float) -> list[Effect]:
        """Take a message that came from ``sender``: the address dialled, or the return path of a connection."""
        return self._input(now, self._receive, message, sender)

    def tick(self, *, now: float) -> list[Effect]:
        """Let what is due happen; early, late or repeated ticks are harmless."""
        return self._input(now, self._nothing)

    def unreachable(self, peer: Address | Peer, *, now: float) -> list[Effect]:
        """Learn that dialling an address failed, or that a connection to it broke: a hint, never proof."""
        return self._input(now, self._unreachable, peer.address if isinstance(peer, Peer) else peer)

    def written(self, write: WriteId, *, now: float) -> list[Effect]:
        """Learn that all writes up to ``write`` are durable."""
        self.writes.check(write)
        return self._input(now, self.writes.written, write)

    def write_failed(self, write: WriteId, *, now: float) -> list[Effect]:
        """Learn that the disk refused: the node serves reads and refuses writes from now on."""
        self.writes.check(write)
        return self._input(now, self.writes.write_failed, write)

    def wall(self, offset: float, *, now: float) -> list[Effect]:
        """Learn the difference from ``now`` to civil time (Unix seconds), for versions."""
        self.ctx.wall_offset = offset
        return self._input(now, self._nothing)

    # Operations

    def perform(self, op: OpId, operation: Operation, *, now: float, timeout: float | None = None) -> list[Effect]:
        """Carry out ``operation`` within ``timeout`` seconds (by default ``Config.operation_timeout``)."""
        self._unused(op)
        if timeout is not None and timeout <= 0:
            raise LocalProtocolError("a timeout is greater than zero")
        if isinstance(operation, Describe):
            raise LocalProtocolError("a node describes itself by describe()")
        limit = self.config.operation_timeout if timeout is None else timeout
        return self._input(now, self._perform, op, operation, limit)

    def locate(self, op: OpId, key: int | bytes, *, now: float) -> list[Effect]:
        """Find the owner of a place (int) or of a record's name; ends in ``Located``."""
        return self.perform(op, Locate(self._place(key)), now=now)

    def get(self, op: OpId, key: bytes, *, now: float) -> list[Effect]:
        """Read a named record; ends in ``Fetched``."""
        return self.perform(op, Get(key), now=now)

    def put(self, op: OpId, key: bytes, value: bytes, *, now: float) -> list[Effect]:
        """Write a named record; ends in ``Stored`` once a majority of its replicas has it durably."""
        return self.perform(op, Put(key, value), now=now)

    def delete(self, op: OpId, key: bytes, *, now: float) -> list[Effect]:
        """Delete a named record; ends in ``Stored``, with the version of the deletion."""
        return self.perform(op, Delete(key), now=now)

    def store(self, op: OpId, data: bytes, *, now: float) -> list[Effect]:
        """Store one content-addressed block; ends in ``Stored`` once all its replicas have it durably."""
        return self.perform(op, Store(data), now=now)

    def fetch(self, op: OpId, key: int, *, now: float) -> list[Effect]:
        """Fetch the block whose SHA-1 is ``key``; ends in ``Fetched``."""
        if not 0 <= key < 1 << CONTENT_BITS:
            raise LocalProtocolError(f"a content key has {CONTENT_BITS} bits")
        return self.perform(op, Fetch(key), now=now)

    def cancel(self, op: OpId, *, now: float) -> list[Effect]:
        """End an operation now; harmless when it has ended."""
        return self._input(now, self._cancel, op)

    # Views

    @property
    def me(self) -> Peer:
        """This node's own place."""
        return self.ctx.me

    @property
    def config(self) -> Config:
        """The parameters it was made with."""
        return self.ctx.config

    @property
    def incarnation(self) -> int:
        """Which life of this address it is."""
        return self.ctx.incarnation

    @property
    def phase(self) -> Phase:
        """The stage of its life."""
        return self.ring.phase

    @property
    def predecessor(self) -> Peer | None:
        """The predecessor pointer; None for a ring of one."""
        return self.ctx.routing.predecessor

    @property
    def predecessors(self) -> tuple[Peer, ...]:
        """The nodes before it, nearest first."""
        return self.ctx.routing.predecessors

    @property
    def successors(self) -> tuple[Peer, ...]:
        """The successor list, never holding the node itself."""
        return self.ctx.routing.successors

    @property
    def came_round(self) -> bool:
        """Whether the successor list is short because it came round to the node itself."""
        return self.ctx.routing.came_round

    @property
    def fingers(self) -> tuple[Peer | None, ...]:
        """Finger i is the first node known at or after me + 2**i, for i in 0 to bits - 1."""
        return tuple(self.ctx.routing.finger(index) for index in range(self.config.bits))

    @property
    def is_current(self) -> bool:
        """Whether the next life of this node may count its absence from now on (``away``).

        It may not while this life has come back after more than ``Config.grace_period`` and it is not known yet whether
        its ring has lived on without it.
        """
        return self.ring.is_current

    @property
    def ready(self) -> bool:
        """Whether the node is a member and serves everything it owns."""
        return self.ring.is_member and self.ranges.is_ready

    @property
    def deadline(self) -> float | None:
        """When the node wants its next tick; None when it waits for nothing."""
        return self.ctx.timers.deadline

    def owns(self, key: int | bytes) -> bool:
        """Tell whether a place or a record's name lies on (predecessor, me]."""
        return self.ring.is_member and self.ctx.routing.owns(self._place(key))

    def stats(self) -> Stats:
        """Return counters and sizes."""
        counters = attrs.asdict(self.ctx.counters)
        return Stats(
            **counters,
            operations=len(self.tasks.active),
            requests=len(self.ctx.calls),
            served=len(self.ctx.in_progress),
            passing=self.lookups.passing,
            carried=self.ctx.carried,
            watchers=self.watches.count,
            pending_writes=len(self.writes.pending),
            known_peers=len(self.ctx.routing.known),
            lost_peers=len(self.ctx.routing.lost),
            records=len(self.writes.table),
            bytes=self.writes.table.bytes,
            looked_at=self.writes.table.looked_at,
        )

    def view(self) -> NodeView:
        """Return everything that the ring invariants are about."""
        ctx = self.ctx
        return NodeView(
            me=self.me,
            incarnation=ctx.incarnation,
            phase=self.phase,
            predecessor=self.predecessor,
            predecessors=self.predecessors,
            successors=self.successors,
            came_round=self.came_round,
            busy=self.ring.step is not None,
            timers=ctx.timers.periodic(),
            operations=tuple(
                (int(task.op or 0), _or_never(ctx.timers.when(("task", task.number))))
                for task in self.tasks.active.values()
            ),
            requests=tuple(
                (call.request, call.address, _or_never(ctx.timers.when(("call", call.request))))
                for call in ctx.calls.values()
            ),
            pending_arcs=tuple((arc.start, arc.end) for arc in self.ranges.pending.values()),
            decides=(self.ranges.held & self.ranges.owned).arcs() if self.phase is Phase.ACTIVE else (),
            deadline=self.deadline,
        )

    def copy(self) -> Node:
        """Return an independent node in the same state: equal inputs give equal effects from here on."""
        return copy_state(self)

    def fingerprint(self) -> bytes:
        """Return 16 bytes that tell states apart, leaving out request ids, counters, the generator and times."""
        return digest_state(self)

    def _require(self, phase: Phase) -> None:
        if self.phase is not phase:
            raise LocalProtocolError(f"the node is {self.phase.value}, not {phase.value}")

    def _unused(self, op: OpId) -> None:
        if op in self.tasks.by_op or op in (self.membership.join_op, self.membership.leave_op):
            raise LocalProtocolError(f"operation {op} is under way already")

    def _place(self, key: int | bytes) -> int:
        if isinstance(key, bytes):
            return place_of_name(key, self.config.bits)
        if isinstance(key, bool) or not 0 <= key < 1 << self.config.bits:
            raise LocalProtocolError(f"not a place on a circle of {self.config.bits} bits: {key!r}")
        return key


def _or_never(when: float | None) -> float:
    return float("inf") if when is None else when
