"""How cost grows with the ring: measure rings of some sizes, and draw what was measured and what follows for larger ones.

::

    python -m tests.bench.growth docs/explanation/figures
    python -m tests.bench.growth docs/explanation/figures --nodes 1000000
    python -m tests.bench.growth docs/explanation/figures --nodes

``growth.json`` in that folder keeps a row for each size; sizes that are not measured again keep theirs, so that the third
command only draws.  A million nodes take 4.3 GB and about two minutes of a core.  Drawing takes matplotlib.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from math import log2
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from chord_adapters import sim
from chord_adapters.memory import Network
from chord_proto.config import Config
from chord_proto.peer import Peer
from chord_proto.settled import settled_ring

SIZES = [10, 100, 1000, 10_000, 100_000]
PAPER = 1_000_000_000
"""Up to so many nodes the lines go on."""
MOST_MOVING = 10_000
"""A ring whose upkeep runs is no larger: each of its nodes has some thirty inputs a second."""
WARM, WATCHED = 10.0, 10.0
"""Virtual seconds: until nodes have met those that they go on asking, and in which messages are counted."""
DRAWN = {
    "hops": "hops of a lookup",
    "messages_per_node_s": "upkeep: messages of a node a second",
    "bytes_per_node": "memory of a node at rest, bytes",
    "lookups_per_s": "simulated lookups a second of a core",
}


def measure(nodes: int, *, lookups: int, seed: int = 0) -> dict[str, float]:
    """Return the row of a size: lookups on a ring at rest, and what its upkeep costs if it is not too large for that."""
    found = sim.path_length(nodes=nodes, lookups=lookups, seed=seed)
    row = {
        "nodes": nodes,
        "hops": found.mean,
        "p1": found.p1,
        "p99": found.p99,
        "bytes_per_node": found.bytes_per_node,
        "peak_rss_mb": round(found.peak_rss_mb),
        "lookups_per_s": round(found.lookups_per_s),
        "events_per_s": round(found.events_per_s),
    }
    if nodes <= MOST_MOVING:
        row["messages_per_node_s"] = upkeep(nodes, seed=seed)
    return row


def upkeep(nodes: int, *, seed: int = 0) -> float:
    """Return how many messages a node of an ideal ring sends a second, with the defaults of `Config`, when nothing happens."""
    config = Config()
    net = Network(seed, config=config)
    for node in settled_ring([Peer.at(f"{seed}.{number}") for number in range(nodes)], config=config, seed=seed):
        net.adopt(node)
    net.run_for(WARM)
    sent = net.counts["sent"]
    net.run_for(WATCHED)
    return float(net.counts["sent"] - sent) / nodes / WATCHED


def line(rows: Sequence[Mapping[str, float]], name: str) -> tuple[float, float]:
    """Return a and b of a + b log2 N, by least squares over the rings of at least 100 nodes."""
    points = [(log2(row["nodes"]), row[name]) for row in rows if name in row and row["nodes"] >= 100]
    x_mean, y_mean = (sum(each[axis] for each in points) / len(points) for axis in (0, 1))
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / spread
    return y_mean - slope * x_mean, slope


def lines(rows: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Return the line of each quantity that is one of log2 N."""
    return {name: line(rows, name) for name in ("hops", "messages_per_node_s", "bytes_per_node")}


def on_paper(rows: Sequence[Mapping[str, float]], name: str, nodes: float) -> float:
    """Return what a quantity is expected to be at a size.

    Speed is that of inputs in the largest ring that was measured, over the inputs of a lookup: a question and an answer a hop.
    """
    if name == "lookups_per_s":
        largest = max((row for row in rows if name in row), key=lambda row: row["nodes"])
        hops = on_paper(rows, "hops", largest["nodes"]) / on_paper(rows, "hops", nodes)
        return largest[name] * hops
    a, b = lines(rows)[name]
    return a + b * log2(nodes)


def table(rows: Sequence[Mapping[str, float]]) -> str:
    """Return the rows, and what follows for a billion nodes, in Markdown."""
    shown = [dict(row) for row in rows] + [{"nodes": PAPER, **{name: on_paper(rows, name, PAPER) for name in DRAWN}}]
    cells = [
        [f"{row['nodes']:,.0f}"]
        + [_cell(row.get(name)) for name in DRAWN]
        + [f"{row['peak_rss_mb']:,.0f}" if "peak_rss_mb" in row else ""]
        for row in shown
    ]
    heading = ["nodes", *DRAWN.values(), "memory in all, MB"]
    return "\n".join("| " + " | ".join(each) + " |" for each in [heading, ["---"] * len(heading), *cells])


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def draw(rows: Sequence[Mapping[str, float]], out: Path) -> None:
    """Draw what was measured as points and what is expected as lines; the same rows give the same bytes."""
    matplotlib = import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "chord", "svg.fonttype": "none", "font.size": 9})
    plt = import_module("matplotlib.pyplot")
    figure, panels = plt.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
    sizes = [10 ** (tenth / 10) for tenth in range(10, 91)]
    for panel, (name, label) in zip(panels.flat, DRAWN.items(), strict=True):
        there = [row for row in rows if name in row]
        if name == "hops":
            panel.fill_between(
                [row["nodes"] for row in there],
                [row["p1"] for row in there],
                [row["p99"] for row in there],
                alpha=0.2,
                label="1st to 99th percentile",
            )
        panel.plot([row["nodes"] for row in there], [row[name] for row in there], "o", label="measured")
        begin = max(row["nodes"] for row in there) if name == "lookups_per_s" else 10
        larger = [size for size in sizes if size >= begin]
        panel.plot(larger, [on_paper(rows, name, size) for size in larger], "--", color="#777777", label="on paper")
        panel.set_xscale("log")
        panel.set_ylim(bottom=0)
        panel.set_xlabel("nodes")
        panel.set_title(label, fontsize=9)
        panel.grid(alpha=0.3)
        panel.legend(loc="upper right" if name == "lookups_per_s" else "lower right")
    figure.savefig(out, metadata={"Date": None})
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, keep the rows, draw them, and print the table and the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nodes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--lookups", type=int, default=10_000)
    options = parser.parse_args(arguments)
    kept = options.folder / "growth.json"
    rows: dict[int, Any] = {}
    if kept.exists():
        rows = {row["nodes"]: row for row in json.loads(kept.read_text(encoding="utf-8"))}
    # A process for each, whose peak of memory is its own.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for nodes in options.nodes:
            rows[nodes] = pool.submit(measure, nodes, lookups=options.lookups).result()
    in_order = [rows[size] for size in sorted(rows)]
    options.folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(in_order, indent=1) + "\n", encoding="utf-8")
    print(table(in_order))
    for name, (a, b) in lines(in_order).items():
        print(f"{name}: {a:.4g} + {b:.4g} log2 N")
    draw(in_order, options.folder / "growth.svg")


if __name__ == "__main__":
    main()
