"""Which layer handles what: requests by class, outcomes by the record that says why, timers by kind.

Plain functions, so that its state holds no callables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from chord_proto import coordinator as coordination
from chord_proto import (
    exploring,
    fingers,
    grants,
    graves,
    lookup,
    membership,
    merge,
    messages,
    ranges,
    reads,
    recursive,
    repair,
    returned,
    ring_state,
    sync,
    tasks,
)

if TYPE_CHECKING:
    from chord_proto.frame import Frame
    from chord_proto.peer import Address, Peer

RequestHandler: TypeAlias = "Callable[[Frame, Any, Address], None]"
OutcomeHandler: TypeAlias = "Callable[[Frame, Any, Peer | None, Any], None]"
TimerHandler: TypeAlias = "Callable[[Frame, int], None]"

REQUESTS: dict[type, RequestHandler] = {
    messages.Ping: lambda node, message, sender: node.ring.on_ping(message, sender),
    messages.GetNeighbours: lambda node, message, sender: node.ring.on_get_neighbours(message, sender),
    messages.Leaving: lambda node, message, sender: node.membership.on_leaving(message, sender, node.ranges),
    messages.FindSuccessor: lambda node, message, sender: node.lookups.on_find_successor(message, sender),
    messages.Forward: lambda node, message, sender: node.lookups.on_forward(message, sender),
    messages.GetRecord: lambda node, message, sender: node.reads.on_get_record(message, sender),
    messages.PutRecord: lambda node, message, sender: node.coordinator.on_put_record(message, sender),
    messages.Replicate: lambda node, message, sender: node.coordinator.on_replicate(message, sender),
    messages.GetKeys: lambda node, message, sender: node.scans.on_get_keys(message, sender),
    messages.AwaitChange: lambda node, message, sender: node.watches.on_await(message, sender),
    messages.GetCopy: lambda node, message, sender: node.reads.on_get_copy(message, sender),
    messages.TakeOver: lambda node, message, sender: node.ranges.on_take_over(message, sender),
    messages.GetClaim: lambda node, message, sender: node.ranges.grants.on_get_claim(
        message, sender, node.ranges.fetching(message.source)
    ),
    messages.GetDigest: lambda node, message, sender: node.syncs.on_get_digest(message, sender),
    messages.ListRange: lambda node, message, sender: node.syncs.on_list_range(message, sender),
    messages.GetCopies: lambda node, message, sender: node.syncs.on_get_copies(message, sender),
    messages.Confirm: lambda node, message, sender: node.repair.on_confirm(message, sender),
    messages.Collect: lambda node, message, sender: node.graves.on_collect(message, sender),
}
BEFORE_MEMBERSHIP = frozenset({messages.Ping})
"""What a node answers although it is no member."""
EVERYONES = frozenset({messages.Ping, messages.FindSuccessor})
"""What anyone may ask who has no place on the circle."""

ANSWERED: dict[type, OutcomeHandler] = {
    ring_state.AskJoinPoint: lambda node, purpose, peer, answer: node.membership.on_join_answer(purpose, peer, answer),
    ring_state.AskSuccessor: lambda node, purpose, peer, answer: node.ring.on_successor(purpose, peer, answer),
    ring_state.AskCandidate: lambda node, purpose, peer, answer: node.ring.on_candidate(purpose, peer, answer),
    ring_state.AskPredecessor: lambda node, purpose, peer, answer: node.ring.on_predecessor(purpose, peer, answer),
    ring_state.DialBack: lambda node, purpose, peer, answer: node.ring.on_dial_back(purpose, peer, answer),
    ring_state.PingPredecessor: lambda node, purpose, peer, answer: node.ring.on_predecessor_pong(
        purpose, peer, answer
    ),
    ring_state.Probe: lambda node, purpose, peer, answer: node.ring.on_probe(purpose, peer, answer),
    membership.ForJoin: lambda node, purpose, peer, found: node.membership.on_join_point(purpose, peer, found),
    membership.Farewell: lambda node, purpose, peer, answer: node.membership.on_farewell(purpose, peer, answer),
    merge.ForMerge: lambda node, purpose, peer, found: node.merge.on_found(purpose, peer, found),
    exploring.Explored: lambda node, purpose, peer, answer: node.exploring.on_answer(answer),
    fingers.ForFinger: lambda node, purpose, peer, found: node.finger_table.on_found(purpose, peer, found),
    recursive.PassedOn: lambda node, purpose, peer, answer: node.lookups.forwards.on_answer(purpose, peer, answer),
    lookup.Asked: lambda node, purpose, peer, answer: node.lookups.on_outcome(purpose, peer, answer),
    tasks.ForTask: lambda node, purpose, peer, found: node.tasks.on_located(purpose, peer, found),
    tasks.AskedForTask: lambda node, purpose, peer, answer: node.tasks.on_answer(purpose, peer, answer),
    coordination.AskedToReplicate: lambda node, purpose, peer, answer: node.coordinator.on_replicated(
        purpose, peer, answer
    ),
    coordination.Decided: lambda node, purpose, peer, durable: node.coordinator.on_decided(purpose, peer, durable),
    coordination.Kept: lambda node, purpose, peer, durable: node.coordinator.on_kept(purpose, peer, durable),
    reads.AskedForCopy: lambda node, purpose, peer, answer: node.reads.on_copy(purpose, peer, answer),
    sync.AskedForSync: lambda node, purpose, peer, answer: node.syncs.on_answer(purpose, peer, answer),
    sync.PulledForSync: lambda node, purpose, peer, durable: node.syncs.on_pulled(purpose, peer, durable),
    ranges.ForArc: lambda node, purpose, peer, outcome: node.ranges.on_outcome(purpose, peer, outcome),
    grants.ForClaim: lambda node, purpose, peer, answer: node.ranges.on_claim(purpose, peer, answer),
    returned.ForReturned: lambda node, purpose, peer, ended: node.ranges.returned.on_checked(purpose, peer, ended),
    repair.ForRepair: lambda node, purpose, peer, ended: node.repair.on_compared(purpose, peer, ended),
    repair.ForSurplus: lambda node, purpose, peer, found: node.repair.on_owner_found(purpose, peer, found),
    repair.Returning: lambda node, purpose, peer, ended: node.repair.on_returned(purpose, peer, ended),
    repair.Confirming: lambda node, purpose, peer, answer: node.repair.on_confirmed(purpose, peer, answer),
    graves.Collecting: lambda node, purpose, peer, answer: node.graves.on_collected(purpose, peer, answer),
    repair.ForLeave: lambda node, purpose, peer, ended: node.repair.on_handed_over(purpose, peer, ended),
}

TIMERS: dict[str, TimerHandler] = {
    "stabilize": lambda node, _: node.ring.on_stabilize_timer(),
    "predecessor": lambda node, _: node.ring.on_predecessor_timer(),
    "awake": lambda node, _: node.ring.stay_awake(),
    "explore": lambda node, _: node.exploring.on_timer(),
    "finger": lambda node, _: node.finger_table.on_timer(),
    "probe": lambda node, _: node.merge.on_timer(),
    "repair": lambda node, _: node.repair.on_timer(),
    "join": lambda node, _: node.membership.try_join(),
    "leave": lambda node, _: node.membership.on_leave_timer(),
    "hand over": lambda node, _: node.repair.hand_over(),
    "call": lambda node, number: node.ctx.call_lapsed(number),
    "reached": lambda node, number: node.lookups.on_not_reached(number),
    "arc": lambda node, number: node.ranges.on_timer(number),
    "spare": lambda node, _: node.ranges.on_spare_timer(),
    "returned": lambda node, _: node.ranges.returned.on_timer(),
    "spread": lambda node, number: node.coordinator.on_spread_timer(number),
    "watch": lambda node, _: node.watches.on_timer(),
    "read": lambda node, number: node.reads.on_timer(number),
    "task": lambda node, number: node.tasks.on_deadline(number),
    "retry": lambda node, number: node.tasks.on_retry(number),
}
