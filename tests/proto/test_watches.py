"""Watching a record, at its owner: what is told at once, who waits, and what is remembered for how long."""

from __future__ import annotations

from typing import Any

import attrs

from chord_proto.config import Config
from chord_proto.effects import Effect, Send
from chord_proto.history import History, cursor_of
from chord_proto.identifiers import content_key
from chord_proto.messages import (
    AwaitChange,
    Changed,
    Done,
    Elsewhere,
    PutRecord,
    Reason,
    Record,
    Refused,
    Replicate,
    Space,
)
from chord_proto.node import Node
from chord_proto.operations import Change
from tests.proto.rig import CONFIG, Rig, name_at, only, peer, record_at, request, sent, version

KEY = name_at(5)


def owner(**bounds: Any) -> tuple[Rig, Node]:
    """Return the owner of (200, 10] whose replicas are at 60 and 100."""
    config: Config = attrs.evolve(CONFIG, **bounds)
    rig = Rig(config)
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.under_way.clear()
    return rig, node


def put(rig: Rig, node: Node, value: bytes | None, write: int, expires: int = 0) -> list[Effect]:
    """Let the node decide a write; return what it causes."""
    return rig.receive(node, request(PutRecord, peer(150), node, 0, KEY, value, write, expires, number=1000 + write))


def wait(rig: Rig, node: Node, after: str | None, number: int = 1) -> list[Effect]:
    """Ask for what comes after."""
    return rig.receive(node, request(AwaitChange, peer(150), node, KEY, after, number=number))


def told(effects: list[Effect]) -> list[tuple[tuple[bytes | None, ...], bool]]:
    """Return the values of what was told, and whether others may have been missed."""
    return [(tuple(each.value for each in message.changes), message.lagged) for message in sent(Changed, effects)]


def test_where_it_stands_and_what_came_since() -> None:
    """Without a cursor only the cursor is told; with it all that came after, each once and in order."""
    rig, node = owner()
    put(rig, node, b"1", 1)
    (begun,) = sent(Changed, wait(rig, node, None))
    assert ((), False) == (begun.changes, begun.lagged)
    put(rig, node, b"2", 2)
    put(rig, node, None, 3)
    put(rig, node, b"4", 4)
    assert [((b"2", None, b"4"), False)] == told(wait(rig, node, begun.cursor, 2))


def test_who_waits_is_told_as_soon_as_it_is_durable() -> None:
    """Not when it is decided; and only the change that comes, to everybody who waits for it."""
    rig, node = owner()
    rig.durable = False
    for number in (1, 2):
        assert [] == told(wait(rig, node, "", number))
    assert [] == told(put(rig, node, b"1", 1))
    assert [((b"1",), False)] * 2 == told(rig.flush_writes())
    assert [] == told(put(rig, node, b"2", 2)) + told(rig.flush_writes())


def test_a_long_wait_ends_without_a_change() -> None:
    """So that a watcher that is gone does not wait for ever."""
    rig, node = owner()
    put(rig, node, b"1", 1)
    cursor = sent(Changed, wait(rig, node, None))[0].cursor
    wait(rig, node, cursor, 2)
    effects: list[Effect] = []
    for _ in range(50):
        effects += rig.tick(node, 0.5)
        rig.humour()
    (ended,) = sent(Changed, effects)
    assert ((), False, cursor) == (ended.changes, ended.lagged, ended.cursor)
    assert 0 == node.watches.count


def test_expiry_is_a_change() -> None:
    """It has the version that expires, comes at its time, and after a write instead of it not at all."""
    rig, node = owner()
    put(rig, node, b"short", 1, int(rig.now * 1000) + 300)
    put(rig, node, b"long", 2, int(rig.now * 1000) + 700)
    cursor = sent(Changed, wait(rig, node, None))[0].cursor
    wait(rig, node, cursor, 2)
    assert [] == told(rig.tick(node, 0.4))
    effects = rig.tick(node, 0.2) + rig.tick(node, 0.11)
    (ended,) = sent(Changed, effects)
    assert (cursor + "+", True) == (ended.cursor, ended.changes[0].expired)
    put(rig, node, b"again", 3)
    assert [((None, b"again"), False)] == told(wait(rig, node, cursor, 3))


def test_what_was_not_decided_here_may_have_followed_others() -> None:
    """A copy that a former owner decided: the newest is told, and that some may have been missed."""
    rig, node = owner()
    put(rig, node, b"1", 1)
    cursor = sent(Changed, wait(rig, node, None))[0].cursor
    late = record_at(5, b"theirs", 1 << 40)
    rig.receive(node, request(Replicate, peer(60), node, (late,), False, number=50))
    assert [((b"theirs",), True)] == told(wait(rig, node, cursor, 2))


