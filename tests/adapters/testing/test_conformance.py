"""The conformance kit: our own adapters pass it, and adapters that are wrong in one way each do not."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

import chord_adapters.asyncio
from chord_adapters import Entry, _links, memory
from chord_adapters.testing import _bad_peers, _cancelling, _stage
from chord_adapters.testing._stage import Adapter
from chord_adapters.testing.conformance import (
    CHECKS,
    WITHOUT_SOCKETS,
    check_cancellation,
    check_leaks,
    check_silent_peer,
    check_slow_peer,
    check_stories,
)
from tests.adapters.backends import LOOPS, SOCKETS, Backend

Check = Callable[[Adapter], Awaitable[None]]
OURS = chord_adapters.asyncio
names = [check.__name__ for check in CHECKS]
SOUND = [(backend, check) for backend in SOCKETS for check in CHECKS if check is not check_stories]
"""The stories have tests of their own, one each."""


@pytest.mark.parametrize("backend, check", SOUND, ids=[f"{backend}-{check.__name__}" for backend, check in SOUND])
def test_our_adapters_pass(backend: Backend, check: Check) -> None:
    """Those of asyncio and trio, over real sockets."""
    anyio.run(check, backend.adapter, backend=backend.loop)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("check", [check for check in WITHOUT_SOCKETS if check is not check_stories])
def test_the_simulation_passes(check: Check, loop: str) -> None:
    """Memory, on both loops, passes what does not need sockets."""
    anyio.run(check, memory, backend=loop)


@pytest.mark.parametrize("check", [check_slow_peer, check_silent_peer])
def test_a_simulated_network_has_no_port(check: Check) -> None:
    """What dials a port cannot be asked of a simulation, and says so."""
    with pytest.raises(ValueError, match=r"chord_adapters.memory simulates its network"):
        anyio.run(check, memory)


def test_the_checks_are_listed() -> None:
    """Who parametrises over the lists has every check."""
    expected = ["check_stories", "check_cancellation", "check_leaks", "check_slow_peer", "check_silent_peer"]
    assert expected == names
    assert CHECKS[:3] == WITHOUT_SOCKETS


def test_stories_of_one_s_own(tmp_path: Path) -> None:
    """A folder of stories is told; an empty one is a mistake."""
    with pytest.raises(ValueError, match="there are no"):
        anyio.run(check_stories, memory, tmp_path)
    (tmp_path / "x.story").write_text("# chord story 1\nstart a\n----\nready\n")
    anyio.run(check_stories, memory, tmp_path)
    (tmp_path / "y.story").write_text("# chord story 1\nstart a\n----\nsteady\n")
    with pytest.raises(AssertionError, match="something else was seen"):
        anyio.run(check_stories, memory, tmp_path)


# Adapters that are wrong


@attrs.frozen
class Wrong:
    """Our asyncio adapter with another ``open_node`` or ``connect``."""

    open_node: Callable[..., AbstractAsyncContextManager[Any]] = OURS.open_node
    connect: Callable[..., AbstractAsyncContextManager[Any]] = OURS.connect


class Cut:
    """A node that gives the first bytes of a value."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    async def get(self, key: str, **keywords: Any) -> Entry | None:
        """Return the entry with its value cut."""
        entry: Entry | None = await self._node.get(key, **keywords)
        return None if entry is None else attrs.evolve(entry, value=entry.value[:3])


class Locked(Cut):
    """A node of those that write one at a time, and forget to unlock when they are cancelled."""

    locked = False

    async def put(self, *arguments: Any, **keywords: Any) -> Any:
        """Write, holding the lock."""
        while Locked.locked:
            await anyio.sleep(0.01)
        Locked.locked = True
        done = await self._node.put(*arguments, **keywords)
        Locked.locked = False
        return done


