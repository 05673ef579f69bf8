"""Requests, gets and puts a second of a ring in one process, beside a bare echo over the same kind of connection.

::

    python -m tests.bench.bench_gets --nodes 8 --depth 1 32

For each event loop and depth (operations under way at once, each with a task that waits for it):

* ``echo``: the bare echo of `tests.bench.echo` over one connection, and over as many as the asking node uses;
* ``request``: a Ping and its Pong between two nodes, through codec, connection, driver and core of both;
* ``get``, ``put``: small records anywhere on the ring, asked through one node.  Most gets are one request to the
  owner; a put is three, to the owner and from it to two replicas.

All nodes share the process, so CPU time is that of both ends, and of the ring's upkeep meanwhile.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import attrs

from chord_adapters._node import Node
from chord_adapters._runtime import Waiter
from chord_proto._dispatch import ANSWERED
from chord_proto.config import Config
from chord_proto.messages import Answer, Ping
from chord_proto.peer import Peer
from chord_proto.records import record
from tests.adapters.backends import SOCKETS, Backend, ring
from tests.bench.echo import Call, echo
from tests.bench.measuring import Measured, compare

KEYS = 512
"""Enough that every node owns some."""
QUICK = Config(stabilize_interval=0.1, finger_interval=0.2, repair_interval=0.5, eager_delay=0.01)
"""Upkeep so often that a short run need not wait for the ring."""


@attrs.frozen
class Row:
    """One line of the table."""

    loop: str
    depth: int
    name: str
    measured: Measured
    floor: Measured
    """The echo that it is to be compared with."""

    def __str__(self) -> str:
        rate, cpu = self.measured.rate, 1e6 * self.measured.cpu
        slower, dearer = self.floor.rate / self.measured.rate, self.measured.cpu / self.floor.cpu
        return (
            f"{self.loop:8} {self.depth:5}  {self.name:22} {rate:9,.0f}/s {cpu:8.1f} µs {slower:9.1f} x {dearer:9.1f} x"
        )


HEADING = f"{'loop':8} {'depth':>5}  {'what':22} {'rate':>11} {'CPU each':>11} {'slower':>11} {'dearer':>11}"


@record
class _Pinged:
    """Purpose of a Ping of ours."""

    number: int


def _pinging(asker: Node, answerer: Node) -> Call:
    """Return what lets one node ping another and waits for the answer."""
    driver = asker._driver
    node = driver.nodes[0]
    waiting: dict[int, Waiter] = {}

    def answered(_: object, purpose: _Pinged, peer: Peer | None, answer: Answer | None) -> None:
        waiting.pop(purpose.number).resolve(None if answer is not None else TimeoutError("no answer"))

    def ask(number: int) -> None:
        now = driver._enter()
        driver._carry_out(node, node._input(now, node.ctx.ask, answerer.peer, _Pinged(number), Ping))

    async def call(number: int) -> None:
        waiter = waiting[number] = driver.runtime.waiter()
        driver._safely(ask, number)
        outcome = await waiter.wait()
        if isinstance(outcome, Exception):
            raise outcome

    ANSWERED[_Pinged] = answered
    return call


@asynccontextmanager
async def contestants(backend: Backend, nodes: int, size: int, config: Config) -> AsyncIterator[dict[str, Call]]:
    """Open the ring and the echoes; yield what is to be measured, by name."""
    keys = [f"bench/{number}" for number in range(KEYS)]
    value = bytes(size)
    async with (
        echo(backend.loop, 1, size) as echo_one,
        echo(backend.loop, max(1, nodes - 1), size) as echo_all,
        ring(backend, nodes, config=config) as members,
    ):
        asker = members[0]
        for key in keys:
            await asker.put(key, value)

        async def get(number: int) -> None:
            entry = await asker.get(keys[number % KEYS])
            assert entry is not None

        async def put(number: int) -> None:
            await asker.put(keys[number % KEYS], value)

        yield {
            "echo": echo_one,
            "request": _pinging(asker, members[1]),
            f"echo, {max(1, nodes - 1)} connections": echo_all,
            "get": get,
            "put": put,
        }
        for node in members:
            node.abort()


async def run(backend: Backend, options: argparse.Namespace) -> None:
    """Measure on one event loop and print its part of the table."""
    config = QUICK if options.quick else Config()
    async with contestants(backend, options.nodes, options.size, config) as calls:
        for depth in options.depth:
            results = await compare(calls, depth, options.seconds, options.rounds)
            floor = results["echo"]
            for name, result in results.items():
                if name.startswith("echo"):
                    floor = result
                print(Row(backend.loop, depth, name, result, floor), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", nargs="+", choices=[each.loop for each in SOCKETS], help="by default all installed")
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--depth", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--size", type=int, default=100, help="bytes of a value and of an echo")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one round of one contestant")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a ring with short periods, that stands at once")
    options = parser.parse_args(arguments)
    print(HEADING)
    for backend in SOCKETS:
        if options.loop is None or backend.loop in options.loop:
            anyio.run(run, backend, options, backend=backend.loop)


if __name__ == "__main__":
    main()
