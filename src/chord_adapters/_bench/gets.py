"""Figures of gets: beside peers, one at a time, by majority, with TLS."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from chord_adapters._bench import peers
from chord_adapters._bench.echo import echo
from chord_adapters._bench.measuring import compare
from chord_adapters._bench.outcome import CHORD, ECHO, Effort, Goal, Line, Outcome, ratio, value_of
from chord_adapters._bench.rings import VALUE, asked, ring
from chord_adapters._tls import Tls

DEPTH = 32
"""Operations under way at once."""
PEERS_16: Mapping[str, int] = {"kademlia": 3, "opendht": 8}
"""Who is beside us, and how many copies each keeps; opendht's number is not to be chosen."""
PEERS_64: Mapping[str, int] = {"kademlia": 20, "kademlia-dynamic": 20, "opendht": 8}


async def _beside_peers(what: str, nodes: int, depth: int, names: Mapping[str, int], effort: Effort) -> list[Line]:
    """Measure gets of this project, echoes over as many connections as that uses and over one, and the peers."""
    async with AsyncExitStack() as stack:
        bare = {
            name: await stack.enter_async_context(echo("asyncio", connections, len(VALUE)))
            for name, connections in ((ECHO, nodes - 1), (f"{ECHO}, one connection", 1))
        }
        ours = await asked(await stack.enter_async_context(ring("asyncio", nodes, effort)), effort)
        there, missing = await stack.enter_async_context(peers.opened(names, nodes, VALUE, effort))
        calls = {CHORD: ours.get, **bare, **{name: peer.get for name, peer in there.items()}}
        return await compare(what, calls, depth, effort) + missing


def best(lines: list[Line], names: Mapping[str, int], quantity: str, *, least: bool = False) -> float | None:
    """Return what the better peer reached, None when none is installed."""
    found = [value for name in names if (value := value_of(lines, name, quantity)) is not None]
    return (min if least else max)(found, default=None)


def gets_16(effort: Effort) -> Outcome:
    """Measure gets on 16 nodes beside peers, 32 in flight."""
    nodes = effort.size(16, 3)
    lines = anyio.run(_beside_peers, "gets-16", nodes, DEPTH, PEERS_16, effort)
    rate, cpu = (value_of(lines, CHORD, name) for name in ("rate_per_s", "cpu_us"))
    goals = (
        Goal("times the better peer's rate", ratio(rate, best(lines, PEERS_16, "rate_per_s")), 20),
        Goal("times the CPU of a bare echo", ratio(cpu, value_of(lines, ECHO, "cpu_us")), 5, at_least=False),
    )
    return Outcome(f"get of 64 bytes, {nodes} nodes in one process, {DEPTH} in flight, asyncio", tuple(lines), goals)


def gets_64(effort: Effort) -> Outcome:
    """Measure gets on 64 nodes beside peers, 32 in flight."""
    nodes = effort.size(64, 4)
    lines = anyio.run(_beside_peers, "gets-64", nodes, DEPTH, PEERS_64, effort)
    rate = ratio(value_of(lines, CHORD, "rate_per_s"), best(lines, PEERS_64, "rate_per_s"))
    title = f"get of 64 bytes, {nodes} nodes in one process, {DEPTH} in flight, asyncio"
    return Outcome(title, tuple(lines), (Goal("times the best peer's rate", rate, 8),))


def one_at_a_time(effort: Effort) -> Outcome:
    """Measure how long one get takes on 16 nodes, beside peers."""
    nodes = effort.size(16, 3)
    lines = anyio.run(_beside_peers, "one-at-a-time", nodes, 1, PEERS_16, effort)
    share = ratio(value_of(lines, CHORD, "median_ms"), best(lines, PEERS_16, "median_ms", least=True))
    goal = Goal("of the better peer's median", share, 0.3, at_least=False)
    return Outcome(f"get of 64 bytes, {nodes} nodes in one process, one at a time, asyncio", tuple(lines), (goal,))


async def _by_majority(nodes: int, effort: Effort) -> list[Line]:
    async with ring("asyncio", nodes, effort) as members:
        calls = {"plain": (await asked(members, effort)).get}
        calls["majority"] = (await asked(members, effort, r="majority")).get
        return await compare("majority", calls, DEPTH, effort)


def majority(effort: Effort) -> Outcome:
    """Measure gets that ask a majority of the replicas, beside plain ones."""
    nodes = effort.size(16, 3)
    lines = anyio.run(_by_majority, nodes, effort)
    share = ratio(*(value_of(lines, who, "rate_per_s") for who in ("majority", "plain")))
    title = f'get(r="majority") of 64 bytes, {nodes} nodes in one process, {DEPTH} in flight, asyncio'
    return Outcome(title, tuple(lines), (Goal("of the rate of plain gets", share, 0.4),))


async def _encrypted(nodes: int, effort: Effort, folder: Path) -> list[Line]:
    from chord_adapters._authority import init, issue

    init(folder)
    issue(folder, ["127.0.0.1"])
    tls = Tls(folder)
    connections = nodes - 1
    async with (
        echo("asyncio", connections, len(VALUE)) as plain_echo,
        echo("asyncio", connections, len(VALUE), tls) as tls_echo,
        ring("asyncio", nodes, effort) as plain,
        ring("asyncio", nodes, effort, tls=tls) as encrypted,
    ):
        calls = {"plain": (await asked(plain, effort)).get, "TLS": (await asked(encrypted, effort)).get}
        return await compare("tls", {**calls, ECHO: plain_echo, f"{ECHO}, TLS": tls_echo}, DEPTH, effort)


def tls(effort: Effort) -> Outcome:
    """Measure gets over mutual TLS, beside plain ones."""
    nodes = effort.size(16, 3)
    with TemporaryDirectory(prefix="chord-bench-") as folder:
        lines = anyio.run(partial(_encrypted, nodes, effort, Path(folder)))
    share = ratio(*(value_of(lines, who, "rate_per_s") for who in ("TLS", "plain")))
    title = f"get of 64 bytes with TLS, {nodes} nodes in one process, {DEPTH} in flight, asyncio"
    return Outcome(title, tuple(lines), (Goal("of the rate without TLS", share, 0.5),))
