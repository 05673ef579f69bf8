"""The hunts, by name: each runs a part of the core and raises `AssertionError` if a check fails.

The message begins with the name of the check.  Without a fault every hunt passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.faults import hunts_lookup, hunts_records, hunts_ring
from tests.faults.plans import run_plan

NAMED: dict[str, Callable[[], None]] = {**hunts_ring.HUNTS, **hunts_lookup.HUNTS, **hunts_records.HUNTS}
_WAITED = re.compile(r"not true after [\d.]+ s: ")


def run(name: str) -> str | None:
    """Run the hunt of this name, or ``plan N``, a random history from seed N; return what it found, None for nothing.

    Any other error than an `AssertionError` is no finding, and raised.
    """
    try:
        if name.startswith("plan "):
            run_plan(int(name.removeprefix("plan ")))
        else:
            NAMED[name]()
    except AssertionError as error:
        return _WAITED.sub("", str(error), count=1)
    return None
