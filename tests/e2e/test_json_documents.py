"""The documents that ``--json`` prints, field by field, and the exact bytes that are printed without it."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import CHORD, PATIENCE, NodeProcess, chord, document, fine, parsed, write_random

pytestmark = pytest.mark.slow


def is_id(text: object) -> bool:
    """Tell whether this is an id or a content key."""
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{40}", text) is not None


def is_peer(peer: Any) -> bool:
    """Tell whether this is a peer, on this machine."""
    return {"id", "address"} == peer.keys() and is_id(peer["id"]) and peer["address"].startswith("127.0.0.1:")


def test_put_get_delete(address: str) -> None:
    """``put`` tells version, owner and who has it; ``get`` the value in base64; ``delete`` what ``put`` tells."""
    done = document("put", "users/42", "wört", "--node", address)
    assert {"key", "version", "owner", "acked"} == done.keys()
    assert "users/42" == done["key"]
    assert is_peer(done["owner"])
    assert done["owner"] in done["acked"]
    assert all(is_peer(peer) for peer in done["acked"])
    assert len(done["acked"]) >= 2  # a majority of three

    entry = document("get", "users/42", "--node", address)
    assert {"key", "value", "version", "expires_at"} == entry.keys()
    assert ("users/42", done["version"], None) == (entry["key"], entry["version"], entry["expires_at"])
    assert "wört".encode() == b64decode(entry["value"])

    gone = document("delete", "users/42", "--node", address)
    assert "users/42" == gone["key"]
    assert gone["version"] > done["version"]
    assert 3 == chord("get", "users/42", "--node", address).returncode


@pytest.mark.parametrize("size", [0, 1, 35, 256, 8960, 65_535, 65_536, 65_537, 140_000])
def test_store_and_fetch(size: int, tmp_path: Path, ring: list[NodeProcess]) -> None:
    """What was stored through one node is fetched through another, to the byte, into a file and onto standard output."""
    original = write_random(tmp_path / "original", size)
    copy = tmp_path / "copy"
    stored = document("store", str(original), "--node", ring[0].address)
    assert {"key", "bytes", "blocks"} == stored.keys()
    assert size == stored["bytes"]
    assert is_id(stored["key"])
    if size <= 16_384:
        assert (hashlib.sha1(original.read_bytes()).hexdigest(), 1) == (stored["key"], stored["blocks"])

    fetched = document("fetch", stored["key"], "--out", str(copy), "--node", ring[2].address)
    assert (stored["key"], size, str(copy)) == (fetched["key"], fetched["bytes"], fetched["out"])
    assert original.read_bytes() == copy.read_bytes()
    assert original.read_bytes() == fine("fetch", stored["key"], "--node", ring[2].address)


def test_standard_input(address: str) -> None:
    """``-`` stores and puts what comes on standard input, any bytes."""
    data = bytes(range(256)) * 1000
    key = fine("store", "-", "--node", address, stdin=data).decode().strip()
    assert data == fine("fetch", key, "--node", address)
    fine("put", "binary", "--file", "-", "--node", address, stdin=data)
    assert data == fine("get", "binary", "--node", address)


def test_a_failed_fetch_leaves_the_old_file(tmp_path: Path, address: str) -> None:
    """A fetch of what nobody has leaves the file that stood there, and no other."""
    out = tmp_path / "out"
    out.write_text("precious", encoding="utf-8")
    assert 3 == chord("fetch", "0" * 40, "--out", str(out), "--node", address).returncode
    assert [out] == list(tmp_path.iterdir())
    assert "precious" == out.read_text(encoding="utf-8")


def test_locate(address: str) -> None:
    """``locate`` tells owner, replicas and path; ``--id`` the same of the key's place."""
    located = document("locate", "users/42", "--node", address)
    assert {"key", "owner", "replicas", "hops", "path"} == located.keys()
    assert "users/42" == located["key"]
    assert is_peer(located["owner"])
    assert located["owner"] == located["replicas"][0]
    assert 3 == len({peer["address"] for peer in located["replicas"]})
    assert located["hops"] == len(located["path"])
    assert all({"id", "address", "ms"} == hop.keys() for hop in located["path"])

    place = hashlib.sha1(b"users/42").hexdigest()
    by_place = document("locate", "--id", place, "--node", address)
    assert (place, located["owner"]) == (by_place["key"], by_place["owner"])


def test_status(address: str) -> None:
    """``status`` tells what the node knows."""
    status = document("status", "--node", address)
    assert {
        "address", "id", "phase", "predecessor", "successors", "keys", "bytes", "peers", "health"
    } == status.keys()  # fmt: skip
    assert (address, "active") == (status["address"], status["phase"])
    assert is_peer(status["predecessor"])
    assert [True, True] == [is_peer(peer) for peer in status["successors"]]
    assert 2 <= status["peers"]
    assert "small" == status["health"]


def test_ring(ring: list[NodeProcess]) -> None:
    """``ring`` tells every member in order round the circle, whichever is asked."""
    found = document("ring", "--node", ring[2].address)
    assert {"members", "ideal", "size"} == found.keys()
    assert (3, True) == (found["size"], found["ideal"])
    members = found["members"]
    assert all({"id", "address", "predecessor", "successors", "keys"} == member.keys() for member in members)
    assert {node.address for node in ring} == {member["address"] for member in members}
    ids = [member["id"] for member in members]
    assert sorted(ids) == ids
    assert [ids[2], *ids[:2]] == [member["predecessor"]["id"] for member in members]
    assert [ids[1], ids[2]] == [peer["id"] for peer in members[0]["successors"]]


def test_the_node_in_the_environment(address: str) -> None:
    """``CHORD_NODE`` names the node to ask, and the flag goes before it."""
    assert address == parsed(chord("status", "--json", CHORD_NODE=address).stdout)["address"]
    assert address == parsed(chord("status", "--json", "--node", address, CHORD_NODE="nowhere:1").stdout)["address"]


@pytest.mark.parametrize("arguments", [["ring"], ["status"], ["locate", "key"], ["--help"], ["get", "--help"]])
def test_words_for_people(arguments: list[str], address: str) -> None:
    """Without ``--json`` a person gets something to read."""
    done = chord(*arguments, CHORD_NODE=address)
    assert (0, b"") == (done.returncode, done.stderr)
    assert done.stdout


def test_a_progress_bar_only_for_who_looks_on(tmp_path: Path, address: str) -> None:
    """A long transfer draws a bar on a terminal, and none into a file."""
    file = write_random(tmp_path / "file", 20_000_000)
    command = [*CHORD, "store", str(file), "--node", address]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        drawn = b""
        try:
            while piece := os.read(ours, 65_536):
                drawn += piece
        except OSError:  # how Linux says that the last writer has closed a terminal
            pass
        finally:
            os.close(ours)
        assert 0 == process.wait(PATIENCE)
    assert b"storing" in drawn
    assert b"storing" not in chord(*command[len(CHORD) :]).stderr
