"""Conditional writes, and how many must have a write before it is acknowledged (chord.md section 7)."""

from __future__ import annotations

import pytest

from chord_proto.effects import Effect, OpId, Write
from chord_proto.messages import Acknowledged, Done, GetRecord, PutRecord, Reason, Refused, Replicate, Value
from chord_proto.node import Node
from chord_proto.operations import ALL, MAJORITY, Delete, Failed, Failure, Put
from tests.proto.rig import Rig, name_at, only, peer, record_at, request, sent, version

KEY = name_at(5)


def owner() -> tuple[Rig, Node]:
    """Return the owner of (200, 10] whose replicas are at 60 and 100."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.under_way.clear()
    return rig, node


def put(
    rig: Rig,
    node: Node,
    value: bytes | None = b"v",
    *,
    write: int,
    condition: str | None = None,
    expires: int = 0,
    quorum: int = MAJORITY,
) -> list[Effect]:
    """Ask the node to write its record at place 5."""
    fields = 0, KEY, value, write, expires, condition, quorum
    return rig.receive(node, request(PutRecord, peer(150), node, *fields, number=1000 + write))


def written(rig: Rig, effects: list[Effect]) -> str:
    """Let the replicas keep a write; return its version."""
    answers = [effect for copy in sent(Replicate, effects) for effect in rig.reply(copy, Done)]
    (acknowledged,) = sent(Acknowledged, answers)
    return acknowledged.version


def refused(effects: list[Effect]) -> list[int]:
    """Return why requests were refused."""
    return [each.reason for each in sent(Refused, effects)]


def test_only_the_first_of_two_who_create() -> None:
    """A write on condition that there is nothing succeeds once; the second changes nothing."""
    rig, node = owner()
    written(rig, put(rig, node, b"first", write=1, condition=""))
    effects = put(rig, node, b"second", write=2, condition="")
    assert ([Reason.VERSION_MISMATCH], []) == (refused(effects), only(Write, effects))


def test_a_version_that_was_read_is_replaced_once() -> None:
    """Of two who read one version and write, one wins; who then reads the new version can go on from it."""
    rig, node = owner()
    first = written(rig, put(rig, node, write=1))
    second = written(rig, put(rig, node, write=2, condition=first))
    assert [Reason.VERSION_MISMATCH] == refused(put(rig, node, write=3, condition=first))
    assert second < written(rig, put(rig, node, write=4, condition=second))


def test_a_condition_is_judged_against_what_is_accepted() -> None:
    """Not against what is durable: a write on its way to the disk counts."""
    rig = Rig(durable=False)
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.under_way.clear()
    effects = put(rig, node, write=1, condition="")
    assert 1 == len(only(Write, effects))
    assert [Reason.VERSION_MISMATCH] == refused(put(rig, node, write=2, condition=""))


def test_a_retry_of_a_conditional_write_is_recognised() -> None:
    """Sent twice it is done once: the second is no mismatch, also after somebody else has written."""
    rig, node = owner()
    first = written(rig, put(rig, node, write=1, condition=""))
    assert first == written(rig, put(rig, node, write=1, condition=""))
    written(rig, put(rig, node, write=2, condition=first))
    assert first == written(rig, put(rig, node, write=1, condition=""))


def test_what_was_refused_once_is_refused_again() -> None:
    """Its writer knows that it has failed: a second copy of the request, late, must not do it after all."""
    rig, node = owner()
    first = written(rig, put(rig, node, write=1))
    assert [Reason.VERSION_MISMATCH] == refused(put(rig, node, write=2, condition=""))
    written(rig, put(rig, node, None, write=3, condition=first))
    assert [Reason.VERSION_MISMATCH] == refused(put(rig, node, write=2, condition=""))
    written(rig, put(rig, node, write=4, condition=""))


def test_what_was_deleted_is_absent_and_has_a_version_to_build_on() -> None:
    """After a deletion one may create, or go on from the deletion's version; a deletion can have a condition, too."""
    rig, node = owner()
    first = written(rig, put(rig, node, write=1))
    assert [Reason.VERSION_MISMATCH] == refused(put(rig, node, None, write=2, condition=version(7)))
    gone = written(rig, put(rig, node, None, write=3, condition=first))
    again = written(rig, put(rig, node, write=4, condition=gone))
    written(rig, put(rig, node, None, write=5, condition=again))
    written(rig, put(rig, node, write=6, condition=""))


