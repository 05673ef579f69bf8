"""Operations under way: find the owner, ask it, follow redirects, retry until the deadline.

The same for this node's own callers (ended by `Finished`) and for clients (answered with `Performed`).
"""

from __future__ import annotations

import attrs

from chord_proto.calls import Asker, Slow
from chord_proto.context import Context
from chord_proto.effects import Finished, OpId
from chord_proto.identifiers import CONTENT_BITS, content_key, place_of_content, place_of_name
from chord_proto.lookup import Lookups, Outcome
from chord_proto.messages import (
    Acknowledged,
    Answer,
    AwaitChange,
    Changed,
    Elsewhere,
    GetKeys,
    GetRecord,
    Keys,
    PutRecord,
    Reason,
    Refused,
    Space,
    Value,
)
from chord_proto.operations import (
    Await,
    Changes,
    Delete,
    Failed,
    Failure,
    Fetch,
    Fetched,
    Get,
    Locate,
    Located,
    Operation,
    Page,
    Put,
    Restore,
    Result,
    Scan,
    Store,
    Stored,
)
from chord_proto.peer import Peer
from chord_proto.phase import Phase
from chord_proto.quorums import is_quorum
from chord_proto.records import record
from chord_proto.ring import Ring
from chord_proto.routing import first_distinct
from chord_proto.versions import is_version

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5
_MAX_REDIRECTS = 8
_NAMED = (Get, Put, Delete, Restore, Await)
_COUNTED = (Get, Put, Delete, Restore)
_DECIDED = (Put, Delete, Restore)
_LATEST = 1 << 62
"""Milliseconds of Unix time: nothing expires later but what never does."""


@record
class ForTask:
    """Purpose of a task's lookup."""

    number: int


@record
class AskedForTask:
    """Purpose of a task's question to an owner, or (``through``) to another holder."""

    number: int
    through: bool


@attrs.define(eq=False)
class Task:
    """One operation under way."""

    number: int
    op: OpId | None
    asker: Asker | None
    operation: Operation
    place: int
    space: int
    name: bytes
    deadline: float
    write_id: int = 0
    expires: int = 0
    pause: float = _FIRST_PAUSE
    redirects: int = 0
    lookup: int | None = None
    rest: list[Peer] = attrs.field(factory=list)
    """Other holders still to be asked for what the owner does not hold."""
    all_answered: bool = True
    unanswered: bool = False
    """A write is out, and nothing says yet what became of it."""
    slow: bool = False
    """The write that is out was sent there before."""
    in_doubt: bool = False
    """An earlier write was sent and may have taken effect."""
    failure: Failure = Failure.UNREACHABLE
    """What to report if time runs out now."""

    @property
    def is_in_doubt(self) -> bool:
        """Whether the write may have taken effect, should the operation end now."""
        return self.in_doubt or self.unanswered

    @property
    def reads_plainly(self) -> bool:
        """Whether any holder's copy will do."""
        return isinstance(self.operation, Fetch) or (isinstance(self.operation, Get) and self.operation.quorum == 1)

    @property
    def quorum(self) -> int:
        """Of how many replicas; blocks have their own rules."""
        operation = self.operation
        return operation.quorum if isinstance(operation, _COUNTED) else 1


_REASONS = {
    Reason.NOT_READY: Failure.NO_QUORUM,
    Reason.NO_QUORUM: Failure.NO_QUORUM,
    Reason.OUTCOME_UNKNOWN: Failure.NO_QUORUM,
    Reason.BUSY: Failure.BUSY,
    Reason.LEAVING: Failure.UNREACHABLE,
    Reason.CLOCK: Failure.NO_QUORUM,
}
_FINAL = {
    Reason.TOO_LARGE: Failure.TOO_LARGE,
    Reason.INVALID: Failure.INVALID,
    Reason.STORAGE_FAILED: Failure.STORAGE_FAILED,
    Reason.VERSION_MISMATCH: Failure.VERSION_MISMATCH,
}


