"""The documents that ``--json`` prints, field by field, and the exact bytes that are printed without it."""

from __future__ import annotations

import hashlib
import os
import re
import time
from base64 import b64decode
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from chord_adapters.storage import Batch, MemoryStorage, StorageError
from chord_adapters.sync import Node, open_node
from chord_proto.node import Node as CoreNode
from chord_proto.operations import Description
from tests.adapters.cli.command import Command


def is_id(text: object) -> bool:
    """Tell whether this is an id or a content key."""
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{40}", text) is not None


def is_peer(peer: Any) -> bool:
    """Tell whether this is a peer, on this machine."""
    return {"id", "address"} == peer.keys() and is_id(peer["id"]) and peer["address"].startswith("127.0.0.1:")


def test_put_get_delete(chord: Command) -> None:
    """``put`` tells version, owner and who has it; ``get`` the value in base64; ``delete`` what ``put`` tells."""
    done = chord.document("put", "users/42", "wört")
    assert {"key", "version", "owner", "acked"} == done.keys()
    assert "users/42" == done["key"]
    assert is_peer(done["owner"])
    assert done["owner"] in done["acked"]
    assert all(is_peer(peer) for peer in done["acked"])
    assert len(done["acked"]) >= 2  # a majority of three

    entry = chord.document("get", "users/42")
    assert {"key", "value", "version", "expires_at"} == entry.keys()
    assert ("users/42", done["version"], None) == (entry["key"], entry["version"], entry["expires_at"])
    assert "wört".encode() == b64decode(entry["value"])

    gone = chord.document("delete", "users/42")
    assert "users/42" == gone["key"]
    assert gone["version"] > done["version"]
    assert 3 == chord("get", "users/42").status


def test_conditions_and_quorums(chord: Command) -> None:
    """``--if-absent`` and ``--if-version`` end with status 5 and `VersionMismatch`; -w and -r say how many, --ttl how long."""
    first = chord.document("put", "lock", "mine", "--if-absent", "-w", "all", "--ttl", "3600")
    assert 3 == len(first["acked"])
    another = "the record has another version"
    for words, *arguments in (
        ("there is a record already", "put", "lock", "theirs", "--if-absent"),
        (another, "put", "lock", "theirs", "--if-version", "000000000001-0000-0000000000000001"),
        (another, "delete", "lock", "--if-version", "000000000001-0000-0000000000000001"),
    ):
        failed = chord(*arguments, "--json")
        assert 5 == failed.status
        assert words == failed.error["message"]
        assert {"name": "VersionMismatch", "retryable": False, "outcome_unknown": False}.items() <= failed.error.items()
    entry = chord.document("get", "lock", "-r", "majority")
    assert (first["version"], b"mine") == (entry["version"], b64decode(entry["value"]))
    assert time.time() < entry["expires_at"] < time.time() + 3601
    chord.document("put", "lock", "other", "--if-version", first["version"], "-w", "1")
    assert None is chord.document("get", "lock", "-r", "3")["expires_at"]


@pytest.mark.parametrize(
    "arguments", [("-w", "none"), ("-w", "0"), ("-w", "4"), ("--ttl", "-1"), ("--if-version", "x")]
)
def test_bad_conditions(arguments: tuple[str, str], chord: Command) -> None:
    """What cannot be is wrong usage, and nothing is written."""
    assert 2 == chord("put", "untouched", "v", *arguments).status
    assert 3 == chord("get", "untouched").status


@pytest.mark.parametrize("size", [0, 1, 35, 256, 8960, 262_143, 262_144, 262_145, 560_000])
def test_store_and_fetch(size: int, tmp_path: Path, ring: list[Node], chord: Command) -> None:
    """What was stored through one node is fetched through another, to the byte, into a file and onto standard output."""
    original = tmp_path / "original"
    original.write_bytes(os.urandom(size))
    copy = tmp_path / "copy"
    stored = chord.document("store", str(original), "--node", ring[0].address)
    assert {"key", "bytes", "blocks"} == stored.keys()
    assert size == stored["bytes"]
    assert is_id(stored["key"])
    if size <= 16_384:
        assert (hashlib.sha1(original.read_bytes()).hexdigest(), 1) == (stored["key"], stored["blocks"])

    fetched = chord.document("fetch", stored["key"], "--out", str(copy), "--node", ring[2].address)
    assert (stored["key"], size, str(copy)) == (fetched["key"], fetched["bytes"], fetched["out"])
    assert original.read_bytes() == copy.read_bytes()
    assert original.read_bytes() == chord.fine("fetch", stored["key"], "--node", ring[2].address)


def test_standard_input(chord: Command) -> None:
    """``-`` stores and puts what comes on standard input, any bytes."""
    data = bytes(range(256)) * 1000
    key = chord.fine("store", "-", stdin=data).decode().strip()
    assert data == chord.fine("fetch", key)
    assert b"" == chord.fine("fetch", chord.fine("store", "/dev/null").decode().strip())
    chord.fine("put", "binary", "--file", "-", stdin=data)
    assert data == chord.fine("get", "binary")


def test_a_failed_fetch_leaves_the_old_file(tmp_path: Path, chord: Command) -> None:
    """A fetch of what nobody has leaves the file that stood there, and no other."""
    out = tmp_path / "out"
    out.write_text("precious", encoding="utf-8")
    assert 3 == chord("fetch", "0" * 40, "--out", str(out)).status
    assert [out] == list(tmp_path.iterdir())
    assert "precious" == out.read_text(encoding="utf-8")


