"""The doors of a node: callers' mistakes change nothing, every operation ends once, time may be any."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chord_proto.config import Config
from chord_proto.effects import Effect, Finished, MemberOf, OpId, Send, Stopped, WriteId
from chord_proto.errors import LocalProtocolError
from chord_proto.messages import FindSuccessor, GetNeighbours
from chord_proto.node import Node
from chord_proto.operations import Describe, Failed, Failure, Get, Joined, Left, Located, Put
from chord_proto.phase import Phase
from tests.proto.rig import CONFIG, Rig, name_at, only, peer, ring_of, sent

Mistake = Callable[[Node], list[Effect]]
Door = Callable[[], list[Effect]]

OF_A_MEMBER: dict[str, Mistake] = {
    "create twice": lambda node: node.create(now=100.0),
    "join when a member": lambda node: node.join(OpId(9), ["x:1"], now=100.0),
    "operation id in use": lambda node: node.perform(OpId(7), Get(b"x"), now=100.0),
    "leave with an id in use": lambda node: node.leave(OpId(7), now=100.0),
    "timeout zero": lambda node: node.perform(OpId(9), Get(b"x"), now=100.0, timeout=0),
    "timeout negative": lambda node: node.perform(OpId(9), Get(b"x"), now=100.0, timeout=-1.0),
    "describe as an operation": lambda node: node.perform(OpId(9), Describe(), now=100.0),
    "place beyond the circle": lambda node: node.locate(OpId(9), 256, now=100.0),
    "negative place": lambda node: node.locate(OpId(9), -1, now=100.0),
    "a bool is no place": lambda node: node.locate(OpId(9), True, now=100.0),
    "content key too long": lambda node: node.fetch(OpId(9), 1 << 160, now=100.0),
    "negative content key": lambda node: node.fetch(OpId(9), -1, now=100.0),
    "no clock": lambda node: node.tick(now=1e300),
    "unknown write": lambda node: node.written(WriteId(9), now=100.0),
    "unknown write failed": lambda node: node.write_failed(WriteId(9), now=100.0),
}


@pytest.mark.parametrize("mistake", OF_A_MEMBER.values(), ids=OF_A_MEMBER.keys())
def test_a_callers_mistake_changes_nothing(mistake: Mistake) -> None:
    """Each is refused with LocalProtocolError before anything has changed; the node goes on as its copy does."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    rig.take(node, node.get(OpId(7), name_at(150), now=rig.now))
    untouched, before = node.copy(), (node.fingerprint(), node.stats(), node.view())
    with pytest.raises(LocalProtocolError):
        mistake(node)
    assert before == (node.fingerprint(), node.stats(), node.view())
    assert untouched.tick(now=101.0) == node.tick(now=101.0)


def test_mistakes_before_membership() -> None:
    """Joining with nobody, or by oneself only, or twice, or with the id of a running operation is refused."""
    node = Rig().add(10)
    for via in ([], [peer(10).address]):
        with pytest.raises(LocalProtocolError):
            node.join(OpId(1), via, now=0.0)
    node.get(OpId(2), b"k", now=0.0)
    with pytest.raises(LocalProtocolError):
        node.join(OpId(2), ["x:1"], now=0.0)
    assert "new" == node.phase.value
    node.join(OpId(1), ["x:1"], now=0.0)
    mistakes: list[Door] = [
        lambda: node.join(OpId(3), ["x:1"], now=0.0),
        lambda: node.create(now=0.0),
        lambda: node.get(OpId(1), b"k", now=0.0),
    ]
    for mistake in mistakes:
        with pytest.raises(LocalProtocolError):
            mistake()
    assert "joining" == node.phase.value


