"""The node's own generator: known numbers, ranges, and independence of copies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord_proto.rng import Rng

SEEDS = st.integers(0, 2**64 - 1)


def test_known_numbers() -> None:
    """The reference implementation's first outputs (Steele, Lea, Flood) for seeds 0 and 1234567."""
    zero, other = Rng(0), Rng(1234567)
    assert [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F] == [zero.bits64() for _ in range(3)]
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert expected == [other.bits64() for _ in range(4)]


@given(SEEDS, st.integers(1, 2**70))
def test_below_stays_below(seed: int, n: int) -> None:
    """below(n) is in range(n)."""
    assert 0 <= Rng(seed).below(n) < n


def test_below_reaches_every_number() -> None:
    """All six sides of a die come up, about equally often."""
    rng = Rng(7)
    rolls = [rng.below(6) for _ in range(6000)]
    assert [0, 1, 2, 3, 4, 5] == sorted(set(rolls))
    assert all(850 < rolls.count(side) < 1150 for side in range(6))


@pytest.mark.parametrize(
    "rng, low, high", [(Rng(3), 0.8, 1.2), (Rng(3, spread=0.5), 0.5, 1.5), (Rng(3, spread=0.0), 1, 1)]
)
def test_jitter_is_even_either_way(rng: Rng, low: float, high: float) -> None:
    """Jittered periods fill 0.8 to 1.2 of the period, or what else the spread gives, and average to it."""
    factors = [rng.jitter(10.0) / 10.0 for _ in range(4000)]
    assert low <= min(factors) < low + 0.01
    assert high - 0.01 < max(factors) <= high
    assert abs(sum(factors) / len(factors) - 1.0) < 0.01


@given(SEEDS)
def test_request_ids_have_63_bits(seed: int) -> None:
    """They fit the wire's signed integers."""
    rng = Rng(seed)
    assert all(0 <= rng.request_id() < 2**63 for _ in range(20))


@given(SEEDS)
def test_equal_state_equal_numbers(seed: int) -> None:
    """A generator that takes over another's state goes on as that one does."""
    one = Rng(seed)
    one.bits64()
    two = Rng(0)
    two.state = one.state
    assert [one.bits64() for _ in range(5)] == [two.bits64() for _ in range(5)]
