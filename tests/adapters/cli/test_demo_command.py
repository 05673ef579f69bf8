"""``chord demo`` with few nodes."""

from __future__ import annotations

import os
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.adapters.cli.command import Command

BACKENDS = ["asyncio", *(["trio"] if find_spec("trio") else [])]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_sample_survives(backend: str, chord: Command) -> None:
    """A ring keeps the sample while a node that owns some of it crashes."""
    done = chord.document("demo", "--nodes", "4", "--kill", "1", "--backend", backend)
    assert {"nodes", "killed", "key", "bytes", "intact", "store_s", "fetch_s", "ring"} == done.keys()
    assert (4, 1, True) == (done["nodes"], len(done["killed"]), done["intact"])
    assert len(files("chord_adapters.cli").joinpath("sample.txt").read_bytes()) == done["bytes"]
    assert (3, True) == (done["ring"]["size"], done["ring"]["ideal"])
    assert not {member["address"] for member in done["ring"]["members"]} & set(done["killed"])


@pytest.mark.parametrize("size", [0, 300_000])
def test_a_file_survives(size: int, tmp_path: Path, chord: Command) -> None:
    """Any file will do, an empty one too; the smallest ring of which one can crash has three nodes."""
    file = tmp_path / "file"
    file.write_bytes(os.urandom(size))
    done = chord.document("demo", str(file), "--nodes", "3", "--kill", "1")
    assert (size, True) == (done["bytes"], done["intact"])


def test_it_tells_a_story(chord: Command) -> None:
    """Without ``--json`` a person reads what happens."""
    told = chord.fine("demo", "--nodes", "2", "--kill", "0").decode()
    for words in ("have become a ring", "stored", "read it back", "are the same", "owner", "done in"):
        assert words in told


def test_a_file_that_is_not_there(chord: Command) -> None:
    """A file that cannot be read is a failure, of which a person is told."""
    said = chord("demo", "/does/not/exist")
    assert (1, b"") == (said.status, said.out)
    assert b"/does/not/exist" in said.err
