"""``chord sim``: the figures of the papers and of this project, from the node that also runs in production."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from math import inf
from multiprocessing import get_context
from typing import Annotated, Any, TypeAlias

import attrs
from cyclopts import App, Parameter, validators

from chord_adapters import sim
from chord_adapters.cli._options import Json
from chord_adapters.cli._outcome import Status, UsageError
from chord_adapters.cli._output import print_columns, print_json

app = App(
    name="sim",
    help="Simulate rings of real nodes: path-length, latency, load, failure, churn, merge.",
    help_format="plaintext",
)

Positive: TypeAlias = Annotated[int, Parameter(validator=validators.Number(gte=1))]
Several: TypeAlias = Annotated[
    list[int], Parameter(consume_multiple=True, negative="", validator=lambda _, values: _each_positive(values))
]
Shares: TypeAlias = Annotated[list[float], Parameter(consume_multiple=True, negative="")]
Lookups: TypeAlias = Annotated[Positive, Parameter(help="How many lookups.")]
VirtualNodes: TypeAlias = Annotated[Several, Parameter(help="How many places each node has.")]
Successors: TypeAlias = Annotated[
    int | None, Parameter(help="r, how long successor lists are.", validator=validators.Number(gte=1, lte=64))
]
Production: TypeAlias = Annotated[
    bool, Parameter(help="With the defaults of Config, not the papers' settings.", negative="")
]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Run:
    """Which seeds, who carries it out, and how it is printed."""

    seed: Annotated[int, Parameter(help="From what all of it follows.", validator=validators.Number(gte=0))] = 0
    seeds: Annotated[Positive, Parameter(help="How many seeds, from --seed on.")] = 1
    jobs: Annotated[
        int | None,
        Parameter(help="Processes among which several simulations are shared.", validator=validators.Number(gte=1)),
    ] = None
    dask: Annotated[str | None, Parameter(help="The scheduler of a Dask cluster that shall do it, as HOST:PORT.")] = (
        None
    )
    json: Json = False


_RUN = Run()


def _each_positive(values: Sequence[int]) -> None:
    if any(value < 1 for value in values):
        raise ValueError("each must be at least 1")


@app.command(name="path-length")
def path_length(
    *,
    nodes: Annotated[Several, Parameter(help="How many nodes; several numbers, several simulations.")] = [1000],  # noqa: B006
    lookups: Lookups = 10_000,
    virtual_nodes: VirtualNodes = [1],  # noqa: B006
    successors: Successors = None,
    production: Production = False,
    run: Run = _RUN,
) -> int:
    """Look random keys up on a ring at rest, and count the nodes that were asked (SIGCOMM 2001, figure 10)."""
    return _show(
        sim.path_length,
        run,
        nodes=nodes,
        virtual_nodes=virtual_nodes,
        lookups=[lookups],
        successors=[successors],
        in_production=[production],
    )


@app.command
def latency(
    *,
    nodes: Annotated[Several, Parameter(help="How many nodes; several numbers, several simulations.")] = [1000],  # noqa: B006
    lookups: Lookups = 2000,
    before: Annotated[
        Positive, Parameter(help="How many lookups of each node come before, so that it knows others.")
    ] = 20,
    virtual_nodes: VirtualNodes = [1],  # noqa: B006
    successors: Successors = None,
    production: Production = False,
    run: Run = _RUN,
) -> int:
    """Look random keys up among hosts in different parts of the world, without and with a preference for near peers."""
    return _show(
        sim.latency,
        run,
        nodes=nodes,
        lookups=[lookups],
        before=[before],
        virtual_nodes=virtual_nodes,
        successors=[successors],
        in_production=[production],
        proximity=[False, True],
    )


@app.command
def load(
    *,
    nodes: Annotated[Several, Parameter(help="How many nodes; several numbers, several simulations.")] = [10_000],  # noqa: B006
    keys: Annotated[Positive, Parameter(help="How many keys.")] = 500_000,
    virtual_nodes: VirtualNodes = [1],  # noqa: B006
    run: Run = _RUN,
) -> int:
    """Give random keys to their owners, and count those of each node (SIGCOMM 2001, figures 8 and 9).

    The places alone say whose a key is: nothing is looked up, and nobody has a list
    of successors, so that --lookups, --successors and --production have no meaning here.
    """
    return _show(
        sim.load,
        run,
        nodes=nodes,
        virtual_nodes=virtual_nodes,
        keys=[keys],
    )


@app.command
def failure(
    *,
    nodes: Annotated[Several, Parameter(help="How many nodes; several numbers, several simulations.")] = [1000],  # noqa: B006
    fraction: Annotated[Shares, Parameter(help="Which share of them dies at once, from 0 to less than 1.")] = [0.5],  # noqa: B006
    lookups: Lookups = 10_000,
    virtual_nodes: VirtualNodes = [1],  # noqa: B006
    successors: Successors = None,
    production: Production = False,
    run: Run = _RUN,
) -> int:
    """Look random keys up after a share of the nodes has died, before anything is repaired (ToN 2003, table II)."""
    if any(not 0 <= each < 1 for each in fraction):
        raise UsageError("a fraction is from 0 to less than 1")
    return _show(
        sim.failure,
        run,
        nodes=nodes,
        fraction=fraction,
        virtual_nodes=virtual_nodes,
        lookups=[lookups],
        successors=[successors],
        in_production=[production],
    )


@app.command
def churn(
    *,
    nodes: Annotated[Several, Parameter(help="How many nodes; several numbers, several simulations.")] = [1000],  # noqa: B006
    rate: Annotated[Shares, Parameter(help="Joins a second, and leaves a second.")] = [0.05],  # noqa: B006
    lookups: Lookups = 1000,
    virtual_nodes: VirtualNodes = [1],  # noqa: B006
    successors: Successors = None,
    production: Production = False,
    run: Run = _RUN,
) -> int:
    """Look one random key up a second while nodes join and leave (ToN 2003, table III)."""
    if not all(0 <= each < inf for each in rate):
        raise UsageError("a rate is a number that is not negative")
    return _show(
        sim.churn,
        run,
        nodes=nodes,
        rate=rate,
        virtual_nodes=virtual_nodes,
        lookups=[lookups],
        successors=[successors],
        in_production=[production],
    )


@app.command
def merge(
    *,
    nodes: Annotated[Several, Parameter(help="How many nodes; several numbers, several simulations.")] = [64],  # noqa: B006
    parts: Annotated[Several, Parameter(help="Into how many parts the ring is cut.")] = [2],  # noqa: B006
    virtual_nodes: VirtualNodes = [1],  # noqa: B006
    successors: Successors = None,
    run: Run = _RUN,
) -> int:
    """Cut a ring into parts for a minute, and measure until it is one again.

    Nothing is looked up, and the settings are those of production: --lookups and
    --production have no meaning here.
    """
    if any(not 2 <= part <= count for part in parts for count in nodes):
        raise UsageError("a ring is cut into at least two parts, and at most as many as it has nodes")
    return _show(
        sim.merge,
        run,
        nodes=nodes,
        parts=parts,
        virtual_nodes=virtual_nodes,
        successors=[successors],
    )


def _show(figure: Callable[..., Any], run: Run, **choices: Sequence[Any]) -> int:
    """Simulate and print: one result by its names, several as a table; as JSON one document, ``runs`` if there are several."""
    parameters = sim.combinations(**choices, seed=range(run.seed, run.seed + run.seeds))
    with _executor(run, len(parameters)) as executor, _bar(len(parameters), figure.__name__) as progress:
        if len(parameters) == 1 and executor is None:
            results = [figure(**parameters[0], progress=progress)]
        else:
            results = list(sim.sweep(figure, parameters, executor, progress=progress))
    varied = [name for name, values in choices.items() if len(values) > 1] + ["seed"] * (len(parameters) > 1)
    runs = [
        {**attrs.asdict(result), **{name: each[name] for name in varied}}
        for each, result in zip(parameters, results, strict=True)
    ]
    if run.json:
        print_json(runs[0] if len(runs) == 1 else {"runs": runs})
    elif len(runs) == 1:
        print_columns([(name, *_words(value)) for name, value in runs[0].items()])
    else:
        names = [name for name, value in runs[0].items() if not isinstance(value, dict)]
        print_columns([names, *([_number(each[name]) for name in names] for each in runs)])
    return Status.FINE


def _words(value: Any) -> list[str]:
    """Return a value for people: a histogram as its columns."""
    if isinstance(value, dict):
        return ["  ".join(f"{key}: {count}" for key, count in value.items())]
    return [_number(value)]


def _number(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}"


@contextmanager
def _executor(run: Run, count: int) -> Iterator[Executor | None]:
    """Yield who carries simulations out; None: this process, one after the other."""
    if run.dask is not None:
        try:
            from distributed import Client  # type: ignore[import-not-found,unused-ignore]
        except ModuleNotFoundError as error:
            raise UsageError("--dask needs distributed, of the extra chord-dht[dask]") from error
        with Client(run.dask, timeout="10s") as client:  # type: ignore[no-untyped-call,unused-ignore]
            yield client.get_executor()
        return
    jobs = min(count, (os.cpu_count() or 1) if run.jobs is None else run.jobs)
    if jobs == 1:
        yield None
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield pool


@contextmanager
def _bar(count: int, what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what shows on a terminal how much is done."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=count)
        yield lambda done, total: progress.update(task, completed=done, total=total)
