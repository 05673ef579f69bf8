"""What clients of one ring did and were told, and a judge of it, who looks for an order that explains all of it.

Each operation is noted when it begins and when it ends.  Versions order the writes of a key, so that the judge only
compares: whoever begins after something was acknowledged, or read, must not see what is older (properties D1, D3, D5,
D6, D9, D10).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any, Protocol

import attrs

from chord_adapters._errors import ChordError, Closed
from chord_adapters._results import Entry, PutResult


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
    key: Any
    value: bytes | None
    began: int
    ended: int | None = None
    """None: nothing is known of its outcome."""
    failed: bool = False
    """It is known to have had no effect."""
    version: str | None = None
    """None of a read: there was nothing."""
    strict: bool = True
    """Of a majority: whoever does the next one sees it."""
    mortal: bool = False
    """What it writes expires some time."""
    final: bool = False
    """It read when all was quiet."""
    era: int = 0
    lost: int = 0
    departed: int = 0

    @property
    def is_done(self) -> bool:
        """Whether it was acknowledged, or read something."""
        return self.ended is not None and not self.failed


class History:
    """The operations of all clients of a ring.

    `put`, `delete` and `get` ask a node or a client and note what comes of it; `begin`, `end` and `fail` note what is
    done otherwise.  What the ring cannot be expected to keep together is told by `disturb`, `lose` and `depart`; without
    a word of these nothing is excused.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.steady = True
        """Whether there is one owner at a time."""
        self.final = False
        """Whether all is quiet: from now on any read is of the last word."""
        self.clocks_agree = True
        """Whether civil clocks did so all the time: of two owners at once the one whose clock is ahead writes the newer version."""
        self._era = 0
        self._lost = Counter[Any]()
        self._departed = 0
        self._moments = count()
        self._values = count(1)

    # What happens to the ring

    def disturb(self) -> None:
        """Somebody may be cut off, or be taken for dead though it lives: there may be two owners."""
        self.steady = False

    def steadied(self) -> None:
        """It is one ring again, and its copies agree: of all that was acknowledged everybody sees the newest."""
        self.steady = True
        self._era += 1

    def lose(self, key: object) -> None:
        """So many have failed who hold a key that what was known of it may be gone."""
        self._lost[key] += 1

    def depart(self) -> None:
        """Somebody has failed or left: what was read and never acknowledged, perhaps from too few, may be gone."""
        self._departed += 1

    # Operations

    def begin(
        self, kind: str, key: object, value: bytes | None = None, *, strict: bool = True, mortal: bool = False
    ) -> Operation:
        """Note the beginning of a put, delete or get; of a put with the value, that no other one may write."""
        operation = Operation(kind, key, value, next(self._moments), strict=strict, mortal=mortal, final=self.final)
        operation.era = self._era if self.steady else -1
        self.operations.append(operation)
        return operation

    def end(self, operation: Operation, version: str | None, value: bytes | None = None) -> None:
        """Note that it was acknowledged in this version, or has read this value in it (None: nothing)."""
        operation.ended, operation.version = next(self._moments), version
        if operation.kind == "get":
            operation.value = value
        if not self.steady or operation.era != self._era:
            operation.era = -1
        operation.lost, operation.departed = self._lost[operation.key], self._departed

    def fail(self, operation: Operation) -> None:
        """Note that it is known to have had no effect; of one whose outcome is unknown nothing is noted."""
        operation.failed = True

    async def put(self, client: Asked, key: str, *, timeout: float = 5.0) -> None:
        """Write a value that nobody else writes."""
        value = b"%d" % next(self._values)
        operation = self.begin("put", key, value)
        with _Outcome(self, operation):
            self.end(operation, (await client.put(key, value, timeout=timeout)).version)

    async def delete(self, client: Asked, key: str, *, timeout: float = 5.0) -> None:
        """Delete."""
        operation = self.begin("delete", key)
        with _Outcome(self, operation):
            self.end(operation, (await client.delete(key, timeout=timeout)).version)

    async def get(self, client: Asked, key: str, *, timeout: float = 5.0) -> bool:
        """Read from a majority; tell whether there was an answer."""
        operation = self.begin("get", key)
        with _Outcome(self, operation):
            entry = await client.get(key, r="majority", timeout=timeout)
            self.end(operation, *((None, None) if entry is None else (entry.version, entry.value)))
        return operation.is_done

    async def something(self, client: Asked, keys: list[str], chance: random.Random) -> None:
        """Do one of them, drawn."""
        key = chance.choice(keys)
        await chance.choice([self.put, self.put, self.get, self.get, self.get, self.delete])(client, key)

    @property
    def done(self) -> int:
        """How many operations have succeeded."""
        return sum(operation.is_done for operation in self.operations)

    def problems(self) -> list[str]:
        """Return what no order explains, in words that begin with the name of the property."""
        keys: dict[Any, list[Operation]] = {}
        for operation in self.operations:
            keys.setdefault(operation.key, []).append(operation)
        agree = self.clocks_agree
        found = ((key, *problem) for key, operations in keys.items() for problem in _problems(operations, agree))
        return [f"{name}: {key}: {words}" for key, name, words in found]


