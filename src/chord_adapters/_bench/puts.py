"""Figures of puts: beside peers, and durable ones beside those in memory."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from chord_adapters._bench import peers
from chord_adapters._bench.gets import DEPTH, PEERS_16, best
from chord_adapters._bench.measuring import compare
from chord_adapters._bench.outcome import CHORD, Effort, Goal, Line, Outcome, ratio, value_of
from chord_adapters._bench.rings import VALUE, asked, ring
from chord_adapters.storage import SqliteStorage, Storage

DEEP = 128
"""Puts under way at once where a disk makes them durable together."""


async def _beside_peers(nodes: int, effort: Effort) -> list[Line]:
    async with AsyncExitStack() as stack:
        ours = await asked(await stack.enter_async_context(ring("asyncio", nodes, effort)), effort)
        there, missing = await stack.enter_async_context(peers.opened(PEERS_16, nodes, VALUE, effort))
        calls = {CHORD: ours.put, **{name: peer.put for name, peer in there.items()}}
        lines = await compare("puts", calls, DEPTH, effort)
        single = await compare("puts, one at a time", calls, 1, effort)
        return lines + [Line(f"{line.who}, one at a time", line.values, line.note) for line in single] + missing


def puts(effort: Effort) -> Outcome:
    """Measure puts that a majority of three replicas takes, in memory, beside peers."""
    nodes = effort.size(16, 3)
    lines = anyio.run(_beside_peers, nodes, effort)
    rate = ratio(value_of(lines, CHORD, "rate_per_s"), best(lines, PEERS_16, "rate_per_s"))
    single = {f"{name}, one at a time": copies for name, copies in PEERS_16.items()}
    faster = ratio(
        best(lines, single, "median_ms", least=True), value_of(lines, f"{CHORD}, one at a time", "median_ms")
    )
    goals = (
        Goal("times the better peer's rate", rate, 10),
        Goal("times as fast as the better peer, one at a time", faster, 10),
    )
    title = f"put of 64 bytes, three replicas, majority, in memory, {nodes} nodes in one process, {DEPTH} in flight"
    return Outcome(title, tuple(lines), goals)


async def _durable(nodes: int, effort: Effort, folder: Path) -> list[Line]:
    def on_disk(number: int) -> Storage:
        return SqliteStorage(folder / str(number))

    async with ring("asyncio", nodes, effort) as plain, ring("asyncio", nodes, effort, storage=on_disk) as durable:
        calls = {"in memory": (await asked(plain, effort)).put, "durable": (await asked(durable, effort)).put}
        return await compare("durable-puts", calls, DEEP, effort)


def durable_puts(effort: Effort) -> Outcome:
    """Measure puts that SQLite makes durable at each replica (synchronous=FULL), beside puts in memory."""
    nodes = effort.size(16, 3)
    with TemporaryDirectory(prefix="chord-bench-", dir=Path.cwd()) as folder:
        lines = anyio.run(_durable, nodes, effort, Path(folder))
    share = ratio(*(value_of(lines, who, "rate_per_s") for who in ("durable", "in memory")))
    title = (
        f"put of 64 bytes, three replicas, majority, SQLite with FULL, {nodes} nodes in one process, {DEEP} in flight"
    )
    return Outcome(title, tuple(lines), (Goal("of the rate in memory", share, 0.25),))
