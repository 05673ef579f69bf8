"""Which ring it is, and who comes back to it after more than a grace period (chord.md section 7)."""

from __future__ import annotations

import attrs
import pytest

from chord_proto.effects import Effect, OpId, OutdatedDropped, Write
from chord_proto.messages import Busy, FindSuccessor, Found, GetNeighbours, Neighbours, Record, Space
from chord_proto.node import Node
from chord_proto.operations import Put
from tests.proto.rig import CONFIG, Rig, block_at, only, peer, record_at, request, sent

QUICK = attrs.evolve(CONFIG, grace_period=60.0)
LIFE, FORMER, OTHER = 100, 7, 8
"""The life of the node that comes back, the founding of its ring of then, and that of another."""


def back(away: float = 61.0, founded: int = FORMER, *held: Record, keep: bool = False) -> tuple[Rig, Node]:
    """Return a node at 10 that was away for so long and held these, by default a record at 5; it is NEW."""
    rig = Rig(attrs.evolve(QUICK, keep_outdated=keep), durable=False)
    records = held or (record_at(5),)
    node = Node(
        peer(10), seed=1, config=rig.config, incarnation=LIFE, records=records, width=3, founded=founded, away=away
    )
    rig.nodes[node.me.address] = node
    return rig, node


def joins(rig: Rig, node: Node, founded: int) -> list[Effect]:
    """Let the node join a ring of three others that was founded so, and return what its becoming a member caused."""
    rig.take(node, node.join(OpId(1), [peer(200).address], now=rig.now))
    rig.reply(rig.asked(FindSuccessor), Found, peer(200), (peer(60),), False, source=peer(200))
    return rig.reply(rig.asked(GetNeighbours), Neighbours, None, (peer(60), peer(100)), True, 3, founded)


def create(rig: Rig, node: Node) -> list[Effect]:
    """Let the node be a ring of its own."""
    return rig.take(node, node.create(now=rig.now))


def told(effects: list[Effect]) -> list[int]:
    """Return what a later life is told of the founding."""
    return [write.founded for write in only(Write, effects) if write.founded]


def held(node: Node) -> int:
    """Return how many records a node has."""
    return node.stats().records


@pytest.mark.parametrize(
    "away, founded, keep, dropped",
    [
        (61.0, FORMER, False, [1]),
        (60.0, FORMER, False, []),
        (61.0, OTHER, False, []),
        (61.0, 0, False, []),
        (61.0, FORMER, True, []),
    ],
    ids=["long", "short", "another ring", "not known", "to be kept"],
)
def test_who_joins_its_ring_after_a_long_absence(away: float, founded: int, keep: bool, dropped: list[int]) -> None:
    """It forgets its records, in the step in which it becomes a member, if that is the ring in which it was."""
    rig, node = back(away, keep=keep)
    effects = joins(rig, node, founded)
    assert dropped == [len(event.records) for event in only(OutdatedDropped, effects)]
    assert 1 - sum(dropped) == held(node)
    names = [name for write in only(Write, effects) for name in write.dropped]
    assert [(Space.RECORD, record_at(5).name)] * sum(dropped) == names


def test_blocks_stay() -> None:
    """Nobody deletes those, and nothing is said of none."""
    rig, node = back(61.0, FORMER, block_at(5))
    assert [] == only(OutdatedDropped, joins(rig, node, FORMER))
    assert 1 == held(node)


def test_tombstones_go_too() -> None:
    """The ring knows better."""
    rig, node = back(61.0, FORMER, record_at(5, None), record_at(6))
    joins(rig, node, FORMER)
    assert 0 == held(node)


def test_who_is_a_ring_of_its_own_is_told_by_who_asks() -> None:
    """Before it answers: whoever asks for its list may take it for a neighbour, and its copies with it."""
    rig, node = back()
    create(rig, node)
    effects = rig.receive(node, request(GetNeighbours, peer(60), node, FORMER))
    assert (1, 0) == (len(sent(Neighbours, effects)), held(node))
    assert [1] == [len(event.records) for event in only(OutdatedDropped, effects)]


