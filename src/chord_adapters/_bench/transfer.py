"""Long values in and out, beside a bare copy of their bytes through loopback connections."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from io import BytesIO
from statistics import median

import anyio

from chord_adapters._bench.outcome import Effort, Goal, Line, Outcome, ratio, value_of
from chord_adapters._bench.rings import ring
from chord_proto.config import Config

MEGABYTE = 1_000_000
PIECE = 1 << 19
"""Bytes given to a connection at once."""
ONCE = "bare copy, one connection"


class _Sink(asyncio.BufferedProtocol):
    """Takes bytes and drops them."""

    def __init__(self, wanted: int, done: asyncio.Future[None]) -> None:
        self.left, self.done = wanted, done
        self.buffer = memoryview(bytearray(PIECE))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the bytes go."""
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Count them."""
        self.left -= nbytes
        if self.left == 0:
            self.done.set_result(None)


async def _copy(data: memoryview, connections: int) -> None:
    """Send all of ``data`` through each of so many connections at once."""
    loop = asyncio.get_running_loop()
    ends: list[asyncio.Future[None]] = []

    def sink() -> _Sink:
        ends.append(loop.create_future())
        return _Sink(len(data), ends[-1])

    async def send() -> None:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for at in range(0, len(data), PIECE):
            writer.write(data[at : at + PIECE])
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await loop.create_server(sink, "127.0.0.1", 0) as server:
        await asyncio.gather(*(send() for _ in range(connections)))
        await asyncio.gather(*ends)


async def _timed(step: Callable[[], Awaitable[None]], megabytes: float) -> tuple[float, float]:
    """Return the rate and the CPU milliseconds of a megabyte."""
    wall, cpu = time.perf_counter(), time.process_time()
    await step()
    return megabytes / (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu) / megabytes


async def _run(nodes: int, effort: Effort) -> list[Line]:
    replicas = Config().replicas
    effort.tell("transfer: making data")
    data = os.urandom(int(effort.megabytes * MEGABYTE))
    view = memoryview(data)
    keys: list[int] = []
    async with ring("asyncio", nodes, effort) as members:

        async def store() -> None:
            keys.append((await members[0].store_stream(BytesIO(data))).key)

        async def fetch() -> None:
            at = 0
            async with members[-1].open(keys[0]) as blocks:
                async for block in blocks:
                    if block != data[at : at + len(block)]:  # A view is compared byte by byte.
                        raise RuntimeError("other bytes came back")
                    at += len(block)
            if at != len(data):
                raise RuntimeError("not all bytes came back")

        async def copy() -> None:
            await _copy(view, 1)

        async def copies() -> None:
            await _copy(view, replicas)

        steps = {ONCE: copy, _thrice(replicas): copies, "store, three replicas": store, "fetch": fetch}
        # What is bare goes before and after, since it is short.
        order = [*list(steps)[:2], *steps] if not effort.quick else list(steps)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
        for name in order + list(steps)[:2]:
            effort.tell(f"transfer: {name}")
            taken[name].append(await _timed(steps[name], effort.megabytes))
    return [
        Line(name, {"mb_per_s": median(each[0] for each in found), "cpu_ms_per_mb": median(each[1] for each in found)})
        for name, found in taken.items()
    ]


def _thrice(replicas: int) -> str:
    return f"bare copy, {replicas} connections"


def transfer(effort: Effort) -> Outcome:
    """Measure storing and fetching a long value on 8 nodes, three replicas, in memory, beside a bare copy."""
    nodes = effort.size(8, 3)
    lines = anyio.run(_run, nodes, effort)
    stored, fetched = (value_of(lines, who, "mb_per_s") for who in ("store, three replicas", "fetch"))
    copied, copied_once = (value_of(lines, who, "mb_per_s") for who in (_thrice(Config().replicas), ONCE))
    goals = (
        Goal("of a bare copy to three, for a store", ratio(stored, copied), 0.25),
        Goal("of a bare copy, for a fetch", ratio(fetched, copied_once), 0.25),
    )
    title = f"{effort.megabytes:g} MB, {nodes} nodes in one process, in memory"
    return Outcome(title, tuple(lines), goals)
