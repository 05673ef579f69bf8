"""What upkeep alone costs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from statistics import mean

import anyio

from chord_adapters._bench import peers
from chord_adapters._bench.outcome import Effort, Goal, Line, Outcome, ratio, value_of
from chord_adapters._bench.processes import ring_of_processes
from chord_adapters._bench.rings import VALUE, ring
from chord_adapters._node import Node

CALMING = 5.0
"""Seconds in which what follows from joining comes to an end."""
SECONDS = 10.0
PEERS = {"kademlia": 3, "opendht": 8}


def _sent(nodes: Sequence[Node]) -> int:
    return sum(each.sent for node in nodes for each in node.stats().nodes)


async def _in_one_process(size: int, effort: Effort) -> Line:
    async with ring("asyncio", size, effort) as nodes:
        effort.tell(f"idle: {size} nodes in one process")
        await anyio.sleep(effort.size(1, 0) * CALMING)
        wall, cpu, sent = time.perf_counter(), time.process_time(), _sent(nodes)
        await anyio.sleep(_seconds(effort))
        wall, cpu, sent = time.perf_counter() - wall, time.process_time() - cpu, _sent(nodes) - sent
    return Line(_words(size), {"cpu_share": cpu / wall / size, "messages_per_s": sent / wall / size})


async def _of_processes(size: int, effort: Effort) -> Line:
    async with ring_of_processes(size) as nodes:
        effort.tell(f"idle: {size} processes")
        await anyio.sleep(effort.size(1, 0) * CALMING)
        wall, cpu = time.perf_counter(), sum(node.cpu() for node in nodes)
        await anyio.sleep(_seconds(effort))
        wall, cpu = time.perf_counter() - wall, sum(node.cpu() for node in nodes) - cpu
        resident = mean(node.resident() for node in nodes)
    return Line(f"{size} processes", {"cpu_share": cpu / wall / size, "rss_mb": resident})


async def _peer(name: str, size: int, effort: Effort) -> Line:
    async with peers.opened({name: PEERS[name]}, size, VALUE, effort) as (_, missing):
        if missing:
            return missing[0]
        await anyio.sleep(effort.size(1, 0) * CALMING)
        wall, cpu = time.perf_counter(), time.process_time()
        await anyio.sleep(_seconds(effort))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Line(f"{name}, {_words(size)}", {"cpu_share": cpu / wall / size})


def _seconds(effort: Effort) -> float:
    return 0.5 if effort.quick else SECONDS


def _words(size: int) -> str:
    return f"{size} nodes in one process"


def idle(effort: Effort) -> Outcome:
    """Measure CPU, messages and memory of nodes that nobody asks anything."""
    few, many, processes = effort.size(8, 2), effort.size(64, 4), effort.size(8, 2)
    lines = [anyio.run(_in_one_process, size, effort) for size in (few, many)]
    lines.append(anyio.run(_of_processes, processes, effort))
    lines += [anyio.run(_peer, name, few, effort) for name in PEERS]
    messages = ratio(*(value_of(lines, _words(size), "messages_per_s") for size in (many, few)))
    resident, share = (value_of(lines, f"{processes} processes", name) for name in ("rss_mb", "cpu_share"))
    growth = math.log2(many) / math.log2(few)
    goals = (
        Goal("of a core a node, in one process", lines[0].values["cpu_share"], 0.002, at_least=False, shown="{:.3%}"),
        Goal("of a core a node, a process each", share, 0.002, at_least=False, shown="{:.3%}"),
        Goal("megabytes a process", resident, 35, at_least=False, shown="{:.1f}"),
        Goal(f"times the messages with {many} nodes, which is as log N grows", messages, growth, at_least=False),
    )
    return Outcome("idle rings, default configuration", tuple(lines), goals)
