"""The simulator at scale: the papers' figures from the real node, the same whoever computes them, and in little memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import attrs
import pytest

from chord_adapters import sim

PATHS = {64: (2.85, 0, 5), 256: (3.82, 1, 7), 1024: (4.81, 1, 8)}
"""Mean, 1st and 99th percentile of SIGCOMM 2001's figure 10, simulated again with its settings."""


@pytest.mark.parametrize("nodes", PATHS)
def test_path_lengths_are_the_papers(nodes: int) -> None:
    """Half of log2 N, within 5%; every answer is right, and its message count is that of the hops."""
    mean, p1, p99 = PATHS[nodes]
    found = sim.path_length(nodes=nodes, lookups=2000)
    assert mean == pytest.approx(found.mean, rel=0.05)
    assert p1 == pytest.approx(found.p1, abs=1)
    assert p99 == pytest.approx(found.p99, abs=1)
    assert (0, 2000) == (found.wrong, sum(found.hops.values()))
    assert found.mean == sum(hops * count for hops, count in found.hops.items()) / 2000


def test_virtual_nodes_count_as_nodes_of_the_ring() -> None:
    """64 nodes with four places each are as far apart as 256 nodes."""
    found = sim.path_length(nodes=64, virtual_nodes=4, lookups=2000)
    assert PATHS[256][0] == pytest.approx(found.mean, rel=0.05)
    assert 0 == found.wrong


def test_in_production_a_small_ring_is_one_hop_wide() -> None:
    """With the defaults every node has met many others after some lookups, and asks them first."""
    found = sim.path_length(nodes=32, lookups=2000, in_production=True)
    assert (0, 2) == (found.wrong, found.p99)
    assert found.mean < 1.5


@pytest.mark.parametrize("virtual_nodes, p1, p99", [(1, 0.01, 4.6), (5, 0.24, 2.4)])
def test_keys_per_node_are_the_papers(virtual_nodes: int, p1: float, p99: float) -> None:
    """SIGCOMM 2001, figures 8 and 9: without virtual nodes some have five times the mean, and some nothing."""
    found = sim.load(nodes=10_000, keys=500_000, virtual_nodes=virtual_nodes)
    assert p1 == pytest.approx(found.p1 / found.mean, abs=0.03)
    assert p99 == pytest.approx(found.p99 / found.mean, rel=0.05)
    assert 50.0 == found.mean


@pytest.mark.parametrize("fraction, hops, timeouts", [(0.0, 3.84, 0.0), (0.1, 4.03, 0.6), (0.5, 5.09, 5.10)])
def test_lookups_after_many_died_at_once_are_the_papers(fraction: float, hops: float, timeouts: float) -> None:
    """ToN 2003, table II: nobody has noticed, every lookup finds the owner all the same, and none a wrong one."""
    found = sim.failure(fraction=fraction, lookups=1500)
    assert (0, 0) == (found.wrong, found.failed)
    assert hops == pytest.approx(found.hops, rel=0.05)
    assert timeouts == pytest.approx(found.timeouts, rel=0.07, abs=0.25)


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_a_fraction_that_cannot_die(fraction: float) -> None:
    """Somebody has to be left who looks something up."""
    with pytest.raises(ValueError, match="a fraction"):
        sim.failure(fraction=fraction, lookups=1)


def test_lookups_under_churn() -> None:
    """The ring keeps up with nodes that come and go: answers come, nearly all of them right; the same seed, the same run."""
    found = sim.churn(rate=0.1, nodes=64, lookups=100)
    assert found == sim.churn(rate=0.1, nodes=64, lookups=100)
    assert found != sim.churn(rate=0.1, nodes=64, lookups=100, seed=1)
    assert 0.0 == found.failed_per_10k
    assert found.wrong <= 5
    assert 1.0 < found.path < 4.0


def test_a_ring_at_rest_costs_what_its_upkeep_costs() -> None:
    """Without churn no answer is wrong, and a node sends what a round of stabilise takes, and a finger in one of twelve."""
    found = sim.churn(rate=0.0, nodes=64, lookups=60)
    assert (0, 0.0, 0.0) == (found.wrong, found.failed_per_10k, found.timeouts)
    asked = 2 * found.path / 64  # One lookup a second, among all.
    # In 30 s: a question, its answer and a notification to the successor, a question and an answer for the predecessor.
    assert 5 / 30 + asked == pytest.approx(found.messages_per_node_s, rel=0.2)


def test_virtual_nodes_come_go_and_merge() -> None:
    """Nodes with several places each join and leave with all of them, and their parts become one ring."""
    found = sim.churn(rate=0.025, nodes=16, virtual_nodes=4, lookups=100)
    assert 0.0 == found.failed_per_10k
    assert found.wrong <= 5
    four, one = (
        sim.churn(rate=0.0, nodes=64 // each, virtual_nodes=each, lookups=60).messages_per_node_s for each in (4, 1)
    )
    assert 3.5 < four / one < 5
    assert 0 < sim.merge(nodes=8, virtual_nodes=2).seconds < 90


def test_parts_become_one_ring() -> None:
    """However many there are."""
    for parts in (2, 4):
        found = sim.merge(nodes=16, parts=parts)
        assert 0 < found.seconds < 90


@pytest.mark.parametrize(
    "make", [lambda: ThreadPoolExecutor(2), lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn"))]
)
def test_a_sweep_is_the_same_whoever_carries_it_out(make: Callable[[], Executor]) -> None:
    """Results come in the order of the parameters, and are those of this process."""
    parameters = sim.combinations(nodes=[50, 100], keys=[1000], seed=range(3))
    here = list(sim.sweep(sim.load, parameters))
    assert [50, 50, 50, 100, 100, 100] == [each.nodes for each in here]
    assert 6 == len({attrs.astuple(each) for each in here})
    with make() as executor:
        assert here == list(sim.sweep(sim.load, parameters, executor))


def test_a_sweep_says_how_far_it_is() -> None:
    """Before each of the simulations."""
    told: list[tuple[int, int]] = []
    parameters = sim.combinations(nodes=[50], keys=[10], seed=range(3))
    assert 3 == len(list(sim.sweep(sim.load, parameters, progress=lambda *so_far: told.append(so_far))))
    assert [(0, 3), (1, 3), (2, 3)] == told


def test_what_is_wrong_in_a_sweep_is_raised() -> None:
    """As if it had been asked for alone."""
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="a fraction"):
        list(sim.sweep(sim.failure, [{"fraction": 2.0}], executor))


def test_a_node_takes_little_memory() -> None:
    """At most 4 kB a node at ten thousand nodes, with the fingers that it has then."""
    assert sim.path_length(nodes=10_000, lookups=1).bytes_per_node <= 4096
