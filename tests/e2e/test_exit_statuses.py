"""The exit status of every command in every kind of trouble, and the error as JSON."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.processes import CHORD, PATIENCE, NodeProcess, chord, free_port, parsed, write_random

pytestmark = pytest.mark.slow

KEY = "0123456789abcdef0123456789abcdef01234567"
ASKING = [
    ["put", "key", "value"],
    ["get", "key"],
    ["delete", "key"],
    ["store", __file__],
    ["fetch", KEY, "--out", "never"],
    ["locate", "key"],
    ["status"],
    ["ring"],
]
"""A right use of every command that asks a node."""


@pytest.mark.parametrize("arguments", ASKING, ids=lambda arguments: str(arguments[0]))
def test_nobody_is_there(arguments: list[str]) -> None:
    """Each command ends with 4, within the timeout, when nobody listens at the address."""
    began = time.monotonic()
    done = chord(*arguments, "--node", f"127.0.0.1:{free_port()}", "--timeout", "2", "--json")
    assert 4 == done.returncode, done.stderr
    error = parsed(done.stdout)["error"]
    assert {"name", "message", "retryable", "outcome_unknown"} == error.keys()
    assert ("Unreachable", True, False) == (error["name"], error["retryable"], error["outcome_unknown"])
    assert time.monotonic() - began < 2 + 3  # an interpreter has to start, too


@pytest.mark.parametrize("arguments", ASKING, ids=lambda arguments: str(arguments[0]))
def test_who_listens_says_nothing(arguments: list[str]) -> None:
    """Each command ends with 4, within the timeout, when who listens there never answers."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        began = time.monotonic()
        done = chord(*arguments, "--node", f"127.0.0.1:{mute.getsockname()[1]}", "--timeout", "1", "--json")
        assert 4 == done.returncode, done.stderr
        assert parsed(done.stdout)["error"]["name"] in {"Timeout", "Unreachable"}
        assert time.monotonic() - began < 1 + 3


@pytest.mark.parametrize("arguments", ASKING, ids=lambda arguments: str(arguments[0]))
def test_another_network(arguments: list[str], address: str) -> None:
    """Each command ends with 4 when the node is of a ring of another name."""
    done = chord(*arguments, "--node", address, "--network", "other", "--timeout", "5", "--json")
    assert 4 == done.returncode, done.stderr
    assert "error" in parsed(done.stdout)


@pytest.mark.parametrize(
    "arguments, status",
    [
        (["get", "nobody has written this"], 3),
        (["fetch", KEY, "--out", "never"], 3),
        (["delete", "nobody has written this"], 0),
        (["put", "key", "value"], 0),
        (["put", "", ""], 0),
        (["put", "schlüssel/鍵/🔑", "wert"], 0),
        (["put", "key", "--file", "/does/not/exist"], 1),
        (["store", "/does/not/exist"], 1),
        (["store", "/"], 1),
        (["get", "key", "--out", "/does/not/exist"], 1),
    ],
)
def test_answers(arguments: list[str], status: int, address: str) -> None:
    """On a ring that is well: 0 when done, 3 when nobody has it, 1 for a file that cannot be used."""
    done = chord(*arguments, "--node", address, "--json")
    assert status == done.returncode, done.stderr
    assert ("error" in parsed(done.stdout)) == (status != 0)


def test_too_large(tmp_path: Path, address: str) -> None:
    """A value above the limit of named records is refused with 1, and nothing is written."""
    file = write_random(tmp_path / "file", 5_000_000)
    done = chord("put", "large", "--file", str(file), "--node", address, "--json")
    assert 1 == done.returncode
    assert "ValueTooLarge" == parsed(done.stdout)["error"]["name"]
    assert 3 == chord("get", "large", "--node", address).returncode


def test_wrong_usage() -> None:
    """Wrong usage ends with 2; what all counts as that is in the tests of the adapters."""
    done = chord("put", "key", "value", "--ttl", "5")
    assert (2, b"") == (done.returncode, done.stdout)
    assert b"chord: Unknown option: --ttl.\n" == done.stderr


def test_a_demo_of_a_file_that_is_not_there() -> None:
    """``demo`` of a file that cannot be read ends with 1."""
    assert 1 == chord("demo", "/does/not/exist").returncode


def test_interrupted(ring: list[NodeProcess]) -> None:
    """Ctrl-C ends with 130, and says of a write that its outcome is unknown."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        command = [*CHORD, "put", "key", "value", "--node", f"127.0.0.1:{mute.getsockname()[1]}", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                mute.settimeout(PATIENCE)
                connection, _ = mute.accept()
                process.send_signal(signal.SIGINT)
                output, _ = process.communicate(timeout=PATIENCE)
                connection.close()
            finally:
                process.kill()
    assert 130 == process.returncode
    assert parsed(output)["error"]["outcome_unknown"]


def test_messages_are_for_people() -> None:
    """Without --json a failure is one line on standard error and nothing on standard output."""
    done = chord("get", "key", "--node", f"127.0.0.1:{free_port()}", "--timeout", "1")
    assert (4, b"") == (done.returncode, done.stdout)
    assert 1 == len(done.stderr.splitlines())
