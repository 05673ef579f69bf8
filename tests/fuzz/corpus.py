"""The inputs that fuzzing begins with, and those by which it has found something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chord_proto._wire_hello import Reply, pack_reply
from chord_proto.connection import Hello
from tests.proto.samples import vectors

_HERE = Path(__file__).parent


def corpus(target: str) -> list[bytes]:
    """Return inputs that together reach what fuzzing has reached: the golden bytes of each message, and ``TARGET.txt``."""
    path = _HERE / f"{target}.txt"
    kept = path.read_text(encoding="ascii").split() if path.exists() else []
    return [*_GOLDEN.get(target, list)(), *map(bytes.fromhex, kept)]


def _bodies() -> list[bytes]:
    return [b"\0" + bytes.fromhex(body) for body in vectors().values()]


def _streams() -> list[bytes]:
    """Return a greeted stream of frames for either end, and hellos."""
    bodies = [bytes.fromhex(body) for body in vectors().values()]
    frames = b"".join(bytes((len(body),)) + body for body in bodies if len(body) < 100)
    hello = Hello("chord", address="127.0.0.1:7001").pack()
    return [b"\x06\x01" + frames, b"\x07\x02" + frames, b"\0\x03" + hello, b"\x01\x04" + pack_reply(Reply.WELCOME, 1)]


_GOLDEN: dict[str, Callable[[], list[bytes]]] = {"decoder": _bodies, "reader": _streams}


def finds(target: str) -> list[bytes]:
    """Return the inputs by which this target has failed once: of ``finds.txt``, where comments say what it was."""
    lines = (_HERE / "finds.txt").read_text(encoding="utf-8").splitlines()
    words = (line.split() for line in lines if line and not line.startswith("#"))
    return [bytes.fromhex(data) for name, data in words if name == target]
