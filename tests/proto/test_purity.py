"""The core touches nothing outside itself: its source is read for imports and calls that would."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import chord_proto

OUTSIDE = frozenset(
    "time random os socket asyncio trio anyio threading uuid secrets logging datetime pathlib ssl select selectors"
    " subprocess multiprocessing concurrent contextvars signal sys io tempfile shutil gc weakref importlib pickle"
    " chord_adapters hypothesis".split()
)
"""Sources of time, chance and I/O, of state that another process does not share, and what stands above the core."""

IMPURE_CALLS = frozenset(
    {"print", "open", "input", "id", "hash", "eval", "exec", "globals", "breakpoint", "__import__"}
)
"""Builtins that do I/O, or whose answer differs between processes (``hash`` of text, ``id``)."""

ALLOWED = {"snapshot": "id()"}
"""A copy remembers what it has copied already by identity; nothing of that leaves the function."""

SOURCES = sorted(Path(chord_proto.__file__).parent.rglob("*.py"))


def impurities(source: str) -> list[str]:
    """Return what in ``source`` reaches outside the core, as ``line: what``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                found.append(f"{node.lineno}: {name}()")
                continue
            case _:
                continue
        found += [f"{node.lineno}: import {module}" for module in modules if module.split(".")[0] in OUTSIDE]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_a_module_of_the_core_reaches_nothing_outside(path: Path) -> None:
    """No module of the core imports a clock, chance, I/O or an adapter, or calls an impure builtin."""
    found = impurities(path.read_text(encoding="utf-8"))
    assert [] == [each for each in found if each.split(": ")[1] != ALLOWED.get(path.stem)]


def test_the_core_was_found() -> None:
    """The check above has read the real package, the node among it."""
    assert {"node", "ring", "messages", "wire"} <= {path.stem.split("_")[0] for path in SOURCES}


@pytest.mark.parametrize(
    "source, expected",
    [
        ("import time", ["1: import time"]),
        ("import os.path as p", ["1: import os.path"]),
        ("from random import Random", ["1: import random"]),
        ("def f():\n    from chord_adapters.memory import Network", ["2: import chord_adapters.memory"]),
        ("if TYPE_CHECKING:\n    import trio", ["2: import trio"]),
        ("order = hash('key')", ["1: hash()"]),
        ("print(id(self))", ["1: print()", "1: id()"]),
        ("import hashlib\nfrom chord_proto.peer import Peer\nself.hash(x)\npeer.id", []),
        ("from . import time", []),
    ],
)
def test_the_check_sees_what_is_planted(source: str, expected: list[str]) -> None:
    """Each forbidden form is reported with its line, and what is allowed is not."""
    assert expected == impurities(source)
