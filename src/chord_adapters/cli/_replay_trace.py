"""``chord replay`` of a trace: a counterexample of ``chord check`` is gone through again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import attrs

from chord_adapters.cli._outcome import Status, UsageError
from chord_adapters.cli._output import print_json
from chord_adapters.testing import (
    Beginning,
    Broken,
    Plan,
    Scenario,
    Trace,
    TraceError,
    describe,
    explore,
    retrace,
)

_LONGEST = 10_000_000
"""Bytes of a trace that are read."""


@attrs.frozen
class _Gone:
    """One step of a trace, how things stand after it, and what is wrong then."""

    words: str
    state: str
    problem: str | None = None


def replay_trace(source: BinaryIO, first_line: str, *, step: int | None, json: bool) -> int:
    """Go through a trace, or its first ``step`` steps; status 1 when something is wrong, as it was found to be."""
    data = source.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise TraceError(f"a trace of more than {_LONGEST} bytes")
    trace = Trace.parse(first_line + data.decode(errors="replace"))
    if step is not None and step > len(trace.steps):
        raise UsageError(f"the trace has {len(trace.steps)} steps, there is no step {step}")
    if trace.kind not in _WALKS:
        raise TraceError(f"line 2: no tool is called {trace.kind!r}, only {', '.join(_WALKS)}")
    gone = list(_WALKS[trace.kind](trace, step))
    problem = next((each.problem for each in gone if each.problem is not None), None)
    if json:
        document: dict[str, object] = {"kind": trace.kind, "steps": [each.words for each in gone], "problem": problem}
        print_json({**document, "recorded": trace.verdict, "state": gone[-1].state if gone else ""})
    else:
        for number, each in enumerate(gone, 1):
            print(f"{number:4}  {each.words}")
        print(gone[-1].state if gone else "nothing happens")
        print("every property holds" if problem is None else problem)
    return Status.FINE if problem is None else Status.FAILED


def _walk_small_ring(trace: Trace, step: int | None) -> Iterator[_Gone]:
    begin = Scenario.of(trace.settings).begin()
    state = begin.state
    for gone in retrace(begin, [tuple(line.split()) for line in trace.steps[:step]], begin.scope):
        state = gone.state
        yield _Gone(" ".join(gone.action), describe(begin, state), gone.problem)
    if step is None and trace.verdict is not None and trace.verdict.startswith("it "):
        # What is wrong is that it never heals: search from here on, without further joins and failures.
        rest = explore(Beginning(begin.rules, state._replace(to_join=(), may_fail=0)))
        yield _Gone("and whatever happens then", describe(begin, state), rest.problem)


def _walk_world(trace: Trace, step: int | None) -> Iterator[_Gone]:
    plan = Plan.of(trace)
    world = plan.setup.world()
    try:
        for event in plan.events[:step]:
            event.happen(world)
            yield _Gone(f"{world.net.now:9.3f}  {event}", world.net.describe())
        if step is None:
            world.settle()
            yield _Gone(f"{world.net.now:9.3f}  quiet", world.net.describe())
    except Broken as error:
        yield _Gone(f"{world.net.now:9.3f}  broken", world.net.describe(), str(error))


_WALKS = {"explore": _walk_small_ring, "simulate": _walk_world}
"""By the tool that a trace is of."""
