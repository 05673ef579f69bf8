"""Every interleaving of small rings of real nodes keeps the invariants and heals; broken rules are found by it."""

from __future__ import annotations

import os
import random
from itertools import product

import pytest

from chord_adapters.testing import Evidence, Explored, RingNode, Scenario, Trace, TraceError, explore, retrace
from chord_adapters.testing._groups import terminal_groups
from chord_proto.invariants import Scope
from chord_proto.messages import Answer
from chord_proto.peer import Peer
from chord_proto.ring import Ring
from chord_proto.ring_state import AskSuccessor
from chord_proto.routing import Routing


def result(**scenario: object) -> tuple[bool, str | None]:
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


EXCHANGES = [
    (3, 1, 0, 2),
    (1, 1, 0, 2),
    (3, 1, 0, 1),
    (4, 0, 1, 2),
    (1, 2, 0, 1),
    (1, 2, 0, 2),
    (3, 2, 0, 2),
    (4, 0, 1, 1),
]
EXCHANGES += [(4, 1, 1, 2), (5, 0, 2, 2)]
LARGER = [(5, 1, 1, 3), (6, 0, 2, 3)] if os.environ.get("CHORD_NIGHTLY") else []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("members, joiners, failures, successors", EXCHANGES + LARGER)
def test_joins_and_failures(members: int, joiners: int, failures: int, successors: int) -> None:
    """Joins to a ring and to a single node, failures among members: all orders of exchanges, all healed."""
    assert (True, None) == result(members=members, joiners=joiners, failures=failures, successors=successors)


MESSAGES = [(3, 0, 0, 2), (2, 1, 0, 1)]
MORE_MESSAGES = [(3, 1, 0, 2), (4, 0, 1, 2)] if os.environ.get("CHORD_NIGHTLY") else []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("members, joiners, failures, successors", MESSAGES + MORE_MESSAGES)
def test_joins_and_failures_message_by_message(members: int, joiners: int, failures: int, successors: int) -> None:
    """The same with every message a step of its own."""
    explored = result(members=members, joiners=joiners, failures=failures, successors=successors, exchanges=False)
    assert (True, None) == explored


@pytest.mark.parametrize("exchanges", [True, False])
def test_states_that_count_as_one_go_on_alike(*, exchanges: bool) -> None:
    """What may happen next, word for word, is the same for a state however it was reached.

    A walk is gone in a search's memory, where nodes are shared between states, and again in a fresh one.
    """
    scenario = Scenario(members=3, joiners=1, exchanges=exchanges)
    searched = scenario.begin()
    explore(searched, limit=3000)
    for seed in range(10):
        chance, fresh = random.Random(seed), scenario.begin()
        shared, own = searched.state, fresh.state
        for _ in range(60):
            steps = {searched.rules.words(step): after for step, after, _ in searched.rules.steps(shared)}
            again = {fresh.rules.words(step): after for step, after, _ in fresh.rules.steps(own)}
            assert sorted(steps) == sorted(again)
            words = chance.choice(sorted(steps))
            shared, own = steps[words], again[words]


def test_a_path_is_gone_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace of a counterexample is text; read again and followed, it ends in the same problem."""
    monkeypatch.setattr("chord_proto.membership.cut_list", lambda me, given, config: ((), False))
    scenario = Scenario(members=3, joiners=1)
    explored = explore(scenario)
    told = Trace(
        kind="explore",
        settings=scenario.settings(),
        steps=tuple(" ".join(action) for action in explored.path),
        verdict=explored.problem,
    )
    read = Trace.parse(str(told))
    begin = Scenario.of(read.settings).begin()
    gone = list(retrace(begin, [tuple(step.split()) for step in read.steps], begin.scope))
    assert (read.verdict, len(explored.path)) == (gone[-1].problem, len(gone))


@pytest.mark.parametrize(
    "text",
    ["", "# chord trace 2\nexplore members=3", "# chord trace 1", "# chord trace 1\nexplore members", "hello\n"],
)
def test_a_text_that_is_no_trace_is_refused(text: str) -> None:
    """With a word about what is wrong."""
    with pytest.raises(TraceError):
        Trace.parse(text)


@pytest.mark.parametrize("settings", [{"members": "x"}, {"members": "0"}, {"grain": "dust"}, {"wheels": "4"}])
def test_settings_that_are_no_scenario_are_refused(settings: dict[str, str]) -> None:
    """A trace from elsewhere may say anything."""
    with pytest.raises(TraceError):
        Scenario.of({"members": "3", **settings})


@pytest.mark.parametrize(
    "scenario",
    [Scenario(members=3), Scenario(members=1, joiners=3, failures=2, exchanges=False, any_failure=True, prefix="sju")],
)
def test_a_scenario_is_told_whole(scenario: Scenario) -> None:
    """What a trace says of it is enough to make it again."""
    assert scenario == Scenario.of(scenario.settings())


def test_every_joiner_has_a_place_of_its_own() -> None:
    """Also more joiners than members; they fall between members as long as there are gaps."""
    begun = [Scenario(members=members, joiners=joiners).begin().state for members, joiners in [(1, 3), (3, 2), (2, 4)]]
    assert [[1, 2, 3], [1, 3], [1, 2, 3, 5]] == [[position for position, _ in state.to_join] for state in begun]


def test_failures_beyond_the_proof_are_allowed_on_demand() -> None:
    """Three members and lists of two: a failure leaves fewer than three principals."""
    begun = [Scenario(members=3, failures=1, any_failure=any_failure).begin() for any_failure in (False, True)]
    counts = [sum(step[0] == "fail" for step, _, _ in each.rules.steps(each.state)) for each in begun]
    assert [0, 3] == counts


def test_a_step_that_cannot_happen_is_refused() -> None:
    """It says which one, and what could."""
    begin = Scenario(members=3).begin()
    with pytest.raises(TraceError, match=r"step 2, 'join n9', cannot happen here: .*stabilize n0"):
        list(retrace(begin, [("stabilize", "n0"), ("join", "n9")], begin.scope))


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
    found(explore(begin), "it comes back to this for ever")


def test_a_dead_successor_that_is_kept_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence that changes nothing: the ring never heals."""
    whole = Ring.on_successor

    def deaf(self: Ring, step: AskSuccessor, peer: Peer | None, answer: Answer | None) -> None:
        if answer is None:
            self._end_step()
        else:
            whole(self, step, peer, answer)

    monkeypatch.setattr(Ring, "on_successor", deaf)
    monkeypatch.setattr(Ring, "on_departed", lambda self, peer: None)
    monkeypatch.setattr(Routing, "is_suspect", lambda self, peer: False)
    found(explore(Scenario(members=4, failures=1)), "it comes back to this for ever")


def test_a_move_is_wrong_only_within_the_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """S12 and S13 are properties of scope A: a search and a path that leave it out do not stop at them."""
    begin = Scenario(members=3, joiners=1).begin()
    monkeypatch.setattr(RingNode, "evidence", lambda self: Evidence())
    searched = explore(begin)
    found(searched, "S13")
    assert (True, None) == (explore(begin, scope={"Z"}).finished, explore(begin, scope={"Z"}).problem)
    gone = [list(retrace(begin, searched.path, scope))[-1].problem for scope in (begin.scope, frozenset[Scope]({"Z"}))]
    assert [searched.problem, None] == gone


def test_what_never_happened_is_told() -> None:
    """Three members and lists of two: nobody may fail, and a search that shows nothing says so."""
    assert (("fail",), ()) == (
        explore(Scenario(members=3, failures=1)).never,
        explore(Scenario(members=4, failures=1), limit=100).never,
    )


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
