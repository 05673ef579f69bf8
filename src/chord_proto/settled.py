"""A ring at rest, made at once: what nodes know of each other when nobody has come or gone for long.

For simulations of rings that are too large to be joined one by one, and for tests.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from chord_proto.config import Config
from chord_proto.fingers import indices_on
from chord_proto.invariants import neighbourhood
from chord_proto.node import Node
from chord_proto.peer import Peer
from chord_proto.phase import Phase
from chord_proto.rng import Rng
from chord_proto.routing import LIST_SLACK


def settled_ring(
    peers: Iterable[Peer], *, config: Config, seed: int, now: float = 0.0, upkeep: bool = True
) -> Iterator[Node]:
    """Yield a member for each of ``peers``, in order of id, with exact pointers and fingers and its whole range.

    Nobody has spoken to anybody yet.  Without ``upkeep`` no periodic timer is armed: such a node answers and
    can be asked to look things up, but it repairs nothing by itself.  Raises `ValueError` when a peer is not the place
    that its address gives.
    """
    ordered = sorted(set(peers), key=lambda peer: peer.id)
    ids, total, circle = [peer.id for peer in ordered], len(ordered), 1 << config.bits
    seeds = Rng(seed)
    for position, me in enumerate(ordered):
        node = Node(me, seed=seeds.bits64(), config=config, lean=True)
        ctx, routing = node.ctx, node.ctx.routing
        ctx.now = now
        around = neighbourhood(ordered, position, config)
        routing.predecessor, routing.successors = around.predecessor, around.successors
        routing.came_round = around.came_round
        before = min(config.predecessors + LIST_SLACK, total - 1)
        node.ring.set_predecessors(around.predecessor, tuple(ordered[position - 1 - step] for step in range(1, before)))
        if not around.came_round:
            for index in indices_on(around.successors[-1].id, me.id, me.id, config.bits):
                owner = ordered[bisect_left(ids, (me.id + (1 << index)) % circle) % total]
                if owner is not me:
                    routing.fingers[index] = owner
        routing.go_by_pointers()
        node.ring.founded = 1
        node.ring.phase = Phase.ACTIVE
        node.ring.widen(0)
        if upkeep:
            _take_up(node)
        yield node


def _take_up(node: Node) -> None:
    """Let the node serve its range and arm its periodic timers."""
    node.ranges.on_created()
    node.ring.arm_periodic()
    for layer in (node.exploring, node.finger_table, node.merge, node.repair):
        layer.arm()
