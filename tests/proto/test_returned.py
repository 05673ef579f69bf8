"""Who was taken for dead and is heard again is asked for its copies before "there is none" is said."""

from __future__ import annotations

import attrs

from chord_proto.config import Config
from chord_proto.messages import (
    AwaitChange,
    Copies,
    Digest,
    Elsewhere,
    GetCopies,
    GetDigest,
    GetRecord,
    Granted,
    Listing,
    ListRange,
    Message,
    Notify,
    Ping,
    PutRecord,
    Reason,
    Record,
    Refused,
    Replicate,
    Space,
    TakeOver,
    Value,
)
from chord_proto.node import Node
from chord_proto.operations import MAJORITY
from chord_proto.places import arc
from chord_proto.table import summary
from tests.proto.rig import CONFIG, Rig, block_at, name_at, peer, record_at, request, sent


def asks(rig: Rig, to: int) -> int:
    """Return how many comparisons with a peer are under way."""
    return sum(isinstance(each.message, GetDigest) and each.message.target == to for each in rig.under_way)


def told(rig: Rig, node: Node, kind: type[Message], *fields: object, number: int = 501) -> list[Message]:
    """Return what the peer at 100 is answered."""
    effects = rig.receive(node, request(kind, peer(100), node, *fields, number=number))
    return [each for each in sent(Message, effects) if getattr(each, "request", 0) == number]


def read(rig: Rig, node: Node, place: int = 5) -> Message:
    """Return how the node answers a read of a record."""
    (answer,) = told(rig, node, GetRecord, Space.RECORD, name_at(place), False)
    return answer


def speak(rig: Rig, node: Node, place: int) -> None:
    """Let the peer at ``place`` be heard."""
    rig.receive(node, request(Ping, peer(place), node, number=9))


def serving(config: Config = CONFIG) -> tuple[Rig, Node]:
    """Return a joiner at 10 that serves (200, 10] without its granter at 60, which fell silent."""
    rig = Rig(config)
    node = rig.member(10, before=200, after=[60, 100], came_round=False, granted=False)
    rig.reply(rig.asked(TakeOver), Granted, 200, 10)
    node.ctx.suspect(peer(60))
    rig.tick(node, 0.01)
    rig.tick(node, 0.13)
    rig.reply(rig.asked(GetDigest, peer(100)), Digest, 0, bytes(16))
    assert node.ready
    rig.under_way.clear()
    return rig, node


def test_while_it_is_silent_its_range_is_served() -> None:
    """Nothing else can be done after a crash."""
    rig, node = serving()
    answer = read(rig, node)
    assert isinstance(answer, Value)
    assert answer.held is None
    assert 0 == asks(rig, 60)


def test_heard_again_it_is_asked_before_there_is_none() -> None:
    """As soon as it answers, readers of what is not here are sent to it; what it has is fetched."""
    rig, node = serving()
    speak(rig, node, 60)
    assert 1 == asks(rig, 60)
    assert isinstance(read(rig, node), Value)  # Perhaps it hears nothing: that is known only when it answers.
    item = record_at(5)
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 1, b"other digest....")
    answer = read(rig, node)
    assert isinstance(answer, Elsewhere)
    assert ((peer(60),), True) == (answer.peers, answer.through)
    rig.reply(rig.asked(ListRange), Listing, (summary(item),), False)
    rig.reply(rig.asked(GetCopies), Copies, (item,), 1)
    answer = read(rig, node)
    assert isinstance(answer, Value)
    assert item == answer.held
    assert 0 == asks(rig, 60)


def test_it_is_asked_for_blocks_besides_the_replicas() -> None:
    """Nobody has a block only if all who should have it, and who is back, say so."""
    rig, node = serving()
    speak(rig, node, 60)
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 1, b"other digest....")
    (answer,) = told(rig, node, GetRecord, Space.BLOCK, block_at(5).name, False)
    assert isinstance(answer, Elsewhere)
    assert [peer(60), peer(100)] == sorted(answer.peers, key=lambda each: each.id)