def test_leaving_twice() -> None:
    """A node that leaves, or has left, cannot leave again; nor may the leave's id serve another operation."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    rig.take(node, node.leave(OpId(1), now=rig.now))
    operations: list[Door] = [
        lambda: node.leave(OpId(2), now=rig.now),
        lambda: node.get(OpId(1), b"k", now=rig.now),
    ]
    for operation in operations:
        with pytest.raises(LocalProtocolError):
            operation()
    rig.run(30.0)
    assert Phase.STOPPED is node.phase
    with pytest.raises(LocalProtocolError):
        node.leave(OpId(2), now=rig.now)


@pytest.mark.parametrize("wrong", [{"me": peer(10), "incarnation": 0}, {"me": peer(10), "incarnation": 1 << 63}])
def test_a_life_has_a_number(wrong: dict[str, object]) -> None:
    """An incarnation is positive and has 63 bits."""
    with pytest.raises(ValueError, match="incarnation"):
        Node(**wrong, seed=1, config=CONFIG)  # type: ignore[arg-type]


def test_a_place_is_not_chosen() -> None:
    """A node whose id its address does not give is not made."""
    with pytest.raises(ValueError, match="place"):
        Node(peer(10), seed=1, config=Config(bits=9))


def test_every_operation_ends_once() -> None:
    """Answered, out of time, cancelled, or stopped with the node: each ends in exactly one Finished."""
    rig = ring_of(10, 60, 120, 200)
    node = rig.nodes[peer(10).address]
    ops = [rig.op() for _ in range(5)]
    rig.take(node, node.put(ops[0], b"a", b"1", now=rig.now))
    rig.flush()
    rig.take(node, node.cancel(ops[0], now=rig.now))
    for other in list(rig.nodes.values()):
        if other is not node:
            rig.kill(other)
    for op in ops[1:4]:
        rig.take(node, node.put(op, name_at(150), b"2", now=rig.now))
    rig.take(node, node.cancel(ops[1], now=rig.now))
    rig.take(node, node.cancel(ops[1], now=rig.now))
    rig.take(node, node.perform(ops[4], Put(name_at(5), b"3"), now=rig.now, timeout=0.5))
    rig.tick(node, 0.6)
    rig.take(node, node.leave(rig.op(), now=rig.now))
    rig.run(40.0)
    assert Phase.STOPPED is node.phase
    assert [1] * 5 == [len(rig.finished[op]) for op in ops]
    assert Failure.CANCELLED is rig.result(ops[1]).reason
    assert rig.result(ops[4]).reason in (Failure.NO_QUORUM, Failure.UNREACHABLE)


def test_cancelling_twice_or_the_unknown_is_harmless() -> None:
    """A cancelled operation ends once, and cancelling it again, or what never was, has no effect."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    rig.take(node, node.get(OpId(1), name_at(150), now=rig.now))
    expected = [Finished(OpId(1), Failed(Failure.CANCELLED))]
    assert expected == node.cancel(OpId(1), now=rig.now)
    assert [] == node.cancel(OpId(1), now=rig.now)
    assert [] == node.cancel(OpId(2), now=rig.now)
    assert not node.view().operations


def test_an_id_is_free_again_once_its_operation_has_ended() -> None:
    """Only ids under way are taken."""
    rig = Rig()
    node = rig.create(10)
    for _ in range(2):
        effects = rig.take(node, node.locate(OpId(1), 5, now=rig.now))
        assert [Located(node.me, (node.me,), ())] == [each.result for each in only(Finished, effects)]


def test_ticks_may_come_early_late_or_again() -> None:
    """An early or repeated tick does nothing; a late one does what was due, and then all deadlines lie ahead."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    while node.deadline is not None and node.deadline <= rig.now:
        rig.tick(node)
    assert node.deadline is not None
    twin = node.copy()
    for _ in range(3):
        assert [] == node.tick(now=rig.now)
    assert twin.fingerprint() == node.fingerprint()
    assert twin.deadline == node.deadline
    done: list[Effect] = []
    due = rig.now
    for _ in range(10):
        due = node.deadline
        done += node.tick(now=due)
        assert [] == node.tick(now=due)
        assert node.deadline > due
    late = due + 1000.0
    assert only(Send, done)
    assert only(Send, node.tick(now=late))
    assert node.deadline > late


def test_time_never_goes_back() -> None:
    """An earlier ``now`` counts as the latest one seen: what is armed then is armed from there."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    rig.tick(node, 5.0)
    twin = node.copy()
    early = node.perform(OpId(1), Get(name_at(150)), now=3.0, timeout=2.0)
    assert twin.perform(OpId(1), Get(name_at(150)), now=rig.now, timeout=2.0) == early
    assert ((1, rig.now + 2.0),) == node.view().operations
    assert twin.view() == node.view()