def dressed(kind: Callable[[Any], Any]) -> Wrong:
    """Return an adapter whose nodes are made into something else."""

    @asynccontextmanager
    async def open_node(*arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
        async with OURS.open_node(*arguments, **keywords) as node:
            yield kind(node)

    return Wrong(open_node=open_node)


def ending(do: Callable[[], object]) -> Wrong:
    """Return an adapter that does something more when a node has ended."""

    @asynccontextmanager
    async def open_node(*arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
        try:
            async with OURS.open_node(*arguments, **keywords) as node:
                yield node
        finally:
            do()

    return Wrong(open_node=open_node)


def fails(check: Check, adapter: Wrong, message: str) -> None:
    """Check that a check of this adapter fails, saying this."""
    with pytest.raises(AssertionError, match=message):
        anyio.run(check, adapter)


@pytest.mark.slow
def test_a_wrong_value_is_seen() -> None:
    """The stories notice that values come back cut."""
    fails(check_stories, dressed(Cut), r"-record \(version 1\)\n\+rec \(version 1\)")


@pytest.mark.slow
def test_a_lock_that_stays_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep notices that after some cancellation nothing goes on."""
    monkeypatch.setattr(Locked, "locked", False)
    monkeypatch.setattr(_cancelling, "PATIENCE", 0.5)
    fails(check_cancellation, dressed(Locked), "cancelled at suspension .* something hung")


@pytest.mark.slow
def test_a_task_that_stays_is_seen() -> None:
    """A task left behind is counted."""
    kept: list[asyncio.Task[None]] = []
    adapter = ending(lambda: kept.append(asyncio.get_running_loop().create_task(asyncio.sleep(3600.0))))
    fails(check_leaks, adapter, "after ending normally there are 4 tasks instead of 1")


@pytest.mark.slow
def test_a_socket_that_stays_is_seen() -> None:
    """A socket left open is counted."""
    kept: list[socket.socket] = []
    fails(check_leaks, ending(lambda: kept.append(socket.socket())), r"there are \d+ sockets instead of \d+")
    for each in kept:
        each.close()


@pytest.mark.slow
def test_a_warning_is_seen() -> None:
    """What is logged is told."""
    adapter = ending(lambda: logging.getLogger("mine").warning("oh dear"))
    fails(check_leaks, adapter, "after ending normally this was logged: mine: oh dear")


@pytest.mark.slow
def test_a_group_round_the_body_s_exception_is_seen() -> None:
    """An adapter that lets its task group wrap the body's exception is told so."""

    @asynccontextmanager
    async def open_node(*arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
        async with anyio.create_task_group(), OURS.open_node(*arguments, **keywords) as node:
            yield node

    fails(check_leaks, Wrong(open_node=open_node), "the body's own exception came out as ExceptionGroup")


@pytest.mark.slow
def test_strangers_that_take_all_places_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that lets silent connections keep all its places serves nobody else."""

    def keep_out(links: _links.Links, wire: _links.Wire, *arguments: Any, **keywords: Any) -> _links.Link | None:
        return take(links, wire, *arguments, **keywords) if len(links.inbound) < 10 else None

    take = _links.Links.accepted
    monkeypatch.setattr(_links.Links, "accepted", keep_out)
    monkeypatch.setattr(_bad_peers, "SERVED_WITHIN", 0.5)
    fails(check_silent_peer, Wrong(), "while 20 connections say nothing others are not served")


@pytest.mark.slow
def test_a_client_that_waits_for_ever_is_seen() -> None:
    """A call that does not keep its time is told."""

    class Patient(Cut):
        async def get(self, key: str, **keywords: Any) -> Entry | None:
            await asyncio.sleep(3.0)
            return await super().get(key, **keywords)

    @asynccontextmanager
    async def connect(*arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
        async with OURS.connect(*arguments, **keywords) as client:
            yield Patient(client)

    fails(check_silent_peer, Wrong(connect=connect), "a call of 0.5 s to somebody who says nothing took 3")


@pytest.mark.slow
def test_who_serves_one_at_a_time_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose loop stands still while somebody asks for much serves others too late."""
    take = _links.Links.received

    def slow(links: _links.Links, link: _links.Link, data: bytes, now: float) -> None:
        if not link.dialled and link.connection.remote_address is None:
            import time

            time.sleep(0.3)
        take(links, link, data, now)

    monkeypatch.setattr(_links.Links, "received", slow)
    monkeypatch.setattr(_bad_peers, "SERVED_WITHIN", 0.5)
    fails(check_slow_peer, Wrong(), "while somebody reads nothing others are not served")


@pytest.mark.slow
def test_patience_is_bounded() -> None:
    """What must happen and does not is told, not waited for for ever."""

    async def wait() -> None:
        with _stage.stage_of(OURS) as stage:
            await stage.until(lambda: False, "never", within=0.05)

    with pytest.raises(AssertionError, match=r"chord_adapters.asyncio: not within 0.05 s: never"):
        anyio.run(partial(wait))