def test_who_decides_goes_on_deciding() -> None:
    """It is not in doubt who decides: writes are accepted while the copies come."""
    rig, node = serving()
    speak(rig, node, 60)
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 1, b"other digest....")
    told(rig, node, PutRecord, Space.RECORD, name_at(5), b"v", 9, number=502)
    assert b"v" == rig.asked(Replicate).records[0].value
    assert isinstance(read(rig, node), Value)


def test_silent_again_it_is_no_longer_waited_for() -> None:
    """Who is heard and never answers keeps nobody waiting; each time that it is heard again it is asked again."""
    rig, node = serving()
    for _ in range(3):
        speak(rig, node, 60)
        rig.reply(rig.asked(GetDigest, peer(60)), Digest, 1, b"other digest....")
        assert isinstance(read(rig, node), Elsewhere)
        node.ctx.suspect(peer(60))
        rig.tick(node, 0.01)
        assert isinstance(read(rig, node), Value)
        rig.under_way.clear()


def test_one_is_asked_at_a_time() -> None:
    """What the first has need not be fetched from the second, too; and one that is silent again is passed by."""
    rig, node = serving()
    for place in (100, 150):
        node.ctx.suspect(peer(place))
    for place in (60, 100, 150):
        speak(rig, node, place)
    speak(rig, node, 60)
    assert [1, 0, 0] == [asks(rig, place) for place in (60, 100, 150)]
    node.ctx.suspect(peer(100))
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 0, bytes(16))
    assert [0, 0, 1] == [asks(rig, place) for place in (60, 100, 150)]


def test_long_after_it_is_not_asked() -> None:
    """By then repair has moved what was elsewhere."""
    rig, node = serving(attrs.evolve(CONFIG, late_tolerance=100.0))  # No time passes for it in between.
    rig.now += 61.0
    speak(rig, node, 60)
    assert 0 == asks(rig, 60)


def test_what_was_held_before_is_complete() -> None:
    """Nobody can have more of a range that came while nobody was silent."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False)
    node.ctx.suspect(peer(60))
    rig.under_way.clear()
    speak(rig, node, 60)
    assert 0 == asks(rig, 60)


def test_heard_again_while_the_range_is_on_its_way() -> None:
    """It was silent when asked for the grant: it is asked for its copies, and readers are sent to it."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False, granted=False)
    node.ctx.suspect(peer(60))
    rig.tick(node, 0.01)
    speak(rig, node, 60)
    assert 1 == asks(rig, 60)
    assert 100 == rig.asked(TakeOver).target


