"""The benchmarks run in a short form and print a whole table; how fast anything is does not matter here."""

from __future__ import annotations

import re

import pytest

from tests.adapters.backends import SOCKETS
from tests.bench import bench_gets, bench_idle, bench_simulator, bench_transfer

LOOPS = [backend.loop for backend in SOCKETS]


def numbers(line: str) -> list[float]:
    """Return all numbers of a line."""
    return [float(each.replace(",", "")) for each in re.findall(r"(?<!\S)\d[\d,]*(?:\.\d+)?", line)]


@pytest.mark.parametrize("loop", LOOPS)
def test_gets_beside_an_echo(loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each depth has an echo, a request, the echo over all connections, a get and a put, none of them for nothing."""
    bench_gets.main(
        ["--loop", loop, "--nodes", "3", "--depth", "1", "4", "--seconds", "0.05", "--rounds", "1", "--quick"]
    )
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading == bench_gets.HEADING
    names = ["echo", "request", "echo, 2 connections", "get", "put"]
    assert [(depth, name) for depth in (1, 4) for name in names] == [
        (int(row.split()[1]), row[16:38].strip()) for row in rows
    ]
    for row in rows:
        assert row.startswith(loop)
        rate, cpu, slower, dearer = numbers(row[38:])
        assert min(rate, cpu, slower, dearer) > 0
        if "echo" in row:
            assert (slower, dearer) == (1.0, 1.0)


@pytest.mark.parametrize("loop", LOOPS)
def test_an_idle_ring(loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Idle nodes send something, and it costs something."""
    bench_idle.main(["--loop", loop, "--nodes", "2", "--wait", "0", "--seconds", "1.2"])
    heading, row = capsys.readouterr().out.splitlines()
    assert heading == bench_idle.HEADING
    nodes, share, sent, each = numbers(row)
    assert nodes == 2
    assert 0 < share < 100
    assert sent > 0
    assert each > 0


@pytest.mark.parametrize("loop", LOOPS)
def test_transfers(loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A long value goes in and comes out the same, or the benchmark would fail; both directions are shown."""
    bench_transfer.main(["--loop", loop, "--nodes", "3", "--megabytes", "0.5"])
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading == bench_transfer.HEADING
    assert [[loop, "store"], [loop, "fetch"]] == [row.split()[:2] for row in rows]
    assert all(min(numbers(row)) > 0 for row in rows)


def test_the_simulator(capsys: pytest.CaptureFixture[str]) -> None:
    """There are inputs, and a rate with and without checks, in one process and in several."""
    bench_simulator.main(12, 2)
    inputs, checked, unchecked, several = capsys.readouterr().out.splitlines()
    assert numbers(inputs)[0] > 500
    assert all(numbers(line)[-1] > 0 for line in (checked, unchecked, several))
