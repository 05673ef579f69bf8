"""Who has misled this node lately: named somebody as an owner who is not.

A ring takes some seconds to notice who has come or died, and until then honest nodes mislead, too.  So it counts only if it was
about somebody who had been there for long, or once more some time later; and one peer alone does not make a node doubt others.
"""

from __future__ import annotations

from collections.abc import Collection

from chord_proto.peer import Address

MEMORY = 300.0
"""Seconds for which it counts that somebody has misled."""
SETTLED = 30.0
"""Seconds after which every honest node has noticed a newcomer, or a death."""
_MANY = 2
"""So many addresses that mislead make a node doubt whatever it is told."""
_MAX_ADDRESSES = 256


class Trust:
    """The addresses that have misled one node, each with the moment at which that is forgotten."""

    __slots__ = ("misleading", "once")

    def __init__(self) -> None:
        self.misleading: dict[Address, float] = {}
        self.once: dict[Address, float] = {}
        """Who did so first when, if it may have been an honest mistake."""

    def misled(self, address: Address, now: float, *, surely: bool) -> None:
        """Note that ``address`` has named a wrong owner; ``surely``: that was no honest mistake."""
        if not surely:
            first = self.once.setdefault(address, now)
            if not SETTLED <= now - first < MEMORY:
                if now - first >= MEMORY:
                    self.once[address] = now
                _cut(self.once)
                return
        self.misleading.pop(address, None)
        self.misleading[address] = now + MEMORY
        _cut(self.misleading)

    def of_late(self, now: float) -> Collection[Address]:
        """Return the addresses that have misled this node lately."""
        while self.misleading:
            address, until = next(iter(self.misleading.items()))
            if until > now:
                break
            del self.misleading[address]
        return self.misleading

    def has_misled(self, address: Address, now: float) -> bool:
        """Tell whether an address has misled this node lately."""
        return bool(self.misleading) and address in self.of_late(now)

    def is_lost(self, now: float) -> bool:
        """Tell whether so many have misled that every answer is to be checked."""
        return len(self.misleading) >= _MANY and len(self.of_late(now)) >= _MANY


def _cut(table: dict[Address, float]) -> None:
    while len(table) > _MAX_ADDRESSES:
        del table[next(iter(table))]
