"""The memory of ``chord store`` and ``fetch`` does not grow with the file."""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import CHORD, chord_environment, ring_of_processes, write_random

pytestmark = pytest.mark.slow

NIGHTLY = bool(os.environ.get("CHORD_NIGHTLY"))
SIZE = 1_000_000_000 if NIGHTLY else 64 * 1024 * 1024
"""Bytes of the file; each of the three nodes holds all of it in memory."""
MOST_GROWTH = 16 * 1024
"""KiB by which storing SIZE bytes may take more than storing none: a quarter of the smaller file."""
MOST = 150 * 1_000_000 // 1024
"""KiB that a command may take in all."""


MEASURE = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""
"""Says how much memory a command has had at most.  A small process does: the peak of one begins with its parent's size."""


def peak_of(*arguments: str) -> tuple[str, int]:
    """Run one command that must succeed; return the last line that it prints, and the most memory that it had, in KiB."""
    command = [sys.executable, "-S", "-c", MEASURE, *CHORD, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=chord_environment(), text=True, check=True)
    *output, peak = done.stdout.splitlines()
    return output[-1] if output else "", int(peak)


def test_the_memory_of_the_commands_is_bounded(tmp_path: Path) -> None:
    """A large file is stored and fetched whole; neither command takes much more memory than for an empty one."""
    empty, large = write_random(tmp_path / "empty", 0), write_random(tmp_path / "large", SIZE)
    copy = tmp_path / "copy"
    with ring_of_processes(3) as nodes:
        through, back = ("--node", nodes[1].address), ("--node", nodes[2].address)
        key, least = peak_of("store", str(empty), *through)
        _, least_back = peak_of("fetch", key, "--out", str(copy), *back)
        key, most = peak_of("store", str(large), *through)
        _, most_back = peak_of("fetch", key, "--out", str(copy), *back)
        assert filecmp.cmp(large, copy, shallow=False)
    assert (most - least < MOST_GROWTH, most < MOST) == (True, True), f"store: {most} KiB, {least} for nothing"
    assert (most_back - least_back < MOST_GROWTH, most_back < MOST) == (True, True), (
        f"fetch: {most_back} KiB, {least_back} for nothing"
    )
