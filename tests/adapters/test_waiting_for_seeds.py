"""A node whose seeds are all down tries on for ever, seldom, and not in step with others; in virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from chord_adapters import memory
from chord_adapters._node import Node
from chord_adapters.memory import Network
from chord_proto.config import Config
from tests.adapters.backends import MEMORY, Backend, settled

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.parametrize("backend", [MEMORY], ids=str, indirect=True),
]
SEEDS = ["s:1", "s:2", "s:3"]
CONFIG = Config()


async def tries(nodes: list[Node], seconds: int) -> list[list[float]]:
    """Let so much time pass, and return when, to the tenth of a second, each node dialled somebody in vain."""
    times: list[list[float]] = [[] for _ in nodes]
    seen = [node.stats().links.dial_failures for node in nodes]
    for _ in range(10 * seconds):
        await memory.sleep(0.1)
        for at, node in enumerate(nodes):
            failures = node.stats().links.dial_failures
            if failures > seen[at]:
                times[at].append(round(memory.current_time(), 1))
            seen[at] = failures
    return times


async def test_seeds_that_come_after_an_hour(backend: Backend) -> None:
    """Some ten tries a minute, never a pause of ten seconds, and within that of the seed's coming they are a ring."""
    async with (
        Network(1),
        memory.open_node("a:1", join=SEEDS, config=CONFIG) as first,
        memory.open_node("b:1", join=SEEDS, config=CONFIG) as second,
    ):
        times = await tries([first, second], 3600)
        for node, tried in zip((first, second), times, strict=True):
            assert "joining" == node.health().phase
            assert dict.fromkeys(SEEDS, "cannot be reached") == node.contacts
            assert 400 < node.stats().links.dial_failures < 1500
            assert node.stats().nodes[0].sent < 2500
            pauses = [after - before for before, after in pairwise(tried)]
            assert max(pauses) < 10.0
            assert len({round(pause, 1) for pause in pauses}) > 5
        assert len(set(times[0]) & set(times[1])) < min(map(len, times)) / 2
        async with memory.open_node("s:2", config=CONFIG) as seed:
            began = memory.current_time()
            await first.wait_ready(timeout=20.0)
            await second.wait_ready(timeout=20.0)
            assert memory.current_time() - began < 20.0
            await settled([first, second, seed])
