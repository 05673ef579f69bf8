"""Which messages count: answers by id and sender, requests once, lives apart, nobody in another's name."""

from __future__ import annotations

import pytest

from chord_proto.effects import Effect, Misbehaved, OpId, PeerFailed, Send
from chord_proto.messages import (
    Answer,
    Busy,
    Found,
    GetNeighbours,
    GetRecord,
    Neighbours,
    Notify,
    Perform,
    Performed,
    Ping,
    Pong,
    PutRecord,
    Reason,
    Refused,
    Replicate,
    Request,
    Value,
    Working,
)
from chord_proto.node import Node
from chord_proto.operations import Fetched, Get, Put
from chord_proto.peer import Peer
from tests.proto.rig import CLIENT, Rig, name_at, only, peer, record_at, request, sent


def asking() -> tuple[Rig, Node, GetNeighbours]:
    """Return a member at 10 that waits for the answer of its successor at 60."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100, 150], came_round=False)
    rig.run(0.0)
    return rig, node, rig.asked(GetNeighbours, peer(60))


def neighbours(to: Request, *, source: Peer, life: int = 1, number: int | None = None) -> Neighbours:
    """Return an answer that would change the successor list."""
    others = (peer(20), peer(30), peer(40))
    number = to.request if number is None else number
    return Neighbours(source, life, 10, to.incarnation, number, peer(10), others, False, 3)


@pytest.mark.parametrize(
    "source, number_off, sender",
    [
        (peer(60), 1, peer(60).address),
        (peer(100), 0, peer(100).address),
        (peer(100), 0, peer(60).address),
        (peer(60), 0, peer(100).address),
        (peer(60), 0, "in:17"),
    ],
    ids=["another id", "another peer", "another peer at that address", "from another address", "on a return path"],
)
def test_a_forged_answer_changes_nothing(source: Peer, number_off: int, sender: str) -> None:
    """Only the peer asked, at the address asked, with the id asked, is believed (N16)."""
    rig, node, asked = asking()
    before, view = node.fingerprint(), node.view()
    forged = neighbours(asked, source=source, number=asked.request + number_off)
    assert [] == rig.receive(node, forged, sender=sender)
    assert (before, view) == (node.fingerprint(), node.view())
    rig.receive(node, neighbours(asked, source=peer(60)))
    assert peer(60) == node.successors[0]
    assert peer(20) in node.successors


def test_an_answer_counts_once() -> None:
    """Delivered again, or late, an answer changes nothing (N15)."""
    rig, node, asked = asking()
    answer = neighbours(asked, source=peer(60))
    rig.receive(node, answer)
    before, view = node.fingerprint(), node.view()
    for _ in range(3):
        assert [] == rig.receive(node, answer)
    assert (before, view, 3) == (node.fingerprint(), node.view(), node.stats().ignored)


def test_an_answer_of_another_kind_does_no_harm() -> None:
    """A pong to a question for the list ends the step, changes no pointer, and blames nobody."""
    rig, node, asked = asking()
    pointers = (node.predecessor, node.successors)
    effects = rig.reply(asked, Found, peer(5), (peer(20),), False)
    assert (pointers, []) == ((node.predecessor, node.successors), only(PeerFailed, effects))
    assert not node.view().busy


# Requests


def test_a_request_repeated_while_it_is_in_progress_is_done_once() -> None:
    """Copies on their way to disk: the same request again gets Working, and one Done follows."""
    rig = Rig(durable=False)
    node = rig.member(10, before=200, after=[60, 100])
    rig.flush_writes()
    item = record_at(5)
    asking = request(Replicate, peer(60), node, (item,), False)
    rig.receive(node, asking)
    for _ in range(2):
        effects = rig.receive(node, asking)
        assert [Working] == [type(each.message) for each in only(Send, effects)]
    (write,) = [write for _, write in rig.writes]
    answers = sent(Answer, rig.written(node, write.id))
    assert [("Done", 77)] == [(type(answer).__name__, answer.request) for answer in answers]


def test_working_keeps_the_question_waiting() -> None:
    """Whoever is told Working grants full patience again instead of suspecting."""
    rig, node, asked = asking()
    for _ in range(20):
        rig.tick(node, 0.25)
        rig.humour()
        assert [] == rig.receive(node, Working(peer(60), 1, 10, 1, asked.request))
    assert PeerFailed(peer(60)) not in rig.events
    rig.receive(node, neighbours(asked, source=peer(60)))
    assert peer(20) in node.successors


def test_a_clients_request_repeated_is_performed_once() -> None:
    """A client that asks again meanwhile is told Working; its operation runs once."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    perform = request(Perform, None, node, Put(name_at(150), b"v"), 1000)
    rig.receive(node, perform)
    assert [Working] == [type(each.message) for each in only(Send, rig.receive(node, perform))]
    assert 1 == node.stats().operations


