r"""The text form of a recording: what a node was told, and what it did.

::

    # chord recording 1
    version {"chord-dht":"0.1.0","python":"3.11.9"}
    node 127.0.0.1:4601#0 {"address":"127.0.0.1:4601","index":0,"seed":7,"incarnation":1,"config":{…},"records":0}
    1 12.345678 127.0.0.1:4601#0 wall [1767225600.25]
      = 0 1f0c5c9d8a3b2e41
    2 12.345912 127.0.0.1:4601#0 receive Ping 77 of 127.0.0.1:4600#0 ["127.0.0.1:4600","EJTZI…"]
      send 127.0.0.1:4600 Pong 77 of 127.0.0.1:4601#0 member=True predecessors=[]
      = 1 9d1be02c44a7f350
    end 2

A line for each input: its number, the node's clock, the node, the door, words for people, and as its last word the
arguments in JSON, in which there is no space.  Then a line for each effect, in words, and one with their number and
a digest.  ``end`` says that the recorder was closed, ``stopped`` why it gave up; a file without either was cut short.

Messages and operations are the bytes of their wire format in base64, of which it is known that every message comes
back as it was, and with bounds; the words beside them are for people alone.  Numbers are written by ``repr``, so
that floats come back exactly.  Effects need not come back, only be compared: the digest runs over everything before
it, all inputs as they are written and the whole of each effect, which makes a step that was changed or is missing
show at that step.
"""

from __future__ import annotations

import json
import platform
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any

import attrs

from chord_adapters import _words as words
from chord_proto.config import Config
from chord_proto.effects import Effect
from chord_proto.messages import Message, Perform, Record, Replicate
from chord_proto.node import Node
from chord_proto.operations import Operation
from chord_proto.peer import Peer
from chord_proto.wire import Codec

FIRST_LINE = "# chord recording 1\n"
MAX_LINE = 64 * 1024 * 1024
"""Most bytes of a line; an input that needs more ends the recording."""
MAX_FILE = 1_000_000_000
"""Bytes after which a recording ends, unless told otherwise."""
DOORS = (
    "create", "join", "leave", "receive", "tick", "unreachable", "written", "write_failed", "wall", "perform", "cancel"
)  # fmt: skip
"""The inputs of a node; its other methods that change it go through these."""
_HEADER = (None, 1, None, 0, 0)
_NAMED_NUMBER = re.compile(r"<(?:Reason|Space)\.\w+: (\d+)>")


@cache
def versions() -> dict[str, str]:
    """Return what effects depend on besides the inputs."""
    from importlib.metadata import version  # which loads a good deal, for nothing else

    return {"chord-dht": version("chord-dht"), "python": platform.python_version()}


def compact(value: object) -> str:
    """Return ``value`` as JSON in which there is no space."""
    return json.dumps(value, separators=(",", ":")).replace(" ", "\\u0020")


# Nodes


def node_line(node: Node, seed: int, records: Sequence[Record], life: Mapping[str, Any]) -> str:
    """Return the line from which a node can be made again."""
    made = {
        "address": node.me.address,
        "index": node.me.index,
        "seed": seed,
        "incarnation": node.incarnation,
        "config": attrs.asdict(node.config),
        "records": len(records),
        "life": dict(life),
    }
    return f"node {words.label(node.me)} {compact(made)}\n"


def record_line(record: Record, codec: Codec) -> str:
    """Return the line of a record that a node was made with; raises `LocalProtocolError`."""
    return f"record {_text(codec.encode(Replicate(*_HEADER, (record,), False)))}\n"


def node_of(made: Mapping[str, Any], records: Sequence[Record]) -> Node:
    """Make a node again; raises `ValueError`, `TypeError`, `KeyError`."""
    config = Config(**made["config"])
    me = Peer.at(made["address"], made["index"], bits=config.bits)
    return Node(me, seed=made["seed"], config=config, incarnation=made["incarnation"], records=records, **made["life"])


def record_of(text: str, codec: Codec) -> Record:
    """Return the record that a line holds; raises `ValueError`."""
    message = _message(text, codec)
    if not isinstance(message, Replicate) or len(message.records) != 1:
        raise ValueError("not one record")
    return message.records[0]


# Inputs


def input_line(
    number: int, at: float, name: str, kind: str, arguments: Sequence[Any], keywords: Mapping[str, Any], codec: Codec
) -> str:
    """Return the line of an input; raises `LocalProtocolError` for a message that has no wire format."""
    told: list[Any]
    if kind == "receive":
        message: Message = arguments[0]
        said = f"{words.of_message(message)[: words.MAX_WORDS]} "
        told = [keywords["sender"], _text(codec.encode(message))]
    elif kind == "perform":
        op, operation = arguments
        said = f"{words.of_record(operation)[: words.MAX_WORDS]} "
        told = [op, _text(codec.encode(_asking(operation))), keywords.get("timeout")]
    else:
        said = ""
        told = [argument.address if isinstance(argument, Peer) else argument for argument in arguments]
    return f"{number} {at!r} {name} {kind} {said}{compact(told)}\n"


def arguments_of(kind: str, told: Sequence[Any], codec: Codec) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments and keywords of an input; raises `ValueError`, `TypeError`."""
    if kind == "receive":
        sender, text = told
        return (_message(text, codec),), {"sender": sender}
    if kind == "perform":
        op, text, timeout = told
        message = _message(text, codec)
        if not isinstance(message, Perform):
            raise ValueError("not an operation")
        return (op, message.operation), {"timeout": timeout}
    return tuple(tuple(each) if isinstance(each, list) else each for each in told), {}


def _asking(operation: Operation) -> Message:
    return Perform(*_HEADER, operation, 0)


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _message(text: str, codec: Codec) -> Message:
    return codec.decode(b64decode(text, validate=True))


# Effects


class Digest:
    """Runs over a recording from its beginning."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=8)

    def line(self, line: str) -> None:
        """Take in a line as it is written."""
        self._hash.update(line.encode("utf-8", "backslashreplace"))

    def outcome(self, outcome: Sequence[Effect] | Exception) -> list[str]:
        """Take in what came of an input, and return its lines."""
        if isinstance(outcome, Exception):
            told = words.of_error(outcome)
            self.line(told)
            return [f"  {told}\n", f"  = 0 {self._hash.hexdigest()}\n"]
        lines = []
        for effect in outcome:
            self.line(exactly(effect))
            lines.append(f"  {words.of_effect(effect)}\n")
        lines.append(f"  = {len(outcome)} {self._hash.hexdigest()}\n")
        return lines


def exactly(effect: Effect) -> str:
    """Return the whole of an effect.

    A number that has a name is the same number without it: a message loses the name on its way.
    """
    text = repr(effect)
    if "<Reason." in text or "<Space." in text:
        text = _NAMED_NUMBER.sub(r"\1", text)
    return text + "\n"
