"""Histories in which something was wrong once: each is a file, and goes well now."""

from __future__ import annotations

from pathlib import Path

import pytest

from chord_adapters.testing import Plan, Scenario, Trace, retrace

TRACES = sorted((Path(__file__).parent / "plans").glob("*.trace"))


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_what_was_wrong_once_goes_well(path: Path) -> None:
    """Every property holds on the way, and of a plan the ring becomes whole."""
    trace = Trace.parse(path.read_text(encoding="utf-8"))
    if trace.kind == "simulate":
        Plan.of(trace).run()
        return
    begin = Scenario.of(trace.settings).begin()
    gone = list(retrace(begin, [tuple(line.split()) for line in trace.steps], begin.scope))
    assert [] == [step.problem for step in gone if step.problem is not None]


def test_there_are_traces() -> None:
    """The folder was found."""
    assert TRACES
