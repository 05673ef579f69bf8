"""``chord keys``, ``export`` and ``import``."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from pathlib import Path

import pytest

from chord_adapters.sync import Node, open_node
from tests.adapters.backends import QUICK
from tests.adapters.cli.command import Command


def test_keys(ring: list[Node], chord: Command) -> None:
    """One line a key; with --json one document a line, with a cursor from which to go on."""
    for number in range(5):
        chord.fine("put", f"keys/{number}", "v")
    ring[1].put(b"keys/\xff", b"no text")
    plain = chord.fine("keys", "--prefix", "keys/").decode().splitlines()
    assert sorted([*(f"keys/{number}" for number in range(5)), repr(b"keys/\xff")]) == sorted(plain)
    documents = [json.loads(line) for line in chord.fine("keys", "--prefix", "keys/", "--json").splitlines()]
    assert {"key", "key_base64", "version", "expires_at", "cursor"} == documents[0].keys()
    assert [None] == [each["key"] for each in documents if b64decode(each["key_base64"]) == b"keys/\xff"]
    first = [
        json.loads(line) for line in chord.fine("keys", "--prefix", "keys/", "--limit", "2", "--json").splitlines()
    ]
    rest = chord.fine("keys", "--prefix", "keys/", "--after", first[-1]["cursor"], "--json").splitlines()
    assert documents == first + [json.loads(line) for line in rest]


def test_export_and_import_keep_everything(tmp_path: Path, ring: list[Node], chord: Command) -> None:
    """Values, versions and expiries, records and blocks: another ring has the same afterwards; a newer version stays."""
    data = os.urandom(200_000)
    key = chord.fine("store", "-", stdin=data).decode().strip()
    chord.fine("put", "export/ä", "wört")
    chord.fine("put", "export/short", "v", "--ttl", "3600")
    chord.fine("put", "export/bytes", "--file", "-", stdin=bytes(range(256)))
    file = tmp_path / "ring.export"
    told = chord.document("export", "--out", str(file))
    assert {"records", "blocks", "bytes"} == told.keys()
    lines = file.read_text(encoding="utf-8").splitlines()
    assert told["records"] + told["blocks"] + 1 == len(lines)

    with open_node("127.0.0.1:0", config=QUICK) as other:
        other.wait_ready()
        other.put("export/short", b"newer")
        back = chord.document("import", str(file), "--node", other.address)
        assert told["records"], told["blocks"] == (back["records"], back["blocks"])
        for name in ("export/ä", "export/bytes"):
            mine, theirs = ring[0].get(name, r="majority"), other.get(name)
            assert mine is not None
            assert mine == theirs
        newer = other.get("export/short")
        assert newer is not None
        assert b"newer" == newer.value
        assert data == chord.fine("fetch", key, "--node", other.address)

    with open_node("127.0.0.1:0", config=QUICK) as third:
        third.wait_ready()
        chord.fine("import", str(file), "--node", third.address)
        chord.fine("import", str(file), "--node", third.address)
        mine, theirs = ring[0].get("export/short"), third.get("export/short")
        assert mine is not None
        assert mine.expires_at is not None
        assert mine == theirs


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("", "line 1"),
        ("what?", "line 1"),
        ('{"chord":"export","form":9}\n', "another form"),
        ('{"chord":"export","form":1}\n{"value":"%%"}\n', "line 2"),
        ('{"chord":"export","form":1}\n{"value":"","key":"","version":"x","expires":0}\n', "no version"),
        ('{"chord":"export","form":1}\n{"value":"","key":""}\n', "line 2"),
        ('{"chord":"export","form":1}\n{"value":"' + "A" * 40, "line 2"),
    ],
)
def test_a_damaged_export_is_refused(text: str, complaint: str, tmp_path: Path, chord: Command) -> None:
    """With the number of the line, and nothing of that line is written."""
    file = tmp_path / "damaged"
    file.write_text(text, encoding="utf-8")
    said = chord("import", str(file))
    assert 1 == said.status
    assert complaint in said.err.decode()


def test_bad_usage(chord: Command) -> None:
    """A cursor that is none, a limit of nothing, a file that is not there, JSON on the same stream as the export."""
    assert 2 == chord("keys", "--after", "there").status
    assert 2 == chord("keys", "--limit", "0").status
    assert 1 == chord("import", "no such file").status
    assert 2 == chord("export", "--json").status


def test_watch(chord: Command) -> None:
    """What came after a version: one line each, for people or as JSON, until so many are told."""
    first = chord.document("put", "watched", "1")
    second = chord.document("put", "watched", "2")
    gone = chord.document("delete", "watched")
    said = chord("watch", "watched", "--after", first["version"], "--limit", "2", "--json")
    events = [json.loads(line) for line in said.out.splitlines()]
    assert {"key", "kind", "value", "version", "expires_at", "cursor"} == events[0].keys()
    assert [("put", b"2", second["version"]), ("delete", None, gone["version"])] == [
        (each["kind"], each["value"] and b64decode(each["value"]), each["version"]) for each in events
    ]
    plain = chord.fine("watch", "watched", "--after", events[0]["cursor"], "--limit", "1").decode()
    assert f"delete {gone['version']}\n" == plain
    assert 2 == chord("watch", "watched", "--after", "yesterday").status
