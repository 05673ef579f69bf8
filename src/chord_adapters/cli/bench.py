"""``chord bench``: how fast this is, beside its peers and the bare limit, in one run."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter, validators

from chord_adapters._bench.figures import FIGURES, Figure, measure
from chord_adapters._bench.machine import in_words, machine
from chord_adapters._bench.outcome import Effort, Outcome
from chord_adapters._descriptors import raise_limit
from chord_adapters.cli._options import Json
from chord_adapters.cli._output import print_columns, print_json

above_zero = validators.Number(gt=0)


def bench(
    *figures: Annotated[Figure, Parameter(help="What to measure, by default all.")],
    seconds: Annotated[float, Parameter(validator=above_zero, help="How long each sample takes.")] = 1.0,
    rounds: Annotated[
        int, Parameter(validator=validators.Number(gte=1), help="How many samples of each, all of them in turns.")
    ] = 5,
    megabytes: Annotated[float, Parameter(validator=above_zero, help="The length of the value of transfer.")] = 1000.0,
    quick: Annotated[
        bool, Parameter(negative="", help="Rings of a few nodes, to see that all works; the figures mean nothing.")
    ] = False,
    json: Json = False,
) -> int:
    """Measure rates, times and costs beside the bare limit and the peers that are installed, in the same run.

    The peers are kademlia, kademlia-dynamic and opendht: python -m pip install
    kademlia==2.2.3 kademlia-dynamic==1.1.1 opendht==4.4.2. All share this process
    and take turns; what is shown are medians over the rounds, and CPU time of all
    ends together. Each goal says whether it was reached, but with --quick; the status
    is 0 in any case, since absolute times say little on a shared machine.
    """
    raise_limit()
    effort = Effort(seconds=seconds, rounds=rounds, megabytes=megabytes, quick=quick, tell=_tell)
    found = machine()
    if not json:
        print(in_words(found), flush=True)
    outcomes: dict[str, Outcome] = {}
    for name in figures or tuple(FIGURES):
        outcomes[name] = measure(name, effort)
        _tell("")
        if not json:
            _print(name, outcomes[name])
    if json:
        fields = {name: outcome.fields() for name, outcome in outcomes.items()}
        print_json({"machine": found, "seconds": seconds, "rounds": rounds, "quick": quick, "figures": fields})
    return 0


def _print(name: str, outcome: Outcome) -> None:
    print(f"\n{name}: {outcome.title}")
    print_columns(outcome.rows())
    for goal in outcome.goals:
        print(f"  {goal}")
    sys.stdout.flush()


def _tell(what: str) -> None:
    """Show a person how far it is, on the line where that was shown before."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)
