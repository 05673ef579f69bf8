"""A hunt that is one test of the project: it must fail by an assertion."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parents[2]
LATE = "ignore::pytest.PytestAssertRewriteWarning"
"""Plugins that were imported before pytest looks for them do no harm."""


class _Outcome:
    """Pytest plugin: keeps the error of the first test that fails."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def pytest_configure(self) -> None:
        """Spare Hypothesis the search for a smaller example: any will do."""
        profile = settings(phases=[Phase.explicit, Phase.generate], derandomize=True, database=None)
        settings.register_profile("faults", profile)
        settings.load_profile("faults")

    def pytest_exception_interact(self, call: pytest.CallInfo[object]) -> None:
        """Take note of an exception."""
        if call.excinfo is not None and self.error is None:
            self.error = call.excinfo.value


def run_test(name: str) -> str | None:
    """Run the test with this node id (``tests/proto/test_x.py::test_y``); return how it failed, None if it passed.

    What is returned begins with the test's name.  Raises `RuntimeError` when it ended in any other way.
    """
    outcome, said = _Outcome(), StringIO()
    with redirect_stdout(said):
        # Plain asserts: to rewrite them pytest would load the core itself, from a wheel without the fault.
        plain = ("-x", "--assert=plain", "--tb=native", "-p", "no:cacheprovider", "-W", LATE)
        status = pytest.main([f"{ROOT / name}", *plain], plugins=[outcome])
    if isinstance(outcome.error, (AssertionError, pytest.fail.Exception)):  # The latter: an error was not raised.
        return f"{name.partition('::')[2]}: {outcome.error}"
    if status is not pytest.ExitCode.OK:
        raise RuntimeError(f"{name} ended with {status!r}\n{said.getvalue()}") from outcome.error
    return None
