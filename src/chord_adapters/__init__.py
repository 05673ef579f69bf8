"""Chord on event loops: `chord_adapters.asyncio`, `chord_adapters.trio`, blocking `sync`, and simulated `memory`.

This module holds the errors and `Config` and loads neither asyncio nor trio.
"""

from chord_adapters._errors import (
    Busy,
    ChordError,
    Closed,
    JoinRefused,
    NoQuorum,
    NotReady,
    StorageFailed,
    Timeout,
    Unreachable,
    ValueTooLarge,
    VersionMismatch,
)
from chord_adapters._events import Gained, Lost
from chord_adapters._results import Entry, Health, Lagged, PutResult, StoredValue
from chord_adapters._scan import Key
from chord_adapters._watch import Event
from chord_proto.config import Config
from chord_proto.peer import Peer

__all__ = [
    "Busy",
    "ChordError",
    "Closed",
    "Config",
    "Entry",
    "Event",
    "Gained",
    "Health",
    "JoinRefused",
    "Key",
    "Lagged",
    "Lost",
    "NoQuorum",
    "NotReady",
    "Peer",
    "PutResult",
    "StorageFailed",
    "StoredValue",
    "Timeout",
    "Unreachable",
    "ValueTooLarge",
    "VersionMismatch",
]
