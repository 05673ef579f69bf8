"""Cancelling at any await leaks nothing: each scenario is run again and again, cancelled at its k-th suspension."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from chord_adapters._node import Node
from chord_adapters.testing._cancelling import SCENARIOS, Check, still_serves
from chord_adapters.testing._stage import Stage, stage_of
from tests.adapters.backends import Backend, ring, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


async def _idle(nodes: list[Node]) -> None:
    """Check that nothing of cancelled calls is left in the nodes, in their insides neither, and that they still serve."""
    for node in nodes:
        assert not node._driver.turns.under_way
        assert node._driver.turns.room
        assert not node._driver._tickets
    await still_serves(nodes)


@pytest.mark.parametrize("scenario, least", SCENARIOS.items(), ids=[each.__name__ for each in SCENARIOS])
async def test_cancelling_at_each_await(
    backend: Backend, scenario: Callable[[Stage, Check], Awaitable[int]], least: int
) -> None:
    """The scenarios of the conformance kit: calls, leaving, the whole life of a node, and of a client."""
    with stage_of(backend.adapter) as stage:
        assert await scenario(stage, _idle) > least


async def test_cancelling_many_calls_at_once(backend: Backend) -> None:
    """A thousand calls, under way and waiting their turn, are cancelled together; there is room at once."""
    async with ring(backend, 2) as nodes:
        begun: list[int] = []

        async def put(number: int) -> None:
            begun.append(number)
            await nodes[1].put(f"k{number}", b"v")

        async with anyio.create_task_group() as tasks:
            for number in range(1000):
                tasks.start_soon(put, number)
            await until(lambda: len(begun) == 1000, "all calls have begun")
            tasks.cancel_scope.cancel()
        await _idle(nodes)
