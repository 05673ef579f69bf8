"""How a fault gets into the core: a change of one place of one module's source, made as that module is imported.

A process with a fault in it is a fresh one: `inject` comes before the first import of ``chord_proto``, so that
nothing has been taken from the module before, and nothing is left of it afterwards.  This module and the registry
therefore import nothing of the project.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

import attrs

PACKAGE = "chord_proto"


@attrs.frozen
class Fault:
    """One mistake that somebody might make, and what notices it.

    ``old`` stands in ``module`` exactly once, ``new`` takes its place.  ``hunt`` names what to run
    (`tests.faults.hunts.run`) or the file of a test, ``check`` what must be broken first: a property of properties.md
    such as S13 or D4, or the test of that file.
    """

    id: str
    words: str
    module: str
    old: str
    new: str
    hunt: str
    check: str

    @property
    def how(self) -> str:
        """What to run: the name of a hunt, or the node id of a test."""
        return f"{self.hunt}::{self.check}" if self.hunt.endswith(".py") else self.hunt

    @property
    def where(self) -> str:
        """``module.py:name`` of the function, class or constant that the fault is in."""
        text = source(self.module)
        line = text[: text.index(self.old) + len(self.old) - len(self.old.lstrip())].count("\n") + 1
        names: list[str] = []
        body: Sequence[ast.stmt] = ast.parse(text).body
        while True:
            around = next((node for node in body if node.lineno <= line <= (node.end_lineno or node.lineno)), None)
            if isinstance(around, (ast.FunctionDef, ast.ClassDef)):
                names.append(around.name)
                body = around.body if isinstance(around, ast.ClassDef) else ()
                continue
            if isinstance(around, (ast.Assign, ast.AnnAssign)) and not names:
                target = around.targets[0] if isinstance(around, ast.Assign) else around.target
                names.append(ast.unparse(target))
            return f"{self.module}.py:{'.'.join(names)}"

    def patched(self) -> str:
        """Return the module's source with the fault; raises `ValueError` unless the old text stands there once."""
        text = source(self.module)
        if text.count(self.old) != 1:
            raise ValueError(f"{self.id}: in {self.module}.py there are {text.count(self.old)} of\n{self.old}")
        return text.replace(self.old, self.new)


def path_of(module: str) -> Path:
    """Return the file of a module of the core, without importing anything."""
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise ValueError(f"{PACKAGE} is not installed")
    return Path(package.submodule_search_locations[0]) / f"{module}.py"


def source(module: str) -> str:
    """Return the source of a module of the core."""
    return path_of(module).read_text(encoding="utf-8")


def inject(fault: Fault) -> None:
    """Let the fault be in its module from now on; raises `ValueError` when the core is imported already."""
    if PACKAGE in sys.modules:
        raise ValueError(f"{PACKAGE} is imported already: a fault needs a fresh process")
    fault.patched()
    sys.meta_path.insert(0, _Finder(fault))


class _Finder(MetaPathFinder):
    """Finds the one module that has the fault."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load the module with the fault; None for every other."""
        if fullname != f"{PACKAGE}.{self.fault.module}":
            return None
        file = str(path_of(self.fault.module))
        return spec_from_file_location(fullname, file, loader=_Loader(fullname, file, self.fault))


class _Loader(SourceFileLoader):
    """Compiles the changed source, and leaves no bytecode behind."""

    def __init__(self, fullname: str, path: str, fault: Fault) -> None:
        super().__init__(fullname, path)
        self.fault = fault

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the module with the fault."""
        code = compile(self.fault.patched(), self.path, "exec", dont_inherit=True)
        assert isinstance(code, CodeType)
        return code
