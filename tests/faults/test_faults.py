"""The harness bites: each fault of the registry is caught by the check that it names, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.__main__ import is_by
from tests.faults.hunts import NAMED, run
from tests.faults.injecting import Fault, inject, source
from tests.faults.registry import FAULTS
from tests.faults.serving import Hunter
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


@pytest.mark.parametrize(
    "found, check, expected",
    [
        ("S1 at n0: nobody", "S1", True),
        ("S12 at n0: moved", "S1", False),
        ("S8 at n0: twice\nS1 at n0: nobody", "S1", False),
        ("D1: gone", "D1", True),
        ("D10: gone", "D1", False),
        ("test_a_thing: assert 1 == 2", "test_a", False),
    ],
)
def test_what_counts_as_caught(found: str, check: str, expected: bool) -> None:
    """The first thing found must be the named check's."""
    assert expected == is_by(found, check)


def test_an_accident_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hunt that ends in any other error than a failed check catches nothing."""

    def accident() -> None:
        raise TypeError("S1: it only looks like one")

    monkeypatch.setitem(NAMED, "accident", accident)
    with pytest.raises(TypeError):
        run("accident")


@pytest.mark.slow
@pytest.mark.parametrize("hunt", HUNTS)
def test_without_a_fault_nothing_is_found(hunt: str) -> None:
    """No hunt raises a false alarm."""
    assert None is run(hunt)


@pytest.fixture(scope="module")
def hunter() -> Iterator[Hunter]:
    """Provide the process that hunts."""
    with Hunter() as hunter:
        yield hunter


@pytest.mark.slow
@EACH
def test_a_fault_is_caught(fault: Fault, hunter: Hunter) -> None:
    """By the check that the registry names, in a process of its own."""
    status, said = hunter.hunt(fault.id)
    assert 0 == status, said
