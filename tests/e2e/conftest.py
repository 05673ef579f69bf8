"""A ring of processes that the tests of one file share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.processes import NodeProcess, ring_of_processes


@pytest.fixture(scope="module")
def ring() -> Iterator[list[NodeProcess]]:
    """Three nodes on an ideal ring; no test ends any of them."""
    with ring_of_processes(3) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def address(ring: list[NodeProcess]) -> str:
    """The address of one of them."""
    return ring[1].address
