"""Reads of several copies: the newest is found, spread, and only then told (chord.md section 7)."""

from __future__ import annotations

import attrs
import pytest

from chord_proto.effects import Effect, Misbehaved, OpId, Send
from chord_proto.messages import Done, GetCopy, GetRecord, Reason, Record, Refused, Replicate, Value
from chord_proto.node import Node
from chord_proto.operations import ALL, MAJORITY, Failed, Failure, Get
from tests.proto.rig import CONFIG, Rig, name_at, only, peer, record_at, request, sent, version

KEY = name_at(5)
OLD, NEW = record_at(5, b"old", 1), record_at(5, b"new", 2)


def owner(*held: Record, durable: bool = True) -> tuple[Rig, Node]:
    """Return the owner of (200, 10], which holds these, and whose replicas are at 60 and 100."""
    rig = Rig(durable=durable)
    node = rig.member(10, before=200, after=[60, 100, 150])
    if held:
        rig.receive(node, request(Replicate, peer(60), node, held, False, number=7))
        rig.flush_writes()
    rig.under_way.clear()
    return rig, node


def get(rig: Rig, node: Node, quorum: int = MAJORITY, number: int = 77) -> list[Effect]:
    """Ask the node for its record at place 5."""
    return rig.receive(node, request(GetRecord, peer(150), node, 0, KEY, False, quorum, number=number))


def values(effects: list[Effect]) -> list[bytes | None]:
    """Return what was answered."""
    return [None if each.held is None else each.held.value for each in sent(Value, effects)]


@pytest.mark.parametrize("quorum, places", [(MAJORITY, [60]), (2, [60]), (ALL, [60, 100]), (3, [60, 100])])
def test_so_many_are_asked_and_waited_for(quorum: int, places: list[int]) -> None:
    """With its own copy the owner needs one less; equal copies are answered at once, and sent to nobody."""
    rig, node = owner(OLD)
    effects = [get(rig, node, quorum)]
    asked = sent(GetCopy, effects[0])
    assert [(place, 0, KEY) for place in places] == [(each.target, each.space, each.name) for each in asked]
    effects += [rig.reply(each, Value, OLD, ()) for each in asked]
    assert [*([] for _ in places), [b"old"]] == [values(each) for each in effects]
    assert [] == [copy for each in effects for copy in sent(Replicate, each)]


def test_a_newer_copy_is_written_back_before_it_is_told() -> None:
    """One replica knows a newer version: the read ends once a majority has it durably, the owner among them."""
    rig, node = owner(OLD, durable=False)
    (first,) = sent(GetCopy, get(rig, node))
    effects = rig.reply(first, Value, NEW, ())
    assert ([], {60, 100} - {first.target or 0}) == (
        values(effects),
        {each.target for each in sent(Replicate, effects)},
    )
    assert [b"new"] == values(rig.flush_writes())
    (answer,) = sent(Value, rig.receive(node, request(GetRecord, peer(60), node, 0, KEY, True, number=8)))
    assert answer.held == NEW


def test_a_stale_replica_is_repaired_by_the_read() -> None:
    """The owner has the newest, the one that answers first has not: it gets the copy before the read ends."""
    rig, node = owner(NEW)
    (first,) = sent(GetCopy, get(rig, node))
    effects = rig.reply(first, Value, OLD, ())
    assert [] == values(effects)
    copy = next(each for each in sent(Replicate, effects) if each.target == first.target)
    assert (NEW,) == copy.records
    assert [b"new"] == values(rig.reply(copy, Done))


def test_nothing_and_a_deletion_are_answers_too() -> None:
    """A majority that has nothing says so; a deletion is the newest version like any other."""
    rig, node = owner()
    (first,) = sent(GetCopy, get(rig, node))
    (nothing,) = sent(Value, rig.reply(first, Value, None, ()))
    assert (None, ()) == (nothing.held, nothing.replicas)
    rig, node = owner(OLD)
    gone = record_at(5, None, 2)
    (first,) = sent(GetCopy, get(rig, node))
    effects = rig.reply(first, Value, gone, ())
    assert [None] == values(effects + [each for copy in sent(Replicate, effects) for each in rig.reply(copy, Done)])


def test_a_replica_refuses_who_is_not_the_owner() -> None:
    """An owner that others have left behind gets no majority, and so no read."""
    rig, node = owner(OLD)
    for source, place, accepted in ((200, 180, True), (150, 120, True), (200, 5, False), (60, 5, False)):
        effects = rig.receive(node, request(GetCopy, peer(source), node, 0, name_at(place), number=source + place))
        assert (1 if accepted else 0) == len(sent(Value, effects))
        assert ([] if accepted else [Reason.NOT_OWNER]) == [each.reason for each in sent(Refused, effects)]


def test_without_a_majority_there_is_no_answer() -> None:
    """Whom replicas refuse asks again, until its time is over; then there is no quorum, and nothing is told."""
    rig, node = owner(OLD)
    asked = sent(GetCopy, get(rig, node))
    told: list[Effect] = []
    for _ in range(120):
        for each in asked:
            told += rig.reply(each, Refused, Reason.NOT_OWNER)
        effects = rig.tick(node, 0.13)
        rig.humour()
        told += effects
        asked = sent(GetCopy, effects)
    assert ([], [Reason.NO_QUORUM]) == (values(told), [each.reason for each in sent(Refused, told)])
    assert not node.reads.active


