"""What clients of one ring did and were told, and a judge of it, who looks for an order that explains all of it.

Each operation is noted when it begins and when it ends.  Versions order the writes of a key, so that the judge only
compares: whoever begins after something was acknowledged, or read, must not see what is older.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from typing import Any, Protocol

import attrs

from chord_adapters import ChordError, Closed, Entry, PutResult


class Asked(Protocol):
    """A node or a client."""

    async def put(self, key: str, value: bytes, *, timeout: float) -> PutResult:
        """Write."""

    async def delete(self, key: str, *, timeout: float) -> PutResult:
        """Delete."""

    async def get(self, key: str, *, r: Any, timeout: float) -> Entry | None:
        """Read."""


@attrs.define(eq=False)
class Operation:
    """One operation of a client.  ``began`` and ``ended`` count all beginnings and ends."""

    kind: str
    """put, delete or get."""
    key: str
    value: bytes | None
    began: int
    ended: int | None = None
    """None: nothing is known of its outcome."""
    failed: bool = False
    """It is known to have had no effect."""
    version: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether it was acknowledged, or read something."""
        return self.ended is not None and not self.failed


class History:
    """The operations of all clients, by a majority each."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._moments = count()
        self._values = count(1)

    async def put(self, client: Asked, key: str, *, timeout: float = 5.0) -> None:
        """Write a value that nobody else writes."""
        value = b"%d" % next(self._values)
        operation = self._begin("put", key, value)
        with self._judged(operation):
            self._end(operation, (await client.put(key, value, timeout=timeout)).version)

    async def delete(self, client: Asked, key: str, *, timeout: float = 5.0) -> None:
        """Delete."""
        operation = self._begin("delete", key, None)
        with self._judged(operation):
            self._end(operation, (await client.delete(key, timeout=timeout)).version)

    async def get(self, client: Asked, key: str, *, timeout: float = 5.0) -> bool:
        """Read; tell whether there was an answer."""
        operation = self._begin("get", key, None)
        with self._judged(operation):
            entry = await client.get(key, r="majority", timeout=timeout)
            operation.value = None if entry is None else entry.value
            self._end(operation, None if entry is None else entry.version)
        return operation.is_done

    async def something(self, client: Asked, keys: list[str], chance: random.Random) -> None:
        """Do one of them, drawn."""
        key = chance.choice(keys)
        await chance.choice([self.put, self.put, self.get, self.get, self.get, self.delete])(client, key)

    def _begin(self, kind: str, key: str, value: bytes | None) -> Operation:
        operation = Operation(kind, key, value, next(self._moments))
        self.operations.append(operation)
        return operation

    def _end(self, operation: Operation, version: str | None) -> None:
        operation.ended, operation.version = next(self._moments), version

    def _judged(self, operation: Operation) -> _Outcome:
        return _Outcome(operation)

    @property
    def done(self) -> int:
        """How many operations have succeeded."""
        return sum(operation.is_done for operation in self.operations)

    def problems(self) -> list[str]:
        """Return what no order explains, in words."""
        keys: dict[str, list[Operation]] = {}
        for operation in self.operations:
            keys.setdefault(operation.key, []).append(operation)
        return [f"{key}: {words}" for key, operations in keys.items() for words in _problems(operations)]


@attrs.frozen
class _Outcome:
    operation: Operation

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Closed) or not isinstance(error, ChordError):
            return False
        self.operation.failed = self.operation.kind == "get" or not error.outcome_unknown
        return True


def _problems(operations: list[Operation]) -> Iterator[str]:
    writes = [each for each in operations if each.kind != "get" and not each.failed]
    by_value = {each.value: each for each in writes if each.kind == "put"}
    deletions = [each for each in writes if each.kind == "delete"]
    known: dict[str, bytes | None] = {}
    for each in sorted((each for each in operations if each.is_done), key=lambda each: each.ended or 0):
        floor = max((other.version or "" for other in operations if _is_before(other, each)), default="")
        if each.kind != "get":
            assert each.version is not None
            if each.version <= floor:
                yield f"{each.kind} got version {each.version} after {floor} was known"
        elif each.version is None:
            if floor and not any(_explains(gone, floor, each) for gone in deletions):
                yield f"nothing is read after {floor} was known, and no deletion explains it"
        else:
            written = by_value.get(each.value)
            if written is None or written.began > (each.ended or 0):
                yield f"{each.value!r} is read, and nobody has written it"
            elif written.version not in (None, each.version):
                yield f"{each.value!r} is read in version {each.version}, it was written in {written.version}"
            if each.version < floor:
                yield f"version {each.version} is read after {floor} was known"
        if each.version is not None and known.setdefault(each.version, each.value) != each.value:
            yield f"version {each.version} is {known[each.version]!r} and {each.value!r}"


def _is_before(one: Operation, other: Operation) -> bool:
    return one.is_done and one.version is not None and (one.ended or 0) < other.began


def _explains(gone: Operation, floor: str, read: Operation) -> bool:
    return gone.began < (read.ended or 0) and (gone.version is None or gone.version >= floor)
