"""The decorator that makes the plain-data classes which cross the core's border."""

from __future__ import annotations

from typing import TypeVar, dataclass_transform

import attrs

T = TypeVar("T")

_RECORDS: set[type] = set()


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def record(cls: type[T]) -> type[T]:
    """Make ``cls`` a slotted attrs class, frozen to the type checker and cheap to construct.

    Constructing a really frozen class costs three times as much, and messages are made for every
    exchange.  Their fields are only ever ``int``, ``str``, ``bytes``, other records and tuples of these.
    """
    made = attrs.define(on_setattr=None, weakref_slot=False)(cls)
    _RECORDS.add(made)
    return made


def is_record(kind: type) -> bool:
    """Tell whether ``kind`` was made by `record`, or is as immutable as such a class."""
    return kind in _RECORDS


def register(kind: type[T]) -> type[T]:
    """Count ``kind``, an immutable class made otherwise, among the records."""
    _RECORDS.add(kind)
    return kind
