"""A process that runs out of file descriptors goes on with those that it has, says so, and recovers by itself."""

from __future__ import annotations

import logging
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from chord_adapters import _authority, _descriptors
from chord_adapters._node import Node
from chord_adapters._tls import Tls
from chord_adapters.testing._stage import QUICK
from tests.adapters.backends import LISTEN, Backend, over_sockets, ring, settled, until
from tests.adapters.descriptors import no_descriptors

pytestmark = pytest.mark.anyio


def starved(node: Node) -> int:
    """Return how often it had no descriptor."""
    return node.stats().links.starved


@contextmanager
def strangers(number: int) -> Iterator[list[socket.socket]]:
    """Return so many sockets for connections on which nothing is said."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.setblocking(False)
        yield sockets


def connect_all(sockets: list[socket.socket], address: str) -> None:
    """Let them connect; that takes no descriptor of theirs."""
    host, _, port = address.rpartition(":")
    for each in sockets:
        each.connect_ex((host, int(port)))


@over_sockets
async def test_nobody_can_be_let_in(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """It tries again now and then, says so once, serves those who are in, and lets the next in when it can."""
    async with ring(backend, 2) as nodes, backend.connect(nodes[0].address) as client:
        await client.put("k", b"v")
        before = nodes[0].stats().links
        with strangers(1) as sockets:
            with no_descriptors():
                connect_all(sockets, nodes[0].address)
                began = backend.now()
                await until(lambda: starved(nodes[0]) >= 6, "it has no descriptor")
                assert backend.now() - began > 0.4  # It does not spin.
                assert b"v" == (await client.get("k")).value
                await client.put("k", b"w", w="all")
                assert before.accepted == nodes[0].stats().links.accepted
            await until(lambda: nodes[0].stats().links.accepted > before.accepted, "the stranger is let in")
        assert (0, 0) == (nodes[0].stats().links.dial_failures, nodes[0].stats().links.turned_away)
        await settled(nodes)
    warned = [each.getMessage() for each in caplog.get_records("call") if each.levelno >= logging.WARNING]
    assert 1 == len(warned)
    assert "file descriptors run out" in warned[0]


@over_sockets
async def test_nobody_can_be_dialled(backend: Backend) -> None:
    """That is its own trouble, and not the death of those whom it would dial: it goes on once it can."""
    async with ring(backend, 1) as [node], backend.connect(node.address) as client:
        with no_descriptors() as hog:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.get, "k")
                await until(lambda: client._asker.links.counters.starved >= 6, "it has no descriptor")
                assert 0 == client._asker.links.counters.dial_failures
                hog.free_all()


@over_sockets
async def test_a_neighbour_that_cannot_be_dialled_is_no_suspect(backend: Backend) -> None:
    """A member without descriptors keeps its neighbours."""
    async with ring(backend, 3) as nodes:
        first = nodes[0]._driver
        with no_descriptors() as hog:
            deadline = backend.now() + 5.0
            while starved(nodes[0]) < 6 and backend.now() < deadline:
                if not starved(nodes[0]):  # Who dials at once may get a descriptor that has just become free.
                    for link in list(first.links.outbound.values()):
                        first.links._close(link)
                hog.take_all()
                await backend.sleep(0.005)
            assert 6 <= starved(nodes[0])
            assert 2 == len(nodes[0].successors)
            links = nodes[0].stats().links
            assert (0, 0) == (links.dial_failures, first.nodes[0].stats().suspected)
        await settled(nodes)


@over_sockets
@pytest.mark.parametrize("secured", [False, True])
async def test_strangers_make_way(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, secured: bool
) -> None:
    """However many come, some descriptors are left for the node's own dials; members and clients get in."""
    monkeypatch.setattr(_descriptors, "RESERVE", 30)
    options: dict[str, Any] = {}
    if secured:
        _authority.init(tmp_path)
        _authority.issue(tmp_path, ["127.0.0.1"])
        options["tls"] = Tls(tmp_path)
    async with ring(backend, 2, **options) as nodes:
        with strangers(100) as sockets, no_descriptors() as hog:
            hog.free(40)
            connect_all(sockets, nodes[0].address)
            async with backend.open_node(LISTEN, join=[nodes[0].address], config=QUICK, **options) as third:
                await settled([*nodes, third])
                async with backend.connect(nodes[0].address, **options) as client:
                    await client.put("k", b"v", w="all")
                    assert b"v" == (await client.get("k")).value
            await until(lambda: starved(nodes[0]) or secured, "they take all")
            assert 0 == nodes[0].stats().links.dial_failures
            assert secured or nodes[0].stats().links.turned_away > 60
        await settled(nodes)


def test_the_limit_of_a_process() -> None:
    """A command that is only a node raises it as far as it may, and never lowers it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
        _descriptors.raise_limit()
        assert (min(_descriptors.WANTED, hard), hard) == resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        _descriptors.raise_limit()
        assert (hard, hard) == resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