def test_locate(chord: Command) -> None:
    """``locate`` tells owner, replicas and path; ``--id`` the same of the key's place."""
    located = chord.document("locate", "users/42")
    assert {"key", "owner", "replicas", "hops", "path"} == located.keys()
    assert "users/42" == located["key"]
    assert is_peer(located["owner"])
    assert located["owner"] == located["replicas"][0]
    assert 3 == len({peer["address"] for peer in located["replicas"]})
    assert located["hops"] == len(located["path"])
    assert all({"id", "address", "ms"} == hop.keys() for hop in located["path"])

    place = hashlib.sha1(b"users/42").hexdigest()
    by_place = chord.document("locate", "--id", place)
    assert (place, located["owner"]) == (by_place["key"], by_place["owner"])


def test_status(ring: list[Node], chord: Command) -> None:
    """``status`` tells what the node knows."""
    status = chord.document("status")
    assert {
        "address", "id", "phase", "predecessor", "successors", "keys", "bytes", "peers", "health"
    } == status.keys()  # fmt: skip
    assert (ring[1].address, "active") == (status["address"], status["phase"])
    assert is_peer(status["predecessor"])
    assert [True, True] == [is_peer(peer) for peer in status["successors"]]
    assert 2 <= status["peers"]
    health = status["health"]
    assert {
        "state", "phase", "ready", "small", "unsafe", "pending", "member", "in_order", "formed", "missing", "last_repair",
        "storage_failed",
    } == health.keys()  # fmt: skip
    assert ("small", True, True, False) == (health["state"], health["member"], health["formed"], health["unsafe"])
    assert "in order, formed" in chord.fine("status").decode()


def test_status_of_a_failed_storage(chord: Command) -> None:
    """It says so in words, not only that the node is unsafe."""

    class Failing(MemoryStorage):
        def apply(self, batch: Batch) -> None:
            if any(write.changes for _, write in batch.writes):
                raise StorageError("no more room")
            super().apply(batch)

    with open_node("127.0.0.1:0", storage=Failing()) as node:
        node.wait_ready()
        assert 1 == chord("put", "key", "value", "--node", node.address).status
        said = chord("status", "--node", node.address)
        assert (1, True) == (said.status, b"unsafe, storage failed\n" in said.out)
        assert chord("status", "--node", node.address, "--json").document["health"]["storage_failed"]
        node.abort()


def test_status_of_virtual_nodes(chord: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The health is that of the worst of them."""

    def describe(node: CoreNode) -> Description:
        fields = {name: getattr(described(node), name) for name in signature(Description).parameters}
        return Description(**fields | {"unsafe": node.me.index == 2})

    described = CoreNode.describe
    with open_node("127.0.0.1:0", virtual_nodes=3) as node:
        node.wait_ready()
        said = chord("status", "--node", node.address)
        assert (0, 1) == (said.status, len(re.findall(rb"(?m)^places +3$", said.out)))
        monkeypatch.setattr(CoreNode, "describe", describe)
        said = chord("status", "--node", node.address, "--json")
        assert (1, "unsafe") == (said.status, said.document["health"]["state"])
        node.abort()


def test_ring(ring: list[Node], chord: Command) -> None:
    """``ring`` tells every member in order round the circle, whichever is asked."""
    found = chord.document("ring", "--node", ring[2].address)
    assert {"members", "ideal", "size"} == found.keys()
    assert (3, True) == (found["size"], found["ideal"])
    members = found["members"]
    assert all({"id", "address", "predecessor", "successors", "keys"} == member.keys() for member in members)
    assert {node.address for node in ring} == {member["address"] for member in members}
    ids = [member["id"] for member in members]
    assert sorted(ids) == ids
    assert [ids[2], *ids[:2]] == [member["predecessor"]["id"] for member in members]
    assert [ids[1], ids[2]] == [peer["id"] for peer in members[0]["successors"]]


def test_the_node_in_the_environment(ring: list[Node], chord: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """``CHORD_NODE`` names the node to ask, and the flag goes before it."""
    assert ring[1].address == chord.document("status")["address"]
    assert ring[0].address == chord.document("status", "--node", ring[0].address)["address"]
    monkeypatch.setenv("CHORD_NODE", "nowhere:1")
    assert ring[0].address == chord.document("status", "--node", ring[0].address)["address"]


@pytest.mark.parametrize("arguments", [["ring"], ["status"], ["locate", "key"], ["locate", "--id", "0"]])
def test_words_for_people(arguments: list[str], chord: Command) -> None:
    """Without ``--json`` a person gets something to read."""
    said = chord(*arguments)
    assert (0, b"") == (said.status, said.err)
    assert len(said.out.splitlines()) >= 3


def test_words_after_writing(chord: Command) -> None:
    """What ``put``, ``delete`` and ``fetch --out`` have done is said on standard error."""
    assert b"" == chord("put", "key", "value").out
    assert b"written, version" in chord("put", "key", "value").err
    assert b"deleted, version" in chord("delete", "key").err
    key = chord.fine("store", "-", stdin=b"abc").decode().strip()
    said = chord("fetch", key, "--out", "copy")
    assert (b"", b"chord: fetched 3 bytes to copy\n") == (said.out, said.err)
