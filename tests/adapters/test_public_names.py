"""What can be imported from where, what that loads, and that the adapters offer the same."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

import chord_adapters
import chord_adapters.asyncio
import chord_adapters.memory
import chord_adapters.sync
from chord_adapters._errors import ChordError, error_of
from chord_proto.operations import Failed, Failure
from tests.adapters.backends import LOOPS

MODULES = [*LOOPS, "memory", "sync"]


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_loads_no_event_loop() -> None:
    """`import chord_adapters` gives the errors and `Config`, and loads neither asyncio nor trio."""
    code = "import sys, chord_adapters; print(sorted({'asyncio', 'trio', 'anyio', 'ssl'} & set(sys.modules)))"
    assert _run(code).strip() == "[]"


@pytest.mark.parametrize("module", ["asyncio", "sync", "memory"])
def test_all_but_one_work_without_trio(module: str) -> None:
    """Neither adapter imports the other, and where trio is not installed all but its own works."""
    _run(f"import sys; sys.modules['trio'] = None; import chord_adapters.{module}")


def test_errors_are_the_same_everywhere() -> None:
    """Every error can be imported from the package and from each adapter, and is the same class."""
    for module in map(import_module, (f"chord_adapters.{name}" for name in MODULES)):
        for name in chord_adapters.__all__:
            assert getattr(module, name) is getattr(chord_adapters, name)
            assert name in module.__all__


@pytest.mark.parametrize("module", MODULES)
def test_the_doors_take_the_same(module: str) -> None:
    """`open_node` and `connect` have the same parameters in each adapter (the simulation has one more)."""
    for name in ("open_node", "connect"):
        expected = inspect.signature(getattr(chord_adapters.asyncio, name)).parameters
        actual = dict(inspect.signature(getattr(import_module(f"chord_adapters.{module}"), name)).parameters)
        actual.pop("simulation", None)
        assert list(actual) == list(expected)
        assert {key: (each.kind, each.default) for key, each in actual.items()} == {
            key: (each.kind, each.default) for key, each in expected.items()
        }


def test_blocking_code_has_the_same_calls() -> None:
    """Nodes and clients of `sync` have every public name of the asynchronous ones, with the same parameters."""
    for name in ("Node", "Client"):
        theirs = getattr(chord_adapters.asyncio, name)
        ours = getattr(chord_adapters.sync, name)
        public = {each for each in dir(theirs) if not each.startswith("_")}
        assert public == {each for each in dir(ours) if not each.startswith("_")}
        for each in public:
            call = getattr(theirs, each)
            if callable(call):
                assert list(inspect.signature(getattr(ours, each)).parameters) == list(
                    inspect.signature(call).parameters
                )


def test_every_failure_has_its_error() -> None:
    """Each way in which an operation can fail is an exception with a message, and keeps what is known of its outcome."""
    for failure in Failure:
        error = error_of(Failed(failure, outcome_unknown=True))
        assert str(error)
        if isinstance(error, ChordError):
            assert error.outcome_unknown
        else:
            assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    "name, retryable, also",
    [
        ("Timeout", True, TimeoutError),
        ("Unreachable", True, OSError),
        ("NotReady", True, Exception),
        ("NoQuorum", True, Exception),
        ("VersionMismatch", False, Exception),
        ("ValueTooLarge", False, Exception),
        ("Busy", True, Exception),
        ("Closed", False, Exception),
        ("StorageFailed", False, Exception),
        ("JoinRefused", False, Exception),
    ],
)
def test_errors(name: str, retryable: bool, also: type[Exception]) -> None:
    """Each says whether a retry may help, and is what Python has for it where it has something."""
    error = getattr(chord_adapters, name)("words")
    assert isinstance(error, ChordError)
    assert isinstance(error, also)
    assert error.retryable is retryable
    assert error.outcome_unknown is False
    assert str(error) == "words"
