"""Recorded inputs are fed to fresh nodes again, which must do what the recorded ones did."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import BinaryIO

import attrs

from chord_adapters._recording_form import versions
from chord_adapters.testing._recorded import Ending, Input, Made, Reader
from chord_proto.effects import Effect
from chord_proto.node import Node

REMEMBERED = 5
"""How many of the latest inputs of a node are told with its state."""


@attrs.frozen
class Difference:
    """The first input of which something else came than was recorded."""

    input: Input
    expected: tuple[str, ...]
    actual: tuple[str, ...]


@attrs.frozen(eq=False)
class NodeState:
    """A node where the replay stopped: the step and clock of its last input, and its latest inputs, that one last."""

    name: str
    node: Node
    latest: tuple[Input, ...]


@attrs.frozen
class Replayed:
    """What a replay found.  ``ending`` is None when it was stopped before the end of the recording."""

    inputs: int
    effects: int
    nodes: tuple[str, ...]
    difference: Difference | None
    ending: Ending | None
    states: dict[str, NodeState]
    """By name, the newest life of each."""
    last: str | None
    """Who had the last input."""

    @property
    def identical(self) -> bool:
        """Whether everything came as it was recorded."""
        return self.difference is None


def replay(
    file: BinaryIO, first_line: str, *, steps: int | None = None, warn: Callable[[str], None] = lambda words: None
) -> Replayed:
    """Feed the inputs of a recording, of which ``first_line`` was read already, to fresh nodes, and compare.

    Stops after so many ``steps``, and at the first difference.  ``warn`` is told when another version recorded it.
    Raises `BadRecording` for a file that cannot be read as one, and ``OSError``.
    """
    reader = Reader(file, first_line)
    nodes: dict[str, Node] = {}
    latest: dict[str, deque[Input]] = {}
    inputs = effects = 0
    last: str | None = None
    difference: Difference | None = None
    ending: Ending | None = None
    for entry in reader.entries():
        if isinstance(entry, Made):
            if not nodes:
                _compare_versions(reader, warn)
            nodes[entry.name] = entry.node
            latest[entry.name] = deque(maxlen=REMEMBERED)
        elif isinstance(entry, Ending):
            ending = entry
        else:
            last = entry.name
            latest[last].append(entry)
            outcome = _feed(nodes[last], entry)
            told = tuple(line.rstrip("\n") for line in reader.digest.outcome(outcome))
            inputs += 1
            effects += 0 if isinstance(outcome, Exception) else len(outcome)
            if told != entry.outcome:
                difference = Difference(entry, entry.outcome, told)
                break
            if inputs == steps:
                break
    return Replayed(
        inputs=inputs,
        effects=effects,
        nodes=tuple(nodes),
        difference=difference,
        ending=ending,
        states={name: NodeState(name, node, tuple(latest[name])) for name, node in nodes.items()},
        last=last,
    )


def _feed(node: Node, entry: Input) -> list[Effect] | Exception:
    try:
        effects: list[Effect] = getattr(node, entry.kind)(*entry.arguments, now=entry.at, **entry.keywords)
    except Exception as error:  # noqa: BLE001 -- was recorded as well, and is compared
        return error
    return effects


def _compare_versions(reader: Reader, warn: Callable[[str], None]) -> None:
    ours = versions()
    other = [
        f"{name} {version}, not {ours.get(name)}"
        for name, version in reader.versions.items()
        if version != ours.get(name)
    ]
    if other:
        warn(f"it was recorded by another version, which may differ: {'; '.join(other)}")
