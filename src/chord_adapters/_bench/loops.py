"""Gets on each event loop."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import anyio

from chord_adapters._bench.echo import echo
from chord_adapters._bench.gets import DEPTH
from chord_adapters._bench.measuring import Sample, line_of, sample
from chord_adapters._bench.outcome import ECHO, Effort, Goal, Line, Outcome, ratio, value_of
from chord_adapters._bench.rings import VALUE, asked, ring

LOOPS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
"""What anyio calls each, with its options."""


async def _round(loop: str, nodes: int, effort: Effort) -> tuple[Sample, Sample]:
    """Measure a ring and an echo once."""
    async with echo(loop, nodes - 1, len(VALUE)) as bare, ring(loop, nodes, effort) as members:
        get = (await asked(members, effort)).get
        await sample(get, DEPTH, effort.seconds / 2)  # which does not count
        return await sample(get, DEPTH, effort.seconds), await sample(bare, DEPTH, effort.seconds)


def loops(effort: Effort) -> Outcome:
    """Measure gets on asyncio, asyncio with uvloop and trio: a fresh ring each round, since a process has one loop."""
    nodes = effort.size(16, 3)
    missing = [Line(name, note="not installed") for name in LOOPS if find_spec(name) is None]
    there = {name: loop for name, loop in LOOPS.items() if find_spec(name) is not None}
    samples: dict[str, list[tuple[Sample, Sample]]] = {name: [] for name in there}
    for number in range(effort.rounds):
        for name, (loop, options) in there.items():
            effort.tell(f"loops: {name}, round {number + 1} of {effort.rounds}")
            taken = anyio.run(_round, loop, nodes, effort, backend=loop, backend_options=dict(options))
            samples[name].append(taken)
    lines = [line_of(name, [get for get, _ in taken]) for name, taken in samples.items()]
    lines += [line_of(f"{name}, {ECHO}", [bare for _, bare in taken]) for name, taken in samples.items()]
    on_asyncio = value_of(lines, "asyncio", "rate_per_s")
    goals = (
        Goal("trio's rate beside asyncio's", ratio(value_of(lines, "trio", "rate_per_s"), on_asyncio), 0.5),
        Goal("uvloop's rate beside asyncio's", ratio(value_of(lines, "uvloop", "rate_per_s"), on_asyncio), 1.0),
    )
    title = f"get of 64 bytes, {nodes} nodes in one process, {DEPTH} in flight, by event loop"
    return Outcome(title, (*lines, *missing), goals)
