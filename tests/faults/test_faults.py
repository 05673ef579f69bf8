"""The harness bites: each fault of the registry is caught by the check that it names, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.hunts import run
from tests.faults.injecting import Fault, inject, source
from tests.faults.registry import FAULTS
from tests.faults.table import table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "injected-faults.md"
HUNTS = sorted({fault.hunt for fault in FAULTS.values() if not fault.hunt.endswith(".py")})
EACH = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


def test_there_are_enough() -> None:
    """Forty at least, in every part of the core."""
    assert len(FAULTS) >= 40
    assert {"identifiers", "routing", "ring", "membership", "timers", "lookup", "fingers", "table", "writes"} <= {
        fault.module for fault in FAULTS.values()
    }
    assert {"coordinator", "repair", "sync", "ranges", "grants", "connection", "context", "frame", "snapshot"} <= {
        fault.module for fault in FAULTS.values()
    }


@EACH
def test_a_fault_still_fits_the_source(fault: Fault) -> None:
    """Its place is in the source exactly once, and what it makes of it can be compiled."""
    assert fault.old != fault.new
    compile(fault.patched(), fault.module, "exec")


def test_a_fault_that_no_longer_fits_is_refused() -> None:
    """Text that is not there, or there twice, is an error that names the fault: nothing is tested by accident."""
    for old, count in (("no such text", 0), ("return", source("identifiers").count("return"))):
        fault = Fault("odd", "", "identifiers", old, "", "growth", "L1")
        with pytest.raises(ValueError, match=f"odd: in identifiers.py there are {count} of"):
            fault.patched()


def test_a_fault_needs_a_fresh_process() -> None:
    """Where the core is imported already, it would change nothing."""
    with pytest.raises(ValueError, match="fresh process"):
        inject(next(iter(FAULTS.values())))


def test_the_page_is_what_the_registry_says() -> None:
    """After a change: ``python -m tests.faults.table > docs/reference/injected-faults.md``."""
    assert table() == PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("hunt", HUNTS)
def test_without_a_fault_nothing_is_found(hunt: str) -> None:
    """No hunt raises a false alarm."""
    assert None is run(hunt)


@pytest.mark.slow
@EACH
def test_a_fault_is_caught(fault: Fault) -> None:
    """By the check that the registry names, in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults", fault.id],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == ended.returncode, ended.stdout + ended.stderr
