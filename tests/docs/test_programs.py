"""The example programs of the documentation are whole files: each runs as a user would run it, and is shown on a page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PROGRAMS = sorted((DOCS / "examples").glob("*.py"))
TIMEOUT = 60
"""Seconds; a program takes about one, this is for a machine that is busy."""


def run(program: Path) -> list[str]:
    """Run a program that must succeed and say nothing on standard error; return the lines that it prints."""
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.splitlines()


def lines(program: Path) -> int:
    """Return how long a program is, blank lines and all."""
    return len(program.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("name", ["first_ring.py", "first_ring_trio.py"])
def test_the_first_ring_keeps_a_record_and_a_block(name: str) -> None:
    """The tutorial's program has at most 20 lines; what it wrote through one node it reads through another."""
    program = DOCS / "examples" / name
    assert lines(program) <= 20
    record, block = run(program)
    assert record.startswith("Entry(value=b'Ada', version=")
    assert "f98675ef4e5f78c434b49ac2a583a187638e2f87 b'any bytes'" == block


def test_the_core_is_driven_in_under_60_lines() -> None:
    """The loop of one's own puts through one node and gets through another, in under 60 lines."""
    program = DOCS / "examples" / "drive_it_yourself.py"
    assert lines(program) < 60
    stored, fetched = run(program)
    version = stored.split("'")[1]
    assert stored.startswith("Stored(version=")
    assert f"Fetched(value=b'some value', version='{version}', expires=0)" == fetched


def test_every_program_is_tested_and_shown() -> None:
    """No program is left over: each is one of those above, and a page includes it."""
    assert ["drive_it_yourself.py", "first_ring.py", "first_ring_trio.py"] == [each.name for each in PROGRAMS]
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    assert [] == [each.name for each in PROGRAMS if f"literalinclude}} ../examples/{each.name}\n" not in pages]
