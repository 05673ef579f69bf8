"""A recording as it is read: what nodes were made of, what they were told, and what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, TypeAlias

import attrs

from chord_adapters._errors import ChordError
from chord_adapters._recording_form import DOORS, MAX_LINE, Digest, arguments_of, node_of, record_of
from chord_proto.config import Config
from chord_proto.errors import DecodeError
from chord_proto.messages import Record
from chord_proto.node import Node
from chord_proto.wire import Codec

_FIRST_LINE = re.compile(r"# chord (\w+) (\d+)\n")
_BAD = (DecodeError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What the making of a node or an input raises when its line is not as it should be."""

_LATEST = 1e12
"""Seconds; a clock that shows more cannot tell two moments apart, and timers would fall due for ever."""
_MAX_TOLD = 200
"""Most characters told of a line that is not whole."""


class BadRecording(ChordError):
    """The file is no recording, or is damaged; the message says where."""


@attrs.frozen
class Made:
    """A node was made: ``name`` means this one from here on."""

    name: str
    node: Node


@attrs.frozen
class Input:
    """One input, and the lines of what came of it.  ``words`` are its line without what only a machine reads."""

    step: int
    line: int
    at: float
    name: str
    kind: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    words: str
    text: str
    outcome: tuple[str, ...]


@attrs.frozen
class Ending:
    """How the recording ends, in words; ``complete`` when its recorder was closed."""

    complete: bool
    words: str


Entry: TypeAlias = Made | Input | Ending


def kind_of(first_line: str) -> str:
    """Return what a file says that it is, ``"recording 1"``; raises `BadRecording`."""
    said = _FIRST_LINE.fullmatch(first_line)
    if said is None:
        raise BadRecording("not a recording: its first line is not “# chord recording 1”")
    return f"{said[1]} {said[2]}"


class Reader:
    """Reads a recording from its second line on, in one pass; what is cut short at its end is told as its `Ending`."""

    def __init__(self, file: BinaryIO, first_line: str) -> None:
        self.digest = Digest()
        """Over what was read; who feeds the inputs adds what came of them."""
        self.versions: Mapping[str, str] = {}
        self._file = file
        self._line = 1
        self._steps = 0
        self._codecs: dict[str, Codec] = {}
        self._codec_of_bits: dict[int, Codec] = {}
        self._ahead: str | None = None
        self.digest.line(first_line)

    def entries(self) -> Iterator[Entry]:
        """Yield what the recording holds, an `Ending` last; raises `BadRecording` and ``OSError``."""
        while (line := self._next()) is not None:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "version" and not self.versions:
                self.versions = self._json(rest)
                self.digest.line(line)
            elif word == "node":
                made = self._node(line)
                if made is None:
                    break
                yield made
            elif word.isdecimal():
                entry = self._input(line)
                if entry is None:
                    return (yield self._torn(line))
                yield entry
            elif word in ("end", "stopped"):
                yield self._ended(word, rest)
                return
            else:
                raise self._bad("a line that says nothing known")
        if self._ahead is not None:
            yield self._torn(self._ahead)
        else:
            yield Ending(False, "it breaks off: the process was killed, or is still recording")

    def _ended(self, word: str, rest: str) -> Ending:
        if word == "end" and rest != str(self._steps):
            raise self._bad(f"the end of {rest} inputs, after {self._steps}")
        if self._next() is not None or self._ahead is not None:
            raise self._bad("more after its end")
        return Ending(word == "end", f"{word} {rest}")

    def _torn(self, line: str) -> Ending:
        """Return what to say of an end that is not whole."""
        words = line.rstrip("\n")[:_MAX_TOLD]
        return Ending(False, f"it breaks off within an input, which is left out: {words}")

    def _node(self, line: str) -> Made | None:
        """Return the node of a line and of those of its records; None when these are not all there."""
        self.digest.line(line)
        _, _, words = line.rstrip("\n").partition(" ")
        name, _, rest = words.partition(" ")
        made = self._json(rest)
        records: list[Record] = []
        try:
            bits = Config(**made["config"]).bits
            if bits not in self._codec_of_bits:
                self._codec_of_bits[bits] = Codec(bits)
            codec = self._codecs[name] = self._codec_of_bits[bits]
            for _ in range(made["records"]):
                record = self._next()
                if record is None:
                    return None
                self.digest.line(record)
                word, _, text = record.rstrip("\n").partition(" ")
                if word != "record":
                    raise self._bad("something else than a record")
                records.append(record_of(text, codec))
            return Made(name, node_of(made, records))
        except _BAD as error:
            raise self._bad(f"not a node that can be made: {error}") from error

    def _input(self, line: str) -> Input | None:
        """Return the input of a line; None when what came of it is not all there."""
        at_line = self._line
        words, _, told = line.rstrip("\n").rpartition(" ")
        parts = words.split(" ", 4)
        try:
            number, at, name, kind = parts[:4]
            if int(number) != self._steps + 1:
                raise self._bad(f"input {number} after input {self._steps}")
            if kind not in DOORS:
                raise self._bad(f"no input of a node: {kind}")
            codec = self._codecs[name]
            arguments, keywords = arguments_of(kind, json.loads(told), codec)
            seconds = json.loads(at)
            if not abs(seconds) < _LATEST:
                raise self._bad(f"no time: {at}")
        except _BAD as error:
            raise self._bad(f"not an input: {type(error).__name__}: {error}") from error
        self.digest.line(line)
        outcome: list[str] = []
        while not outcome or not outcome[-1].startswith("  = "):
            more = self._next()
            if more is None:
                return None
            if not more.startswith("  "):
                raise self._bad(f"input {number} has no end")
            outcome.append(more)
        self._steps += 1
        return Input(
            step=self._steps,
            line=at_line,
            at=seconds,
            name=name,
            kind=kind,
            arguments=arguments,
            keywords=keywords,
            words=words if len(parts) > 4 else f"{words} {told}",
            text=line,
            outcome=tuple(each.rstrip("\n") for each in outcome),
        )

    def _next(self) -> str | None:
        """Return the next whole line; None at the end, or before a line that is not whole, which is then ahead."""
        data = self._file.readline(MAX_LINE + 1)
        if not data:
            return None
        self._line += 1
        if len(data) > MAX_LINE:
            raise self._bad("longer than a line may be")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            if not data.endswith(b"\n"):
                text = data.decode(errors="replace")  # Torn in the middle of a character.
            else:
                raise self._bad("not text") from None
        if not text.endswith("\n"):
            self._ahead = text
            return None
        return text

    def _json(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise self._bad(f"not as it was written: {error}") from error
        if not isinstance(found, dict):
            raise self._bad("not as it was written")
        return found

    def _bad(self, what: str) -> BadRecording:
        return BadRecording(f"line {self._line} is damaged: {what}")
