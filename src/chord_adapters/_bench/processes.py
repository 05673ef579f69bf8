"""Rings of ``chord node`` processes on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import attrs

from chord_adapters.cli._options import Asking
from chord_adapters.cli._ring import Ring, walk

PATIENCE = 120.0
"""Seconds in which a ring must stand."""
LOOK = 0.2


@attrs.define(eq=False)
class NodeProcess:
    """One of them."""

    popen: subprocess.Popen[bytes]
    address: str = ""

    async def wait_ready(self) -> None:
        """Wait until it has told that it is a member; raises `RuntimeError` when it ends instead."""
        assert self.popen.stdout is not None
        line = await anyio.to_thread.run_sync(self.popen.stdout.readline, abandon_on_cancel=True)
        if not line:
            raise RuntimeError(f"a node ended with {await anyio.to_thread.run_sync(self.popen.wait)}")
        self.address = json.loads(line)["ready"]

    def cpu(self) -> float:
        """Return the CPU seconds that it has used."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> float:
        """Return the megabytes of memory that it occupies."""
        lines = Path(f"/proc/{self.popen.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6


@contextmanager
def node_process(join: Sequence[str] = ()) -> Iterator[NodeProcess]:
    """Start a node on a free port; it is dead afterwards."""
    options = [word for address in join for word in ("--join", address)]
    command = [sys.executable, "-m", "chord_adapters", "node", "--listen", "127.0.0.1:0", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as popen:
        try:
            yield NodeProcess(popen)
        finally:
            popen.kill()


@asynccontextmanager
async def ring_of_processes(size: int) -> AsyncIterator[list[NodeProcess]]:
    """Start so many nodes, the others at once when the first is there, and wait until their ring is ideal."""
    with ExitStack() as stack:
        with anyio.fail_after(PATIENCE):
            first = stack.enter_context(node_process())
            await first.wait_ready()
            nodes = [first, *(stack.enter_context(node_process([first.address])) for _ in range(size - 1))]
            for node in nodes[1:]:
                await node.wait_ready()
            while not ((ring := await walked(first)).ideal and len(ring.members) == size):
                await anyio.sleep(LOOK)
        yield nodes


async def walked(node: NodeProcess) -> Ring:
    """Return the ring as the nodes tell it."""
    return await walk(Asking(node=node.address))
