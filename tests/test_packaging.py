"""What a user gets by installing the distribution."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points, metadata, version
from importlib.resources import files
from importlib.util import find_spec

import pytest


def run(code: str) -> str:
    """Run ``code`` in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("package", ["chord_proto", "chord_adapters"])
def test_the_types_ship(package: str) -> None:
    """Both packages carry the marker by which type checkers read their annotations."""
    assert files(package).joinpath("py.typed").is_file()


def test_the_sample_ships() -> None:
    """The text that ``chord demo`` stores when it is given no file is in the package."""
    sample = files("chord_adapters.cli").joinpath("sample.txt").read_bytes()
    assert 170_521 == len(sample)


def test_the_stories_ship() -> None:
    """The stories that every adapter must be able to tell are in the package."""
    names = [each.name for each in (files("chord_adapters.testing") / "stories").iterdir()]
    assert {"ring.story", "records.story", "crash.story"} <= set(names)


def test_the_command_is_installed() -> None:
    """The script ``chord`` leads to the command's ``main``."""
    [script] = entry_points(group="console_scripts", name="chord")
    assert "chord_adapters.cli:main" == script.value


def test_the_pytest_plugin_is_installed() -> None:
    """The plugin is found by pytest itself."""
    [plugin] = entry_points(group="pytest11", name="chord")
    assert "_chord_pytest" == plugin.value


def test_extras() -> None:
    """The extras are those that the README names; those of later releases are absent."""
    assert ["all", "cli", "dask", "sqlite", "srv", "testing", "tls", "trio"] == sorted(
        metadata("chord-dht").get_all("Provides-Extra") or []
    )


SPARED = ["trio", "rich", "docstring_parser", "cryptography", "dns", "apsw", "hypothesis", "chord_adapters.testing"]


@pytest.mark.parametrize(
    "module, absent",
    [
        ("chord_proto", ["asyncio", "trio", "anyio", "socket", "chord_adapters"]),
        ("chord_adapters", ["asyncio", "trio"]),
        ("chord_adapters.asyncio", ["trio", "anyio"]),
        ("chord_adapters.sync", ["trio"]),
        ("chord_adapters.memory", ["trio"]),
        ("chord_adapters.storage", ["trio", "asyncio", "apsw"]),
        ("chord_adapters.testing.conformance", ["trio"]),
        ("chord_adapters.testing.storage", ["trio", "apsw"]),
        ("chord_adapters.cli", ["trio", "asyncio", "cyclopts"]),
        # What each node of a ring of processes would load, and hold.
        *([("chord_adapters.asyncio, chord_adapters.cli.node", SPARED)] if find_spec("cyclopts") else []),
        *([("chord_adapters.trio", ["chord_adapters.asyncio"])] if find_spec("trio") else []),
    ],
)
def test_a_module_loads_only_what_it_needs(module: str, absent: list[str]) -> None:
    """Importing a module loads no loop or library that its user did not ask for."""
    loaded = run(f"import sys; bare = set(sys.modules); import {module}; print(*sorted(set(sys.modules) - bare))")
    assert [] == sorted(set(absent) & set(loaded.split()))


def test_version_option() -> None:
    """``chord --version`` prints the version of the distribution."""
    done = subprocess.run(
        [sys.executable, "-m", "chord_adapters", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert version("chord-dht") == done.stdout.strip()
