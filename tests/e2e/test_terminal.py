"""What a person sees on a terminal, and a program in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.e2e.processes import CHORD, PATIENCE, chord, write_random

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("terminal")]  # one ring for all


def test_a_progress_bar_only_for_who_looks_on(tmp_path: Path, address: str) -> None:
    """A long transfer draws a bar on a terminal, and none into a file."""
    file = write_random(tmp_path / "file", 20_000_000)
    command = [*CHORD, "store", str(file), "--node", address]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        drawn = b""
        try:
            while piece := os.read(ours, 65_536):
                drawn += piece
        except OSError:  # how Linux says that the last writer has closed a terminal
            pass
        finally:
            os.close(ours)
        assert 0 == process.wait(PATIENCE)
    assert b"storing" in drawn
    assert b"storing" not in chord(*command[len(CHORD) :]).stderr


def test_who_reads_our_output_may_go_away(tmp_path: Path, address: str) -> None:
    """A reader that has enough (``chord fetch KEY | head``) brings no traceback."""
    file = write_random(tmp_path / "file", 20_000_000)
    key = chord("store", str(file), "--node", address).stdout.decode().strip()
    command = [*CHORD, "fetch", key, "--node", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert file.read_bytes()[:1000] == process.stdout.read(1000)
        process.stdout.close()
        assert b"" == process.stderr.read()
        assert 1 == process.wait(PATIENCE)
