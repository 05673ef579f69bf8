"""The figures by name; each loads its module when it is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Literal, TypeAlias

from chord_adapters._bench.outcome import Effort, Outcome

Figure: TypeAlias = Literal[
    "gets-16",
    "gets-64",
    "one-at-a-time",
    "majority",
    "puts",
    "durable-puts",
    "loops",
    "tls",
    "transfer",
    "join",
    "killed",
    "idle",
]
FIGURES: Mapping[Figure, str] = {
    "gets-16": "gets:gets_16",
    "gets-64": "gets:gets_64",
    "one-at-a-time": "gets:one_at_a_time",
    "majority": "gets:majority",
    "puts": "puts:puts",
    "durable-puts": "puts:durable_puts",
    "loops": "loops:loops",
    "tls": "gets:tls",
    "transfer": "transfer:transfer",
    "join": "join:join",
    "killed": "killed:killed",
    "idle": "idle:idle",
}


def measure(name: Figure, effort: Effort) -> Outcome:
    """Measure one; a quick effort judges nothing."""
    module, _, function = FIGURES[name].partition(":")
    figure: Callable[[Effort], Outcome] = getattr(import_module(f"chord_adapters._bench.{module}"), function)
    outcome = figure(effort)
    return outcome.unjudged() if effort.quick else outcome
