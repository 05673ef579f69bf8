"""``chord node --data``: records outlive processes, all of them, and a folder that cannot be used is said to be."""

from __future__ import annotations

import os
import random
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest

from chord_adapters import ChordError, Closed
from chord_adapters.asyncio import connect
from chord_adapters.storage import Batch, SqliteStorage
from tests.e2e.processes import (
    await_ideal,
    chord,
    fine,
    free_port,
    node_process,
    parsed,
    until,
)

pytestmark = pytest.mark.slow

SIZE = 5
WRITERS = 4
ANYWHERE = ("--listen", "127.0.0.1:0")


class Load:
    """Writers that put to a ring until nobody is left, and remember what was acknowledged."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses
        self._tried: dict[str, list[bytes]] = {}
        self.acknowledged: dict[str, int] = {}
        """By key, the position in ``tried`` of the latest that was."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: anyio.run(self._run))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write in another thread."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def is_right(self, key: str, value: bytes | None) -> bool:
        """Tell whether this may be read: what was acknowledged last, or what came later and was not."""
        return value in self._tried[key][self.acknowledged[key] :]

    async def _run(self) -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(WRITERS):
                tasks.start_soon(self._write, number)

    async def _write(self, writer: int) -> None:
        chance = random.Random(writer)
        async with connect(self._addresses[writer % len(self._addresses)]) as client:
            number = 0
            while not self._stop.is_set():
                number += 1
                key, value = f"{writer}/{chance.randrange(50)}", b"%d" % number
                tried = self._tried.setdefault(key, [])
                tried.append(value)
                try:
                    await client.put(key, value, timeout=1.0)
                except Closed:
                    raise
                except ChordError:
                    await anyio.sleep(0.01)  # Nobody is there any more, or not in time: the outcome is unknown.
                else:
                    self.acknowledged[key] = len(tried) - 1


def folder_of(address: str, above: Path) -> Path:
    """Return the folder of the node at an address."""
    return above / address.rpartition(":")[2]


@pytest.mark.parametrize("seed", range(2))
def test_all_processes_are_killed_and_started_again(tmp_path: Path, seed: int) -> None:
    """A power cut for processes: kill -9 of all at a random moment under load, then all at once, in any order.

    Each is started with the arguments that it had at first.  Every acknowledged put can be read, or a later one.
    """
    chance = random.Random(seed)
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(SIZE)]
    arguments = [["--listen", each, "--data", str(folder_of(each, tmp_path))] for each in addresses]
    for each in arguments[1:]:
        each += ["--join", addresses[0]]
    load = Load(addresses)
    for life in range(2):
        with ExitStack() as stack:
            order = list(range(SIZE))
            if life:
                chance.shuffle(order)
            nodes = {number: stack.enter_context(node_process(*arguments[number])) for number in order}
            for node in nodes.values():
                node.wait_ready()
            await_ideal(addresses[0], SIZE)
            if not life:
                with load.running():
                    until("there is something to lose", lambda: len(load.acknowledged) > 100)
                    threading.Event().wait(chance.uniform(0.5, 2.0))
                    for number in chance.sample(range(SIZE), SIZE):
                        os.kill(nodes[number].process.pid, signal.SIGKILL)
                    for node in nodes.values():
                        node.process.wait(10)
                continue
            anyio.run(read_all, addresses, load)
            assert [0] * SIZE == [nodes[number].end(signal.SIGTERM) for number in order]
            assert "Traceback" not in "".join(node.said() for node in nodes.values())


async def read_all(addresses: list[str], load: Load) -> None:
    """Read every key that was acknowledged, through any member."""
    async with connect(addresses[-1]) as client:
        for key in load.acknowledged:
            with anyio.fail_after(30):
                entry = await client.get(key)
            assert load.is_right(key, None if entry is None else entry.value), (key, entry)


@pytest.mark.parametrize("keep", [False, True])
def test_a_node_that_was_away_for_long(tmp_path: Path, keep: bool) -> None:
    """It takes the records of the ring that has lived on instead of its own, and says so; unless told to keep its own."""
    data = tmp_path / "data"
    with node_process(*ANYWHERE) as stays:
        stays.wait_ready()
        with node_process(*ANYWHERE, "--data", str(data), "--join", stays.address) as node:
            address = node.wait_ready()
            await_ideal(address, 2)
            fine("put", "key", "value", "--node", address)
            assert 0 == node.end(signal.SIGTERM)
        storage = SqliteStorage(data)
        saved = storage.load()
        storage.apply(Batch(seen=saved.seen - 2 * 86_400))
        storage.close()
        told = ["--keep-outdated"] if keep else []
        with node_process("--listen", address, "--data", str(data), *told) as node:
            node.wait_ready()
            await_ideal(address, 2)
            assert b"value" == fine("get", "key", "--node", address)
            assert (not keep) == ("1 records of then are set aside" in node.said())


