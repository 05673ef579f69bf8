"""What commands print: JSON and tables on standard output, words for people on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

from chord_proto.peer import Peer


def open_output() -> None:
    """Let what is for a standard stream that the caller has closed go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def give_up_output() -> None:
    """Let what standard output still holds go nowhere: the interpreter must not stumble over it again at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def say(message: str) -> None:
    """Tell a person, on standard error."""
    print(f"chord: {message}", file=sys.stderr, flush=True)


def print_json(document: Mapping[str, object]) -> None:
    """Print one JSON document on one line of standard output."""
    print(json.dumps(document), flush=True)


def hexadecimal(number: int) -> str:
    """Return a place or a content key as its 40 digits."""
    return f"{number:040x}"


def peer_fields(peer: Peer | None) -> dict[str, object] | None:
    """Return a peer as it stands in every JSON document."""
    return None if peer is None else {"id": hexadecimal(peer.id), "address": peer.address}


def print_columns(rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns as wide as their widest cell."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def size_in_words(size: int) -> str:
    """Return a number of bytes for people."""
    if size < 1000:
        return f"{size} bytes"
    amount, unit = size / 1000, 0
    while amount >= 1000 and unit < 3:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {('kB', 'MB', 'GB', 'TB')[unit]}"
