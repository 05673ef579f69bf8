"""``chord`` called as a function: its status and what it printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from chord_adapters.cli import main


@attrs.frozen
class Said:
    """How a command ended and what it printed."""

    status: int
    out: bytes
    err: bytes

    @property
    def error(self) -> dict[str, Any]:
        """What the document says went wrong."""
        found = self.document["error"]
        assert isinstance(found, dict)
        return found

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document that standard output holds."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


class Command:
    """Calls ``chord`` and catches what it says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[bytes]) -> None:
        self._monkeypatch = monkeypatch
        self._capture = capture

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Said:
        """Run one command."""
        fed = Path("stdin")
        fed.write_bytes(stdin)
        with fed.open("rb") as file, self._monkeypatch.context() as patch:
            patch.setattr("sys.stdin", Stdin(file))
            status = main(arguments)
        fed.unlink()
        printed = self._capture.readouterr()
        return Said(status, printed.out, printed.err)

    def fine(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run one command that must succeed and return its standard output."""
        said = self(*arguments, stdin=stdin)
        assert 0 == said.status, said
        return said.out

    def document(self, *arguments: str) -> dict[str, Any]:
        """Run one command with ``--json`` that must succeed and return its document; it says nothing else."""
        said = self(*arguments, "--json")
        assert (0, b"") == (said.status, said.err), said
        return said.document


@attrs.frozen
class Stdin:
    """As much of standard input as the command looks at."""

    buffer: Any
