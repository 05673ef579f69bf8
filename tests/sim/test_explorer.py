"""Every interleaving of small rings of real nodes keeps the invariants and heals; broken rules are found by it."""

from __future__ import annotations

import os
from itertools import product

import pytest

from chord_adapters.testing import Explored, Scenario, explore
from chord_adapters.testing._explorer import terminal_groups
from chord_proto.messages import Answer
from chord_proto.peer import Peer
from chord_proto.ring import Ring
from chord_proto.ring_state import AskSuccessor
from chord_proto.routing import Routing


def result(**scenario: int) -> tuple[bool, str | None]:
    """Return whether everything was seen, and what was wrong."""
    explored = explore(Scenario(**scenario))  # type: ignore[arg-type]
    return explored.finished, explored.problem


@pytest.mark.parametrize("members, successors", [(1, 1), (2, 1), (3, 1), (3, 2), (4, 3)])
def test_an_ideal_ring_stays_ideal(members: int, successors: int) -> None:
    """Whatever timers fire in whatever order, nothing changes."""
    explored = explore(Scenario(members=members, successors=successors))
    assert (True, None, True) == (explored.finished, explored.problem, explored.states < 50)


def test_a_joiner_at_a_ring_of_two() -> None:
    """In every order the newcomer is taken in, and the ring becomes ideal."""
    assert (True, None) == result(members=2, joiners=1, successors=1)


SMALL = [(3, 1, 0, 2), (1, 1, 0, 2), (3, 1, 0, 1), (4, 0, 1, 2), (1, 2, 0, 1)]
LARGE = [(3, 2, 0, 2), (4, 1, 1, 2), (5, 0, 2, 2)] if os.environ.get("CHORD_NIGHTLY") else []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("members, joiners, failures, successors", SMALL + LARGE)
def test_joins_and_failures(members: int, joiners: int, failures: int, successors: int) -> None:
    """A join to three members, a failure among four, joins to a single node: all orders, all healed."""
    assert (True, None) == result(members=members, joiners=joiners, failures=failures, successors=successors)


def test_a_limit_is_kept() -> None:
    """A search that is stopped says so."""
    explored = explore(Scenario(members=3, joiners=1), limit=100)
    assert (100, False, None) == (explored.states, explored.finished, explored.problem)


def test_progress_is_told() -> None:
    """From the beginning on."""
    told: list[tuple[int, int]] = []
    explore(Scenario(members=3), progress=lambda states, depth: told.append((states, depth)))
    assert 0 == told[0][1]


# What it finds in broken nodes


def found(explored: Explored, words: str) -> None:
    """Assert that the problem is that one."""
    assert explored.problem is not None
    assert words in explored.problem, explored


def test_a_joiner_with_a_short_list_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A joiner that keeps one successor instead of the list: too few principals, in the step that takes it over."""
    whole = Ring.become_member

    def short(self: Ring, predecessor: Peer | None, successors: tuple[Peer, ...], *, came_round: bool) -> None:
        whole(self, predecessor, successors[:0], came_round=came_round)

    monkeypatch.setattr(Ring, "become_member", short)
    explored = explore(Scenario(members=3, joiners=1))
    found(explored, "S1")
    assert ("join", "n3", "n0") == explored.path[0]


def test_a_notification_that_is_never_sent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody learns of the newcomer: the search ends in states that never become ideal."""
    begin = Scenario(members=2, joiners=1, successors=1).begin()
    monkeypatch.setattr("chord_proto.context.Context.notify", lambda self, peer: None)
    found(explore(begin), "it stays like this")


def test_a_dead_successor_that_is_kept_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence that changes nothing: the ring never heals."""
    whole = Ring.on_successor

    def deaf(self: Ring, step: AskSuccessor, peer: Peer | None, answer: Answer | None) -> None:
        if answer is None:
            self._end_step()
        else:
            whole(self, step, peer, answer)

    monkeypatch.setattr(Ring, "on_successor", deaf)
    monkeypatch.setattr(Routing, "is_suspect", lambda self, peer: False)
    assert explore(Scenario(members=3, failures=1)).problem is not None


# The groups of states that are never left


def reachable(edges: list[tuple[int, ...]], start: int) -> set[int]:
    """Return what can be reached, by trying."""
    seen, todo = {start}, [start]
    while todo:
        for there in edges[todo.pop()]:
            if there not in seen:
                seen.add(there)
                todo.append(there)
    return seen


def test_terminal_groups_of_all_small_graphs() -> None:
    """Against the definition, on every graph of three states."""
    choices = [tuple(there for there in range(3) if mask >> there & 1) for mask in range(8)]
    for edges in product(choices, repeat=3):
        graph = list(edges)
        reach = [reachable(graph, state) for state in range(3)]
        expected = {frozenset(reach[s]) for s in range(3) if all(s in reach[t] for t in reach[s])}
        assert expected == {frozenset(group) for group in terminal_groups(graph)}, graph
