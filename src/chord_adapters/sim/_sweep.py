"""Many simulations side by side: the same seeds and parameters give the same results, whoever carries them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import product
from typing import Any, TypeVar

R = TypeVar("R")


def combinations(**choices: Sequence[Any]) -> list[dict[str, Any]]:
    """Return every combination of the choices for each parameter, the last one varying fastest."""
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def sweep(
    figure: Callable[..., R],
    parameters: Sequence[Mapping[str, Any]],
    executor: Executor | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[R]:
    """Yield what ``figure`` finds for each of ``parameters``, in their order; in this process without an ``executor``.

    Any `concurrent.futures.Executor` will do: processes, or a cluster's (``distributed.Client(...).get_executor()``).  Raises
    what a simulation raises.
    """
    total = len(parameters)
    if executor is None:
        for done, each in enumerate(parameters):
            progress(done, total)
            yield figure(**each)
        return
    futures = [executor.submit(figure, **each) for each in parameters]
    try:
        for done, future in enumerate(futures):
            progress(done, total)
            yield future.result()
    finally:
        for future in futures:
            future.cancel()
