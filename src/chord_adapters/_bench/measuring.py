"""Rates, times and CPU time of operations, measured in turns, so that what else the machine does hits all alike."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from statistics import median
from typing import TypeAlias

import anyio
import attrs

from chord_adapters._bench.outcome import Effort, Line

Call: TypeAlias = Callable[[int], Awaitable[object]]
"""Does one operation, the one of this number; what is not true was not done."""


@attrs.frozen
class Sample:
    """What one round of one contestant took; seconds."""

    taken: Sequence[float]
    """By each operation that was done."""
    missed: int
    """Operations that found nothing."""
    wall: float
    cpu: float
    """Of the whole process: both ends, and the kernel's part in their sends."""


_numbers = itertools.count()


async def sample(call: Call, depth: int, seconds: float) -> Sample:
    """Keep ``depth`` operations under way for so many seconds, and do at least that many."""
    taken: list[float] = []
    missed = 0
    began = time.perf_counter()
    end = began + seconds

    async def work() -> None:
        nonlocal missed
        now = time.perf_counter()
        while True:  # At least one, however late it is by now.
            start = now
            done = await call(next(_numbers))
            now = time.perf_counter()
            if done:
                taken.append(now - start)
            else:
                missed += 1
            if now >= end:
                return

    cpu = time.process_time()
    async with anyio.create_task_group() as group:
        for _ in range(depth):
            group.start_soon(work)
    return Sample(taken, missed, time.perf_counter() - began, time.process_time() - cpu)


async def compare(what: str, calls: Mapping[str, Call], depth: int, effort: Effort) -> list[Line]:
    """Measure all in turns, so many rounds, after one round that does not count."""
    samples: dict[str, list[Sample]] = {name: [] for name in calls}
    for number in range(effort.rounds + 1):
        for name, call in calls.items():
            effort.tell(f"{what}: {name}, round {number} of {effort.rounds}")
            found = await sample(call, depth, effort.seconds)
            if number:
                samples[name].append(found)
    return [line_of(name, found) for name, found in samples.items()]


def line_of(who: str, samples: Sequence[Sample]) -> Line:
    """Return the medians of the rounds, and of the time of all operations."""
    fine = [each for each in samples if each.taken]
    missed = sum(each.missed for each in samples)
    note = f"{missed} found nothing" if missed else ""
    if not fine:
        return Line(who, note=note or "nothing was done in time")
    times = sorted(itertools.chain.from_iterable(each.taken for each in fine))
    values = {
        "rate_per_s": median(len(each.taken) / each.wall for each in fine),
        "cpu_us": 1e6 * median(each.cpu / len(each.taken) for each in fine),
        "median_ms": 1e3 * median(times),
        "p99_ms": 1e3 * times[len(times) * 99 // 100],
    }
    return Line(who, values, note)
