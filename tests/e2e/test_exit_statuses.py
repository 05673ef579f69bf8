"""Exit statuses as the shell sees them, and what goes to which stream."""

from __future__ import annotations

import signal
import socket
import subprocess

import pytest

from chord_proto.blocks import BLOCK_SIZE
from tests.e2e.processes import CHORD, PATIENCE, chord, free_port, parsed

pytestmark = pytest.mark.slow


def test_wrong_usage() -> None:
    """Wrong usage ends with 2; what all counts as that is in the tests of the adapters."""
    done = chord("put", "key", "value", "--colour", "5")
    assert (2, b"") == (done.returncode, done.stdout)
    assert b"chord: Unknown option: --colour.\n" == done.stderr


def test_a_demo_of_a_file_that_is_not_there() -> None:
    """``demo`` of a file that cannot be read ends with 1."""
    assert 1 == chord("demo", "/does/not/exist").returncode


def test_interrupted() -> None:
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


def test_interrupted_while_nothing_comes() -> None:
    """Ctrl-C ends ``store -`` also while it waits for its standard input."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        command = [*CHORD, "store", "-", "--node", f"127.0.0.1:{mute.getsockname()[1]}"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                assert process.stdin is not None
                process.stdin.write(bytes(BLOCK_SIZE + 100_000))
                process.stdin.flush()
                mute.settimeout(PATIENCE)
                connection, _ = mute.accept()  # The first block is on its way, and the next one does not come.
                process.send_signal(signal.SIGINT)
                assert 130 == process.wait(timeout=PATIENCE)
                connection.close()
            finally:
                process.kill()


def test_messages_are_for_people() -> None:
    """Without --json a failure is one line on standard error and nothing on standard output."""
    done = chord("get", "key", "--node", f"127.0.0.1:{free_port()}", "--timeout", "1")
    assert (4, b"") == (done.returncode, done.stdout)
    assert 1 == len(done.stderr.splitlines())
