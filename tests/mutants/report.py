"""Report a run of mutmut: ``python -m tests.mutants.report``, after ``mutmut run``, where that was started.

It shows for each module how many mutants the tests killed, and compares the survivors with survivors.toml, where each
is explained.  The exit status is 1 when a module's kill rate is below 85%, a survivor has no explanation, or an
explained one no longer survives.  Mutants that no test reaches count as survivors, those that loop for ever as killed.
"""

from __future__ import annotations

import ast
import difflib
import json
import sys
import tomllib
from pathlib import Path

import attrs

MUTANTS = Path("mutants/src/chord_proto")
"""Where mutmut, started in the project's root, puts the mutated sources and what became of each mutant."""
EXPLAINED = Path(__file__).parent / "survivors.toml"
LEAST = 0.85
"""The least part of the mutants of a module that must be killed."""
_KILLED = {1, 3}
_TIMED_OUT = {24, 36, 152, 255, -24}


@attrs.frozen
class Module:
    """What became of the mutants of one module."""

    name: str
    killed: int
    timed_out: int
    survivors: tuple[str, ...]
    """Each as ``module.function: the changed line``."""

    @property
    def total(self) -> int:
        """How many mutants were tried."""
        return self.killed + self.timed_out + len(self.survivors)

    @property
    def rate(self) -> float:
        """The part of them that was killed, 0 to 1."""
        return (self.killed + self.timed_out) / self.total


def read(meta: Path) -> Module | None:
    """Return what mutmut wrote of a module; None when no mutant of it was tried."""
    codes: dict[str, int | None] = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    tried = {name.split(".")[-1]: code for name, code in codes.items() if code is not None}
    if not tried:
        return None
    module = meta.name.removesuffix(".py.meta")
    tree = ast.parse(meta.with_suffix("").read_text(encoding="utf-8"))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    killed = sum(code in _KILLED for code in tried.values())
    timed_out = sum(code in _TIMED_OUT for code in tried.values())
    left = [name for name, code in tried.items() if code not in _KILLED | _TIMED_OUT]
    return Module(module, killed, timed_out, tuple(f"{module}.{change(functions, name)}" for name in left))


def change(functions: dict[str, ast.FunctionDef], name: str) -> str:
    """Return the function that a mutant changes and how: the new lines, or what is left out."""
    function = name.rpartition("__mutmut_")[0]
    before, after = (_lines(functions[each]) for each in (f"{function}__mutmut_orig", name))
    changed = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    new = [line[2:].strip() for line in changed if line[0] == "+"]
    text = " ".join(new or ["without", *(line[2:].strip() for line in changed)])
    return f"{function.removeprefix('x').strip('_ǁ').replace('ǁ', '.')}: {text}"


def _lines(function: ast.FunctionDef) -> list[str]:
    return [ast.unparse(function.args), *(line for part in function.body for line in ast.unparse(part).splitlines())]


def main() -> int:
    """Print the report; return the exit status."""
    modules = [module for meta in sorted(MUTANTS.glob("*.py.meta")) if (module := read(meta)) is not None]
    groups = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["group"]
    explained = {mutant for group in groups for mutant in group["mutants"]}
    print(f"{'module':12} {'mutants':>8} {'killed':>7} {'timeout':>8} {'survived':>9} {'rate':>6}")
    for each in modules:
        counts = f"{each.total:8} {each.killed:7} {each.timed_out:8} {len(each.survivors):9}"
        print(f"{each.name:12} {counts} {each.rate:6.1%}")
    survivors = {survivor for each in modules for survivor in each.survivors}
    tried = {each.name for each in modules}
    stale = {mutant for mutant in explained - survivors if mutant.split(".")[0] in tried}
    for title, found in (("without explanation", survivors - explained), ("explained, but no survivor", stale)):
        if found:
            print(f"\n{title}:", *sorted(found), sep="\n  ")
    return 1 if survivors - explained or stale or not modules or any(each.rate < LEAST for each in modules) else 0


if __name__ == "__main__":
    sys.exit(main())
