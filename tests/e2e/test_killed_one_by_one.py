"""Eight processes under load, one after another killed with -9 and started again: what clients are told stays explainable."""

from __future__ import annotations

import os
import random
import signal
from contextlib import ExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from chord_adapters.asyncio import connect
from chord_adapters.testing import History
from tests.e2e.processes import NodeProcess, await_ideal, free_port, node_process

pytestmark = pytest.mark.slow

SIZE, CLIENTS = 8, 4
SECONDS = 120.0 if os.environ.get("CHORD_NIGHTLY") else 12.0
KEYS = [f"key {number}" for number in range(10)]


class Ring:
    """The processes; one of them at a time may be dead."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(SIZE)]
        self._arguments = [
            ["--listen", each, "--data", str(folder / each.rpartition(":")[2])] for each in self.addresses
        ]
        for each in self._arguments[1:]:
            each += ["--join", self.addresses[0]]
        self._stack = stack
        self.nodes = [self._start(number) for number in range(SIZE)]
        for node in self.nodes:
            node.wait_ready()
        await_ideal(self.addresses[0], SIZE)

    def _start(self, number: int) -> NodeProcess:
        return self._stack.enter_context(node_process(*self._arguments[number]))

    def kill(self, number: int) -> None:
        """Kill one as a power cut would."""
        os.kill(self.nodes[number].process.pid, signal.SIGKILL)
        self.nodes[number].process.wait(10)

    def start_again(self, number: int) -> None:
        """Start it with the same arguments and wait until it is ready."""
        self.nodes[number] = self._start(number)
        self.nodes[number].wait_ready()


async def client(ring: Ring, history: History, number: int) -> None:
    """Write and read through one node after another: the one at hand may be dead."""
    chance = random.Random(number)
    while True:
        async with connect(chance.choice(ring.addresses)) as asked:
            for _ in range(50):
                await history.something(asked, KEYS, chance)
                await anyio.sleep(0.01)


async def under_load(ring: Ring, history: History) -> int:
    """Kill and start again for a while; then read all; return how many were killed."""
    chance, killed = random.Random(1), 0
    async with anyio.create_task_group() as clients:
        for number in range(CLIENTS):
            clients.start_soon(client, ring, history, number)
        end = anyio.current_time() + SECONDS
        while anyio.current_time() < end:
            number = chance.randrange(SIZE)
            await anyio.to_thread.run_sync(ring.kill, number)
            killed += 1
            await anyio.sleep(chance.uniform(0.0, 2.0))
            await anyio.to_thread.run_sync(ring.start_again, number)
            await anyio.sleep(chance.uniform(1.0, 3.0))
        clients.cancel_scope.cancel()
    async with connect(ring.addresses[0]) as asked:
        for key in KEYS:
            assert await history.get(asked, key, timeout=30.0)
    return killed


def test_killed_one_by_one(tmp_path: Path) -> None:
    """No acknowledged write is lost, no read of a majority goes back, and nothing deleted comes back."""
    history = History()
    with ExitStack() as stack:
        ring = Ring(tmp_path, stack)
        killed = anyio.run(under_load, ring, history)
        assert [] == history.problems()
        assert [0] * SIZE == [node.end(signal.SIGTERM) for node in ring.nodes]
    assert killed >= SECONDS / 10
    assert 10 * SECONDS < history.done
