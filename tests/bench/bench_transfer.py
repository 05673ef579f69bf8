"""Megabytes a second of a long value stored on a ring in one process and fetched back, with CPU time.

::

    python -m tests.bench.bench_transfer --nodes 8 --megabytes 50

A block is hashed five times on its way in (cut, operation, owner, two replicas) and crosses three connections; on
its way out it is hashed twice and crosses one.  The last column is what hashing once takes, the floor of all this.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import anyio

from chord_proto.config import Config
from chord_proto.identifiers import content_key
from tests.adapters.backends import SOCKETS, Backend, ring

MEGABYTE = 1 << 20
A = TypeVar("A")
T = TypeVar("T")
HEADING = f"{'loop':8} {'what':8} {'rate':>12} {'CPU of a MB':>14} {'SHA-1 of a MB':>15}"
BRISK = Config(stabilize_interval=0.2, finger_interval=0.5, repair_interval=1.0)
"""As in the demonstration: the ring stands in a second."""


async def _timed(step: Callable[[A], Coroutine[Any, Any, T]], argument: A) -> tuple[T, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = await step(argument)
    return result, time.perf_counter() - wall, time.process_time() - cpu


async def run(backend: Backend, options: argparse.Namespace) -> None:
    """Measure on one event loop and print its part of the table."""
    data = os.urandom(int(options.megabytes * MEGABYTE))
    megabytes = len(data) / MEGABYTE
    began = time.process_time()
    content_key(data)
    hashing = (time.process_time() - began) / megabytes

    def show(what: str, wall: float, cpu: float) -> None:
        row = f"{backend.loop:8} {what:8} {megabytes / wall:7.1f} MB/s {1e3 * cpu / megabytes:11.2f} ms"
        print(f"{row} {1e3 * hashing:12.2f} ms", flush=True)

    async with ring(backend, options.nodes, config=BRISK) as nodes:
        for _ in range(options.rounds):
            key, wall, cpu = await _timed(nodes[0].store, data)
            show("store", wall, cpu)
            got, wall, cpu = await _timed(nodes[-1].fetch, key)
            show("fetch", wall, cpu)
            if got != data:
                raise AssertionError("other bytes came back")
        for node in nodes:
            node.abort()


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", nargs="+", choices=[each.loop for each in SOCKETS], help="by default all installed")
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--megabytes", type=float, default=50.0)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args(arguments)
    print(HEADING)
    for backend in SOCKETS:
        if options.loop is None or backend.loop in options.loop:
            anyio.run(run, backend, options, backend=backend.loop)


if __name__ == "__main__":
    main()
