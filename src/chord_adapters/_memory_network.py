"""Many nodes in virtual time over a seeded network, and what can be done to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from hashlib import blake2b
from typing import Any, Self

import attrs

from chord_adapters._memory_disk import Disk, MemoryDisk
from chord_adapters._memory_host import Handle, Host, Logged, Setup, Slot, Step
from chord_adapters._memory_links import EPOCH, MICROS, Links, micros
from chord_adapters._memory_sights import Sights
from chord_adapters._memory_simulation import CodecLike, Simulation
from chord_proto.config import Config
from chord_proto.effects import OpId
from chord_proto.messages import Message
from chord_proto.node import Node
from chord_proto.operations import Operation, Result
from chord_proto.peer import Address, Peer
from chord_proto.wire import OLDEST_VERSION, WIRE_VERSION

CURRENT: ContextVar[Network | None] = ContextVar("chord network", default=None)
"""The network whose ``with`` block this is in."""


class NotReached(AssertionError):
    """What was waited for did not happen within the virtual time allowed; the message tells how things stand."""


class Network(Sights):
    """Nodes, and a network between them, in virtual time; everything follows from the seed.

    ``latency`` is (shortest, longest) in seconds, each message drawing its own; with ``mean_latency``, seconds, it is drawn from
    an exponential distribution instead.  ``between`` says how many seconds it takes from one address to another, to which these
    are added.  Messages between two addresses keep their order, but for the share ``reorder``; the share ``loss`` is lost, the share ``duplicate`` arrives
    twice.  A write is durable ``write_delay`` seconds after it was asked for.  With a ``codec`` every message is
    encoded and decoded on its way; ``codecs`` are by wire version, for hosts that speak several.  ``config`` is that of
    nodes which bring none of their own.  ``watch`` is called with a `Step` after every input of every node.
    ``make_node`` makes nodes, with the arguments of `Node`, ``make_disk`` what a node's records lie on.  ``chance``
    draws the numbers from 0 to 1 by which links choose, instead of a generator from the seed.  Raises ``ValueError``
    for what cannot be.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        latency: tuple[float, float] = (0.001, 0.005),
        mean_latency: float | None = None,
        between: Callable[[Address, Address], float] | None = None,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        write_delay: float = 0.0,
        codec: CodecLike | None = None,
        codecs: Mapping[int, CodecLike] | None = None,
        config: Config | None = None,
        watch: Callable[[Step], None] | None = None,
        log_size: int = 10_000,
        make_node: Callable[..., Node] = Node,
        make_disk: Callable[[], Disk] = MemoryDisk,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._links = Links(seed, chance)
        self._links.set(latency=latency, loss=loss, duplicate=duplicate, reorder=reorder)
        if mean_latency is not None:
            self._links.mean = micros(mean_latency)
        self._links.between = between
        simulation = Simulation(self._links, codec=codec, codecs=codecs or {}, log_size=log_size, watch=watch)
        super().__init__(simulation, seed)
        self.config = config or Config()
        self._write_delay = micros(write_delay)
        self._make_node, self._make_disk = make_node, make_disk
        self._simulation.gone = self._end
        self._lives: dict[Address, int] = {}
        self._opened = self._ports = 0
        self._before: list[Network | None] = []

    def __enter__(self) -> Self:
        """Make this the network of `open_node` and `connect` within the block."""
        self._before.append(CURRENT.get())
        CURRENT.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        CURRENT.set(self._before.pop())

    async def __aenter__(self) -> Self:
        """Do what ``with`` does."""
        return self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        self.__exit__()

    # Nodes come and go

    def spawn(
        self,
        address: Address,
        *,
        join: Iterable[Address] = (),
        virtual_nodes: int = 1,
        config: Config | None = None,
        clock: float = 0.0,
        versions: tuple[int, int] = (OLDEST_VERSION, WIRE_VERSION),
    ) -> Node:
        """Start a process at ``address``: a ring of its own, or one that joins by the addresses ``join``.

        ``clock`` is how far its civil clock is ahead, in seconds; ``versions`` the lowest and highest wire version that
        it speaks, where there are ``codecs``.  Returns its first node.  Raises ``ValueError``
        when the address is taken.
        """
        return self._start(address, Setup(tuple(join), virtual_nodes, config or self.config, clock, versions), None)

    def adopt(self, *nodes: Node) -> None:
        """Let a process whose nodes were made elsewhere, as by `chord_proto.settled`, run at their address from now on.

        Raises ``ValueError`` when the address is taken, or is not the same for all of them.
        """
        simulation, address = self._simulation, nodes[0].me.address
        if any(node.me.address != address for node in nodes):
            raise ValueError(f"not all nodes are at {address}")
        if address in simulation.hosts or address in simulation.listening:
            raise ValueError(f"{address} is taken")
        self._lives[address] = nodes[0].incarnation
        setup = Setup((), len(nodes), nodes[0].config, 0.0)
        host = simulation.hosts[address] = Host(address, setup, write_delay=self._write_delay)
        for node in nodes:
            host.add(node, self._make_disk())
        self._log(address, "adopted")
        self._tell_wall(host)

    def restart(
        self,
        address: Address,
        *,
        join: Iterable[Address] | None = None,
        disk: bool = True,
        torn: bool = False,
        versions: tuple[int, int] | None = None,
    ) -> Node:
        """Start the process at ``address`` again, in a new life, with what its disk held or without.

        ``torn``: of the writes that were under way when it went down, the first half reached the disk after all.
        It joins as it did before, and speaks the same wire versions, unless told otherwise.  Raises ``ValueError`` when it is not down.
        """
        if address not in self._down:
            raise ValueError(f"{address} is not down")
        old = self._down[address]
        setup = old.setup
        if join is not None:
            setup = attrs.evolve(setup, join=tuple(join))
        setup = attrs.evolve(setup, versions=versions or setup.versions)
        if torn:
            old.tear()
        return self._start(address, setup, old if disk else None)

    def _start(self, address: Address, setup: Setup, old: Host | None) -> Node:
        simulation = self._simulation
        if address in simulation.hosts or address in simulation.listening:
            raise ValueError(f"{address} is taken")
        self._down.pop(address, None)
        simulation.silent.pop(address, None)
        life = self._lives[address] = self._lives.get(address, 0) + 1
        host = simulation.hosts[address] = Host(address, setup, write_delay=self._write_delay)
        self._log(address, "start")
        for index in range(setup.virtual_nodes):
            me = Peer.at(address, index, bits=setup.config.bits)
            disk = self._make_disk() if old is None else old.slots[me.id].disk
            name = f"{self.seed}/{address}/{index}/{life}".encode()
            seed = int.from_bytes(blake2b(name, digest_size=8).digest())
            kept: dict[str, Any] = {"records": disk.records().values(), "width": disk.width, "founded": disk.founded}
            if old is not None:
                kept["away"] = (simulation.now - old.ended) / MICROS
            node = self._make_node(me, seed=seed, config=setup.config, incarnation=life, **kept)
            host.add(node, disk)
        for slot in tuple(host.slots.values()):
            simulation.put_in(host, slot, "wall", EPOCH + setup.clock)
            others_here = setup.virtual_nodes > 1 and (setup.join or slot is not host.first)
            via = (*setup.join, address) if others_here else setup.join
            if via:
                simulation.put_in(host, slot, "join", OpId(self._handle(host, slot, None).op), via)
            else:
                simulation.put_in(host, slot, "create")
        return next(iter(host.slots.values())).node

    def leave(self, address: Address) -> tuple[Handle, ...]:
        """Let the nodes at ``address`` leave gracefully; a handle for each tells when it has."""
        host = self._host(address)
        self._log(address, "leave")
        handles = []
        for slot in tuple(host.slots.values()):
            if slot.up:
                handle = self._handle(host, slot, None)
                handles.append(handle)
                self._simulation.act(host, slot, "leave", OpId(handle.op))
        return tuple(handles)

    def crash(self, address: Address, *, silent: bool = False) -> None:
        """Kill the process at ``address``; writes that are not durable yet are lost.

        Like a killed process it breaks its connections and refuses new ones, which others learn one latency later;
        ``silent``, like a machine without power, it does neither.
        """
        listener = self._simulation.listening.get(address)
        host = None if listener is not None else self._host(address)
        self._log(address, "crash, silent" if silent else "crash")
        if silent:
            self._simulation.silent[address] = None
        if host is None:
            assert listener is not None
            listener.crash(silent=silent)
            return
        for slot in host.slots.values():
            self._simulation.end(slot)
        self._end(host)

    def _end(self, host: Host) -> None:
        del self._simulation.hosts[host.address]
        self._down[host.address] = host
        host.ended = self._simulation.now
        if host.address not in self._simulation.silent:
            self._simulation.break_connections(host.address)

    def pause(self, address: Address, seconds: float) -> None:
        """Let the process at ``address`` do nothing for a while, like a suspended machine; what comes meanwhile waits."""
        self._log(address, f"pause for {seconds} s")
        until = self._simulation.now + micros(seconds)
        if address in self._simulation.listening:
            self._simulation.listening[address].pause(until)
        else:
            self._simulation.pause(self._host(address), until)

    def resume(self, address: Address) -> None:
        """End a pause of a spawned node early; harmless when there is none."""
        self._log(address, "resume")
        host = self._host(address)
        host.paused = min(host.paused, self._simulation.now)
        self._simulation.resume(host)

    def fail_disk(self, address: Address) -> None:
        """Let every write at ``address`` fail from now on, until it is restarted."""
        self._log(address, "disk fails")
        self._host(address).disk_fails = True

    def slow_disk(self, address: Address, seconds: float) -> None:
        """Let every write at ``address`` take so long from now on, until it is restarted."""
        self._log(address, f"writes take {seconds} s")
        self._host(address).write_delay = micros(seconds)

    def set_clock(self, address: Address, offset: float) -> None:
        """Set the civil clock at ``address`` to so many seconds ahead of the others, as a person or NTP might."""
        self._log(address, f"clock set {offset:+} s")
        host = self._host(address)
        host.setup = attrs.evolve(host.setup, clock=offset)
        self._tell_wall(host)

    def drift(self, address: Address, rate: float) -> None:
        """Let the clocks at ``address`` run at so many seconds a second from now on; they only ever run forward."""
        if rate <= 0:
            raise ValueError(f"a clock's rate is greater than zero, not {rate}")
        self._log(address, f"clock runs at {rate}")
        host, now = self._host(address), self._simulation.now
        shown = micros(host.seconds(now))
        host.set_clock(now, rate=rate, ahead=shown - now)
        self._tell_wall(host)

    def _tell_wall(self, host: Host) -> None:
        """Tell the nodes the difference of their civil clock to the one that they measure by."""
        for slot in tuple(host.slots.values()):
            self._simulation.act(host, slot, "wall", EPOCH + host.setup.clock)

    # The network between them

    def set_links(
        self,
        *,
        latency: tuple[float, float] | None = None,
        loss: float | None = None,
        duplicate: float | None = None,
        reorder: float | None = None,
        corrupt: float | None = None,
    ) -> None:
        """Change what is given, for messages sent from now on.

        The share ``corrupt`` arrives with other bytes: it is not delivered, and ends the connection.
        """
        self._links.set(latency=latency, loss=loss, duplicate=duplicate, reorder=reorder, corrupt=corrupt)

    def partition(self, *groups: Iterable[Address], oneway: bool = False) -> None:
        """Separate the groups of addresses from each other, one group alone from everybody else.

        Messages across are lost in silence, those under way too; ``oneway``, only those from an earlier group to a
        later one.  Addresses in no group go on reaching everybody.  Partitions add up until `heal`.
        """
        listed = tuple(tuple(group) for group in groups)
        self._log("", f"partition {listed}{' one way' if oneway else ''}")
        self._links.partition(listed, oneway=oneway)

    def cut(self, a: Address, b: Address, *, oneway: bool = False) -> None:
        """Lose what ``a`` sends to ``b`` and, unless ``oneway``, what ``b`` sends to ``a``, until `heal`."""
        self._log(a, f"cut from {b}{' one way' if oneway else ''}")
        self._links.cut(a, b, oneway=oneway)

    def tamper(self, address: Address, function: Callable[[Message], Message | None] | None) -> None:
        """Let what ``address`` sends to others go through ``function`` from now on, which may return another message.

        What it returns is sent, None is lost.  ``function`` None: the address is honest again.
        """
        self._log(address, "is honest again" if function is None else "is tampered with")
        if function is None:
            self._simulation.tampers.pop(address, None)
        else:
            self._simulation.tampers[address] = function

    def heal(self) -> None:
        """Undo every cut and partition."""
        self._log("", "heal")
        self._links.heal()

    # Operations

    def perform(
        self, address: Address, operation: Operation, *, index: int = 0, timeout: float | None = None
    ) -> Handle:
        """Start an operation at the node at ``address``, as its application would; `wait` for its result."""
        host, slot = self._host(address), self._slot(address, index)
        handle = self._handle(host, slot, operation)
        self._simulation.act(host, slot, "perform", OpId(handle.op), operation, timeout=timeout)
        return handle

    def cancel(self, handle: Handle) -> None:
        """Cancel an operation; harmless when it has ended."""
        if handle.result is None:
            host, slot = self._host(handle.address), self._slot(handle.address, handle.index)
            self._simulation.act(host, slot, "cancel", OpId(handle.op))

    def wait(self, handle: Handle, *, within: float = 60.0) -> Result:
        """Let time pass until an operation has ended, and return its result; raises `NotReached`."""
        simulation = self._simulation
        limit = simulation.now + micros(within)
        while handle.result is None:
            if simulation.next_at > limit:
                raise NotReached(f"{handle.operation} at {handle.address} has not ended: {self.describe()}")
            simulation.step()
        return handle.result

    def do(self, address: Address, operation: Operation, *, within: float = 60.0) -> Result:
        """Perform an operation and wait for its result."""
        return self.wait(self.perform(address, operation), within=within)

    # Time

    def run_for(self, seconds: float) -> None:
        """Let this much time pass."""
        self._simulation.run_to(self._simulation.now + micros(seconds))

    def run_until(
        self,
        predicate: Callable[[], bool],
        *,
        within: float,
        every: float = 0.01,
        explain: Callable[[], object] | None = None,
    ) -> float:
        """Let time pass until ``predicate`` is true, looking ``every`` so many seconds; return how long it took.

        Raises `NotReached` after ``within`` seconds, saying what ``explain`` returns and how the nodes stand.
        """
        simulation = self._simulation
        start, limit, stride = simulation.now, simulation.now + micros(within), max(1, micros(every))
        while not predicate():
            if simulation.now >= limit:
                why = "" if explain is None else f": {explain()}"
                raise NotReached(f"not true after {within} s{why}; {self.describe()}")
            simulation.run_to(min(limit, simulation.now + stride))
        return (simulation.now - start) / MICROS

    # Small parts

    def _handle(self, host: Host, slot: Slot, operation: Operation | None) -> Handle:
        handle = slot.handles[slot.next_op] = Handle(
            host.address, slot.node.me.index, slot.next_op, operation, self.now
        )
        slot.next_op += 1
        return handle

    def _log(self, address: Address, what: str) -> None:
        self._simulation.events.append(Logged(self.now, address, what))