class Tasks:
    """All operations of a node."""

    __slots__ = ("_next", "active", "by_op", "ctx", "lookups", "ring")

    def __init__(self, ctx: Context, ring: Ring, lookups: Lookups) -> None:
        self.ctx = ctx
        self.ring = ring
        self.lookups = lookups
        self.active: dict[int, Task] = {}
        self.by_op: dict[OpId, int] = {}
        self._next = 0

    def start(
        self, operation: Operation, timeout: float, *, op: OpId | None = None, asker: Asker | None = None
    ) -> None:
        """Begin an operation for a local caller (``op``) or a client (``asker``)."""
        ctx = self.ctx
        self._next += 1
        space, name = _names(operation)
        if isinstance(operation, (Locate, Scan)):
            place = operation.place
        elif isinstance(operation, (Fetch, Store)):
            place = place_of_content(int.from_bytes(name), ctx.config.bits)
        else:
            place = place_of_name(name, ctx.config.bits)
        task = Task(self._next, op, asker, operation, place, space, name, ctx.now + timeout)
        refusal = self._refusal(operation)
        if refusal is not None:
            self._report(task, Failed(refusal))
            return
        if isinstance(operation, _DECIDED):
            task.write_id = ctx.rng.request_id()
        if isinstance(operation, Put) and operation.ttl:
            task.expires = min(ctx.civil + operation.ttl, _LATEST)
        elif isinstance(operation, Restore):
            task.expires = operation.expires
        self.active[task.number] = task
        if op is not None:
            self.by_op[op] = task.number
        if asker is not None:
            ctx.defer(asker)
        ctx.timers.arm(("task", task.number), task.deadline)
        self._attempt(task)

    def _refusal(self, operation: Operation) -> Failure | None:
        config = self.ctx.config
        if self.ring.phase is Phase.STOPPED:
            return Failure.STOPPED
        if len(self.active) >= config.max_operations:
            return Failure.BUSY
        if isinstance(operation, (Put, Restore)) and len(operation.value or b"") > config.max_value_size:
            return Failure.TOO_LARGE
        if isinstance(operation, Store) and len(operation.data) > config.max_value_size:
            return Failure.TOO_LARGE
        if isinstance(operation, _NAMED) and len(operation.name) > config.max_key_size:
            return Failure.INVALID
        if isinstance(operation, _COUNTED) and not is_quorum(operation.quorum, config.replicas):
            return Failure.INVALID
        if isinstance(operation, (Put, Delete)) and operation.condition and not is_version(operation.condition):
            return Failure.INVALID
        if isinstance(operation, Restore) and not is_version(operation.version):
            return Failure.INVALID
        if isinstance(operation, (Locate, Scan)) and not 0 <= operation.place < 1 << config.bits:
            return Failure.INVALID
        if isinstance(operation, Scan) and len(operation.prefix) > config.max_key_size:
            return Failure.INVALID
        if isinstance(operation, Fetch) and not 0 <= operation.key < 1 << CONTENT_BITS:
            return Failure.INVALID
        return None

    def cancel(self, op: OpId) -> None:
        """End an operation at its caller's wish; harmless when it has ended."""
        number = self.by_op.get(op)
        if number is not None:
            task = self.active[number]
            self._finish(task, Failed(Failure.CANCELLED, task.is_in_doubt))

    def stop(self) -> None:
        """End everything: the node has left."""
        for task in list(self.active.values()):
            self._finish(task, Failed(Failure.STOPPED, task.is_in_doubt))

    def kick(self) -> None:
        """Try again at once what waits for this node to become a member or for its range to arrive."""
        for number in self.active:
            if self.ctx.timers.when(("retry", number)) is not None:
                self.ctx.timers.arm(("retry", number), self.ctx.now)

    def on_deadline(self, number: int) -> None:
        """Time ran out."""
        task = self.active.get(number)
        if task is not None:
            self._finish(task, Failed(task.failure, task.is_in_doubt))

    def on_retry(self, number: int) -> None:
        """The pause before another attempt is over."""
        task = self.active.get(number)
        if task is not None:
            self._attempt(task)

    # One attempt

    def _attempt(self, task: Task) -> None:
        if not self.ring.is_member:
            task.failure = Failure.NOT_READY
            self._pause(task)
            return
        task.redirects, task.all_answered, task.rest = 0, True, []
        owner = None
        if not isinstance(task.operation, Locate) and not self.ctx.trust.is_lost(self.ctx.now):
            owner = self.ctx.routing.likely_owner(task.place)
        if owner is not None:
            self._ask(task, owner, through=False)
        else:
            self._look_up(task)

    def _look_up(self, task: Task) -> None:
        confirm = isinstance(task.operation, Locate)
        task.lookup = self.lookups.start(task.place, ForTask(task.number), confirm=confirm, forward=True)

    def on_located(self, purpose: ForTask, peer: Peer | None, found: Outcome | None) -> None:
        """The lookup ended."""
        task = self.active.get(purpose.number)
        if task is None:
            return
        task.lookup = None
        if found is None:
            task.failure = Failure.UNREACHABLE
            self._pause(task)
        elif isinstance(task.operation, Locate):
            replicas = first_distinct(found.successors, self.ctx.config.replicas)
            if found.came_round and len(replicas) < self.ctx.config.replicas:
                replicas = first_distinct((*found.successors, found.predecessor), self.ctx.config.replicas)
            self._finish(task, Located(found.successors[0], replicas, found.path))
        elif task.reads_plainly and self.ctx.routing.is_suspect(found.successors[0]):
            # The ring has not yet noticed that the owner died: plain reads go on at its replicas (section 7).
            task.rest = list(first_distinct(found.successors, self.ctx.config.replicas))
            self._next_holder(task, answered=False)
        else:
            self._ask(task, found.successors[0], through=False)

    def _ask(self, task: Task, peer: Peer, *, through: bool) -> None:
        operation, purpose = task.operation, AskedForTask(task.number, through)
        if isinstance(operation, Await):
            sent = self.ctx.ask(peer, purpose, AwaitChange, task.name, operation.after)
        elif isinstance(operation, Scan):
            wanted = operation.place, operation.space, operation.prefix, operation.after
            sent = self.ctx.ask(peer, purpose, GetKeys, *wanted)
        elif isinstance(operation, (Get, Fetch)):
            sent = self.ctx.ask(peer, purpose, GetRecord, task.space, task.name, through, task.quorum)
        else:
            value = None
            if isinstance(operation, (Put, Restore)):
                value = operation.value
            elif isinstance(operation, Store):
                value = operation.data
            condition = operation.condition if isinstance(operation, (Put, Delete)) else None
            version = operation.version if isinstance(operation, Restore) else ""
            more = value, task.write_id, task.expires, condition, task.quorum, version
            task.unanswered = self.ctx.ask(peer, purpose, PutRecord, task.space, task.name, *more)
            sent, task.slow = task.unanswered, False
        if not sent:
            task.failure = Failure.BUSY
            self._pause(task)

    def on_answer(self, purpose: AskedForTask, peer: Peer | None, answer: Answer | Slow | None) -> None:
        """An owner or holder answered, or failed; or was asked again (`Slow`).

        What refuses a question that was asked twice, or sends it elsewhere, may have done it when it came first.
        """
        task = self.active.get(purpose.number)
        if task is None:
            return
        writes = not isinstance(task.operation, (Get, Fetch, Scan, Await))
        if isinstance(answer, Slow):
            task.slow = writes
            return
        if not (isinstance(answer, Refused) and answer.reason == Reason.VERSION_MISMATCH):
            # Who refuses for its version would have recognised the same write, had it come before.
            task.in_doubt = task.in_doubt or task.slow or (task.unanswered and answer is None)
        task.unanswered = task.slow = False
        if isinstance(answer, Value) and not writes:
            self._on_value(task, answer, through=purpose.through)
        elif isinstance(answer, Acknowledged) and writes and answer.source is not None:
            self._finish(task, Stored(answer.version, answer.source, answer.acked))
        elif isinstance(answer, Keys) and isinstance(task.operation, Scan):
            self._on_keys(task, answer)
        elif isinstance(answer, Changed) and isinstance(task.operation, Await):
            self._finish(task, Changes(answer.changes, answer.lagged, answer.cursor))
        elif isinstance(answer, Elsewhere):
            self._redirect(task, answer)
        elif isinstance(answer, Refused):
            self._on_refusal(task, Reason(answer.reason), peer)
        else:
            task.failure = Failure.UNREACHABLE
            self._next_holder(task, answered=False) if purpose.through else self._pause(task)

    def _on_value(self, task: Task, answer: Value, *, through: bool) -> None:
        held = answer.held
        if held is None:
            if not through and task.space == Space.BLOCK:
                task.rest = [peer for peer in answer.replicas if peer.id != self._id_of(answer)]
            if through or task.space == Space.BLOCK:
                self._next_holder(task, answered=True)
            else:
                self._finish(task, Fetched(None, None))
        elif not _is_genuine(task, held.space, held.name, held.value):
            self.ctx.misbehaved("" if answer.source is None else answer.source.address, "a value that is not the one")
            self._next_holder(task, answered=False)
        elif held.value is None:
            self._finish(task, Fetched(None, held.version))
        else:
            self._finish(task, Fetched(held.value, held.version, held.expires))

    def _on_keys(self, task: Task, answer: Keys) -> None:
        if task.place <= answer.end < 1 << self.ctx.config.bits:
            self._finish(task, Page(answer.entries, answer.end, answer.after))
        else:
            self.ctx.misbehaved("" if answer.source is None else answer.source.address, "a page of somewhere else")
            self._pause(task)

    def _id_of(self, answer: Answer) -> int | None:
        return None if answer.source is None else answer.source.id

    def _next_holder(self, task: Task, *, answered: bool) -> None:
        """Ask the next place that should hold it; nobody has it only if all of them said so."""
        task.all_answered = task.all_answered and answered
        if task.rest:
            task.rest.sort(key=self.ctx.doubt)  # Suspicion may be old: those come last, but they come.
            self._ask(task, task.rest.pop(0), through=True)
        elif task.all_answered:
            self._finish(task, Fetched(None, None))
        else:
            self._pause(task)

    def _redirect(self, task: Task, answer: Elsewhere) -> None:
        task.redirects += 1
        peers = sorted(answer.peers, key=self.ctx.doubt)
        if task.redirects > _MAX_REDIRECTS or not peers:
            self._pause(task)
        elif answer.through and task.reads_plainly:
            task.rest = peers
            self._next_holder(task, answered=True)
        elif task.reads_plainly and answer.source is not None and self.ctx.routing.is_suspect(answer.peers[0]):
            # It has not noticed yet that the owner died.  If it has a copy, that will do.
            task.rest = [answer.source]
            self._next_holder(task, answered=False)
        elif task.redirects % 2:
            self._ask(task, peers[0], through=False)
        else:
            self._look_up(task)

    def _on_refusal(self, task: Task, reason: Reason, peer: Peer | None) -> None:
        final = _FINAL.get(reason)
        if final is not None:
            self._finish(task, Failed(final, task.is_in_doubt))
            return
        if reason in (Reason.NOT_MEMBER, Reason.OTHER_LIFE) and peer is not None:
            self.ctx.suspect(peer)
        if reason is Reason.OUTCOME_UNKNOWN:
            task.in_doubt = True
        task.failure = _REASONS.get(reason, Failure.UNREACHABLE)
        self._pause(task)

    def _pause(self, task: Task) -> None:
        ctx = self.ctx
        ctx.timers.arm(("retry", task.number), ctx.now + ctx.rng.jitter(task.pause))
        task.pause = min(2 * task.pause, _LONGEST_PAUSE)

    # The end

    def _finish(self, task: Task, result: Result) -> None:
        ctx = self.ctx
        del self.active[task.number]
        if task.op is not None:
            del self.by_op[task.op]
        ctx.timers.disarm(("task", task.number))
        ctx.timers.disarm(("retry", task.number))
        if task.lookup is not None:
            self.lookups.stop(task.lookup)
        elif isinstance(result, Failed):
            ctx.drop_calls_for(AskedForTask(task.number, False))
            ctx.drop_calls_for(AskedForTask(task.number, True))
        self._report(task, result)

    def _report(self, task: Task, result: Result) -> None:
        if task.op is not None:
            self.ctx.emit(Finished(task.op, result))
        elif task.asker is not None:
            self.ctx.performed(task.asker, result)


def _names(operation: Operation) -> tuple[int, bytes]:
    """Return the space and name that an operation is about."""
    if isinstance(operation, _NAMED):
        return Space.RECORD, operation.name
    if isinstance(operation, Store):
        return Space.BLOCK, content_key(operation.data).to_bytes(20)
    if isinstance(operation, Fetch):
        return Space.BLOCK, (operation.key % (1 << CONTENT_BITS)).to_bytes(20)
    return Space.RECORD, b""


def _is_genuine(task: Task, space: int, name: bytes, value: bytes | None) -> bool:
    """Tell whether a value is the one asked for; a block is verified against its key."""
    if space != task.space or name != task.name:
        return False
    return space != Space.BLOCK or (value is not None and content_key(value).to_bytes(20) == name)