def test_a_node_goes_on_where_it_ended(tmp_path: Path) -> None:
    """It makes its folder; killed or left, its next life has the records, and finds the ring without being told."""
    data = tmp_path / "far" / "away"
    with node_process(*ANYWHERE) as stays:
        stays.wait_ready()
        with node_process(*ANYWHERE, "--data", str(data), "--join", stays.address) as node:
            address = node.wait_ready()
            await_ideal(address, 2)
            fine("put", "key", "value", "--node", address)
            block = fine("store", __file__, "--node", address).decode().strip()
        with node_process("--listen", address, "--data", str(data)) as node:
            node.wait_ready()
            await_ideal(address, 2)
            assert 0 == node.end(signal.SIGTERM)
        assert 0 == stays.end(signal.SIGTERM)
    with node_process("--listen", address, "--data", str(data)) as node:
        node.wait_ready()
        assert b"value" == fine("get", "key", "--node", address)
        assert Path(__file__).read_bytes() == fine("fetch", block, "--node", address)
        assert 0 == node.end(signal.SIGTERM)


def test_a_folder_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process is told by whom, in one line, with status 1."""
    monkeypatch.chdir(tmp_path)
    with node_process(*ANYWHERE, "--data", "data") as node:
        node.wait_ready()
        done = chord("node", *ANYWHERE, "--data", "data")
        assert (1, b"") == (done.returncode, done.stdout)
        assert f"chord: data is in use by process {node.process.pid}\n" == done.stderr.decode()
        done = chord("node", *ANYWHERE, "--data", "data", "--json")
        assert "StorageInUse" == parsed(done.stdout)["error"]["name"]
        assert 0 == node.end(signal.SIGTERM)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    """No folder, a damaged file, another network's: one line each that names the place."""
    (tmp_path / "file").write_text("something")
    storage = SqliteStorage(tmp_path / "damaged")
    storage.load()
    storage.close()
    storage.file.write_bytes(b"no database" * 1000)
    with node_process(*ANYWHERE, "--data", str(tmp_path / "blue"), "--network", "blue") as node:
        node.wait_ready()
    for name, status, words in (
        ("file", 1, "is not a folder"),
        ("damaged", 1, "is damaged (file is not a database); move it away"),
        ("blue", 2, "holds the records of network 'blue', not of 'chord'"),
    ):
        done = chord("node", *ANYWHERE, "--data", str(tmp_path / name))
        assert (status, b"", 1) == (done.returncode, done.stdout, done.stderr.count(b"\n"))
        assert str(tmp_path / name) in done.stderr.decode()
        assert words in done.stderr.decode()


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """The node says so, takes no more writes, serves reads, and ends with 0; with room again it goes on."""
    limit = 1_000_000
    with node_process(*ANYWHERE, "--data", str(tmp_path)) as node:
        address = node.wait_ready()
        fine("put", "before", "value", "--node", address)
        # No file of it may grow beyond this: what a full disk is to a process.
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        done = chord("put", "large", "--file", "-", "--node", address, "--json", stdin=bytes(2 * limit))
        assert (1, "StorageFailed") == (done.returncode, parsed(done.stdout)["error"]["name"])
        assert 1 == chord("put", "small", "value", "--node", address).returncode
        assert b"value" == fine("get", "before", "--node", address)
        status = chord("status", "--node", address, "--json")
        assert (1, "unsafe") == (status.returncode, parsed(status.stdout)["health"]["state"])
        [said] = node.warned().splitlines()
        assert said.startswith(
            f"{address}: the storage has failed, so that no more writes are taken; reads are served: "
        )
        assert 0 == node.end(signal.SIGTERM)
    with node_process("--listen", address, "--data", str(tmp_path)) as node:
        node.wait_ready()
        assert b"value" == fine("get", "before", "--node", address)
        fine("put", "small", "value", "--node", address)
