"""The known failures of the rules of 2001: a node by those rules runs into each, and the shipping node does not.

The traces are those of Zave (TSE 2017); ``traces/*.trace`` has them step by step, with what the old rules end in.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from chord_adapters.testing import Action, Beginning, RingNode, Scenario, SmallRing, State, Trace, explore, retrace
from chord_proto.invariants import Scope, check
from tests.sim.old_rules import OldNode

pytestmark = pytest.mark.slow

TRACES = Path(__file__).parent / "traces"
PREFIX = "sju"
"""Places are hashes; those of sju0, sju1 … sju7 happen to lie in this order on the circle."""
ROWS = {
    "two-rings": "J2 S2 N0 S0 N2 R0 R2 J1 S1 N2 S0 N1 J3 S3 N0 S2 N3 F1 F3 U0 U2",
    "no-ring": "J2 S2 N0 S0 N2 J1 S1 N2 F1 S0 N1 X2",
    "wrong-order": "J2 S2 N0 S0 N2 J4 S4 N0 S2 N4 S0 N2 R0 R2 R4 J1 S1 N2 S0 N1 J3 S3 N4 S2 N3 J5 S5 N0 S4 N5 "
    "F1 F3 F5 U0 U2 U4",
    "stranded-joiner": "J2 S2 N0 S0 N2 R0 F2 J1 U0",
    "skipped-node": "J2 S2 N0 S0 N2 J1 R1 J3 S3 N0 S2 N3 R0 S1 N2 S0 N1 F2 U1",
}
"""Jn join at 0, Sn stabilise, Nn the notification that it causes, Rn refresh the second successor, Un replace a dead
first successor by the second, Xn drop a dead predecessor, Fn fail.  Node 0 is alone at first; r = 2."""
STEPS = {"S": "stabilize", "R": "refresh", "U": "replace", "X": "drop", "F": "fail"}
Z: frozenset[Scope] = frozenset({"Z"})
A: frozenset[Scope] = frozenset({"A"})


def read(name: str) -> Trace:
    """Return a trace."""
    return Trace.parse((TRACES / f"{name}.trace").read_text(encoding="utf-8"))


def steps_of(trace: Trace) -> list[Action]:
    """Return its steps as the explorer's rules know them."""
    return [tuple(step.split()) for step in trace.steps]


def broken(begin: Beginning, state: State) -> set[str]:
    """Return the names of the broken properties of the ring."""
    return {violation.name for violation in check(begin.rules.snapshot(state), Z)}


def followed(name: str) -> tuple[Beginning, State]:
    """Return what a trace begins with and ends in by the old rules."""
    trace = read(name)
    begin = Scenario.of(trace.settings, OldNode.make).begin()
    *_, last = retrace(begin, steps_of(trace), Z)
    assert trace.verdict == last.problem
    return begin, last.state


def quiet(begin: Beginning, state: State) -> Beginning:
    """Return the same rules from a state after which nobody joins or fails any more."""
    return Beginning(begin.rules, state._replace(to_join=(), may_fail=0))


def reachable(begin: Beginning) -> set[State]:
    """Return every state that a beginning may lead to."""
    seen, todo = {begin.state}, [begin.state]
    while todo:
        for _, after, _ in begin.rules.steps(todo.pop()):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return seen


@pytest.mark.parametrize("name", ROWS)
def test_a_file_says_what_its_row_says(name: str) -> None:
    """One step for each word; a notification comes from who stabilised last."""
    expected: list[Action] = []
    notifier = ""
    for word in ROWS[name].split():
        kind, node = word[0], f"{PREFIX}{word[1:]}"
        if kind == "J":
            expected.append(("join", node, f"{PREFIX}0"))
        elif kind == "N":
            expected.append(("deliver", "Notify", notifier, node))
        else:
            expected.append((STEPS[kind], node))
            notifier = node
    assert expected == steps_of(read(name))


# By the rules of 2001


