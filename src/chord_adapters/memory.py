"""Chord in virtual time: a `Network` of many nodes with latency, loss, partitions, crashes and restarts, from a seed.

There are two ways to use it.  `Network.spawn` and its other methods drive protocol nodes directly, thousands of them,
in plain code without an event loop::

    net = Network(seed=1, loss=0.1)
    net.spawn("a")
    net.spawn("b", join=["a"])
    net.run_until(lambda: net.node("b").ready, within=10)
    net.do("a", Put(b"k", b"v"))

`open_node` and `connect` are those of `chord_adapters.asyncio`, on any loop that anyio knows, over simulated
connections: the same code above them, with time that passes only while somebody waits for a node::

    async with Network(seed=1) as net:
        async with open_node("a:1") as first, open_node("b:1", join=["a:1"]) as second:
            await second.wait_ready()
            net.partition(["a:1"], ["b:1"])

Nodes of both kinds may live in one network, in one time and under the same faults, but do not reach each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chord_adapters._client import Asker, Client
from chord_adapters._errors import (
    Busy,
    ChordError,
    Closed,
    JoinRefused,
    NoQuorum,
    NotReady,
    StorageFailed,
    Timeout,
    Unreachable,
    ValueTooLarge,
    VersionMismatch,
)
from chord_adapters._events import Gained, Lost
from chord_adapters._memory_disk import Disk
from chord_adapters._memory_host import Handle, InFlight, Logged, Step
from chord_adapters._memory_network import Network, NotReached
from chord_adapters._memory_opening import current, open_client, open_driver, wait_until
from chord_adapters._node import Node
from chord_adapters._opening import FilePath
from chord_adapters._results import Entry, Health, Lagged, PutResult, StoredValue
from chord_adapters._scan import Key
from chord_adapters._tls import Tls, tls_of
from chord_adapters._watch import Event
from chord_adapters.storage import Storage
from chord_proto.config import Config
from chord_proto.peer import Peer

__all__ = [
    "Busy",
    "ChordError",
    "Client",
    "Closed",
    "Config",
    "Disk",
    "Entry",
    "Event",
    "Gained",
    "Handle",
    "Health",
    "InFlight",
    "JoinRefused",
    "Key",
    "Lagged",
    "Logged",
    "Lost",
    "Network",
    "NoQuorum",
    "Node",
    "NotReached",
    "NotReady",
    "Peer",
    "PutResult",
    "Step",
    "StorageFailed",
    "StoredValue",
    "Timeout",
    "Tls",
    "Unreachable",
    "ValueTooLarge",
    "VersionMismatch",
    "connect",
    "current_time",
    "open_node",
    "sleep",
]

_CONFIG = Config()


@asynccontextmanager
async def open_node(
    listen: str,
    *,
    join: Sequence[str] = (),
    config: Config = _CONFIG,
    storage: Storage | None = None,
    virtual_nodes: int = 1,
    network: str = "chord",
    advertise: str | None = None,
    seed: int | None = None,
    record: FilePath | None = None,
    tls: Tls | FilePath | None = None,
    simulation: Network | None = None,
) -> AsyncIterator[Node]:
    """Open a node at ``listen`` as `chord_adapters.asyncio.open_node` does, in a simulated network.

    That is ``simulation``, or the one whose ``with`` block this is in, or else one that all share who run on the same
    event loop.  ``seed`` is drawn from the network's unless given.  ``tls`` is looked at, and of no effect: nobody listens.
    """
    tls_of(tls)
    net = simulation or current()
    driver = open_driver(
        net,
        listen,
        join=join,
        config=config,
        storage=storage,
        virtual_nodes=virtual_nodes,
        network=network,
        advertise=advertise,
        seed=seed,
        record=record,
    )
    try:
        yield Node(driver)
        await driver.depart()
    except BaseException:
        driver.say_goodbye()
        raise
    if driver.cause is not None:
        raise driver.closed()


@asynccontextmanager
async def connect(
    address: str,
    *,
    network: str = "chord",
    config: Config = _CONFIG,
    tls: Tls | FilePath | None = None,
    simulation: Network | None = None,
) -> AsyncIterator[Client]:
    """Ask the node at ``address`` for everything, as `chord_adapters.asyncio.connect` does, in a simulated network."""
    tls_of(tls)
    asker: Asker = open_client(simulation or current(), address, network=network, config=config)
    try:
        yield Client(asker)
    finally:
        asker.end("the client was closed")
    if asker.cause is not None:
        raise asker.closed()


async def sleep(seconds: float, *, simulation: Network | None = None) -> None:
    """Let this much virtual time pass."""
    await wait_until(simulation or current(), seconds)


def current_time(*, simulation: Network | None = None) -> float:
    """Return virtual time in seconds."""
    return (simulation or current()).now
