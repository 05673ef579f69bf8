"""Long random ways through small rings, under Zave's assumptions, with lists under way as their receiver will keep them."""

from __future__ import annotations

import os

import pytest

from chord_adapters.testing import Scenario, walk

STEPS = 125_000 if os.environ.get("CHORD_NIGHTLY") else 1_500
"""For each length of lists and each grain: in all, a million steps a night."""


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("r", [1, 2, 3, 4])
def test_the_invariant_holds_on_long_ways(r: int, *, exchanges: bool) -> None:
    """Three joins and up to three failures in any order, and every other step between them: nothing is broken."""
    walked = walk(
        Scenario(members=r + 3, joiners=3, failures=3, successors=r, exchanges=exchanges), steps=STEPS, seed=r
    )
    assert (None, STEPS) == (walked.problem, walked.steps), walked.path
    assert walked.joins > 0
    assert walked.failures > 0


def test_a_broken_rule_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """A joiner that takes over no list: the way that led there is told."""
    monkeypatch.setattr("chord_proto.membership.cut_list", lambda me, given, config: ((), False))
    walked = walk(Scenario(members=3, joiners=1), steps=3_000)
    assert walked.problem is not None
    assert "S1" in walked.problem
    assert "join" in [action[0] for action in walked.path]
