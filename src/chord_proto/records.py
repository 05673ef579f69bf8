"""The decorator that makes the plain-data classes which cross the core's border."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

import attrs

T = TypeVar("T")

_RECORDS: set[type] = set()


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def record(cls: type[T]) -> type[T]:
    """Make ``cls`` a slotted attrs class, frozen to the type checker and cheap to construct.

    Constructing a really frozen class costs three times as much, and messages are made for every
    exchange.  Their fields are only ever ``int``, ``str``, ``bytes``, other records and tuples of these.

    What compares and shows them is not compiled anew for each class, as attrs would: there are over a hundred, and
    that was an eighth of a node's start.
    """
    made = attrs.define(on_setattr=None, weakref_slot=False, eq=False, repr=False)(cls)
    _show(made)
    _RECORDS.add(made)
    return made


def _show(made: Any) -> None:
    """Let the objects of a class be equal, and look, by their fields; they have no hash, as no mutable thing has."""
    names = tuple(field.name for field in attrs.fields(made))
    fields = attrgetter(*names) if names else type

    def equal(self: object, other: object) -> bool:
        return bool(fields(self) == fields(other)) if other.__class__ is self.__class__ else NotImplemented

    def show(self: object) -> str:
        return f"{made.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    made.__eq__, made.__hash__, made.__repr__ = equal, None, show


def is_record(kind: type) -> bool:
    """Tell whether ``kind`` was made by `record`, or is as immutable as such a class."""
    return kind in _RECORDS


def register(kind: type[T]) -> type[T]:
    """Count ``kind``, an immutable class made otherwise, among the records."""
    _RECORDS.add(kind)
    return kind
