"""A ring in virtual time for tests of applications: real nodes, as `open_node` gives them, and a simulated network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar, TypeVarTuple

import anyio

from chord_adapters._driver import Driver
from chord_adapters._memory_opening import open_driver
from chord_adapters._memory_runtime import VirtualRuntime
from chord_adapters._node import Node
from chord_adapters._results import Entry, PutResult
from chord_adapters.memory import Network
from chord_adapters.storage import MemoryStorage
from chord_adapters.testing._stage import is_settled
from chord_proto.config import Config
from chord_proto.peer import Address

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VirtualRing:
    """An ideal ring of ``n`` nodes over a simulated network, all following from the seed.

    ``nodes`` are those of `chord_adapters.memory.open_node`, for asynchronous code on any event loop; time is virtual,
    and passes while somebody waits for a node.  Everything else here is plain.  The methods that write and read run an
    event loop of their own, so asynchronous code uses those of a node instead.  ``durable`` nodes each have a
    `MemoryStorage`, with which `start` lets them go on at the same address.  ``network`` is what
    `chord_adapters.memory.Network` takes: ``latency``, ``loss``, ….  Raises ``ValueError`` for what cannot be, and
    `chord_adapters.memory.NotReached` when the ring does not become ideal.
    """

    def __init__(
        self, n: int = 8, *, seed: int = 0, config: Config | None = None, durable: bool = False, **network: Any
    ) -> None:
        if n < 1:
            raise ValueError(f"a ring has at least one node, not {n}")
        self.seed = seed
        self.net = Network(seed, config=config, **network)
        """The simulated network, for faults: `Network.partition`, `Network.heal`, `Network.pause`, …."""
        self._nodes: dict[Address, Node] = {}
        self._opened: list[Node] = []
        self._durable = durable
        self._storages: dict[Address, MemoryStorage] = {}
        for _ in range(n):
            self.start()
        self.settle()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The node at each address, in the order in which they were started, also those that are gone."""
        return tuple(self._nodes.values())

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The address of each node: ``node0:4600``, ``node1:4600``, …."""
        return tuple(self._nodes)

    @property
    def up(self) -> tuple[Node, ...]:
        """The nodes that have not left, crashed or died."""
        return tuple(node for node in self.nodes if not node._driver.is_over)

    def node(self, address: Address) -> Node:
        """Return the node at an address; raises ``LookupError`` when there never was one."""
        if address not in self._nodes:
            raise LookupError(f"there is no node at {address!r}; there are: {' '.join(self._nodes)}")
        return self._nodes[address]

    # Nodes come and go

    def start(self, address: Address | None = None, *, virtual_nodes: int = 1) -> Node:
        """Start a node that joins by those that are up, at a new address or, in a new life, at an old one.

        Returns at once; `settle` waits for it.  Raises ``OSError`` when the address is taken.
        """
        where = f"node{len(self._nodes)}:4600" if address is None else address
        driver = open_driver(
            self.net,
            where,
            join=[node.address for node in self.up[:3]],
            config=self.net.config,
            virtual_nodes=virtual_nodes,
            network="chord",
            advertise=None,
            seed=None,
            storage=self._storages.setdefault(where, MemoryStorage()) if self._durable else None,
        )
        node = self._nodes[driver.address] = Node(driver)
        self._opened.append(node)
        return node

    def crash(self, address: Address, *, silent: bool = False) -> None:
        """Kill the node at an address; ``silent``, like a machine without power, its connections do not even break."""
        if self.node(address)._driver.is_over:
            raise LookupError(f"no node is up at {address}")
        self.net.crash(address, silent=silent)

    def settle(self, *, within: float = 120.0) -> float:
        """Let time pass until all that are up are an ideal ring with all records in place; return the seconds.

        Nodes that the application itself opened on this network count too.
        """
        return self.net.run_until(lambda: is_settled(self._everybody(), self.net.config), within=within)

    def _everybody(self) -> list[Node]:
        listening = self.net._simulation.listening.values()
        engines = (each.engine for each in listening if isinstance(each, VirtualRuntime))
        return [Node(engine) for engine in engines if isinstance(engine, Driver)]

    def advance(self, seconds: float) -> None:
        """Let this much virtual time pass."""
        self.net.run_for(seconds)

    # Records

    def put(self, key: str | bytes, value: bytes, *, at: Address | None = None, **options: Any) -> PutResult:
        """Write through the node at an address, by default the first that is up.

        Takes the options of `Node.put` (``ttl``, ``w``, ``if_version``, …), and raises what it raises.
        """
        return self.run(partial(self._at(at).put, key, value, **options))

    def get(self, key: str | bytes, *, at: Address | None = None, **options: Any) -> Entry | None:
        """Read through a node, None when there is nothing; takes and raises what `Node.get` does."""
        return self.run(partial(self._at(at).get, key, **options))

    def delete(self, key: str | bytes, *, at: Address | None = None, **options: Any) -> PutResult:
        """Delete through a node; takes and raises what `Node.delete` does."""
        return self.run(partial(self._at(at).delete, key, **options))

    def owner(self, key: str | bytes | int, *, at: Address | None = None) -> Address:
        """Return the address of the key's owner, as a node finds it; raises what `Node.locate` raises."""
        return self.run(self._at(at).locate, key).address

    def _at(self, address: Address | None) -> Node:
        if address is not None:
            return self.node(address)
        if not self.up:
            raise LookupError("no node is up")
        return self.up[0]

    # Asynchronous code

    def run(self, function: Callable[[*Ts], Awaitable[T]], *args: *Ts, backend: str = "asyncio") -> T:
        """Run an asynchronous function on this network, with ``backend="trio"`` on trio, and return what it returns.

        In it `chord_adapters.memory.open_node`, ``connect``, ``sleep`` and ``current_time`` are about this network.
        """

        async def inside() -> T:
            with self.net:
                return await function(*args)

        return anyio.run(inside, backend=backend)

    # The end

    def describe(self) -> str:
        """Tell in words how the nodes stand and what happened last."""
        return self.net.describe()

    def close(self) -> None:
        """End all nodes; raises `Closed`, with the cause, when one of them had died of a bug."""
        for node in self._opened:
            node.abort()
        for node in self._opened:
            node._raise_cause()


class MakeRing(Protocol):
    """What the pytest fixture ``chord_ring`` is."""

    def __call__(
        self, n: int = 8, *, seed: int | None = None, config: Config | None = None, **network: Any
    ) -> VirtualRing:
        """Return an ideal ring of ``n`` nodes, see `VirtualRing`; ``seed`` is that of the test unless given."""
