"""The time of an event loop that has a core for itself, on a machine that others use, too."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch


class OwnTime:
    """A clock that goes while the loop's thread computes, or waits since there is nothing to do.

    Whoever else has the machine meanwhile does not count.  A loop that goes by it notes, too, how long one step held it.
    It is a clock and an instrument as trio wants them, and can do no harm in asyncio.
    """

    def __init__(self) -> None:
        self._idle = self._waiting = self._timeout = 0.0
        self._began = self._longest = 0.0

    def loop(self, kind: str) -> dict[str, Any]:
        """Return the options with which anyio starts a loop of this kind that goes by this clock."""
        if kind == "trio":
            return {"clock": self, "instruments": [self]}
        return {"loop_factory": lambda: _Loop(self)}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note the steps of a loop of asyncio, which has no instruments."""
        run = asyncio.Handle._run

        def measured(handle: asyncio.Handle) -> None:
            self.before_task_step(handle)
            run(handle)
            self.after_task_step(handle)

        with patch.object(asyncio.Handle, "_run", measured):
            yield

    def pop_longest(self) -> float:
        """Return how long the longest step since the last call took, in seconds."""
        longest, self._longest = self._longest, 0.0
        return longest

    # What trio asks a clock

    def start_clock(self) -> None:
        """Do nothing: it goes anyway."""

    def current_time(self) -> float:
        """Return seconds since some moment."""
        return time.thread_time() + self._idle

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return in how many seconds it will be so late if there is nothing to do."""
        return deadline - self.current_time()

    # What trio tells an instrument

    def before_io_wait(self, timeout: float) -> None:
        """Begin to wait."""
        self._waiting, self._timeout = time.perf_counter(), timeout

    def after_io_wait(self, _: float) -> None:
        """Something has come; what is beyond the timeout was taken by others."""
        self._idle += min(time.perf_counter() - self._waiting, self._timeout)

    def before_task_step(self, _: object) -> None:
        """Begin a step."""
        self._began = time.thread_time()

    def after_task_step(self, _: object) -> None:
        """End a step."""
        self._longest = max(self._longest, time.thread_time() - self._began)


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock: OwnTime) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._clock.before_io_wait(float("inf") if timeout is None else max(0.0, timeout))
        found = super().select(timeout)
        self._clock.after_io_wait(0.0)
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: OwnTime) -> None:
        self._clock = clock
        super().__init__(_Selector(clock))

    def time(self) -> float:
        return self._clock.current_time()
