"""How long nodes take to become an ideal ring."""

from __future__ import annotations

import time
from statistics import median

import anyio

from chord_adapters._bench.outcome import Effort, Goal, Line, Outcome
from chord_adapters._bench.processes import ring_of_processes
from chord_adapters._bench.rings import SETTLING, config_of, until_ideal
from chord_adapters._node import Node

MOST_ROUNDS = 3


async def _in_one_process(size: int, effort: Effort) -> tuple[float, float]:
    """Open so many nodes that all join at once through the first; return how long, and the CPU time, to an ideal ring."""
    from contextlib import AsyncExitStack

    from chord_adapters.asyncio import open_node

    config = config_of(effort)
    async with AsyncExitStack() as stack:
        began, cpu = time.perf_counter(), time.process_time()
        nodes: list[Node] = []
        for _ in range(size):
            join = [nodes[0].address] if nodes else []
            nodes.append(await stack.enter_async_context(open_node("127.0.0.1:0", join=join, config=config)))
        for node in nodes:
            await node.wait_ready(timeout=SETTLING)
        await until_ideal(nodes, config)
        took = time.perf_counter() - began, time.process_time() - cpu
        for node in nodes:
            node.abort()
    return took


async def _of_processes(size: int) -> tuple[float, float]:
    """Start so many processes; return how long to an ideal ring, and what CPU time that took them."""
    began = time.perf_counter()
    async with ring_of_processes(size) as nodes:
        return time.perf_counter() - began, sum(node.cpu() for node in nodes)


def join(effort: Effort) -> Outcome:
    """Measure the time until all pointers of a new ring are exact: in one process, and with a process a node."""
    many, processes = effort.size(64, 4), effort.size(16, 2)
    lines = []
    for who, run, size, arguments in (
        (f"{many} nodes in one process", _in_one_process, many, (effort,)),
        (f"{processes} processes", _of_processes, processes, ()),
    ):
        taken = []
        for number in range(min(effort.rounds, MOST_ROUNDS)):
            effort.tell(f"join: {who}, round {number + 1}")
            taken.append(anyio.run(run, size, *arguments))
        lines.append(Line(who, {"seconds": median(each[0] for each in taken)}, _cpu(taken)))
    goals = (
        Goal("seconds in one process", lines[0].values["seconds"], 10, at_least=False),
        Goal(
            "seconds with a process a node, interpreters' start included", lines[1].values["seconds"], 5, at_least=False
        ),
    )
    return Outcome("joining through one node, until the ring is ideal, default configuration", tuple(lines), goals)


def _cpu(taken: list[tuple[float, float]]) -> str:
    return f"{median(each[1] for each in taken):.1f} s of CPU"
