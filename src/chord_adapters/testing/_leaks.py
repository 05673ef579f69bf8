"""What must not be left behind: tasks, sockets, threads, and what is logged meanwhile."""

from __future__ import annotations

import logging
import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

MOST_LINES = 100


class Things(NamedTuple):
    """How many tasks of the running loop, sockets of the process, and threads of ours there are."""

    tasks: int
    sockets: int
    threads: int

    def more_than(self, before: Things) -> str:
        """Say what there is more of than before; empty when nothing."""
        pairs = zip(self._fields, self, before, strict=True)
        return ", ".join(f"{now} {name} instead of {then}" for name, now, then in pairs if now > then)


def things() -> Things:
    """Count what there is just now, in asynchronous code on asyncio or trio."""
    return Things(_tasks(), _sockets(), sum(thread.name == "chord" for thread in threading.enumerate()))


def _tasks() -> int:
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return int(trio.lowlevel.current_statistics().tasks_living)
    import asyncio

    return len(asyncio.all_tasks())


def _sockets() -> int:
    count = 0
    for entry in Path("/dev/fd").iterdir():
        try:
            count += stat.S_ISSOCK(os.fstat(int(entry.name)).st_mode)
        except OSError:
            continue  # The directory's own descriptor.
    return count


class _Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.lines) < MOST_LINES:
            self.lines.append(f"{record.name}: {record.getMessage()}")


@contextmanager
def warnings_logged() -> Iterator[list[str]]:
    """Collect the warnings and errors that anybody logs, the first hundred."""
    kept = _Kept()
    logger = logging.getLogger()
    logger.addHandler(kept)
    try:
        yield kept.lines
    finally:
        logger.removeHandler(kept)
