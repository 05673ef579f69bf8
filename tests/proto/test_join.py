"""How a node becomes a member: alone, or with the whole list of the member before its place (chord.md section 2)."""

from __future__ import annotations

import pytest

from chord_proto.config import Config
from chord_proto.effects import Finished, MemberOf, OpId, PeerFailed
from chord_proto.messages import (
    Busy,
    Closer,
    FindSuccessor,
    Found,
    GetNeighbours,
    Message,
    Neighbours,
    Notify,
    Ping,
    Reason,
    Refused,
)
from chord_proto.node import Node
from chord_proto.operations import Failed, Failure, Joined
from chord_proto.phase import Phase
from tests.proto.rig import CONFIG, Rig, only, peer, request, sent


def asking_for_the_list(
    before: int = 5, after: int = 60, *, config: Config = CONFIG
) -> tuple[Rig, Node, GetNeighbours]:
    """Return a joiner at 10 whose lookup has ended: it asks the member before its place for its list."""
    rig = Rig(config)
    node = rig.add(10)
    rig.take(node, node.join(OpId(1), [peer(before).address], now=rig.now))
    rig.reply(rig.asked(FindSuccessor), Found, peer(before), (peer(after),), False, source=peer(before))
    return rig, node, rig.asked(GetNeighbours)


def test_alone() -> None:
    """A ring of one owns everything, has no predecessor, and its empty list came round."""
    node = Rig().create(10)
    assert (Phase.ACTIVE, None, (), True) == (node.phase, node.predecessor, node.successors, node.came_round)
    assert all(node.owns(place) for place in range(256))
    assert node.ready


def test_nothing_is_owned_before_membership() -> None:
    """Neither a new nor a joining node owns any place."""
    rig = Rig()
    node = rig.add(10)
    assert not node.owns(10)
    rig.take(node, node.join(OpId(1), [peer(60).address], now=rig.now))
    assert not node.owns(10)


def test_a_joiner_takes_over_the_whole_list_in_one_answer() -> None:
    """The member's list becomes the joiner's, the member its predecessor; nobody else is told."""
    rig, node, asked = asking_for_the_list()
    rig.under_way.clear()
    effects = rig.reply(asked, Neighbours, peer(200), (peer(60), peer(120), peer(180), peer(250)), False, 3)
    assert peer(5) == node.predecessor
    assert (peer(60), peer(120), peer(180)) == node.successors
    assert not node.came_round
    assert [Finished(OpId(1), Joined())] == only(Finished, effects)
    assert [MemberOf(peer(5))] == only(MemberOf, effects)
    assert [] == sent(Notify, effects)


def test_the_member_is_appended_when_its_list_came_round() -> None:
    """A list that ends at its owner goes on there: the joiner's ends with the member, and came round."""
    rig, node, asked = asking_for_the_list()
    rig.reply(asked, Neighbours, peer(60), (peer(60),), True, 2)
    assert ((peer(60), peer(5)), True) == (node.successors, node.came_round)


def test_a_list_that_has_to_be_cut_did_not_come_round() -> None:
    """With r = 3, the three after the joiner are kept, and the member itself, the fourth, is not."""
    rig, node, asked = asking_for_the_list()
    rig.reply(asked, Neighbours, peer(180), (peer(60), peer(120), peer(180)), True, 3)
    assert ((peer(60), peer(120), peer(180)), False) == (node.successors, node.came_round)


def test_joining_a_ring_of_one() -> None:
    """The joiner's list is [m]."""
    rig, node, asked = asking_for_the_list(before=5, after=5)
    rig.reply(asked, Neighbours, None, (), True, 1)
    assert (peer(5), (peer(5),), True) == (node.predecessor, node.successors, node.came_round)


def test_a_place_where_somebody_joined_first_is_looked_up_again() -> None:
    """between(m, n, m's first successor) must still hold when m answers: else nothing is taken over."""
    rig, node, asked = asking_for_the_list()
    rig.under_way.clear()
    effects = rig.reply(asked, Neighbours, peer(200), (peer(7), peer(60)), False, 3)
    assert (Phase.JOINING, (), None) == (node.phase, node.successors, node.predecessor)
    assert [] == only(Finished, effects)
    rig.tick(node, 0.2)
    assert 10 == rig.asked(FindSuccessor).place


@pytest.mark.parametrize("answer", [(Busy,), (Refused, Reason.LEAVING), (Refused, Reason.NOT_READY)])
def test_a_member_that_cannot_say_now_is_asked_again(answer: tuple[type, *tuple[int, ...]]) -> None:
    """Busy or a refusal ends the step unchanged, without suspicion; the joiner tries again shortly."""
    rig, node, asked = asking_for_the_list()
    effects = rig.reply(asked, *answer)
    assert (Phase.JOINING, False, []) == (node.phase, node.view().busy, only(PeerFailed, effects))
    rig.under_way.clear()
    rig.tick(node, 0.2)
    rig.asked(FindSuccessor)


