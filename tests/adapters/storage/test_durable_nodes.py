"""Nodes with a storage, on every adapter: what is acknowledged is durable, and a storage that fails is said to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from chord_adapters import Closed, Entry, NoQuorum, StorageFailed, memory, sync
from chord_adapters._node import Node
from chord_adapters.memory import Network
from chord_adapters.storage import Batch, MemoryStorage, SqliteStorage, Storage, StorageError, StorageInUse
from tests.adapters.backends import LISTEN, QUICK, Backend, over_sockets, ring, until
from tests.adapters.storage.storages import Failing, Gated, Watched

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]

MAKE: list[Callable[[Path], Storage]] = [SqliteStorage, lambda folder: MemoryStorage()]


@pytest.fixture(params=MAKE, ids=["sqlite", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A storage of each kind."""
    return request.param(tmp_path / "data")


def failure_of(node: Node) -> str | None:
    """Return why its storage takes nothing more."""
    counters = node.stats().storage
    assert counters is not None
    return counters.failure


@pytest.mark.parametrize("crash", [False, True], ids=["left", "crashed"])
async def test_records_outlive_their_node(backend: Backend, storage: Storage, crash: bool) -> None:
    """Whether a node leaves or crashes, its next life has the same records, in the same versions, and no older ones."""
    async with backend.open_node(LISTEN, storage=storage, config=QUICK) as node:
        await node.put("old", b"old")
        done = {key: await node.put(key, key.encode()) for key in ("old", "a", "b")}
        await node.delete("b")
        block = await node.store(b"a block")
        if crash:
            node.abort()
    for _ in range(2):
        async with backend.open_node(LISTEN, storage=storage, config=QUICK) as node:
            found = {key: await node.get(key) for key in done}
            assert None is found.pop("b")
            assert {key: (key.encode(), done[key].version) for key in found} == {
                key: (entry.value, entry.version) for key, entry in found.items()
            }
            assert b"a block" == await node.fetch(block)
            assert (await node.put("a", b"newer")).version > done["a"].version
            done["a"] = await node.put("a", b"a")


async def test_nothing_is_acknowledged_before_it_is_durable(tmp_path: Path) -> None:
    """A put takes as long as its write, and meanwhile nobody reads it; in virtual time."""
    async with Network(1, write_delay=0.5):
        async with memory.open_node("a:1", storage=SqliteStorage(tmp_path)) as node:
            await node.wait_ready()
            before = memory.current_time()
            await node.put("k", b"v")
            assert 0.5 <= memory.current_time() - before < 1.1


@over_sockets
async def test_writes_that_wait_go_into_one_batch(backend: Backend) -> None:
    """While the disk is busy they wait, none is acknowledged, none is read; then all are written at once, in order."""
    storage = Gated()
    async with backend.open_node(LISTEN, storage=storage, config=QUICK) as node:
        await node.put("k", b"before")
        before = len(storage.batches)
        storage.gate.clear()
        ended: list[int] = []

        async def put(number: int) -> None:
            await node.put(f"{number}", b"v")
            ended.append(number)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(put, 0)
            await until(lambda: storage.waiting, "a batch is under way")
            for number in range(1, 101):
                tasks.start_soon(put, number)
            await until(lambda: 100 == node.stats().storage.waiting, "all others wait for the next batch")
            assert None is await node.get("5")
            assert [] == ended
            storage.gate.set()
        assert 101 == len(ended)
        written = [batch for batch in storage.batches[before:] if batch.writes]
        assert [1, 100] == [len(batch.writes) for batch in written]
        assert (len(storage.batches) - 1, 103, 0, None) == attrs.astuple(node.stats().storage)
        ids = [write.id for batch in storage.batches for _, write in batch.writes]
        assert sorted(ids) == ids


