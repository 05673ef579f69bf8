"""Repair: a surplus copy goes only once its owner confirms, and an owner confirms only what is complete (D4, D8)."""

from __future__ import annotations

import attrs
import pytest

from chord_proto.effects import OpId, Write
from chord_proto.lookup import Outcome
from chord_proto.messages import (
    Confirm,
    Digest,
    Done,
    FindSuccessor,
    Found,
    GetDigest,
    GetNeighbours,
    Listing,
    ListRange,
    Neighbours,
    Ping,
    Pong,
    Reason,
    Refused,
    Replicate,
)
from chord_proto.node import Node
from chord_proto.peer import Peer
from chord_proto.repair import ForSurplus
from tests.proto.rig import CONFIG, Rig, name_at, only, peer, record_at, request, sent


def clean() -> tuple[Rig, Node]:
    """Return the owner of (200, 10] after a round in which its replicas at 60 and 100 had all that it has."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    for _ in range(20):
        rig.tick(node, 0.02)
        rig.humour()
    return rig, node


def out_of_place(*, decided: bool = False) -> tuple[Rig, Node]:
    """Return a node that holds a copy at 80, which does not belong there, and who owns (60, 100] if it was decided there."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    rig.receive(node, request(Replicate, peer(100 if decided else 60), node, (record_at(80),), decided, number=1))
    node.ring.set_predecessors(peer(200), (peer(180), peer(150), peer(120)))
    return rig, node