@attrs.frozen
class _Outcome:
    history: History
    operation: Operation

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Closed) or not isinstance(error, ChordError):
            return False
        if self.operation.kind == "get" or not error.outcome_unknown:
            self.history.fail(self.operation)
        return True


def _problems(operations: list[Operation], clocks_agree: bool) -> Iterator[tuple[str, str]]:
    writes = [each for each in operations if each.kind != "get" and not each.failed]
    by_value = {each.value: each for each in writes if each.kind == "put"}
    endings = [each for each in writes if each.kind == "delete" or each.mortal]
    known: dict[str, bytes | None] = {}
    for each in sorted((each for each in operations if each.is_done), key=lambda each: each.ended or 0):
        binding = [other for other in operations if _binds(other, each)]
        last = max(binding, key=lambda other: other.version or "", default=None)
        floor = "" if last is None else last.version or ""
        order = "D1" if each.final else "D10"
        if each.kind != "get":
            assert each.version is not None
            if each.version <= floor:
                yield order, f"{each.kind} got version {each.version} after {floor} was known"
        elif each.version is None:
            if last is not None and not any(_explains(gone, last, each, clocks_agree) for gone in endings):
                yield order, f"nothing is read after {floor} was known, and no deletion explains it"
        else:
            written = by_value.get(each.value)
            if written is None or written.began > (each.ended or 0):
                yield "D9", f"{each.value!r} is read, and nobody has written it"
            elif written.version not in (None, each.version):
                if written.era >= 0:
                    yield "D6", f"{each.value!r} is read in version {each.version}, it was written in {written.version}"
                elif clocks_agree and any(_came_after(other, written) for other in binding):
                    yield order, f"{each.value!r} is back as {each.version}, it was replaced as {written.version}"
            if each.version < floor:
                yield order, f"version {each.version} is read after {floor} was known"
        if each.version is not None and known.setdefault(each.version, each.value) != each.value:
            yield "D6", f"version {each.version} is {known[each.version]!r} and {each.value!r}"


def _binds(one: Operation, other: Operation) -> bool:
    """Tell whether ``other`` must not see or write anything older than ``one``."""
    if not one.is_done or one.version is None or (one.ended or 0) >= other.began or one.lost != other.lost:
        return False
    if other.era < 0 or not (other.strict or other.final):
        return False
    if one.kind == "get":
        return one.strict and (one.era, one.departed) == (other.era, other.departed)
    return one.era != other.era or one.strict


def _explains(gone: Operation, last: Operation, read: Operation, clocks_agree: bool) -> bool:
    if gone.began >= (read.ended or 0):
        return False
    decided_once = gone.version is not None and gone.version < (last.version or "")
    return not decided_once or (gone.era < 0 and not (clocks_agree and _came_after(last, gone)))


def _came_after(one: Operation, other: Operation) -> bool:
    """Tell whether ``one`` began when ``other`` was over, and replaced it, or read what replaced it.

    Where there were two owners both may have decided a write, one of them later; but then it was under way still.
    """
    if one.kind == "get" and one.value == other.value:
        return False
    return other.ended is not None and one.began > other.ended and (one.version or "") > (other.version or "")