def test_who_is_busy_is_told_too() -> None:
    """Though it cannot answer yet."""
    rig, node = back()
    create(rig, node)
    rig.receive(node, request(GetNeighbours, peer(60), node, 0))
    node.ring.propose_successor(peer(100))
    effects = rig.receive(node, request(GetNeighbours, peer(60), node, FORMER, number=78))
    assert (1, 0) == (len(sent(Busy, effects)), held(node))


def test_what_was_written_since_stays() -> None:
    """Alone it took a write: that is newer than all that it had before."""
    rig, node = back()
    create(rig, node)
    rig.durable = True
    rig.take(node, node.wall(1e9, now=rig.now))
    rig.take(node, node.perform(OpId(2), Put(b"new", b"v", quorum=1), now=rig.now))
    rig.receive(node, request(GetNeighbours, peer(60), node, FORMER))
    assert [b"new"] == [item.name for item in node.writes.table.records.values()]


def test_it_forgets_once() -> None:
    """What it is given of the ring is as old, and stays."""
    rig, node = back()
    joins(rig, node, FORMER)
    rig.durable = True
    rig.flush_writes()
    node.writes.keep([record_at(6)])
    rig.take(node, node.tick(now=rig.now))
    rig.receive(node, request(GetNeighbours, peer(200), node, FORMER))
    assert 1 == held(node)


@pytest.mark.parametrize("away, expected", [(0.0, 4), (60.0, 4), (61.0, LIFE)])
def test_a_ring_is_founded_anew_after_a_long_absence(away: float, expected: int) -> None:
    """After a short one it goes on; the founding is the life of who did it."""
    rig, node = back(away, 4)
    create(rig, node)
    answered = rig.receive(node, request(GetNeighbours, peer(60), node, 0))
    assert [expected] == [answer.founded for answer in sent(Neighbours, answered)]


def test_a_joiner_is_of_the_ring_that_it_joins() -> None:
    """It does not bring the founding of another along, and says of none before it is a member."""
    rig, node = back(0.0, 4)
    rig.take(node, node.join(OpId(1), [peer(200).address], now=rig.now))
    rig.reply(rig.asked(FindSuccessor), Found, peer(200), (peer(60),), False, source=peer(200))
    asked = rig.asked(GetNeighbours)
    assert 0 == asked.founded
    effects = rig.reply(asked, Neighbours, None, (peer(60), peer(100)), True, 3, FORMER)
    assert [FORMER] == told(effects)
    assert [FORMER] == [asked.founded for asked in sent(GetNeighbours, effects)]


def test_rings_that_merge_go_back_to_the_older_founding() -> None:
    """Whichever of them asks or answers."""
    rig, node = back(0.0, FORMER)
    joins(rig, node, FORMER)
    rig.receive(node, request(GetNeighbours, peer(200), node, OTHER))
    assert FORMER == node.ring.founded
    rig.receive(node, request(GetNeighbours, peer(200), node, 6, number=78))
    assert 6 == node.ring.founded
    rig.reply(rig.asked(GetNeighbours, peer(60)), Neighbours, None, (peer(100), peer(200)), True, 3, 5)
    assert 5 == node.ring.founded


def test_a_later_life_is_told_of_the_founding_once_that_is_certain() -> None:
    """Not while the former ring may live: killed soon after, the node must still know in which it was."""
    rig, node = back()
    assert [] == told(create(rig, node))
    assert not node.is_current
    assert [] == told(rig.tick(node, 59.9))
    assert [LIFE] == told(rig.tick(node, 0.2))
    assert node.is_current


def test_who_is_back_in_its_ring_is_current() -> None:
    """Its next life counts its absence from now on."""
    rig, node = back()
    joins(rig, node, FORMER)
    assert node.is_current
