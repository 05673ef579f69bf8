"""``chord check``: search the running code for errors, for people without pytest."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import App, Parameter, validators

from chord_adapters.cli._options import Json, NamedPath
from chord_adapters.cli._outcome import Status, UsageError
from chord_adapters.cli._output import print_json, say
from chord_adapters.testing._explorer import Explored, explore
from chord_adapters.testing._report import draw_path, draw_plan
from chord_adapters.testing._scenario import Scenario
from chord_adapters.testing._simulate import Simulated, simulate, simulate_in_processes

app = App(name="check", help="Search the running code for errors: explore, simulate, fuzz.", help_format="plaintext")

CI = (
    Scenario(members=3, joiners=1, exchanges=False),
    Scenario(members=4, joiners=1, failures=1),
    Scenario(members=5, failures=2),
    Scenario(members=3, joiners=2),
    Scenario(members=3, joiners=1, successors=1),
    Scenario(members=4, failures=1),
    Scenario(members=4, joiners=1, successors=3),
    Scenario(members=5, failures=1, successors=3),
    Scenario(members=1, joiners=2, successors=1),
    Scenario(members=1, joiners=2, successors=2),
    Scenario(members=2, joiners=1, successors=1, exchanges=False),
)
"""What is explored when no scope is named: about two minutes."""

Folder: TypeAlias = Annotated[
    NamedPath, Parameter(name="--out", help="Where the trace and the drawing of what fails are written.")
]
Count: TypeAlias = Annotated[int | None, Parameter(validator=validators.Number(gte=0))]
Positive: TypeAlias = Annotated[int, Parameter(validator=validators.Number(gte=1))]


@app.command(name="explore")
def explore_command(
    *,
    members: Annotated[Count, Parameter(help="Members of the ideal ring at first.")] = None,
    joiners: Annotated[Count, Parameter(help="Nodes that join.")] = None,
    failures: Annotated[Count, Parameter(help="Members that fail.")] = None,
    successors: Annotated[
        Positive, Parameter(name=["--successors", "-r"], help="r, how long successor lists are.")
    ] = 2,
    grain: Annotated[
        Literal["exchanges", "messages"], Parameter(help="What is one step: a request with its answer, or one message.")
    ] = "exchanges",
    limit: Annotated[Positive, Parameter(help="States after which a search is given up.")] = 2_000_000,
    out: Folder = Path(),
    json: Json = False,
) -> int:
    """Go through every order of events of small rings of real nodes; without a scope, those of the project's CI.

    Status 1 when an invariant is broken or a ring does not heal.
    """
    if members is None:
        if joiners is not None or failures is not None:
            raise UsageError("--joiners and --failures need --members")
        scenarios: tuple[Scenario, ...] = CI
    else:
        if members < 1:
            raise UsageError("a ring has at least one member")
        scenarios = (
            Scenario(
                members=members,
                joiners=joiners or 0,
                failures=failures or 0,
                successors=successors,
                exchanges=grain == "exchanges",
            ),
        )
    found = []
    for scenario, explored in _explored(scenarios, limit):
        _clear()
        found.append((scenario, explored))
        if not json:
            print(f"{_words(scenario)}: {explored}", flush=True)
    if json:
        print_json({"scopes": [_fields(scenario, explored) for scenario, explored in found]})
    for scenario, explored in found:
        if explored.problem is not None:
            _write(out, "explore", *draw_path(scenario, explored))
    return Status.FAILED if any(explored.problem is not None for _, explored in found) else Status.FINE


@app.command(name="simulate")
def simulate_command(
    *,
    seeds: Annotated[Positive, Parameter(help="How many plans.")] = 200,
    first: Annotated[int, Parameter(help="The seed of the first plan.", validator=validators.Number(gte=0))] = 0,
    steps: Annotated[Positive, Parameter(help="How much happens in a plan at most.")] = 30,
    jobs: Annotated[Positive, Parameter(help="Processes to share the seeds among.")] = 1,
    out: Folder = Path(),
    json: Json = False,
) -> int:
    """Run plans of joins, leaves, crashes, cuts, bad links and clients on whole rings in virtual time.

    After each the ring must heal, and what was acknowledged must be there. Status 1 when something does not hold.
    """
    progress = _progress("simulate", "plans")
    if jobs > 1:
        simulated = simulate_in_processes(first, seeds, steps=steps, jobs=jobs, progress=progress)
    else:
        simulated = simulate(first, seeds, steps=steps, progress=progress)
    _clear()
    failure = simulated.failure
    if json:
        print_json(_simulated(simulated))
    else:
        print(simulated, flush=True)
    if failure is not None:  # Printed first: what was found is not lost if it cannot be written.
        _write(out, "simulate", *draw_plan(failure))
    return Status.FINE if failure is None else Status.FAILED


@app.command(name="fuzz")
def fuzz_command(
    *,
    cases: Annotated[Positive, Parameter(help="How many cases of each kind.")] = 2_000,
    seed: Annotated[int, Parameter(help="From what all of it follows.", validator=validators.Number(gte=0))] = 0,
    json: Json = False,
) -> int:
    """Give bytes that are no messages, and messages that nobody expects, to the codec, the connections and the nodes.

    Status 1 when one of them raises, grows, or takes one thing for another.
    """
    try:
        from chord_adapters.testing._fuzz import fuzz
    except ModuleNotFoundError as error:
        raise UsageError("fuzz needs hypothesis, of the extra chord-dht[testing]") from error
    found = fuzz(cases, seed=seed, progress=_progress("fuzz", "cases"))
    _clear()
    if json:
        print_json({"cases": found.cases, "seed": seed, "problem": found.problem, "seconds": round(found.seconds, 3)})
    else:
        print(found)
        if found.problem is not None:
            print(f"to go through it again: chord check fuzz --cases {cases} --seed {seed}")
    return Status.FINE if found.problem is None else Status.FAILED


def _explored(scenarios: Sequence[Scenario], limit: int) -> Iterator[tuple[Scenario, Explored]]:
    """Search them, several at the same time where there are processors for it; yield in their order."""
    jobs = min(len(scenarios), os.cpu_count() or 1)
    if jobs == 1:
        for scenario in scenarios:
            yield scenario, explore(scenario, limit=limit, progress=_progress(_words(scenario), "states"))
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        searches = [(scenario, pool.submit(explore, scenario, limit=limit)) for scenario in scenarios]
        for number, (scenario, search) in enumerate(searches):
            _progress("explore", f"of {len(searches)} scopes")(number, 0)
            yield scenario, search.result()


def _words(scenario: Scenario) -> str:
    counts = [f"{scenario.members} members", f"{scenario.joiners} joiners", f"{scenario.failures} failures"]
    return f"{', '.join(counts)}, r = {scenario.successors}, {scenario.grain}"


def _fields(scenario: Scenario, explored: Explored) -> dict[str, object]:
    fields: dict[str, object] = {
        "grain": scenario.grain,
        "members": scenario.members,
        "joiners": scenario.joiners,
        "failures": scenario.failures,
        "r": scenario.successors,
        "states": explored.states,
        "transitions": explored.transitions,
        "depth": explored.depth,
        "states_per_s": round(explored.states_per_s),
        "finished": explored.finished,
        "violations": int(explored.problem is not None),
        "never": list(explored.never),
    }
    if explored.problem is not None:
        fields |= {"problem": explored.problem, "path": [" ".join(action) for action in explored.path]}
    return fields


def _simulated(simulated: Simulated) -> dict[str, object]:
    failure = simulated.failure
    return {
        "plans": simulated.plans,
        "events": simulated.events,
        "seconds": round(simulated.seconds, 3),
        "events_per_s": round(simulated.events / simulated.seconds) if simulated.seconds else 0,
        "never": list(simulated.never),
        "violations": int(failure is not None),
        "failure": None
        if failure is None
        else {"seed": failure.seed, "property": failure.name, "message": str(failure.error), "trace": str(failure)},
    }


def _write(folder: Path, name: str, trace: str, page: str) -> None:
    """Keep a counterexample, and say how to go through it again, or that it cannot be kept: it was printed before."""
    text, drawing = folder / f"chord-{name}.trace", folder / f"chord-{name}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text.write_text(trace, encoding="utf-8")
        drawing.write_text(page, encoding="utf-8")
    except OSError as error:
        say(f"it cannot be written: {error}")
        return
    say(f"drawn in {drawing}; to go through it again: chord replay {shlex.quote(str(text))}")


def _progress(what: str, unit: str) -> Callable[[int, int], None]:
    """Return what shows on a terminal how far it is."""

    def show(done: int, _: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{what}: {done:,} {unit} ", end="", file=sys.stderr, flush=True)

    return show


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
