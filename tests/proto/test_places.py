"""Sets of places against Python's own sets, on circles so small that everything can be tried."""

from __future__ import annotations

from itertools import product

import pytest

from chord_proto.identifiers import within
from chord_proto.places import Places, arc

SIZE = 5
ARCS = [(start, end) for start in range(SIZE) for end in range(SIZE)]
SETS = {
    frozenset(members): places
    for one, other in product(ARCS, repeat=2)
    for places in [arc(one[0], one[1], SIZE) | arc(other[0], other[1], SIZE)]
    for members in [
        [place for place in range(SIZE) if within(one[0], place, one[1]) or within(other[0], place, other[1])]
    ]
}
"""Every set that two arcs of a circle of five can make, and the empty one."""
SETS[frozenset()] = Places(SIZE)


def members(places: Places) -> frozenset[int]:
    """Return the places that are in the set."""
    return frozenset(place for place in range(SIZE) if place in places)


@pytest.mark.parametrize("expected", SETS)
def test_membership(expected: frozenset[int]) -> None:
    """A place is in the set or not; a set is true if it has any."""
    assert (expected, bool(expected)) == (members(SETS[expected]), bool(SETS[expected]))


def test_all_sets_are_tried() -> None:
    """Two arcs make every subset of five places."""
    assert 2**SIZE == len(SETS)


@pytest.mark.parametrize("one", SETS)
def test_union_intersection_difference(one: frozenset[int]) -> None:
    """As sets have them; equal sets are equal values, however they were made."""
    mine = SETS[one]
    for other, theirs in SETS.items():
        assert (SETS[one | other], SETS[one & other]) == (mine | theirs, mine & theirs)
        assert SETS[one - other] == mine - theirs


@pytest.mark.parametrize("one", SETS)
def test_arcs(one: frozenset[int]) -> None:
    """The arcs of a set make it up again, and no two of them touch."""
    arcs = SETS[one].arcs()
    again = Places(SIZE)
    for start, end in arcs:
        assert (start + 1) % SIZE in one
        assert end in one
        assert start not in one or start == end
        again |= arc(start, end, SIZE)
    assert SETS[one] == again
