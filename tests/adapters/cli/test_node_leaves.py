"""``chord node`` when it is told to leave: what it says of the records that it had."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import Any

import anyio
import attrs
import pytest

from chord_adapters.cli import main
from chord_adapters.sync import Node, open_node
from chord_proto.config import Config
from tests.adapters.backends import QUICK

HASTY = attrs.evolve(QUICK, leave_timeout=1.0)


@pytest.fixture
def stays() -> Iterator[Node]:
    """A node that stays."""
    with open_node("127.0.0.1:0", config=HASTY) as node:
        node.wait_ready()
        node.put("k", b"value")
        yield node


@contextmanager
def signalled(monkeypatch: pytest.MonkeyPatch, when: Callable[[], bool]) -> Iterator[None]:
    """Let a node that the command runs have a signal once ``when()`` holds, and little patience."""

    @contextmanager
    def receiver(*_: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
        yield signals()

    async def signals() -> AsyncIterator[signal.Signals]:
        with anyio.fail_after(30):
            while not when():
                await anyio.sleep(0.01)
        yield signal.SIGTERM
        await anyio.sleep_forever()

    def config(**wanted: Any) -> Config:
        return attrs.evolve(HASTY, **wanted)

    with monkeypatch.context() as patch:
        patch.setattr("anyio.open_signal_receiver", receiver)
        patch.setattr("chord_adapters.cli.node.Config", config)
        yield


def is_accompanied(node: Node) -> bool:
    """Tell whether another has joined."""
    return node.predecessor is not None and len(node.successors) > 0


def test_others_who_take_nothing(
    stays: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says that not all was handed over, on one line, and ends as always."""
    go_on, stopped = Event(), Event()

    def stop() -> None:
        stopped.set()
        go_on.wait()

    def stops_when_accompanied() -> bool:
        if is_accompanied(stays):
            assert stays._thread._loop is not None
            stays._thread._loop.call_soon_threadsafe(stop)
            stopped.wait()
        return stopped.is_set()

    with signalled(monkeypatch, stops_when_accompanied):
        try:
            assert 0 == main(["node", "--listen", "127.0.0.1:0", "--join", stays.address])
        finally:
            go_on.set()
    _, leaving, *said = capsys.readouterr().err.splitlines()
    assert "chord: leaving the ring; a second signal aborts" == leaving
    words = "records here were handed over in time; the copies that others hold of them remain"
    assert 1 == len(said)
    assert re.fullmatch(rf"chord: not all of the \d+ {words}", said[0])


@pytest.mark.parametrize("places", ["1", "3"])
def test_nothing_to_be_said(
    places: str, stays: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither when others took all, nor when there is nobody else."""
    command = ["node", "--listen", "127.0.0.1:0", "--virtual-nodes", places]
    with signalled(monkeypatch, partial(is_accompanied, stays)):
        assert 0 == main([*command, "--join", stays.address])
    with signalled(monkeypatch, lambda: True):
        assert 0 == main(command)
    said = [line for line in capsys.readouterr().err.splitlines() if "the ring is open to" not in line]
    assert ["chord: leaving the ring; a second signal aborts"] * 2 == said
