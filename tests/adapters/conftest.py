"""Each test of the contract runs on each backend that is installed, and leaves nothing behind on any."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.backends import SOCKETS, Backend, until

collect_ignore = [] if any(backend.name == "trio" for backend in SOCKETS) else ["test_serve_node.py"]


@pytest.fixture(params=SOCKETS, ids=str)
def backend(request: pytest.FixtureRequest) -> Backend:
    """The implementation under test."""
    chosen = request.param
    assert isinstance(chosen, Backend)
    return chosen


@pytest.fixture
def anyio_backend(backend: Backend) -> str:
    """The event loop it needs, for anyio's plugin."""
    return backend.loop


@pytest.fixture
async def nothing_left(anyio_backend: str) -> AsyncIterator[None]:
    """Fail a test after which there are more tasks, sockets or threads of ours than before."""
    before = _things(anyio_backend)
    yield
    await until(
        lambda: all(now <= then for now, then in zip(_things(anyio_backend), before, strict=True)),
        f"no more tasks, sockets and threads than the {before} before; {_things(anyio_backend)} right after",
        within=5.0,
    )


def _things(loop: str) -> tuple[int, int, int]:
    return _tasks(loop), _sockets(), _threads()


def _tasks(loop: str) -> int:
    if loop == "trio":
        import trio

        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


def _sockets() -> int:
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue  # The directory's own descriptor.
    return count


def _threads() -> int:
    return sum(thread.name == "chord" for thread in threading.enumerate())
