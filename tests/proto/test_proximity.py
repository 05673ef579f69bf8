"""Which peer a lookup asks first: a near one among those that bring it about as far."""

from __future__ import annotations

import attrs
import pytest

from chord_proto.config import Config
from chord_proto.identifiers import between
from chord_proto.peer import Peer
from chord_proto.proximity import preferred, usual
from chord_proto.routing import Routing
from tests.proto.rig import CONFIG, peer

FINGERS = attrs.evolve(CONFIG, peer_cache=False)
USUAL = 0.1
TRIPS = {20: 0.1, 30: 0.1, 40: 0.1, 50: 0.01, 60: 0.1, 70: 0.08, 252: 0.001}
"""Of a node at 10: 252 would not lead to 250."""


def routing(config: Config, trips: dict[int, float], me: int = 10) -> Routing:
    """Return what a node knows that has measured these round trips, and before them the usual one."""
    made = Routing(peer(me), config)
    made.usual = USUAL
    for place, seconds in trips.items():
        hear(made, place, seconds)
    return made


def hear(made: Routing, place: int, seconds: float, times: int = 1) -> None:
    """Let answers of a peer come in, each after so long."""
    known = made.entry(peer(place), 0.0)
    made.note_answer(known, 1)
    for _ in range(times):
        made.measure(known, seconds)


@pytest.mark.parametrize(
    "away, trips, first",
    [
        ((16, 20, 24), (0.10, 0.05, 0.02), 2),
        ((16, 20, 24), (0.10, 0.10, 0.10), 0),
        ((16, 20, 24), (-1.0, 0.09, 0.12), 1),
        ((16, 32), (0.10, 0.06), 0),
        ((16, 32), (0.10, 0.04), 1),
        ((16, 64), (0.10, 0.001), 0),
        ((16, 64), (0.30, 0.10), 1),
    ],
)
def test_twice_the_distance_costs_half_a_round_trip(
    away: tuple[int, ...], trips: tuple[float, ...], first: int
) -> None:
    """Among equally far peers the nearest by time is asked; one that leaves twice as far must be half a usual trip nearer."""
    assert first == preferred([(200 - each) % 256 for each in away], trips, 200, 8, USUAL)


def test_the_usual_round_trip_follows_first_ones() -> None:
    """The first counts whole, each other for a sixteenth."""
    assert 0.2 == usual(0.0, 0.2)
    assert pytest.approx(0.21) == usual(0.2, 0.36)


def test_a_near_peer_is_asked_first_and_every_candidate_comes_closer() -> None:
    """Nobody is named that does not lie between the node and the place, and the closest are named as ever."""
    made = routing(CONFIG, TRIPS)
    found = made.candidates(250, 2, ())
    assert [peer(70), peer(60), peer(50)] == found
    assert all(between(10, each.id, 250) for each in found)
    assert peer(50) == found[made.preferred(found, 250, ())]


def test_a_peer_that_becomes_slow_loses_its_preference() -> None:
    """The same with longer round trips than the others."""
    made = routing(CONFIG, TRIPS)
    found = [peer(70), peer(60), peer(50)]
    assert 2 == made.preferred(found, 250, ())
    hear(made, 50, 0.3, times=16)
    assert 0 == made.preferred(found, 250, ())


def test_who_misled_gains_nothing_by_being_fast() -> None:
    """Its round trip counts as the usual one."""
    made = routing(CONFIG, TRIPS)
    assert 0 == made.preferred([peer(70), peer(60), peer(50)], 250, {peer(50).address})


def test_close_to_the_place_the_closest_is_asked() -> None:
    """It probably knows the owner, and whoever is further off does not."""
    made = routing(CONFIG, dict.fromkeys(range(20, 200, 10), 0.1) | {180: 0.001})
    found = made.candidates(195, 3, ())
    assert ([peer(190), peer(180), peer(170)], 0) == (found, made.preferred(found, 195, ()))


def test_switched_off_the_order_is_by_distance_alone() -> None:
    """As in the papers."""
    made = routing(attrs.evolve(FINGERS, proximity=False), {60: 0.1, 90: 0.01, 110: 0.1})
    assert 0 == made.preferred([peer(110), peer(90)], 200, ())
    assert [] == list(made.pointers())


def test_by_fingers_alone_a_near_peer_of_each_interval_is_kept() -> None:
    """Of those that have answered; the exact fingers stay what they are, and a nearer one takes its place."""
    made = routing(FINGERS, {80: 0.1, 90: 0.05, 100: 0.2})
    made.fingers[6] = peer(78)
    assert {6: peer(90)} == made.near
    assert [peer(78), peer(90)] == list(made.pointers())
    hear(made, 100, 0.01, times=32)
    assert ({6: peer(100)}, {6: peer(78)}) == (made.near, made.fingers)
    assert [peer(78), peer(100)] == made.peers


def test_a_near_peer_is_replaced_when_it_is_gone_or_slow() -> None:
    """Whoever is heard next takes its place if the table no longer holds it, or it has become slower."""
    made = routing(FINGERS, {80: 0.01})
    hear(made, 80, 0.3, times=32)
    hear(made, 100, 0.1)
    assert {6: peer(100)} == made.near
    made.forget(peer(100).id)
    hear(made, 90, 0.2)
    assert {6: peer(90)} == made.near


def test_the_table_keeps_to_its_size() -> None:
    """Near peers are pointers, at most one for each finger: all others make way."""
    config = attrs.evolve(FINGERS, bits=32, max_known_peers=48)
    made = Routing(Peer.at("me:1", bits=32), config)
    for number in range(400):
        known = made.entry(Peer.at(f"p{number}:1", bits=32), float(number))
        made.note_answer(known, 1)
        made.measure(known, 0.1 + number % 7 / 100)
        assert len(made.known) <= 48
        assert len(made.ids) <= 32
