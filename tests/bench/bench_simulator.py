"""Ten nodes under churn in virtual time, and how many inputs a second the simulator carries out.

Run it: ``python tests/bench/bench_simulator.py [virtual seconds] [processes]``.  Nodes crash, leave, join and come back,
one change every two seconds, while clients read and write.  It is measured in turns with every invariant checked and with
none, the best of five rounds each in CPU time; then with every invariant checked in several processes at once, by the
clock.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from chord_adapters.testing import World
from chord_proto.config import Config
from chord_proto.operations import Get, Put

SECONDS = 160
ROUNDS = 5
CONFIG = Config(successors=3, predecessors=3, replicas=3)


def churn(seed: int, seconds: int, *, checked: bool = True) -> tuple[int, float]:
    """Run a ring for so many virtual seconds; return how many inputs nodes got, and the CPU seconds that took."""
    world = World(seed, CONFIG, size=10)
    if not checked:
        world.net.watch = None
    begun, began = world.net.counts["steps"], time.process_time()
    for turn in range(seconds // 2):
        up = world.up
        who = up[turn % len(up)]
        if turn % 4 == 0 and len(up) > 8 and who != up[0]:
            world.crash(who, silent=bool(turn % 8))
        elif turn % 8 == 1 and world.net.down:
            world.restart(world.net.down[0], via=[up[0]])
        elif turn % 4 == 1:
            world.join([up[0]])
        elif turn % 4 == 2 and len(up) > 9 and who != up[0]:
            world.leave(who)
        for client in range(3):
            world.perform(world.up[(turn + client) % len(world.up)], Put(b"%d" % (turn % 7), b"value %d" % turn))
            world.perform(world.up[(turn + 2 * client) % len(world.up)], Get(b"%d" % (turn % 7)))
        world.net.run_for(2.0)
        world.collect()
    return world.net.counts["steps"] - begun, time.process_time() - began


def main(seconds: int = SECONDS, jobs: int = os.cpu_count() or 1) -> None:
    """Measure and print."""
    rates: dict[bool, float] = {True: 0.0, False: 0.0}
    inputs = 0
    for _ in range(ROUNDS):
        for checked in (True, False):
            inputs, took = churn(1, seconds, checked=checked)
            rates[checked] = max(rates[checked], inputs / took)
    print(f"{inputs:,} inputs of ten nodes in {seconds} s of virtual time")
    print(f"everything checked: {rates[True]:,.0f} inputs a second of CPU time")
    print(f"nothing checked:    {rates[False]:,.0f}")
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        list(pool.map(churn, range(jobs), [2] * jobs))  # Begin when all have begun.
        began = time.perf_counter()
        done = sum(count for count, _ in pool.map(churn, range(4 * jobs), [seconds] * 4 * jobs))
        rate = done / (time.perf_counter() - began)
    print(f"everything checked, {jobs} processes: {rate:,.0f} inputs a second")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
