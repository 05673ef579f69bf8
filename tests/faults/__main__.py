"""Inject a fault and hunt it: ``python -m tests.faults ID`` shows the counterexample.

Without an id every fault is listed.  ``--hunt NAME`` hunts by another hunt than the registry's, without an id in the
node as it is.  The exit status is 0 when the fault was caught by the check that the registry names (without a fault:
when nothing was found), else 1.
"""

from __future__ import annotations

import argparse
import sys

from tests.faults.injecting import Fault, inject
from tests.faults.registry import FAULTS


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Inject a fault and hunt it.")
    parser.add_argument("id", nargs="?", choices=sorted(FAULTS), metavar="ID")
    parser.add_argument("--hunt", metavar="NAME", help="instead of the registry's for this fault")
    chosen = parser.parse_args(arguments)
    if chosen.id is None and chosen.hunt is None:
        for fault in FAULTS.values():
            print(f"{fault.id:32} {fault.words}")
        return 0
    if chosen.id is None:
        found = hunt(chosen.hunt)
        print(f"{chosen.hunt}: {found or 'nothing found'}")
        return 1 if found else 0
    fault = FAULTS[chosen.id]
    show(fault)
    inject(fault)
    name = chosen.hunt or fault.how
    found = hunt(name)
    caught = found is not None and is_by(found, fault.check)
    verdict = f"caught by {fault.check}" if caught else f"NOT caught by {fault.check}"
    print(f"{verdict}, hunt: {name}\n\n{found or 'nothing found'}")
    return 0 if caught else 1


def show(fault: Fault) -> None:
    """Print what the fault changes."""
    print(f"{fault.id}: {fault.words}\n{fault.where}")
    for sign, text in (("-", fault.old), ("+", fault.new)):
        print("\n".join(f"{sign} {line}" for line in text.strip("\n").splitlines() or [""]))


def hunt(name: str) -> str | None:
    """Run a hunt; return what it found, None for nothing."""
    # Only now are they imported: they import the core.
    if "::" in name:
        from tests.faults.one_test import run_test

        return run_test(name)
    from tests.faults.hunts import run

    return run(name)


def is_by(found: str, check: str) -> bool:
    """Tell whether a finding is that of the named check: it begins with the name."""
    return found.startswith((f"{check} ", f"{check}:"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