def test_it_is_asked_again_if_it_was_silent_again_meanwhile() -> None:
    """The range became ready while it was being asked, and it did not answer."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100], came_round=False, granted=False)
    node.ctx.suspect(peer(60))
    rig.tick(node, 0.01)
    speak(rig, node, 60)
    rig.reply(rig.asked(TakeOver, peer(100)), Granted, 200, 10)
    rig.reply(rig.asked(GetDigest, peer(100)), Digest, 0, bytes(16))
    assert node.ready
    node.ctx.suspect(peer(60))
    rig.tick(node, 0.01)
    rig.under_way.clear()
    speak(rig, node, 60)
    assert 1 == asks(rig, 60)


def test_a_ring_of_one_asks_who_comes_back() -> None:
    """All had fallen silent, and it took everything to be its own."""
    rig = Rig()
    node = rig.member(10, before=200, granted=False)
    node.ctx.suspect(peer(200))
    rig.run(3.0)
    assert (None, True) == (node.view().predecessor, node.ready)
    rig.under_way.clear()
    rig.receive(node, Notify(peer(200), 1, 10, 1))
    asked = rig.asked(GetDigest, peer(200))
    assert asked.start == asked.end


def test_what_is_to_be_asked_is_bounded() -> None:
    """However many come back, and however often the range changes."""
    _, node = serving()
    returned = node.ranges.returned
    for place in range(1, 256):
        node.ctx.suspect(peer(100))
        returned.note(node.ranges.held)
        returned.on_returned(peer(place), node.ranges.held, arc(20, 30, 256) | arc(40, 50, 256))
    assert (64, 256) == (len(returned.gained), len(returned.checks))


def test_a_record_that_is_here_is_answered() -> None:
    """Only of what is not here it must be known that nobody has it."""
    rig, node = serving()
    item: Record = record_at(5)
    told(rig, node, Replicate, (item,), False)
    speak(rig, node, 60)
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 1, b"other digest....")
    answer = read(rig, node)
    assert isinstance(answer, Value)
    assert item == answer.held


def test_it_is_asked_for_the_range_on_both_sides_of_zero() -> None:
    """What is not here is looked for there, wherever on the range it lies; and nowhere else."""
    rig, node = serving()
    speak(rig, node, 60)
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 1, b"other digest....")
    for place in (201, 255, 0, 10):
        answer = read(rig, node, place)
        assert isinstance(answer, Elsewhere)
        assert (peer(60),) == answer.peers
    assert () == node.ranges.returned.may_have(200) + node.ranges.returned.may_have(11)


def test_it_is_asked_for_all_that_came_meanwhile() -> None:
    """Not only for the latest: two ranges came one after the other while it was silent."""
    rig, node = serving()
    node.ring.set_predecessor(peer(150))
    rig.tick(node)
    rig.reply(rig.asked(TakeOver, peer(100)), Granted, 150, 200)
    rig.reply(rig.asked(GetDigest, peer(100)), Digest, 0, bytes(16))
    assert node.ready
    speak(rig, node, 60)
    asked = rig.asked(GetDigest, peer(60))
    assert (150, 10) == (asked.start, asked.end)


def test_it_waits_for_its_turn_once() -> None:
    """However often it falls silent and is heard again meanwhile, it is asked once."""
    rig, node = serving()
    node.ctx.suspect(peer(100))
    for place in (60, 100):
        speak(rig, node, place)
    node.ctx.suspect(peer(100))
    speak(rig, node, 100)
    for place in (60, 100):
        rig.reply(rig.asked(GetDigest, peer(place)), Digest, 0, bytes(16))
    assert [0, 0] == [asks(rig, place) for place in (60, 100)]
    assert not node.ranges.returned.is_checking


def test_it_is_given_nothing() -> None:
    """It is asked for copies that may be missing here; what it lacks itself is no concern of this question."""
    rig, node = serving()
    told(rig, node, Replicate, (record_at(5),), False)
    speak(rig, node, 60)
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 0, bytes(16))
    effects = rig.reply(rig.asked(ListRange), Listing, (), False)
    assert [] == sent(Replicate, effects)
    assert not node.ranges.returned.is_checking


def test_until_it_has_told_no_quorum_and_no_watcher_is_answered() -> None:
    """The newest of several copies may be there, and the latest change, too: neither is known."""
    rig, node = serving()
    speak(rig, node, 60)
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 1, b"other digest....")
    answers = [
        *told(rig, node, GetRecord, Space.RECORD, name_at(5), False, MAJORITY),
        *told(rig, node, AwaitChange, name_at(5), None, number=502),
    ]
    assert [Reason.NOT_READY] * 2 == [each.reason for each in answers if isinstance(each, Refused)]


def test_who_cannot_tell_is_asked_again() -> None:
    """It is busy for a moment, or this node is: nothing is said to be absent before it has told, or is silent again."""
    rig, node = serving()
    speak(rig, node, 60)
    for _ in range(3):
        rig.reply(rig.asked(GetDigest, peer(60)), Refused, Reason.BUSY)
        rig.humour()
        assert isinstance(read(rig, node), Elsewhere)
        rig.under_way.clear()
        rig.tick(node, 0.13)
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 0, bytes(16))
    assert not node.ranges.returned.is_checking


def test_who_can_never_tell_is_not_asked_for_ever() -> None:
    """After a few seconds the range is served with what is known."""
    rig, node = serving()
    speak(rig, node, 60)
    asked = 0
    while node.ranges.returned.is_checking and asked < 100:
        rig.reply(rig.asked(GetDigest, peer(60)), Refused, Reason.BUSY)
        rig.tick(node, 0.13)
        asked += 1
    assert 20 == asked
    assert isinstance(read(rig, node), Value)
