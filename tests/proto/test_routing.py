"""What a node knows of others, as data: list cutting, placement, candidates and likely owners."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord_proto.config import Config
from chord_proto.identifiers import between
from chord_proto.peer import Peer
from chord_proto.routing import LIST_SLACK, Routing, cut_list, first_distinct
from tests.proto.rig import CONFIG, peer

PLACES = st.integers(0, 255)
SEVERAL = st.lists(PLACES, max_size=12)


def of(*places: int) -> tuple[Peer, ...]:
    """Return peers at these places."""
    return tuple(peer(place) for place in places)


def routing(
    me: int = 10, *, known: tuple[int, ...] = (), after: tuple[int, ...] = (), before: int | None = None
) -> Routing:
    """Return the routing state of a node."""
    made = Routing(peer(me), CONFIG)
    for place in known:
        made.entry(peer(place), 0.0)
    made.successors = of(*after)
    made.predecessor = None if before is None else peer(before)
    return made


@pytest.mark.parametrize(
    "given_list, kept, met_self",
    [
        ((20, 30), (20, 30), False),
        ((20, 30, 40, 50), (20, 30, 40), False),
        ((20, 10, 30), (20,), True),
        ((10,), (), True),
        ((20, 20, 30), (20, 30), False),
        ((20, 30, 40, 10), (20, 30, 40), True),
        ((20, 30, 40, 50, 10), (20, 30, 40), False),
        ((), (), False),
    ],
)
def test_cutting_a_list(given_list: tuple[int, ...], kept: tuple[int, ...], met_self: bool) -> None:
    """At most r, nobody twice, never oneself: there the list has come round."""
    assert (of(*kept), met_self) == cut_list(peer(10), of(*given_list), CONFIG)


def test_a_list_runs_on_until_it_names_enough_addresses() -> None:
    """Virtual nodes of two addresses fill r = 3; the list goes on until R = 3 addresses are named, the own included."""
    me = Peer.at("me:1", bits=160)
    same = [Peer.at("a:1", index) for index in range(5)]
    other = Peer.at("b:1")
    kept, _ = cut_list(me, [*same, other, Peer.at("c:1")], Config(successors=3))
    assert (*same, other) == kept


def test_running_on_has_a_bound() -> None:
    """A peer that names only one address makes nobody's list longer than r and some slack."""
    many = [Peer.at("a:1", index) for index in range(60)]
    kept, met_self = cut_list(Peer.at("me:1"), many, Config(successors=3))
    assert (3 + LIST_SLACK, False) == (len(kept), met_self)


def test_replicas_lie_at_distinct_addresses() -> None:
    """The first R places with distinct addresses, from the owner on."""
    a0, a1, b0, b1, c0 = (Peer.at(f"{each[0]}:1", int(each[1])) for each in ("a0", "a1", "b0", "b1", "c0"))
    assert (a0, b0, c0) == first_distinct([a0, a1, b0, b1, c0], 3)
    assert (a0, b0) == first_distinct([a0, a1, b0, b1, c0], 2)
    assert (a1, b0) == first_distinct([a1, a0, b0], 5)
    assert () == first_distinct([], 3)


@given(PLACES, SEVERAL, SEVERAL, PLACES, st.integers(1, 4))
def test_closest_preceding_against_brute_force(
    me: int, known: list[int], suspects: list[int], place: int, count: int
) -> None:
    """The known living peers strictly between this node and the place, nearest to the place first."""
    made = routing(me, known=tuple(each for each in known if each != me))
    made.suspects = dict.fromkeys(suspects, 1.0)
    expected = {each for each in known if each != me and each not in suspects and between(me, each, place)}
    in_order = sorted(expected, key=lambda each: (place - each) % 256)
    assert of(*in_order[:count]) == tuple(made.closest_preceding(place, count))


@given(PLACES, SEVERAL, SEVERAL, PLACES)
def test_first_known_after_against_brute_force(me: int, known: list[int], suspects: list[int], end: int) -> None:
    """The nearest known living peer before the first successor, None when the successor is the nearest."""
    made = routing(me, known=tuple(each for each in known if each != me), after=(end,) if end != me else ())
    made.suspects = dict.fromkeys(suspects, 1.0)
    between_us = [each for each in known if between(me, each, end) and each not in suspects]
    nearest = min(between_us, key=lambda each: (each - me) % 256, default=None)
    assert (None if nearest is None else peer(nearest)) == made.first_known_after()