def test_who_is_not_the_owner_does_not_tell() -> None:
    """It says who is; and who waits hears of it when the range goes."""
    rig, node = owner()
    assert 1 == len(sent(Elsewhere, rig.receive(node, request(AwaitChange, peer(150), node, name_at(50), None))))
    wait(rig, node, "", 2)
    node.ring.set_predecessor(peer(7))
    effects = rig.tick(node) + rig.tick(node, 0.5)
    assert [Reason.NOT_READY] == [each.reason for each in sent(Refused, effects)]


def test_watchers_have_a_bound() -> None:
    """Beyond it they are refused as busy, whatever they watch."""
    rig, node = owner(max_watchers=2)
    effects = wait(rig, node, "", 1) + wait(rig, node, "", 2) + wait(rig, node, "", 3)
    assert [(3, Reason.BUSY)] == [(each.request, each.reason) for each in sent(Refused, effects)]


def test_the_history_has_bounds() -> None:
    """It forgets the oldest, by number and by bytes, and never tells a part as if it were all."""
    history = History(most_bytes=10)
    for number in range(1, 6):
        before = version(number - 1)
        assert history.add(b"k", before, Change(version(number), b"xxx", 0, False))
        assert history.add(b"other", before, Change(version(number), b"", 0, False))
    assert 10 >= history.size
    assert [version(4), version(5)] == [cursor_of(each) for each in history.since(b"k", version(3)) or ()]
    assert None is history.since(b"k", version(1))
    assert () == history.since(b"k", version(5))
    many = History(most_bytes=1 << 20)
    for number in range(1, 3000):
        many.add(b"%d" % (number % 7), version(number - 7), Change(version(number), b"", 0, False))
    assert 1024 == len(many.order) == sum(map(len, many.steps.values()))


def refused(effects: list[Effect]) -> list[tuple[int, int]]:
    """Return which requests were refused, and why."""
    return [(each.request, each.reason) for each in sent(Refused, effects)]


def test_what_cannot_be_watched() -> None:
    """A range that is not served yet; a name that is longer than any."""
    rig, node = owner()
    longest = next(b"%d" % n + bytes(4096 - len(b"%d" % n)) for n in range(999) if node.owns(_padded(n, 4096)))
    longer = next(_padded(n, 4097) for n in range(999) if node.owns(_padded(n, 4097)))
    assert [] == refused(rig.receive(node, request(AwaitChange, peer(150), node, longest, "", number=1)))
    effects = rig.receive(node, request(AwaitChange, peer(150), node, longer, "", number=2))
    assert [(2, Reason.INVALID)] == refused(effects)
    node.ranges.doubt()
    assert [(3, Reason.NOT_READY)] == refused(wait(rig, node, "", 3))


def _padded(number: int, length: int) -> bytes:
    return (b"%d" % number).ljust(length, b"\0")


def test_what_nobody_watches_any_more_is_forgotten() -> None:
    """After half a minute; what somebody waits for is not."""
    rig, node = owner()
    other = name_at(6)
    sent(Changed, wait(rig, node, None))
    rig.receive(node, request(AwaitChange, peer(150), node, other, "", number=2))
    for turn in range(64):
        rig.tick(node, 0.5)
        rig.humour()
        assert turn >= 59 or KEY in node.watches.watched
        if turn % 30 == 20:  # Its wait has ended; it asks again.
            rig.receive(node, request(AwaitChange, peer(150), node, other, "", number=100 + turn))
    assert [other] == list(node.watches.watched)


def test_one_range_goes_and_another_stays() -> None:
    """Only who watches what went is sent away."""
    rig, node = owner()
    rig.receive(node, request(AwaitChange, peer(150), node, name_at(205), "", number=1))
    rig.receive(node, request(AwaitChange, peer(150), node, name_at(9), "", number=2))
    node.ring.set_predecessor(peer(7))
    assert [(1, Reason.NOT_READY)] == refused(rig.tick(node) + rig.tick(node, 0.5))
    assert (1, [name_at(9)]) == (node.watches.count, list(node.watches.watched))


def test_who_leaves_sends_watchers_away() -> None:
    """They are told that it is no member any more, and nothing is armed."""
    rig, node = owner()
    wait(rig, node, "", 1)
    effects = rig.take(node, node.leave(rig.op(), now=rig.now)) + rig.tick(node, 10.1)
    for _ in range(100):
        if node.deadline is None:
            break
        effects += rig.tick(node, 0.2)
    assert (1, Reason.NOT_MEMBER) in refused(effects)
    assert ({}, None) == (node.watches.watched, node.deadline)


def test_a_story_too_long_to_be_remembered() -> None:
    """What fits in one message is told whole; of more only the newest, and that there was more."""
    rig, node = owner(max_batch_bytes=65_536)
    begun = sent(Changed, wait(rig, node, None))[0].cursor
    long = [bytes([number]) * 30_000 for number in range(1, 4)]
    put(rig, node, long[0], 1)
    put(rig, node, long[1], 2)
    assert [(tuple(long[:2]), False)] == told(wait(rig, node, begun, 2))
    put(rig, node, long[2], 3)
    assert [((long[2],), True)] == told(wait(rig, node, begun, 3))


