"""The clients of one host, that ask the node there whatever happens."""

from __future__ import annotations

import random
import threading
import time
from array import array
from collections.abc import Callable

import anyio
import attrs

from chord_adapters import ChordError
from chord_adapters._client import Client
from chord_adapters.asyncio import connect
from chord_adapters.testing import History
from chord_proto.operations import Description

AT_ONCE = 4
"""Operations that they have under way at once."""
LOOK_EVERY = 0.3
CATCH_UP = 5.0
"""Seconds of operations that they make up for when they were held up."""


@attrs.frozen
class Sight:
    """How a node describes itself, and when it was asked."""

    asked: float
    node: Description

    @property
    def repaired(self) -> float:
        """When it had last found all replicas complete, at the earliest."""
        return float("-inf") if self.node.repaired is None else self.asked - self.node.repaired / 1000


class Clients:
    """They do ``rate`` operations a second, each on one of ``keys(number)``, and look how the node is."""

    def __init__(
        self, address: str, number: int, history: History, keys: Callable[[int], list[str]], rate: float
    ) -> None:
        self.sight: Sight | None = None
        """None while it does not answer."""
        self.took = array("d")
        """Seconds that each operation took, also those that failed."""
        self.over = threading.Event()
        self._address, self._number, self._history, self._keys = address, number, history, keys
        self._period = AT_ONCE / rate

    async def work(self) -> None:
        """Work until it is over."""
        async with connect(self._address) as asked, anyio.create_task_group() as tasks:
            tasks.start_soon(self._look, asked)
            for turn in range(AT_ONCE):
                tasks.start_soon(self._do, asked, random.Random(f"{self._number}/{turn}"))

    async def _look(self, asked: Client) -> None:
        while not self.over.is_set():
            began = time.monotonic()
            try:
                self.sight = Sight(began, await asked.describe(timeout=2.0))
            except ChordError:
                self.sight = None
            await anyio.sleep(LOOK_EVERY)

    async def _do(self, asked: Client, chance: random.Random) -> None:
        due = anyio.current_time() + chance.uniform(0.0, self._period)
        while not self.over.is_set():
            now = anyio.current_time()
            await anyio.sleep(max(0.0, due - now))
            due = max(due + self._period, now - CATCH_UP)
            began = time.perf_counter()
            await self._history.something(asked, self._keys(self._number), chance)
            self.took.append(time.perf_counter() - began)


async def unreadable(address: str, history: History, keys: list[str]) -> str | None:
    """Read keys from a majority, all unless one cannot be read, which is returned."""
    async with connect(address) as asked:
        for key in keys:
            if not await history.get(asked, key, timeout=30.0):
                return key
    return None
