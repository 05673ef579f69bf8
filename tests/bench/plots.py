"""Simulate the papers' figures and draw them beside what was published, as in ``python -m tests.bench.plots docs/explanation/figures``.

Needs matplotlib.  With ``--quick`` rings are small and lookups few.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from chord_adapters import sim

PATHS = {64: (2.85, 0, 5), 256: (3.82, 1, 7), 1024: (4.81, 1, 8), 4096: (5.85, 2, 10), 16384: (6.88, 3, 11)}
"""SIGCOMM 2001, figure 10, simulated again with its settings: mean, 1st and 99th percentile."""
KEYS = {1: (0.01, 4.6), 5: (0.24, 2.4), 20: (0.5, 1.6)}
"""SIGCOMM 2001, figure 9: 1st and 99th percentile of a node's keys over the mean, by virtual nodes."""
DEAD = {0.0: (3.84, 0.0), 0.1: (4.03, 0.6), 0.2: (4.22, 1.17), 0.3: (4.44, 2.02), 0.4: (4.69, 3.23), 0.5: (5.09, 5.10)}
"""ToN 2003, table II: hops and timeouts of a lookup, by the share of nodes that has died."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, draw, and print what was found as one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    quick, seeds = options.quick, range(1 if options.quick else 16)
    lookups = 200 if quick else 5000
    sizes = [size for size in PATHS if not quick or size < 1000]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        run = partial(sim.sweep, executor=pool)
        paths = list(run(sim.path_length, sim.combinations(nodes=sizes, lookups=[lookups])))
        keys = list(
            run(
                sim.load,
                sim.combinations(
                    virtual_nodes=[*KEYS], nodes=[10_000], keys=[10_000 if quick else 1_000_000], seed=[0]
                ),
            )
        )
        dead = list(run(sim.failure, sim.combinations(fraction=[*DEAD], lookups=[max(200, lookups // 5)], seed=seeds)))
    found = {
        "path-length": [(each.nodes, each.mean, each.p1, each.p99) for each in paths],
        "load": [(each.virtual_nodes, each.p1 / each.mean, each.p99 / each.mean) for each in keys],
        "failure": [
            (share, _mean([each.hops for each in same]), _mean([each.timeouts for each in same]))
            for share in DEAD
            for same in [[each for each in dead if each.fraction == share]]
        ],
        "wrong or failed": sum(each.wrong for each in paths) + sum(each.wrong + each.failed for each in dead),
    }
    print(json.dumps(found))
    options.folder.mkdir(parents=True, exist_ok=True)
    _draw(found, options.folder)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _draw(found: dict[str, Any], folder: Path) -> None:
    import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "chord"  # The same file for the same figures.
    from matplotlib import pyplot as plt

    def save(name: str) -> None:
        plt.legend()
        plt.grid(alpha=0.3)
        plt.tight_layout()
        plt.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close()

    sizes, means, lows, highs = zip(*found["path-length"], strict=True)
    plt.figure(figsize=(6, 4))
    plt.fill_between(sizes, lows, highs, alpha=0.2, label="1st to 99th percentile, here")
    plt.plot(sizes, means, "o-", label="mean, here")
    for index, style, name in ((0, "kx", "mean"), (1, "k_", "1st and 99th percentile"), (2, "k_", None)):
        plt.plot(list(PATHS), [each[index] for each in PATHS.values()], style, label=name and f"{name}, published")
    plt.xscale("log", base=2)
    plt.xlabel("nodes")
    plt.ylabel("hops to the key's predecessor")
    save("path-length")

    def two_lines(
        name: str, names: tuple[str, str], published: dict[Any, tuple[float, float]], labels: tuple[str, str]
    ) -> None:
        places, *lines = zip(*found[name], strict=True)
        plt.figure(figsize=(6, 4))
        for index, (label, values) in enumerate(zip(names, lines, strict=True)):
            plt.plot(places, values, "o-", label=f"{label}, here")
            plt.plot(list(published), [each[index] for each in published.values()], "kx", label=f"{label}, published")
        plt.xlabel(labels[0])
        plt.ylabel(labels[1])
        save(name)

    percentiles = "1st percentile", "99th percentile"
    two_lines("load", percentiles, KEYS, ("virtual nodes", "keys of a node, over the mean"))
    two_lines("failure", ("hops", "timeouts"), DEAD, ("share of the nodes that has died", "of a lookup"))


if __name__ == "__main__":
    main()