def test_the_oldest_change_is_forgotten_first() -> None:
    """Once there are more bytes than allowed; the latest one is remembered however long it is.  A change counts once."""
    history = History(most_bytes=10)
    for number, name in enumerate((b"a", b"b", b"c"), start=1):
        assert history.add(name, "", Change(version(number), b"12345", 0, False))
    assert [False, True, True] == [history.since(name, "") is not None for name in (b"a", b"b", b"c")]
    long = Change(version(4), bytes(20), 0, False)
    assert history.add(b"d", "", long)
    assert not history.add(b"d", "", long)
    assert [None, None, (long,)] == [history.since(name, "") for name in (b"b", b"c", b"d")]


def test_who_begins_anew_remembers_no_story() -> None:
    """After a restart the newest is told, and that some may have been missed."""
    rig = Rig()
    node = rig.add(10, records=[record_at(5, b"v", 3)])
    rig.take(node, node.create(now=rig.now))
    assert [((b"v",), True)] == told(wait(rig, node, version(1)))


def test_what_a_change_says() -> None:
    """When its value will expire; a deletion is no expiry, and has the cursor of its version."""
    rig, node = owner()
    expires = int(rig.now * 1000) + 5000
    begun = sent(Changed, wait(rig, node, None))[0].cursor
    put(rig, node, b"1", 1, expires)
    put(rig, node, None, 2)
    (story,) = sent(Changed, wait(rig, node, begun, 2))
    assert [(expires, False), (0, False)] == [(each.expires, each.expired) for each in story.changes]
    assert story.changes[1].version == story.cursor


def test_an_expiry_that_nobody_saw_is_told() -> None:
    """Once, to who asks later what came, whether the record was written again before anybody looked or not."""
    rig, node = owner()
    put(rig, node, b"short", 1, int(rig.now * 1000) + 300)
    rig.now += 0.4
    for number in (1, 2):
        assert [((b"short", None), False)] == told(wait(rig, node, "", number))
        rig.tick(node, 0.5)
    rig, node = owner()
    put(rig, node, b"short", 1, int(rig.now * 1000) + 300)
    rig.now += 0.4
    put(rig, node, b"again", 2)
    assert [((b"short", None, b"again"), False)] == told(wait(rig, node, ""))


def test_who_knows_more_is_told_what_is_new() -> None:
    """A watcher comes from an owner that had a later version: when that one arrives here it is no news."""
    rig, node = owner()
    wait(rig, node, version(1 << 40))
    effects: list[Effect] = []
    for number in (0, 1):
        late = record_at(5, b"%d" % number, (1 << 40) + number)
        effects += rig.receive(node, request(Replicate, peer(60), node, (late,), False, number=50 + number))
    assert [((b"1",), False)] == told(effects)


def test_an_expiry_is_looked_for_at_its_time() -> None:
    """Civil time is not the node's clock: neither too early, again and again, nor too late."""
    rig, node = owner()
    rig.take(node, node.wall(1e9, now=rig.now))
    put(rig, node, b"v", 1, int((1e9 + rig.now + 0.25) * 1000))
    wait(rig, node, None)
    (due,) = [when for (kind, _), when in node.ctx.timers.items() if kind == "watch"]
    assert abs(due - rig.now - 0.25) < 0.001


def test_all_whose_range_went_are_sent_away_at_once() -> None:
    """Not only the first of them."""
    rig, node = owner()
    for number in (201, 205):
        rig.receive(node, request(AwaitChange, peer(150), node, name_at(number), "", number=number))
    node.ring.set_predecessor(peer(7))
    assert [(201, Reason.NOT_READY), (205, Reason.NOT_READY)] == refused(rig.tick(node) + rig.tick(node, 0.5))


def test_a_change_is_told_to_whoever_asks() -> None:
    """On the way that the question came."""
    rig, node = owner()
    effects = rig.receive(node, request(AwaitChange, peer(150), node, KEY, None), sender="in:150")
    assert ["in:150"] == [each.to for each in only(Send, effects) if isinstance(each.message, Changed)]


def test_blocks_push_no_story_out() -> None:
    """They never change, so that nobody watches them: what is remembered of records has all the room."""
    rig, node = owner(max_batch_bytes=65_536)
    begun = sent(Changed, wait(rig, node, None))[0].cursor
    put(rig, node, b"1", 1)
    data = bytes(65_536)
    block = Record(Space.BLOCK, content_key(data).to_bytes(20), data, "", 0)
    assert 1 == len(sent(Done, rig.receive(node, request(Replicate, peer(60), node, (block,), False, number=2))))
    assert [((b"1",), False)] == told(wait(rig, node, begun, 3))
