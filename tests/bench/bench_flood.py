"""How long clients wait while somebody floods the node that they ask with valid requests, beside how long without.

::

    python -m tests.bench.bench_flood --kind ping get put scan digest --rounds 5

The ring and its clients share a process, the flooder is another.  It keeps as many requests of one kind under way as
fit between it and the node.  Quiet and flooded spells take turns, and the ratio is the median over the rounds, each of
the 99th percentile of one flooded spell by that of the quiet one before.

``cpu`` is measured in CPU time of the ring's process instead of time on the clock: how much was done, of whatever kind,
between asking and being answered.  On an idle machine with a core for each process the two ratios are much the same; on
a busy one that of CPU time still says what the ring is to blame for.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
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
    Replicate,
)
from chord_proto.operations import Await, Fetch, Get, Operation, Put, Scan
from chord_proto.peer import Peer
from chord_proto.wire import Codec
from tests.adapters.backends import SOCKETS, Backend, ring

LARGE = bytes(60_000)
KEYS = 512
CLIENTS = 4
UPKEEP = 40
WINDOW = 1024
"""Requests that the flooder sends at once."""
QUICK = Config(stabilize_interval=0.2, finger_interval=0.5, repair_interval=1.0, eager_delay=0.01)
ME = Peer.at("127.0.0.1:9", 0, bits=160)
"""Whom the flooder says it is: in a ring without certificates anybody may."""

HEADING = (
    f"{'loop':8} {'flood of':8} {'quiet p50':>10} {'p99':>10} {'flooded p50':>12} {'p99':>10} {'p50':>7} {'p99':>7}"
    f" {'p99 cpu':>8} {'answers':>10}"
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
    "watch": _operation(Await(b"bench/1", None)),
    "digest": _asked(GetDigest, 0, 1 << 159),
    "list": _asked(ListRange, 0, 0, None),
    "copies": _asked(GetCopies, tuple((0, b"bench/%d" % number) for number in range(KEYS))),
    "give": _asked(Replicate, (), False),
}
"""What is asked, by request id."""


def flood(address: str, kind: str, go: Event, stop: Event, answered: Any) -> None:
    """Ask for one thing for ever, whenever ``go`` is set."""
    host, _, port = address.rpartition(":")
    frames = Connection(initiator=True, hello=Hello("chord"), codec=Codec(), max_frame=max_frame_of(Config()))
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(frames.data_to_send())
        for number in range(WINDOW):
            frames.send(FLOODS[kind](number + 1))
        piece = frames.data_to_send()
        sock.setblocking(False)
        rest = piece
        while not stop.is_set():
            if not go.is_set():
                time.sleep(0.01)
            idle = True
            with suppress(BlockingIOError):
                if go.is_set() or rest is not piece:
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
    cpu: float
    """The 99th percentile in CPU time of this process."""


def _share(taken: list[float], percent: int) -> float:
    return sorted(taken)[min(len(taken) - 1, len(taken) * percent // 100)]


async def spell(clients: Sequence[Any], seconds: float) -> Spell:
    """Let each client get and put in turns, so many seconds, and measure each operation."""
    wall: list[float] = []
    cpu: list[float] = []
    end = time.perf_counter() + seconds

    async def measure(call: Awaitable[object]) -> None:
        began, worked = time.perf_counter(), time.process_time()
        await call
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - worked)

    async def work(client: Any, number: int) -> None:
        while time.perf_counter() < end:
            number += 7
            await measure(client.get(f"bench/{number % KEYS}"))
            await measure(client.put(f"bench/{number % KEYS}", b"value"))

    async with anyio.create_task_group() as group:
        for number, client in enumerate(clients):
            group.start_soon(work, client, number * 100)
    return Spell(_share(wall, 50), _share(wall, 99), _share(cpu, 99))


async def drained(node: Node) -> None:
    """Wait until what the flooder has sent has been worked off: until a node receives no more than upkeep brings."""
    while True:
        before = node.stats().nodes[0].received
        await anyio.sleep(0.2)
        if node.stats().nodes[0].received - before < UPKEEP:
            return


async def compare(backend: Backend, kind: str, options: argparse.Namespace) -> tuple[list[tuple[Spell, Spell]], int]:
    """Measure quiet and flooded spells in turns; return also how many bytes of answers the flooder got."""
    context = multiprocessing.get_context("spawn")
    go, stop, answered = context.Event(), context.Event(), context.Value("Q", 0)
    found: list[tuple[Spell, Spell]] = []
    async with AsyncExitStack() as stack:
        members = await stack.enter_async_context(ring(backend, options.nodes, config=QUICK))
        address = members[0].address
        clients = [await stack.enter_async_context(backend.connect(address)) for _ in range(CLIENTS)]
        for number in range(KEYS):
            await members[0].put(f"bench/{number}", bytes(100))
        await members[0].store(LARGE)
        flooder = context.Process(target=flood, args=(address, kind, go, stop, answered), daemon=True)
        flooder.start()
        try:
            await spell(clients, 1.0)
            for _ in range(options.rounds):
                quiet = await spell(clients, options.seconds)
                go.set()
                await anyio.sleep(0.2)
                found.append((quiet, await spell(clients, options.seconds)))
                go.clear()
                await drained(members[0])
        finally:
            stop.set()
            await anyio.to_thread.run_sync(flooder.join, 20)
    return found, answered.value


def row(backend: Backend, kind: str, options: argparse.Namespace) -> str:
    """Measure one kind of flood; return a line of the table."""
    found, answered = anyio.run(compare, backend, kind, options, backend=backend.loop)
    times = [
        f"{1000 * median(getattr(each[of], name) for each in found):7.2f} ms"
        for of in (0, 1)
        for name in ("p50", "p99")
    ]
    ratios = [
        f"{median(getattr(f, name) / getattr(q, name) for q, f in found):5.1f} x" for name in ("p50", "p99", "cpu")
    ]
    rate = answered / (len(found) * (options.seconds + 0.2)) / 1e6
    quiet50, quiet99, flooded50, flooded99 = times
    return (
        f"{backend.loop:8} {kind:8} {quiet50} {quiet99}   {flooded50} {flooded99} {' '.join(ratios)}  {rate:5.1f} MB/s"
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
