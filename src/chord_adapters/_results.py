"""What calls return."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from chord_proto.operations import Description
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
class Lagged:
    """A reader of changes fell behind, or they were lost: some may have been missed before what comes next."""


@attrs.frozen
class Health:
    """How a node is (chord.md section 2, operating limits).

    ``member``: of a ring.  ``ready``: and the records of its own range are here.  ``in_order``: its successor takes it
    for its predecessor.  ``small``: the ring has at most r members, which is outside the proof and quite usable.
    ``unsafe``: it is no member, or a write to its range finds too few replicas that take it.  ``formed``: the ring has had as many addresses as a record has
    replicas; until then it is forming.  ``missing``: how many replicas of its range are gone and not made up for, or
    take no copies since their disks have failed.
    ``pending``: arcs that are still to be handed to it.  ``last_repair``: how many seconds ago all replicas of its range
    were last found complete, None for never.  ``storage_failed``: nothing can be made durable any more, so that the node
    serves reads and refuses writes until it is opened again.
    """

    phase: str
    ready: bool
    small: bool
    unsafe: bool
    pending: int
    member: bool
    in_order: bool
    formed: bool
    missing: int
    last_repair: float | None
    storage_failed: bool

    @property
    def state(self) -> str:
        """In one word: unsafe, small or ok."""
        return "unsafe" if self.unsafe else "small" if self.small else "ok"

    @classmethod
    def of(cls, descriptions: Sequence[Description], *, ready: bool) -> Health:
        """Return how a node is that describes itself so; of several virtual nodes, the worst."""
        repairs = [each.repaired for each in descriptions]
        return cls(
            phase=descriptions[0].phase,
            ready=ready,
            small=any(each.small for each in descriptions),
            unsafe=any(each.unsafe for each in descriptions),
            pending=sum(each.pending for each in descriptions),
            member=all(each.phase in ("active", "leaving") for each in descriptions),
            in_order=all(each.in_order for each in descriptions),
            formed=all(each.formed for each in descriptions),
            missing=max(each.missing for each in descriptions),
            last_repair=None if None in repairs else max(filter(None, repairs), default=0) / 1000,
            storage_failed=any(each.storage_failed for each in descriptions),
        )
