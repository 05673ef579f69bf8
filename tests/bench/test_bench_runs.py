"""The benchmarks run in a short form and print whole tables; how fast anything is does not matter here."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec

import pytest

from chord_adapters._bench import gets, measuring, peers
from chord_adapters._bench.figures import FIGURES, Figure, measure
from chord_adapters._bench.outcome import CHORD, COLUMNS, ECHO, Effort, Goal, Line, Outcome
from chord_adapters.cli import main
from tests.bench import bench_simulator

QUICK = Effort(seconds=0.05, rounds=1, megabytes=1, quick=True)
WHO: dict[Figure, list[str]] = {
    "one-at-a-time": [CHORD, ECHO, f"{ECHO}, one connection"],
    "majority": ["plain", "majority"],
    "puts": [CHORD, f"{CHORD}, one at a time"],
    "durable-puts": ["in memory", "durable"],
    "tls": ["plain", "TLS", ECHO, f"{ECHO}, TLS"],
    "transfer": ["bare copy, one connection", "bare copy, 3 connections", "store, three replicas", "fetch"],
}
PEERS = {"kademlia", "kademlia-dynamic", "opendht"}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No peer is installed: each takes seconds to start."""

    def absent(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(peers, "import_module", absent)


@pytest.mark.parametrize("figure", WHO)
def test_a_figure(figure: Figure) -> None:
    """Each contestant that is there has done something, and each goal that needs no peer is measured."""
    outcome = measure(figure, QUICK)
    there = [line for line in outcome.lines if line.values]
    assert WHO[figure] == [line.who for line in there]
    for line in there:
        assert line.values.keys() <= COLUMNS.keys()
        assert min(line.values.values()) > 0
    assert ["peer" in goal.what for goal in outcome.goals] == [goal.reached is None for goal in outcome.goals]


def test_what_is_not_installed_is_told() -> None:
    """A peer that is not installed has a line that says so, and no quantities."""
    lines = gets.gets_64(QUICK).lines
    assert PEERS == {line.who for line in lines if line.note.startswith("not installed")}
    assert [CHORD, ECHO, f"{ECHO}, one connection"] == [line.who for line in lines if line.values]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It describes the machine, then prints a table with a line for each goal; what was measured quickly is not judged."""
    assert 0 == main(["bench", "one-at-a-time", "majority", "--quick", "--seconds", "0.02", "--rounds", "1"])
    machine, *rest = capsys.readouterr().out.splitlines()
    assert re.search(r"cores, .* GB; CPython 3\.\d+", machine)
    text = "\n".join(rest)
    assert ["one-at-a-time", "majority"] == re.findall(r"^([a-z-]+): ", text, re.MULTILINE)
    assert "not measured (to reach: at most 0.30)" in text
    assert re.search(r"of the rate of plain gets: \d+\.\d\d \(to reach: at least 0\.40\)$", text, re.MULTILINE)
    assert "MISSED" not in text


def test_the_command_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One document: the machine, and each figure with its lines and goals."""
    assert 0 == main(["bench", "gets-16", "--quick", "--seconds", "0.02", "--rounds", "1", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert {"machine", "seconds", "rounds", "quick", "figures"} == document.keys()
    figure = document["figures"]["gets-16"]
    assert {CHORD, ECHO} < {line["who"] for line in figure["lines"] if "rate_per_s" in line}
    beside_peers, beside_echo = figure["goals"]
    assert (None, None, 20) == (beside_peers["reached"], beside_peers["met"], beside_peers["at_least"])
    assert beside_echo["reached"] > 0
    assert beside_echo["met"] is None


def test_every_figure_is_there() -> None:
    """The modules that the names lead to have the functions."""
    from importlib import import_module

    missing = [
        place
        for place in FIGURES.values()
        if not hasattr(import_module(f"chord_adapters._bench.{place.split(':')[0]}"), place.split(":")[1])
    ]
    assert [] == missing


def test_medians() -> None:
    """Of rounds the median counts, and what found nothing is told and no operation."""
    rounds = [
        measuring.Sample([0.1] * done, missed, wall=1.0, cpu=cpu)
        for done, missed, cpu in ((10, 0, 0.1), (20, 3, 0.1), (40, 0, 0.1))
    ]
    line = measuring.line_of("x", rounds)
    assert (20.0, 5000.0, "3 found nothing") == (line.values["rate_per_s"], line.values["cpu_us"], line.note)
    assert Line("x", note="2 found nothing") == measuring.line_of("x", [measuring.Sample([], 2, 1.0, 1.0)])


@pytest.mark.parametrize(
    "goal, met",
    [
        (Goal("g", 2.0, 2.0), True),
        (Goal("g", 1.9, 2.0), False),
        (Goal("g", 2.0, 2.0, at_least=False), True),
        (Goal("g", 2.1, 2.0, at_least=False), False),
        (Goal("g", None, 2.0), None),
    ],
    ids=str,
)
def test_goals(goal: Goal, met: bool | None) -> None:
    """The limit itself is good enough, and all is said in words, unless it shall not be judged."""
    assert met is goal.met
    assert met is goal.fields()["met"]
    assert {True: "reached", False: "MISSED", None: "2.00)"}[met] == str(goal).split()[-1]
    (unjudged,) = Outcome("t", (), (goal,)).unjudged().goals
    assert None is unjudged.met
    assert "2.00)" == str(unjudged).split()[-1]


def test_a_table_has_the_columns_that_are_used() -> None:
    """Quantities that nobody has are left out, those that one lacks are empty."""
    outcome = Outcome("t", (Line("a", {"rate_per_s": 1234.5}), Line("b", {"seconds": 2}), Line("c", note="absent")))
    assert [("", "rate", "took", ""), ("a", "1,234/s", "", ""), ("b", "", "2.00 s", ""), ("c", "", "", "absent")] == (
        outcome.rows()
    )


@pytest.mark.slow
@pytest.mark.parametrize("figure", ["loops", "join", "killed", "idle"])
def test_a_figure_that_takes_processes_or_long(figure: Figure) -> None:
    """As above, with real processes, or with a ring on each loop."""
    outcome = measure(figure, QUICK)
    assert outcome.lines[0].values
    wanted = {"trio", "uvloop"} - {name for name in ("trio", "uvloop") if find_spec(name) is None}
    if figure == "loops":
        assert {"asyncio", *wanted} <= {line.who for line in outcome.lines if line.values}
    else:
        assert None not in [goal.reached for goal in outcome.goals]


def numbers(line: str) -> list[float]:
    """Return all numbers of a line."""
    return [float(each.replace(",", "")) for each in re.findall(r"(?<!\S)\d[\d,]*(?:\.\d+)?", line)]


def test_the_simulator(capsys: pytest.CaptureFixture[str]) -> None:
    """There are inputs, and a rate with and without checks, in one process and in several."""
    bench_simulator.main(12, 2)
    inputs, checked, unchecked, several = capsys.readouterr().out.splitlines()
    assert numbers(inputs)[0] > 500
    assert all(numbers(line)[-1] > 0 for line in (checked, unchecked, several))
