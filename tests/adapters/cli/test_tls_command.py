"""``chord tls``: an authority and the certificates that it issues."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from chord_adapters._tls import Tls
from tests.adapters.cli.command import Command


def test_an_authority_and_a_host(chord: Command, tmp_path: Path) -> None:
    """What is made can be used; keys are for their owner alone, and the authority's stays where it is."""
    folder, host = tmp_path / "authority", tmp_path / "host"
    assert b"" == chord.fine("tls", "init", str(folder))
    chord.fine("tls", "issue", str(folder), "--host", "localhost", "--host", "127.0.0.1", "--out", str(host))
    assert {"ca.pem", "ca.key"} == {path.name for path in folder.iterdir()}
    assert {"ca.pem", "node.pem", "node.key"} == {path.name for path in host.iterdir()}
    for key in (folder / "ca.key", host / "node.key"):
        assert 0o600 == stat.S_IMODE(key.stat().st_mode)
    Tls(host)


def test_documents(chord: Command, tmp_path: Path) -> None:
    """With ``--json`` they say where and for whom."""
    assert {"folder": str(tmp_path)} == chord.document("tls", "init", str(tmp_path))
    found = chord.document("tls", "issue", str(tmp_path), "--host", "::1", "--days", "3")
    assert {"folder": str(tmp_path), "hosts": ["::1"], "days": 3} == found


def test_an_authority_is_not_replaced(chord: Command, tmp_path: Path) -> None:
    """That would lock out the whole ring."""
    chord.fine("tls", "init", str(tmp_path))
    before = (tmp_path / "ca.key").read_bytes()
    said = chord("tls", "init", str(tmp_path))
    assert 1 == said.status
    assert b"is there already" in said.err
    assert before == (tmp_path / "ca.key").read_bytes()


@pytest.mark.parametrize("host", ["", "a b", "-a", "127.0.0.1:4600", "*.example", "a..b", "a" * 64])
def test_what_is_no_host(chord: Command, tmp_path: Path, host: str) -> None:
    """It is named, and nothing is written."""
    chord.fine("tls", "init", str(tmp_path))
    said = chord("tls", "issue", str(tmp_path), f"--host={host}")
    assert 2 == said.status
    assert {"ca.pem", "ca.key"} == {path.name for path in tmp_path.iterdir()}


def test_there_is_no_authority(chord: Command, tmp_path: Path) -> None:
    """The file that is missing is named."""
    said = chord("tls", "issue", str(tmp_path), "--host", "a.example")
    assert 1 == said.status
    assert b"ca.pem" in said.err


def test_a_key_of_another_authority(chord: Command, tmp_path: Path) -> None:
    """What it signs nobody would take."""
    for name in ("one", "two"):
        chord.fine("tls", "init", str(tmp_path / name))
    (tmp_path / "one" / "ca.key").write_bytes((tmp_path / "two" / "ca.key").read_bytes())
    said = chord("tls", "issue", str(tmp_path / "one"), "--host", "a.example")
    assert 2 == said.status
    assert b"is not the key of" in said.err
