"""How long clients wait while somebody floods the node that they ask with valid requests, beside how long without.

::

    python -m tests.bench.bench_flood --kind ping get put scan digest --rounds 5

The ring and its clients share a process, the flooder is another.  It keeps as many requests of one kind under way as
fit between it and the node.  Quiet and flooded spells take turns, and the ratio is the median over the rounds, each of
the 99th percentile of one flooded spell by that of the quiet one before.

All is measured in the time of a loop that has a core for itself: what others do on the machine does not count, nor
what the flooder computes.  ``held`` is the longest step of the loop in a quiet spell and a flooded one, in ms.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from multiprocessing.synchronize import Event
from statistics import median
from typing import Any

import anyio
import anyio.to_thread
import attrs

from chord_adapters._links import max_frame_of
from chord_adapters._node import Node
from chord_proto.config import Config
from chord_proto.connection import Connection, Hello
from chord_proto.identifiers import content_key
from chord_proto.messages import (
    GetCopies,
    GetDigest,
    ListRange,
    Message,
    Perform,
    Ping,
    Record,
    Replicate,
    Space,
)
from chord_proto.operations import Await, Fetch, Get, Operation, Put, Scan
from chord_proto.peer import Peer
from chord_proto.versions import HybridClock
from chord_proto.wire import Codec
from tests.adapters.backends import SOCKETS, Backend, ring
from tests.bench.own_time import OwnTime

LARGE = bytes(60_000)
KEYS = 512
CLIENTS = 4
UPKEEP = 40
"""How many messages at most a node receives in a fifth of a second when nobody asks anything."""
LONGEST_DRAIN = 5.0
"""Seconds for which it is waited at most that a flood has run off."""
WINDOW = 1024
"""Requests that the flooder sends at once."""
QUICK = Config(stabilize_interval=0.2, finger_interval=0.5, repair_interval=1.0, eager_delay=0.01)
ME = Peer.at("127.0.0.1:9", 0, bits=160)
"""Whom the flooder says it is: in a ring without certificates anybody may."""

VERSION = HybridClock(0, 160).next(0.0)
GIFTS = tuple(Record(Space.RECORD, b"bench/%d" % number, bytes(100), VERSION, 1) for number in range(KEYS))
"""Older than what is there."""

HEADING = (
    f"{'loop':8} {'flood of':8} {'quiet p50':>10} {'p99':>10} {'flooded p50':>12} {'p99':>10} {'p50':>7} {'p99':>7}"
    f" {'held':>6} {'flooded':>7} {'answers':>10}"
)


def _operation(operation: Operation) -> Callable[[int], Message]:
    return lambda number: Perform(None, 0, None, 0, number, operation, 60_000)


def _asked(kind: Any, *fields: object) -> Callable[[int], Message]:
    return lambda number: kind(ME, 1, None, 0, number, *fields)


FLOODS: dict[str, Callable[[int], Message]] = {
    "ping": lambda number: Ping(None, 0, None, 0, number),
    "get": _operation(Get(b"bench/1")),
    "fetch": _operation(Fetch(content_key(LARGE))),
    "put": _operation(Put(b"flood", b"value")),
    "scan": _operation(Scan(0)),
    "sieve": _operation(Scan(0, prefix=b"none")),
    "watch": _operation(Await(b"bench/1", None)),
    "digest": _asked(GetDigest, 0, 1 << 159),
    "list": _asked(ListRange, 0, 0, None),
    "copies": _asked(GetCopies, tuple((0, b"bench/%d" % number) for number in range(KEYS))),
    "give": _asked(Replicate, (), False),
    "gifts": _asked(Replicate, GIFTS, False),
}
"""What is asked, by request id."""


def flood(address: str, kind: str, go: Event, stop: Event, answered: Any) -> None:
    """Ask for one thing again and again while ``go`` is set, each time by a new connection."""
    while not stop.is_set():
        if go.wait(0.1):
            _flood_once(address, kind, go, answered)


def _flood_once(address: str, kind: str, go: Event, answered: Any) -> None:
    host, _, port = address.rpartition(":")
    frames = Connection(initiator=True, hello=Hello("chord"), codec=Codec(), max_frame=max_frame_of(Config()))
    with socket.create_connection((host, int(port))) as sock:
        # What is unread when the spell is over goes with the connection, or the node would work at it for minutes.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(frames.data_to_send())
        for number in range(WINDOW):
            frames.send(FLOODS[kind](number + 1))
        rest = piece = frames.data_to_send()
        sock.setblocking(False)
        while go.is_set():
            idle = True
            with suppress(BlockingIOError):
                rest = rest[sock.send(rest) :] or piece
                idle = False
            with suppress(BlockingIOError):
                answered.value += len(sock.recv(1 << 20))
                idle = False
            if idle:
                time.sleep(0.001)


@attrs.frozen
class Spell:
    """How long the operations of one spell took; seconds."""

    p50: float
    p99: float
    held: float
    """The longest step of the event loop."""


def _share(taken: list[float], percent: int) -> float:
    return sorted(taken)[min(len(taken) - 1, len(taken) * percent // 100)]


async def spell(clients: Sequence[Any], seconds: float, clock: OwnTime) -> Spell:
    """Let each client get and put in turns, so many seconds, and measure each operation."""
    taken: list[float] = []
    clock.pop_longest()
    end = clock.current_time() + seconds

    async def measure(call: Awaitable[object]) -> None:
        began = clock.current_time()
        await call
        taken.append(clock.current_time() - began)

    async def work(client: Any, number: int) -> None:
        while clock.current_time() < end:
            number += 7
            await measure(client.get(f"bench/{number % KEYS}"))
            await measure(client.put(f"bench/{number % KEYS}", b"value"))

    async with anyio.create_task_group() as group:
        for number, client in enumerate(clients):
            group.start_soon(work, client, number * 100)
    return Spell(_share(taken, 50), _share(taken, 99), clock.pop_longest())


async def drained(node: Node) -> None:
    """Wait until what the flooder has sent has been worked off: until a node receives no more than upkeep brings."""
    deadline, before = anyio.current_time() + LONGEST_DRAIN, 0
    while (received := node.stats().nodes[0].received) - before >= UPKEEP and anyio.current_time() < deadline:
        before = received
        await anyio.sleep(0.2)


async def compare(
    backend: Backend, kind: str, options: argparse.Namespace, clock: OwnTime
) -> tuple[list[tuple[Spell, Spell]], int]:
    """Measure quiet and flooded spells in turns; return also how many bytes of answers the flooder got."""
    context = multiprocessing.get_context("spawn")
    go, stop, answered = context.Event(), context.Event(), context.Value("Q", 0)
    found: list[tuple[Spell, Spell]] = []
    async with AsyncExitStack() as stack:
        stack.enter_context(clock.watching())
        members = await stack.enter_async_context(ring(backend, options.nodes, config=QUICK))
        address = members[0].address
        clients = [await stack.enter_async_context(backend.connect(address)) for _ in range(CLIENTS)]
        for number in range(KEYS):
            await members[0].put(f"bench/{number}", bytes(100))
        await members[0].store(LARGE)
        flooder = context.Process(target=flood, args=(address, kind, go, stop, answered), daemon=True)
        flooder.start()
        try:
            await spell(clients, 1.0, clock)
            gc.collect()
            gc.freeze()  # What is here stays: looking through it is no work of a flood.
            for _ in range(options.rounds):
                quiet = await spell(clients, options.seconds, clock)
                go.set()
                await anyio.sleep(0.2)
                found.append((quiet, await spell(clients, options.seconds, clock)))
                go.clear()
                await drained(members[0])
        finally:
            go.clear()
            stop.set()
            await anyio.to_thread.run_sync(flooder.join, 20)
    return found, answered.value


def row(backend: Backend, kind: str, options: argparse.Namespace) -> str:
    """Measure one kind of flood; return a line of the table."""
    clock = OwnTime()
    found, answered = anyio.run(
        compare, backend, kind, options, clock, backend=backend.loop, backend_options=clock.loop(backend.loop)
    )
    times = [
        f"{1000 * median(getattr(each[of], name) for each in found):7.2f} ms"
        for of in (0, 1)
        for name in ("p50", "p99")
    ]
    ratios = [f"{median(getattr(f, name) / getattr(q, name) for q, f in found):5.1f} x" for name in ("p50", "p99")]
    held = [f"{1000 * median(each[of].held for each in found):6.2f}" for of in (0, 1)]
    rate = answered / (len(found) * (options.seconds + 0.2)) / 1e6
    quiet50, quiet99, flooded50, flooded99 = times
    return (
        f"{backend.loop:8} {kind:8} {quiet50} {quiet99}   {flooded50} {flooded99} {' '.join(ratios)} {' '.join(held)}"
        f"  {rate:5.1f} MB/s"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", nargs="+", choices=[each.loop for each in SOCKETS], help="by default all installed")
    parser.add_argument("--kind", nargs="+", choices=list(FLOODS), default=list(FLOODS))
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one spell")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    print(HEADING)
    for backend in SOCKETS:
        for kind in options.kind:
            if options.loop is None or backend.loop in options.loop:
                print(row(backend, kind, options), flush=True)


if __name__ == "__main__":
    main()
