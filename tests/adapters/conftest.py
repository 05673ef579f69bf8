"""Each test of the contract runs on each backend that is installed, and leaves nothing behind on any."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from chord_adapters.testing._leaks import things
from tests.adapters.backends import LOOPS, MEMORY, SOCKETS, Backend, in_use, until

collect_ignore = [] if "trio" in LOOPS else ["test_serve_node.py"]


@pytest.fixture(params=[*SOCKETS, MEMORY], ids=str)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The implementation under test."""
    chosen = request.param
    assert isinstance(chosen, Backend)
    in_use.append(chosen)
    yield chosen
    in_use.remove(chosen)


@pytest.fixture
def anyio_backend(backend: Backend) -> str:
    """The event loop it needs, for anyio's plugin."""
    return backend.loop


@pytest.fixture
async def nothing_left(anyio_backend: str, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Fail a test that logs a warning, or after which there are more tasks, sockets or threads of ours than before."""
    before = things()
    yield
    assert [each.getMessage() for each in caplog.get_records("call") if each.levelno >= logging.WARNING] == []
    await until(
        lambda: not things().more_than(before),
        f"nothing is left; right after there were {things().more_than(before)}",
        within=5.0,
    )
