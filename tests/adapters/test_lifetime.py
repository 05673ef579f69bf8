"""How nodes begin and end: normally, by exception, by cancellation, by crash, and when they die of a bug."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from chord_adapters import Closed, NotReady, Timeout
from chord_adapters._node import Node
from tests.adapters.backends import LISTEN, QUICK, Backend, is_ideal, ring, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


class Boom(Exception):
    """The body's own."""


async def test_the_body_s_exception_comes_out_bare(backend: Backend) -> None:
    """What the body raises comes out as the same object, in no group, and the others go on."""
    boom = Boom()
    async with ring(backend, 3) as nodes:
        with pytest.raises(Boom) as caught:  # noqa: PT012
            async with backend.open_node(LISTEN, join=[nodes[0].address], config=QUICK) as node:
                await node.wait_ready()
                await until(lambda: is_ideal([*nodes, node]), "the ring knows the fourth")
                raise boom
        assert caught.value is boom
        await until(lambda: is_ideal(nodes), "the ring has forgotten the fourth")


@pytest.mark.parametrize("error", [StopAsyncIteration, StopIteration, GeneratorExit, KeyboardInterrupt, SystemExit])
async def test_even_odd_exceptions_come_out_bare(backend: Backend, error: type[BaseException]) -> None:
    """Exceptions that generators and event loops treat in their own way are no different."""
    raised = error("odd")
    with pytest.raises(error) as caught:
        async with backend.open_node(LISTEN, config=QUICK):
            raise raised
    assert caught.value is raised


async def test_a_cancelled_body(backend: Backend) -> None:
    """Cancelling the body ends the node at once, also before it is a member, and nothing else is cancelled."""
    opened: list[Node] = []
    with anyio.CancelScope() as scope:
        async with backend.open_node(LISTEN, join=["127.0.0.1:1"], config=QUICK) as node:
            opened.append(node)
            scope.cancel()
            await node.wait_ready()
    assert scope.cancelled_caught
    with pytest.raises(Closed):
        await opened[0].get("k")


async def test_a_goodbye_does_not_wait(backend: Backend) -> None:
    """Cancelled, a node is gone at once although its records are nowhere else, and its neighbours know.

    Both have heard the goodbye; the third node may have had no connection to hear it by.  It gets lost when an answer
    arrives after the connection was closed: TCP resets it then.  Not four times in a row.
    """
    async with ring(backend, 3) as nodes:
        suspected = []
        for _ in range(4):
            before = _suspected(nodes)
            with anyio.CancelScope() as scope:
                async with backend.open_node(LISTEN, join=[nodes[0].address], config=QUICK) as node:
                    await node.wait_ready()
                    await until(lambda node=node: is_ideal([*nodes, node]), "the ring knows the fourth")  # type: ignore[misc]
                    began = backend.now()
                    scope.cancel()
                    await anyio.sleep_forever()
            assert backend.now() - began < 1.0
            await until(lambda: is_ideal(nodes), "the ring has forgotten the fourth")
            suspected.append(_suspected(nodes) - before)
        assert min(suspected) <= 1


def _suspected(nodes: list[Node]) -> int:
    return sum(node.stats().nodes[0].suspected for node in nodes)


async def test_abort_is_synchronous_and_idempotent(backend: Backend) -> None:
    """After `abort` every call raises `Closed`, aborting again does nothing, and leaving the block does nothing."""
    async with ring(backend, 2) as nodes:
        async with backend.open_node(LISTEN, join=[nodes[0].address], config=QUICK) as node:
            await node.wait_ready()
            node.abort()
            node.abort()
            assert not node.is_ready
            for call in (node.get("k"), node.put("k", b""), node.store(b""), node.fetch(1), node.locate("k")):
                with pytest.raises(Closed) as caught:
                    await call
                assert not caught.value.retryable
            with pytest.raises(Closed):
                await node.wait_ready()
            with pytest.raises(Closed):
                await node.leave()
            with pytest.raises(Closed):
                await node.describe()
            await node.wait_closed()
            assert node.address
        await until(lambda: is_ideal(nodes), "the others have noticed")


async def test_ending_with_operations_pending(backend: Backend) -> None:
    """Calls that wait when the node is aborted raise `Closed`; of a write nobody knows what became."""
    async with backend.open_node(LISTEN, join=["127.0.0.1:1"], config=QUICK) as node:
        caught: dict[str, Closed] = {}

        async def run(name: str) -> None:
            calls = {"get": lambda: node.get("k"), "put": lambda: node.put("k", b"v"), "ready": node.wait_ready}
            with pytest.raises(Closed) as info:
                await calls[name]()
            caught[name] = info.value

        async with anyio.create_task_group() as tasks:
            for name in ("get", "put", "ready"):
                tasks.start_soon(run, name)
            await until(lambda: node.stats().calls == 2, "the calls are under way")
            node.abort()
        assert not caught["get"].outcome_unknown
        assert caught["put"].outcome_unknown
        assert set(caught) == {"get", "put", "ready"}


async def test_leaving_with_operations_pending(backend: Backend) -> None:
    """Calls that wait when the block ends normally are ended too."""
    closed: list[Closed] = []
    async with (
        anyio.create_task_group() as tasks,
        backend.open_node(LISTEN, join=["127.0.0.1:1"], config=QUICK) as node,
    ):

        async def get() -> None:
            with pytest.raises(Closed) as caught:
                await node.get("k", timeout=60.0)
            closed.append(caught.value)

        tasks.start_soon(get)
        await until(lambda: node.stats().calls == 1, "the call is under way")
    assert len(closed) == 1


