"""`serve_node`, which only trio has: a node as a task of the caller's nursery.  Not collected where trio is missing."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from chord_adapters.trio import Closed, Node, open_node, serve_node
from tests.adapters.backends import LISTEN, QUICK, is_ideal, until


@pytest.fixture
def anyio_backend() -> str:
    """Trio alone."""
    return "trio"


pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


async def test_start_gives_the_node() -> None:
    """`nursery.start` returns once the node listens; cancelled, it says goodbye.

    That gets lost when an answer arrives after the connection was closed: TCP resets it then.  Not four times in a row.
    """
    async with open_node(LISTEN, config=QUICK) as first:
        suspected = []
        for _ in range(4):
            before = first.stats().nodes[0].suspected
            async with trio.open_nursery() as nursery:
                node: Node = await nursery.start(partial(serve_node, LISTEN, join=[first.address], config=QUICK))
                await node.wait_ready()
                await until(lambda node=node: is_ideal([first, node]), "the ring is ideal")  # type: ignore[misc]
                nursery.cancel_scope.cancel()
            await until(lambda: first.successors == (), "it is alone again")
            suspected.append(first.stats().nodes[0].suspected - before)
        assert 0 in suspected


async def test_leaving_ends_the_task() -> None:
    """The task returns when the node has left or was aborted."""
    async with trio.open_nursery() as nursery:
        node: Node = await nursery.start(partial(serve_node, LISTEN, config=QUICK))
        await node.leave()
    async with trio.open_nursery() as nursery:
        node = await nursery.start(partial(serve_node, LISTEN, config=QUICK))
        node.abort()


async def test_dying_ends_the_task_with_the_cause() -> None:
    """The nursery hears of a node that dies."""
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with trio.open_nursery() as nursery:
            node: Node = await nursery.start(partial(serve_node, LISTEN, config=QUICK))
            node._driver.fail(ZeroDivisionError())
    assert [type(error) for error in caught.value.exceptions] == [Closed]
    assert isinstance(caught.value.exceptions[0].__cause__, ZeroDivisionError)


async def test_bad_arguments() -> None:
    """`nursery.start` raises what `open_node` raises."""
    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_node, "nowhere"))
    assert [type(error) for error in caught.value.exceptions] == [ValueError]


async def test_every_call_is_a_checkpoint() -> None:
    """Each public coroutine lets other tasks run, though it has nothing to wait for."""
    async with open_node(LISTEN, config=QUICK) as node:
        await node.wait_ready()
        key = await node.store(b"v")
        for call in (
            lambda: node.put("k", b"v"),
            lambda: node.get("k"),
            lambda: node.delete("k"),
            lambda: node.store(b"v"),
            lambda: node.fetch(key),
            lambda: node.locate("k"),
            lambda: node.replicas("k"),
            node.describe,
            node.wait_ready,
            node.leave,
            node.wait_closed,
        ):
            with trio.testing.assert_checkpoints():
                await call()
