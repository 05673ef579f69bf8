"""What lives at one address of the simulated network: virtual nodes, a disk, connections, callers that wait."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import attrs

from chord_adapters._memory_disk import Disk, MemoryDisk
from chord_adapters._memory_links import MICROS, Micros
from chord_proto.config import Config
from chord_proto.effects import Effect, Event, Write
from chord_proto.messages import Message
from chord_proto.node import Node
from chord_proto.operations import Operation, Result
from chord_proto.peer import Address
from chord_proto.phase import Phase
from chord_proto.records import record
from chord_proto.wire import OLDEST_VERSION, WIRE_VERSION

NEVER: Micros = 1 << 62


@record
class InFlight:
    """A message under way: who sent it to whom, and when it was sent and will arrive, in seconds."""

    sender: Address
    to: Address
    message: Message
    sent: float
    arrives: float


@attrs.frozen
class Logged:
    """Something that happened: an event of a node, or in words what was done to an address."""

    at: float
    address: Address
    event: Event | str


@attrs.define(eq=False)
class Handle:
    """An operation that was started (None: a join or leave): its result once there is one, and when it came (seconds)."""

    address: Address
    index: int
    op: int
    operation: Operation | None
    started: float
    finished: float | None = None
    result: Result | None = None

    @property
    def done(self) -> bool:
        """True once there is a result."""
        return self.result is not None


@record
class Step:
    """One input of one node and what came of it: ``getattr(node, kind)(*arguments, now=at, **keywords)``."""

    at: float
    node: Node
    kind: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    effects: tuple[Effect, ...]

    @property
    def argument(self) -> Any:
        """The first argument: the message, the address, the operation's id; None for a tick."""
        return self.arguments[0] if self.arguments else None


@attrs.define(eq=False)
class Slot:
    """One virtual node at its host.  ``wake`` is when its one wake-up is due."""

    node: Node
    wake: Micros = NEVER
    up: bool = True
    next_op: int = 1
    handles: dict[int, Handle] = attrs.field(factory=dict)
    disk: Disk = attrs.field(factory=MemoryDisk)
    writing: list[Write] = attrs.field(factory=list)
    """What it has asked for that is not durable yet, oldest first."""
    written_at: Micros = 0
    draining: bool = False
    """These become durable at this very moment, one after the other."""
    ticks: int = 0
    ticked_at: Micros = -1


@attrs.frozen
class Setup:
    """With what a host was spawned, so that it can be restarted."""

    join: tuple[Address, ...]
    virtual_nodes: int
    config: Config
    clock: float
    versions: tuple[int, int] = (OLDEST_VERSION, WIRE_VERSION)
    """Lowest and highest wire version that it speaks."""


@attrs.define(eq=False)
class Host:
    """A process: the nodes at one address, in one life."""

    address: Address
    setup: Setup
    slots: dict[int, Slot] = attrs.field(factory=dict)
    """By node id, the first virtual node first."""
    dialled: dict[Address, None] = attrs.field(factory=dict)
    """To whom it has connections of its own making."""
    pipe: dict[Address, Micros] = attrs.field(factory=dict)
    """When the latest message to each address arrives: later ones do not overtake it."""
    paused: Micros = 0
    """Until when nothing happens here."""
    waiting: list[tuple[int, Any, Any, Any]] = attrs.field(factory=list)
    """What has not happened because of that."""
    ended: Micros = 0
    """When it went down."""
    disk_fails: bool = False
    write_delay: Micros = 0
    """How long a write takes."""
    rate: float = 1.0
    """How fast its clock runs."""
    origin: Micros = 0
    """Since when it runs so fast."""
    ahead: Micros = 0
    """How far it was ahead then."""

    is_exact: bool = True
    """Whether its clock shows the network's time."""

    def set_clock(self, now: Micros, *, rate: float, ahead: Micros) -> None:
        """Let its clock, which is ``ahead`` of the network's by so much, run ``rate`` times as fast from now on."""
        self.origin, self.rate, self.ahead = now, rate, ahead
        self.is_exact = rate == 1.0 and not ahead

    def seconds(self, now: Micros) -> float:
        """Return the time that the host's own clock shows, by which its nodes measure."""
        return now / MICROS if self.is_exact else (now + self.ahead + (now - self.origin) * (self.rate - 1)) / MICROS

    def moment(self, seconds: float) -> Micros:
        """Return the first moment at which the host's clock shows so many seconds."""
        if self.is_exact:
            at = ceil(seconds * MICROS)  # As `micros` does it.
            return at if at / MICROS >= seconds else at + 1
        return self.origin + ceil((seconds * MICROS - self.origin - self.ahead) / self.rate) + 1

    def add(self, node: Node, disk: Disk) -> None:
        """Give a node its place."""
        self.slots[node.me.id] = Slot(node, disk=disk)

    def tear(self) -> None:
        """Let the first half of the writes under way reach their disks, as it may happen when power fails."""
        for slot in self.slots.values():
            for write in slot.writing[: (len(slot.writing) + 1) // 2]:
                slot.disk.keep(write)

    @property
    def first(self) -> Slot | None:
        """Who answers for the address: the first member, else the first virtual node."""
        slots = self.slots.values()
        member = next((slot for slot in slots if slot.node.phase in (Phase.ACTIVE, Phase.LEAVING)), None)
        return member or next(iter(slots), None)
