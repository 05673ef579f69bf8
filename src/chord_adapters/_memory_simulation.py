"""The heart of the simulated network: one queue of events in virtual time, and what nodes' effects put into it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from heapq import heappop, heappush
from typing import Any, Protocol, TypeVar

from chord_adapters._memory_host import NEVER, Handle, Host, InFlight, Logged, Slot, Step
from chord_adapters._memory_links import MICROS, Links, Micros
from chord_proto.connection import common_version
from chord_proto.effects import Effect, Finished, Send, Stopped, Write
from chord_proto.errors import DecodeError, LocalProtocolError
from chord_proto.messages import Answer, Message
from chord_proto.node import Node
from chord_proto.operations import Failed, Failure, Result
from chord_proto.peer import Address
from chord_proto.wire import Codec

M = TypeVar("M", bound=Message)

DELIVER, WAKE, WRITTEN, BROKEN, CALL = range(5)
"""Kinds of events: a message arrives; a node wants its tick; a write is durable; a connection broke; anything else."""
BUSY_LOOP = 1000
"""Ticks of one node at one moment which mean that its deadline never gets ahead (property N6)."""


class CodecLike(Protocol):
    """What encodes and decodes messages: `chord_proto.wire.Codec`."""

    def encode(self, message: Message, /) -> bytes:
        """Return the bytes of a message."""

    def decode(self, data: bytes, /) -> Message:
        """Return the message that the bytes are."""


class Waiting(Protocol):
    """A task that waits."""

    def wake(self) -> None:
        """Let it look again."""


class Listener(Protocol):
    """A process that is reached by connections."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Its nodes."""

    def pause(self, until: Micros) -> None:
        """Let nothing happen there until then."""

    def crash(self, *, silent: bool) -> None:
        """End it; ``silent``, nobody is told."""


