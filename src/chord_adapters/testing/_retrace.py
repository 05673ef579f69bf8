"""A path of a small ring, gone again step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from chord_adapters.testing._scenario import Beginning
from chord_adapters.testing._small_ring import Action, State
from chord_adapters.testing._trace import TraceError
from chord_proto.invariants import Scope


@attrs.frozen
class Retraced:
    """One step of a path: what happened, the state after it, and what is wrong there."""

    action: Action
    state: State
    problem: str | None


def retrace(begin: Beginning, path: Iterable[Action], scope: frozenset[Scope]) -> Iterator[Retraced]:
    """Go a path again; raises `TraceError` where a step cannot happen.

    A step may be told by its first words alone, as far as only one fits: ``("deliver", "Notify", "a", "b")``.
    """
    rules, state = begin.rules, begin.state
    for number, action in enumerate(path, 1):
        possible = [(rules.words(step), after, wrong) for step, after, wrong in rules.steps(state)]
        fitting = [each for each in possible if each[0][: len(action)] == tuple(action)]
        if len(fitting) != 1:
            why = "can be several things" if fitting else "cannot happen here"
            others = "; ".join(" ".join(words) for words, _, _ in fitting or possible)
            raise TraceError(f"step {number}, {' '.join(action)!r}, {why}: {others}")
        words, state, wrong = fitting[0]
        yield Retraced(words, state, (wrong if "A" in scope else None) or rules.problem(state, scope))


def describe(begin: Beginning, state: State) -> str:
    """Tell in words how the nodes stand and what is under way."""
    rules = begin.rules
    lines = []
    for address, number in zip(rules.addresses, state.moments, strict=True):
        if number < 0:
            lines.append(f"  {address} dead")
            continue
        view = rules.moments.moments[number].view
        before = "-" if view.predecessor is None else view.predecessor.address
        after = " ".join(peer.address for peer in view.successors)
        lines.append(f"  {address} {view.phase.value}{' busy' if view.busy else ''}: {before} < me < [{after}]")
    lines += [f"  under way: {' '.join(rules.moments.parcels[number].words)}" for number in state.parcels]
    return "\n".join(lines)
