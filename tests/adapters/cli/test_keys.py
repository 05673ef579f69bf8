"""``chord keys``, ``export`` and ``import``."""

from __future__ import annotations

import io
import json
import os
import re
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from chord_adapters.cli.imports import _lines, _some
from chord_adapters.cli.keys import HEAD
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


def exported(*lines: dict[str, Any]) -> str:
    """Return an export of these."""
    return "".join(msgspec.json.encode(line).decode() + "\n" for line in (HEAD, *lines))


def version_at(seconds: float) -> str:
    """Return a version of that time."""
    return f"{int(seconds * 1000):012x}-0000-0000000000000001"


def record(name: bytes = b"k", value: bytes = b"", version: str = version_at(1), expires: int = 0) -> str:
    """Return an export of one record."""
    return exported({"value": value, "key": name, "version": version, "expires": expires})


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
        ('{"chord":"export","form":1}\n["value"]\n', "line 2: Expected `object`, got `array`"),
        ('{"chord":"export","form":1}\n7\n', "line 2: Expected `object`, got `int`"),
        ('{"chord":"export","form":1}\n{"key":""}\n', "line 2: Object missing required field `value`"),
        ('{"chord":"export","form":1}\n{"value":5}\n', "line 2: Expected `bytes`, got `int`"),
        ('{"chord":"export","form":1}\n' + "[" * 100_000, "line 2: "),
        ('{"chord":"export","form":1}\n' + '{"value":"","x":' + "[" * 100_000, "line 2: it is nested too deeply"),
        (record(value=bytes(4 * 1024 * 1024 + 1)), "line 2: the value has 4194305 bytes, the most is 4194304"),
        (record(bytes(4097)), "line 2: the key has 4097 bytes, the most is 4096"),
        (record(version="000000000001-0000-0000000000000001", expires=-1), "line 2: -1 is no time"),
        (exported({"value": bytes(262_145)}), "line 2: the block has 262145 bytes, the most is 262144"),
    ],
    ids=lambda text: text[:60],
)
def test_a_damaged_export_is_refused(text: str, complaint: str, tmp_path: Path, chord: Command) -> None:
    """With the number of the line, and nothing of that line is written."""
    file = tmp_path / "damaged"
    file.write_text(text, encoding="utf-8")
    said = chord("import", str(file))
    assert 1 == said.status
    assert complaint in said.err.decode()
    assert 1 == len(said.err.splitlines())


def test_a_record_that_the_node_refuses(tmp_path: Path, chord: Command) -> None:
    """The line is named when the ring takes less than an export may have, and when it is not there."""
    file = tmp_path / "refused"
    config = attrs.evolve(QUICK, max_value_size=1000, max_key_size=1024)
    with open_node("127.0.0.1:0", config=config) as small:
        small.wait_ready()
        where = ["--node", small.address, "--timeout", "5"]
        for text, complaint in (
            (record(value=bytes(2000)), "line 2: the value is too large"),
            (record(bytes(2000)), "line 2: the node that was asked refuses these arguments"),
        ):
            file.write_text(text, encoding="utf-8")
            said = chord("import", str(file), *where)
            assert (1, f"chord: {complaint}\n") == (said.status, said.err.decode())
    said = chord("import", str(file), *where[:2], "--timeout", "0.3")
    assert (4, f"chord: line 2: {small.address} cannot be reached\n") == (said.status, said.err.decode())


def test_a_version_of_the_future(tmp_path: Path, chord: Command) -> None:
    """The clock is told to be the reason why no replica takes it."""
    file = tmp_path / "future"
    file.write_text(record(version=version_at(time.time() + 3600)), encoding="utf-8")
    said = chord("import", str(file), "--timeout", "0.5")
    assert 4 == said.status
    assert re.fullmatch(r"chord: line 2: the version is 3\d{3} s ahead of the clock here, .*\n", said.err.decode())


def test_what_made_no_difference_is_counted(tmp_path: Path, chord: Command) -> None:
    """What is newer on the ring, and what has expired, is not told as written."""
    newer = chord.document("put", "import/newer", "v")["version"]
    lines = [
        record(b"import/new", b"value"),
        record(b"import/newer", b"old"),
        record(b"import/expired", b"value", expires=1),
        exported({"value": b"block"}),
    ]
    file = tmp_path / "some"
    file.write_text(lines[0] + "".join(text.partition("\n")[2] for text in lines[1:]), encoding="utf-8")
    told = {"records": 1, "blocks": 1, "bytes": 10, "newer": 1, "expired": 1}
    assert told == chord.document("import", str(file))
    words = b"chord: imported 1 records and 1 blocks, 10 bytes; 1 are newer on the ring; 1 had expired\n"
    assert words == chord("import", str(file)).err
    assert newer == chord.document("get", "import/newer")["version"]


def test_few_bytes_are_read_ahead() -> None:
    """Not only the number of records that are written at once is bounded, but their bytes."""
    block, large = (
        {"value": bytes(60_000)},
        {"value": bytes(4_000_000), "key": b"", "version": version_at(1), "expires": 0},
    )
    source = io.BytesIO(exported(*[block] * 40, *[large] * 9).encode())
    lines = _lines(source, 1)
    sizes = []
    while batch := _some(lines):
        sizes.append((len(batch), sum(line.size for line in batch)))
    assert [(32, 32 * 60_000), (8 + 5, 8 * 60_000 + 5 * 4_000_000), (4, 4 * 4_000_000)] == sizes


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
