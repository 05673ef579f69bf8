"""All keys of a ring, page by page, in order of their places on the circle."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import attrs

from chord_proto.config import Config
from chord_proto.messages import Space
from chord_proto.operations import Page, Result, Scan
from chord_proto.table import place_of

_CURSOR = re.compile(r"([0-9a-f]{1,40})\.([01])\.((?:[0-9a-f]{2})*)")
Position = tuple[int, int, bytes]


@attrs.frozen
class Key:
    """A key that a scan found.

    ``key`` is the record's name, or of a block its content key (20 bytes).  ``version`` is that of the record, ``""`` for
    a block; ``expires_at`` Unix seconds or None.  A scan ``after=cursor`` goes on behind this key.
    """

    key: bytes
    version: str
    expires_at: float | None
    cursor: str


class Scanner:
    """An async iterator of `Key`, and an async context manager; it asks for the next page when one is used up.

    Every key that is there from beginning to end is told, once, whatever nodes join, leave or crash meanwhile; one that
    comes, goes or expires meanwhile may be told or not.  ``cursor`` is behind the last key that was told.
    """

    def __init__(
        self,
        perform: Callable[[Scan, float | None], Awaitable[Result]],
        config: Config,
        *,
        space: Space,
        prefix: bytes,
        after: str | None,
        timeout: float | None,
    ) -> None:
        self._perform = perform
        self._config = config
        self._space = space
        self._prefix = prefix
        self._timeout = timeout
        self._found: deque[Key] = deque()
        self._after = None if after is None else position_of(after, config)
        self._place: int | None = 0 if self._after is None else self._after[0]
        """From where on to ask next; None once all round."""
        self.cursor = after

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._place = None
        self._found.clear()

    async def __anext__(self) -> Key:
        """Return the next key; raises what `Operations.get` raises, and may then be called again."""
        while not self._found:
            if self._place is None:
                raise StopAsyncIteration
            await self._next_page()
        found = self._found.popleft()
        self.cursor = found.cursor
        return found

    async def _next_page(self) -> None:
        assert self._place is not None
        page = await self._perform(Scan(self._place, int(self._space), self._prefix, self._after), self._timeout)
        assert isinstance(page, Page)
        bits = self._config.bits
        for entry in page.entries:
            position = place_of(self._space, entry.name, bits), int(self._space), entry.name
            expires = entry.expires / 1000 if entry.expires else None
            self._found.append(Key(entry.name, entry.version, expires, cursor_of(position)))
        self._after = page.after
        if page.after is not None:
            self._place = page.after[0]
        else:
            self._place = page.end + 1 if page.end + 1 < 1 << bits else None


def cursor_of(position: Position) -> str:
    """Return the cursor behind a position."""
    place, space, name = position
    return f"{place:x}.{space}.{name.hex()}"


def position_of(cursor: str, config: Config) -> Position:
    """Return the position of a cursor; raises `ValueError` and `TypeError`."""
    if not isinstance(cursor, str):
        raise TypeError(f"a cursor is a str, not {type(cursor).__name__}")
    found = _CURSOR.fullmatch(cursor)
    if found is None or int(found[1], 16) >= 1 << config.bits or len(found[3]) > 2 * config.max_key_size:
        raise ValueError(f"{cursor!r} is no cursor of a scan")
    return int(found[1], 16), int(found[2]), bytes.fromhex(found[3])
