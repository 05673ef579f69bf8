"""Rectify: a notifier is dialled back first, a predecessor is asked before it is replaced (chord.md section 2)."""

from __future__ import annotations

import attrs
import pytest

from chord_proto.config import Config
from chord_proto.effects import Misbehaved, PeerFailed, PredecessorChanged, Send
from chord_proto.identifiers import between
from chord_proto.messages import (
    Busy,
    FindSuccessor,
    Found,
    GetNeighbours,
    Neighbours,
    Notify,
    Ping,
    Pong,
    Reason,
    Refused,
)
from chord_proto.node import Node
from chord_proto.peer import Peer
from chord_proto.routing import LIST_SLACK
from tests.proto.rig import CONFIG, Rig, only, peer, request, sent


def member() -> tuple[Rig, Node]:
    """Return a member at 10, after 200 and before 60, that is not in the middle of a step."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    rig.under_way.clear()
    return rig, node


def notify(rig: Rig, node: Node, place: int, *, life: int = 1) -> list[Ping]:
    """Let a played peer notify the node; return the pings that this causes."""
    return sent(Ping, rig.receive(node, request(Notify, peer(place), node, life=life)))


def pong(rig: Rig, ping: Ping, *, member: bool = True) -> list[object]:
    """Answer a ping."""
    return [*rig.reply(ping, Pong, member, ())]


def test_a_notifier_is_dialled_back_before_it_counts() -> None:
    """A closer notifier is asked at the address that it claims, and adopted when it answers there."""
    rig, node = member()
    (ping,) = notify(rig, node, 230)
    assert (230, peer(200)) == (ping.target, node.predecessor)
    effects = pong(rig, ping)
    assert peer(230) == node.predecessor
    assert [PredecessorChanged(peer(200), peer(230))] == only(PredecessorChanged, effects)


def test_a_notifier_that_does_not_answer_changes_nothing() -> None:
    """Who claims an address where it does not answer is never adopted."""
    rig, node = member()
    notify(rig, node, 230)
    rig.run(10.0)
    assert peer(230) != node.predecessor
    assert PredecessorChanged(peer(200), peer(230)) not in rig.events


def test_a_notifier_that_is_no_member_is_not_adopted() -> None:
    """It lives, but says itself that it is outside."""
    rig, node = member()
    (ping,) = notify(rig, node, 230)
    pong(rig, ping, member=False)
    assert peer(200) == node.predecessor


def test_once_a_life_is_enough() -> None:
    """Who has answered in this life is not dialled back again; its next life is."""
    rig, node = member()
    (ping,) = notify(rig, node, 230)
    pong(rig, ping)
    assert [] == notify(rig, node, 230)
    assert [230] == [ping.target for ping in notify(rig, node, 230, life=2)]


def test_a_farther_notifier_has_the_predecessor_asked() -> None:
    """The predecessor lives: it stays."""
    rig, node = member()
    (dial,) = notify(rig, node, 150)
    (ask,) = sent(Ping, pong(rig, dial))  # type: ignore[arg-type]
    assert (200, True) == (ask.target, node.view().busy)
    pong(rig, ask)
    assert (peer(200), False) == (node.predecessor, node.view().busy)


def test_a_dead_predecessor_gives_way_to_the_candidate() -> None:
    """The predecessor does not answer: the candidate takes its place in one step, which is never left empty."""
    rig, node = member()
    (dial,) = notify(rig, node, 150)
    pong(rig, dial)
    rig.run(6.0)
    changes = only(PredecessorChanged, rig.events)
    assert PredecessorChanged(peer(200), peer(150)) in changes
    assert None not in [change.new for change in changes]
    assert PeerFailed(peer(200)) in rig.events


def test_a_predecessor_that_is_no_member_any_more_gives_way_at_once() -> None:
    """Its own word that it is outside is as good as silence."""
    rig, node = member()
    (dial,) = notify(rig, node, 150)
    (ask,) = sent(Ping, pong(rig, dial))  # type: ignore[arg-type]
    effects = pong(rig, ask, member=False)
    assert peer(150) == node.predecessor
    assert [PeerFailed(peer(200))] == only(PeerFailed, effects)


def test_a_silent_predecessor_is_not_emptied() -> None:
    """Suspected without anybody to replace it, the pointer stays as it is: it still tells what is owned."""
    rig, node = member()
    effects = []
    while PeerFailed(peer(200)) not in effects:
        assert rig.now < 120.0
        rig.tick(node, 0.1)
        for parcel in list(rig.under_way):
            if isinstance(parcel.message, GetNeighbours) and parcel.to == peer(60).address:
                rig.reply(parcel.message, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
        effects = rig.events
    assert peer(200) == node.predecessor
    assert node.owns(230)
    assert not node.owns(150)


def test_after_suspicion_any_notifier_is_adopted() -> None:
    """The next notifier that answers replaces a suspected predecessor without another question."""
    rig, node = member()
    node.ctx.suspect(peer(200))
    (dial,) = notify(rig, node, 150)
    assert [] == sent(Ping, pong(rig, dial))  # type: ignore[arg-type]
    assert peer(150) == node.predecessor


def test_a_ring_of_one_adopts_any_notifier() -> None:
    """Alone, whoever notifies and answers becomes the predecessor, and then is asked as successor."""
    rig = Rig()
    node = rig.create(10)
    (dial,) = notify(rig, node, 3)
    pong(rig, dial)
    assert peer(3) == node.predecessor
    rig.tick(node, 0.06)
    rig.reply(rig.asked(GetNeighbours, peer(3)), Neighbours, None, (peer(10),), True, 2)
    assert ((peer(3),), True) == (node.successors, node.came_round)


# Busy: a step is under way


def in_a_step() -> tuple[Rig, Node, GetNeighbours]:
    """Return a member that waits for its successor's answer."""
    rig, node = member()
    rig.run(1.25)
    asked = rig.asked(GetNeighbours, peer(60))
    rig.under_way = [parcel for parcel in rig.under_way if parcel.message is asked]
    assert node.view().busy
    return rig, node, asked