def test_a_client_is_answered_on_its_return_path() -> None:
    """The answer goes to exactly the sender that came with the request, and is for nobody's place."""
    node = (rig := Rig()).create(10)
    (answer,) = only(Send, rig.receive(node, request(Perform, None, node, Get(b"k"), 1000), sender="in:5"))
    assert ("in:5", Performed(node.me, 1, None, 0, 77, Fetched(None, None))) == (answer.to, answer.message)


@pytest.mark.parametrize(
    "kind, fields", [(GetNeighbours, ()), (GetRecord, (0, b"k", False)), (PutRecord, (0, b"k", b"v", 3))]
)
def test_strangers_may_not_ask_as_members_do(kind: type[Request], fields: tuple[object, ...]) -> None:
    """Who has no place gets pings and lookups answered, and operations performed; all else is refused."""
    rig = Rig()
    node = rig.create(10)
    (refused,) = sent(Refused, rig.receive(node, kind(None, 0, None, 0, 9, *fields), sender=CLIENT))
    assert Reason.INVALID == refused.reason
    assert 1 == len(sent(Pong, rig.receive(node, Ping(None, 0, None, 0, 9), sender=CLIENT)))


# Lives


def test_what_is_for_another_life_is_refused() -> None:
    """A request for an earlier life of this node is told so; a notification or answer is passed over."""
    rig = Rig()
    node = rig.add(10, life=5)
    rig.take(node, node.create(now=rig.now))
    (refused,) = sent(Refused, rig.receive(node, Ping(peer(60), 1, 10, 4, 9)))
    assert Reason.OTHER_LIFE == refused.reason
    assert [] == rig.receive(node, Notify(peer(60), 1, 10, 4))
    assert [] == rig.receive(node, Pong(peer(60), 1, 10, 4, 9, True, ()))
    assert 1 == len(sent(Ping, rig.receive(node, Notify(peer(60), 1, 10, 5))))


def test_what_is_for_another_node_is_passed_over() -> None:
    """Messages name the node they are for."""
    rig = Rig()
    node = rig.create(10)
    assert [] == rig.receive(node, Ping(peer(60), 1, 11, 0, 9))
    assert 1 == node.stats().ignored


def test_an_earlier_life_of_a_peer_is_not_heard() -> None:
    """Once a life has answered, messages of the one before it are ignored."""
    rig, node, asked = asking()
    rig.receive(node, neighbours(asked, source=peer(60), life=3))
    assert [] == rig.receive(node, request(Ping, peer(60), node, life=2))
    assert 1 == len(sent(Pong, rig.receive(node, request(Ping, peer(60), node, life=3))))


def test_a_forged_next_life_does_not_silence_a_member() -> None:
    """Claiming to be a member's next life has no effect until it has answered at that member's address."""
    rig, node, asked = asking()
    rig.receive(node, neighbours(asked, source=peer(60), life=3))
    for forged in (request(Ping, peer(60), node, life=9), Notify(peer(60), 9, 10, 0)):
        assert [] == only(PeerFailed, rig.receive(node, forged, sender="in:3"))
    assert 1 == len(sent(Pong, rig.receive(node, request(Ping, peer(60), node, life=3))))
    assert not node.ctx.routing.is_suspect(peer(60))