async def test_the_last_member_leaves(backend: Backend) -> None:
    """A normal exit never raises because nothing could be handed over; `leave(drain=True)` does."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        await node.wait_ready()
        await node.put("k", b"v")
    async with backend.open_node(LISTEN, config=QUICK) as node:
        await node.wait_ready()
        await node.put("k", b"v")
        began = backend.now()
        with pytest.raises(Timeout):
            await node.leave(drain=True)
        assert backend.now() - began < 1.0
        with pytest.raises(Closed):
            await node.leave()


async def test_two_leave_calls_at_once(backend: Backend) -> None:
    """The second waits for the same end."""
    async with ring(backend, 2) as nodes:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(nodes[1].leave)
            tasks.start_soon(nodes[1].leave)
        await nodes[1].wait_closed()
        with pytest.raises(Closed):
            await nodes[1].get("k")


async def test_a_leave_that_nobody_waits_for(backend: Backend) -> None:
    """Whoever asked for it was cancelled: it goes on, and then the node has ended as after any leave."""
    async with ring(backend, 3) as nodes:
        async with backend.open_node(LISTEN, join=[nodes[0].address], config=QUICK) as node:
            await node.wait_ready()
            with anyio.move_on_after(0.0) as scope:
                await node.leave()
            assert scope.cancelled_caught
        with pytest.raises(Closed):
            await node.get("k")
        await until(lambda: is_ideal(nodes), "the ring has forgotten the fourth")


async def test_a_node_that_dies_does_not_cancel_the_body(backend: Backend) -> None:
    """A bug ends the node: calls raise `Closed` with the cause, the body goes on, and the exit raises it."""
    with pytest.raises(Closed) as caught:  # noqa: PT012
        async with backend.open_node(LISTEN, config=QUICK) as node:
            await node.wait_ready()
            _break(node)
            with pytest.raises(Closed) as called:
                await node.get("k")
            assert isinstance(called.value.__cause__, ZeroDivisionError)
            with pytest.raises(Closed):
                await node.wait_closed()
            await anyio.lowlevel.checkpoint()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_the_body_s_exception_counts_more_than_the_death(backend: Backend) -> None:
    """When the body raises too, that is what comes out."""
    with pytest.raises(Boom):  # noqa: PT012
        async with backend.open_node(LISTEN, config=QUICK) as node:
            _break(node)
            with pytest.raises(Closed):
                await node.get("k")
            raise Boom


def _break(node: Node) -> None:
    """Let the node's next input fail in a way that must not happen."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    node._driver._begin = fail  # type: ignore[method-assign, assignment]
    node._driver._finish_turn = fail  # type: ignore[method-assign]


async def test_operations_before_membership_wait_then_fail(backend: Backend) -> None:
    """A node that finds no ring says `NotReady` when the timeout is over, and says so in `wait_ready` too."""
    async with backend.open_node(LISTEN, join=["127.0.0.1:1"], config=QUICK) as node:
        for call in (node.get("k", timeout=0.3), node.put("k", b"v", timeout=0.3), node.wait_ready(timeout=0.3)):
            with pytest.raises(NotReady) as caught:
                await call
            assert caught.value.retryable
            assert not caught.value.outcome_unknown
        await until(lambda: node.contacts == {"127.0.0.1:1": "cannot be reached"}, "it is known to be down")


async def test_operations_before_membership_wait_for_it(backend: Backend) -> None:
    """A call made at once is carried out once the node has joined."""
    async with ring(backend, 1) as nodes:
        await nodes[0].put("k", b"v")
        async with backend.open_node(LISTEN, join=[nodes[0].address], config=QUICK) as node:
            entry = await node.get("k")
            assert entry is not None
            assert entry.value == b"v"


async def test_a_contact_that_comes_up_later(backend: Backend) -> None:
    """While the contact is merely down the node tries on, and joins when it is there."""
    async with backend.open_node(LISTEN, config=QUICK) as first:
        address = first.address
        first.abort()
    async with backend.open_node(LISTEN, join=[address], config=QUICK) as node:
        await until(lambda: node.contacts == {address: "cannot be reached"}, "it is known to be down")
        async with backend.open_node(address, config=QUICK) as contact:
            await node.wait_ready(timeout=15.0)
            assert node.successors == (contact.peer,)


async def test_a_restart_at_the_same_address(backend: Backend) -> None:
    """A new life at an address takes the place of the one that crashed."""
    async with ring(backend, 3) as nodes:
        done = await nodes[0].put("k", b"v")
        address = nodes[2].address
        nodes[2].abort()
        async with backend.open_node(address, join=[nodes[0].address], config=QUICK) as again:
            await again.wait_ready(timeout=15.0)
            await until(lambda: is_ideal([nodes[0], nodes[1], again]), "the ring is ideal again")
            entry = await again.get("k")
            assert entry is not None
            assert entry.version == done.version


async def test_the_loop_stays_responsive(backend: Backend) -> None:
    """While a long value is stored and fetched other tasks get their turns."""
    longest = 0.0
    done = anyio.Event()

    async def watch() -> None:
        nonlocal longest
        last = backend.now()
        while not done.is_set():
            await anyio.lowlevel.checkpoint()
            now = backend.now()
            longest, last = max(longest, now - last), now

    async with ring(backend, 3) as nodes, anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        data = bytes(5_000_000)
        assert await nodes[1].fetch(await nodes[0].store(data)) == data
        done.set()
    assert longest < 0.5