def until_it_asks(rig: Rig, node: Node) -> Confirm:
    """Play the others until the node asks whether its copy may go."""
    answered: set[int] = set()
    while not (found := [p.message for p in rig.under_way if isinstance(p.message, Confirm)]):
        assert rig.now < 200.0
        for parcel in list(rig.under_way):
            message = parcel.message
            if isinstance(message, FindSuccessor) and message.place == 80 and message.request not in answered:
                answered.add(message.request)
                rig.reply(message, Found, peer(60), (peer(100), peer(150)), False)
            elif isinstance(message, GetNeighbours):
                rig.reply(message, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
            elif isinstance(message, ListRange):
                rig.reply(message, Listing, (), False)
            elif isinstance(message, Replicate):
                rig.reply(message, Done)
            elif isinstance(message, Ping):
                rig.reply(message, Pong, True, (peer(180), peer(150), peer(120)))
            elif isinstance(message, GetDigest):
                rig.reply(message, Digest, 0, bytes(16))
        rig.tick(node, 0.05)
    return found[0]


def test_surplus_is_dropped_only_once_its_owner_confirms() -> None:
    """Found, given to the owner, confirmed by it, and then dropped durably (D8); a refusal keeps it.

    What is confirmed are the copies that were there when it was asked: a newer one that has come since stays.
    """
    rig, node = out_of_place()
    for last in (0, 1, 2):
        found = until_it_asks(rig, node)
        assert (100, 60, 100) == (found.target, found.start, found.end)
        assert 1 == node.stats().records
        if last == 2:
            (write,) = only(Write, rig.reply(found, Done))
            assert ((), ((0, name_at(80)),)) == (write.changes, write.dropped)
        elif last == 1:
            newer = record_at(80, number=2)
            (write,) = only(Write, rig.receive(node, request(Replicate, peer(60), node, (newer,), False, number=2)))
            assert [] == only(Write, rig.reply(found, Done))
            assert 1 == node.stats().records
        else:
            rig.reply(found, Refused, Reason.NOT_READY)
            assert 1 == node.stats().records
    assert 0 == node.stats().records


def test_a_copy_stays_while_its_decider_may_acknowledge_it() -> None:
    """Whoever else owns the place by now: a write is acknowledged up to ``operation_timeout`` after it was decided (D3)."""
    rig, node = out_of_place(decided=True)
    for number in (2, 3):
        found = until_it_asks(rig, node)
        assert rig.now > rig.config.operation_timeout
        if number == 2:  # It is decided again, as by a retry, while the question is out.
            again = request(Replicate, peer(100), node, (record_at(80),), True, number=number)
            assert sent(Done, rig.receive(node, again))
            assert [] == only(Write, rig.reply(found, Done))
        else:
            assert 1 == len(only(Write, rig.reply(found, Done)))
    assert rig.now > 2 * rig.config.operation_timeout
    assert 0 == node.stats().records


@pytest.mark.parametrize("after, counted", [(12.4, True), (12.6, False)])
def test_a_decided_copy_is_counted_on_for_a_quarter_longer_than_it_can_be_acknowledged(
    after: float, counted: bool
) -> None:
    """Clocks do not run alike: the owner's ten seconds are twelve and a half here."""
    rig = Rig(attrs.evolve(CONFIG, operation_timeout=10.0))
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.receive(node, request(Replicate, peer(200), node, (record_at(180),), True, number=1))
    rig.tick(node, after)
    assert counted == node.writes.is_counted_on((0, name_at(180)))


def test_what_is_counted_on_is_forgotten_in_time() -> None:
    """There are as many entries as names decided lately, and no more."""
    rig, node = clean()
    for number in range(5, 9):
        for _ in range(2):
            rig.receive(node, request(Replicate, peer(10 * number), node, (record_at(8 * number),), False))
            rig.receive(node, request(Replicate, peer(200), node, (record_at(200 - number),), True, number=number))
    assert [(0, name_at(200 - number)) for number in range(5, 9)] == list(node.writes.counted)
    rig.now += 2 * rig.config.operation_timeout
    rig.receive(node, request(Replicate, peer(200), node, (record_at(190),), True, number=9))
    assert [(0, name_at(190))] == list(node.writes.counted)


@pytest.mark.parametrize("place, belongs", [(170, True), (140, False)])
def test_the_last_replica_keeps_its_copy(place: int, belongs: bool) -> None:
    """What the second predecessor owns belongs here as the third copy; what the third one owns is looked up, to go back."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.receive(node, request(Replicate, peer(200), node, (record_at(place),), False, number=1))
    for _ in range(400):
        node.ring.set_predecessors(peer(200), (peer(180), peer(150), peer(120)))
        for parcel in list(rig.under_way):
            if isinstance(parcel.message, GetNeighbours):
                rig.reply(parcel.message, Neighbours, peer(10), (peer(100), peer(150)), False, 3)
            elif isinstance(parcel.message, Ping):
                rig.reply(parcel.message, Pong, True, (peer(180), peer(150), peer(120)))
        rig.humour(GetDigest)
        rig.tick(node, 0.02)
    asked = [p.message.place for p in rig.under_way if isinstance(p.message, FindSuccessor)]
    assert belongs is (place not in asked)


def test_confirming_takes_a_clean_round() -> None:
    """An owner confirms only for its own range, and only after every replica was compared since the last change."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)

    def confirm(start: int, end: int) -> bool:
        return bool(sent(Done, rig.receive(node, request(Confirm, peer(150), node, start, end))))

    assert not confirm(200, 10)
    for _ in range(20):
        rig.tick(node, 0.02)
        rig.humour()
    assert [True, True, False, False] == [confirm(*arc) for arc in ((200, 10), (220, 240), (150, 10), (20, 40))]
    rig.receive(node, request(Replicate, peer(60), node, (record_at(5),), False, number=3))
    assert not confirm(200, 10)


def test_nothing_is_confirmed_to_a_replica() -> None:
    """Who counts itself out while the owner counts on it would drop a copy of which the owner says that it is there."""
    rig, node = clean()
    answers = [sent(Done, rig.receive(node, request(Confirm, peer(place), node, 200, 10))) for place in (60, 100, 150)]
    assert [False, False, True] == [bool(answer) for answer in answers]


def test_nothing_is_confirmed_to_who_may_be_missing_among_the_replicas() -> None:
    """With fewer than R known, whoever asks from another address is one; what shares an address adds no copy."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (), False, 3)
    for _ in range(20):
        rig.tick(node, 0.02)
        rig.humour()
    askers = peer(150), Peer.at(peer(60).address, 1, bits=8)
    assert [False, True] == [bool(sent(Done, rig.receive(node, request(Confirm, p, node, 200, 10)))) for p in askers]


def test_nothing_is_confirmed_where_something_is_written() -> None:
    """Who asks may hold the new version already, and be counted on for it."""
    rig, node = clean()
    rig.durable = False
    rig.take(node, node.put(OpId(1), name_at(5), b"v", now=rig.now))
    arcs = ((200, 10), (5, 10), (200, 4))
    confirmed = [bool(sent(Done, rig.receive(node, request(Confirm, peer(150), node, *arc)))) for arc in arcs]
    assert [False, True, True] == confirmed


def test_a_leaver_confirms_nothing() -> None:
    """Who asks may be its heir, about to drop what it was just handed as one copy too many."""
    rig, node = clean()
    assert sent(Done, rig.receive(node, request(Confirm, peer(150), node, 200, 10)))
    rig.take(node, node.leave(OpId(99), now=rig.now))
    assert not sent(Done, rig.receive(node, request(Confirm, peer(150), node, 200, 10)))


def test_what_comes_while_surplus_is_returned_stays() -> None:
    """It was never compared with the owner, which cannot vouch for it."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    rig.reply(rig.asked(GetNeighbours), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    rig.receive(node, request(Replicate, peer(60), node, (record_at(80),), False, number=1))
    node.ring.set_predecessors(peer(200), (peer(180), peer(150), peer(120)))
    node.repair.on_owner_found(ForSurplus(), peer(60), Outcome(peer(60), (peer(100), peer(150)), False, ()))
    rig.tick(node)
    digest = [p.message for p in rig.under_way if isinstance(p.message, GetDigest) and p.message.start == 60][-1]
    rig.reply(digest, Digest, 0, bytes(16))
    rig.reply(rig.asked(ListRange, peer(100)), Listing, (), False)
    copies = rig.asked(Replicate, peer(100))
    assert [name_at(80)] == [item.name for item in copies.records]
    rig.receive(node, request(Replicate, peer(60), node, (record_at(81),), False, number=2))
    rig.reply(copies, Done)
    rig.reply(rig.asked(Confirm, peer(100)), Done)
    assert {name_at(81)} == {name for _, name in node.writes.table.records}
