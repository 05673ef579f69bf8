"""One of each message, operation and result, and the golden file that says how each looks on the wire.

The bytes are reviewed, not recomputed: a change of the format shows as a difference in vectors/wire.json, written by
``python -c "from tests.proto.samples import write; write()"``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chord_proto import messages as m
from chord_proto import operations as o
from chord_proto.peer import Peer
from chord_proto.wire import Codec

VECTORS = Path(__file__).parent / "vectors" / "wire.json"

A = Peer.at("127.0.0.1:7000")
B = Peer.at("127.0.0.1:7001", 1)
C = Peer.at("[::1]:7002", 300)
D = Peer.at("möwe.example:65535")
TO_B: dict[str, Any] = {"source": A, "incarnation": 5, "target": B.id, "target_incarnation": 2**63 - 1}
FROM_CLIENT: dict[str, Any] = {"source": None, "incarnation": 0, "target": None, "target_incarnation": 0}
RECORD = m.Record(m.Space.RECORD, b"users/42", b"v1", "0001", 77, 1_700_000_000_000)
TOMBSTONE = m.Record(m.Space.RECORD, "schlüssel/鍵".encode(), None, "0002", 2**63 - 1)
BLOCK = m.Record(m.Space.BLOCK, bytes(range(20)), b"", "", 0)

MESSAGES: dict[str, m.Message] = {
    "Refused": m.Refused(**TO_B, request=1, reason=m.Reason.BUSY),
    "Working": m.Working(**TO_B, request=1),
    "Done": m.Done(**TO_B, request=1),
    "Ping": m.Ping(**TO_B, request=2**63 - 1),
    "Ping to whoever answers": m.Ping(A, 5, None, 0, 1),
    "Pong": m.Pong(**TO_B, request=1, member=True, predecessors=(C, D), size=500),
    "GetNeighbours": m.GetNeighbours(**TO_B, request=1, founded=1_700_000_000_000_000),
    "Neighbours": m.Neighbours(
        **TO_B, request=1, predecessor=C, successors=(B, C, D), came_round=True, width=3, founded=6, size=4
    ),
    "Neighbours, alone": m.Neighbours(**TO_B, request=1, predecessor=None, successors=(), came_round=True, width=1),
    "Busy": m.Busy(**TO_B, request=1),
    "Notify": m.Notify(**TO_B),
    "ListChanged": m.ListChanged(**TO_B),
    "Leaving": m.Leaving(
        **TO_B,
        request=1,
        predecessor=D,
        predecessors=(D, C),
        successors=(B,),
        granted=((1, 2), (4, 3)),
        given=(m.Grant(2, 4, C, 3, 5000),),
    ),
    "FindSuccessor": m.FindSuccessor(**TO_B, request=1, place=2**160 - 1),
    "Found": m.Found(**TO_B, request=1, predecessor=C, successors=(D, A), came_round=False),
    "Closer": m.Closer(**TO_B, request=1, peers=(C,)),
    "Forward": m.Forward(**TO_B, request=1, place=2**160 - 1, asker=C, life=5, number=2**63 - 1, hops=3),
    "Reached": m.Reached(**TO_B, number=2**63 - 1, hops=4, predecessor=C, successors=(D, A), came_round=False),
    "GetRecord": m.GetRecord(**TO_B, request=1, space=0, name=b"users/42", through=False, quorum=1),
    "Value": m.Value(**TO_B, request=1, held=RECORD, replicas=(B, C)),
    "Value, absent": m.Value(**TO_B, request=1, held=None, replicas=()),
    "PutRecord": m.PutRecord(
        **TO_B,
        request=1,
        space=0,
        name=b"users/42",
        value=b"v1",
        write_id=77,
        expires=1_700_000_000_000,
        condition="0001",
        quorum=2,
    ),
    "PutRecord, deletion": m.PutRecord(
        **TO_B,
        request=1,
        space=0,
        name=b"",
        value=None,
        write_id=78,
        expires=0,
        condition=None,
        quorum=0,
        version="0001",
    ),
    "Acknowledged": m.Acknowledged(**TO_B, request=1, version="0001", acked=(B, C)),
    "Elsewhere": m.Elsewhere(**TO_B, request=1, peers=(C,), through=True),
    "Replicate": m.Replicate(**TO_B, request=1, records=(RECORD, TOMBSTONE, BLOCK), decided=True),
    "TakeOver": m.TakeOver(**TO_B, request=1, start=0, end=2**159, first=True),
    "Granted": m.Granted(**TO_B, request=1, start=0, end=2**159),
    "GetClaim": m.GetClaim(**TO_B, request=1, start=2**159, end=0),
    "Claim": m.Claim(**TO_B, request=1, arcs=((0, 5), (7, 7)), lost=((2, 3),)),
    "GetDigest": m.GetDigest(**TO_B, request=1, start=1, end=2),
    "Digest": m.Digest(**TO_B, request=1, count=3, digest=bytes(range(16))),
    "ListRange": m.ListRange(**TO_B, request=1, start=1, end=2, after=None),
    "ListRange, next page": m.ListRange(**TO_B, request=1, start=1, end=2, after=(2, 0, b"users/42")),
    "Listing": m.Listing(**TO_B, request=1, entries=(m.Summary(0, b"users/42", "0001"),), more=True),
    "GetCopies": m.GetCopies(**TO_B, request=1, names=((0, b"users/42"), (1, bytes(20)))),
    "Copies": m.Copies(**TO_B, request=1, records=(BLOCK,), asked=2),
    "Confirm": m.Confirm(**TO_B, request=1, start=1, end=2),
    "GetCopy": m.GetCopy(**TO_B, request=1, space=0, name=b"users/42"),
    "GetKeys": m.GetKeys(**TO_B, request=1, place=2**159, space=0, prefix=b"users/", after=None),
    "GetKeys, next page": m.GetKeys(**TO_B, request=1, place=2, space=0, prefix=b"", after=(2, 0, b"users/42")),
    "Keys": m.Keys(**TO_B, request=1, entries=(o.Entry(b"users/42", "0001", 5),), end=7, after=None),
    "Keys, more": m.Keys(**TO_B, request=1, entries=(), end=7, after=(2, 0, b"users/42")),
    "AwaitChange": m.AwaitChange(**TO_B, request=1, name=b"users/42", after="0001"),
    "AwaitChange, first": m.AwaitChange(**TO_B, request=1, name=b"users/42", after=None),
    "Changed": m.Changed(**TO_B, request=1, changes=(o.Change("0002", b"v2", 5, False),), lagged=True, cursor="0002"),
    "Collect": m.Collect(**TO_B, request=1, entries=(m.Summary(0, b"users/42", "0001"),)),
}
OPERATIONS: dict[str, o.Operation] = {
    "Locate": o.Locate(2**159),
    "Get": o.Get(b"users/42"),
    "Get of a majority": o.Get(b"users/42", o.MAJORITY),
    "Put": o.Put(b"users/42", b"v1"),
    "Put, if": o.Put(b"users/42", b"v1", ttl=60_000, condition="", quorum=o.ALL),
    "Delete": o.Delete(b"users/42"),
    "Delete, if": o.Delete(b"users/42", condition="0001", quorum=1),
    "Store": o.Store(b"any bytes"),
    "Fetch": o.Fetch(2**160 - 1),
    "Describe": o.Describe(),
    "Await": o.Await(b"users/42", "0001"),
    "Await, first": o.Await(b"users/42", None),
    "Scan": o.Scan(2**159),
    "Restore": o.Restore(b"users/42", b"v1", "0001", 1_700_000_000_000, o.ALL),
    "Scan, next page": o.Scan(2, 1, b"users/", (2, 0, b"users/42")),
}
RESULTS: dict[str, o.Result] = {
    "Failed": o.Failed(o.Failure.NO_QUORUM, outcome_unknown=True),
    "Located": o.Located(B, (B, C), (o.Hop(D, 0.0), o.Hop(C, 0.25))),
    "Fetched": o.Fetched(b"v1", "0001", 1_700_000_000_000),
    "Fetched, absent": o.Fetched(None, None),
    "Stored": o.Stored("0001", B, (B, C)),
    "Page": o.Page((o.Entry(b"users/42", "0001", 0),), 7, (2, 0, b"users/42")),
    "Changes": o.Changes((o.Change("0002", None, 5, True),), False, "0002+"),
    "Joined": o.Joined(),
    "Left": o.Left(handed_over=False),
    "Description": o.Description(A, "active", None, (B, C), True, 1, 2, 3, 4, True, False, True, False, 5, 6, True),
}
MESSAGES |= {
    f"Perform {name}": m.Perform(**FROM_CLIENT, request=1, operation=operation, timeout=10_000)
    for name, operation in OPERATIONS.items()
}
MESSAGES |= {
    f"Performed {name}": m.Performed(A, 5, None, 0, request=1, result=result) for name, result in RESULTS.items()
}


def vectors() -> dict[str, str]:
    """Return the golden bytes of each sample, in hexadecimal."""
    golden: dict[str, str] = json.loads(VECTORS.read_text(encoding="utf-8"))
    return golden


def write() -> None:
    """Write the golden file anew, from what the codec makes now."""
    codec = Codec()
    golden = {name: codec.encode(message).hex() for name, message in MESSAGES.items()}
    VECTORS.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