def test_too_few_addresses_are_get_no_answer() -> None:
    """An isolated node does not answer alone, though it takes itself for the owner."""
    rig, node = owner(OLD)
    for place in (60, 100, 150, 200):
        node.ctx.suspect(peer(place))
    rig.take(node, node.perform(OpId(1), Get(KEY, MAJORITY), now=rig.now, timeout=1.0))
    rig.tick(node, 1.1)
    assert Failed(Failure.NO_QUORUM) == rig.result(OpId(1))


def test_a_copy_of_something_else_counts_for_nothing() -> None:
    """A replica that answers with another record, or with nonsense, has not answered."""
    rig, node = owner(OLD)
    (first,) = sent(GetCopy, get(rig, node))
    effects = rig.reply(first, Value, record_at(6, b"other", 3), ())
    (misbehaved,) = only(Misbehaved, effects)
    assert ([], peer(first.target or 0).address) == (values(effects), misbehaved.address)
    (second,) = sent(GetCopy, effects)
    assert [b"old"] == values(rig.reply(second, Value, OLD, ()))


def test_who_loses_the_range_meanwhile_does_not_answer() -> None:
    """A nearer node has become the owner: the reader is to ask again, there."""
    rig, node = owner(OLD)
    asked = sent(GetCopy, get(rig, node))
    node.ring.set_predecessor(peer(7))
    rig.tick(node)
    effects = rig.reply(asked[0], Value, OLD, ())
    assert [] == values(effects)
    effects = rig.tick(node, 0.13)
    assert [Reason.NOT_READY] == [each.reason for each in sent(Refused, effects)]


def test_a_copy_is_told_to_owners_of_records_only() -> None:
    """Not to a client, which owns nothing; and of a block, which has one version, nobody asks several."""
    rig, node = owner(record_at(180))
    for source, space in ((None, 0), (peer(200), 1)):
        effects = rig.receive(node, request(GetCopy, source, node, space, name_at(180), number=11 + space))
        assert [Reason.INVALID] == [each.reason for each in sent(Refused, effects)]
    (answer,) = sent(Value, rig.receive(node, request(GetCopy, peer(200), node, 0, name_at(180), number=20)))
    assert (record_at(180), ()) == (answer.held, answer.replicas)


def test_who_leaves_sends_readers_away() -> None:
    """A read that is under way ends: the reader asks elsewhere."""
    rig, node = owner(OLD)
    get(rig, node)
    effects = rig.take(node, node.leave(rig.op(), now=rig.now))
    for _ in range(100):
        if node.deadline is None:
            break
        effects += rig.tick(node, 0.2)
    assert Reason.NOT_MEMBER in [each.reason for each in sent(Refused, effects) if each.request == 77]
    assert {} == node.reads.active


def test_a_replica_that_fails_is_made_up_for() -> None:
    """When one falls silent the others are asked, at once."""
    rig, node = owner(OLD)
    first, second = sent(GetCopy, get(rig, node, ALL))
    rig.reply(first, Value, OLD, ())
    node.ctx.suspect(peer(second.target or 0))
    again = sent(GetCopy, rig.tick(node))
    assert [150] == [each.target for each in again]
    assert [b"old"] == values(rig.reply(again[0], Value, OLD, ()))


def test_whoever_refused_is_asked_again() -> None:
    """The others at once, and soon after also who refused; who has not answered yet is not asked twice."""
    rig, node = owner(OLD)
    (first,) = sent(GetCopy, get(rig, node))
    (second,) = sent(GetCopy, rig.reply(first, Refused, Reason.NOT_OWNER))
    assert {60, 100} == {first.target, second.target}
    assert [first.target] == [each.target for each in sent(GetCopy, rig.tick(node, 0.13))]


def test_who_is_slow_is_not_waited_for_alone() -> None:
    """After a short while the others are asked, too, and one of them is enough."""
    rig, node = owner(OLD)
    (first,) = sent(GetCopy, get(rig, node))
    (second,) = sent(GetCopy, rig.tick(node, 0.13))
    assert {60, 100} == {first.target, second.target}
    assert [b"old"] == values(rig.reply(second, Value, OLD, ()))


def test_a_copy_that_was_refused_is_written_back_again() -> None:
    """The read ends when the replica has taken it."""
    rig, node = owner(NEW)
    (first,) = sent(GetCopy, get(rig, node))
    copies = sent(Replicate, rig.reply(first, Value, OLD, ()))
    for copy in copies:
        rig.reply(copy, Refused, Reason.BUSY)
    again = sent(Replicate, rig.tick(node, 0.13))
    assert {copy.target for copy in copies} == {copy.target for copy in again}
    assert [b"new"] == values(rig.reply(again[0], Done))


