"""``chord store`` and ``fetch``: content-addressed values of any size, streamed."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, BinaryIO

from anyio import to_thread, wait_readable
from cyclopts import Parameter

from chord_adapters._client import Client
from chord_adapters._results import StoredValue
from chord_adapters._sources import PIECE
from chord_adapters.cli._files import STANDARD, opened, written
from chord_adapters.cli._options import PLAIN, Asking, PathOrStandard, ask
from chord_adapters.cli._outcome import NotFound, Status, UsageError
from chord_adapters.cli._output import hexadecimal, print_json, say, size_in_words
from chord_adapters.cli._progress import progress_bar


def store(
    file: Annotated[PathOrStandard, Parameter(help="What to store; - is standard input.")],
    /,
    *,
    asking: Asking = PLAIN,
) -> int:
    """Store a file under its content and print the key.

    Done when every block of it is on all its replicas. --timeout bounds the
    whole transfer; without one, each block has 10 seconds.
    """
    with opened(file) as source, progress_bar("storing", _length(source)) as advance:

        async def send(client: Client) -> StoredValue:
            pieces = source if _length(source) is not None else _coming(source)
            return await client.store_stream(pieces, progress=advance, timeout=asking.timeout)

        stored = ask(asking, send)
    if asking.json:
        print_json({"key": hexadecimal(stored.key), "bytes": stored.bytes, "blocks": stored.blocks})
    else:
        print(hexadecimal(stored.key))
        say(f"stored {size_in_words(stored.bytes)} in {stored.blocks} blocks")
    return Status.FINE


def fetch(
    key: Annotated[str, Parameter(help="The key that store printed.")],
    /,
    *,
    out: Annotated[PathOrStandard, Parameter(help="Write to this file, by default to standard output.")] = STANDARD,
    asking: Asking = PLAIN,
) -> int:
    """Fetch what was stored under a key and write its exact bytes; status 3 when nobody has it.

    The file appears when all of it is there. --timeout bounds the whole
    transfer; without one, each block has 10 seconds.
    """
    number = content_key_of(key)
    if asking.json and out == STANDARD:
        raise UsageError("fetch --json needs --out")

    async def receive(client: Client) -> int:
        async with client.open(number, timeout=asking.timeout) as blocks:
            if blocks.length is None:
                raise NotFound(f"nobody has {key}")
            with written(out) as sink, progress_bar("fetching", blocks.length) as advance:
                async for block in blocks:
                    await to_thread.run_sync(sink.write, block)
                    advance(len(block))
            return blocks.length

    length = ask(asking, receive)
    if asking.json:
        print_json({"key": hexadecimal(number), "bytes": length, "out": str(out)})
    elif out != STANDARD:
        say(f"fetched {size_in_words(length)} to {out}")
    return Status.FINE


def content_key_of(text: str) -> int:
    """Return the content key that 40 hexadecimal digits mean."""
    try:
        if len(text) == 40 and text.isalnum():
            return int(text, 16)
    except ValueError:
        pass
    raise UsageError(f"not a key of 40 hexadecimal digits: {text!r}")


def _length(file: BinaryIO) -> int | None:
    about = os.fstat(file.fileno())
    return about.st_size if stat.S_ISREG(about.st_mode) else None


async def _coming(file: BinaryIO) -> AsyncIterator[bytes]:
    """Yield what comes through a pipe; unlike a read of the buffered file, waiting for it can be interrupted."""
    piece = b"to begin with"
    while piece:
        with suppress(PermissionError):  # Such as /dev/null, which keeps nobody waiting.
            await wait_readable(file)
        piece = os.read(file.fileno(), PIECE)
        yield piece
