"""What calls return."""

from __future__ import annotations

import attrs

from chord_proto.peer import Peer


@attrs.frozen
class PutResult:
    """A write took effect.

    ``version`` sorts in the order of the writes, ``owner`` decided it, ``acked`` hold it durably, the owner among them.
    """

    version: str
    owner: Peer
    acked: tuple[Peer, ...]


@attrs.frozen
class Entry:
    """A named record: its value, its version, and when it expires in Unix seconds, None for never."""

    value: bytes
    version: str
    expires_at: float | None = None


@attrs.frozen
class StoredValue:
    """A value that was stored: its content key, its length, and the number of blocks it was cut into."""

    key: int
    bytes: int
    blocks: int


@attrs.frozen
class Health:
    """How a node is (chord.md section 2, operating limits).

    ``ready``: a member, and the records of its own range are here.  ``small``: the ring has at most r members,
    which is outside the proof and quite usable.  ``unsafe``: a write to its range finds too few replicas.
    ``pending``: how many changes of ranges and repairs are under way.  ``storage_failed``: nothing can be made durable
    any more, so that the node serves reads and refuses writes until it is opened again.
    """

    phase: str
    ready: bool
    small: bool
    unsafe: bool
    pending: int
    storage_failed: bool = False