@pytest.mark.parametrize(
    "name, properties",
    [
        ("two-rings", {"S4"}),
        ("no-ring", {"S3"}),
        ("wrong-order", {"S5"}),
        ("stranded-joiner", {"S6"}),
        ("skipped-node", {"S2"}),
    ],
)
def test_the_old_rules_fail(name: str, properties: set[str]) -> None:
    """Each trace ends in the failure that it is known for, in the words of its file."""
    begin, state = followed(name)
    assert properties <= broken(begin, state)


def test_the_skipped_node_lives() -> None:
    """What node 1 keeps as the next one is node 0, past node 3, which is up and a member."""
    begin, state = followed("skipped-node")
    views = {view.me.address: view for view in begin.rules.snapshot(state).views}
    assert (["sju0"], True) == ([peer.address for peer in views["sju1"].successors], "sju3" in views)


def test_the_skipped_node_may_come_back_or_end_the_ring() -> None:
    """Node 0 names node 3 to node 1, and all may be well; but node 3 may name the dead node 2, which 1 adopts."""
    begin, state = followed("skipped-node")
    path: list[Action] = [("stabilize", "sju1"), ("stabilize", "sju1")]
    heals = []
    for step in retrace(quiet(begin, state), path, Z):
        after = reachable(Beginning(begin.rules, step.state))
        heals.append(any(begin.rules.why_not_ideal(each) is None for each in after))
    assert [True, False] == heals


@pytest.mark.parametrize("name", ["two-rings", "no-ring", "stranded-joiner"])
def test_nothing_heals_it(name: str) -> None:
    """No order of steps that the old rules allow leads to the ideal ring of those who live."""
    begin, state = followed(name)
    after = reachable(quiet(begin, state))
    assert [] == [each for each in after if begin.rules.why_not_ideal(each) is None]


def test_a_wrong_order_may_stay_for_ever() -> None:
    """Once the dead predecessors are dropped, what is left of the ring is stable, in the wrong order."""
    begin, state = followed("wrong-order")
    path: list[Action] = [("drop", "sju0"), ("drop", "sju2"), ("drop", "sju4")]
    *_, last = retrace(quiet(begin, state), path, Z)
    after = reachable(quiet(begin, last.state))
    assert ([], True) == (
        [each for each in after if begin.rules.why_not_ideal(each) is None],
        all("S5" in broken(begin, each) for each in after),
    )


# By the corrected rules


def fitting(rules: SmallRing, state: State, *words: str) -> Iterator[tuple[Action, State]]:
    """Yield what may happen next and begins with these words; no step by itself breaks a property of a node."""
    for step, after, wrong in rules.steps(state):
        told = rules.words(step)
        if told[: len(words)] == words:
            assert (None, None) == (wrong, rules.problem(after, A))
            yield told, after


def corrected(rules: SmallRing, state: State, action: Action) -> State:
    """Take a step of a trace as the corrected rules know it, with every question that it leads to.

    Refresh and replace are parts of stabilise; the notification that comes next looks after a dead predecessor.  A
    notification that these rules do not send, since its receiver was found dead, cannot arrive and is left out.
    """
    kind, node = action[0], action[-1]
    if kind == "drop":
        choices = [each for each in fitting(rules, state, "deliver", "Notify") if each[0][3] == node]
    elif kind in ("refresh", "replace"):
        choices = list(fitting(rules, state, "stabilize", node))
    else:
        choices = list(fitting(rules, state, *action))
    if not choices:
        assert kind in ("deliver", "drop"), action
        return state
    return answered(rules, choices[0][1])


def answered(rules: SmallRing, state: State) -> State:
    """Deliver questions until none is under way."""
    while True:
        questions = (each for each in fitting(rules, state, "deliver") if each[0][1] != "Notify")
        after = next((after for _, after in questions), None)
        if after is None:
            return state
        state = after


