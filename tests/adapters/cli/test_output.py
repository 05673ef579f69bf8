"""Standard output that cannot be written, and that nobody reads: one line or none, never a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chord_adapters.cli import main
from chord_adapters.sync import Node

FULL = b"chord: standard output cannot be written: No space left on device\n"


@pytest.fixture(scope="module")
def asked(ring: list[Node]) -> str:
    """The address of a node that has a record and a large one."""
    ring[0].put("k", b"value")
    ring[0].put("large", bytes(1_000_000))
    return ring[0].address


@contextmanager
def full() -> Iterator[io.TextIOWrapper]:
    """A standard output on a full device; what was not written must not matter at its end."""
    with Path("/dev/full").open("w", encoding="utf-8") as file:
        yield file


@contextmanager
def unread() -> Iterator[io.TextIOWrapper]:
    """A standard output that its reader has closed."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as file:
        yield file


COMMANDS = [
    (["get", "k"], 1),
    (["get", "k", "--json"], 1),
    (["get", "large"], 1),
    (["get", "large", "--json"], 1),
    (["put", "k", "value", "--json"], 1),
    (["status"], 1),
    (["status", "--json"], 1),
    (["keys"], 1),
    (["export"], 1),
    (["get", "nobody", "--json"], 3),
]
NAMES = [" ".join(command) for command, _ in COMMANDS]


@pytest.mark.parametrize("command, status", COMMANDS, ids=NAMES)
def test_a_full_device(
    command: list[str],
    status: int,
    asked: str,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    """One line on standard error; the status is that of a failure, or that of what the document would have told."""
    with full() as out, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", out)
        assert status == main([*command, "--node", asked])
    said = capsysbinary.readouterr().err
    assert (1, True) == (len(said.splitlines()), said.endswith(b"No space left on device\n"))
    assert (status == 3) == said.startswith(b"chord: no record 'nobody'; ")


@pytest.mark.parametrize("command, status", COMMANDS, ids=NAMES)
def test_nobody_reads(
    command: list[str],
    status: int,
    asked: str,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    """A pipe that its reader has closed ends the command in silence."""
    with unread() as out, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", out)
        assert status == main([*command, "--node", asked])
    assert b"" == capsysbinary.readouterr().err


def test_a_process(asked: str) -> None:
    """The end of the interpreter adds nothing; streams that are closed are none to write to."""
    command = [sys.executable, "-m", "chord_adapters", "status", "--json", "--node", asked]
    with full() as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False, timeout=60)
    assert (1, FULL) == (done.returncode, done.stderr)
    done = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *command], capture_output=True, check=False, timeout=60)
    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)
