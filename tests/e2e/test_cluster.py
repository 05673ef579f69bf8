"""``chord sim --dask``: a real scheduler and two real workers do what processes do, and find the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

OPTIONS = ("load", "--nodes", "50", "100", "--keys", "2000", "--seeds", "3", "--json")


def chord_sim(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    command = [sys.executable, "-m", "chord_adapters", "sim", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """Yield the address of a scheduler with two workers, each a process on loopback."""
    known = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    shared = ["--scheduler-file", str(known)]
    here = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    started = [subprocess.Popen([*dask, "scheduler", *here, *shared], stderr=subprocess.DEVNULL, cwd=tmp_path)]
    try:
        for _ in range(2):
            worker = [
                *dask,
                "worker",
                *shared,
                "--host",
                "127.0.0.1",
                "--no-dashboard",
                "--nthreads",
                "1",
                "--no-nanny",
            ]
            started.append(subprocess.Popen(worker, stderr=subprocess.DEVNULL, cwd=tmp_path))
        with distributed.Client(scheduler_file=str(known), timeout="60s") as client:
            client.wait_for_workers(2, timeout=60)
            yield client.scheduler.address.removeprefix("tcp://")
    finally:
        for process in started:
            process.kill()  # A worker that is told to end asks the scheduler first, and may wait for it.
            process.wait()


def test_a_cluster_finds_what_processes_find(scheduler: str) -> None:
    """The same seeds and parameters, the same document."""
    here, there = chord_sim(*OPTIONS), chord_sim(*OPTIONS, "--dask", scheduler)
    assert (0, 0) == (here.returncode, there.returncode), there.stderr
    runs = json.loads(here.stdout)["runs"]
    assert (6, runs) == (len(runs), json.loads(there.stdout)["runs"])


def test_nobody_schedules() -> None:
    """An address where nobody is ends in a line that names it."""
    said = chord_sim(*OPTIONS[:-1], "--dask", "127.0.0.1:1")
    assert (1, "") == (said.returncode, said.stdout)
    assert "127.0.0.1:1" in said.stderr
    assert "Traceback" not in said.stderr
