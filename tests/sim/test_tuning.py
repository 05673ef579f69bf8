"""Rings whose upkeep follows their churn (RFC 7363; the table in docs/explanation/upkeep.md)."""

from __future__ import annotations

import os
from statistics import median

import pytest

from chord_proto.invariants import is_ideal, why_not_ideal
from tests.sim.churning import Churned, Churning

NIGHT = "CHORD_NIGHTLY" in os.environ
QUIET = 3600.0
"""Seconds that a node lives in the mean; a sixth of it while there is churn."""
LONGEST = 120.0


def measured(size: int, seeds: int, period: float, longest: float | None = None) -> tuple[int, Churned, Churned]:
    """Return the messages of six hours that are quiet and two of six-fold churn, and what came of each time, of all seeds."""
    quiet, churn = Churned(), Churned()
    for seed in range(seeds):
        ring = Churning(size, seed, period=period, longest=longest)
        for came, seconds, lifetime, every in ((quiet, 21_600.0, QUIET, 10.0), (churn, 7200.0, QUIET / 6, 2.0)):
            each = ring.run(seconds, lifetime=lifetime, every=every)
            came.lookups += each.lookups
            came.failed += each.failed
            came.messages += each.messages
    return quiet.messages + churn.messages, quiet, churn


def test_periods_follow_the_churn() -> None:
    """They grow while nothing happens, shrink under six-fold churn; after it the ring becomes ideal within some of them."""
    ring = Churning(16, 1, period=2.0, longest=LONGEST)
    first, quiet = (ring.run(1800.0, lifetime=QUIET, every=10.0) for _ in range(2))
    ring.run(400.0, lifetime=QUIET / 6, every=10.0)
    churn = ring.run(800.0, lifetime=QUIET / 6, every=5.0)
    assert median(first.periods) < median(quiet.periods)
    # By the formula 112 s, 16 rounds of a half-life, and 19 s.
    assert 60.0 < median(quiet.periods) <= LONGEST
    assert 9.0 < median(churn.periods) < 38.0
    net = ring.net
    net.run_until(
        lambda: is_ideal([node.view() for node in net.nodes], net.config),
        within=6 * LONGEST,
        every=1.0,
        explain=lambda: why_not_ideal([node.view() for node in net.nodes], net.config),
    )


@pytest.mark.skipif(not NIGHT, reason="takes minutes: CHORD_NIGHTLY")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size, seeds, fixed", [(16, 3, 30.0), (32, 2, 22.0)])
def test_fewer_lookups_fail_than_with_a_fixed_period_of_equal_cost(size: int, seeds: int, fixed: float) -> None:
    """Under six-fold churn, after quiet times: the fixed period costs no less over all, and more lookups fail."""
    cost, _, tuned = measured(size, seeds, 2.0, LONGEST)
    cost_of_fixed, _, untuned = measured(size, seeds, fixed)
    assert cost <= cost_of_fixed
    assert tuned.failed / tuned.lookups < untuned.failed / untuned.lookups
