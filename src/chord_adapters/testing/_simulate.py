"""Many plans, each from a seed; and a failing one made small."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from time import perf_counter

import attrs

from chord_adapters.testing._choices import Seeded
from chord_adapters.testing._happenings import KINDS, Event
from chord_adapters.testing._overseer import Broken
from chord_adapters.testing._plan import MakeWorld, Plan, Setup
from chord_adapters.testing._world import World

SOMETIMES = (
    *("create", "join", "leave", "receive", "tick", "unreachable", "perform", "written"),
    *(
        "Notify",
        "ListChanged",
        "Neighbours",
        "Busy",
        "Leaving",
        "TakeOver",
        "Replicate",
        "Copies",
        "Confirm",
        "Elsewhere",
    ),
    *("PeerFailed", "PeerLeft", "assumptions hold", "whole ring checked: Z", "broken: partition"),
    *("did: join", "did: leave", "did: crash", "did: crash, silent", "did: pause", "did: slow disk", "did: clock"),
    *("did: restart", "did: restart without its disk", "did: restart with a torn disk", "did: drift"),
    *("did: partition", "did: partition, one way", "did: cut", "did: cut, one way"),
    *(
        "did: clients",
        "did: steady again",
        "did: lie",
        "did: two wire versions",
        "did: conditional put",
        "did: put with a ttl",
        "did: read of several",
    ),
    *("did: loss", "did: duplicate", "did: reorder", "did: corrupt", "did: delay"),
)
"""What must have happened now and then in a few hundred plans: inputs, messages, facts, and each kind of fault."""
_BUDGET = 400
_PART = 50
"""How many seeds a process is given at a time, at most."""


@attrs.frozen
class Failure:
    """A plan that fails, as small as was found, and what fails."""

    seed: int
    plan: Plan
    error: Exception

    @property
    def name(self) -> str:
        """The property that does not hold, or the class of the error."""
        return name_of(self.error)

    def __str__(self) -> str:
        """Return the plan as a trace, with what fails."""
        return str(self.plan.trace(f"{type(self.error).__name__}: {self.error}"))


@attrs.frozen(kw_only=True)
class Simulated:
    """How far a simulation came, and what was wrong (None: nothing)."""

    plans: int
    events: int
    """Inputs of nodes."""
    seconds: float
    seen: Mapping[str, int]
    """What happened how often."""
    failure: Failure | None = None

    @property
    def never(self) -> tuple[str, ...]:
        """What has never happened: as long as something is named here, a pass says less."""
        return tuple(name for name in SOMETIMES if not self.seen.get(name))

    def __str__(self) -> str:
        """Return it in a few lines."""
        rate = self.events / self.seconds if self.seconds else 0.0
        lines = [f"{self.plans:,} plans, {self.events:,} events, {self.seconds:.1f} s, {rate:,.0f} events/s"]
        lines += [f"never happened: {', '.join(self.never)}"] if self.never else []
        if self.failure is not None:
            lines += [f"the plan of seed {self.failure.seed} fails; as small as was found:", str(self.failure)]
        return "\n".join(lines)


def simulate(
    first: int = 0,
    count: int = 200,
    *,
    steps: int = 30,
    make: MakeWorld = World,
    shrink_within: float = 60.0,
    progress: Callable[[int, int], None] = lambda plans, events: None,
) -> Simulated:
    """Run the plans of ``count`` seeds from ``first`` on, of up to ``steps`` happenings each, until one fails.

    That one is made small for up to ``shrink_within`` seconds.  ``make`` makes the worlds, so that they may have nodes
    of one's own.  ``progress`` is told the plans and events so far after each.
    """
    began, seen, events = perf_counter(), Counter[str](), 0
    failure, done = None, 0
    for seed in range(first, first + count):
        plan = Plan.draw(Seeded(seed), steps)
        try:
            world = plan.run(make)
        except Exception as error:  # noqa: BLE001 whatever a node raises is what is looked for
            failure = Failure(seed, *shrunk(plan, error, make, within=shrink_within))
            break
        done += 1
        events += world.net.counts["steps"]
        seen.update(world.overseer.seen)
        progress(done, events)
    return Simulated(plans=done, events=events, seconds=perf_counter() - began, seen=seen, failure=failure)


def simulate_in_processes(
    first: int,
    count: int,
    *,
    steps: int,
    jobs: int,
    progress: Callable[[int, int], None] = lambda plans, events: None,
) -> Simulated:
    """Do what `simulate` does in ``jobs`` processes, some seeds at a time, until one fails."""
    began, seen, plans, events = perf_counter(), Counter[str](), 0, 0
    failure: Failure | None = None
    last, size = first + count, min(_PART, -(-count // (4 * jobs)))
    begins = range(first, last, size)
    with ProcessPoolExecutor(min(jobs, len(begins)), mp_context=get_context("spawn")) as pool:
        parts = [pool.submit(_part, begin, min(size, last - begin), steps) for begin in begins]
        for part in as_completed(parts):
            simulated = part.result()
            plans, events = plans + simulated.plans, events + simulated.events
            seen.update(simulated.seen)
            progress(plans, events)
            if simulated.failure is not None:
                failure = simulated.failure
                pool.shutdown(cancel_futures=True)
                break
    return Simulated(plans=plans, events=events, seconds=perf_counter() - began, seen=seen, failure=failure)


def _part(first: int, count: int, steps: int) -> Simulated:
    return simulate(first, count, steps=steps)


def name_of(error: Exception) -> str:
    """Return what fails: the name of the property, or else the class of the error."""
    found = re.match(r"[A-Z]\d+\b", str(error)) if isinstance(error, Broken) else None
    return found.group() if found else type(error).__name__


def shrunk(plan: Plan, error: Exception, make: MakeWorld = World, *, within: float) -> tuple[Plan, Exception]:
    """Make a failing plan small: any smaller one in which the same property fails will do."""
    until, left = perf_counter() + within, _BUDGET
    improved = True
    while improved:
        improved = False
        for smaller in _smaller(plan):
            if perf_counter() > until or not left:
                return plan, error
            left -= 1
            found = _error_of(smaller, make)
            if found is not None and name_of(found) == name_of(error):
                plan, error, improved = smaller, found, True
                break
    return plan, error


def _error_of(plan: Plan, make: MakeWorld) -> Exception | None:
    try:
        plan.run(make)
    except Exception as error:  # noqa: BLE001 see above
        return error
    return None


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Yield smaller plans, the boldest first: without runs of events, with a duller setup, with duller numbers."""
    events, size = plan.events, len(plan.events)
    chunk = size
    while chunk:
        for start in range(0, size, chunk):
            yield Plan(plan.setup, events[:start] + events[start + chunk :])
        chunk //= 2
    dull = Setup(seed=plan.setup.seed)
    for name in ("virtual_nodes", "write_ms", "bits", "replicas", "versions", "recursive"):
        if getattr(plan.setup, name) != getattr(dull, name):
            yield Plan(plan.setup.but(name, getattr(dull, name)), events)
    for name in ("size", "successors"):
        for less in range(1, getattr(plan.setup, name)):
            yield Plan(plan.setup.but(name, less), events)
    for position, event in enumerate(events):
        for name, value in event.numbers.items():
            for duller in dict.fromkeys((KINDS[event.kind].numbers[name][0], value % 8)):
                if duller in KINDS[event.kind].numbers[name] and duller != value:
                    changed = Event(event.kind, {**event.numbers, name: duller})
                    yield Plan(plan.setup, (*events[:position], changed, *events[position + 1 :]))
