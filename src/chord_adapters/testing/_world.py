"""A ring under faults: nodes, an overseer, a ledger, and the two phases, faults and then quiet."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chord_adapters._memory_disk import Disk, MemoryDisk
from chord_adapters.memory import Handle, Network, NotReached
from chord_adapters.testing._choices import Choices, Seeded, chance_of
from chord_adapters.testing._ledger import Ledger, Name, replicas_of
from chord_adapters.testing._lying import Liar, ghosts
from chord_adapters.testing._overseer import Broken, Overseer
from chord_adapters.testing._versions import BOTH, THIS, NextCodec
from chord_proto.config import Config
from chord_proto.identifiers import content_key
from chord_proto.invariants import MEMBERS, why_not_ideal
from chord_proto.messages import Space
from chord_proto.node import Node
from chord_proto.operations import Fetch, Get, Left, Operation
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.wire import Codec

LIGHTHOUSE = "n0"
"""The address that everybody joins by, besides others: as long as it comes back, no part of the ring stays lost."""
SETTLED_WITHIN = 240.0
"""Virtual seconds in which a ring is ideal again: probes come at most 30 s apart, and a merge takes rounds of them."""

USUAL = (0.001, 0.005)
"""The shortest and the longest time that a message takes in good weather, in seconds."""
_PAUSE = 8.0
"""Virtual seconds for which faults pause so that the ring may become steady."""
SLOW = 0.3
"""What a message may take before timeouts speak for a failure, in seconds."""

STAYS = 3.0
"""Virtual seconds after which everything has been under way that was sent before: some rounds of stabilise."""


class World:
    """One run on a simulated network: an ideal ring of ``size`` processes at first.

    Faults are methods; `settle` ends them, waits, and checks what must hold then.  After every input of every node
    the invariants are checked, each while the faults so far allow it.  Everything follows from ``seed``; with
    ``choices`` the links draw from these.  With ``versions`` 1 every second host speaks the next wire version,
    too.  ``make_node`` makes the nodes, with the arguments of `Node`, ``make_disk`` what their records lie on.  Raises
    `Broken` with the name of the property that does not hold.
    """

    def __init__(
        self,
        seed: int = 0,
        config: Config | None = None,
        *,
        size: int = 4,
        virtual_nodes: int = 1,
        write_delay: float = 0.0,
        versions: int = 0,
        choices: Choices | None = None,
        make_node: Callable[..., Node] = Node,
        make_disk: Callable[[], Disk] = MemoryDisk,
    ) -> None:
        self.config = config = Config() if config is None else config
        self.virtual_nodes = virtual_nodes
        self._speaks = (THIS, BOTH) if versions else (THIS,)
        """What hosts speak, one after the other."""
        self._spoken: dict[Address, tuple[int, int]] = {}
        self.overseer = Overseer(config)
        self.overseer.seen["did: two wire versions"] += bool(versions)
        self.net = Network(
            seed,
            config=config,
            watch=self.overseer,
            write_delay=write_delay,
            make_node=make_node,
            make_disk=make_disk,
            chance=None if choices is None else chance_of(choices),
            codecs={THIS[1]: Codec(config.bits), BOTH[1]: NextCodec(config.bits)} if versions else None,
        )
        self.overseer.network = self.net
        self._choices = Seeded(seed) if choices is None else choices
        self._ghosts: tuple[Peer, ...] = ()
        self.ledger = Ledger(config, self.holders)
        self.leaves: dict[Address, tuple[Handle, ...]] = {}
        self.spawned = 0
        self.values = 0
        """How many values clients have written, to tell them apart."""
        self.odd: set[Address] = set()
        """Whose disk or clock is not as others'."""
        self.parted = False
        """Whether links were cut: then what both sides wrote is merged only some time after the rings are one."""
        for _ in range(size):
            self.join([LIGHTHOUSE] if self.spawned else [])
            self.net.run_for(0.05)
        self.wait_ideal(within=60.0)
        self.net.run_for(1.0)
        self.ledger.width = min(config.replicas, size)

    # Looking

    @property
    def up(self) -> tuple[Address, ...]:
        """Addresses that are up and not about to leave."""
        return tuple(address for address in self.net.addresses if address not in self.leaves)

    def members(self) -> list[Peer]:
        """Every member."""
        return [node.me for node in self.net.nodes if node.phase in MEMBERS]

    def holders(self, name: Name) -> dict[str, str]:
        """Return who holds a name durably, address by address, and in which version."""
        held: dict[str, str] = {}
        for node in self.net.nodes:
            kept = self.net.disk(node.me.address, node.me.index).get(name)
            if kept is not None:
                held[node.me.address] = max(kept.version, held.get(node.me.address, ""))
        return held

    def why_not_ideal(self) -> str | None:
        """Say what keeps the ring from being ideal."""
        return why_not_ideal(self.net.nodes, self.config)

    def wait_ideal(self, *, within: float = SETTLED_WITHIN) -> float:
        """Wait until the ring is ideal and everybody is a member."""

        def ideal() -> bool:
            return all(node.phase in MEMBERS for node in self.net.nodes) and self.why_not_ideal() is None

        took = self._wait(self._what_is_missing, ideal, within=within, explain=self.why_not_ideal)
        self.overseer.look_for_assumptions()
        return took

    def _what_is_missing(self) -> str:
        return "L3" if self.why_not_ideal() is None else "L1"

    def _wait(
        self,
        name: str | Callable[[], str],
        holds: Callable[[], bool],
        *,
        within: float,
        every: float = 0.1,
        explain: Callable[[], object] | None = None,
    ) -> float:
        """Wait for what the property ``name`` promises."""
        try:
            return self.net.run_until(holds, within=within, every=every, explain=explain)
        except NotReached as error:
            raise Broken(f"{name if isinstance(name, str) else name()}: {error}") from error

    # Nodes come and go

    def join(self, via: Iterable[Address]) -> Address:
        """Start the next new node."""
        address = f"n{self.spawned}"
        while address != LIGHTHOUSE and self._collides(address):
            self.spawned += 1
            address = f"n{self.spawned}"
        versions = self._spoken[address] = self._speaks[self.spawned % len(self._speaks)]
        self.spawned += 1
        self._coming(address)
        via = tuple(dict.fromkeys(via))
        self.net.spawn(address, join=via, virtual_nodes=self.virtual_nodes, versions=versions)
        return address

    def _places(self, address: Address) -> list[Peer]:
        return [Peer.at(address, index, bits=self.config.bits) for index in range(self.virtual_nodes)]

    def _collides(self, address: Address) -> bool:
        taken = {peer.id for peer in self.overseer.existed}
        return any(peer.id in taken for peer in self._places(address))

    def _coming(self, address: Address) -> None:
        for peer in self._places(address):
            self.overseer.coming(peer)

    def crash(self, address: Address, *, silent: bool) -> None:
        """Kill a process."""
        self.collect()
        self.ledger.calm = False
        self.ledger.failing(address, self.members())
        self.overseer.going(address, crash=True)
        self.leaves.pop(address, None)
        self.net.crash(address, silent=silent)
        if self._is_somebody_cut_off():
            self.ledger.disturbed()

    def _is_somebody_cut_off(self) -> bool:
        """Tell whether somebody knows no living successor, so that it may take itself for a ring of its own."""
        living = set(self.net.addresses)
        lists = [{peer.address for peer in node.successors} for node in self.net.nodes if node.phase in MEMBERS]
        return any(addresses and not addresses & living for addresses in lists)

    def restart(
        self, address: Address, *, via: Iterable[Address], disk: bool = True, torn: bool = False, speaks: int = 0
    ) -> None:
        """Start a process again, with its disk (what was being written torn) or without.

        In a world of two wire versions it then ``speaks`` one (1), both (2), or what it did before (0).
        """
        before = self._spoken[address]
        versions = self._spoken[address] = (before, THIS, self._speaks[-1])[speaks]
        if versions != before:
            self.overseer.seen["did: upgrade" if versions == BOTH else "did: downgrade"] += 1
        others = [other for other in dict.fromkeys(via) if other != address]
        self.ledger.calm = False
        if not others:
            self.ledger.width = 0  # A ring of its own.
            self.ledger.disturbed()
        self.net.run_for(0.002)  # A clock that stood still would give two lives the same versions.
        self._coming(address)
        self.net.restart(address, disk=disk, torn=torn, join=others, versions=versions)

    def relight(self) -> None:
        """Make the lighthouse a member's or a ring of its own, if it is down or waits for somebody who never comes."""
        if LIGHTHOUSE in self.net.addresses and self.node(LIGHTHOUSE).phase is Phase.JOINING and not self.members():
            self.crash(LIGHTHOUSE, silent=False)
        if LIGHTHOUSE in self.net.down:
            self.restart(LIGHTHOUSE, disk=True, via=[peer.address for peer in self.members()])

    def partition(self, *groups: Iterable[Address], oneway: bool = False) -> None:
        """Separate groups of addresses."""
        self.parted = True
        self.ledger.disturbed()
        self.overseer.assume_nothing("partition")
        self.net.partition(*groups, oneway=oneway)

    def cut(self, a: Address, b: Address, *, oneway: bool = False) -> None:
        """Cut one link."""
        self.parted = True
        self.ledger.disturbed()
        self.overseer.assume_nothing("cut")
        self.net.cut(a, b, oneway=oneway)

    def pause(self, address: Address, seconds: float) -> None:
        """Let a process sleep, which to the others looks like a partition."""
        self.parted = True
        self.ledger.disturbed()
        self.overseer.assume_nothing("paused")
        self.net.pause(address, seconds)

    def weather(
        self, *, loss: float, duplicate: float, reorder: float, corrupt: float = 0.0, slowest: float = USUAL[1]
    ) -> None:
        """Change the links: shares of messages, and the longest time that one takes."""
        if loss or corrupt or slowest > SLOW:
            self.ledger.disturbed()
        if corrupt or slowest > SLOW:
            self.overseer.assume_nothing("weather")
        latency = (USUAL[0], max(slowest, USUAL[0]))
        self.net.set_links(loss=loss, duplicate=duplicate, reorder=reorder, corrupt=corrupt, latency=latency)

    def lie(self, address: Address, how: str, seconds: float, *, share: float = 1.0) -> None:
        """Let a host lie for so many seconds in what it sends, as a `Liar` does."""
        self.parted = True
        if not self._ghosts:
            taken = {peer.id for peer in self.overseer.existed}
            self._ghosts = tuple(peer for peer in ghosts(self.config.bits) if peer.id not in taken)
        until = self.net.now + seconds
        self.overseer.deceived(address, self._ghosts, until)
        self.ledger.deceived()
        liar = Liar(how, self._choices, self.config.bits, share, self._ghosts)
        self.net.tamper(address, lambda message: liar(message) if self.net.now < until else message)

    def heal(self) -> None:
        """Join what was cut, and make the links as they were."""
        self.net.heal()
        self.net.set_links(loss=0.0, duplicate=0.0, reorder=0.0, corrupt=0.0, latency=USUAL)

    def slow_disk(self, address: Address, seconds: float) -> None:
        """Let writes take long."""
        self.ledger.calm = False
        self.odd.add(address)
        self.net.slow_disk(address, seconds)

    def set_clock(self, address: Address, offset: float) -> None:
        """Set a civil clock."""
        self.ledger.calm = self.ledger.history.clocks_agree = False
        self.net.set_clock(address, offset)

    def drift(self, address: Address, rate: float) -> None:
        """Let clocks run fast or slowly, and their timeouts with them."""
        self.ledger.disturbed()
        self.ledger.history.clocks_agree = False
        self.overseer.assume_nothing("drift")
        self.odd.add(address)
        self.net.drift(address, rate)

    def leave(self, address: Address) -> None:
        """Let a process leave gracefully."""
        self.ledger.width = 0
        self.overseer.going(address, crash=False)
        self.leaves[address] = self.net.leave(address)

    def collect(self) -> None:
        """Take note of what has ended."""
        for address, handles in tuple(self.leaves.items()):
            if all(handle.done for handle in handles):
                del self.leaves[address]
                handed_over = all(isinstance(h.result, Left) and h.result.handed_over for h in handles)
                if handed_over:
                    self.ledger.left(address, self.members())
                else:
                    self.ledger.calm = False
                    self.ledger.failing(address, self.members())
        self.ledger.collect()
        self.overseer.look_for_assumptions()

    # Operations

    def perform(self, address: Address, operation: Operation) -> Handle:
        """Start an operation of a client at a node."""
        self.ledger.collect()  # Whoever begins now begins after what has ended.
        handle = self.net.perform(address, operation)
        self.ledger.started(handle)
        return handle

    def node(self, address: Address) -> Node:
        """Return the first node at an address."""
        return self.net.node(address)

    # Quiet

    def settle(self) -> None:
        """End all faults, wait until the ring is ideal and its records are where they belong, and judge."""
        net = self.net
        self.heal()
        for address in self.overseer.honest():
            net.tamper(address, None)
        for address in net.addresses:
            net.resume(address)
            if address in self.odd:
                net.slow_disk(address, 0.0)
                net.drift(address, 1.0)
        self._wait("L9", lambda: not self._pending_leaves(), within=60.0, explain=self._pending_leaves)
        self.relight()
        self.wait_ideal()
        net.run_for(STAYS)
        self.wait_ideal()  # Once more: an answer that was under way may have spoilt what was ideal.
        net.run_for(STAYS)
        self._wait("L4", lambda: all(handle.done for handle in self.ledger.open), within=30.0)
        self.collect()
        self._wait("S18", self._all_ready, within=60.0, explain=self._who_is_not_ready)
        self.overseer.check_ring({"A", "Q"})
        self.ledger.history.final = True
        if not self.parted and self.ledger.history.steady:  # Else a copy may be with who was taken for the owner.
            self._read_all()
        self._wait("D4", self._records_in_place, within=60.0, every=0.25, explain=self._what_is_out_of_place)
        self._read_all()
        self.overseer.check_ring({"A", "Q"})
        self._look_for_forged_blocks()
        disks = [net.disk(node.me.address, node.me.index) for node in net.nodes]
        self.ledger.judge_failed({record.value for disk in disks for record in disk.values()})
        if problems := self.ledger.verdict():
            raise Broken("\n".join([*problems, net.describe()]))

    def steady(self) -> None:
        """Let faults pause for a while; if all is well then, reads and writes are in one order again from here on."""
        self.heal()
        for address in self.net.addresses:
            self.net.resume(address)
        self.net.run_for(_PAUSE)
        self.collect()
        all_is_well = not (self.odd or self.leaves) and self.why_not_ideal() is None and self._all_ready()
        if all_is_well and self.overseer.lies_until < self.net.now and self._records_in_place():
            self.ledger.steadied()

    def _look_for_forged_blocks(self) -> None:
        for node in self.net.nodes:
            for (space, name), record in self.net.disk(node.me.address, node.me.index).items():
                if space == Space.BLOCK and content_key(record.value or b"").to_bytes(20) != name:
                    raise Broken(f"D9: {node.me.address} holds {record.value!r} as the block {name.hex()}")

    def _pending_leaves(self) -> list[Address]:
        self.collect()
        return list(self.leaves)

    def _all_ready(self) -> bool:
        return all(node.ready for node in self.net.nodes)

    def _who_is_not_ready(self) -> object:
        return [(node.me.address, node.view().pending_arcs) for node in self.net.nodes if not node.ready]

    def _read_all(self) -> None:
        self.ledger.steadied()
        for turn, name in enumerate(self.ledger.entries if self.net.addresses else ()):
            space, key = name
            address = self.net.addresses[turn % len(self.net.addresses)]
            operation = Get(key) if space == Space.RECORD else Fetch(int.from_bytes(key))
            handle = self.perform(address, operation)
            self.net.run_until(lambda handle=handle: handle.done, within=60.0, every=0.01)  # type: ignore[misc]
            self.ledger.collect()
            self.ledger.judge(name, handle)

    def _out_of_place(self) -> list[tuple[Name, list[str], list[str]]]:
        members = sorted(self.members(), key=lambda peer: peer.id)
        wrong = []
        for name in self.ledger.entries:
            held = self.holders(name)
            wanted = replicas_of(name, members, self.config)
            newest = max(held.values(), default="")
            if held and (sorted(held) != sorted(wanted) or set(held.values()) != {newest}):
                wrong.append((name, sorted(held), sorted(wanted)))
        return wrong

    def _records_in_place(self) -> bool:
        return not self._out_of_place()

    def _what_is_out_of_place(self) -> object:
        return self._out_of_place()
