"""When a silent peer is suspected: retries by round-trip estimate, refused connections, gaps in one's own inputs."""

from __future__ import annotations

import pytest

from chord_proto.effects import OpId, PeerFailed, Send
from chord_proto.messages import (
    FindSuccessor,
    Found,
    GetNeighbours,
    Granted,
    Neighbours,
    Notify,
    Ping,
    Pong,
    Reason,
    Refused,
    Request,
    TakeOver,
    Working,
)
from chord_proto.node import Node
from chord_proto.operations import Locate
from tests.proto.rig import CONFIG, Rig, only, peer, request, sent


def waiting(*, clear: bool = True) -> tuple[Rig, Node, GetNeighbours]:
    """Return a member at 10 that waits for its successor at 60, whose round trip was never measured in this rig."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100, 150], came_round=False, granted=False)
    asked = rig.asked(GetNeighbours, peer(60))
    if clear:
        rig.under_way.clear()
    return rig, node, asked


def times_sent(rig: Rig, node: Node, asked: Request, *, until: float, step: float = 0.01) -> list[float]:
    """Let time pass in small steps; return when ``asked`` was sent again, in seconds from the start."""
    began, times = rig.now, []
    while rig.now < began + until:
        effects = rig.tick(node, step)
        times += [round(rig.now - began, 2) for each in only(Send, effects) if each.message == asked]
        if PeerFailed(peer(asked.target or 0)) in effects:
            return [*times, -round(rig.now - began, 2)]
    return times


def test_a_silent_peer_is_suspected_after_its_tries() -> None:
    """Unmeasured: 0.3 s, doubled up to ``max_timeout``, four tries in all; then it is suspected, within 5 s."""
    rig, node, asked = waiting()
    times = times_sent(rig, node, asked, until=5.0)
    assert [0.3, 0.9, 1.9, -2.9] == pytest.approx(times, abs=0.025)
    assert CONFIG.request_tries == len(times)


@pytest.mark.parametrize("delay, least, most", [(0.001, 0.15, 0.16), (0.25, 0.25, 0.4)])
def test_a_measured_peer_is_retried_by_its_round_trip_time(delay: float, least: float, most: float) -> None:
    """After quick answers the first retry comes at ``min_timeout``; after slow ones a little after their time."""
    rig, node, _ = waiting()
    for number in range(20):
        effects = rig.take(node, node.perform(OpId(number), Locate(190), now=rig.now))
        rig.now += delay
        for question in sent(FindSuccessor, effects):
            rig.reply(question, Found, peer(150), (peer(200),), False)
    (question,) = sent(FindSuccessor, rig.take(node, node.perform(OpId(99), Locate(190), now=rig.now)))
    assert least <= times_sent(rig, node, question, until=1.0)[0] <= most + 0.011


def test_a_retransmitted_request_is_not_measured() -> None:
    """Karn's rule: an answer after a retry says nothing about the round trip."""
    rig, node, asked = waiting()
    times_sent(rig, node, asked, until=0.4)
    rig.reply(asked, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    assert -1.0 == node.ctx.routing.known[60].srtt


def test_a_gap_is_no_round_trip() -> None:
    """An answer that waited while this machine slept is not measured: its peer would be waited for as long ever after."""
    rig, node, asked = waiting()
    rig.now += 30.0
    rig.reply(asked, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    assert -1.0 == node.ctx.routing.known[60].srtt


def test_time_spent_working_is_no_round_trip() -> None:
    """Nor is the time that a peer works on an answer, once it has said so."""
    rig, node, asked = waiting()
    rig.now += 0.1
    rig.reply(asked, Working)
    rig.now += 0.2
    rig.reply(asked, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    assert -1.0 == node.ctx.routing.known[60].srtt


def test_a_refused_connection_is_retried_at_once_and_believed_twice() -> None:
    """``unreachable``: the first time the request is sent again, the second time its peer is suspected."""
    rig, node, asked = waiting()
    effects = rig.take(node, node.unreachable(peer(60).address, now=rig.now))
    assert asked in [each.message for each in only(Send, effects)]
    assert [] == only(PeerFailed, effects)
    effects = rig.take(node, node.unreachable(peer(60), now=rig.now))
    assert [PeerFailed(peer(60))] == only(PeerFailed, effects)
    assert peer(100) == node.successors[0]


def test_a_broken_connection_has_the_neighbour_asked() -> None:
    """With nothing out to it, a neighbour is pinged when its connection breaks; a stranger is not."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100, 150], came_round=False)
    effects = rig.take(node, node.unreachable(peer(150), now=rig.now))
    assert [150] == [ping.target for ping in sent(Ping, effects)]
    rig.reply(sent(Ping, effects)[0], Pong, True, ())
    assert PeerFailed(peer(150)) not in rig.events
    assert [] == rig.take(node, node.unreachable("stranger:1", now=rig.now))


def test_a_neighbour_that_does_not_answer_the_question_has_failed() -> None:
    """The question after a broken connection: a node that answers that it is no member any more is suspected."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100, 150], came_round=False)
    (ping,) = sent(Ping, rig.take(node, node.unreachable(peer(150), now=rig.now)))
    rig.reply(ping, Pong, False, ())
    assert [PeerFailed(peer(150))] == only(PeerFailed, rig.events)
    assert node.ctx.routing.is_suspect(peer(150))


def test_a_first_successor_that_falls_silent_is_dropped_at_once() -> None:
    """Whatever it was asked: the list closes over it in the same step, the next one is notified and asked soon."""
    rig, node, asked = waiting()
    rig.reply(asked, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    node.ctx.suspect(peer(60))
    effects = rig.tick(node)
    assert (peer(100), peer(150)) == node.successors
    assert [100] == [message.target for message in sent(Notify, effects)]
    assert dict(node.view().timers)["stabilize"] <= rig.now + CONFIG.eager_delay


def test_a_gap_in_ones_own_inputs_gives_fresh_timeouts() -> None:
    """A machine that slept for minutes suspects nobody on waking, and does suspect who then stays silent."""
    rig, node, asked = waiting()
    times_sent(rig, node, asked, until=2.0)
    effects = rig.tick(node, 500.0)
    assert [] == only(PeerFailed, effects)
    assert -1.0 > min(times_sent(rig, node, asked, until=5.0))


def test_a_late_answer_counts_before_the_timer() -> None:
    """An answer read after its timer fell due is taken, not suspected away."""
    rig, node, asked = waiting(clear=False)
    wanted = rig.asked(TakeOver)
    rig.reply(wanted, Granted, wanted.start, wanted.end)
    while rig.now < 102.85:
        rig.tick(node, 0.05)
        rig.humour()
    rig.now += 0.5
    effects = rig.reply(asked, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    assert PeerFailed(peer(60)) not in effects
    assert peer(60) == node.successors[0]


def test_a_slow_answer_is_waited_for_while_others_come() -> None:
    """The peer answers other requests meanwhile: a long answer may be on its way.  Silent, it is suspected."""
    rig, node, asked = waiting(clear=False)
    for _ in range(600):
        effects = rig.tick(node, 0.01)
        assert PeerFailed(peer(60)) not in effects
        for parcel in [each for each in rig.under_way if isinstance(each.message, TakeOver)]:
            rig.under_way.remove(parcel)
            assert isinstance(parcel.message, Request)
            rig.reply(parcel.message, Refused, Reason.NOT_READY)
    assert -5.0 <= times_sent(rig, node, asked, until=6.0)[-1] < 0


def test_a_suspect_is_heard_again() -> None:
    """A message from a suspect ends the suspicion, and it is probed for no more."""
    rig, node, _ = waiting()
    node.ctx.suspect(peer(100))
    assert [100] == list(node.ctx.routing.lost)
    rig.receive(node, request(Ping, peer(100), node))
    assert ([], False) == (list(node.ctx.routing.lost), node.ctx.routing.is_suspect(peer(100)))


def test_a_failure_is_told_once() -> None:
    """However many requests wait for a peer, one PeerFailed tells of it."""
    rig, node, _ = waiting()
    for _ in range(2):
        for each in (60, 60):
            rig.take(node, node.unreachable(peer(each), now=rig.now))
    assert 1 == [each for each in rig.events if isinstance(each, PeerFailed)].count(PeerFailed(peer(60)))
    assert 1 == node.stats().suspected


def test_what_others_say_of_a_third_is_a_hint() -> None:
    """A list without a known peer, or a refusal by somebody else, raises no suspicion."""
    rig, node, asked = waiting()
    rig.reply(asked, Neighbours, peer(10), (peer(150),), False, 3)
    assert [] == [each for each in rig.events if isinstance(each, PeerFailed)]
    (refusal,) = sent(Refused, rig.receive(node, FindSuccessor(peer(60), 1, 10, 9, 5, 3)))
    assert refusal.request == 5
    assert not node.ctx.routing.suspects


def test_dead_neighbours_are_found_within_seconds() -> None:
    """Whatever its place, successor or predecessor, a silent neighbour is suspected within 5 s (design's default)."""
    for places in ((200, 60), (60, 200)):
        rig = Rig()
        node = rig.member(10, before=places[0], after=[60, 200], came_round=True)
        began = rig.now
        while not any(isinstance(each, PeerFailed) for each in rig.events):
            rig.tick(node, 0.05)
        assert rig.now - began < 5.0


@pytest.mark.parametrize("heard, asked", [([], {100, 150}), ([100], {150}), ([100, 150], set[int]())])
def test_those_after_a_silent_peer_are_asked_whether_they_live(heard: list[int], asked: set[int]) -> None:
    """With its first retry: they hold the same records, and if they died together that is found out together.

    That is R - 1 of them.  Who was heard within ``max_timeout`` lives.
    """
    rig, node, _ = waiting()
    node.ctx.routing.learn([peer(170)], rig.now)
    rig.now += 1.5
    for place in heard:
        rig.receive(node, request(Notify, peer(place), node))
    rig.under_way.clear()
    effects = rig.tick(node, 0.01)
    effects += rig.tick(node, 0.31)
    assert asked == {each.target for each in sent(Ping, effects)} - {200}
