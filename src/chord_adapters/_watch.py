"""The changes of one record, as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Literal, Self, TypeAlias

import attrs

from chord_adapters._errors import NoQuorum, NotReady, Timeout, Unreachable
from chord_adapters._results import Lagged
from chord_proto.history import EXPIRED, cursor_of
from chord_proto.operations import Await, Change, Changes, Result
from chord_proto.versions import is_version

_PATIENCE = 60.0
"""Seconds that one question may take; the owner answers after a third of that at the latest."""


@attrs.frozen
class Event:
    """A record was put, deleted, or has expired.

    ``version`` is that of the write, also of what has expired; ``expires_at`` Unix seconds or None.  A watch
    ``after=cursor`` goes on behind this event, one after the version of a write behind that write.
    """

    key: bytes
    kind: Literal["put", "delete", "expire"]
    value: bytes | None
    version: str
    expires_at: float | None
    cursor: str


Seen: TypeAlias = Event | Lagged


class Watcher:
    """An async iterator of `Event`, and an async context manager; it begins on entering, or at the first step.

    Each change after that is told once and in order, whatever nodes join, leave or crash meanwhile.  Where that cannot be
    told, `Lagged` comes first, and then the newest change: after ownership has moved, and when more changed between two
    steps than the owner remembers (1,024 changes of all records, 1 MiB).  While nobody can be reached it keeps trying;
    with ``within``, the first answer must come in so many seconds, or what a `get` would have raised is raised.
    """

    def __init__(
        self,
        perform: Callable[[Await, float], Awaitable[Result]],
        key: bytes,
        after: str | None,
        *,
        within: float | None = None,
    ) -> None:
        if after is not None and not is_version(after.removesuffix(EXPIRED)):
            raise ValueError(f"{after!r} is no version, and no cursor of a watch")
        self._perform = perform
        self._key = key
        self._told: deque[Seen] = deque()
        self._ended = False
        self._within = within
        """Seconds for the first answer; None for ever, and once it has come."""
        self.cursor = after
        """Behind the last event that was told; None before it has begun."""
        self._ahead = after

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        """Begin: what changes from now on is told."""
        while self._ahead is None or self._within is not None:
            await self._ask()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended = True
        self._told.clear()

    async def __anext__(self) -> Seen:
        """Wait for the next change; raises `Closed` at the end of the node or client."""
        while not self._told:
            if self._ended:
                raise StopAsyncIteration
            await self._ask()
        seen = self._told.popleft()
        if isinstance(seen, Event):
            self.cursor = seen.cursor
        return seen

    async def _begin(self, within: float) -> None:
        # Where a record stands is told at once, what comes after a change only when it comes.
        changes = await self._perform(Await(self._key, None), within)
        assert isinstance(changes, Changes)
        self._within = None
        if self._ahead is None:
            self._ahead = self.cursor = changes.cursor

    async def _ask(self) -> None:
        if self._within is not None:
            await self._begin(self._within)
            return
        try:
            changes = await self._perform(Await(self._key, self._ahead), _PATIENCE)
        except (Timeout, Unreachable, NotReady, NoQuorum):
            return
        assert isinstance(changes, Changes)
        if self._ahead is None:
            self.cursor = changes.cursor
        self._ahead = changes.cursor
        if changes.lagged:
            self._told.append(Lagged())
        self._told.extend(self._event(change) for change in changes.changes)

    def _event(self, change: Change) -> Event:
        kind: Literal["put", "delete", "expire"] = "delete" if change.value is None else "put"
        expires_at = change.expires / 1000 if change.expires else None
        return Event(
            self._key,
            "expire" if change.expired else kind,
            change.value,
            change.version,
            expires_at,
            cursor_of(change),
        )
