"""The command in this process, against a small ring in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chord_adapters.sync import Node, open_node
from chord_proto.config import Config
from tests.adapters.cli.command import Command

BRISK = Config(stabilize_interval=0.1)
"""Upkeep so often that the ring is ideal at once."""


@pytest.fixture(scope="module")
def ring() -> Iterator[list[Node]]:
    """Three nodes on an ideal ring; no test ends any of them."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(open_node("127.0.0.1:0", config=BRISK))]
        nodes += [
            stack.enter_context(open_node("127.0.0.1:0", join=[nodes[0].address], config=BRISK)) for _ in range(2)
        ]
        deadline = time.monotonic() + 30
        while any(len(node.successors) < 2 or not node.is_ready for node in nodes):
            assert time.monotonic() < deadline, nodes
            time.sleep(0.01)
        yield nodes
        for node in nodes:
            node.abort()


@pytest.fixture
def chord(
    ring: list[Node],
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
    tmp_path: Path,
) -> Command:
    """The command, which finds one of the nodes by ``CHORD_NODE``."""
    monkeypatch.setenv("CHORD_NODE", ring[1].address)
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsysbinary)
