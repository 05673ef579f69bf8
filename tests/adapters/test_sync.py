"""Blocking code: plain, thread-safe calls; the loop runs on a thread of its own, which is gone afterwards."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chord_adapters.sync import (
    Closed,
    Entry,
    Gained,
    JoinRefused,
    Node,
    NotReady,
    Timeout,
    Unreachable,
    connect,
    open_node,
)
from tests.adapters.backends import LISTEN, QUICK


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a loop's thread behind."""
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "chord"] == []


@pytest.fixture
def nodes(no_thread_left: None) -> Iterator[tuple[Node, Node]]:
    """Two nodes on one ring."""
    with open_node(LISTEN, config=QUICK) as first, open_node(LISTEN, join=[first.address], config=QUICK) as second:
        second.wait_ready(timeout=15.0)
        yield first, second


def test_calls(nodes: tuple[Node, Node]) -> None:
    """The calls of the asynchronous node, without await."""
    first, second = nodes
    data = bytes(150_000)
    done = first.put("k", b"v", timeout=5.0)
    assert second.get("k", timeout=5.0) == Entry(b"v", done.version)
    key = second.store(data, timeout=5.0)
    assert first.fetch(key, timeout=5.0) == data
    assert first.fetch(key ^ 1) is None
    assert first.locate("k") == second.locate("k") == first.lookup("k").owner
    assert first.replicas("k")[0] == first.locate("k")
    second.delete("k", timeout=5.0)
    assert first.get("k") is None


def test_views(nodes: tuple[Node, Node]) -> None:
    """The views of the asynchronous node, also after its end."""
    first, second = nodes
    assert second.successors == second.predecessors == (first.peer,)
    assert second.predecessor == first.peer
    assert second.peers == (second.peer,)
    assert second.id == second.peer.id
    assert second.address == second.peer.address
    assert first.owns("k") is not second.owns("k")
    assert second.contacts == {first.address: "answers"}
    assert second.is_ready
    assert second.health().small
    assert second.stats().calls == 0
    assert second.describe(timeout=5.0).me == second.peer
    assert second.describe(place=second.id).me == second.peer
    assert second.address in repr(second)
    second.abort()
    second.abort()
    assert not second.is_ready
    assert second.stats().inbound == 0


def test_a_client(nodes: tuple[Node, Node]) -> None:
    """`connect` too has plain calls."""
    with connect(nodes[0].address) as client:
        done = client.put("k", b"v", timeout=5.0)
        assert nodes[1].get("k") == Entry(b"v", done.version)
        assert client.describe(timeout=5.0).me == nodes[0].peer
        assert client.address == nodes[0].address
    with pytest.raises(Closed):
        client.get("k")


def test_streams(nodes: tuple[Node, Node], tmp_path: Path) -> None:
    """A file or pieces go in, in the caller's thread, and pieces come out, also through a client."""
    data = bytes(range(250)) * 4000
    path = tmp_path / "value"
    path.write_bytes(data)
    threads: list[str] = []
    told: list[int] = []

    def pieces() -> Iterator[bytes]:
        threads.append(threading.current_thread().name)
        yield from (data[at : at + 4000] for at in range(0, len(data), 4000))

    def tell(size: int) -> None:
        threads.append(threading.current_thread().name)
        told.append(size)

    with connect(nodes[0].address) as client:
        for who in (nodes[1], client):
            with path.open("rb") as file:
                stored = who.store_stream(file, timeout=20.0)
            assert stored == who.store_stream(pieces(), progress=tell)
            assert (who.store(data), len(data), 5) == (stored.key, stored.bytes, stored.blocks)
            with who.open(stored.key) as reader:
                assert len(data) == reader.length
                assert data[:10] == reader.read(10)
                assert data[10:] == b"".join(reader)
                assert b"" == reader.read()
            with who.open(stored.key ^ 1, timeout=20.0) as reader:
                assert (None, []) == (reader.length, list(reader))
            with who.open(stored.key) as reader:
                next(reader)
            assert 0 == nodes[1].stats().calls
            with pytest.raises(RuntimeError, match="closed"):
                next(reader)
    assert 2 * len(data) == sum(told)
    assert {threading.current_thread().name} == set(threads)


