"""The table of connections when file descriptors run out, and when a name leads to several places; without any."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from chord_adapters import _links, _shortage
from chord_adapters._links import Link, Standing
from chord_adapters._names import Spot, is_here
from tests.adapters.test_links import A, World

SPOTS = [Spot("a.test", socket.AF_INET, (f"127.0.0.{last}", 1)) for last in (1, 2, 3)]


def dial_to(world: World, spots: Sequence[Spot] = SPOTS) -> list[Spot]:
    """Let the latest dial find these places and return the order; the first answers."""
    link = world.dials[-1][0]
    ordered = link.in_turn(spots)
    link.spot = ordered[0]
    return ordered


def test_where_it_was_comes_last() -> None:
    """Each dial begins at the place that was dialled longest ago, new ones first."""
    world = World()
    firsts = []
    for _ in range(5):
        world.send()
        firsts.append(dial_to(world)[0])
        world.links.dial_failed(world.dials[-1][0], world.now)
    assert [SPOTS[0], SPOTS[1], SPOTS[2], SPOTS[0], SPOTS[1]] == firsts
    world.send()
    new = SPOTS[0]._replace(where=("127.0.0.9", 1))
    assert [new, SPOTS[2], SPOTS[1]] == dial_to(world, [SPOTS[1], new, SPOTS[2]])
    assert set(world.links.contact(A).passed) == {SPOTS[1], SPOTS[2]}  # What is gone is forgotten.


def test_an_only_place_is_always_the_first() -> None:
    """Where there is no choice nothing is remembered."""
    world = World()
    world.send()
    dial_to(world, SPOTS[:1])
    world.links.dial_failed(world.dials[-1][0], world.now)
    assert {} == world.links.contact(A).passed


def test_a_name_is_refused_when_all_places_refuse() -> None:
    """Until then it is merely down, and dialled soon; one that takes us counts for all."""
    world = World()

    def refused() -> Standing:
        world.send()
        dial_to(world, SPOTS[:2])
        link, _ = world.connect()
        world.greet(link, "other")
        return world.links.contact(A).standing

    assert [Standing.DOWN, Standing.REFUSED] == [refused(), refused()]
    world.now += _links.REFUSED_BACKOFF
    world.send()
    dial_to(world, SPOTS[:2])
    link, _ = world.connect()
    world.greet(link)
    assert Standing.UP is world.links.contact(A).standing
    world.links.lost(link, world.now)
    assert Standing.DOWN is refused()


def test_who_is_of_no_use_is_left_only_for_another() -> None:
    """A connection to the only place behind a name stays."""
    for spots, dials in ((SPOTS[:1], 1), (SPOTS, 2)):
        world = World()
        world.send()
        dial_to(world, spots)
        world.connect()
        world.links.look_elsewhere(A)
        world.send()
        assert dials == len(world.dials)


@pytest.mark.parametrize("seed, choices, closed", [(True, 2, True), (True, 1, False), (False, 2, False)])
def test_an_idle_seed(*, seed: bool, choices: int, closed: bool) -> None:
    """Only a seed's connection whose name leads to several places is closed soon."""
    world = World()
    world.links.seeds = frozenset({A} if seed else ())
    world.send()
    dial_to(world, SPOTS[:choices])
    link, _ = world.connect()
    world.greet(link)
    world.check(_links.SEED_IDLE_TIMEOUT - 0.1)
    assert not link.closed
    world.check(1.1)
    assert closed == link.closed


def strangers(world: World, number: int) -> list[Link]:
    """Let so many come who say nothing."""
    return [world.accept()[0] for _ in range(number)]


def test_no_more_than_there_were() -> None:
    """Once one came that has one of the last descriptors, each that comes lets the oldest stranger make way, for a while."""
    world = World()
    first = strangers(world, 10)
    world.links.accepted(first[0].wire, world.now, scarce=True)  # type: ignore[arg-type]
    assert [True, False] == [each.closed for each in first[:2]]
    strangers(world, 5)
    assert 10 == len(world.links.inbound)
    assert (1, 6) == (world.links.counters.starved, world.links.counters.turned_away)
    world.now += _shortage.CEILING_TIME
    strangers(world, 5)
    assert 15 == len(world.links.inbound)


def test_some_strangers_are_always_let_in() -> None:
    """Members and clients leave them enough room to say their hello, and are not closed for them."""
    world = World()
    members = strangers(world, 20)
    for link in members:
        world.greet(link)
    world.links.accepted(members[0].wire, world.now, scarce=True)  # type: ignore[arg-type]
    strangers(world, 50)
    assert 20 + _shortage.LEAST_STRANGERS == len(world.links.inbound)
    assert not any(link.closed for link in members)


def test_who_makes_way_for_a_dial(caplog: pytest.LogCaptureFixture) -> None:
    """First strangers, then the client that has been quiet for longest; nobody else, and that is said once a minute."""
    world = World()
    member, client, other, stranger = strangers(world, 4)
    for link in (client, other):
        world.greet(link)
    world.greet(member)
    member.connection.remote_address = "127.0.0.1:5"
    other.used += 0.5
    assert world.links.starved(world.now, dialling=True)
    assert stranger.closed
    assert not world.links.starved(world.now, dialling=True)  # Nobody is quiet yet.
    world.now += _shortage.QUIET_CLIENT
    assert not world.links.starved(world.now, dialling=False)
    assert world.links.starved(world.now, dialling=True)
    assert [False, True, False] == [each.closed for each in (member, client, other)]
    world.now += _shortage.QUIET_CLIENT
    assert world.links.starved(world.now, dialling=True)
    assert not world.links.starved(world.now, dialling=True)
    assert not member.closed
    assert 6 == world.links.counters.starved
    assert 1 == len(caplog.records)
    world.now += _shortage.REPORT_INTERVAL
    world.links.starved(world.now, dialling=True)
    assert 2 == len(caplog.records)


@pytest.mark.parametrize(
    "where, bound, here",
    [
        (("127.0.0.1", 1), ("127.0.0.1", 1), True),
        (("127.0.0.1", 2), ("127.0.0.1", 1), False),
        (("127.0.0.2", 1), ("127.0.0.1", 1), False),
        (("127.0.0.1", 1), ("0.0.0.0", 1), True),
        (("192.0.2.1", 1), ("0.0.0.0", 1), False),
        (("::1", 1, 0, 0), ("0.0.0.0", 1), False),
        (("127.0.0.1", 1), ("::", 1, 0, 0), False),
    ],
)
def test_what_leads_to_oneself(where: tuple[object, ...], bound: tuple[object, ...], *, here: bool) -> None:
    """That is one's own socket, or any address of this machine and family where one listens at all of them."""
    assert here == is_here(where, bound)
