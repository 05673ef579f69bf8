"""Deadlines: the earliest falls due first, re-arming moves, and a model agrees."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chord_proto.timers import TimerKey, Timers

KEYS = st.tuples(st.sampled_from(["call", "stabilize", "task"]), st.integers(0, 3))
WHENS = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])


def test_in_order_of_time_then_of_arming() -> None:
    """Timers fall due by time; those of the same moment in the order in which they were armed."""
    timers = Timers()
    for key, when in ((("b", 0), 2.0), (("c", 0), 1.0), (("a", 0), 2.0)):
        timers.arm(key, when)
    assert [("c", 0), ("b", 0), ("a", 0), None] == [timers.pop_due(5.0) for _ in range(4)]


def test_nothing_falls_due_early() -> None:
    """A timer is due at its moment, not before, and once only."""
    timers = Timers()
    timers.arm(("a", 0), 2.0)
    assert timers.pop_due(1.999) is None
    assert ("a", 0) == timers.pop_due(2.0)
    assert timers.pop_due(2.0) is None


def test_arming_again_moves_later_and_earlier() -> None:
    """The last setting counts; ``arm_earlier`` only ever brings forward."""
    timers = Timers()
    timers.arm(("a", 0), 1.0)
    timers.arm(("a", 0), 3.0)
    timers.arm_earlier(("a", 0), 4.0)
    assert 3.0 == timers.when(("a", 0)) == timers.deadline
    timers.arm_earlier(("a", 0), 2.0)
    assert 2.0 == timers.when(("a", 0)) == timers.deadline
    assert timers.pop_due(1.5) is None


def test_the_heap_stays_small() -> None:
    """A timer moved ten thousand times, and never due, leaves no trail of stale entries."""
    timers = Timers()
    timers.arm(("first", 0), 0.5)
    for step in range(10_000):
        timers.arm(("a", 0), 1.0 + step)
    assert len(timers._heap) < 200
    assert [("first", 0), ("a", 0)] == [timers.pop_due(1e9), timers.pop_due(1e9)]


class Model(RuleBasedStateMachine):
    """Timers against a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.timers = Timers()
        self.armed: dict[TimerKey, float] = {}

    @rule(key=KEYS, when=WHENS)
    def arm(self, key: TimerKey, when: float) -> None:
        self.timers.arm(key, when)
        self.armed[key] = when

    @rule(key=KEYS, when=WHENS)
    def arm_earlier(self, key: TimerKey, when: float) -> None:
        self.timers.arm_earlier(key, when)
        self.armed[key] = min(when, self.armed.get(key, when))

    @rule(key=KEYS)
    def disarm(self, key: TimerKey) -> None:
        self.timers.disarm(key)
        self.armed.pop(key, None)

    @rule()
    def clear(self) -> None:
        self.timers.clear()
        self.armed.clear()

    @rule(now=WHENS)
    def pop(self, now: float) -> None:
        key = self.timers.pop_due(now)
        due = [when for when in self.armed.values() if when <= now]
        if key is None:
            assert [] == due
        else:
            assert min(due) == self.armed.pop(key)

    @invariant()
    def agrees(self) -> None:
        assert sorted(self.armed.items()) == self.timers.items()
        assert min(self.armed.values(), default=None) == self.timers.deadline


TestTimers = Model.TestCase
TestTimers.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
