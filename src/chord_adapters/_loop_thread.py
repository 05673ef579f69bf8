"""The thread on which the event loop of blocking code runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, ParamSpec, Self, TypeVar

from chord_adapters._errors import Closed

P = ParamSpec("P")
T = TypeVar("T")


class LoopThread:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chord", daemon=True)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._loop.call_soon(self._running.set)
            self._loop.run_forever()

    def __enter__(self) -> Self:
        self._thread.start()
        self._running.wait()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            loop, self._loop = self._loop, None
        assert loop is not None
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()

    @contextmanager
    def entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter and leave an async context manager on the loop."""
        entered = self.wait_for(manager.__aenter__)
        try:
            yield entered
        except BaseException as error:
            if not self.wait_for(manager.__aexit__, type(error), error, error.__traceback__):
                raise
        else:
            self.wait_for(manager.__aexit__, None, None, None)

    def wait_for(self, call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Carry out a coroutine function on the loop; interrupting the caller cancels it.  Raises `Closed`."""
        with self._lock:
            if self._loop is None:
                raise Closed("it was closed")
            future = asyncio.run_coroutine_threadsafe(call(*args, **kwargs), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise Closed("it was closed") from None
        except BaseException:
            future.cancel()
            raise

    def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Carry out a function on the loop, or here once there is none."""

        async def run() -> T:
            return call(*args, **kwargs)

        try:
            return self.wait_for(run)
        except Closed:
            return call(*args, **kwargs)
