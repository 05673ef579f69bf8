"""Versions grow at each node, sort as text, and go on after those seen (properties D6 and D7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord_proto.versions import HybridClock, is_version

NODE = 0xABCD << 144


def test_form() -> None:
    """Milliseconds, counter and node in hexadecimal of fixed width."""
    assert "000000000bb8-0000-abcd000000000000" == HybridClock(NODE, 160).next(3.0)


def test_small_circles() -> None:
    """Neighbours on a circle of few bits write different versions at one moment."""
    made = {HybridClock(node, 8).next(3.0) for node in range(256)}
    assert 256 == len(made)


@given(st.lists(st.floats(-1e9, 1e10), min_size=2, max_size=20))
def test_versions_of_a_node_grow(times: list[float]) -> None:
    """Whatever the civil clock does, each version sorts after the one before."""
    clock = HybridClock(NODE, 160)
    made = [clock.next(seconds) for seconds in times]
    assert sorted(set(made)) == made
    assert all(is_version(version) for version in made)


@given(st.floats(0, 1e10), st.floats(0, 1e10))
def test_a_write_sorts_after_what_was_seen(theirs: float, mine: float) -> None:
    """A node with a slow clock still writes after the version that it has seen of another."""
    other, clock = HybridClock(1 << 159, 160), HybridClock(NODE, 160)
    seen = other.next(theirs)
    clock.observe(seen)
    assert seen < clock.next(mine)


@pytest.mark.parametrize(
    "seen, expected",
    [
        ("0000000000ab-00ff-00000000000000ff", "0000000000ab-0100-abcd000000000000"),
        ("0000000000ab-9000-00000000000000ff", "0000000000ab-9001-abcd000000000000"),
        ("0000000000ab-ffff-00000000000000ff", "0000000000ac-0000-abcd000000000000"),
    ],
)
def test_the_version_after_the_one_seen(seen: str, expected: str) -> None:
    """Time and counter of the version seen are taken over exactly: the next one counts on from there."""
    clock = HybridClock(NODE, 160)
    clock.observe(seen)
    assert expected == clock.next(0.001)


@pytest.mark.parametrize("seen", ["0000000000ab-00ff-00000000000000ff", "0000000000ab-ffff-00000000000000ff"])
def test_the_version_that_follows_another(seen: str) -> None:
    """It is the next one, and the clock goes on as it was."""
    clock = HybridClock(NODE, 160)
    following = clock.following(seen)
    assert is_version(following)
    assert following > seen
    assert "000000000bb8-0000-abcd000000000000" == clock.next(3.0)


def test_a_clock_that_forgets() -> None:
    """It goes by civil time again."""
    clock = HybridClock(NODE, 160)
    clock.next(1e9)
    clock.forget()
    assert "000000000bb8-0000-abcd000000000000" == clock.next(3.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0, -1e9])
def test_before_1970_time_is_zero(seconds: float) -> None:
    """A civil clock that was never set makes versions all the same: the least ones, told apart by the counter."""
    clock = HybridClock(NODE, 160)
    assert ["000000000000-0001", "000000000000-0002"] == [clock.next(seconds)[:17] for _ in range(2)]


def test_time_wins_over_the_counter() -> None:
    """When civil time has moved on, the counter begins anew."""
    clock = HybridClock(NODE, 160)
    assert ["0000", "0001", "0000"] == [clock.next(seconds).split("-")[1] for seconds in (1.0, 1.0, 1.1)]


def test_the_counter_carries_over() -> None:
    """65,537 writes in one millisecond stay in order and in form."""
    clock = HybridClock(NODE, 160)
    made = [clock.next(1.0) for _ in range((1 << 16) + 1)]
    assert made[-2] < made[-1]
    assert "0000000003e9-0000-abcd000000000000" == made[-1]


def test_two_nodes_never_make_the_same_version() -> None:
    """At the same moment the node decides, whatever the width of the circle."""
    for bits in (8, 64, 160):
        assert HybridClock(1, bits).node != HybridClock(2 << max(0, bits - 64), bits).node


def test_nonsense_is_not_seen() -> None:
    """What is no version moves no clock."""
    clock = HybridClock(NODE, 160)
    for text in ("", "zzzz", "ffffffffffff-ffff", "FFFFFFFFFFFE-0000-abcd000000000000"):
        clock.observe(text)
    assert "000000000bb8-0000-abcd000000000000" == clock.next(3.0)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("000000000bb8-0000-abcd000000000000", True),
        ("", False),
        ("000000000bb8-0000-abcd00000000000", False),
        ("000000000bb8-0000-abcd000000000000-", False),
        ("00000000 bb8-0000-abcd000000000000", False),
        ("000000000BB8-0000-abcd000000000000", False),
    ],
)
def test_what_is_a_version(text: str, expected: bool) -> None:
    """Only the exact form is a version."""
    assert expected == is_version(text)
