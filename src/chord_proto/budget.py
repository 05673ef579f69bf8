"""How many bytes a node has sent, against how many it may: by the sizes that messages have on the wire, near enough.

The core does not encode anything, so it counts: a number as long as it is, an address as long as its text.
"""

from __future__ import annotations

from typing import Any

import attrs

from chord_proto.messages import Message
from chord_proto.peer import Peer

SAVED = 10.0
"""Seconds for which what was not sent may be made up for, and what was sent too much is remembered."""
_NAMES: dict[type, tuple[str, ...]] = {}


def size_of(value: Any) -> int:
    """Return about how many bytes a message, or a value in one, has on the wire."""
    kind = type(value)
    if kind is Peer:
        return 4 + len(value.address)
    if kind is int:
        return _size_of_int(value)
    if kind is bytes or kind is str:
        return 1 + len(value) + (len(value) > 31) + (len(value) > 255)
    if kind is tuple:
        return 1 + sum(map(size_of, value))
    names = _NAMES.get(kind)
    if names is None:
        names = _NAMES[kind] = tuple(each.name for each in attrs.fields(kind)) if attrs.has(kind) else ()
    if not names:
        return 1
    return 1 + isinstance(value, Message) + sum(size_of(getattr(value, name)) for name in names)


def _size_of_int(number: int) -> int:
    if number < 128:
        return 1
    length = (number.bit_length() + 7) // 8
    if length > 8:
        return 22  # A place, as bytes.
    return 2 if length == 1 else 3 if length == 2 else 5 if length <= 4 else 9


class Budget:
    """A node's account: so many bytes a second come in, and what it asks goes out, the answers included."""

    __slots__ = ("_at", "_left", "rate")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._left = 0.0
        self._at: float | None = None

    def spend(self, message: Message, now: float) -> None:
        """Take a message that this node has sent, or that answers one: the asker pays for both."""
        self._left = max(self.left(now) - size_of(message), -SAVED * self.rate)

    def left(self, now: float) -> float:
        """Return how many bytes may be sent now; negative, how many were too many."""
        if self._at is not None and now > self._at:
            self._left = min(self._left + self.rate * (now - self._at), SAVED * self.rate)
        self._at = now
        return self._left
