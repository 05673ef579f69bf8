"""The table of injected faults: ``python -m tests.faults.table > docs/reference/injected-faults.md``."""

from __future__ import annotations

from tests.faults.injecting import Fault
from tests.faults.registry import FAULTS

HEAD = """\
# Injected faults

<!-- Made by `python -m tests.faults.table` from the registry in tests/faults; a test compares, another one verifies. -->

A search that finds nothing proves something only if it would find an error that is there. So each of these {count}
faults is put into the node, one at a time, and has to be caught by the check that is named: a property of the ring (S),
of progress (L) or of records (D), or a test. "Hunt" is what runs: a named history of a ring in virtual time, a random
one (`plan`), every order of events of a small ring (`explore`), or the file of the test. Without a fault every hunt
finds nothing.

`python -m tests.faults` lists the faults, `python -m tests.faults ID` shows the change and the counterexample.

| fault | what is wrong | where | hunt | caught by |
| --- | --- | --- | --- | --- |
"""


def table() -> str:
    """Return the page."""
    return HEAD.format(count=len(FAULTS)) + "".join(map(_row, FAULTS.values()))


def _row(fault: Fault) -> str:
    check = f"`{fault.check}`" if "_" in fault.check else fault.check
    hunt = f"`{fault.hunt}`" if fault.hunt.endswith(".py") else fault.hunt
    return f"| {fault.id} | {fault.words} | `{fault.where}` | {hunt} | {check} |\n"


if __name__ == "__main__":
    print(table(), end="")