def test_streams_that_break(nodes: tuple[Node, Node]) -> None:
    """What is no source is refused at once; what a source raises comes out as it is, and its generator is closed."""
    node = nodes[1]
    error = LookupError("the source broke")
    closed: list[bool] = []

    def pieces() -> Iterator[bytes]:
        try:
            yield bytes(3_000_000)
            raise error
        finally:
            closed.append(True)

    async def asynchronous() -> AsyncIterator[bytes]:
        yield b""

    for source in (b"bytes", "text", None, [7], asynchronous(), io.StringIO("text")):
        with pytest.raises(TypeError):
            node.store_stream(source)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="progress"):
        node.store_stream([b"bytes"], progress=7)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        node.open("key")  # type: ignore[arg-type]
    with pytest.raises(LookupError) as caught:
        node.store_stream(pieces())
    assert error is caught.value
    assert [True] == closed
    assert 0 == node.stats().calls
    node.abort()
    with pytest.raises(Closed):
        node.store_stream([b"bytes"])


def test_ownership(nodes: tuple[Node, Node]) -> None:
    """What happens to a node's arcs comes to any thread, which may wait so long and no longer, and is ended by another."""
    first, second = nodes
    with first.ownership() as changes, ThreadPoolExecutor(1) as pool:
        gained = next(changes)
        assert Gained(second.id, first.id, first.peer) == gained
        assert first.owns("k") == ("k" in gained)
        with pytest.raises(Timeout):
            changes.next(timeout=0.05)
        with pytest.raises(ValueError, match="timeout"):
            changes.next(timeout=-1.0)
        following = pool.submit(changes.next, timeout=15.0)
        second.leave()
        assert Gained(first.id, second.id, first.peer) == following.result(timeout=15.0)
        rest = pool.submit(list, changes)
        changes.close()
        assert [] == rest.result(timeout=15.0)
        with pytest.raises(StopIteration):
            next(changes)
    with pytest.raises(Closed), second.ownership():
        pass
    changes = first.ownership()
    whole = changes.next(timeout=15.0)
    assert isinstance(whole, Gained)
    assert whole.start == whole.end
    first.abort()
    with pytest.raises(Closed):
        next(changes)


def test_many_threads(nodes: tuple[Node, Node]) -> None:
    """Calls may come from any thread."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: nodes[n % 2].put(f"k{n}", b"%d" % n), range(200)))
        entries = list(pool.map(lambda n: nodes[(n + 1) % 2].get(f"k{n}"), range(200)))
    assert [entry.value if entry else None for entry in entries] == [b"%d" % n for n in range(200)]


def test_errors_come_out(no_thread_left: None) -> None:
    """Errors are the same as those of the asynchronous calls."""
    with open_node(LISTEN, join=["127.0.0.1:1"], config=QUICK) as node:
        with pytest.raises(NotReady):
            node.get("k", timeout=0.2)
        with pytest.raises(NotReady):
            node.wait_ready(timeout=0.2)
        with pytest.raises(TypeError):
            node.put("k", "v")  # type: ignore[arg-type]
        with pytest.raises(OSError, match="cannot listen"), open_node(node.address):
            pass
    with pytest.raises(ValueError, match="port"), open_node("nowhere"):
        pass
    with connect("127.0.0.1:1") as client, pytest.raises(Unreachable):
        client.get("k", timeout=0.2)
    with (
        open_node(LISTEN, config=QUICK) as foreign,
        open_node(LISTEN, join=[foreign.address], network="other", config=QUICK) as node,
        pytest.raises(JoinRefused),
    ):
        node.wait_ready(timeout=10.0)


def test_leaving(nodes: tuple[Node, Node]) -> None:
    """Leaving explicitly, from another thread than the one that waits for the end."""
    first, second = nodes
    with ThreadPoolExecutor(1) as pool:
        over = pool.submit(second.wait_closed)
        second.leave(drain=True)
        over.result(timeout=5.0)
    with pytest.raises(Closed):
        second.get("k")
    with pytest.raises(Timeout):
        first.leave(drain=True)


def test_the_body_s_exception_comes_out_bare(no_thread_left: None) -> None:
    """As in the asynchronous block."""
    boom = RuntimeError()
    with pytest.raises(RuntimeError) as caught, open_node(LISTEN, config=QUICK):
        raise boom
    assert caught.value is boom


def test_calls_of_other_threads_at_the_end(no_thread_left: None) -> None:
    """A call that waits in another thread when the block ends raises `Closed` there."""
    with ThreadPoolExecutor(2) as pool:
        with open_node(LISTEN, join=["127.0.0.1:1"], config=QUICK) as node:
            calls: list[Any] = [pool.submit(node.get, "k", timeout=60.0), pool.submit(node.wait_ready)]
            deadline = time.monotonic() + 10.0
            while node.stats().calls == 0 and time.monotonic() < deadline:
                threading.Event().wait(0.005)
        for call in calls:
            with pytest.raises(Closed):
                call.result(timeout=5.0)
