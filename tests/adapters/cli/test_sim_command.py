"""``chord sim``: one result by its names, several as a table, all of it as one JSON document."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.cli.command import Command

FIELDS = {
    "path-length": "nodes lookups mean p1 p99 wrong hops lookups_per_s events_per_s bytes_per_node peak_rss_mb",
    "latency": "nodes lookups proximity hops median_ms mean_ms p99_ms wrong",
    "load": "p1 mean p99 max",
    "failure": "fraction hops timeouts wrong failed",
    "churn": "rate path timeouts failed_per_10k wrong",
    "merge": "nodes parts seconds",
}
SMALL = {
    "path-length": ["--lookups", "20"],
    "latency": ["--lookups", "5", "--before", "1"],
    "load": ["--keys", "100"],
    "failure": ["--lookups", "20"],
    "churn": ["--lookups", "5"],
    "merge": [],
}
COMMON = {"--nodes", "--lookups", "--virtual-nodes", "--successors", "--seed", "--json"}
NOT_HERE = {"load": {"--lookups", "--successors"}, "merge": {"--lookups"}}
"""Options of the others that have no meaning for a figure, of which its help says why."""


@pytest.mark.parametrize("figure", FIELDS)
def test_a_figure_as_json(figure: str, chord: Command) -> None:
    """One document with the names that the reference lists."""
    one = first(chord.document("sim", figure, "--nodes", "12", *SMALL[figure]))
    assert one.keys() >= set(FIELDS[figure].split())


def first(done: dict[str, Any]) -> dict[str, Any]:
    """Return the one run, or the first: latency has one with and one without the preference."""
    run: dict[str, Any] = done["runs"][0] if "runs" in done else done
    return run


@pytest.mark.parametrize("figure", FIELDS)
def test_every_figure_takes_the_same_options(figure: str, chord: Command) -> None:
    """But for those that have no meaning for it; its help says so."""
    options = ["--virtual-nodes", "2", "--seed", "3", *([] if figure == "load" else ["--successors", "3"])]
    done = first(chord.document("sim", figure, "--nodes", "12", *SMALL[figure], *options))
    assert (12, 2) == (done["nodes"], done.get("virtual_nodes", 2))
    explained, listed = chord.fine("sim", figure, "--help").decode().split("Parameters", 1)
    assert COMMON - NOT_HERE.get(figure, set()) == {option for option in COMMON if f"{option} " in listed}
    assert all(option in explained for option in NOT_HERE.get(figure, ()))


def test_a_figure_for_people(chord: Command) -> None:
    """A line each; the histogram of hops is one."""
    out = chord.fine("sim", "load", "--nodes", "10", "--keys", "50").decode()
    assert ["nodes", "keys", "virtual_nodes", "p1", "mean", "p99", "max"] == [
        line.split()[0] for line in out.splitlines()
    ]
    out = chord.fine("sim", "path-length", "--nodes", "10", "--lookups", "20").decode()
    assert "hops" in out
    assert "1: " in out


def test_several_simulations(chord: Command) -> None:
    """Every combination, in order, in processes or not; as a table or as the runs of one document."""
    options = ["sim", "load", "--nodes", "10", "20", "--virtual-nodes", "1", "2", "--keys", "100", "--seeds", "2"]
    runs = chord.document(*options)["runs"]
    assert [(10, 1, 0), (10, 1, 1), (10, 2, 0), (10, 2, 1)] == [
        (run["nodes"], run["virtual_nodes"], run["seed"]) for run in runs[:4]
    ]
    assert (8, runs) == (len(runs), chord.document(*options, "--jobs", "1")["runs"])
    heading, *rows = chord.fine(*options, "--jobs", "1").decode().splitlines()
    assert (["nodes", "keys"], 8) == (heading.split()[:2], len(rows))
    runs = chord.document("sim", "path-length", "--nodes", "9", "--lookups", "9", "--virtual-nodes", "1", "2")["runs"]
    assert [1, 2] == [run["virtual_nodes"] for run in runs]


@pytest.mark.parametrize(
    "options, word",
    [
        (["failure", "--fraction", "1"], "fraction"),
        (["churn", "--rate", "-1"], "rate"),
        (["churn", "--rate", "nan"], "rate"),
        (["churn", "--rate", "inf"], "rate"),
        (["merge", "--parts", "1"], "parts"),
        (["merge", "--nodes", "3", "--parts", "4"], "parts"),
        (["path-length", "--nodes", "0"], "--nodes"),
    ],
)
def test_what_cannot_be(options: list[str], word: str, chord: Command) -> None:
    """Is said in a line, before anything is simulated."""
    done = chord("sim", *options)
    assert done.status in (1, 2)
    assert word in done.err.decode()
    assert "Traceback" not in done.err.decode()
