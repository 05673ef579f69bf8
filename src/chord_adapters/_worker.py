"""A thread of its own for work that blocks: the same on asyncio and trio."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TypeAlias

Work: TypeAlias = Callable[[], None]
Done: TypeAlias = Callable[[Exception | None], None]


def attempt(work: Work) -> Exception | None:
    """Carry out ``work`` and return what it raised, None if nothing."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 -- told to whoever asked for the work
        return error
    except BaseException as error:  # noqa: BLE001 -- nobody above could do anything with it in this thread
        failure = RuntimeError(f"it raised {type(error).__name__}")
        failure.__cause__ = error
        return failure
    return None


class Worker:
    """Carries out one piece of work after the other, and tells of each by ``tell``, which calls into the loop.

    A thread of one's own and not one of the loop's pool: those may all be busy with something of the user's, and none
    is as quick to begin.
    """

    def __init__(self, tell: Callable[[Callable[[], None]], object]) -> None:
        self._tell = tell
        self._queue: SimpleQueue[tuple[Work, Done] | None] = SimpleQueue()
        # If the loop is torn down by force nobody ends this thread, and it must not keep the interpreter.
        self._thread = threading.Thread(target=self._run, name="chord", daemon=True)
        self._thread.start()

    def do(self, work: Work, done: Done) -> None:
        """Carry out ``work`` after all that was asked for before, then call ``done`` in the loop."""
        self._queue.put((work, done))

    def end(self, done: Callable[[], None]) -> None:
        """End once all is done, and call ``done`` in the loop as the last act."""
        self._queue.put((lambda: None, lambda _: done()))
        self._queue.put(None)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            work, done = job
            error = attempt(work)
            with suppress(RuntimeError):  # The loop is gone; what was asked for is done all the same.
                self._tell(partial(done, error))
            del job, work, done, error