def test_reads_do_not_mix() -> None:
    """Each of two reads of the same record has its own copies, and its own answer."""
    rig, node = owner(OLD)
    questions = [sent(GetCopy, get(rig, node, number=number)) for number in (1, 2)]
    for number, (first,) in reversed([*enumerate(questions, start=1)]):
        (answer,) = sent(Value, rig.reply(first, Value, OLD, ()))
        assert (number, OLD) == (answer.request, answer.held)


def test_reads_have_a_bound() -> None:
    """So many as ``max_operations`` go on at once."""
    rig = Rig(attrs.evolve(CONFIG, max_operations=2))
    node = rig.member(10, before=200, after=[60, 100, 150])
    effects = [effect for number in (1, 2, 3) for effect in get(rig, node, number=number)]
    assert [(3, Reason.BUSY)] == [(each.request, each.reason) for each in sent(Refused, effects)]


@pytest.mark.parametrize("held", [None, OLD])
def test_a_read_that_has_ended_leaves_no_timer(held: Record | None) -> None:
    """Neither in a ring of one, which answers at once, nor after others have answered."""
    rig, node = owner(*filter(None, [held]))
    (first,) = sent(GetCopy, get(rig, node))
    rig.reply(first, Value, held, ())
    alone = Rig().add(10, records=filter(None, [held]))
    rig.take(alone, alone.create(now=rig.now))
    assert 1 == len(sent(Value, get(rig, alone)))
    kinds = [kind for each in (node, alone) for (kind, _), _ in each.ctx.timers.items()]
    assert ("repair" in kinds, "read" in kinds) == (True, False)


def test_a_copy_is_told_to_whoever_asks() -> None:
    """On the way that the question came, which need not be the owner's own address."""
    rig, node = owner(record_at(180))
    effects = rig.receive(node, request(GetCopy, peer(200), node, 0, name_at(180)), sender="in:owner")
    assert ["in:owner"] == [each.to for each in only(Send, effects) if isinstance(each.message, Value)]


def test_a_value_that_expires_while_it_is_written_back_is_not_told() -> None:
    """It had one when the read found it: name, version and when it expired are what is left for the reader."""
    rig, node = owner(OLD, durable=False)
    mortal, gone = (Record(0, KEY, value, version(2), 2, int(rig.now * 1000) + 500) for value in (b"new", None))
    (first,) = sent(GetCopy, get(rig, node))
    rig.reply(first, Value, mortal, ())
    rig.now += 0.5
    (answer,) = sent(Value, rig.flush_writes())
    assert (gone, ()) == (answer.held, answer.replicas)


def test_what_is_written_back_does_not_mix() -> None:
    """Of two reads each ends when its own record is on a majority."""
    other = record_at(6, b"other", 3)
    rig, node = owner(OLD, durable=False)
    for number, newest in ((1, NEW), (2, other)):
        asked = request(GetRecord, peer(150), node, 0, newest.name, False, MAJORITY, number=number)
        rig.reply(sent(GetCopy, rig.receive(node, asked))[0], Value, newest, ())
    answers = sent(Value, rig.flush_writes())
    assert [(1, NEW), (2, other)] == [(each.request, each.held) for each in answers]


def test_a_value_that_cannot_be_written_back_is_not_told() -> None:
    """The replicas refuse it until time is over: no quorum, rather than a value that the next read may not find."""
    rig, node = owner(NEW)
    rig.reply(sent(GetCopy, get(rig, node))[0], Value, OLD, ())
    effects: list[Effect] = []
    for _ in range(50):
        effects += rig.tick(node, 0.25)
        for parcel in [each for each in rig.under_way if isinstance(each.message, Replicate)]:
            assert isinstance(parcel.message, Replicate)
            effects += rig.reply(parcel.message, Refused, Reason.BUSY)
        rig.humour()
    assert ([], [(77, Reason.NO_QUORUM)]) == (
        values(effects),
        [(each.request, each.reason) for each in sent(Refused, effects)],
    )


def test_a_disk_that_fails_under_what_is_written_back() -> None:
    """The owner was to be one of the majority: no quorum."""
    rig, node = owner(OLD, durable=False)
    rig.reply(sent(GetCopy, get(rig, node))[0], Value, NEW, ())
    effects = rig.take(node, node.write_failed(rig.writes[-1][1].id, now=rig.now))
    assert [Reason.NO_QUORUM] == [each.reason for each in sent(Refused, effects)]


@pytest.mark.parametrize("mine, reasons", [(None, [Reason.BUSY]), (NEW, [])])
def test_a_full_table_takes_no_copy_that_a_read_has_found(mine: Record | None, reasons: list[Reason]) -> None:
    """The bound holds for those, too; a copy that is there already needs no room, and is told once others have it."""
    rig = Rig(attrs.evolve(CONFIG, max_records=1))
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.receive(node, request(Replicate, peer(60), node, (mine or record_at(6),), False, number=7))
    rig.under_way.clear()
    (first,) = sent(GetCopy, get(rig, node))
    effects = rig.reply(first, Value, NEW if mine is None else None, ())
    assert reasons == [each.reason for each in sent(Refused, effects)]
    assert 1 == node.stats().records
