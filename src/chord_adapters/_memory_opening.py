"""How nodes and clients of the ``open_node`` kind come into a simulated network."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from hashlib import blake2b

import anyio.lowlevel

from chord_adapters._address import parse
from chord_adapters._client import Asker
from chord_adapters._driver import Driver
from chord_adapters._memory_links import micros
from chord_adapters._memory_network import CURRENT, Network
from chord_adapters._memory_runtime import VirtualRuntime, VirtualWaiter
from chord_adapters._opening import FilePath, Opening, check_config, check_network
from chord_adapters.storage import Storage
from chord_proto.config import Config

_shared: anyio.lowlevel.RunVar[Network] = anyio.lowlevel.RunVar("chord network")
FIRST_PORT = 49_152
"""Where ports begin that are picked for who asks for any."""


def current() -> Network:
    """Return the network that calls are about which name none."""
    entered = CURRENT.get()
    if entered is not None:
        return entered
    try:
        return _shared.get()
    except LookupError:
        _shared.set(Network(0))
        return _shared.get()


def open_driver(
    net: Network,
    listen: str,
    *,
    join: Sequence[str],
    config: Config,
    virtual_nodes: int,
    network: str,
    advertise: str | None,
    seed: int | None,
    record: FilePath | None = None,
    storage: Storage | None = None,
) -> Driver:
    """Start the nodes of a process; raises `ValueError`, `TypeError`, and `OSError` for an address in use."""
    simulation = net._simulation
    opening = Opening.of(
        listen,
        join=join,
        config=config,
        storage=storage,
        virtual_nodes=virtual_nodes,
        network=network,
        advertise=advertise,
        seed=_next_seed(net) if seed is None else seed,
        record=record,
    )
    where = opening.advertise or opening.listen
    if where.port == 0:
        # Never the same twice, so that an address which was closed stays closed.
        net._ports += 1
        where = where._replace(port=FIRST_PORT + net._ports % (65_536 - FIRST_PORT))
    address = str(where)
    if address in simulation.listening or address in simulation.hosts:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), address)
    if opening.join and all(contact == where for contact in opening.join):
        raise ValueError(f"{address} is the node's own address: there is nobody to join by")
    contacts = tuple(dict.fromkeys(str(contact) for contact in opening.join if contact != where))
    runtime = VirtualRuntime(simulation, address, write_delay=net._write_delay)
    driver = runtime.engine = opening.driver(runtime, where, contacts, opening.keeper_now(runtime))
    simulation.silent.pop(address, None)
    simulation.listening[address] = runtime
    driver.start()
    return driver


def open_client(net: Network, address: str, *, network: str, config: Config) -> Asker:
    """Return what asks the node at ``address``; raises `ValueError` and `TypeError`."""
    check_config(config)
    check_network(network, config)
    seed = _next_seed(net)
    runtime = VirtualRuntime(net._simulation, f"client:{seed}")
    asker = runtime.engine = Asker(runtime, str(parse(address)), config=config, network=network, seed=seed)
    return asker


async def wait_until(net: Network, seconds: float) -> None:
    """Wait until so much virtual time has passed."""
    simulation = net._simulation
    waiter = VirtualWaiter(simulation)
    simulation.call_at(simulation.now + micros(seconds), lambda: waiter.resolve(None))
    await waiter.wait()


def _next_seed(net: Network) -> int:
    net._opened += 1
    return int.from_bytes(blake2b(f"{net.seed}/opened/{net._opened}".encode(), digest_size=8).digest())
