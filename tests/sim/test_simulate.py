"""Plans from seeds: the shipping node keeps every property, and a fault is found and made small."""

from __future__ import annotations

import pytest

from chord_adapters.testing import Plan, Seeded, simulate
from chord_adapters.testing._lying import HOW

pytestmark = pytest.mark.slow


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_plans_hold() -> None:
    """Whatever they do, the ring heals, and what was acknowledged is there; and every kind of fault did happen."""
    simulated = simulate(0, 200)
    assert simulated.failure is None, str(simulated)
    assert (200, ()) == (simulated.plans, simulated.never)
    assert [] == [kind for kind in HOW if not simulated.seen[f"did: {kind}"]]


def test_the_same_seed_is_the_same_run() -> None:
    """Two runs of a plan end in the same state, message by message."""
    plan = Plan.draw(Seeded(7), 12)
    one, two = plan.run(), plan.run()
    assert one.net.counts == two.net.counts
    assert [node.view() for node in one.net.nodes] == [node.view() for node in two.net.nodes]


def test_a_fault_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A joiner that takes over no list: one join is left of the plan, and the property that is broken is named."""
    monkeypatch.setattr("chord_proto.membership.cut_list", lambda me, given, config: ((), False))
    failure = simulate(20, 20).failure
    assert failure is not None
    assert ("S1", ["join"]) == (failure.name, [event.kind for event in failure.plan.events])


def test_the_ledger_finds_a_lost_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that keeps nothing and says that it does: the disk knows better."""
    monkeypatch.setattr("chord_adapters._memory_disk.MemoryDisk.keep", lambda self, write: None)
    failure = simulate(0, 20).failure
    assert failure is not None
    assert failure.name in ("D1", "D2", "D3")
