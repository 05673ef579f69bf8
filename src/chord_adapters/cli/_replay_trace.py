"""``chord replay`` of a trace: a counterexample of ``chord check`` is gone through again."""

from __future__ import annotations

from typing import BinaryIO

from chord_adapters.cli._outcome import Status, UsageError
from chord_adapters.cli._output import print_json
from chord_adapters.testing._again import go_through, problem_of, read_trace, words_of


def replay_trace(source: BinaryIO, first_line: str, *, step: int | None, json: bool) -> int:
    """Go through a trace, or its first ``step`` steps; status 1 when something is wrong, as it was found to be."""
    trace = read_trace(source, first_line)
    if step is not None and step > len(trace.steps):
        raise UsageError(f"the trace has {len(trace.steps)} steps, there is no step {step}")
    gone = list(go_through(trace, step=step))
    problem = problem_of(gone)
    if json:
        document: dict[str, object] = {"kind": trace.kind, "steps": [each.words for each in gone], "problem": problem}
        print_json({**document, "recorded": trace.verdict, "state": gone[-1].state if gone else ""})
    else:
        print(words_of(gone))
    return Status.FINE if problem is None else Status.FAILED
