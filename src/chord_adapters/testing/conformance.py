"""What an adapter must do: checks for those who write their own, without any test framework.

Each check is an asynchronous function of one argument, the adapter: a module or object with ``open_node`` and
``connect`` as in `chord_adapters.asyncio`.  It runs on asyncio or trio, whichever the adapter needs, takes seconds, and
raises `AssertionError` saying what is wrong.  `CHECKS` has them all; `WITHOUT_SOCKETS` those that dial no port over
TCP, for adapters with connections of another kind.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import anyio

from chord_adapters.testing import _bad_peers as bad_peers
from chord_adapters.testing._cancelling import SCENARIOS, still_serves
from chord_adapters.testing._endings import ENDINGS
from chord_adapters.testing._leaks import things, warnings_logged
from chord_adapters.testing._stage import Adapter, Stage, stage_of
from chord_adapters.testing._strangers import stranger
from chord_adapters.testing._tell import check_story, stories

__all__ = [
    "CHECKS",
    "WITHOUT_SOCKETS",
    "check_cancellation",
    "check_leaks",
    "check_silent_peer",
    "check_slow_peer",
    "check_stories",
]


P = ParamSpec("P")


def _bare(check: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
    """Let what a check finds come out as it is, not in the groups of the tasks that it went through."""

    @wraps(check)
    async def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        found: BaseException
        try:
            return await check(*args, **kwargs)
        except BaseExceptionGroup as group:
            found = group
        while isinstance(found, BaseExceptionGroup) and len(found.exceptions) == 1:
            found = found.exceptions[0]
        raise found

    return checked


@_bare
async def check_stories(adapter: Adapter, directory: str | Path | None = None) -> None:
    """Tell every story of a folder, by default those of the package: what is seen is the same on every adapter."""
    for path in stories(directory):
        await check_story(path, adapter=adapter)


@_bare
async def check_cancellation(adapter: Adapter) -> None:
    """Cancel calls, and the whole life of a node and of a client, at each await: nothing is left, nothing is logged."""
    with stage_of(adapter) as stage:
        for scenario, least in SCENARIOS.items():
            name = scenario.__name__.replace("_", " ")
            async with _nothing_left(stage, f"after cancelling {name} at each await"):
                try:
                    runs = await scenario(stage, still_serves)
                except AssertionError as error:
                    raise AssertionError(f"{stage.name}: {name}, {error}") from error
            if runs <= least:
                raise AssertionError(f"{stage.name}: {name} has only {runs - 1} awaits; does every call suspend?")


@_bare
async def check_leaks(adapter: Adapter) -> None:
    """End nodes and clients in every way: no task and no socket stays, and nothing is logged."""
    with stage_of(adapter) as stage:
        for ending in ENDINGS:
            async with _nothing_left(stage, f"after ending {ending.__name__.replace('_', ' ')}"):
                await ending(stage)


@_bare
async def check_slow_peer(adapter: Adapter) -> None:
    """Somebody asks for much and reads nothing, or a byte now and then, or writes so: others are served meanwhile."""
    with _over_sockets(adapter) as stage:
        for slow in bad_peers.SLOW:
            what = f"while somebody {slow.__name__.replace('_', ' ')}"
            async with _nothing_left(stage, what), stage.ring(2) as nodes:
                key = await nodes[0].store(bytes(60_000))
                async with stranger(nodes[1]) as other, anyio.create_task_group() as tasks:
                    await other.say_hello()
                    tasks.start_soon(slow, other, key)
                    await bad_peers.served(stage, nodes, what)
                    tasks.cancel_scope.cancel()
                await bad_peers.served(stage, nodes, f"after what happened {what}")


@_bare
async def check_silent_peer(adapter: Adapter) -> None:
    """Somebody dials, or accepts, and never says a word: nobody waits for him longer than he must."""
    with _over_sockets(adapter) as stage:
        async with _nothing_left(stage, "after silent peers"), stage.ring(2) as nodes:
            async with bad_peers.silent_diallers(nodes[1]):
                await bad_peers.served(stage, nodes, f"while {bad_peers.DIALLERS} connections say nothing")
            async with bad_peers.silent_acceptor() as silent:
                await bad_peers.asks_the_silent(stage, silent)
                await bad_peers.joins_by_the_silent(stage, silent, nodes)
                await bad_peers.served(stage, nodes, "while a contact says nothing")


WITHOUT_SOCKETS: tuple[Callable[[Adapter], Awaitable[None]], ...] = (check_stories, check_cancellation, check_leaks)
CHECKS: tuple[Callable[[Adapter], Awaitable[None]], ...] = (*WITHOUT_SOCKETS, check_slow_peer, check_silent_peer)


@contextmanager
def _over_sockets(adapter: Adapter) -> Iterator[Stage]:
    with stage_of(adapter) as stage:
        if stage.net is not None:
            raise ValueError(f"{stage.name} simulates its network: there is no port to dial")
        yield stage


@asynccontextmanager
async def _nothing_left(stage: Stage, what: str) -> AsyncIterator[None]:
    """Raise `AssertionError` when there are more tasks, sockets or threads of ours than before, or anything was logged."""
    before = things()
    with warnings_logged() as logged:
        yield
        try:
            await stage.until(lambda: not things().more_than(before), "", within=5.0)
        except AssertionError:
            raise AssertionError(f"{stage.name}: {what} there are {things().more_than(before)}") from None
    if logged:
        raise AssertionError(f"{stage.name}: {what} this was logged: {'; '.join(logged[:5])}")