def test_what_has_expired_is_absent_and_cannot_be_built_on() -> None:
    """From then on only who wants to create succeeds."""
    rig, node = owner()
    expires = int(rig.now * 1000) + 500
    first = written(rig, put(rig, node, write=1, expires=expires))
    assert [Reason.VERSION_MISMATCH] == refused(put(rig, node, write=2, condition=""))
    rig.now += 0.5
    assert [Reason.VERSION_MISMATCH] == refused(put(rig, node, write=3, condition=first))
    written(rig, put(rig, node, write=4, condition=""))


@pytest.mark.parametrize("quorum, answers", [(1, 0), (MAJORITY, 1), (2, 1), (ALL, 2), (3, 2)])
def test_so_many_replicas_are_waited_for(quorum: int, answers: int) -> None:
    """The owner is always one of them: with a quorum of one it acknowledges as soon as it has the write itself."""
    rig, node = owner()
    effects = put(rig, node, write=1, quorum=quorum)
    copies, acked = sent(Replicate, effects), [effects]
    acked.extend(rig.reply(copy, Done) for copy in copies)
    assert [index == answers for index in range(3)] == [bool(sent(Acknowledged, each)) for each in acked]


def test_a_quorum_that_there_cannot_be() -> None:
    """More replicas than records have is nonsense; more than can be reached is no quorum."""
    rig, node = owner()
    assert [Reason.INVALID] == refused(put(rig, node, write=1, quorum=4))
    node.ctx.suspect(peer(60))
    node.ctx.suspect(peer(100))
    node.ctx.suspect(peer(200))
    assert [Reason.NO_QUORUM] == refused(put(rig, node, write=2, quorum=ALL))
    assert [] == refused(put(rig, node, write=3))


def test_a_mismatch_ends_the_operation() -> None:
    """The caller hears of it at once, and that this write has not taken effect."""
    rig, node = owner()
    written(rig, put(rig, node, write=1))
    for op, operation in ((1, Put(KEY, b"v", condition="")), (2, Delete(KEY, condition=version(3)))):
        rig.take(node, node.perform(OpId(op), operation, now=rig.now))
        assert Failed(Failure.VERSION_MISMATCH) == rig.result(OpId(op))


@pytest.mark.parametrize("silent", [False, True])
def test_a_mismatch_after_silence_is_in_doubt(silent: bool) -> None:
    """The write may have been done where nobody answered, and been overwritten since: so it is said (D11).

    Of one that was only sent twice to the same node there is no doubt: that node would have recognised it.
    """
    rig, node = owner()
    rig.take(node, node.perform(OpId(1), Put(name_at(50), b"v", condition=""), now=rig.now))
    asked = rig.asked(PutRecord, peer(60))
    if silent:
        rig.drop(lambda parcel: parcel.message is asked)
        node.ctx.suspect(peer(60))
        rig.run(0.3)
        asked = rig.asked(PutRecord)
    else:
        rig.tick(node, 0.4)  # Sent again.
    rig.reply(asked, Refused, Reason.VERSION_MISMATCH)
    assert Failed(Failure.VERSION_MISMATCH, outcome_unknown=silent) == rig.result(OpId(1))


def test_a_clock_too_far_ahead_is_refused() -> None:
    """A replica does not keep what an owner decides at a time that has not come; up to ``max_clock_ahead`` is fine."""
    rig, node = owner()
    rig.take(node, node.wall(1_000.0, now=rig.now))
    civil = int((rig.now + 1_000.0) * 1000)
    for ahead, accepted in ((300_000, True), (300_001, False)):
        decided = record_at(180, number=civil + ahead)
        effects = rig.receive(node, request(Replicate, peer(200), node, (decided,), True, number=ahead))
        assert ([] if accepted else [Reason.CLOCK]) == refused(effects)
        (answer,) = sent(Value, rig.receive(node, request(GetRecord, peer(60), node, 0, decided.name, True)))
        assert (record_at(180, number=civil + 300_000)) == answer.held


def test_a_version_that_is_none_is_refused() -> None:
    """Whatever is no version can never be the one that a record has."""
    rig, node = owner()
    rig.take(node, node.perform(OpId(1), Put(KEY, b"v", condition="7"), now=rig.now))
    assert Failed(Failure.INVALID) == rig.result(OpId(1))