def survived(name: str) -> tuple[Beginning, State]:
    """Return what a trace begins with and ends in by the corrected rules."""
    trace = read(name)
    begin = Scenario.of(trace.settings).begin()
    state = begin.state
    for action in steps_of(trace):
        state = corrected(begin.rules, state, action)
    return begin, state


def settled(rules: SmallRing, state: State, rounds: int) -> State:
    """Deliver everything and let every timer fire, so many times."""
    for _ in range(rounds):
        while state.parcels:
            state = next(after for _, after in fitting(rules, state, "deliver"))
        for words in [rules.words(step) for step, _, _ in rules.steps(state)]:
            state = next((after for _, after in fitting(rules, state, *words)), state)
    return state


@pytest.mark.parametrize("name", ROWS)
def test_the_corrected_rules_survive(name: str) -> None:
    """After a few rounds the ring is ideal, and it is so in the end in whatever order things happen."""
    begin, state = survived(name)
    after = quiet(begin, state)
    explored = explore(after, scope=A)
    assert (None, True, None) == (
        begin.rules.why_not_ideal(settled(begin.rules, after.state, rounds=4)),
        explored.finished,
        explored.problem,
    )


@pytest.mark.parametrize("name, missing", [("no-ring", {("deliver", "Notify", "sju0", "sju1")}), ("two-rings", set())])
def test_what_the_corrected_rules_leave_out(name: str, missing: set[Action]) -> None:
    """All but the notification to a dead node, which the corrected rules do not adopt."""
    trace = read(name)
    begin = Scenario.of(trace.settings).begin()
    state, left_out = begin.state, set()
    for action in steps_of(trace):
        after = corrected(begin.rules, state, action)
        if after is state:
            left_out.add(action)
        state = after
    assert missing == left_out


# What the explorer finds by itself


@pytest.mark.parametrize(
    "members, joiners, failures, properties, path",
    [
        (3, 1, 0, {"S2"}, "join sju1 sju0; stabilize sju1; deliver Notify sju1 sju2; stabilize sju0"),
        (4, 1, 1, {"S1", "S6"}, "fail sju2; join sju1 sju0"),
        (4, 0, 1, {"S1", "S3", "S6"}, "fail sju0; replace sju3; stabilize sju3"),
    ],
    ids=["skipped-node", "stranded-joiner", "no-ring"],
)
def test_the_explorer_finds_it(members: int, joiners: int, failures: int, properties: set[str], path: str) -> None:
    """From an ideal ring and under the assumptions of the proof, with the shortest way to it."""
    scenario = Scenario(members=members, joiners=joiners, failures=failures, prefix=PREFIX, make=OldNode.make)
    explored = explore(scenario, scope=Z, limit=5000)
    begin = scenario.begin()
    *_, last = retrace(begin, explored.path, Z)
    assert (properties, path) == (broken(begin, last.state), "; ".join(map(" ".join, explored.path)))


def test_the_explorer_finds_what_never_heals() -> None:
    """Two come to a node alone and one fails: the search, told no property at all, ends where no ring is left.

    By the corrected rules every end is the ideal ring.
    """
    scenario = Scenario(members=1, joiners=2, failures=1, prefix=PREFIX, make=OldNode.make)
    explored = explore(scenario, scope=())
    begin = scenario.begin()
    *_, last = retrace(begin, explored.path, Z)
    assert (True, True, True) == (
        explored.finished,
        explored.problem is not None and "for ever" in explored.problem,
        "S3" in broken(begin, last.state),
    )
    shipping = explore(attrs.evolve(scenario, make=RingNode.make))
    assert (True, None, ()) == (shipping.finished, shipping.problem, shipping.never)


def test_without_failures_the_old_rules_heal() -> None:
    """So what is found is theirs, and not a fault of their model: joins alone end in the ideal ring."""
    scenario = Scenario(members=3, joiners=1, prefix=PREFIX, make=OldNode.make)
    explored = explore(scenario, scope=())
    assert (True, None) == (explored.finished, explored.problem)
