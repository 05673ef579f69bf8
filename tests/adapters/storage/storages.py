"""Storages that show what a node does with them, and that fail as storages do."""

from __future__ import annotations

import threading

from chord_adapters.storage import Batch, MemoryStorage, Saved, StorageError

PATIENCE = 30.0


class Watched(MemoryStorage):
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []
        self.calls: list[str] = []

    @property
    def is_open(self) -> bool:
        """Whether a node has it."""
        return self._is_open

    @property
    def saved(self) -> Saved:
        """What it holds, but for the records."""
        return self._saved

    @property
    def names(self) -> list[bytes]:
        """The names of the records that it holds, sorted."""
        return sorted(name for _, _, name in self._records)

    @property
    def writes(self) -> int:
        """How many writes it was given."""
        return sum(len(batch.writes) for batch in self.batches)

    def load(self) -> Saved:
        """Say what it holds."""
        self.calls.append("load")
        return super().load()

    def apply(self, batch: Batch) -> None:
        """Keep a batch."""
        self.calls.append("apply")
        super().apply(batch)
        self.batches.append(batch)

    def close(self) -> None:
        """Be closed."""
        self.calls.append("close")
        super().close()


class Gated(Watched):
    """Waits while its gate is closed, in whatever thread it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = 0

    def load(self) -> Saved:
        """Say what it holds."""
        self._pass()
        return super().load()

    def apply(self, batch: Batch) -> None:
        """Keep a batch."""
        self._pass()
        super().apply(batch)

    def _pass(self) -> None:
        self.waiting += 1
        assert self.gate.wait(PATIENCE)
        self.waiting -= 1


class Failing(Watched):
    """Fails from some moment on."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False

    def apply(self, batch: Batch) -> None:
        """Keep a batch, or not."""
        if self.fails:
            raise StorageError("the disk is full")
        super().apply(batch)
