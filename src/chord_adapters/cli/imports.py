"""``chord import``: the records and blocks of an export, written to a ring as they were."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, BinaryIO

import anyio
import attrs
import msgspec
from anyio import to_thread
from cyclopts import Parameter
from msgspec import UNSET, UnsetType

from chord_adapters._arguments import name_of, quorum_of, value_of
from chord_adapters._client import Client
from chord_adapters._errors import ChordError, NoQuorum, ValueTooLarge
from chord_adapters.cli._files import opened
from chord_adapters.cli._options import PLAIN, Asking, PathOrStandard, ask
from chord_adapters.cli._outcome import Damaged, Status
from chord_adapters.cli._output import print_json, say
from chord_adapters.cli.keys import AT_ONCE, HEAD, Tally
from chord_adapters.cli.records import quorum_of as quorum_in_words
from chord_proto.blocks import BLOCK_SIZE
from chord_proto.config import Config
from chord_proto.messages import Space
from chord_proto.operations import Restore, Store, Stored
from chord_proto.versions import is_version, time_of

BYTES_AT_ONCE = 16 * 1024 * 1024
"""No more is read before what was read so far is written; the last record may go beyond."""
MAX_LINE = 64 * 1024 * 1024
"""Longest line of an export, in bytes."""
_LIMITS = Config()


class _Item(msgspec.Struct):
    """What a line says: a block, or with a key a record."""

    value: bytes
    key: bytes | UnsetType = UNSET
    version: str | UnsetType = UNSET
    expires: int | UnsetType = UNSET


@attrs.frozen
class _Line:
    """One line of an export, and what is to be written."""

    number: int
    operation: Restore | Store

    @property
    def size(self) -> int:
        """How many bytes the value has."""
        operation = self.operation
        return len((operation.data if isinstance(operation, Store) else operation.value) or b"")

    def refused(self, error: ChordError | ValueError) -> ChordError | ValueError:
        """Return ``error`` with the number of the line, and with the reason where the clock is the reason."""
        if isinstance(error, ValueError):
            return Damaged(f"line {self.number}: {error}")
        ahead = time_of(self.operation.version) / 1000 - time.time() if isinstance(self.operation, Restore) else 0.0
        if isinstance(error, NoQuorum) and ahead > _LIMITS.max_clock_ahead:
            words = (
                f"the version is {ahead:.0f} s ahead of the clock here, and nodes refuse what is so far ahead of theirs"
            )
        else:
            words = str(error)
        return type(error)(f"line {self.number}: {words}", outcome_unknown=error.outcome_unknown)


@attrs.define
class Imported(Tally):
    """What was imported, and how many records made no difference."""

    newer: int = 0
    """The ring had a newer version, or a newer deletion."""
    expired: int = 0

    def add(self, line: _Line, stored: Stored) -> None:
        """Count what the ring has answered."""
        operation = line.operation
        if isinstance(operation, Store):
            self.count(Space.BLOCK, line.size)
        elif stored.version != operation.version:
            self.newer += 1
        elif 0 < operation.expires <= time.time() * 1000:
            self.expired += 1
        else:
            self.count(Space.RECORD, line.size)

    def __str__(self) -> str:
        newer = f"; {self.newer} are newer on the ring" if self.newer else ""
        return super().__str__() + newer + (f"; {self.expired} had expired" if self.expired else "")


def import_file(
    file: Annotated[PathOrStandard, Parameter(help="What export has written; - is standard input.")],
    /,
    *,
    w: Annotated[str, Parameter(name=["-w", "--w"], help="Replicas that must have each record.")] = "majority",
    asking: Asking = PLAIN,
) -> int:
    """Write records and blocks as they were, with versions and expiries; what is newer on the ring stays.

    A line that cannot be read or is refused ends it; what was imported before stays, and importing again does no harm.
    What is newer on the ring, and what has expired, is counted apart.
    """
    quorum = quorum_of("-w", quorum_in_words(w), _LIMITS)
    tally = Imported()

    async def send(client: Client) -> None:
        async def write(line: _Line) -> None:
            try:
                result = await client._perform(line.operation, asking.patience)
            except (ChordError, ValueError) as error:
                raise line.refused(error) from error
            assert isinstance(result, Stored)
            tally.add(line, result)

        with opened(file) as source:
            lines = _lines(source, quorum)
            while batch := await to_thread.run_sync(_some, lines):
                async with anyio.create_task_group() as group:
                    for line in batch:
                        group.start_soon(write, line)

    ask(asking, send)
    if asking.json:
        print_json(attrs.asdict(tally))
    else:
        say(f"imported {tally}")
    return Status.FINE


def _some(lines: Iterator[_Line]) -> list[_Line]:
    """Return the next lines, as many as are written at once."""
    batch: list[_Line] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += line.size
        if len(batch) == AT_ONCE or size >= BYTES_AT_ONCE:
            break
    return batch


def _lines(source: BinaryIO, quorum: int) -> Iterator[_Line]:
    """Yield what each line says; raises `Damaged` with its number."""
    number = 0
    while line := source.readline(MAX_LINE):
        number += 1
        try:
            if number > 1:
                yield _Line(number, _operation(msgspec.json.decode(line, type=_Item), quorum))
            elif msgspec.json.decode(line) != HEAD:
                raise Damaged("this is no export of chord, or one of another form")
        except (ValueError, ValueTooLarge) as error:
            raise Damaged(f"line {number}: {error}") from error
        except RecursionError:
            raise Damaged(f"line {number}: it is nested too deeply") from None
    if not number:
        raise Damaged("line 1: the file is empty")


def _operation(item: _Item, quorum: int) -> Restore | Store:
    if item.key is UNSET:
        if len(item.value) > BLOCK_SIZE:
            raise Damaged(f"the block has {len(item.value)} bytes, the most is {BLOCK_SIZE}")
        return Store(item.value)
    if item.version is UNSET or item.expires is UNSET:
        raise Damaged("a record has a `version` and `expires`, too")
    if not is_version(item.version):
        raise Damaged(f"{item.version!r} is no version")
    if not 0 <= item.expires < 1 << 63:
        raise Damaged(f"{item.expires!r} is no time")
    name, value = name_of(item.key, _LIMITS), value_of(item.value, _LIMITS)
    return Restore(name, value, item.version, item.expires, quorum)