def test_a_ring_that_has_to_settle_is_asked_through_the_same_contact() -> None:
    """Busy says nothing against the contact: no other one, which may be dead, is tried in between."""
    rig = Rig()
    node = rig.add(10)
    rig.take(node, node.join(OpId(1), [peer(5).address, "dead:1"], now=rig.now))
    for _ in range(5):
        asked = rig.asked(FindSuccessor)
        assert [peer(5).address] == [each.to for each in rig.under_way if each.message is asked]
        rig.reply(asked, Found, peer(5), (peer(60),), False, source=peer(5))
        rig.reply(rig.asked(GetNeighbours), Busy)
        rig.under_way.clear()
        rig.tick(node, 0.2)


def test_a_member_that_is_none_any_more_has_failed() -> None:
    """The word that it is no member counts as failure at once."""
    rig, _, asked = asking_for_the_list()
    assert [PeerFailed(peer(5))] == only(PeerFailed, rig.reply(asked, Refused, Reason.NOT_MEMBER))


def test_a_joiner_asks_its_contacts_in_turn_for_ever() -> None:
    """Each silent contact gives way to the next; the pauses grow, but do not end."""
    rig = Rig()
    node = rig.add(10)
    rig.take(node, node.join(OpId(1), ["x:1", "x:2"], now=rig.now))
    rig.run(300.0)
    asked = [parcel.to for parcel in rig.under_way]
    assert {"x:1", "x:2"} == set(asked)
    assert Phase.JOINING is node.phase
    assert {} == rig.finished
    assert 40 < len(asked) < 700


def test_the_lookup_follows_the_contacts_side() -> None:
    """A joiner knows nobody: it goes from the contact's candidates to the member before its place."""
    rig = Rig()
    node = rig.add(10)
    rig.take(node, node.join(OpId(1), ["contact:1"], now=rig.now))
    first = rig.asked(FindSuccessor)
    assert (None, 0) == (first.target, first.target_incarnation)
    contact = peer(100)
    answer = Closer(contact, 1, 10, 1, first.request, (peer(250), peer(200)))
    rig.take(node, node.receive(answer, sender="contact:1", now=rig.now))
    rig.reply(rig.asked(FindSuccessor, peer(250)), Found, peer(5), (peer(60),), False)
    rig.asked(GetNeighbours, peer(5))


def test_a_taken_place() -> None:
    """The ring names somebody else in this very place: after seconds, not at once, the address is in use."""
    rig = Rig()
    node = rig.add(10)
    rig.take(node, node.join(OpId(1), [peer(5).address], now=rig.now))
    began = rig.now
    while OpId(1) not in rig.finished:
        assert rig.now < began + 20.0
        for parcel in list(rig.under_way):
            if isinstance(parcel.message, FindSuccessor):
                rig.reply(parcel.message, Found, peer(5), (peer(10), peer(60)), False, source=peer(5))
        if node.deadline is not None:
            rig.tick(node, max(0.0, node.deadline - rig.now))
    assert Failed(Failure.ADDRESS_IN_USE) == rig.result(OpId(1))
    assert 6.0 < rig.now - began < 10.0
    assert Phase.NEW is node.phase


def test_an_earlier_life_in_ones_place_is_waited_out() -> None:
    """Once the ring has dropped the earlier life, the next attempt succeeds."""
    rig = Rig()
    node = rig.add(10, life=2)
    rig.take(node, node.join(OpId(1), [peer(5).address], now=rig.now))
    rig.reply(rig.asked(FindSuccessor), Found, peer(5), (peer(10), peer(60)), False, source=peer(5))
    rig.tick(node, 3.0)
    rig.meet(node, 5, [60, 120], came_round=False)
    assert Joined() == rig.result(OpId(1))


@pytest.mark.parametrize("kind", [GetNeighbours, FindSuccessor])
def test_who_is_no_member_says_so(kind: type[Message]) -> None:
    """A new or joining node refuses questions about the ring, and answers only whether it lives."""
    rig = Rig()
    node = rig.add(10)
    fields = (5,) if kind is FindSuccessor else ()
    for _ in range(2):
        refusals = sent(Refused, rig.receive(node, request(kind, peer(60), node, *fields)))
        assert [Reason.NOT_MEMBER] == [refusal.reason for refusal in refusals]
        assert [] == sent(Refused, rig.receive(node, request(Ping, peer(60), node)))
        if node.phase is Phase.NEW:
            rig.take(node, node.join(OpId(1), ["x:1"], now=rig.now))
