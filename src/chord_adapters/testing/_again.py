"""A file of a trace or of a recording gone through again, and what comes of it in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

import attrs

from chord_adapters.testing._explorer import explore
from chord_adapters.testing._overseer import Broken
from chord_adapters.testing._participant import RingNode
from chord_adapters.testing._plan import MakeWorld, Plan
from chord_adapters.testing._recorded import BadRecording, kind_of
from chord_adapters.testing._replay import Difference, replay
from chord_adapters.testing._retrace import describe, retrace
from chord_adapters.testing._scenario import Beginning, Make, Scenario
from chord_adapters.testing._trace import Trace, TraceError
from chord_adapters.testing._world import World

LONGEST_FIRST_LINE = 100
_LONGEST = 10_000_000
"""Bytes of a trace that are read."""


@attrs.frozen
class Gone:
    """One step of a trace, how things stand after it, and what is wrong then."""

    words: str
    state: str
    problem: str | None = None


def read_trace(source: BinaryIO, first_line: str) -> Trace:
    """Return the trace of a file of which the first line was read already; raises `TraceError`."""
    data = source.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise TraceError(f"a trace of more than {_LONGEST} bytes")
    trace = Trace.parse(first_line + data.decode(errors="replace"))
    if trace.kind not in ("explore", "simulate"):
        raise TraceError(f"line 2: no tool is called {trace.kind!r}, only explore, simulate")
    return trace


def go_through(
    trace: Trace, *, step: int | None = None, world: MakeWorld = World, participant: Make = RingNode.make
) -> Iterator[Gone]:
    """Go through a trace again, or its first ``step`` steps.

    Plans run in what ``world`` makes, paths of the explorer on what ``participant`` makes.
    """
    return _path(trace, step, participant) if trace.kind == "explore" else _plan(trace, step, world)


def _path(trace: Trace, step: int | None, participant: Make) -> Iterator[Gone]:
    begin = Scenario.of(trace.settings, participant).begin()
    state = begin.state
    for gone in retrace(begin, [tuple(line.split()) for line in trace.steps[:step]], begin.scope):
        state = gone.state
        yield Gone(" ".join(gone.action), describe(begin, state), gone.problem)
    if step is None and trace.verdict is not None and trace.verdict.startswith("it "):
        # What is wrong is that it never heals: search from here on, without further joins and failures.
        rest = explore(Beginning(begin.rules, state._replace(to_join=(), may_fail=0)))
        yield Gone("and whatever happens then", describe(begin, state), rest.problem)


def _plan(trace: Trace, step: int | None, make: MakeWorld) -> Iterator[Gone]:
    plan = Plan.of(trace)
    world = plan.setup.world(make)
    try:
        for event in plan.events[:step]:
            event.happen(world)
            yield Gone(f"{world.net.now:9.3f}  {event}", world.net.describe())
        if step is None:
            world.settle()
            yield Gone(f"{world.net.now:9.3f}  quiet", world.net.describe())
    except Broken as error:
        yield Gone(f"{world.net.now:9.3f}  broken", world.net.describe(), str(error))


def problem_of(gone: Sequence[Gone]) -> str | None:
    """Return what is wrong first; None if nothing is."""
    return next((each.problem for each in gone if each.problem is not None), None)


def words_of(gone: Sequence[Gone]) -> str:
    """Tell the steps, how the nodes stand after them, and what is wrong."""
    steps = [f"{number:4}  {each.words}" for number, each in enumerate(gone, 1)]
    state = gone[-1].state if gone else "nothing happens"
    return "\n".join([*steps, state, problem_of(gone) or "every property holds"])


def words_of_difference(difference: Difference) -> str:
    """Tell which input had other effects than were recorded, and what they are."""
    at = difference.input
    lines = [f"step {at.step}, line {at.line}, is not as it was recorded:\n", at.words]
    for expected, actual in zip_longest(difference.expected, difference.actual, fillvalue="(nothing)"):
        if expected == actual:
            lines.append(f"    both      {expected.strip()}")
        else:
            lines.append(f"    recorded  {expected.strip()}\n    now       {actual.strip()}")
    if difference.expected[:-1] == difference.actual[:-1]:
        lines.append(
            "\nIn words the effects are the same: either they differ in what words leave out, or something before\n"
            "them was changed after it was recorded."
        )
    return "\n".join(lines)


def what_is_wrong(
    path: Path,
    *,
    world: MakeWorld = World,
    participant: Make = RingNode.make,
    warn: Callable[[str], None] = lambda words: None,
) -> str | None:
    """Go through the trace or recording in a file; return what ``chord replay`` tells of it, None if nothing is wrong.

    ``warn`` is told when another version recorded it.  Raises `TraceError`, `BadRecording` and ``OSError``.
    """
    with path.open("rb") as source:
        first_line = source.readline(LONGEST_FIRST_LINE).decode(errors="replace")
        kind = kind_of(first_line)
        if kind == "recording 1":
            difference = replay(source, first_line, warn=warn).difference
            return None if difference is None else words_of_difference(difference)
        if kind != "trace 1":
            raise BadRecording(f"this version cannot replay a file of the kind “{kind}”")
        gone = list(go_through(read_trace(source, first_line), world=world, participant=participant))
    return None if problem_of(gone) is None else words_of(gone)
