"""Rings of processes and hosts for tests, and the figures that tests tell."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.hosts import Hosts, NotHereError, made
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


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """Eight hosts, or a word that they cannot be had."""
    try:
        with made(8) as hosts:
            yield hosts
    except NotHereError as error:
        pytest.skip(f"NOT RUN: hosts with a network of their own: {error}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have recorded as ``figures``, one JSON line each."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        told = dict(report.user_properties).get("figures") if report.when == "call" else None
        if told is not None:
            terminalreporter.write_line(f"figures {json.dumps({'test': report.nodeid.rpartition('::')[2], **told})}")
