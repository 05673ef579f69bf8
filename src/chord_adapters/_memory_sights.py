"""What can be seen of the simulated network: time, nodes, disks, messages under way, what happened last."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from chord_adapters._memory_disk import Disk
from chord_adapters._memory_host import Host, InFlight, Logged, Slot, Step
from chord_adapters._memory_simulation import M, Simulation
from chord_adapters._words import of_record
from chord_proto.effects import Event
from chord_proto.messages import Record
from chord_proto.node import Node
from chord_proto.peer import Address


class Sights:
    """The part of a `Network` that changes nothing."""

    def __init__(self, simulation: Simulation, seed: int) -> None:
        self.seed = seed
        self._simulation = simulation
        self._down: dict[Address, Host] = {}

    @property
    def now(self) -> float:
        """Virtual time in seconds."""
        return self._simulation.seconds

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that is up, in the order of their spawning."""
        return tuple(slot.node for host in self._simulation.hosts.values() for slot in host.slots.values() if slot.up)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Every address where nodes are up."""
        return tuple(self._simulation.hosts)

    @property
    def down(self) -> tuple[Address, ...]:
        """Every address whose process crashed or left; it can be restarted."""
        return tuple(self._down)

    @property
    def events(self) -> deque[Logged]:
        """The latest events of nodes, and what was done to them."""
        return self._simulation.events

    @property
    def counts(self) -> dict[str, int]:
        """How many inputs nodes were given (``steps``), how many messages were ``sent``, and how many got ``lost``."""
        return {"steps": self._simulation.steps, "sent": self._simulation.sent, "lost": self._simulation.lost}

    @property
    def watch(self) -> Callable[[Step], None] | None:
        """What is called after every input of every node."""
        return self._simulation.watch

    @watch.setter
    def watch(self, watch: Callable[[Step], None] | None) -> None:
        self._simulation.watch = watch

    def node(self, address: Address, index: int = 0) -> Node:
        """Return a node at ``address``; raises ``LookupError`` when it is not up."""
        return self._slot(address, index).node

    def disk(self, address: Address, index: int = 0) -> dict[tuple[int, bytes], Record]:
        """Return what a node has durably, or had when it went down: records by space and name."""
        return dict(self._disk(address, index).records())

    def durable(self, address: Address, name: tuple[int, bytes], index: int = 0) -> Record | None:
        """Return what a node has durably, or had when it went down, by this space and name."""
        return self._disk(address, index).records().get(name)

    def in_flight(self) -> tuple[InFlight, ...]:
        """Return the messages that were sent and have not arrived, in the order in which they will."""
        return self._simulation.in_flight()

    def under_way(self, kind: type[M]) -> list[M]:
        """Return the messages of this very class that were sent and have not arrived, in no particular order."""
        return self._simulation.under_way(kind)

    def describe(self) -> str:
        """Tell in words how the nodes stand and what happened last."""
        opened = [node for listener in self._simulation.listening.values() for node in listener.nodes]
        nodes = [*self.nodes, *opened]
        lines = [f"at {self.now:.3f} s, {len(nodes)} nodes, seed {self.seed}, {self._simulation.sent} messages sent"]
        for node in nodes[:24]:
            before = node.predecessor.address if node.predecessor is not None else "-"
            after = " ".join(peer.address for peer in node.successors)
            lines.append(f"  {node.me.address}#{node.me.index} {node.phase.value}: {before} < me < [{after}]")
        lines += [f"  {entry.at:.3f} {entry.address} {_in_words(entry.event)}" for entry in tuple(self.events)[-12:]]
        return "\n".join(lines)

    def _host(self, address: Address) -> Host:
        host = self._simulation.hosts.get(address)
        if host is None:
            raise LookupError(f"no node is up at {address}")
        return host

    def _slot(self, address: Address, index: int) -> Slot:
        for slot in self._host(address).slots.values():
            if slot.node.me.index == index and slot.up:
                return slot
        raise LookupError(f"virtual node {index} at {address} is not up")

    def _disk(self, address: Address, index: int) -> Disk:
        host = self._down.get(address) or self._host(address)
        for slot in host.slots.values():
            if slot.node.me.index == index:
                return slot.disk
        raise LookupError(f"there is no virtual node {index} at {address}")


def _in_words(event: Event | str) -> str:
    return event if isinstance(event, str) else of_record(event)
