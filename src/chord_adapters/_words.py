"""Messages, effects and events in words, for recordings, drawings and reports.

Words leave things out: the middle of long values, the headers of messages, lists beyond their first entries.  A
peer is its address and index, from which its place follows.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs

from chord_proto.effects import Effect, Finished, Send, Write
from chord_proto.messages import Message, Reason
from chord_proto.peer import Peer

MAX_WORDS = 400
"""Most characters of one line of words."""
_MAX_BYTES = 32
_MAX_ITEMS = 8
_HEADER = frozenset({"source", "incarnation", "target", "target_incarnation", "request"})

_FIELDS: dict[type, tuple[str, ...]] = {}


def label(peer: Peer) -> str:
    """Return how a recording names a node: its address and index, without spaces and control characters."""
    return f"{_plain(peer.address)}#{peer.index}"


def of_effect(effect: Effect) -> str:
    """Return an effect in words, on one line."""
    if isinstance(effect, Send):
        return _short(f"send {_plain(effect.to)} {of_message(effect.message)}")
    if isinstance(effect, Write):
        lists = f"keeps={of_value(effect.changes)} drops={of_value(effect.dropped)}"
        return _short(f"write {effect.id} width={effect.width} founded={effect.founded} {lists}")
    if isinstance(effect, Finished):
        return _short(f"finished {effect.op} {of_record(effect.result)}")
    return _short(f"event {of_record(effect)}")


def of_error(error: Exception) -> str:
    """Return in words that an input was refused by an exception, or killed the node."""
    return _short(f"raised {type(error).__name__}: {str(error)!a}")


def of_message(message: Message) -> str:
    """Return a message in words: its kind, its request, who sends it, what it says."""
    request = getattr(message, "request", None)
    words = type(message).__name__ if request is None else f"{type(message).__name__} {request}"
    if message.source is not None:
        words += f" of {label(message.source)}"
    return words + _fields(message)


def of_record(value: Any) -> str:
    """Return an operation, a result or an event in words."""
    return type(value).__name__ + _fields(value)


def _fields(value: Any) -> str:
    kind = type(value)
    names = _FIELDS.get(kind)
    if names is None:
        hidden = _HEADER if isinstance(value, Message) else frozenset()
        names = _FIELDS[kind] = tuple(field.name for field in attrs.fields(kind) if field.name not in hidden)
    return "".join([f" {name}={_named(name, getattr(value, name))}" for name in names])


def _named(name: str, value: Any) -> str:
    if name == "reason" and isinstance(value, int) and value in _REASONS:
        return _REASONS[value]
    return of_value(value)


_REASONS = {reason.value: reason.name for reason in Reason}


def of_value(value: Any) -> str:
    """Return any value of the core in words."""
    kind = type(value)
    if kind is Peer:
        return label(value)
    if kind is tuple:
        items = [of_value(item) for item in value[:_MAX_ITEMS]]
        if len(value) > _MAX_ITEMS:
            items.append(f"and {len(value) - _MAX_ITEMS} more")
        return f"[{' '.join(items)}]"
    if kind is bytes:
        return repr(value) if len(value) <= _MAX_BYTES else f"{value[:_MAX_BYTES]!r}…({len(value)} bytes)"
    if kind is str:
        return _plain(value)
    if value is None:
        return "-"
    if kind is int and value >> 64:
        return f"{value:040x}"[:8] + "…"
    if isinstance(value, Enum):
        return value.name if isinstance(value.value, str) else str(value.value)
    return f"{of_record(value)};" if attrs.has(kind) else repr(value)


def _plain(text: str) -> str:
    """Return a text as it is when it is one printable ASCII word, else quoted and without spaces."""
    if text.isascii() and text.isprintable() and text and text.translate(_SPECIAL) == text:
        return text
    return ascii(text).replace(" ", "\\x20")


_SPECIAL = {ord(character): None for character in " '\\"}


def _short(words: str) -> str:
    return words if len(words) <= MAX_WORDS else words[: MAX_WORDS - 1] + "…"
