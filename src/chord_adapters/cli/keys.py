"""``chord keys`` and ``export``: all records of a ring, listed, or written to a file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Annotated, Any, BinaryIO

import anyio
import attrs
import msgspec
from anyio import to_thread
from cyclopts import Parameter, validators

from chord_adapters._client import Client
from chord_adapters._scan import Key
from chord_adapters.cli._files import STANDARD, written
from chord_adapters.cli._options import PLAIN, Asking, PathOrStandard, ask
from chord_adapters.cli._outcome import Status, UsageError
from chord_adapters.cli._output import print_json, say, size_in_words
from chord_adapters.cli.records import name_of
from chord_proto.messages import Space
from chord_proto.operations import Fetch, Fetched, Get, Operation

AT_ONCE = 32
"""Records that are read or written at the same time."""
HEAD = {"chord": "export", "form": 1}
"""The first line of an export."""


@attrs.define
class Tally:
    """What was exported."""

    records: int = 0
    blocks: int = 0
    bytes: int = 0

    def count(self, space: Space, length: int) -> None:
        """Count one."""
        self.bytes += length
        if space is Space.BLOCK:
            self.blocks += 1
        else:
            self.records += 1

    def __str__(self) -> str:
        return f"{self.records} records and {self.blocks} blocks, {size_in_words(self.bytes)}"


def keys(
    *,
    prefix: Annotated[str, Parameter(help="Only keys that begin so.")] = "",
    after: Annotated[str | None, Parameter(help="Go on behind the key that had this cursor.")] = None,
    limit: Annotated[int | None, Parameter(validator=validators.Number(gte=1), help="At most so many keys.")] = None,
    asking: Asking = PLAIN,
) -> int:
    """List all keys of the ring, in no order that means anything; one line each, also with --json."""
    wanted = name_of(prefix)

    async def walk(client: Client) -> None:
        told = 0
        async with client.scan(wanted, after=after, timeout=asking.patience) as found:
            async for key in found:
                _print_key(key, json=asking.json)
                told += 1
                if told == limit:
                    break

    ask(asking, walk)
    return Status.FINE


def _print_key(key: Key, *, json: bool) -> None:
    try:
        text: str | None = key.key.decode()
    except UnicodeDecodeError:
        text = None
    if json:
        more = {"version": key.version, "expires_at": key.expires_at, "cursor": key.cursor}
        print_json({"key": text, "key_base64": b64encode(key.key).decode(), **more})
    elif text is not None and text.isprintable():
        print(text)
    else:
        print(repr(key.key))


def export(
    *,
    out: Annotated[PathOrStandard, Parameter(help="Write to this file, by default to standard output.")] = STANDARD,
    asking: Asking = PLAIN,
) -> int:
    """Write all records and blocks of the ring, with versions and expiries, as one JSON object a line."""
    if asking.json and out == STANDARD:
        raise UsageError("export --json needs --out")
    tally = Tally()

    async def walk(client: Client) -> None:
        with written(out) as sink:
            await _put(sink, HEAD)
            for space in Space:
                async for batch in _batches(client, space, asking.patience):
                    await _export(client, space, batch, sink, tally, asking.patience)

    ask(asking, walk)
    if asking.json:
        print_json(attrs.asdict(tally))
    else:
        say(f"exported {tally}")
    return Status.FINE


async def _batches(client: Client, space: Space, patience: float) -> AsyncIterator[list[Key]]:
    batch: list[Key] = []
    async for key in client._scan(space, b"", None, patience):
        batch.append(key)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def _export(
    client: Client, space: Space, batch: list[Key], sink: BinaryIO, tally: Tally, patience: float
) -> None:
    found: dict[int, Fetched] = {}

    async def read(which: int, operation: Operation) -> None:
        result = await client._perform(operation, patience)
        assert isinstance(result, Fetched)
        found[which] = result

    async with anyio.create_task_group() as group:
        for which, key in enumerate(batch):
            operation = Fetch(int.from_bytes(key.key)) if space is Space.BLOCK else Get(key.key)
            group.start_soon(read, which, operation)
    for which, key in enumerate(batch):
        item = found[which]
        if item.value is None:  # It went meanwhile.
            continue
        fields: dict[str, object] = {"value": b64encode(item.value).decode()}
        if space is Space.RECORD:
            fields |= {"key": b64encode(key.key).decode(), "version": item.version, "expires": item.expires}
        await _put(sink, fields)
        tally.count(space, len(item.value))


async def _put(sink: BinaryIO, fields: dict[str, Any]) -> None:
    await to_thread.run_sync(sink.write, msgspec.json.encode(fields) + b"\n")