@given(PLACES, SEVERAL, SEVERAL)
def test_nearest_known_against_brute_force(me: int, known: list[int], suspects: list[int]) -> None:
    """The first known living peer after this node all round the circle, never itself; None when nobody is left."""
    made = routing(me, known=tuple(known))
    made.suspects = dict.fromkeys(suspects, 1.0)
    living = {each for each in known if each != me and each not in suspects}
    nearest = min(living, key=lambda each: (each - me) % 256, default=None)
    assert (None if nearest is None else peer(nearest)) == made.nearest_known()


def test_learning_of_peers() -> None:
    """Whom others tell of is known from now on, not as living in any life; neither oneself nor a suspect is."""
    made = routing(10, known=(20,))
    made.suspects[30] = 1.0
    made.learn(of(10, 20, 30, 40), 7.0)
    assert {20: 0.0, 40: 7.0} == {place: known.heard for place, known in made.known.items()}
    assert (peer(40), 0, 0) == (made.known[40].peer, made.known[40].incarnation, made.known[40].answered)


def test_learning_who_follows_whom() -> None:
    """Each peer's range begins at the one before it, also when that is this node or a suspect; these are not known."""
    made = routing(10)
    made.suspects[160] = 1.0
    made.learn_arcs(60, of(100, 10, 150, 160, 170), 5.0)
    expected = {100: (60, 5.0), 150: (10, 5.0), 170: (160, 5.0)}
    assert expected == {place: (known.after, known.heard) for place, known in made.known.items()}


def test_the_likely_owner() -> None:
    """This node for its own range; else the known peer whose last told range holds the place, unless suspected."""
    made = routing(10, before=200)
    made.learn_arcs(60, of(100, 150), 0.0)
    cases = {5: 10, 201: 10, 61: 100, 100: 100, 101: 150, 150: 150, 151: None, 60: None, 11: None}
    for place, owner in cases.items():
        assert (None if owner is None else peer(owner)) == made.likely_owner(place), place
    made.suspects[100] = 1.0
    assert made.likely_owner(61) is None


@given(SEVERAL, SEVERAL, PLACES, PLACES)
def test_the_closer_owner_against_brute_force(before: list[int], after: list[int], place: int, claimed: int) -> None:
    """By one's own pointers the owner is the first living node at or after the place; None if that is the claimed one."""
    made = routing(10, after=tuple(after))
    made.predecessors = of(*before)
    nearest = min({10, claimed, *before, *after}, key=lambda each: (each - place) % 256)
    assert (None if nearest == claimed else peer(nearest)) == made.closer_owner(place, peer(claimed))


def test_owning() -> None:
    """(predecessor, me]; everything without a predecessor."""
    assert all(routing(10).owns(place) for place in range(256))
    made = routing(10, before=200)
    assert [*range(11), *range(201, 256)] == [place for place in range(256) if made.owns(place)]


def test_fingers_within_the_list_are_read_off_it() -> None:
    """Finger i is the first successor at or after me + 2**i; oneself when the list came round before that."""
    made = routing(10, after=(12, 20, 60))
    made.came_round = False
    made.fingers = {7: peer(200)}
    expected = [12, 12, 20, 20, 60, 60, None, 200]
    assert expected == [finger and finger.id for finger in (made.finger(index) for index in range(8))]
    made.came_round = True
    assert [10, 10] == [finger and finger.id for finger in (made.finger(6), made.finger(7))]


def test_eviction_takes_the_longest_unheard() -> None:
    """A full table makes room by forgetting who was heard least lately, pointers excepted."""
    made = Routing(peer(10), attrs.evolve(CONFIG, max_known_peers=16))
    made.successors = of(0)
    for age, place in enumerate(range(0, 160, 10)):
        if place != 10:
            made.entry(peer(place), float(age))
    made.entry(peer(250), 50.0)
    made.entry(peer(251), 50.0)
    assert {0, 250, 251} <= set(made.known)
    assert 20 not in made.known
    assert 150 in made.known