def test_questions_about_the_ring_state_are_answered_busy() -> None:
    """During a step GetNeighbours gets Busy; before and after it gets the pointers."""
    rig, node, asked = in_a_step()
    assert [77] == [busy.request for busy in sent(Busy, rig.receive(node, request(GetNeighbours, peer(150), node)))]
    rig.reply(asked, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    (told,) = sent(Neighbours, rig.receive(node, request(GetNeighbours, peer(150), node)))
    assert (peer(200), node.successors) == (told.predecessor, told.successors)


def test_pings_and_lookups_are_always_answered() -> None:
    """During a step too."""
    rig, node, _ = in_a_step()
    assert [True] == [pong.member for pong in sent(Pong, rig.receive(node, request(Ping, peer(150), node)))]
    (found,) = sent(Found, rig.receive(node, request(FindSuccessor, peer(150), node, 230)))
    assert node.me == found.successors[0]


@pytest.mark.parametrize("order", [(220, 240, 230), (240, 220, 230), (230, 220, 240)])
def test_the_closest_notification_waits_in_the_slot(order: tuple[int, ...]) -> None:
    """Of those that come during a step the closest is dialled afterwards; none of them meanwhile."""
    rig, node, asked = in_a_step()
    assert [[], [], []] == [notify(rig, node, place) for place in order]
    effects = rig.reply(asked, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    assert [240] == [ping.target for ping in sent(Ping, effects)]


def test_who_waited_in_the_slot_is_not_dialled_twice_in_a_life() -> None:
    """It had answered in this life before: rectify sees it as soon as the step ends."""
    rig, node = member()
    (ping,) = notify(rig, node, 240)
    pong(rig, ping, member=False)
    rig.run(1.25)
    asked = rig.asked(GetNeighbours, peer(60))
    assert [] == notify(rig, node, 240)
    rig.reply(asked, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    assert peer(240) == node.predecessor


def test_an_answer_to_the_dial_during_a_step_waits() -> None:
    """Dialled before the step, answered in it: the pointers move only once the step has ended."""
    rig, node = member()
    (ping,) = notify(rig, node, 240)
    while not node.view().busy:
        rig.tick(node, 0.05)
    pong(rig, ping)
    assert peer(200) == node.predecessor
    rig.reply(rig.asked(GetNeighbours, peer(60)), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    assert peer(240) == node.predecessor


def test_who_is_no_member_takes_no_notification() -> None:
    """A node that has not joined has no predecessor to be."""
    rig = Rig()
    node = rig.add(10)
    assert [] == notify(rig, node, 230)


def test_a_dial_that_could_not_be_made_is_made_for_the_next_notification() -> None:
    """Too many requests are out: the notification is lost, not the node's ear for others."""
    rig = Rig(attrs.evolve(CONFIG, max_requests=8))
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    while node.stats().requests < 8:
        rig.take(node, node.locate(rig.op(), 190, now=rig.now))
    assert [] == notify(rig, node, 230)
    rig.reply(rig.asked(FindSuccessor), Found, peer(150), (peer(200),), False)
    assert [230] == [ping.target for ping in notify(rig, node, 230)]


def test_who_falls_silent_in_the_slot_is_not_dialled() -> None:
    """The notification of a peer suspected meanwhile is forgotten; that of another one is kept."""
    for suspect, expected in ((240, []), (100, [240])):
        rig, node, asked = in_a_step()
        notify(rig, node, 240)
        node.ctx.suspect(peer(suspect))
        rig.tick(node)
        effects = rig.reply(asked, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
        assert expected == [ping.target for ping in sent(Ping, effects)], suspect


def test_a_lie_about_ones_place_is_reported() -> None:
    """A notifier whose id its address does not give is ignored and reported, and never asked."""
    rig, node = member()
    liar = type(peer(1))(230, "liar:1")
    effects = rig.receive(node, Notify(liar, 1, 10, 0))
    assert [Misbehaved("liar:1", "a sender that is not where its address belongs")] == effects
    assert [] == only(Send, effects)


def test_the_periodic_pong_tells_the_predecessors() -> None:
    """Predecessor list := [p] + p's, in order and cut; a pong that speaks of others' order does not break it."""
    rig, node = member()
    rig.run(1.3)
    ping = rig.asked(Ping, peer(200))
    rig.reply(ping, Pong, True, (peer(150), peer(180), peer(100), peer(60), peer(20)))
    assert [200, 150, 100] == [before.id for before in node.predecessors]
    rig.under_way.clear()
    rig.run(1.3)
    rig.reply(rig.asked(Ping, peer(200)), Refused, Reason.NOT_MEMBER)
    assert PeerFailed(peer(200)) in rig.events


# The list of predecessors


def behind(me: Peer, *names: str) -> list[Peer]:
    """Return peers, one at each of these addresses in turn, each before the one before it on the circle of ``me``."""
    step, found = 1 << 150, []
    for number, name in enumerate(names, 1):
        within = (me.id - (number + 1) * step) % (1 << 160), (me.id - number * step) % (1 << 160)
        places = (Peer.at(name, index) for index in range(1 << 16))
        found.append(next(each for each in places if between(within[0], each.id, within[1])))
    return found


def predecessors(me: Peer, peers: list[Peer]) -> tuple[Peer, ...]:
    """Return what a node keeps of ``peers``, its predecessor and that one's predecessors."""
    node = Node(me, seed=1, config=Config(predecessors=3), incarnation=1)
    node.ring.set_predecessors(peers[0], tuple(peers[1:]))
    return node.predecessors


def test_the_predecessors_run_on_until_they_name_enough_addresses() -> None:
    """Past their length while fewer than R = 3 other addresses are among them, and no further than some slack."""
    me = Peer.at("me:1")
    several = behind(me, "a:1", "a:1", "a:1", "me:1", "b:1", "c:1", "d:1")
    assert tuple(several[:6]) == predecessors(me, several)
    many = behind(me, *["a:1"] * 40)
    assert tuple(many[: 3 + LIST_SLACK]) == predecessors(me, many)
    distinct = behind(me, "a:1", "b:1", "c:1", "d:1")
    assert tuple(distinct[:3]) == predecessors(me, distinct)


def test_the_predecessors_end_where_they_come_round() -> None:
    """What is told beyond the node itself is of no use; what comes before it is."""
    me = Peer.at("me:1")
    a, b, c = behind(me, "a:1", "b:1", "c:1")
    assert (a, b) == predecessors(me, [a, b, me, c])


def test_a_predecessor_does_not_close_the_circle() -> None:
    """A node whose list has run empty takes a new predecessor: it is no ring of one, and its list did not come round."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Refused, Reason.NOT_MEMBER)
    assert ((), False) == (node.successors, node.came_round)
    (ping,) = notify(rig, node, 240)
    pong(rig, ping)
    assert (peer(240), False) == (node.predecessor, node.came_round)


def test_the_width_of_the_ring_is_hearsay_too() -> None:
    """The successor knows of more addresses than this node's own list names."""
    rig = Rig(attrs.evolve(CONFIG, replicas=5))
    node = rig.member(10, before=200, after=[60, 100])
    assert 4 == node.ring.width
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100),), False, 5)
    assert 5 == node.ring.width
