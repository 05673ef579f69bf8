"""``chord node --data``: a folder that cannot be used is one line and status 1, before anything listens."""

from __future__ import annotations

import sys
from pathlib import Path

import apsw
import pytest

from chord_adapters.cli import main
from chord_adapters.storage import SqliteStorage
from tests.adapters.storage.readonly import reachable_folder, unprivileged


def told(capsys: pytest.CaptureFixture[str], data: Path) -> str:
    """Start a node that must not come to be, and return the one line that it says."""
    assert 1 == main(["node", "--listen", "127.0.0.1:0", "--data", str(data)])
    out, err = capsys.readouterr()
    assert ("", 1) == (out, err.count("\n"))
    return err.removeprefix("chord: ").rstrip("\n")


def test_a_folder_that_is_only_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither one that is there nor one that would have to be made; nor what is no folder."""
    with reachable_folder() as folder:
        # First, as somebody who may read whatever is imported on the way.
        (folder / "file").touch()
        assert f"{folder / 'file'} cannot be used: it is not a folder" == told(capsys, folder / "file")
        with unprivileged():
            for data in (folder, folder / "new"):
                assert f"{data} cannot be used: Permission denied" == told(capsys, data)


def test_a_newer_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What a newer version has written is left as it is."""
    storage = SqliteStorage(tmp_path)
    storage.load()
    storage.close()
    database = apsw.Connection(str(storage.file))
    database.pragma("user_version", 9)
    database.close()
    before = storage.file.read_bytes()
    assert (
        f"{storage.file} was written by a newer version (schema 9; this one knows up to 2): use that version"
        == told(capsys, tmp_path)
    )
    assert before == storage.file.read_bytes()


def test_without_apsw(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the extra is missing it says what to install, and makes nothing."""
    monkeypatch.setitem(sys.modules, "apsw", None)
    monkeypatch.delitem(sys.modules, "chord_adapters._sqlite", raising=False)
    monkeypatch.delitem(sys.modules, "chord_adapters._sqlite_form", raising=False)
    words = "SqliteStorage needs apsw: python -m pip install 'chord-dht[sqlite]'"
    assert words == told(capsys, tmp_path / "data")
    assert not (tmp_path / "data").exists()
