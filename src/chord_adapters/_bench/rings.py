"""Rings of this project in this process, and what is asked of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

import anyio

from chord_adapters._arguments import Quorum
from chord_adapters._bench.outcome import Effort
from chord_adapters._bench.peers import Asked
from chord_adapters._node import Node
from chord_adapters.testing._stage import QUICK, is_ideal, is_settled
from chord_proto.config import Config

SETTLING = 120.0
"""Seconds in which a ring must be ideal."""
LOOK = 0.02
KEYS = 512
VALUE = bytes(range(64))
"""What is stored and asked for, as long as an address or a descriptor."""


def config_of(effort: Effort) -> Config:
    """Return the defaults, or short periods where it must only be seen that all works."""
    return QUICK if effort.quick else Config()


async def until_ideal(nodes: list[Node], config: Config) -> None:
    """Wait until all pointers are exact."""
    with anyio.fail_after(SETTLING):
        while not is_ideal(nodes, config):
            await anyio.sleep(LOOK)


@asynccontextmanager
async def ring(loop: str, size: int, effort: Effort, **options: Any) -> AsyncIterator[list[Node]]:
    """Open an ideal ring of so many nodes, which ends without leaving."""
    config = config_of(effort)
    open_node = import_module(f"chord_adapters.{loop}").open_node
    effort.tell(f"starting {size} nodes")
    nodes: list[Node] = []
    async with AsyncExitStack() as stack:
        for number in range(size):
            join = [nodes[0].address] if nodes else []
            storage = options["storage"](number) if "storage" in options else None
            opened = open_node("127.0.0.1:0", join=join, config=config, **{**options, "storage": storage})
            nodes.append(await stack.enter_async_context(opened))
            await nodes[-1].wait_ready(timeout=SETTLING)
        with anyio.fail_after(SETTLING):
            while not is_settled(nodes, config):
                await anyio.sleep(LOOK)
        yield nodes
        for node in nodes:
            node.abort()


async def asked(nodes: list[Node], effort: Effort, *, r: Quorum = "one") -> Asked:
    """Store records and return what asks the first node for them; it owns none, so that each is asked of another."""
    asker = nodes[0]
    wanted = effort.size(KEYS, 8)
    names: list[str] = []
    number = 0
    while len(names) < wanted:
        name = f"bench/{number}"
        number += 1
        if await asker.locate(name) != asker.peer:
            await asker.put(name, VALUE)
            names.append(name)

    async def get(number: int) -> bool:
        entry = await asker.get(names[number % wanted], r=r)
        return entry is not None and entry.value == VALUE

    async def put(number: int) -> bool:
        await asker.put(f"put/{number}", VALUE)
        return True

    return Asked(get, put)
