"""``chord node --record`` and ``chord replay``: what real processes were told and did, again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.processes import await_ideal, chord, document, fine, node_process, parsed, until

pytestmark = pytest.mark.slow

ANYWHERE = ("--listen", "127.0.0.1:0")
KEYS, SIZE = (20, 3_000_000) if os.environ.get("CHORD_NIGHTLY") else (4, 300_000)
"""Records, and the bytes of a file of several blocks: a command for each and the replay of its bytes take their time."""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_recordings_of_a_ring_replay(backend: str, tmp_path: Path) -> None:
    """Three processes, one killed and two that leave: each recording replays identically, the killed one's too."""
    files = [tmp_path / name for name in ("first", "second", "killed")]
    recorded = [("--backend", backend, "--record", str(file)) for file in files]
    with (
        node_process(*ANYWHERE, *recorded[0]) as first,
        node_process(*ANYWHERE, *recorded[1], "--join", first.wait_ready()) as second,
        node_process(*ANYWHERE, *recorded[2], "--virtual-nodes", "2", "--join", first.address) as killed,
    ):
        nodes = [first, second, killed]
        second.wait_ready()
        killed.wait_ready()
        await_ideal(first.address, 4)
        for number in range(KEYS):
            fine("put", f"key {number}", "value", "--node", nodes[number % 3].address)
        key = fine("store", "-", "--node", second.address, stdin=bytes(SIZE)).decode().strip()
        killed.end(signal.SIGKILL)
        await_ideal(first.address, 2)
        for number in range(KEYS):
            assert b"value" == fine("get", f"key {number}", "--node", nodes[number % 2].address)
        assert bytes(SIZE) == fine("fetch", key, "--node", first.address)
        assert [0, 0] == [second.end(signal.SIGTERM), first.end(signal.SIGTERM)]
        assert ["", ""] == [line for node in nodes[:2] for line in [node.warned().replace(LEAVING, "")]]
    for file, node in zip(files, nodes, strict=True):
        found = document("replay", str(file))
        assert (True, node is not killed) == (found["identical"], found["complete"]), found["ending"]
        assert found["inputs"] > 100
        assert {node.address} == {name.rpartition("#")[0] for name in found["nodes"]}
    torn = tmp_path / "torn"
    torn.write_bytes(files[1].read_bytes()[:-9])
    assert document("replay", str(torn))["complete"] is False
    state = document("replay", str(files[2]), "--step", "50", "--node", f"{killed.address}#1")["state"]
    assert (killed.address, 1) == (state["address"], state["index"])


LEAVING = "chord: leaving the ring; a second signal aborts\n"


def test_an_earlier_recording_is_not_replaced(tmp_path: Path) -> None:
    """A node whose recording would replace a file does not start, and the file stays as it was."""
    file = tmp_path / "file"
    file.write_text("what a crash left behind")
    done = chord("node", *ANYWHERE, "--record", str(file), "--json")
    assert 1 == done.returncode
    assert str(file) in parsed(done.stdout)["error"]["message"]
    assert "what a crash left behind" == file.read_text()


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """A node whose recording cannot be written any more serves on, and says so once."""
    file = tmp_path / "file"
    with node_process(*ANYWHERE, "--record", str(file)) as node:
        _limit_file_size(node.process.pid, 20_000)
        address = node.wait_ready()
        for number in range(6):
            fine("put", f"key {number}", "v" * 5000, "--node", address)
        until("it says that the recording has stopped", lambda: "has stopped, the node goes on" in node.said())
        assert b"v" * 5000 == fine("get", "key 5", "--node", address)
        assert 1 == node.said().count("has stopped")
        assert 0 == node.end(signal.SIGTERM)
        found = document("replay", str(file))
        assert (True, False) == (found["identical"], found["complete"])
        assert found["inputs"] > 5
        assert file.stat().st_size <= 20_000


def _limit_file_size(pid: int, size: int) -> None:
    """Let writes beyond ``size`` bytes of any file fail, as on a full disk."""
    import resource

    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))
