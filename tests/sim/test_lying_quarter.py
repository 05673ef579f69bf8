"""A quarter of the ring lies: lookups of the others find the true owner all the same (chord.md section 5)."""

from __future__ import annotations

import os

import pytest

from chord_proto.config import Config
from tests.sim.liars import NAMES_ITS_LIKE, WAYS, grown, measured

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NIGHT = "CHORD_NIGHTLY" in os.environ
QUARTER = 0.25


@pytest.mark.parametrize("how", WAYS)
def test_with_a_quarter_lying_lookups_are_right(how: str) -> None:
    """At least 99 of 100 find the owner, whatever the lie, after half a minute of lies; and do so in time."""
    seeds = range(4) if NIGHT else (1,)
    nodes, lookups = (96, 400) if NIGHT else (40, 150)
    found = [measured(grown(nodes, Config(), seed), how, share=QUARTER, lookups=lookups, seed=seed) for seed in seeds]
    right, all_of_them = sum(each.right for each in found), sum(each.lookups for each in found)
    assert right >= 0.99 * all_of_them, (how, right, all_of_them)
    assert all(each.seconds[-1] < 5.0 for each in found), [each.seconds[-3:] for each in found]


@pytest.mark.parametrize("how", ["owns everything", NAMES_ITS_LIKE])
def test_unchecked_lookups_are_not(how: str) -> None:
    """The same with every answer believed: what the checks are worth, and that these liars lie."""
    found = measured(grown(48, Config(lookup_witnesses=0), 1), how, share=QUARTER, lookups=100, seed=1)
    assert found.share < 0.8


def test_where_nobody_lies_nobody_is_doubted() -> None:
    """On an honest ring at rest no lookup is checked: none costs more than without the checks."""
    net = grown(48, Config(), 1)
    before = sum(node.stats().doubted for node in net.nodes)
    found = measured(net, "says nothing", share=0.0, lookups=200, seed=1)
    assert (1.0, before) == (found.share, sum(node.stats().doubted for node in net.nodes))
    assert before <= 0.01 * sum(node.stats().lookups for node in net.nodes)
