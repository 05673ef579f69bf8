"""Histories in which something was wrong once: each is a file, and goes well now."""

from __future__ import annotations

from pathlib import Path

import pytest

from chord_adapters.testing import Plan, Trace

TRACES = sorted((Path(__file__).parent / "plans").glob("*.trace"))


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_what_was_wrong_once_goes_well(path: Path) -> None:
    """The plan keeps every property, and the ring becomes whole."""
    Plan.of(Trace.parse(path.read_text(encoding="utf-8"))).run()


def test_there_are_traces() -> None:
    """The folder was found."""
    assert TRACES
