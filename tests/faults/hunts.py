"""The hunts, by name: each runs a part of the core and raises `AssertionError` if a check fails.

The message begins with the name of the check.  Without a fault every hunt passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from chord_adapters.testing import Plan, Scenario, Seeded, Trace, retrace
from tests.faults import hunts_lookup, hunts_records, hunts_ring

NAMED: dict[str, Callable[[], None]] = {**hunts_ring.HUNTS, **hunts_lookup.HUNTS, **hunts_records.HUNTS}
PLANS = Path(__file__).parents[1] / "sim" / "plans"
"""Histories in which something was wrong once."""
STEPS = 25
"""How much happens in a plan."""
_WAITED = re.compile(r"not true after [\d.]+ s: ")


def run(name: str) -> str | None:
    """Run the hunt of this name, or ``plan N``, the plan of seed N, or ``plan of NAME``; return what it found, None for nothing.

    Any other error than an `AssertionError` is no finding, and raised.
    """
    try:
        if name.startswith("plan of "):
            again(Trace.parse((PLANS / f"{name.removeprefix('plan of ')}.trace").read_text(encoding="utf-8")))
        elif name.startswith("plan "):
            Plan.draw(Seeded(int(name.removeprefix("plan "))), STEPS).run()
        else:
            NAMED[name]()
    except AssertionError as error:
        return _WAITED.sub("", str(error), count=1)
    return None


def again(trace: Trace) -> None:
    """Go through a history again."""
    if trace.kind == "simulate":
        Plan.of(trace).run()
        return
    begin = Scenario.of(trace.settings).begin()
    for step in retrace(begin, [tuple(line.split()) for line in trace.steps], begin.scope):
        assert step.problem is None, step.problem