def test_looking_changes_nothing() -> None:
    """The deadline and all views are pure: asked a hundred times, the node goes on as its twin does."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100])
    twin = node.copy()
    for _ in range(100):
        assert twin.deadline == node.deadline
        assert (node.view(), node.stats(), node.fingers) == (node.view(), node.stats(), node.fingers)
        assert node.owns(5) != node.owns(150)
        node.describe()
    assert twin.tick(now=102.0) == node.tick(now=102.0)


def test_effects_are_the_callers() -> None:
    """Each input returns a fresh list: emptying one touches neither the node nor the next list (N13)."""
    node = Rig().add(10)
    first = node.create(now=0.0)
    assert [MemberOf(None)] == only(MemberOf, first)
    first.clear()
    second = node.tick(now=0.0)
    second.append(Stopped())
    assert [] == node.tick(now=0.0)


def test_a_bug_kills_the_node() -> None:
    """After an exception that is no LocalProtocolError no input is taken any more."""
    node = Rig().create(10)
    with pytest.raises(AttributeError):
        node.receive(None, sender="x:1", now=100.0)  # type: ignore[arg-type]
    doors: list[Door] = [
        lambda: node.tick(now=101.0),
        lambda: node.get(OpId(1), b"k", now=101.0),
        lambda: node.leave(OpId(2), now=101.0),
    ]
    for door in doors:
        with pytest.raises(LocalProtocolError, match="died"):
            door()


def test_joining_is_an_operation_that_can_be_cancelled() -> None:
    """A cancelled join leaves the node as new: it may join again, and answers to the first attempt mean nothing."""
    rig = Rig()
    node = rig.add(10)
    rig.take(node, node.join(OpId(1), [peer(60).address], now=rig.now))
    late = rig.asked(FindSuccessor)
    assert [Finished(OpId(1), Failed(Failure.CANCELLED))] == rig.take(node, node.cancel(OpId(1), now=rig.now))
    assert (Phase.NEW, None) == (node.phase, rig.tick(node) or None)
    rig.under_way.clear()
    rig.take(node, node.join(OpId(2), [peer(60).address], now=rig.now))
    rig.meet(node, 60, [60], came_round=True)
    assert {1: [Failed(Failure.CANCELLED)], 2: [Joined()]} == rig.finished
    assert late.request != rig.asked(GetNeighbours).request


def test_a_node_that_never_joined_leaves_at_once() -> None:
    """Leaving before membership ends the joining, and hands nothing over."""
    rig = Rig()
    node = rig.add(10)
    rig.take(node, node.join(OpId(1), [peer(60).address], now=rig.now))
    effects = rig.take(node, node.leave(OpId(2), now=rig.now))
    assert {1: [Failed(Failure.STOPPED)], 2: [Left(handed_over=False)]} == rig.finished
    assert (Stopped(), Phase.STOPPED, None) == (effects[-1], node.phase, node.deadline)
    assert [] == only(Send, effects)


def test_operations_wait_for_membership() -> None:
    """What is asked before the node is a member is done once it is, or fails as not ready."""
    rig = Rig()
    node = rig.add(10)
    rig.take(node, node.locate(OpId(1), 5, now=rig.now))
    rig.take(node, node.perform(OpId(2), Get(b"k"), now=rig.now, timeout=1.0))
    rig.run(2.0)
    assert {2: [Failed(Failure.NOT_READY)]} == rig.finished
    rig.take(node, node.create(now=rig.now))
    rig.run(1.0)
    assert Located(node.me, (node.me,), ()) == rig.result(OpId(1))
    assert [] == sent(FindSuccessor, [Send(each.to, each.message) for each in rig.under_way])
