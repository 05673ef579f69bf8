"""``chord demo``, as in the README."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from tests.e2e.processes import chord, document, fine, write_random

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_sample_survives(backend: str) -> None:
    """Eight nodes keep the sample while two crash, on either backend."""
    done = document("demo", "--backend", backend)
    assert {"nodes", "killed", "key", "bytes", "intact", "store_s", "fetch_s", "ring"} == done.keys()
    assert (8, True) == (done["nodes"], done["intact"])
    assert 2 == len(set(done["killed"]))
    assert len(files("chord_adapters.cli").joinpath("sample.txt").read_bytes()) == done["bytes"]
    assert (6, True) == (done["ring"]["size"], done["ring"]["ideal"])
    assert not {member["address"] for member in done["ring"]["members"]} & set(done["killed"])


@pytest.mark.parametrize("size", [0, 3_000_000])
def test_a_file_survives(size: int, tmp_path: Path) -> None:
    """Any file will do, an empty one too."""
    done = document("demo", str(write_random(tmp_path / "file", size)))
    assert (size, True) == (done["bytes"], done["intact"])


@pytest.mark.parametrize("nodes, kill", [(2, 0), (3, 1), (4, 2), (9, 4)])
def test_rings_of_other_sizes(nodes: int, kill: int) -> None:
    """As many nodes start and crash as one says; more than two crash two at a time."""
    done = document("demo", "--nodes", str(nodes), "--kill", str(kill))
    assert (nodes, kill, True) == (done["nodes"], len(done["killed"]), done["intact"])
    assert (nodes - kill, True) == (done["ring"]["size"], done["ring"]["ideal"])


def test_it_tells_a_story() -> None:
    """Without ``--json`` a person reads what happens, and nothing of it is JSON."""
    told = fine("demo").decode()
    for word in ("have become a ring", "stored", "crashed", "are the same", "owner", "closed again"):
        assert word in told
    with pytest.raises(json.JSONDecodeError):
        json.loads(told)


def test_no_room_for_a_reader() -> None:
    """A ring that would have nobody left to read is refused."""
    assert 2 == chord("demo", "--nodes", "8", "--kill", "7").returncode
