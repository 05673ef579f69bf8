"""The state machine that users subclass, on the shipping node: whole rings under all kinds of faults."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test

from chord_adapters.testing import SOMETIMES, Plan, Trace
from chord_adapters.testing.hypothesis import ChordMachine, plans, setups

NIGHTLY = bool(os.environ.get("CHORD_NIGHTLY"))
PHASES = (Phase.explicit, Phase.generate, Phase.shrink) if NIGHTLY else (Phase.explicit, Phase.generate)
"""Shrinking takes minutes, more than a test may: without it the steps that led there are printed as they were drawn."""


class RingMachine(ChordMachine):
    """The machine as it is, with counts of its own."""


@pytest.mark.slow
@pytest.mark.timeout(3600 if NIGHTLY else 300)
def test_a_ring_under_faults() -> None:
    """The invariants hold at every step, the ring becomes whole again, and what was acknowledged is there."""
    RingMachine.seen.clear()
    run_state_machine_as_test(
        RingMachine,
        settings=settings(
            max_examples=3000 if NIGHTLY else 250,
            stateful_step_count=40 if NIGHTLY else 25,
            phases=PHASES,
            derandomize=not NIGHTLY,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # Passes must not be empty: every kind of input, message and fault did occur, and Z was checked and silenced.
    assert [] == [name for name in SOMETIMES if not RingMachine.seen[name]]


@settings(max_examples=20, derandomize=True, database=None, deadline=None, phases=(Phase.generate,))
@given(plans(setup=setups(in_order=True), steps=8))
def test_a_plan_with_messages_in_order_but_for_a_few(plan: Plan) -> None:
    """Holds, too; and its text is the same plan."""
    assert plan == Plan.of(Trace.parse(str(plan.trace())))
    plan.run()
