"""What keeps two nodes from deciding for one place while many come and go at once (chord.md section 7)."""

from __future__ import annotations

import pytest

from chord_proto.effects import PredecessorChanged
from chord_proto.messages import (
    Elsewhere,
    GetDigest,
    GetNeighbours,
    Grant,
    Granted,
    Leaving,
    Neighbours,
    Notify,
    Ping,
    Pong,
    Reason,
    Refused,
    TakeOver,
)
from chord_proto.node import Node
from tests.proto.rig import Rig, only, peer, request, sent


def member() -> tuple[Rig, Node]:
    """Return the owner of (200, 10], which is not in the middle of a step."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    rig.under_way.clear()
    rig.events.clear()
    return rig, node


def notify(rig: Rig, node: Node, place: int) -> Ping:
    """Let a played peer notify the node; return the ping that it is dialled back with."""
    (ping,) = sent(Ping, rig.receive(node, request(Notify, peer(place), node)))
    return ping


def farewell(rig: Rig, node: Node, before: int, *given: Grant, source: int = 200) -> None:
    """Let a neighbour leave that names the one before it."""
    rig.receive(node, request(Leaving, peer(source), node, peer(before), (), (), (), given))


def test_a_nearer_candidate_is_asked_before_a_farther_one_is_adopted() -> None:
    """The predecessor leaves and names its own while a farther notifier is judged: that one would own too much."""
    rig, node = member()
    rig.reply(notify(rig, node, 150), Pong, True, ())
    farewell(rig, node, 170)
    asked = rig.asked(Ping, peer(170))
    assert [] == only(PredecessorChanged, rig.events)
    rig.reply(asked, Pong, True, ())
    assert [PredecessorChanged(peer(200), peer(170))] == only(PredecessorChanged, rig.events)


def test_the_farther_candidate_is_not_forgotten() -> None:
    """The nearer one turns out to be no member: the other one takes the place."""
    rig, node = member()
    rig.reply(notify(rig, node, 150), Pong, True, ())
    farewell(rig, node, 170)
    rig.reply(rig.asked(Ping, peer(170)), Pong, False, ())
    assert [PredecessorChanged(peer(200), peer(150))] == only(PredecessorChanged, rig.events)


@pytest.mark.parametrize("before", [False, True], ids=["while it is asked", "before it is asked"])
def test_a_node_that_somebody_notifies_is_not_alone(before: bool) -> None:
    """Its neighbours are gone, but a newcomer waits to be heard: it does not take everything for its own."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Refused, Reason.NOT_MEMBER)
    rig.under_way.clear()
    rig.events.clear()
    if before:
        notify(rig, node, 240)
    rig.tick(node, 0.06)
    last = rig.asked(GetNeighbours, peer(200))
    if not before:
        rig.receive(node, request(Notify, peer(240), node))
    rig.reply(last, Refused, Reason.NOT_MEMBER)
    assert not node.owns(100)
    rig.reply(rig.asked(Ping, peer(240)), Pong, True, ())
    assert [PredecessorChanged(peer(200), peer(240))] == only(PredecessorChanged, rig.events)


@pytest.mark.parametrize("age, named", [(20_000, 240), (0, 150)])
def test_what_a_leaver_tells_does_not_replace_what_is_known_since(age: int, named: int) -> None:
    """Its grants are as old as they are: one that was made here later counts, a later one elsewhere does, too."""
    rig, node = member()
    rig.reply(notify(rig, node, 240), Pong, True, ())
    (granted,) = sent(Granted, rig.receive(node, request(TakeOver, peer(240), node, 200, 240, True)))
    assert (200, 240) == (granted.start, granted.end)
    rig.now += 10.0
    farewell(rig, node, 150, Grant(200, 240, peer(150), 1, age))
    (answer,) = sent(Elsewhere, rig.receive(node, request(TakeOver, peer(230), node, 200, 230, True, number=8)))
    assert ((peer(named),), True) == (answer.peers, answer.through)


def test_what_was_granted_here_stays_so_when_others_tell_of_it() -> None:
    """The same grant, as a leaver heard of it: who it was made to may still ask for it again."""
    rig, node = member()
    rig.reply(notify(rig, node, 240), Pong, True, ())
    rig.receive(node, request(TakeOver, peer(240), node, 200, 240, True))
    rig.now += 1.0
    farewell(rig, node, 150, Grant(200, 240, peer(240), 1, 0))
    (again,) = sent(Granted, rig.receive(node, request(TakeOver, peer(240), node, 200, 240, True, number=8)))
    assert (200, 240) == (again.start, again.end)


def test_who_came_between_is_named_to_who_asks() -> None:
    """A newcomer's claim overlaps that of this node's predecessor, which it does not know yet."""
    rig, node = member()
    for source, expected in ((150, [200, 60]), (230, [60])):
        asked = request(TakeOver, peer(source), node, 100, 150, False, number=source)
        (answer,) = sent(Elsewhere, rig.receive(node, asked))
        assert (expected, False) == ([each.id for each in answer.peers], answer.through)


def test_who_came_between_is_asked_too() -> None:
    """Also by a node whose range has only grown: copies are an answer only after that one has spoken."""
    rig, node = member()
    node.ctx.suspect(peer(200))
    rig.reply(notify(rig, node, 150), Pong, True, ())
    rig.reply(rig.asked(TakeOver, peer(60)), Elsewhere, (peer(30), peer(100)), False)
    assert (150, 200) == (rig.asked(TakeOver, peer(30)).start, rig.asked(TakeOver, peer(30)).end)
    rig.reply(rig.asked(TakeOver, peer(30)), Refused, Reason.NOT_READY)
    assert [] == [each for each in rig.under_way if isinstance(each.message, GetDigest)]
