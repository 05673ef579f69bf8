"""Replicas whose disks have failed take no copies: the owner knows it, says so, and decides nothing that cannot last."""

from __future__ import annotations

import pytest

from chord_proto.messages import (
    Digest,
    Done,
    GetDigest,
    GetRecord,
    PutRecord,
    Reason,
    Refused,
    Replicate,
    Space,
    Value,
)
from chord_proto.node import Node
from chord_proto.operations import MAJORITY
from tests.proto.rig import Rig, name_at, peer, request, sent


def owner() -> tuple[Rig, Node]:
    """Return the owner of (200, 10] whose replicas are at 60 and 100."""
    rig = Rig()
    node = rig.member(10, before=200, after=[60, 100, 150])
    rig.under_way.clear()
    return rig, node


def put(rig: Rig, node: Node, number: int) -> list[int]:
    """Ask the node to write the record at place 5 and return why it was refused; nothing while it is under way."""
    asked = request(PutRecord, peer(150), node, Space.RECORD, name_at(5), b"v", number, number=number)
    return [answer.reason for answer in sent(Refused, rig.receive(node, asked))]


def health(node: Node) -> tuple[int, bool]:
    """Return how many replicas are missing, and whether writes are unsafe."""
    described = node.describe()
    return described.missing, described.unsafe


def refuse_copies(rig: Rig, *places: int) -> None:
    """Let the replicas at these places refuse the latest copies since their disks have failed."""
    for place in places:
        rig.reply(rig.asked(Replicate, peer(place)), Refused, Reason.STORAGE_FAILED)


@pytest.mark.parametrize("reason, expected", [(Reason.STORAGE_FAILED, (2, True)), (Reason.BUSY, (0, False))])
def test_a_copy_that_a_disk_refuses(reason: Reason, expected: tuple[int, bool]) -> None:
    """Such a replica counts as missing; one that is busy does not."""
    rig, node = owner()
    assert (0, False) == health(node)
    assert [] == put(rig, node, 1)
    for place in (60, 100):
        rig.reply(rig.asked(Replicate, peer(place)), Refused, reason)
    assert expected == health(node)


def test_what_cannot_last_is_not_decided() -> None:
    """With one of three left there is no majority: the next write is refused at once, and its outcome is known."""
    rig, node = owner()
    put(rig, node, 1)
    refuse_copies(rig, 60)
    assert ((1, False), []) == (health(node), put(rig, node, 2))
    refuse_copies(rig, 100)
    assert [Reason.NO_QUORUM] == put(rig, node, 3)


def test_reads_go_on() -> None:
    """A disk that takes nothing can be read: also a majority is found."""
    rig, node = owner()
    put(rig, node, 1)
    rig.reply(rig.asked(Replicate, peer(60)), Done)
    put(rig, node, 2)
    refuse_copies(rig, 60, 100)
    effects = rig.receive(node, request(GetRecord, peer(150), node, 0, name_at(5), False, MAJORITY, number=8))
    assert [] == sent(Refused, effects)
    assert [] == sent(Value, effects)


@pytest.mark.parametrize("failed, missing", [(True, 1), (False, 0)])
def test_repair_tells_it_without_any_write(failed: bool, missing: int) -> None:
    """A replica says so whenever its copies are compared."""
    rig, node = owner()
    rig.tick(node, 0.1)
    rig.reply(rig.asked(GetDigest, peer(60)), Digest, 0, bytes(16), failed)
    assert missing == node.describe().missing


def test_another_life_takes_copies() -> None:
    """It was started again with room on its disk."""
    _, node = owner()
    node.writes.note_failed(peer(60), 1)
    node.writes.note_failed(peer(100), 2)
    assert 1 == node.describe().missing
    node.writes.note_failed(peer(60), 2)
    assert 0 == node.describe().missing


def test_the_memory_of_failed_disks_is_bounded() -> None:
    """The latest are remembered."""
    _, node = owner()
    for place in range(100):
        node.writes.note_failed(peer(place), 1)
        node.writes.note_failed(peer(7), 1)
    assert 7 in node.writes.failing
    node.writes.note_failed(peer(99), 1)
    assert (64, peer(99).id) == (len(node.writes.failing), list(node.writes.failing)[-1])


def test_a_node_says_that_its_disk_has_failed() -> None:
    """Whoever compares copies with it is told."""
    rig, node = owner()
    node.writes.failed = True
    effects = rig.receive(node, request(GetDigest, peer(200), node, 200, 10))
    assert [True] == [answer.failed for answer in sent(Digest, effects)]
    assert (1, True) == health(node)


def test_who_is_no_member_is_not_safe_to_write_to() -> None:
    """Nor is it in order."""
    rig = Rig()
    node = rig.add(10)
    rig.take(node, node.join(rig.op(), [peer(60).address], now=rig.now))
    described = node.describe()
    assert (True, False) == (described.unsafe, described.in_order)
