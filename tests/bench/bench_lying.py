"""How many lookups find the owner while a part of the ring lies, with the checks and without; a table for the docs.

Run it: ``python -m tests.bench.bench_lying [nodes [known peers [lookups [share]]]]``.  All follows from the seeds.
"""

from __future__ import annotations

import sys

from chord_proto.config import Config
from tests.sim.liars import WAYS, grown, measured

SEED = 1


def main(nodes: int = 64, known: int = 512, lookups: int = 400, share: float = 0.25) -> None:
    """Print the table."""
    print(
        f"{nodes} nodes that know up to {known} peers, {share:.0%} lie; {lookups} lookups of honest nodes in each case\n"
    )
    print("| lie | right, unchecked | right, checked | median, ms | 99th percentile, ms | messages a node and second |")
    print("|---|---|---|---|---|---|")
    for how in WAYS:
        unchecked, found = (
            measured(
                grown(nodes, Config(max_known_peers=known, lookup_witnesses=witnesses), SEED),
                how,
                share=share,
                lookups=lookups,
                seed=SEED,
            )
            for witnesses in (0, Config().lookup_witnesses)
        )
        half, last = (1000 * found.seconds[len(found.seconds) * part // 100] for part in (50, 99))
        print(
            "|",
            " | ".join(
                [
                    how,
                    f"{unchecked.share:.1%}",
                    f"{found.share:.1%}",
                    f"{half:.0f}",
                    f"{last:.0f}",
                    f"{found.messages:.0f}",
                ]
            ),
            "|",
            flush=True,
        )


if __name__ == "__main__":
    main(*(int(each) if each.isdecimal() else float(each) for each in sys.argv[1:]))  # type: ignore[arg-type]
