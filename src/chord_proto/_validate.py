"""What no correct peer sends: checked before a message is handled, whatever carried it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chord_proto.config import Config
from chord_proto.messages import (
    Acknowledged,
    Answer,
    Closer,
    Confirm,
    Elsewhere,
    FindSuccessor,
    Found,
    GetDigest,
    Leaving,
    ListRange,
    Message,
    Neighbours,
    Notify,
    Pong,
    Reason,
    Refused,
    TakeOver,
    Value,
)
from chord_proto.peer import Peer

_REASONS = frozenset(int(reason) for reason in Reason)


def _present(*peers: Peer | None) -> Iterator[Peer]:
    return (peer for peer in peers if peer is not None)


def _named(message: Message) -> Iterable[Peer]:
    """Return the peers that a message names, other than its sender."""
    kind = type(message)
    if kind is Neighbours:
        assert isinstance(message, Neighbours)
        return (*_present(message.predecessor), *message.successors)
    if isinstance(message, Pong):
        return message.predecessors
    if isinstance(message, Found):
        return (message.predecessor, *message.successors)
    if isinstance(message, Closer | Elsewhere):
        return message.peers
    if isinstance(message, Value):
        return message.replicas
    if isinstance(message, Acknowledged):
        return message.acked
    if isinstance(message, Leaving):
        return (*_present(message.predecessor), *message.predecessors, *message.successors)
    return ()


def fault(message: Message, config: Config) -> str | None:
    """Return what is wrong with a message, None for a proper one."""
    source = message.source
    if source is None:
        if isinstance(message, Answer | Notify):
            return "an answer or a notification from nobody"
    elif message.incarnation < 1 or source.index >= config.max_virtual_nodes or not source.is_well_formed(config.bits):
        return "a sender that is not where its address belongs"
    named = tuple(_named(message))
    if len(named) > config.max_peers_in_message:
        return "too many peers in one message"
    for peer in named:
        if peer.index >= config.max_virtual_nodes or not peer.is_well_formed(config.bits):
            return "a peer that is not where its address belongs"
    limit = 1 << config.bits
    if isinstance(message, FindSuccessor):
        return None if 0 <= message.place < limit else "a place beyond the circle"
    if isinstance(message, TakeOver | GetDigest | ListRange | Confirm):
        return None if 0 <= message.start < limit and 0 <= message.end < limit else "an arc beyond the circle"
    if isinstance(message, Refused) and message.reason not in _REASONS:
        return "an unknown reason"
    return None