class Simulation:
    """The queue, the hosts, and the rule of every input: finish its effects before the next one."""

    def __init__(
        self,
        links: Links,
        *,
        codec: CodecLike | None,
        codecs: Mapping[int, CodecLike],
        log_size: int,
        watch: Callable[[Step], None] | None,
    ) -> None:
        self.now: Micros = 0
        self.seconds = 0.0
        """The same in seconds, as nodes read it."""
        self.told = 0.0
        """The latest civil time that anybody was told."""
        self.links = links
        self.codec = codec
        self.codecs = codecs
        """By wire version, if hosts speak several; empty: messages are not encoded for that."""
        self.watch = watch
        self.events: deque[Logged] = deque(maxlen=log_size)
        self.hosts: dict[Address, Host] = {}
        self.listening: dict[Address, Listener] = {}
        """Processes that are reached by connections, not by messages: nodes of ``open_node``."""
        self.pump: Waiting | None = None
        """Who of those that wait lets time pass."""
        self.waiters: dict[Waiting, None] = {}
        self.resuming: dict[Waiting, None] = {}
        """Those that have what they waited for and have not had their turn of the loop since: time waits for them."""
        self.silent: dict[Address, None] = {}
        """Addresses that went down without a word: what is sent there vanishes."""
        self.tampers: dict[Address, Callable[[Message], Message | None]] = {}
        """Through what goes that an address sends to others."""
        self.gone: Callable[[Host], None] = lambda host: None
        """Called when the last node of a host has stopped."""
        self.steps = self.sent = self.lost = self.resolved = 0
        # (when, number, kind, three arguments, when it was put here): ordered by the first two alone.
        self._queue: list[tuple[Micros, int, int, Any, Any, Any, Micros]] = []
        self._number = 0
        self._codecs: dict[int, Codec] = {}
        """By the bits of the circle: for messages whose bytes are changed on their way."""

    # The queue

    def push(self, at: Micros, kind: int, a: object, b: object = None, c: object = None) -> None:
        """Let something happen at ``at``, after all that was put there before."""
        self._number = number = self._number + 1
        heappush(self._queue, (at, number, kind, a, b, c, self.now))

    def call_at(self, at: Micros, do: Callable[[], None]) -> None:
        """Let ``do`` be called at ``at``."""
        self.push(at, CALL, do)

    @property
    def next_at(self) -> Micros:
        """When the next event is due."""
        return self._queue[0][0] if self._queue else NEVER

    def in_flight(self) -> tuple[InFlight, ...]:
        """Return the messages under way, in the order in which they will arrive."""
        return tuple(
            InFlight(sender, to, message, sent / MICROS, at / MICROS)
            for at, _, kind, to, message, sender, sent in sorted(entry for entry in self._queue if entry[2] == DELIVER)
        )

    def under_way(self, kind: type[M]) -> list[M]:
        """Return the messages of this very class that are under way, in no order."""
        return [entry[4] for entry in self._queue if entry[2] == DELIVER and type(entry[4]) is kind]

    def run_to(self, until: Micros) -> None:
        """Let happen all that is due up to ``until``."""
        queue = self._queue
        step = self.step
        while queue and queue[0][0] <= until:
            step()
        self._set_clock(until)

    def run_slice(self, most: int) -> bool:
        """Let up to so many events happen, but no more once something has ended for which somebody waits.

        Returns whether anything happened.
        """
        resolved, count = self.resolved, 0
        while self._queue and count < most and self.resolved == resolved:
            self.step()
            count += 1
        return count > 0

    def _set_clock(self, now: Micros) -> None:
        self.now = now
        self.seconds = now / MICROS

    def step(self) -> None:
        """Let the next event happen."""
        at, _, kind, a, b, c, _ = heappop(self._queue)
        if at != self.now:
            self.now = at
            self.seconds = at / MICROS
        if kind == DELIVER:
            self._deliver(a, b, c)
        elif kind == WAKE:
            self._wake(a, b, at)
        elif kind == WRITTEN:
            self._written(a, b, c)
        elif kind == BROKEN:
            self._broken(a, b)
        else:
            a()

    # Events

    def _deliver(self, to: Address, message: Message, sender: Address) -> None:
        if not self.links.whole and self.links.blocked(sender, to):
            self.lost += 1
            return
        host = self.hosts.get(to)
        if host is None:
            self._nobody_there(to, message, sender)
        elif host.paused > self.now:
            host.waiting.append((DELIVER, to, message, sender))
        else:
            target = message.target
            slot = host.first if target is None else host.slots.get(target)
            if slot is not None and slot.up:
                # As `put_in` does it, for the most frequent input.
                now = self.seconds if host.is_exact else host.seconds(self.now)
                effects = slot.node.receive(message, sender=sender, now=now)
                writes = self._carry_out(host, slot, effects)
                if self.watch is not None:
                    self.watch(Step(now, slot.node, "receive", (message,), {"sender": sender}, tuple(effects)))
                self._go_on(host, slot, writes)

    def _nobody_there(self, to: Address, message: Message, sender: Address) -> None:
        if to in self.silent or isinstance(message, Answer):
            # A connection that the asker made went with it; there is nobody to dial.
            self.lost += 1
            return
        dialler = self.hosts.get(sender)
        if dialler is not None:
            self.push(self.now + self.links.latency(to, sender), BROKEN, dialler, to)

    def _wake(self, host: Host, slot: Slot, at: Micros) -> None:
        if slot.wake != at or not slot.up:
            return
        slot.wake = NEVER
        if host.paused > at:
            return
        deadline = slot.node.deadline
        if deadline is not None and deadline > host.seconds(at):
            self._arm(host, slot, deadline)
            return
        slot.ticks = slot.ticks + 1 if slot.ticked_at == at else 0
        slot.ticked_at = at
        if slot.ticks > BUSY_LOOP:
            raise RuntimeError(f"{slot.node.me} at {self.seconds} s: its deadline {deadline} does not get ahead")
        self.put_in(host, slot, "tick")

    def _arm(self, host: Host, slot: Slot, deadline: float) -> None:
        at = host.moment(deadline)
        if at < self.now:
            at = self.now
        if at < slot.wake:
            slot.wake = at
            self.push(at, WAKE, host, slot)

    def _written(self, host: Host, slot: Slot, write: Write) -> None:
        if not slot.up:
            return
        if host.paused > self.now:
            host.waiting.append((WRITTEN, host, slot, write))
            return
        slot.writing.remove(write)
        if host.disk_fails:
            self.put_in(host, slot, "write_failed", write.id)
        else:
            slot.disk.keep(write)
            self.put_in(host, slot, "written", write.id)

    def _broken(self, host: Host, address: Address) -> None:
        """Report that a connection to ``address`` broke or was refused."""
        if host.paused > self.now:
            host.waiting.append((BROKEN, host, address, None))
            return
        for slot in tuple(host.slots.values()):
            if slot.up:
                self.put_in(host, slot, "unreachable", address)

    def pause(self, host: Host, until: Micros) -> None:
        """Let nothing happen at a host until then."""
        host.paused = until
        self.call_at(until, lambda: self.resume(host))

    def resume(self, host: Host) -> None:
        """Let what has waited happen, unless the host is paused for longer by now, or gone."""
        if host.paused > self.now:
            return
        waiting, host.waiting = host.waiting, []
        for kind, a, b, c in waiting:
            self.push(self.now, kind, a, b, c)
        for slot in host.slots.values():
            if slot.up and slot.node.deadline is not None:
                self._arm(host, slot, slot.node.deadline)

    def act(self, host: Host, slot: Slot, kind: str, *arguments: object, **keywords: object) -> None:
        """Let the application at a host do something: now, or once it is not paused any more."""
        if host.paused > self.now:
            host.waiting.append((CALL, lambda: self.act(host, slot, kind, *arguments, **keywords), None, None))
        elif slot.up:
            self.put_in(host, slot, kind, *arguments, **keywords)

    # Inputs and effects

    def put_in(self, host: Host, slot: Slot, kind: str, *arguments: object, **keywords: object) -> None:
        """Give a node an input, by the name of its method, and carry out what comes of it, before the next one."""
        node, now = slot.node, self.seconds if host.is_exact else host.seconds(self.now)
        effects: list[Effect] = getattr(node, kind)(*arguments, now=now, **keywords)
        writes = self._carry_out(host, slot, effects)
        if self.watch is not None:
            self.watch(Step(now, node, kind, arguments, keywords, tuple(effects)))
        self._go_on(host, slot, writes)

    def _carry_out(self, host: Host, slot: Slot, effects: list[Effect]) -> list[Write] | None:
        """Do what a node wants, but for the writes, which are returned: they begin once the watch has seen them."""
        self.steps += 1
        writes: list[Write] | None = None
        for effect in effects:
            if isinstance(effect, Send):
                self.send(host, effect.to, effect.message)
            elif isinstance(effect, Write):
                if writes is None:
                    writes = []
                writes.append(effect)
            elif isinstance(effect, Finished):
                handle = slot.handles.get(effect.op)
                if handle is not None:
                    self.resolve(slot, handle, effect.result)
            else:
                self.events.append(Logged(self.seconds, host.address, effect))
                if isinstance(effect, Stopped):
                    self._stopped(host, slot)
        return writes

    def _go_on(self, host: Host, slot: Slot, writes: list[Write] | None) -> None:
        if writes is not None:
            self._start_writes(host, slot, writes)
        if slot.up:
            deadline = slot.node.ctx.timers.deadline
            # Its wake-up may come too early, never too late.
            if deadline is not None and not (host.is_exact and deadline * MICROS >= slot.wake):
                self._arm(host, slot, deadline)

    def _start_writes(self, host: Host, slot: Slot, writes: list[Write]) -> None:
        waits = bool(slot.writing) and not slot.draining
        slot.writing.extend(writes)
        if host.write_delay or waits:
            for write in writes:
                slot.written_at = max(slot.written_at, self.now + host.write_delay)
                self.push(slot.written_at, WRITTEN, host, slot, write)
        elif not slot.draining:
            # In order of their numbers, also when `written` causes more of them.
            slot.draining = True
            while slot.writing and slot.up:
                self._written(host, slot, slot.writing[0])
            slot.draining = False

    def send(self, source: Host, to: Address, message: Message) -> None:
        """Put a message on its way, or lose it."""
        self.sent += 1
        if self.tampers and source.address in self.tampers and to != source.address:
            tampered = self.tampers[source.address](message)
            if tampered is None:
                self.lost += 1
                return
            message = tampered
        if self.codec is not None:
            message = self.codec.decode(self.codec.encode(message))
        if self.codecs and to in self.hosts and to != source.address:
            translated = self._translated(source, self.hosts[to], message)
            if translated is None:
                return
            message = translated
        sender = source.address
        if to == sender:
            self.push(self.now, DELIVER, to, message, sender)
            return
        links = self.links
        if not isinstance(message, Answer):
            source.dialled[to] = None
        if not links.whole and links.blocked(sender, to):
            self.lost += 1
            return
        if links.corrupt and links.chance(links.corrupt):
            self._corrupt(source, to, message)
            return
        at = links.arrival(sender, source.pipe, to, self.now)
        if at is None:
            self.lost += 1
            return
        self.push(at, DELIVER, to, message, sender)
        if links.duplicate and links.chance(links.duplicate):
            self.push(at + links.latency(sender, to), DELIVER, to, message, sender)

    def _translated(self, source: Host, receiver: Host, message: Message) -> Message | None:
        """Return what the receiver reads in the version that the two agree on; None if they cannot, or it cannot read it."""
        version = common_version(receiver.setup.versions, source.setup.versions)
        if version is not None:
            try:
                data = self._codec_of(source, version).encode(message)
            except LocalProtocolError:  # That version has no such message.
                self.lost += 1
                return None
            with suppress(DecodeError):
                return self._codec_of(receiver, version).decode(data)
        self.lost += 1
        self._break(source, receiver.address)
        return None

    def _codec_of(self, host: Host, version: int) -> CodecLike:
        """Return how a host reads and writes what should be in this version: it knows no others than its own."""
        lowest, highest = host.setup.versions
        return self.codecs[min(max(version, lowest), highest)]

    def _corrupt(self, source: Host, to: Address, message: Message) -> None:
        """Change bytes of a message on its way: whatever the receiver reads, its connection is at an end.

        The receiver's codec must take the bytes for a message or refuse them; what it takes them for is not
        delivered, since a connection has a checksum.
        """
        codec = self.codec or self._codec(source.setup.config.bits)
        data = bytearray(codec.encode(message))
        for _ in range(1 + self.links.below(4)):
            data[self.links.below(len(data))] = self.links.below(256)
        with suppress(DecodeError):
            codec.decode(bytes(data))
        self.lost += 1
        self._break(source, to)

    def _break(self, source: Host, to: Address) -> None:
        """End the connection of two hosts: each is told."""
        self.push(self.now + self.links.latency(to, source.address), BROKEN, source, to)
        receiver = self.hosts.get(to)
        if receiver is not None:
            self.push(self.now + self.links.latency(source.address, to), BROKEN, receiver, source.address)

    def _codec(self, bits: int) -> CodecLike:
        codec = self._codecs.get(bits)
        if codec is None:
            codec = self._codecs[bits] = Codec(bits)
        return codec

    def resolve(self, slot: Slot, handle: Handle, result: Result) -> None:
        """End an operation."""
        del slot.handles[handle.op]
        handle.result, handle.finished = result, self.seconds
        self.resolved += 1

    def _stopped(self, host: Host, slot: Slot) -> None:
        self.end(slot)
        if not any(other.up for other in host.slots.values()):
            self.gone(host)

    def end(self, slot: Slot) -> None:
        """Give a node no input any more; nobody knows how its operations would have ended."""
        slot.up = False
        for handle in tuple(slot.handles.values()):
            self.resolve(slot, handle, Failed(Failure.STOPPED, outcome_unknown=True))

    def break_connections(self, address: Address) -> None:
        """Tell everybody who has dialled ``address`` that the connection broke."""
        for other in self.hosts.values():
            if address in other.dialled:
                del other.dialled[address]
                if not self.links.blocked(other.address, address):
                    self.push(self.now + self.links.latency(address, other.address), BROKEN, other, address)