async def test_a_storage_that_fails(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is acknowledged from then on, reads are served, health and statistics say so, and the log does once."""
    storage = Failing()
    async with ring(backend, 1, storage=storage) as [node]:
        done = await node.put("k", b"v")
        assert not node.health().storage_failed
        storage.fails = True
        for _ in range(3):
            with pytest.raises(StorageFailed) as caught:
                await node.put("k", b"w")
            assert not caught.value.retryable
        with pytest.raises(StorageFailed):
            await node.store(b"a block")
        assert Entry(b"v", done.version) == await node.get("k")
        assert (True, True) == (node.health().storage_failed, node.health().unsafe)
        assert "the disk is full" == failure_of(node)
    logged = [each.getMessage() for each in caplog.get_records("call") if each.levelno >= logging.WARNING]
    text = "the storage has failed, so that no more writes are taken; reads are served: the disk is full"
    assert [f"{node.address}: {text}"] == logged
    assert not storage.is_open
    caplog.clear()


async def test_a_storage_that_fails_with_a_bug(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a storage of one's own raises is no reason to die, nor to acknowledge anything."""

    class Buggy(Watched):
        def apply(self, batch: Batch) -> None:
            if batch.writes:
                raise KeyError
            super().apply(batch)

    async with ring(backend, 1, storage=Buggy()) as [node]:
        with pytest.raises(StorageFailed):
            await node.put("k", b"v")
        assert None is await node.get("k")
        assert "KeyError" == failure_of(node)
    caplog.clear()


async def test_a_replica_whose_storage_fails(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """One of three cannot write: what it owns is refused, everything else goes on with the other two."""
    storages = [Failing(), Failing(), Failing()]
    async with (
        ring(backend, 1, storage=storages[0]) as [first],
        backend.open_node(LISTEN, join=[first.address], config=QUICK, storage=storages[1]) as second,
        backend.open_node(LISTEN, join=[first.address], config=QUICK, storage=storages[2]) as third,
    ):
        nodes = [first, second, third]
        await until(lambda: all(len(node.successors) == 2 and node.is_ready for node in nodes), "they are a ring")
        storages[1].fails = True
        keys = [f"key {number}" for number in range(30)]
        for key in keys:
            if second.owns(key):
                with pytest.raises(StorageFailed):
                    await first.put(key, b"v")
            else:
                done = await first.put(key, b"v")
                assert second.peer not in done.acked
    assert 1 == sum(each.levelno >= logging.WARNING for each in caplog.get_records("call"))
    caplog.clear()


async def test_two_replicas_whose_storages_fail(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """Of three one can write: it says that writes are not safe, without trying one, and refuses them as what they are."""
    storages = [Failing(), Failing(), Failing()]
    async with (
        ring(backend, 1, storage=storages[0]) as [first],
        backend.open_node(LISTEN, join=[first.address], config=QUICK, storage=storages[1]) as second,
        backend.open_node(LISTEN, join=[first.address], config=QUICK, storage=storages[2]) as third,
    ):
        nodes = [first, second, third]
        await until(lambda: all(len(node.successors) == 2 and node.is_ready for node in nodes), "they are a ring")
        for node, storage in zip(nodes[1:], storages[1:], strict=True):
            storage.fails = True
            with pytest.raises(StorageFailed):
                await node.put(next(key for key in map(str, range(1000)) if node.owns(key)), b"v")
        await until(lambda: first.health().unsafe, "the first one knows")
        assert 2 == first.health().missing
        with pytest.raises(NoQuorum) as caught:
            await first.put(next(key for key in map(str, range(1000)) if first.owns(key)), b"v", timeout=0.5)
        assert not caught.value.outcome_unknown
    caplog.clear()


# Beginning


async def test_a_storage_is_loaded_on_entering_and_closed_in_the_end(backend: Backend) -> None:
    """The next life is durable before anything else happens, and it is a later one, whatever the clock says."""
    storage = Watched()
    storage.load()
    storage.apply(Batch(incarnation=10**18, network="chord"))
    storage.close()
    storage.calls.clear()
    async with backend.open_node(LISTEN, storage=storage, config=QUICK) as node:
        assert ["load", "apply"] == storage.calls[:2]
        assert storage.batches[1].incarnation == 10**18 + 1 == node._driver.nodes[0].incarnation
        await node.put("k", b"v")
        assert storage.saved.was_member
    assert "close" == storage.calls[-1]
    assert 1 == storage.calls.count("close")
    assert "chord" == storage.saved.network


async def test_a_storage_in_use(backend: Backend, storage: Storage) -> None:
    """A second node on it is refused before it listens, and the first one goes on."""
    async with backend.open_node(LISTEN, storage=storage, config=QUICK) as node:
        with pytest.raises(StorageInUse):
            async with backend.open_node(LISTEN, storage=storage, config=QUICK):
                raise AssertionError("it was opened")
        await node.put("k", b"v")


async def test_a_storage_of_another_network(backend: Backend, storage: Storage) -> None:
    """Records of one ring are not taken into another, and nothing is left locked."""
    async with backend.open_node(LISTEN, storage=storage, network="blue") as node:
        await node.put("k", b"v")
    with pytest.raises(ValueError, match="holds the records of network 'blue', not of 'red'"):
        async with backend.open_node(LISTEN, storage=storage, network="red"):
            raise AssertionError("it was opened")
    async with backend.open_node(LISTEN, storage=storage, network="blue") as node:
        assert b"v" == (await node.get("k")).value


async def test_a_storage_that_cannot_be_loaded(backend: Backend, tmp_path: Path) -> None:
    """What it raises comes out, and the port is free again."""
    (tmp_path / "file").write_text("something")
    async with backend.open_node(LISTEN) as probe:
        address = probe.address
    with pytest.raises(StorageError, match="cannot be used: it is not a folder"):
        async with backend.open_node(address, storage=SqliteStorage(tmp_path / "file")):
            raise AssertionError("it was opened")
    async with backend.open_node(address):
        pass


async def test_a_port_in_use_leaves_the_storage_alone(backend: Backend) -> None:
    """A node that cannot listen does not begin a new life."""
    storage = Watched()
    async with backend.open_node(LISTEN) as node:
        with pytest.raises(OSError, match=node.address):
            async with backend.open_node(node.address, storage=storage):
                raise AssertionError("it was opened")
    assert [] == storage.calls


async def test_a_node_that_cannot_be_recorded_lets_go_of_its_storage(backend: Backend, tmp_path: Path) -> None:
    """Whatever goes wrong after the storage was loaded, it is closed."""
    storage = Watched()
    with pytest.raises(OSError, match="no folder"):
        async with backend.open_node(LISTEN, storage=storage, record=tmp_path / "no folder" / "file"):
            raise AssertionError("it was opened")
    assert ["load", "apply", "close"] == storage.calls


async def test_what_is_no_storage(backend: Backend, tmp_path: Path) -> None:
    """A path is not taken for one."""
    with pytest.raises(TypeError, match=r"storage is a Storage, for example SqliteStorage\(path\), not str"):
        async with backend.open_node(LISTEN, storage=str(tmp_path)):
            raise AssertionError("it was opened")


# Virtual nodes


async def test_fewer_virtual_nodes(backend: Backend, storage: Storage) -> None:
    """Records of places that are no more go to the first one, also on disk; nothing is lost, nothing comes back."""
    async with backend.open_node(LISTEN, storage=storage, config=QUICK, virtual_nodes=4) as node:
        await until(lambda: node.is_ready, "it is ready")
        for number in range(40):
            await node.put(f"{number}", b"v")
    for places in (2, 1):
        async with backend.open_node(LISTEN, storage=storage, config=QUICK, virtual_nodes=places) as node:
            await until(lambda: node.is_ready, "it is ready")
            for number in range(40):
                assert b"v" == (await node.get(f"{number}")).value
    saved = storage.load()
    assert [(0, b"%d" % number) for number in range(40)] == sorted(
        ((index, item.name) for index, item in saved.records), key=lambda each: int(each[1])
    )
    storage.close()


# Ending


@over_sockets
async def test_what_waits_is_written_when_a_node_leaves(backend: Backend) -> None:
    """The body has ended while the disk is busy: all that was accepted is on it when the block is left."""
    storage = Gated()
    async with anyio.create_task_group() as tasks:
        async with backend.open_node(LISTEN, storage=storage, config=QUICK) as node:
            await node.wait_ready()
            await node.put("k", b"v")
            storage.gate.clear()

            async def put(number: int) -> None:
                with pytest.raises(Closed):
                    await node.put(f"{number}", b"v")

            for number in range(5):
                tasks.start_soon(put, number)
            await until(lambda: storage.waiting and node.stats().storage.waiting == 4, "one is under way, others wait")
            threading.Timer(0.1, storage.gate.set).start()
    assert [b"0", b"1", b"2", b"3", b"4", b"k"] == storage.names
    assert not storage.is_open


@over_sockets
async def test_a_crash_writes_nothing_more(backend: Backend) -> None:
    """What waits for the next batch is lost, as in a crash; the batch under way ends as it does."""
    storage = Gated()
    async with anyio.create_task_group() as tasks:
        async with backend.open_node(LISTEN, storage=storage, config=QUICK) as node:
            await node.put("k", b"v")
            storage.gate.clear()

            async def put(number: int) -> None:
                with pytest.raises(Closed) as caught:
                    await node.put(f"{number}", b"v")
                assert caught.value.outcome_unknown

            tasks.start_soon(put, 0)
            await until(lambda: storage.waiting, "a batch is under way")
            tasks.start_soon(put, 1)
            await until(lambda: 1 == node.stats().storage.waiting, "the other waits")
            node.abort()
            storage.gate.set()
    assert [b"0", b"k"] == storage.names
    assert not storage.is_open


async def test_an_aborted_node_lets_go_of_its_storage_at_once(backend: Backend, storage: Storage) -> None:
    """The next life may begin before the block of the crashed one is left."""
    async with backend.open_node(LISTEN, storage=storage, config=QUICK) as node:
        await node.put("k", b"v")
        node.abort()
        found: list[bytes] = []

        async def again() -> None:
            async with backend.open_node(LISTEN, storage=storage, config=QUICK) as next_life:
                found.append((await next_life.get("k")).value)

        while not found:
            try:
                await again()
            except StorageInUse:
                await anyio.lowlevel.checkpoint()
    assert [b"v"] == found


@over_sockets
async def test_cancelled_while_it_is_loaded(backend: Backend) -> None:
    """The thread cannot be stopped; it is waited for, and the storage is not left open."""
    storage = Gated()
    storage.gate.clear()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await until(lambda: storage.waiting, "it is being loaded")
                scope.cancel()
                threading.Timer(0.1, storage.gate.set).start()

            tasks.start_soon(cancel)
            async with backend.open_node(LISTEN, storage=storage, config=QUICK):
                raise AssertionError("it was opened")
    assert scope.cancelled_caught
    assert ["load", "apply", "close"] == storage.calls


@over_sockets
async def test_cancelled_while_the_disk_is_busy(backend: Backend) -> None:
    """The block is left once the storage is closed, so that it can be opened again at once."""
    storage = Gated()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            async with backend.open_node(LISTEN, storage=storage, config=QUICK) as node:
                await node.put("k", b"v")
                storage.gate.clear()
                tasks.start_soon(node.put, "l", b"v")
                await until(lambda: storage.waiting, "a batch is under way")
                threading.Timer(0.1, storage.gate.set).start()
                scope.cancel()
    assert scope.cancelled_caught
    assert not storage.is_open
    assert "close" == storage.calls[-1]


async def test_trouble_at_the_very_end(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """A storage that cannot write its last words, or be closed, is told of in the log and does not fail the block."""

    class Closing(Failing):
        def close(self) -> None:
            super().close()
            raise StorageError("it will not close")

    storage = Closing()
    async with backend.open_node(LISTEN, storage=storage, config=QUICK) as node:
        await node.put("k", b"v")
        storage.fails = True
    assert [
        f"{node.address}: the last writes were not made durable: the disk is full",
        f"{node.address}: the storage was not closed: it will not close",
    ] == [each.getMessage() for each in caplog.get_records("call") if each.levelno >= logging.WARNING]
    caplog.clear()


async def test_without_a_storage_there_is_no_thread(backend: Backend) -> None:
    """Records in memory cost nothing more."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        await node.put("k", b"v")
        assert None is node.stats().storage
        assert not node.health().storage_failed
        assert "chord" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_blocking_code_has_storages_too(tmp_path: Path) -> None:
    """`sync.open_node` takes one as the others do."""
    for number in range(2):
        with sync.open_node(LISTEN, storage=SqliteStorage(tmp_path)) as node:
            assert bool(number) is (node.get("k") is not None)
            node.put("k", b"v")
    storage = SqliteStorage(tmp_path)
    assert [b"k"] == [record.name for _, record in storage.load().records]
    storage.close()
