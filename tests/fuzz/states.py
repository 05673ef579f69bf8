"""Nodes in every state of their lives, with bounds so small that a few messages reach them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import attrs

from chord_proto.effects import OpId
from chord_proto.node import Node
from tests.fuzz.drawn import MEMBERS
from tests.proto.rig import CONFIG, Rig, peer, record_at, ring_of

SMALL = attrs.evolve(
    CONFIG,
    max_operations=4,
    max_requests=24,
    max_requests_per_peer=12,
    max_served=12,
    max_served_per_peer=8,
    max_known_peers=16,
    max_lost_peers=4,
    max_watchers=4,
    max_forwards=4,
    max_forwards_per_peer=3,
    routing="recursive",
    max_pending_writes=6,
    max_records=12,
    max_bytes=4096,
    max_value_size=512,
    max_peers_in_message=16,
)


def _new(rig: Rig) -> Node:
    return rig.add(10)


def _alone(rig: Rig) -> Node:
    return rig.create(10)


def _joining(rig: Rig) -> Node:
    node = rig.add(10)
    rig.take(node, node.join(OpId(1), [peer(200).address, peer(60).address], now=rig.now))
    return node


def _asking_for_its_place(rig: Rig) -> Node:
    """It has found whose successor it becomes, and waits for the list."""
    node = rig.member(10, before=200, after=[60, 100])
    rig.take(node, node.unreachable(peer(200), now=rig.now))
    return node


def _pending(rig: Rig) -> Node:
    return rig.member(10, before=200, after=[60, 100], granted=False)


def _member(rig: Rig) -> Node:
    return rig.member(10, before=200, after=[60, 100], came_round=False)


def _at_work(rig: Rig) -> Node:
    node = _member(rig)
    for place in (5, 30, 150):
        rig.take(node, node.put(rig.op(), record_at(place).name, b"v", now=rig.now))
        rig.take(node, node.get(rig.op(), record_at(place).name, now=rig.now))
    return node


def _suspecting(rig: Rig) -> Node:
    node = _at_work(rig)
    for place in (60, 200):
        rig.take(node, node.unreachable(peer(place), now=rig.now))
        node.ctx.suspect(peer(place))
    rig.tick(node, 0.2)
    return node


def _ideal(rig: Rig) -> Node:
    """A member of an ideal ring of five, with records that it owns, and others that it holds."""
    whole = ring_of(10, *MEMBERS, config=rig.config)
    node = whole.nodes[peer(10).address]
    for place in (5, 30, 150, 220):
        whole.take(node, node.put(whole.op(), record_at(place).name, b"v", now=whole.now))
        whole.run(0.5)
    rig.now = whole.now
    return node


def _leaving(rig: Rig) -> Node:
    node = _ideal(rig)
    rig.take(node, node.leave(OpId(1), now=rig.now))
    return node


def _stopped(rig: Rig) -> Node:
    node = _leaving(rig)
    rig.nodes[node.me.address] = node
    rig.run(30.0)
    return node


STATES: dict[str, Callable[[Rig], Node]] = {
    "new": _new,
    "alone": _alone,
    "joining": _joining,
    "left by its predecessor": _asking_for_its_place,
    "pending": _pending,
    "member": _member,
    "at work": _at_work,
    "suspecting": _suspecting,
    "ideal": _ideal,
    "leaving": _leaving,
    "stopped": _stopped,
}


@cache
def state(name: str) -> Node:
    """Return the node in this state; whoever gives it inputs copies it first."""
    return STATES[name](Rig(SMALL, durable=False))
