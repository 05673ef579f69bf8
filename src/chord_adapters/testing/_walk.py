"""Long random ways through small rings, where every state is too much: invariants after each step."""

from __future__ import annotations

from random import Random

import attrs

from chord_adapters.testing._scenario import Scenario
from chord_adapters.testing._small_ring import Action


@attrs.frozen(kw_only=True)
class Walked:
    """How far the ways went, and what was wrong at the end of the last one (None: nothing), with its steps."""

    steps: int
    ways: int
    joins: int
    failures: int
    problem: str | None = None
    path: tuple[Action, ...] = ()


def walk(scenario: Scenario, *, steps: int, seed: int = 0, longest: int = 80) -> Walked:
    """Go ``steps`` steps from the scenario's first state, a new way after ``longest`` steps or where a way ends.

    After every step the invariants are checked, A and, where the members are more than r, Z; lists under way count as
    their receiver will keep them.
    """
    chance, done, ways, joins, failures = Random(seed), 0, 0, 0, 0
    begin = scenario.begin()
    while done < steps:
        ways += 1
        state, path = begin.state, list[Action]()
        for _ in range(min(longest, steps - done)):
            possible = list(begin.rules.possible(state))
            if not possible:
                break
            step = possible[chance.randrange(len(possible))]
            state, wrong = begin.rules.take(state, step)
            done += 1
            joins += step[0] == "join"
            failures += step[0] == "fail"
            path.append(begin.rules.words(step))
            problem = wrong or begin.rules.problem(state, begin.scope)
            if problem is not None:
                return _walked(done, ways, joins, failures, problem, path)
        if len(begin.rules.moments.moments) > _MOST:
            begin = scenario.begin()
    return _walked(done, ways, joins, failures, None, [])


_MOST = 50_000
"""Moments of single nodes that are kept before memory is given back."""


def _walked(steps: int, ways: int, joins: int, failures: int, problem: str | None, path: list[Action]) -> Walked:
    return Walked(steps=steps, ways=ways, joins=joins, failures=failures, problem=problem, path=tuple(path))
