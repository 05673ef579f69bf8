"""Every path of a small ring, breadth first, so that the first counterexample found is a shortest one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from time import perf_counter

import attrs

from chord_adapters.testing._groups import terminal_groups
from chord_adapters.testing._scenario import Beginning, Scenario
from chord_adapters.testing._small_ring import Action, State, Step
from chord_proto.invariants import Scope


@attrs.frozen(kw_only=True)
class Explored:
    """What was found: how far the search came, and what was wrong, with the shortest way to it."""

    states: int
    transitions: int
    depth: int
    seconds: float
    finished: bool
    problem: str | None = None
    path: tuple[Action, ...] = ()
    never: tuple[str, ...] = ()
    """What the scenario allows and the search has never seen: ``"join"``, ``"fail"``.  Then a pass says less."""

    @property
    def states_per_s(self) -> float:
        """New states a second."""
        return self.states / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        """Return one line, or the counterexample with a line for each step."""
        extent = "finished" if self.finished else "not finished"
        counts = f"{self.states:,} states, {self.transitions:,} transitions, depth {self.depth}"
        lines = [f"{counts}, {extent}, {self.states_per_s:,.0f} states/s"]
        lines += [f"never happened: {what}" for what in self.never]
        if self.problem is not None:
            lines += [self.problem, *(f"{number:3}  {' '.join(action)}" for number, action in enumerate(self.path, 1))]
        return "\n".join(lines)


def explore(
    begin: Scenario | Beginning,
    *,
    limit: int = 2_000_000,
    scope: Collection[Scope] | None = None,
    progress: Callable[[int, int], None] = lambda states, depth: None,
) -> Explored:
    """Search every state that a scenario, or a state, leads to, up to ``limit`` states.

    In each state the invariants of ``scope`` are checked: by default A, and Z where the members are more than r.
    Once all states are found, those from which nothing leads out of the group of states that lead back to them must
    be ideal rings: whatever happened, the ring heals.  ``progress`` is told the number of states and the depth now
    and then.
    """
    beginning = begin.begin() if isinstance(begin, Scenario) else begin
    if scope is None:
        scope = beginning.scope
    return _Search(beginning, limit, frozenset(scope), progress).run()


class _Search:
    def __init__(
        self, first: Beginning, limit: int, scope: frozenset[Scope], progress: Callable[[int, int], None]
    ) -> None:
        self.rules = first.rules
        self.scope = scope
        self.limit = limit
        self.progress = progress
        self.began = perf_counter()
        self.number: dict[State, int] = {first.state: 0}
        self.states = [first.state]
        self.origin: list[tuple[int, Step]] = [(0, ("", 0, None))]
        self.edges: list[tuple[int, ...]] = []
        self.frontier = deque([0])
        self.level = [0]
        self.transitions = 0
        self.depth = 0
        self.awaited = {kind for kind, may in (("join", first.state.to_join), ("fail", first.state.may_fail)) if may}

    def run(self) -> Explored:
        rules, number, states = self.rules, self.number, self.states
        moves_count = "A" in self.scope
        while self.frontier:
            here = self.frontier.popleft()
            self.depth = self.level[here]
            reached = []
            for step, after, wrong in rules.steps(states[here]):
                self.transitions += 1
                wrong = wrong if moves_count else None
                there = number.get(after)
                if there is None:
                    there = number[after] = len(states)
                    states.append(after)
                    self.origin.append((here, step))
                    self.level.append(self.depth + 1)
                    if self.awaited:
                        self.awaited.discard(step[0])
                    problem = wrong or rules.problem(after, self.scope)
                    if problem is not None:
                        return self._report(problem=problem, at=there)
                    if len(states) >= self.limit:
                        return self._report(finished=False)
                    self.frontier.append(there)
                elif wrong is not None:
                    self.origin.append((here, step))
                    return self._report(problem=wrong, at=len(self.origin) - 1)
                if there != here:
                    reached.append(there)
            self.edges.append(tuple(dict.fromkeys(reached)))
            if here % 1000 == 0:
                self.progress(len(states), self.depth)
        for group in terminal_groups(self.edges):
            for each in group:
                flaw = rules.why_not_ideal(states[each])
                if flaw is not None:
                    end = "it stays like this" if len(group) == 1 else "it comes back to this for ever"
                    return self._report(problem=f"{end}: {flaw}", at=each)
        return self._report()

    def _report(self, *, finished: bool = True, problem: str | None = None, at: int = 0) -> Explored:
        path: list[Action] = []
        while at:
            at, step = self.origin[at]
            path.append(self.rules.words(step))
        return Explored(
            states=len(self.states),
            transitions=self.transitions,
            depth=self.depth,
            seconds=perf_counter() - self.began,
            finished=finished and not self.frontier,
            problem=problem,
            path=tuple(reversed(path)),
            never=tuple(sorted(self.awaited)),
        )
