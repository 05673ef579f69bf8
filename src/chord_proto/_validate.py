"""What no correct peer sends: checked before a message is handled, whatever carried it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chord_proto import messages
from chord_proto.config import Config
from chord_proto.grants import MAX_ARCS
from chord_proto.identifiers import place_of_node
from chord_proto.messages import Answer, ListChanged, Message, Notify, Reason, Request
from chord_proto.peer import Peer
from chord_proto.places import Arc
from chord_proto.routing import Known

_REASONS = frozenset(int(reason) for reason in Reason)
_FROM_SOMEBODY = (Answer, Notify, ListChanged, messages.Reached)


def _with(first: Peer | None, *others: Peer) -> tuple[Peer, ...]:
    return others if first is None else (first, *others)


_NAMED: dict[type, Callable[[Any], tuple[Peer, ...]]] = {
    messages.Neighbours: lambda message: _with(message.predecessor, *message.successors),
    messages.Pong: lambda message: message.predecessors,
    messages.Found: lambda message: (message.predecessor, *message.successors),
    messages.Closer: lambda message: message.peers,
    messages.Forward: lambda message: (message.asker,),
    messages.Reached: lambda message: (message.predecessor, *message.successors),
    messages.Elsewhere: lambda message: message.peers,
    messages.Value: lambda message: message.replicas,
    messages.Acknowledged: lambda message: message.acked,
    messages.Leaving: lambda message: _with(
        message.predecessor, *message.predecessors, *message.successors, *(each.to for each in message.given)
    ),
}
"""The peers that a message of each class names, other than its sender."""


def _place(message: messages.FindSuccessor | messages.Forward | messages.GetKeys, limit: int) -> str | None:
    return None if 0 <= message.place < limit else "a place beyond the circle"


def _arc(message: Any, limit: int) -> str | None:
    return None if 0 <= message.start < limit and 0 <= message.end < limit else "an arc beyond the circle"


def _arcs(arcs: tuple[Arc, ...], limit: int) -> str | None:
    if len(arcs) > MAX_ARCS:
        return "too many arcs in one message"
    proper = all(0 <= start < limit and 0 <= end < limit for start, end in arcs)
    return None if proper else "an arc beyond the circle"


def _reason(message: messages.Refused, limit: int) -> str | None:
    return None if message.reason in _REASONS else "an unknown reason"


_FIELDS: dict[type, Callable[[Any, int], str | None]] = {
    messages.FindSuccessor: _place,
    messages.Forward: _place,
    messages.GetKeys: _place,
    messages.TakeOver: _arc,
    messages.Granted: _arc,
    messages.GetClaim: _arc,
    messages.Claim: lambda message, limit: _arcs((*message.arcs, *message.lost), limit),
    messages.Leaving: lambda message, limit: (
        _arcs(message.granted, limit) or _arcs(tuple((each.start, each.end) for each in message.given), limit)
    ),
    messages.GetDigest: _arc,
    messages.ListRange: _arc,
    messages.Confirm: _arc,
    messages.Refused: _reason,
}
"""What is wrong with other fields of a message, by class, given the number of places on the circle."""


_COUNTED: dict[type, Callable[[Any], int]] = {
    messages.Replicate: lambda request: len(request.records),
    messages.GetCopies: lambda request: len(request.names),
    messages.Collect: lambda request: len(request.entries),
}


def count_of(request: Request) -> int:
    """Return how many records, names or summaries a request brings: the work that it makes grows with them."""
    counted = _COUNTED.get(type(request))
    return 0 if counted is None else counted(request)


def fault(message: Message, config: Config, known: Known | None = None) -> str | None:
    """Return what is wrong with a message, None for a proper one; ``known`` is what is known of its sender, if anything."""
    source, bits, most = message.source, config.bits, config.max_virtual_nodes
    if source is None:
        if isinstance(message, _FROM_SOMEBODY):
            return "an answer or a notification from nobody"
    elif message.incarnation < 1 or (
        # Who is known has been looked at.
        (known is None or known.peer is not source)
        and (source.index >= most or source.id != place_of_node(source.address, source.index, bits))
    ):
        return "a sender that is not where its address belongs"
    kind = type(message)
    named = _NAMED.get(kind)
    if named is not None:
        peers = named(message)
        if len(peers) > config.max_peers_in_message:
            return "too many peers in one message"
        for peer in peers:
            if peer.index >= most or peer.id != place_of_node(peer.address, peer.index, bits):
                return "a peer that is not where its address belongs"
    check = _FIELDS.get(kind)
    return None if check is None else check(message, 1 << bits)
