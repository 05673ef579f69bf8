"""Copies and fingerprints of a node: its state is plain data, so both walk it without knowing it.

Values that never change (numbers, text, tuples of such, peers, messages and other records) are shared by a copy;
dicts, lists and the objects that hold state are copied.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Any, TypeVar, cast

from chord_proto.records import is_record

T = TypeVar("T")

_LEFT_OUT: dict[str, set[str]] = {
    "Context": {
        "rng", "counters", "calls", "in_progress", "now", "_per_address", "_served", "carried", "timers", "wall_offset",
        "tuning", "budget",
    },
    "Table": {"looked_at"},
    "Known": {"heard", "since", "spoke", "srtt", "rttvar"},
    "Routing": {"ids", "peers", "ranks", "salt", "there", "usual"},
    "Ring": {"_askers", "in_order", "settled_at", "stabilised"},
    "Lookups": {"_next"},
    "Search": {"number", "started", "path", "token"},
    "Patience": {"_mean", "_spread", "_timeout", "_until", "doubted", "tokens"},
    "Forward": {"request", "number"},
    "Trust": {"misleading", "once"},
    "Tasks": {"_next", "by_op"},
    "Task": {"number", "deadline", "pause", "write_id", "op", "asker", "lookup"},
    "Writes": {"_last", "_tidy_at", "unshared", "clock", "counted", "replaced", "waiting"},
    "Syncs": {"_next"},
    "Session": {"number"},
    "Ranges": {"_inherited", "_next", "completed"},
    "Given": {"at"},
    "Gained": {"at"},
    "Check": {"since"},
    "PendingArc": {"number", "since"},
    "Coordinator": {"_next", "decided"},
    "Coordination": {"number", "deadline", "asker"},
    "Reads": {"_next"},
    "Reading": {"number", "deadline", "asker"},
    "Watched": {"asked"},
    "Watches": {"history"},
    "Graves": {"round", "due"},
    "Repair": {"round", "clean", "repaired", "started"},
    "Merge": {"interval", "seed_turn"},
    "Membership": {"pause", "occupied_since", "turn", "join_op", "leave_op"},
    "Node": {"_dead", "_whole"},
}  # fmt: skip
"""What a fingerprint leaves out, by class: ids, counters, times, and what only repeats other state."""
_NUMBERED = frozenset({"active", "calls", "passing", "pending"})
"""Tables whose keys are ids: only their contents tell states apart."""


_SLOTS: dict[type, tuple[str, ...]] = {}
_FIXED: dict[type, bool] = dict.fromkeys((int, float, str, bytes, bool, type(None), tuple, frozenset), True)


def _slots(kind: type) -> tuple[str, ...]:
    slots = _SLOTS.get(kind)
    if slots is None:
        every = (name for base in kind.__mro__ for name in getattr(base, "__slots__", ()))
        slots = _SLOTS[kind] = tuple(name for name in every if name != "__weakref__")
    return slots


def _never_changes(kind: type) -> bool:
    fixed = _FIXED.get(kind)
    if fixed is None:
        fixed = _FIXED[kind] = is_record(kind) or issubclass(kind, Enum)
    return fixed


def copy_state(root: T) -> T:
    """Return a copy of ``root`` that shares nothing changeable with it."""
    return cast("T", _copy(root, {}))


def _copy(value: Any, done: dict[int, Any]) -> Any:
    kind = type(value)
    if _never_changes(kind):
        return value
    known = done.get(id(value))
    if known is not None:
        return known
    if kind is list:
        made: Any = []
        done[id(value)] = made
        made.extend([item if _never_changes(type(item)) else _copy(item, done) for item in value])
    elif kind is dict:
        made = {}
        done[id(value)] = made
        made.update({key: item if _never_changes(type(item)) else _copy(item, done) for key, item in value.items()})
    else:
        made = object.__new__(kind)
        done[id(value)] = made
        for name in _slots(kind):
            item = getattr(value, name)
            object.__setattr__(made, name, item if _never_changes(type(item)) else _copy(item, done))
    return made


def digest_state(root: object) -> bytes:
    """Return 16 bytes that are equal for states that behave alike."""
    return hashlib.blake2b(repr(canonical(root)).encode(), digest_size=16).digest()


def canonical(value: Any, done: dict[int, int] | None = None) -> Any:
    """Return ``value`` as nested tuples in a fixed order, without ids, counters and times."""
    done = {} if done is None else done
    kind = type(value)
    if kind in (int, str, bytes, bool, type(None)):
        return value
    if kind is float:
        return round(value, 6)
    if isinstance(value, Enum):  # A number with a name equals the number, which is what comes over the wire.
        return int(value) if isinstance(value, int) else value.name
    if kind in (tuple, list):
        return tuple(canonical(item, done) for item in value)
    if is_record(kind):
        left_out = _LEFT_OUT.get(kind.__name__, set())
        kept = (name for name in _slots(kind) if name not in left_out)
        return (kind.__name__, *(canonical(getattr(value, name), done) for name in kept))
    if id(value) in done:
        return done[id(value)]
    done[id(value)] = len(done)
    if kind is dict:
        return tuple(sorted(((canonical(key, done), canonical(item, done)) for key, item in value.items()), key=repr))
    left_out = _LEFT_OUT.get(kind.__name__, set())
    parts = []
    for name in sorted(set(_slots(kind)) - left_out):
        item = getattr(value, name)
        if name in _NUMBERED and type(item) is dict:
            item = sorted((canonical(entry, done) for entry in item.values()), key=repr)
        parts.append((name, canonical(item, done)))
    return (kind.__name__, *parts)
