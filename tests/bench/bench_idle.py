"""What an idle ring costs: CPU share of a node, and messages a node sends each second, by upkeep alone.

::

    python -m tests.bench.bench_idle --nodes 8 --seconds 10

All nodes share one process and run on real sockets and the real clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import anyio

from chord_adapters._node import Node
from chord_proto.config import Config
from tests.adapters.backends import SOCKETS, Backend, ring

HEADING = f"{'loop':8} {'nodes':>5} {'CPU of a node':>14} {'messages sent':>16} {'CPU of a message':>17}"


def _sent(nodes: Sequence[Node]) -> int:
    return sum(each.sent for node in nodes for each in node.stats().nodes)


async def run(backend: Backend, options: argparse.Namespace) -> None:
    """Measure on one event loop and print its line."""
    async with ring(backend, options.nodes, config=Config()) as nodes:
        await anyio.sleep(options.wait)
        wall, cpu, sent = time.perf_counter(), time.process_time(), _sent(nodes)
        await anyio.sleep(options.seconds)
        wall, cpu, sent = time.perf_counter() - wall, time.process_time() - cpu, _sent(nodes) - sent
        share, rate = cpu / wall / len(nodes), sent / wall / len(nodes)
        each = f"{1e6 * cpu / sent:14.0f} µs" if sent else ""
        print(f"{backend.loop:8} {len(nodes):5} {100 * share:12.2f} % {rate:14.1f}/s {each}", flush=True)
        for node in nodes:
            node.abort()


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", nargs="+", choices=[each.loop for each in SOCKETS], help="by default all installed")
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--wait", type=float, default=3.0, help="seconds for the ring to come to rest before that")
    options = parser.parse_args(arguments)
    print(HEADING)
    for backend in SOCKETS:
        if options.loop is None or backend.loop in options.loop:
            anyio.run(run, backend, options, backend=backend.loop)


if __name__ == "__main__":
    main()
