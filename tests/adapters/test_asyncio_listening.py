"""A connection that comes while an asyncio node stops listening is closed, whenever it comes."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings

import pytest

from chord_adapters.asyncio import Closed, open_node
from tests.adapters.backends import LISTEN


@pytest.mark.parametrize("abort", [False, True])
def test_a_connection_that_comes_at_the_end_is_closed(*, abort: bool) -> None:
    """However many turns of the loop it is old when the node ends: no socket is left for the garbage collector."""

    async def live(turns: int) -> socket.socket:
        async with open_node(LISTEN) as node:
            await node.wait_ready()
            host, _, port = node.address.rpartition(":")
            client = socket.create_connection((host, int(port)))
            for _ in range(turns):
                await asyncio.sleep(0)
            if abort:
                node.abort()
                client.close()
        return client

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        for turns in range(8):
            try:
                asyncio.run(live(turns)).close()
            except Closed:
                assert abort
            gc.collect()
    assert [] == [str(each.message) for each in caught]
