"""A node with low limits in a process of its own, that says on request how much memory it has taken at most.

::

    python -m tests.adapters.attacked asyncio
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import anyio.to_thread

from chord_proto.config import Config
from tests.adapters.backends import LISTEN, SOCKETS, Backend

MEBIBYTE = 1024 * 1024
LIMITS = Config(
    max_bytes=8 * MEBIBYTE,
    max_buffered_bytes=8 * MEBIBYTE,
    max_buffered_bytes_per_connection=4 * MEBIBYTE,
    max_received_bytes=8 * MEBIBYTE,
    max_guest_bytes=8 * MEBIBYTE,
    max_carried_bytes=8 * MEBIBYTE,
    max_connections=100,
    max_connections_per_address=100,
    max_strangers=50,
)
LARGE = bytes(60_000)


def most_in_memory() -> int:
    """Return how many bytes this process has had in memory at most; unlike getrusage, without those of its parent."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


async def main(backend: Backend) -> None:
    """Run a node; for each line that is read write the most bytes that have been in memory."""
    async with backend.open_node(LISTEN, config=LIMITS) as node:
        await node.wait_ready()
        await node.store(LARGE)
        print(node.address, flush=True)
        while await anyio.to_thread.run_sync(sys.stdin.readline):
            print(most_in_memory(), flush=True)
        node.abort()


if __name__ == "__main__":
    found = next(each for each in SOCKETS if each.loop == sys.argv[1])
    anyio.run(main, found, backend=found.loop)
