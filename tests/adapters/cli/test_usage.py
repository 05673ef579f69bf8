"""What the command refuses before it asks anybody, and what it says without asking."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest

from chord_adapters.cli import main

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["get"],
        ["get", "key", "superfluous"],
        ["get", "key", "--nonsense"],
        ["put", "key"],
        ["put", "key", "value", "--file", __file__],
        ["put", "key", "value", "--ttl", "soon"],
        ["put", "key", "value", "-w", "most"],
        ["fetch", "not hexadecimal"],
        ["fetch", KEY[1:]],
        ["locate"],
        ["locate", "key", "--id", KEY],
        ["locate", "--id", "xyz"],
        ["status", "--node", "127.0.0.1"],
        ["status", "--node", "127.0.0.1:port"],
        ["status", "--node", "127.0.0.1:65536"],
        ["status", "--node", "127.0.0.1:0"],
        ["status", "--node", "300.0.0.1:4600"],
        ["status", "--node", "two words:4600"],
        ["status", "--node", "::1"],
        ["status", "--node", ""],
        ["status", "--timeout", "0"],
        ["status", "--timeout", "-1"],
        ["status", "--timeout", "nan"],
        ["status", "--timeout", "soon"],
        ["node", "--listen", "127.0.0.1"],
        ["node", "--listen", "nonsense:nonsense"],
        ["node", "--listen", "0.0.0.0:0"],  # a wildcard needs --advertise
        ["node", "--listen", "127.0.0.1:0", "--join", "127.0.0.1"],
        ["node", "--listen", "127.0.0.1:4699", "--join", "127.0.0.1:4699"],
        ["node", "--listen", "127.0.0.1:0", "--virtual-nodes", "0"],
        ["node", "--listen", "127.0.0.1:0", "--backend", "twisted"],
        ["node", "--data"],
        ["node", "--tls"],
        ["get", "key", "--tls", ""],
        ["tls", "issue", "folder"],
        ["tls", "issue", "folder", "--host", "a", "--days", "0"],
        ["node", "--listen", "127.0.0.1:0", "--data", ""],
        ["node", "--listen", "127.0.0.1:0", "--data="],
        ["node", "--listen", "127.0.0.1:0", "--record", ""],
        ["put", "key", "--file", ""],
        ["get", "key", "--out", ""],
        ["store", ""],
        ["fetch", KEY, "--out", ""],
        ["export", "--out", ""],
        ["import", ""],
        ["replay", ""],
        ["demo", ""],
        ["check", "simulate", "--out", ""],
        ["demo", "--nodes", "0"],
        ["demo", "--nodes", "-1"],
        ["demo", "--kill", "-1"],
        ["demo", "--nodes", "3", "--kill", "3"],
        ["demo", "--nodes", "3", "--kill", "2"],
        ["demo", "--nodes", "1000"],
        ["bench", "everything"],
        ["bench", "--rounds", "0"],
        ["bench", "--seconds", "0"],
        ["bench", "--megabytes", "-1"],
    ],
    ids=" ".join,
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage ends with 2 and one line of words on standard error, nothing on standard output."""
    assert 2 == main(arguments)
    said = capsys.readouterr()
    assert "" == said.out
    assert said.err.startswith("chord: ")
    assert 1 == len(said.err.splitlines())


@pytest.mark.parametrize("arguments", [["get"], ["fetch", KEY], ["status", "--node", "nowhere"]], ids=" ".join)
def test_wrong_usage_as_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With ``--json`` wrong usage is a document on standard output; ``fetch --json`` needs ``--out``."""
    assert 2 == main([*arguments, "--json"])
    said = capsys.readouterr()
    assert "" == said.err
    error = json.loads(said.out)["error"]
    assert {"name", "message", "retryable", "outcome_unknown"} == error.keys()
    assert (False, False) == (error["retryable"], error["outcome_unknown"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` prints the version and nothing else."""
    assert 0 == main(["--version"])
    assert f"{version('chord-dht')}\n" == capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_lists_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command, and with ``--help``, the commands are listed with what they do."""
    assert 0 == main(arguments)
    told = capsys.readouterr().out
    for command in (
        "demo",
        "node",
        "put",
        "get",
        "delete",
        "store",
        "fetch",
        "locate",
        "status",
        "ring",
        "keys",
        "watch",
        "export",
        "import",
        "tls",
        "check",
        "replay",
        "bench",
        "sim",
    ):
        assert f" {command} " in told
    assert "Delete a record" in told


@pytest.mark.parametrize(
    "command", ["demo", "node", "put", "get", "delete", "store", "fetch", "locate", "status", "ring", "replay", "bench"]
)
def test_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command explains itself, and takes ``--json``."""
    assert 0 == main([command, "--help"])
    told = capsys.readouterr().out
    assert f"Usage: chord {command}" in told
    assert "--json" in told
