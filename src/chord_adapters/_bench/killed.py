"""Reads right after a quarter of the processes were killed."""

from __future__ import annotations

import time
from random import Random
from statistics import median

import anyio

from chord_adapters._bench.outcome import CHORD, Effort, Goal, Line, Outcome
from chord_adapters._bench.processes import NodeProcess, ring_of_processes, walked
from chord_adapters._bench.rings import VALUE
from chord_adapters._errors import ChordError
from chord_adapters.asyncio import connect
from chord_proto.config import Config

KEYS = 400
DEPTH = 16
"""Reads under way at once."""


async def _victims(nodes: list[NodeProcess], count: int) -> list[NodeProcess]:
    """Draw so many, the first spared, never as many neighbours as a record has replicas: those would take it with them."""
    at = {node.address: node for node in nodes}
    order = [at[member.me.address] for member in (await walked(nodes[0])).members]
    replicas = Config().replicas
    while True:
        chosen = set(Random().sample(order, count))
        runs = [order[(first + step) % len(order)] for first in range(len(order)) for step in range(replicas)]
        whole = any(chosen.issuperset(runs[at : at + replicas]) for at in range(0, len(runs), replicas))
        if nodes[0] not in chosen and not whole:
            return list(chosen)


async def _run(size: int, keys: int, effort: Effort) -> Line:
    taken: list[float] = []
    async with ring_of_processes(size) as nodes, connect(nodes[0].address) as client:
        effort.tell(f"killed: {keys} puts")
        for number in range(keys):
            await client.put(f"bench/{number}", VALUE)
        victims = await _victims(nodes, max(1, size // 4))
        for node in victims:
            node.popen.kill()
        effort.tell("killed: reading")
        left = list(range(keys))

        async def read() -> None:
            while left:
                number = left.pop()
                began = time.perf_counter()
                try:
                    entry = await client.get(f"bench/{number}")
                except ChordError:
                    continue  # it counts as not readable
                if entry is not None and entry.value == VALUE:
                    taken.append(time.perf_counter() - began)

        async with anyio.create_task_group() as tasks:
            for _ in range(DEPTH):
                tasks.start_soon(read)
    readable = len(taken) / keys
    if not taken:
        return Line(CHORD, {"readable": readable})
    return Line(CHORD, {"readable": readable, "median_ms": 1e3 * median(taken), "slowest_ms": 1e3 * max(taken)})


def killed(effort: Effort) -> Outcome:
    """Measure reads of all keys from the moment on that a quarter of the processes is killed."""
    size, keys = effort.size(16, 4), effort.size(KEYS, 20)
    effort.tell(f"killed: starting {size} processes")
    line = anyio.run(_run, size, keys, effort)
    goals = (
        Goal("of the keys readable", line.values["readable"], 1.0),
        Goal("milliseconds of the slowest read", line.values.get("slowest_ms"), 1000, at_least=False, shown="{:.0f}"),
    )
    title = f"{keys} reads, {DEPTH} at once, right after kill -9 of a quarter of {size} processes"
    return Outcome(title, (line,), goals)
