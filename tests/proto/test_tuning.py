"""Upkeep at the pace of change: the formulas of RFC 7363, and what a node makes of what it sees (chord.md section 6)."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord_proto.messages import GetNeighbours, Neighbours, Ping, Pong
from chord_proto.peer import Peer
from chord_proto.tuning import (
    Tuning,
    failure_rate,
    harmonic_mean,
    join_rate,
    log2,
    size_on_arc,
    stabilization_interval,
)
from tests.proto.rig import CONFIG, Rig, peer, request, ring_of, sent

INFINITE = float("inf")
TUNED = attrs.evolve(CONFIG, stabilize_interval_max=60.0)


def of(*places: int) -> tuple[Peer, ...]:
    """Return peers at these places."""
    return tuple(peer(place) for place in places)


def seen(
    *, at: float = 0.0, before: tuple[int, ...] = (240, 230, 220), after: tuple[int, ...] = (20, 30, 40)
) -> Tuning:
    """Return what the node at 10 has seen of a larger ring."""
    tuning = Tuning()
    tuning.see(at, 10, of(*before), of(*after), 8, came_round=False)
    return tuning


# The formulas


@pytest.mark.parametrize(
    "size, failures, seconds, period", [(500, 1, 30.0, 93), (500, 2, 30.0, 47), (2000, 6, 30.0, 42)]
)
def test_the_examples_of_the_rfc(size: int, failures: int, seconds: float, period: int) -> None:
    """500 peers of which one fails every 30 s, or two; 2,000 peers and six failures: 93, 47 and 42 s."""
    assert period == round(stabilization_interval(size, failure_rate(failures, size, seconds), 0.0))


@pytest.mark.parametrize(
    "failures, joins, least, period",
    [
        (0.0, 0.0, 15.0, INFINITE),
        (0.0, 16 / 1600.0, 15.0, 100.0),  # Doubled in 1,600 s, and 16 rounds: log2^2 16.
        (1 / 1600.0, 16 / 1600.0, 15.0, 50.0),  # Halved in 800 s.
        (1 / 1600.0, 16 / 400.0, 15.0, 25.0),
        (1 / 160.0, 0.0, 15.0, 15.0),
        (1 / 160.0, 0.0, 1.0, 5.0),
        (INFINITE, INFINITE, 1.0, 1.0),
    ],
)
def test_the_period(failures: float, joins: float, least: float, period: float) -> None:
    """It is the shorter of the times in which the ring of 16 halves and doubles, over log2^2 N, and at least 15 s there."""
    assert period == pytest.approx(stabilization_interval(16, failures, joins, least=least))


def test_a_ring_of_one_has_a_period() -> None:
    """A ring of one or two needs one round."""
    assert [50.0, 50.0] == [stabilization_interval(size, 0.01, 0.0) for size in (1.0, 2.0)]


@pytest.mark.parametrize("ages, rate", [((), 0.0), ((50.0,), 2.0), ((200.0, 50.0, 1.0), 2.0), ((0.0,), INFINITE)])
def test_the_rate_of_joins(ages: tuple[float, ...], rate: float) -> None:
    """L = N / median age, for a ring of 100."""
    assert rate == join_rate(100, ages)


def test_the_size_by_gaps() -> None:
    """Nine gaps on half of a circle: (9 - 1) * 2."""
    assert 16.0 == size_on_arc(9, 1 << 159, 160)


def test_the_harmonic_mean() -> None:
    """Arcs laid together: 8 gaps where one would find 100 nodes and 8 where 300 are 16 where 150 are."""
    assert [150.0, 7.0] == [pytest.approx(harmonic_mean(sizes)) for sizes in ([100.0, 300.0], [7.0])]


@given(st.floats(1.0, 1e9))
def test_the_logarithm(number: float) -> None:
    """It is that of the C library, within 2**-24."""
    assert math.log2(number) - 2**-23 <= log2(number) <= math.log2(number) + 2**-23


# What a node sees


def test_the_size_that_a_node_sees() -> None:
    """Six gaps on 76 of 256 places; of a ring of which it sees all, the number of nodes."""
    assert pytest.approx(5 * 256 / 76) == seen().size
    assert 7 == seen(before=(240, 40), after=(20, 30, 35, 40, 50)).size


def test_the_size_that_others_tell() -> None:
    """N is the harmonic mean of what they say and of its own; who says nothing, or less than is seen, changes it little."""
    tuning = seen()
    own = tuning.size
    tuning.told(40, 50.0)
    tuning.told(240, 0.0)
    tuning.told(30, 1.0)  # It sees seven itself.
    assert pytest.approx(harmonic_mean([own, 50.0, 7.0])) == tuning.size
    for number in range(100):
        tuning.told(number, 50.0)
    assert pytest.approx(harmonic_mean([own, *[50.0] * 16])) == tuning.size


def test_the_period_grows_while_nothing_happens() -> None:
    """As if one of its six neighbours failed now: 1/(2U) is three times the time; never beyond the bounds."""
    tuning = seen(at=100.0)
    rounds = log2(tuning.size) ** 2
    assert [1.0, 1.0, 60.0] == [tuning.interval(now, 1.0, 60.0) for now in (100.0, 101.0, 1e6)]
    assert pytest.approx(3 * 200.0 / rounds) == tuning.interval(300.0, 1.0, 60.0)


def test_a_neighbour_that_is_gone_has_failed() -> None:
    """It shortens the period; one that another one pushes out of the list does not."""
    tuning, quiet = seen(), seen()
    tuning.see(500.0, 10, of(240, 230, 220), of(20, 40, 50), 8, came_round=False)
    quiet.see(500.0, 10, of(240, 230, 220), of(20, 25, 30), 8, came_round=False)
    assert quiet.interval(1000.0, 1.0, 1e6) > 1.5 * tuning.interval(1000.0, 1.0, 1e6)
    for turn in range(100):  # Only the latest count.
        after = (20, 40, 50) if turn % 2 else (20, 30, 40)
        tuning.see(600.0 + turn, 10, of(240, 230, 220), of(*after), 8, came_round=False)
    expected = stabilization_interval(tuning.size, failure_rate(9, 6, 1000.0 - 683.0), 0.0, least=1.0)
    assert pytest.approx(expected) == tuning.interval(1000.0, 1.0, 1e6)


def test_a_ring_that_grows() -> None:
    """Once half of those that it sees have joined while it looked, the period follows their age."""
    tuning = seen()
    tuning.see(1000.0, 10, of(245, 240, 235), of(12, 15, 20), 8, came_round=False)
    rounds = log2(tuning.size) ** 2
    assert pytest.approx(100.0 / rounds) == tuning.interval(1100.0, 1.0, 1e6)


# The node


def test_the_periods_of_a_quiet_ring() -> None:
    """They grow up to the longest, and when somebody dies the ring closes within some of them."""
    rig = ring_of(10, 60, 110, 160, config=TUNED)
    node = rig.nodes[peer(10).address]
    rig.run(3600.0)
    rig.delivered.clear()
    rig.run(600.0)
    asked = sum(type(message) is GetNeighbours for message in rig.delivered)
    assert 33 <= asked <= 50  # 40, and the jitter.
    rig.kill(rig.nodes[peer(60).address])
    rig.run(150.0)
    assert of(110, 160) == node.successors


def test_what_a_node_tells() -> None:
    """Its estimate goes with its answers to neighbours; a node whose periods are fixed has none."""
    for config, size in ((TUNED, 3), (CONFIG, 0)):
        rig = Rig(config)
        node = rig.member(10, before=200, after=[60])
        rig.reply(rig.asked(GetNeighbours, peer(60)), Neighbours, peer(10), (peer(200),), True, 3)
        (pong,) = sent(Pong, rig.receive(node, request(Ping, peer(60), node, number=5)))
        (told,) = sent(Neighbours, rig.receive(node, request(GetNeighbours, peer(200), node, number=6)))
        assert [size, size] == [pong.size, told.size]


def test_what_neighbours_tell_a_node() -> None:
    """It takes the successor's estimate with its list, and the predecessor's with its pong."""
    rig = Rig(TUNED)
    node = rig.member(10, before=200, after=[20, 30, 40], came_round=False)
    assert node.ctx.tuning is not None
    own = node.ctx.tuning.size
    rig.reply(rig.asked(GetNeighbours, peer(20)), Neighbours, peer(10), of(30, 40), False, 3, 0, 90)
    assert pytest.approx(harmonic_mean([own, 90.0])) == node.ctx.tuning.size
    rig.tick(node, 1.5)
    rig.reply(rig.asked(Ping, peer(200)), Pong, True, (), 60)
    assert pytest.approx(harmonic_mean([own, 90.0, 60.0])) == node.ctx.tuning.size
