"""Chord without I/O: a deterministic node that takes messages and time and returns what to do."""

from chord_proto.config import Config
from chord_proto.effects import (
    Effect,
    Event,
    Finished,
    MemberOf,
    Misbehaved,
    OpId,
    OutdatedDropped,
    PeerFailed,
    PeerLeft,
    PredecessorChanged,
    RangeGained,
    RangeLost,
    RangeReady,
    Send,
    Stopped,
    SuccessorsChanged,
    Write,
    WriteId,
)
from chord_proto.errors import CoreError, DecodeError, LocalProtocolError
from chord_proto.messages import Message, Record
from chord_proto.node import Node, Stats
from chord_proto.operations import Failed, Failure, Fetched, Joined, Left, Located, Stored
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.view import NodeView

__all__ = [
    "Address",
    "Config",
    "CoreError",
    "DecodeError",
    "Effect",
    "Event",
    "Failed",
    "Failure",
    "Fetched",
    "Finished",
    "Joined",
    "Left",
    "LocalProtocolError",
    "Located",
    "MemberOf",
    "Message",
    "Misbehaved",
    "Node",
    "NodeView",
    "OpId",
    "OutdatedDropped",
    "Peer",
    "PeerFailed",
    "PeerLeft",
    "Phase",
    "PredecessorChanged",
    "RangeGained",
    "RangeLost",
    "RangeReady",
    "Record",
    "Send",
    "Stats",
    "Stopped",
    "Stored",
    "SuccessorsChanged",
    "Write",
    "WriteId",
]
