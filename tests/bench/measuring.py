"""Rates and CPU time of operations, measured in turns, so that what else the machine does hits all alike."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping
from statistics import median

import anyio
import attrs

from tests.bench.echo import Call


@attrs.frozen
class Sample:
    """What one round of one contestant took; seconds."""

    operations: int
    wall: float
    cpu: float


@attrs.frozen
class Measured:
    """The medians of all rounds."""

    rate: float
    """Operations a second."""
    cpu: float
    """CPU seconds of the whole process for an operation: both ends, and the kernel's part in their sends."""


_numbers = itertools.count()


async def sample(call: Call, depth: int, seconds: float) -> Sample:
    """Keep ``depth`` operations under way for so many seconds."""
    done = 0
    end = time.perf_counter() + seconds

    async def work() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call(next(_numbers))
            done += 1

    wall, cpu = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as group:
        for _ in range(depth):
            group.start_soon(work)
    return Sample(done, time.perf_counter() - wall, time.process_time() - cpu)


async def compare(calls: Mapping[str, Call], depth: int, seconds: float, rounds: int) -> dict[str, Measured]:
    """Measure all in turns, so many rounds, after one round that does not count."""
    samples: dict[str, list[Sample]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            taken = await sample(call, depth, seconds)
            if number:
                samples[name].append(taken)
    return {name: measured(taken) for name, taken in samples.items()}


def measured(samples: Iterable[Sample]) -> Measured:
    """Return the medians."""
    taken = list(samples)
    return Measured(
        rate=median(each.operations / each.wall for each in taken),
        cpu=median(each.cpu / each.operations for each in taken),
    )
