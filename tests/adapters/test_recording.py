"""``open_node(record=…)``: a live node is recorded on every adapter, and what it did replays."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from chord_adapters.storage import MemoryStorage
from chord_adapters.testing import Replayed, replay
from tests.adapters.backends import LISTEN, QUICK, Backend, settled

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


def replayed(path: Path) -> Replayed:
    """Replay a recording."""
    file = BytesIO(path.read_bytes())
    return replay(file, file.readline().decode())


async def test_live_nodes_replay_identically(backend: Backend, tmp_path: Path) -> None:
    """Two processes with three places, recorded from their first input to their leave, do the same again."""
    one, two = tmp_path / "one", str(tmp_path / "two")
    async with (
        backend.open_node(LISTEN, config=QUICK, virtual_nodes=2, record=one) as first,
        backend.open_node(LISTEN, config=QUICK, join=[first.address], record=two) as second,
    ):
        await settled([first, second])
        for number in range(10):
            await first.put(f"key {number}", b"value")
            assert b"value" == (await second.get(f"key {number}")).value
        key = await second.store(bytes(100_000))
        assert bytes(100_000) == await first.fetch(key)
        await backend.sleep(0.5)
    for path, names in ((one, {f"{first.address}#0", f"{first.address}#1"}), (Path(two), {f"{second.address}#0"})):
        found = replayed(path)
        assert (None, names) == (found.difference, set(found.nodes))
        assert found.ending is not None
        assert found.ending.complete
        assert found.inputs > 100
        assert {"stopped"} == {state.node.phase.value for state in found.states.values()}


async def test_an_aborted_node_has_a_whole_recording(backend: Backend, tmp_path: Path) -> None:
    """Aborting ends the recording, too."""
    path = tmp_path / "recording"
    async with backend.open_node(LISTEN, record=path) as node:
        await node.put("key", b"value")
        node.abort()
        assert replayed(path).identical
        assert path.read_text().splitlines()[-1].startswith("end ")


async def test_lives_with_a_storage_replay(backend: Backend, tmp_path: Path) -> None:
    """A recording begins with what the node held; giving up to join and beginning a ring is in it, too."""
    storage = MemoryStorage()
    async with backend.open_node(LISTEN, config=QUICK) as gone:
        join = [gone.address]
        async with backend.open_node(LISTEN, join=join, config=QUICK, storage=storage, record=tmp_path / "1") as node:
            await settled([gone, node])
            await node.put("key", b"value")
            node.abort()
        gone.abort()
    path = tmp_path / "2"
    async with backend.open_node(LISTEN, join=join, config=QUICK, storage=storage, record=path, seed=0) as node:
        assert b"value" == (await node.get("key")).value
    for found in (replayed(tmp_path / "1"), replayed(path)):
        assert found.identical


async def test_a_file_that_cannot_be_used(backend: Backend, tmp_path: Path) -> None:
    """A file that exists, or cannot be made, is an ``OSError`` before the node is there."""
    path = tmp_path / "recording"
    path.write_text("something")
    for file in (path, tmp_path / "no folder" / "recording", tmp_path):
        with pytest.raises(OSError, match=str(file)):
            async with backend.open_node(LISTEN, record=file):
                raise AssertionError("it was opened")
    assert "something" == path.read_text()
