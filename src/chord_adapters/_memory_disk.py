"""What a node's records lie on in the simulated network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from chord_proto.effects import Write
from chord_proto.messages import Record


class Disk(Protocol):
    """Keeps the records of one node through its crashes: the simulated network's own, or a storage to be tried there.

    `Network` makes one for each place and life that begins without its disk, and hands it on to the next life.
    """

    def keep(self, write: Write) -> None:
        """Make a write durable: first drop what it drops, then keep what it changes."""

    def records(self) -> Mapping[tuple[int, bytes], Record]:
        """Return what is durable, by space and name: what a node that starts now would find."""

    @property
    def width(self) -> int:
        """The latest width that a write has told (`Write.width`), 0 for none."""

    @property
    def founded(self) -> int:
        """The latest founding that a write has told (`Write.founded`), 0 for none."""


class MemoryDisk:
    """A disk that is a dict."""

    def __init__(self) -> None:
        self._records: dict[tuple[int, bytes], Record] = {}
        self.width = 0
        """The latest width that was told."""
        self.founded = 0
        """The latest founding that was told."""

    def keep(self, write: Write) -> None:
        """Make a write durable."""
        for name in write.dropped:
            self._records.pop(name, None)
        for kept in write.changes:
            self._records[kept.space, kept.name] = kept
        self.width = write.width or self.width
        self.founded = write.founded or self.founded

    def records(self) -> Mapping[tuple[int, bytes], Record]:
        """Return what is durable."""
        return self._records
