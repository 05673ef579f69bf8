"""The exit status of every command in every kind of trouble, and the error as JSON."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from chord_adapters import NoQuorum
from chord_adapters._client import Client
from chord_adapters.sync import open_node
from tests.adapters.cli.command import Command

KEY = "0123456789abcdef0123456789abcdef01234567"
ASKING = [
    ["put", "key", "value"],
    ["get", "key"],
    ["delete", "key"],
    ["store", __file__],
    ["fetch", KEY, "--out", "never"],
    ["locate", "key"],
    ["status"],
    ["ring"],
    ["watch", "key"],
]
"""A right use of every command that asks a node."""


def free_port() -> int:
    """Return a port that is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("arguments", ASKING, ids=lambda arguments: str(arguments[0]))
def test_nobody_is_there(arguments: list[str], chord: Command) -> None:
    """Each command ends with 4, within the timeout, when nobody listens at the address."""
    began = time.monotonic()
    done = chord(*arguments, "--node", f"127.0.0.1:{free_port()}", "--timeout", "1", "--json")
    assert 4 == done.status, done
    error = done.document["error"]
    assert {"name", "message", "retryable", "outcome_unknown"} == error.keys()
    assert ("Unreachable", True, False) == (error["name"], error["retryable"], error["outcome_unknown"])
    assert time.monotonic() - began < 5  # the default is ten


@pytest.mark.parametrize("arguments", ASKING, ids=lambda arguments: str(arguments[0]))
def test_who_listens_says_nothing(arguments: list[str], chord: Command) -> None:
    """Each command ends with 4, within the timeout, when who listens there never answers."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        began = time.monotonic()
        done = chord(*arguments, "--node", f"127.0.0.1:{mute.getsockname()[1]}", "--timeout", "0.5", "--json")
        assert 4 == done.status, done
        assert done.document["error"]["name"] in {"Timeout", "Unreachable"}
        assert time.monotonic() - began < 5  # the default is ten


@pytest.mark.parametrize("arguments", ASKING, ids=lambda arguments: str(arguments[0]))
def test_another_network(arguments: list[str], chord: Command) -> None:
    """Each command ends with 4 when the node is of a ring of another name."""
    done = chord(*arguments, "--network", "other", "--timeout", "5", "--json")
    assert 4 == done.status, done
    assert "error" in done.document


@pytest.mark.parametrize("after", [[], ["--after", "000000000001-0000-0000000000000001"]], ids=["now", "after"])
def test_a_watch_that_never_begins(after: list[str], chord: Command) -> None:
    """``watch`` ends as ``get`` does when nobody listens, and when the node there is no member of a ring."""
    with open_node("127.0.0.1:0", join=[f"127.0.0.1:{free_port()}"]) as lonely:
        for address in (f"127.0.0.1:{free_port()}", lonely.address):
            where = ["--node", address, "--timeout", "0.5"]
            got = chord("get", "key", *where)
            watched = chord("watch", "key", *after, *where)
            assert (4, b"", got.err) == (watched.status, watched.out, watched.err)


@pytest.mark.parametrize(
    "arguments, status",
    [
        (["get", "nobody has written this"], 3),
        (["fetch", KEY, "--out", "never"], 3),
        (["delete", "nobody has written this"], 0),
        (["put", "key", "value"], 0),
        (["put", "", ""], 0),
        (["put", "schlüssel/鍵/🔑", "wert"], 0),
        (["put", "key", "--file", "/does/not/exist"], 1),
        (["store", "/does/not/exist"], 1),
        (["store", "/"], 1),
    ],
)
def test_answers(arguments: list[str], status: int, chord: Command) -> None:
    """On a ring that is well: 0 when done, 3 when nobody has it, 1 for a file that cannot be used."""
    done = chord(*arguments, "--json")
    assert status == done.status, done
    assert ("error" in done.document) == (status != 0)


def test_no_place_for_what_was_read(chord: Command) -> None:
    """The value is there, the file for it cannot be made: 1."""
    assert 0 == chord("put", "to a file", "value").status
    done = chord("get", "to a file", "--out", "/does/not/exist", "--json")
    assert (1, True) == (done.status, "error" in done.document)


def test_too_large(tmp_path: Path, chord: Command) -> None:
    """A value above the limit of named records is refused with 1, and nothing is written."""
    file = tmp_path / "file"
    file.write_bytes(bytes(5_000_000))
    done = chord("put", "large", "--file", str(file), "--json")
    assert 1 == done.status
    assert "ValueTooLarge" == done.document["error"]["name"]
    assert 3 == chord("get", "large").status


@pytest.mark.parametrize("unknown", [True, False])
@pytest.mark.parametrize("arguments", [["put", "key", "value"], ["delete", "key"]], ids=lambda each: str(each[0]))
def test_a_person_is_told_of_an_unknown_outcome(
    arguments: list[str], unknown: bool, chord: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that may have taken effect all the same does not read like one that certainly has not."""

    async def fail(*_: object) -> None:
        raise NoQuorum("too few replicas were reached", outcome_unknown=unknown)

    monkeypatch.setattr(Client, "_perform", fail)
    said = chord(*arguments)
    doubt = "; whether it was written is not known" if unknown else ""
    assert (4, f"chord: too few replicas were reached{doubt}\n") == (said.status, said.err.decode())


@pytest.mark.parametrize("source", ["/dev/zero", "-"])
def test_no_end(source: str, chord: Command) -> None:
    """Of what is too large no more is read than it takes to know that."""
    said = chord("put", "endless", "--file", source, stdin=bytes(4 * 1024 * 1024 + 1))
    assert (1, b"chord: the value is too large, the most is 4194304 bytes\n") == (said.status, said.err)
    assert 0 == chord("put", "longest", "--file", "-", stdin=bytes(4 * 1024 * 1024)).status
