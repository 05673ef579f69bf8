"""Which number stands for which message, operation and result.

Numbers are for good: a class that goes leaves its number unused, a new one takes a new number and is of a new wire
version, and a field that comes or goes makes a new wire version.
"""

from __future__ import annotations

from chord_proto import messages as m
from chord_proto import operations as o

MESSAGES: dict[int, type[m.Message]] = {
    # Any request
    0x01: m.Refused,
    0x02: m.Working,
    0x03: m.Done,
    # The ring
    0x10: m.Ping,
    0x11: m.Pong,
    0x12: m.GetNeighbours,
    0x13: m.Neighbours,
    0x14: m.Busy,
    0x15: m.Notify,
    0x16: m.Leaving,
    0x17: m.ListChanged,
    # Lookup
    0x20: m.FindSuccessor,
    0x21: m.Found,
    0x22: m.Closer,
    0x23: m.Forward,
    0x24: m.Reached,
    # Records
    0x30: m.GetRecord,
    0x31: m.Value,
    0x32: m.PutRecord,
    0x33: m.Acknowledged,
    0x34: m.Elsewhere,
    0x35: m.Replicate,
    0x36: m.GetCopy,
    0x37: m.GetKeys,
    0x38: m.Keys,
    0x39: m.AwaitChange,
    0x3A: m.Changed,
    # Comparing and moving ranges
    0x40: m.TakeOver,
    0x41: m.GetDigest,
    0x42: m.Digest,
    0x43: m.ListRange,
    0x44: m.Listing,
    0x45: m.GetCopies,
    0x46: m.Copies,
    0x47: m.Confirm,
    0x48: m.Granted,
    0x49: m.GetClaim,
    0x4A: m.Claim,
    0x4B: m.Collect,
    # Clients
    0x50: m.Perform,
    0x51: m.Performed,
}
"""The first byte of a frame's body, and what follows it."""

SINCE: dict[type[m.Message], int] = {m.ListChanged: 2, m.Forward: 2, m.Reached: 2}
"""The wire version with which a message came; all others were there from the beginning."""

INSTEAD: dict[type[m.Message], type[m.Message]] = {m.Forward: m.FindSuccessor}
"""As what a message is sent to who does not know it: as one whose fields are the first ones of its own."""

OPERATIONS: dict[int, type[o.Operation]] = {
    1: o.Locate,
    2: o.Get,
    3: o.Put,
    4: o.Delete,
    5: o.Store,
    6: o.Fetch,
    7: o.Describe,
    8: o.Scan,
    9: o.Restore,
    10: o.Await,
}
"""What `Perform` asks for."""

RESULTS: dict[int, type[o.Result]] = {
    1: o.Failed,
    2: o.Located,
    3: o.Fetched,
    4: o.Stored,
    5: o.Joined,
    6: o.Left,
    7: o.Description,
    8: o.Page,
    9: o.Changes,
}
"""What `Performed` tells."""

TAGGED: dict[object, dict[int, type]] = {o.Operation: {**OPERATIONS}, o.Result: {**RESULTS}}
"""The unions that stand in fields, and the numbers of their classes."""
