"""What changed lately on a node, so that who watches a record can be told all of it."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from chord_proto.operations import Change
from chord_proto.records import record

EXPIRED = "+"
"""What stands behind a version once it has expired: that comes after the version and before the next one."""
_MOST = 1024
"""Changes that are remembered, of all records together."""


def cursor_of(change: Change) -> str:
    """Return where to go on behind a change."""
    return change.version + EXPIRED if change.expired else change.version


@record
class Step:
    """A change, and the cursor of the one before it: None if there may have been others between."""

    before: str | None
    change: Change


@attrs.define(eq=False)
class History:
    """The latest changes, by record; the oldest are forgotten first."""

    most_bytes: int
    steps: dict[bytes, list[Step]] = attrs.field(factory=dict)
    order: list[bytes] = attrs.field(factory=list)
    """Whose change came when, oldest first."""
    size: int = 0
    """Bytes of their values."""

    def add(self, name: bytes, before: str | None, change: Change) -> bool:
        """Remember a change that comes after all of this record so far; False if it does not."""
        steps = self.steps.get(name, [])
        if steps and cursor_of(change) <= cursor_of(steps[-1].change):
            return False
        self.steps[name] = [*steps, Step(before, change)]
        self.order.append(name)
        self.size += len(change.value or b"")
        while len(self.order) > _MOST or (self.size > self.most_bytes and len(self.order) > 1):
            self._forget(self.order.pop(0))
        return True

    def _forget(self, name: bytes) -> None:
        oldest, *rest = self.steps.pop(name)
        self.size -= len(oldest.change.value or b"")
        if rest:
            self.steps[name] = rest

    def since(self, name: bytes, after: str) -> tuple[Change, ...] | None:
        """Return all changes of a record after a cursor, oldest first; None if there may have been others."""
        found: list[Change] = []
        for step in self._backwards(name):
            if cursor_of(step.change) <= after:
                return tuple(reversed(found))
            found.append(step.change)
            if step.before is None:
                return None
            if step.before <= after:
                return tuple(reversed(found))
        return None

    def _backwards(self, name: bytes) -> Iterator[Step]:
        return reversed(self.steps.get(name, []))
