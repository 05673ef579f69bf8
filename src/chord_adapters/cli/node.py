"""``chord node``: a node that runs until it is told to leave."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import anyio
import attrs
from cyclopts import Parameter, validators

from chord_adapters._descriptors import raise_limit
from chord_adapters._errors import Closed, Timeout
from chord_adapters._node import Node
from chord_adapters._tls import Tls, tls_of
from chord_adapters.cli._options import DEFAULT_ADDRESS, Backend, Certificates, Json, NamedPath, Network, adapter
from chord_adapters.cli._outcome import Status
from chord_adapters.cli._output import hexadecimal, print_json, say
from chord_adapters.storage import Storage, StorageError
from chord_proto.config import Config

FIRST_REPORT = 2.0
"""Seconds after which a node says that it has not joined yet; the time between two reports doubles."""
LONGEST_REPORT = 60.0
MOST_REPORTED = 8
"""How many of the addresses that it joins by it names."""


@attrs.frozen(kw_only=True)
class _Wanted:
    """What the command line says."""

    listen: str
    join: tuple[str, ...]
    advertise: str | None
    virtual_nodes: int
    network: str
    backend: str
    data: Path | None
    keep_outdated: bool
    routing: Literal["iterative", "recursive"]
    record: Path | None
    tls: Path | None
    json: bool


def node(
    *,
    listen: Annotated[str, Parameter(help="Where to listen, HOST:PORT; port 0 picks a free one.")] = DEFAULT_ADDRESS,
    join: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="A node of the ring to join, or SRV records, _NAME._tcp.DOMAIN; may be given several times.",
        ),
    ] = None,
    advertise: Annotated[
        str | None, Parameter(help="Where others reach this node, needed if it listens at a wildcard address.")
    ] = None,
    virtual_nodes: Annotated[
        int, Parameter(validator=validators.Number(gte=1), help="How many places on the circle to hold.")
    ] = 1,
    network: Network = "chord",
    backend: Backend = "asyncio",
    data: Annotated[
        NamedPath | None,
        Parameter(help="Keep the records in this folder, which is made if it is missing; without it, in memory."),
    ] = None,
    keep_outdated: Annotated[
        bool,
        Parameter(
            negative="",
            help="Keep the records of --data after an absence in which the ring may have deleted some of them.",
        ),
    ] = False,
    routing: Annotated[
        Literal["iterative", "recursive"],
        Parameter(
            help="Ask each node on the way to a key, or let each pass the question on, which is faster far away."
        ),
    ] = "iterative",
    record: Annotated[
        NamedPath | None,
        Parameter(help="Write all that the node is told and does to this new file, for `chord replay`."),
    ] = None,
    tls: Certificates = None,
    json: Json = False,
) -> int:
    """Run a node until SIGTERM or Ctrl-C, which leaves the ring gracefully; a second signal aborts.

    Prints "ready ADDRESS" on standard output once it is a member and has its
    range. Without --join it is a ring of its own, which others may join.
    With --data it goes on where its last life ended: with its records, and in
    the ring of the members that it knew.  If it comes back after more than a day
    while the ring lived on, it takes the records of the ring instead of its own.

    With --tls nobody gets in who has no certificate of the same authority; SIGHUP
    takes new files for connections from then on.  Without it the ring is open to
    whoever reaches the address.
    """
    wanted = _Wanted(
        listen=listen,
        join=tuple(join or ()),
        advertise=advertise,
        virtual_nodes=virtual_nodes,
        network=network,
        backend=backend,
        data=data,
        keep_outdated=keep_outdated,
        routing=routing,
        record=record,
        tls=tls,
        json=json,
    )
    raise_limit()
    return anyio.run(_live, wanted, backend=backend)


async def _live(wanted: _Wanted) -> int:
    tls = tls_of(wanted.tls)
    # Both scopes exist before the node does, so that a signal counts whenever it comes.
    working, living = anyio.CancelScope(), anyio.CancelScope()
    renewal = () if tls is None else (signal.SIGHUP,)
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, *renewal) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_obey, signals, tls, working, living)
            with living:
                async with _opened(wanted, tls) as node:
                    with working:
                        await _work(node, wanted)
                    await _leave(node)
            tasks.cancel_scope.cancel()
    return Status.INTERRUPTED if living.cancel_called else Status.FINE


def _opened(wanted: _Wanted, tls: Tls | None) -> AbstractAsyncContextManager[Node]:
    opened: AbstractAsyncContextManager[Node] = adapter(wanted.backend).open_node(
        wanted.listen,
        join=wanted.join,
        advertise=wanted.advertise,
        virtual_nodes=wanted.virtual_nodes,
        network=wanted.network,
        record=wanted.record,
        tls=tls,
        config=Config(keep_outdated=wanted.keep_outdated, routing=wanted.routing),
        storage=None if wanted.data is None else _storage(wanted.data),
    )
    return opened


def _storage(folder: Path) -> Storage:
    try:
        from chord_adapters.storage import SqliteStorage
    except ImportError as error:
        raise StorageError(str(error)) from error
    return SqliteStorage(folder)


async def _obey(
    signals: AsyncIterator[signal.Signals], tls: Tls | None, working: anyio.CancelScope, living: anyio.CancelScope
) -> None:
    async for number in signals:
        if tls is not None and number == signal.SIGHUP:
            _renew(tls)
        elif working.cancel_called:
            say("aborting")
            living.cancel()
        else:
            say("leaving the ring; a second signal aborts")
            working.cancel()


def _renew(tls: Tls) -> None:
    try:
        tls.reload()
    except (OSError, ValueError) as error:
        say(f"the certificates stay as they were: {error}")
    else:
        say(f"new connections use the certificates that are in {tls.folder} now")


async def _work(node: Node, wanted: _Wanted) -> None:
    if wanted.tls is None:
        say(f"the ring is open to whoever reaches {node.address}; `chord tls` makes certificates")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_report, node)
        await node.wait_ready()
        tasks.cancel_scope.cancel()
    if wanted.json:
        print_json({"ready": node.address, "id": hexadecimal(node.id)})
    else:
        print(f"ready {node.address}", flush=True)
    await node.wait_closed()


async def _leave(node: Node) -> None:
    """Leave the ring; say so when the records could not be handed over, though there were others to take them."""
    places = node._driver.nodes
    others = {peer.address for place in places for peer in place.successors} - {node.address}
    keys = sum(place.describe().keys for place in places)
    try:
        await node.leave(drain=True)
    except Timeout:
        if others:
            say(
                f"not all of the {keys} records here were handed over in time; the copies that others hold of them remain"
            )
    except Closed:
        pass  # What it died of is told as the node is closed.


async def _report(node: Node) -> None:
    """Tell a person now and then why the node is not a member yet."""
    pause = FIRST_REPORT
    while True:
        await anyio.sleep(pause)
        contacts = [f"{address} {standing}" for address, standing in islice(node.contacts.items(), MOST_REPORTED)]
        say(f"not a member of a ring yet, still trying: {', '.join(contacts) or 'the records of its range are coming'}")
        pause = min(2 * pause, LONGEST_REPORT)
