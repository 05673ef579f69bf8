"""The node as applications see it, the same on every event loop."""

from __future__ import annotations

import attrs

from chord_adapters._arguments import place_of, timeout_of
from chord_adapters._driver import Driver, DriverCounters
from chord_adapters._events import Gained, Lost
from chord_adapters._keeper import StorageCounters
from chord_adapters._links import LinkCounters
from chord_adapters._operations import Operations
from chord_adapters._results import Health
from chord_adapters._subscription import Subscription
from chord_adapters._turns import Ticket
from chord_proto.node import Stats
from chord_proto.operations import Description, Operation, Result
from chord_proto.peer import Address, Peer


@attrs.frozen
class NodeStats:
    """Counters and sizes: of the nodes (one each virtual node), of their driver, and of the connections."""

    nodes: tuple[Stats, ...]
    driver: DriverCounters
    links: LinkCounters
    inbound: int
    """Connections that came in, now."""
    outbound: int
    """Connections that we dialled, now."""
    strangers: int
    """Connections that came in and have not shown yet who they are, those in the handshake of TLS among them, now."""
    buffered_bytes: int
    """Bytes that wait to be sent, now."""
    received_bytes: int
    """Bytes of frames of which not all has come, now."""
    guests: int
    """Operations of clients that wait their turn or are under way, now."""
    guest_bytes: int
    """Bytes of the values that these carry, now."""
    subscriptions: int
    """Subscriptions to what the node decides for, now."""
    calls: int
    """Calls that are not finished, now."""
    storage: StorageCounters | None = None
    """What was handed to the storage; None without one."""


class Node(Operations[Ticket]):
    """A member of a ring, or one on its way there; made by ``open_node``.

    With several virtual nodes the views are those of the first place, unless they say otherwise.
    """

    _verified = True

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._config = driver.config

    def __repr__(self) -> str:
        return f"<Node {self.address} {self._driver.nodes[0].phase.value}>"

    # Lifetime

    async def wait_ready(self, *, timeout: float | None = None) -> None:
        """Wait until the node is a member and the records of its own range are here, without end by default.

        Raises `JoinRefused` when joining is hopeless (every contact that answers belongs to another network, or has
        no wire version in common), `NotReady` after ``timeout`` seconds, `Closed` when the node ends.
        """
        await self._driver.wait_ready(timeout_of(timeout))

    async def wait_closed(self) -> None:
        """Wait until the node has left, was aborted, or has died, which raises `Closed` with the cause."""
        await self._driver.wait_over()
        self._raise_cause()

    async def leave(self, *, drain: bool = False) -> None:
        """Leave the ring within ``Config.leave_timeout``: hand the records on, tell the neighbours, stop.

        With ``drain`` raises `Timeout` when something could not be handed over; for the last member nothing can.
        Raises `Closed` when the node has ended before.  Calls that come afterwards raise `Closed`.
        """
        await self._driver.leave(drain=drain)

    def abort(self) -> None:
        """Crash: close all sockets at once and tell nobody.  Harmless when the node has ended."""
        self._driver.abort()

    # Views

    @property
    def address(self) -> Address:
        """The address that the node advertises, with the port that was picked."""
        return self._driver.address

    @property
    def peer(self) -> Peer:
        """The node's own place and address."""
        return self._driver.nodes[0].me

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The places of all its virtual nodes."""
        return tuple(node.me for node in self._driver.nodes)

    @property
    def id(self) -> int:
        """The node's place on the circle."""
        return self.peer.id

    @property
    def predecessor(self) -> Peer | None:
        """The predecessor pointer; None for a ring of one."""
        return self._driver.nodes[0].predecessor

    @property
    def predecessors(self) -> tuple[Peer, ...]:
        """The nodes before it, nearest first."""
        return self._driver.nodes[0].predecessors

    @property
    def successors(self) -> tuple[Peer, ...]:
        """The successor list, never holding the node itself."""
        return self._driver.nodes[0].successors

    @property
    def is_ready(self) -> bool:
        """True when `wait_ready` would return at once."""
        return not self._driver.is_over and self._driver.is_ready

    @property
    def contacts(self) -> dict[Address, str]:
        """What is known of each address to join by: a word or two for people."""
        links = self._driver.links
        return {address: links.contact(address).standing.value for address in self._driver.contacts}

    def owns(self, key: str | bytes | int) -> bool:
        """Tell whether a key lies on the range of this node, of any of its places; an int is a place or content key."""
        place = place_of(key, self._config)
        return any(node.owns(place) for node in self._driver.nodes)

    def ownership(self) -> Subscription[Gained | Lost]:
        """Return a subscription to the arcs of the circle that this node decides for, of all its places.

        ::

            async with node.ownership() as changes:
                async for change in changes:
                    match change:
                        case Gained(): ...  # ours from now on: change.start, change.end, `"job/17" in change`
                        case Lost(): ...  # another's, or soon
                        case Lagged(): ...  # forget all arcs: those that are ours now follow

        It begins with what the node decides for at that moment, as `Gained`.  While nodes join, leave or crash one
        after another an arc is `Lost` at one node before it is `Gained` at the next.  A node that is cut off, or was
        paused, believes in its arcs until it hears otherwise.  One that begins to leave has lost all.  Raises `Busy`
        with 64 subscriptions open, and `Closed` when the node ends, which decides for nothing then.
        """
        return Subscription(self._driver.ownership.hub)

    def health(self) -> Health:
        """Return how the node is; with several places, the worst of them."""
        return Health.of([node.describe() for node in self._driver.nodes], ready=self.is_ready)

    def stats(self) -> NodeStats:
        """Return counters since the node began, and sizes now."""
        driver = self._driver
        return NodeStats(
            nodes=tuple(node.stats() for node in driver.nodes),
            driver=attrs.evolve(driver.counters),
            links=attrs.evolve(driver.links.counters),
            inbound=len(driver.links.inbound),
            outbound=len(driver.links.outbound),
            strangers=len(driver.links.doors),
            buffered_bytes=driver.links.buffered_bytes,
            received_bytes=driver.links.buffers.received,
            guests=len(driver.guests),
            guest_bytes=driver.guests.bytes,
            subscriptions=len(driver.ownership.hub.subscribers()),
            calls=self._calls,
            storage=None if driver.keeper is None else driver.keeper.counted(),
        )

    async def describe(self, *, place: int | None = None, timeout: float | None = None) -> Description:
        """Return what the node knows of its place, its neighbours and its records.

        ``place`` is the id of one of its virtual nodes, the first by default; `ValueError` when it is none of them.
        """
        timeout_of(timeout)
        await self._driver.checkpoint()
        for node in self._driver.nodes:
            if place in (None, node.me.id):
                return node.describe()
        raise ValueError(f"{place!r} is no place of {self.address}")

    # How operations are carried out

    def _start(self, operation: Operation, timeout: float) -> Ticket:
        return self._driver.perform(operation, timeout)

    async def _wait(self, waiter: Ticket) -> Result:
        return await self._driver.wait(waiter)

    def _abandon(self, waiter: Ticket) -> None:
        self._driver.abandon(waiter)

    def _now(self) -> float:
        return self._driver.runtime.now()

    def _room(self) -> bool:
        return self._driver.turns.room

    def _raise_cause(self) -> None:
        if self._driver.cause is not None:
            raise self._driver.closed()
