"""Writes that were decided before and are written again as they were: a backup that is put back (chord.md section 7)."""

from __future__ import annotations

import pytest

from chord_proto.effects import Effect, OpId, Write
from chord_proto.messages import Acknowledged, Done, PutRecord, Reason, Record, Refused, Replicate, Space
from chord_proto.node import Node
from chord_proto.operations import Failed, Failure, Fetched, Get, Put, Restore, Stored
from tests.proto.rig import Rig, name_at, only, peer, record_at, request, sent, version

KEY = name_at(5)
LATE = 1 << 50
"""Milliseconds of Unix time at which none of these tests arrives."""


def owner(*held: Record) -> tuple[Rig, Node]:
    """Return the owner of (200, 10], which holds these, and whose replicas are at 60 and 100."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100, 150])
    if held:
        rig.receive(node, request(Replicate, peer(60), node, held, False, number=1))
    rig.under_way.clear()
    return rig, node


def restore(rig: Rig, node: Node, given: str, value: bytes | None = b"v", *, expires: int = 0) -> list[Effect]:
    """Ask the node to write its record at place 5 in this version, with write id 9."""
    fields = 0, KEY, value, 9, expires, None, 0, given
    return rig.receive(node, request(PutRecord, peer(150), node, *fields))


def refused(effects: list[Effect]) -> list[int]:
    """Return why requests were refused."""
    return [each.reason for each in sent(Refused, effects)]


@pytest.mark.parametrize("value", [b"v", None])
@pytest.mark.parametrize("held", [(), (record_at(5, b"old", 4),)], ids=["absent", "older"])
def test_it_is_written_exactly_as_it_was(value: bytes | None, held: tuple[Record, ...]) -> None:
    """Version, value (None: it was deleted), write id and expiry, here and on the replicas; what is older gives way."""
    rig, node = owner(*held)
    effects = restore(rig, node, version(5), value, expires=LATE)
    expected = Record(Space.RECORD, KEY, value, version(5), 9, LATE)
    assert [((expected,), True)] * 2 == [(copy.records, copy.decided) for copy in sent(Replicate, effects)]
    assert expected == node.writes.table.get(Space.RECORD, KEY)
    (acknowledged,) = sent(Acknowledged, rig.reply(rig.asked(Replicate), Done))
    assert version(5) == acknowledged.version


@pytest.mark.parametrize("given", [4, 5])
def test_what_is_not_newer_changes_nothing(given: int) -> None:
    """What is there is told, and spread: whoever restores knows which version the record has."""
    held = record_at(5, b"there", 5)
    rig, node = owner(held)
    effects = restore(rig, node, version(given), b"other")
    assert ([], [(held,)] * 2) == (only(Write, effects), [copy.records for copy in sent(Replicate, effects)])
    (acknowledged,) = sent(Acknowledged, rig.reply(rig.asked(Replicate), Done))
    assert (version(5), held) == (acknowledged.version, node.writes.table.get(Space.RECORD, KEY))


@pytest.mark.parametrize("given", ["7", version(5).upper(), version(5) + "0"])
def test_what_is_no_version_is_refused(given: str) -> None:
    """Nothing could be compared with it."""
    rig, node = owner()
    effects = restore(rig, node, given)
    assert ([Reason.INVALID], []) == (refused(effects), only(Write, effects))


@pytest.mark.parametrize("wall, ahead, reasons", [(1e3, 0, []), (1e3, 1, [Reason.CLOCK]), (0.0, 1, [])])
def test_a_version_too_far_ahead_is_refused(wall: float, ahead: int, reasons: list[Reason]) -> None:
    """Up to exactly ``max_clock_ahead`` is taken; a node that was never told civil time cannot judge."""
    rig, node = owner()
    rig.take(node, node.wall(wall, now=rig.now))
    latest = int((rig.now + wall + node.ctx.config.max_clock_ahead) * 1000)
    effects = restore(rig, node, version(latest + ahead))
    assert (reasons, 1 - len(reasons)) == (refused(effects), len(only(Write, effects)))


def test_later_writes_go_on_from_it() -> None:
    """The next version sorts after the one that was restored, however slow the clock is."""
    rig, node = owner()
    restore(rig, node, version(1 << 40))
    next_one = request(PutRecord, peer(150), node, 0, KEY, b"next", 10, number=78)
    (write,) = only(Write, rig.receive(node, next_one))
    assert write.changes[0].version > version(1 << 40)


def test_the_operation() -> None:
    """Restored once it is read again as it was; over a newer version nothing is done, and that one is told."""
    rig = Rig()
    node = rig.create(10)
    ops = [OpId(number) for number in range(1, 6)]
    rig.take(node, node.perform(ops[0], Restore(KEY, b"v", version(5), LATE), now=rig.now))
    rig.take(node, node.perform(ops[1], Get(KEY), now=rig.now))
    rig.take(node, node.perform(ops[2], Put(KEY, b"new"), now=rig.now))
    rig.take(node, node.perform(ops[3], Restore(KEY, b"v", version(6)), now=rig.now))
    rig.take(node, node.perform(ops[4], Restore(KEY, b"v", "7"), now=rig.now))
    first, read, new, again, invalid = (rig.result(op) for op in ops)
    assert Stored(version(5), node.me, (node.me,)) == first
    assert Fetched(b"v", version(5), LATE) == read
    assert new == again
    assert Failed(Failure.INVALID) == invalid


@pytest.mark.parametrize("wall", [0.0, 1e9], ids=["without a clock", "with a clock"])
def test_the_last_version_of_all_loses_nothing(wall: float) -> None:
    """Nothing comes after it: whoever writes over it is refused, not told that it was written; other keys go on."""
    rig = Rig()
    node = rig.create(10)
    last = Record(Space.RECORD, KEY, b"there", "ffffffffffff-ffff-00000000000000ff", 1)
    rig.receive(node, request(Replicate, peer(60), node, (last,), False, number=1))
    rig.take(node, node.wall(wall, now=rig.now))
    assert [Reason.CLOCK] == refused(rig.receive(node, request(PutRecord, peer(60), node, 0, KEY, b"w", 3, number=2)))
    assert last == node.writes.table.get(Space.RECORD, KEY)


def test_a_copy_from_the_far_future_does_not_move_the_clock() -> None:
    """Only the record itself can no longer be written: the versions of others stay what replicas believe."""
    rig, node = owner()
    rig.take(node, node.wall(1e9, now=rig.now))
    far = Record(Space.RECORD, name_at(9), b"far", version(1 << 47), 1)
    rig.receive(node, request(Replicate, peer(60), node, (far,), False, number=1))
    effects = rig.receive(node, request(PutRecord, peer(60), node, 0, KEY, b"w", 3, number=2))
    assert {version(int((rig.now + 1e9) * 1000))[:12]} == {
        copy.records[0].version[:12] for copy in sent(Replicate, effects)
    }


def test_what_is_ahead_is_written_over_by_the_next_version() -> None:
    """A clock was wrong: whoever writes there again need not wait for years until time has caught up."""
    rig, node = owner()
    rig.take(node, node.wall(1e9, now=rig.now))
    far = Record(Space.RECORD, KEY, b"far", version(1 << 47), 1)
    rig.receive(node, request(Replicate, peer(60), node, (far,), False, number=1))
    effects = rig.receive(node, request(PutRecord, peer(60), node, 0, KEY, b"w", 3, number=2))
    (copy, _) = sent(Replicate, effects)
    assert ([], f"{1 << 47:012x}-0001") == (refused(effects), copy.records[0].version[:17])
    assert node.writes.table.get(Space.RECORD, KEY) == copy.records[0]
    other = rig.receive(node, request(PutRecord, peer(60), node, 0, name_at(6), b"v", 4, number=3))
    assert {version(int((rig.now + 1e9) * 1000))[:12]} == {
        each.records[0].version[:12] for each in sent(Replicate, other)
    }


@pytest.mark.parametrize(
    "held, decided, reasons",
    [
        ("0001", "0002", []),
        ("0001", "0001", [Reason.CLOCK]),
        ("0002", "0001", [Reason.CLOCK]),
        (None, "0001", [Reason.CLOCK]),
    ],
)
def test_a_replica_takes_what_follows_its_own_copy(held: str | None, decided: str, reasons: list[Reason]) -> None:
    """Of the moment that its copy is from, though that has not come; nothing else from the future."""
    rig, node = owner()
    rig.take(node, node.wall(1e9, now=rig.now))

    def at(counter: str) -> Record:
        made = f"{1 << 47:012x}-{counter}-00000000000000ff"
        return Record(Space.RECORD, name_at(180), b"far", made, int(counter, 16))

    if held is not None:
        rig.receive(node, request(Replicate, peer(60), node, (at(held),), False, number=1))
    effects = rig.receive(node, request(Replicate, peer(200), node, (at(decided),), True, number=2))
    assert reasons == refused(effects)


def test_a_clock_that_was_put_back() -> None:
    """What a node has written by a clock that was an hour ahead does not count for what it writes by the right one."""
    rig, node = owner()
    rig.take(node, node.wall(1e9 + 3600, now=rig.now))
    rig.receive(node, request(PutRecord, peer(60), node, 0, KEY, b"w", 3, number=2))
    rig.take(node, node.wall(1e9, now=rig.now))
    effects = rig.receive(node, request(PutRecord, peer(60), node, 0, name_at(6), b"v", 4, number=3))
    assert {version(int((rig.now + 1e9) * 1000))[:12]} == {
        copy.records[0].version[:12] for copy in sent(Replicate, effects)
    }


def test_a_retry_is_recognised_where_it_was_only_copied() -> None:
    """Its owner has died, and somebody has written since: it is not written a second time over that."""
    rig, node = owner(record_at(5, b"first", 1))
    rig.receive(node, request(Replicate, peer(60), node, (record_at(5, b"second", 2),), False, number=2))
    effects = rig.receive(node, request(PutRecord, peer(60), node, 0, KEY, b"first", 1, number=3))
    assert [version(1)] * 2 == [copy.records[0].version for copy in sent(Replicate, effects)]
    (acknowledged,) = sent(Acknowledged, rig.reply(rig.asked(Replicate), Done))
    assert (version(1), record_at(5, b"second", 2)) == (acknowledged.version, node.writes.table.get(Space.RECORD, KEY))
