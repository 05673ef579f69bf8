"""Circle arithmetic: its laws, and how names and addresses get their place."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from chord_proto.identifiers import (
    between,
    content_key,
    distance,
    place_of_content,
    place_of_name,
    place_of_node,
    within,
)
from chord_proto.peer import Peer

BITS = 4
SIZE = 1 << BITS
PLACES = st.integers(0, SIZE - 1)
CASES = [(a, x, b) for a in range(SIZE) for x in range(SIZE) for b in range(SIZE)]


def test_between_walks_the_circle() -> None:
    """On every triple of a small circle, x lies between a and b iff a walk from a meets x before b."""
    for a, x, b in CASES:
        walk: list[int] = []
        step = (a + 1) % SIZE
        while step != b and len(walk) < SIZE - 1:
            walk.append(step)
            step = (step + 1) % SIZE
        assert (x in walk) == between(a, x, b), (a, x, b)


def test_within_is_between_or_the_end() -> None:
    """(a, b] is the open arc and its end; the whole circle when both are equal."""
    for a, x, b in CASES:
        assert (a == b or x == b or between(a, x, b)) == within(a, x, b), (a, x, b)


def test_equal_ends_are_the_whole_circle_less_that_place() -> None:
    """between(a, x, a) holds for every x but a, so that anyone may join a ring of one."""
    for a in range(SIZE):
        assert [x for x in range(SIZE) if x != a] == [x for x in range(SIZE) if between(a, x, a)]


def test_two_arcs_divide_the_circle() -> None:
    """Every place is on exactly one of (a, b] and (b, a]: every key has one owner."""
    for a, x, b in CASES:
        if a != b:
            assert within(a, x, b) != within(b, x, a), (a, x, b)


@given(PLACES, PLACES, PLACES, PLACES)
def test_turning_the_circle_changes_nothing(a: int, x: int, b: int, turn: int) -> None:
    """Adding the same number to all places keeps between and within."""
    turned = [(place + turn) % SIZE for place in (a, x, b)]
    assert (between(a, x, b), within(a, x, b)) == (between(*turned), within(*turned))


@given(st.integers(0, 2**160 - 1), st.integers(0, 2**160 - 1))
def test_distances_there_and_back_make_a_circle(a: int, b: int) -> None:
    """From a to b and on to a is no way at all, or once round."""
    assert (0 if a == b else 2**160) == distance(a, b, 160) + distance(b, a, 160)
    assert b == (a + distance(a, b, 160)) % 2**160


def test_between_agrees_with_distance() -> None:
    """Place x lies between a and b iff it is nearer to a than b is, and not a."""
    for a, x, b in CASES:
        if a != b:
            assert (0 < distance(a, x, BITS) < distance(a, b, BITS)) == between(a, x, b), (a, x, b)


def test_names_lie_at_the_leading_bits_of_their_sha1() -> None:
    """Known SHA-1 of "abc" (FIPS 180): the content key, and the places that follow from it."""
    key = 0xA9993E364706816ABA3E25717850C26C9CD0D89D
    assert key == content_key(b"abc")
    assert (key, 0xA9, 1) == (place_of_name(b"abc", 160), place_of_name(b"abc", 8), place_of_content(key, 1))


def test_a_node_lies_where_its_address_and_index_say() -> None:
    """H(address, index): SHA-1 of address, a hash sign and the number."""
    expected = int.from_bytes(hashlib.sha1(b"127.0.0.1:7000#3").digest())
    assert expected == place_of_node("127.0.0.1:7000", 3, 160) == Peer.at("127.0.0.1:7000", 3).id
    assert expected >> 152 == place_of_node("127.0.0.1:7000", 3, 8)


def test_nobody_chooses_their_own_place() -> None:
    """A peer whose id is not the hash of its address and index is not well formed."""
    good = Peer.at("a:1", 2)
    assert good.is_well_formed(160)
    assert not Peer(good.id, "a:1", 1).is_well_formed(160)
    assert not Peer(good.id + 1, "a:1", 2).is_well_formed(160)
    assert not good.is_well_formed(8)
