"""The peers that install from PyPI, each in a module of its own that is loaded only when it is measured."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module

import attrs

from chord_adapters._bench.measuring import Call
from chord_adapters._bench.outcome import Effort, Line

KEYS = 256
"""How many records there are to be asked for; each peer is asked by a node that holds none of them."""


@attrs.frozen
class Asked:
    """What is asked of a contestant: gets of the records that it was opened with, puts of new ones."""

    get: Call
    put: Call


@asynccontextmanager
async def opened(
    names: Mapping[str, int], nodes: int, value: bytes, effort: Effort
) -> AsyncIterator[tuple[dict[str, Asked], list[Line]]]:
    """Start so many nodes of each peer, each with its number of copies, in this process on loopback.

    Yields those that there are, and a line for each that is not installed.
    """
    there: dict[str, Asked] = {}
    missing: list[Line] = []
    keys = effort.size(KEYS, 4)
    async with AsyncExitStack() as stack:
        for name, copies in names.items():
            effort.tell(f"starting {nodes} nodes of {name}")
            try:
                module = import_module(f"chord_adapters._bench.{name.replace('-', '_')}_peer")
            except ModuleNotFoundError as error:
                missing.append(Line(name, note=f"not installed: {error.name}"))
                continue
            there[name] = await stack.enter_async_context(module.opened(nodes, copies, keys, value))
        yield there, missing


async def put_elsewhere(
    keys: int,
    copies: int,
    nearer: Callable[[str], int],
    put: Callable[[str], Awaitable[bool]],
    holds: Callable[[str], bool],
) -> list[str]:
    """Put records that the asker does not hold itself, and return their names.

    ``nearer`` tells how many others are nearer to a name than the asker: who is not among the nearest is not given it, and that is
    looked at first, since a put takes long.
    """
    names: list[str] = []
    for number in range(100 * keys):
        name = f"bench/{number}"
        if nearer(name) >= copies and await put(name) and not holds(name):
            names.append(name)
        if len(names) == keys:
            break
    return names