def test_a_contact_cannot_speak_for_a_member_elsewhere() -> None:
    """Who answers at a contact's address and claims a member's name does not begin a new life of that member."""
    rig = Rig()
    node = rig.add(10)
    rig.take(node, node.join(rig.op(), ["liar:1", peer(5).address], now=rig.now))
    first = next(parcel.message for parcel in rig.under_way)
    assert isinstance(first, Request)
    rig.receive(node, Busy(peer(60), 999, 10, 1, first.request), sender="liar:1")
    rig.tick(node, 0.2)
    rig.meet(node, 5, [60, 100], came_round=False)
    rig.receive(node, neighbours(rig.asked(GetNeighbours, peer(60)), source=peer(60)))
    assert peer(20) in node.successors
    assert 1 == len(sent(Pong, rig.receive(node, request(Ping, peer(60), node))))


def test_a_later_life_that_answers_is_believed() -> None:
    """It has answered where it should: what waited for the life before has failed, and that is said once."""
    rig, node, asked = asking()
    rig.receive(node, neighbours(asked, source=peer(60), life=3))
    effects: list[Effect] = rig.take(node, node.get(OpId(1), name_at(50), now=rig.now))
    question = sent(GetRecord, effects)[0]
    rig.run(1.3)
    effects = rig.reply(rig.asked(GetNeighbours, peer(60)), Neighbours, None, (), True, 1, life=4)
    assert [PeerFailed(peer(60))] == only(PeerFailed, effects)
    assert [] == rig.receive(node, Value(peer(60), 3, 10, 1, question.request, None, ()))
    assert 1 not in rig.finished


def test_a_later_life_may_answer_what_the_life_before_was_asked() -> None:
    """Whatever it says, the question has failed with the life that it was for; its timer has gone with it."""
    rig, node, asked = asking()
    rig.receive(node, neighbours(asked, source=peer(60), life=3))
    rig.take(node, node.get(OpId(1), name_at(50), now=rig.now))
    question = rig.asked(GetRecord, peer(60))
    effects = rig.receive(node, Working(peer(60), 4, 10, 1, question.request))
    assert [PeerFailed(peer(60))] == only(PeerFailed, effects)
    assert question.request not in [number for number, _, _ in node.view().requests]
    rig.run(5.0)
    assert 1 not in rig.finished


# Places


@pytest.mark.parametrize("liar", [Peer(61, peer(60).address), Peer(60, peer(60).address, 1), Peer(60, "liar:1")])
def test_who_is_not_where_the_hash_says_misbehaves(liar: Peer) -> None:
    """A sender, or a peer named in a message, whose id is not H(address, index) gets the message ignored."""
    rig, node, asked = asking()
    before = node.fingerprint()
    expected = [Misbehaved(peer(60).address, "a sender that is not where its address belongs")]
    assert expected == rig.receive(node, request(Ping, liar, node), sender=peer(60).address)
    naming = Neighbours(peer(60), 1, 10, 1, asked.request, None, (liar,), False, 3)
    expected = [Misbehaved(peer(60).address, "a peer that is not where its address belongs")]
    assert expected == rig.receive(node, naming)
    assert (before, 2) == (node.fingerprint(), node.stats().misbehaved)


def test_an_index_beyond_the_limit_misbehaves() -> None:
    """One address holds at most ``max_virtual_nodes`` places."""
    rig, node, _ = asking()
    good, bad = Peer.at("many:1", 63, bits=8), Peer.at("many:1", 64, bits=8)
    assert [] == only(Misbehaved, rig.receive(node, request(Ping, good, node)))
    assert 1 == len(only(Misbehaved, rig.receive(node, request(Ping, bad, node))))


def test_too_many_peers_in_one_message_misbehave() -> None:
    """A list longer than any correct one is not taken apart."""
    rig, node, asked = asking()
    long = Neighbours(peer(60), 1, 10, 1, asked.request, None, (peer(100),) * 257, False, 3)
    assert [Misbehaved(peer(60).address, "too many peers in one message")] == rig.receive(node, long)
