"""Nodes and clients over simulated connections: what virtual time, faults and shared networks mean for them."""

from __future__ import annotations

import importlib.util
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from chord_adapters import memory
from chord_adapters.memory import Closed, Entry, JoinRefused, Network, Timeout, Unreachable
from chord_proto.config import Config

pytestmark = pytest.mark.anyio
QUICK = Config(operation_timeout=5.0)


@pytest.fixture(params=[name for name in ("asyncio", "trio") if importlib.util.find_spec(name)])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Each event loop that is installed."""
    assert isinstance(request.param, str)
    return request.param


async def story(seed: int, **options: Any) -> list[object]:
    """Return what happens to three nodes and a client, and when."""
    seen: list[object] = []
    async with Network(seed, **options) as net, AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(memory.open_node(f"{name}:1", join=["a:1"] if name != "a" else []))
            for name in "abc"
        ]
        for node in nodes:
            await node.wait_ready()
            seen.append((net.now, node.address, node.successors))
        client = await stack.enter_async_context(memory.connect("b:1"))
        for number in range(5):
            seen.append(await client.put(f"k{number}", b"v"))
            seen.append((net.now, await nodes[number % 3].get(f"k{number}")))
    return seen


async def test_everything_follows_from_the_seed() -> None:
    """One seed is one history, byte for byte and microsecond for microsecond; another is another."""
    assert await story(3) == await story(3)
    assert await story(3, loss=0.1) == await story(3, loss=0.1)
    assert await story(3) != await story(4)


async def test_an_hour_takes_no_time() -> None:
    """Virtual time passes as fast as the machine can, and only while somebody waits for it."""
    async with Network(1) as net, memory.open_node("a:1") as node:
        await node.wait_ready()
        before = net.now
        began = anyio.current_time()
        await anyio.sleep(0.01)
        assert before == net.now == memory.current_time()
        await memory.sleep(3600)
        assert before + 3600 == pytest.approx(net.now, abs=1e-3)
        assert anyio.current_time() - began < 60


async def test_tasks_wait_side_by_side() -> None:
    """Many tasks that wait each get what they wait for, in the order of virtual time."""
    order: list[float] = []

    async def waiter(seconds: float) -> None:
        await memory.sleep(seconds)
        order.append(seconds)

    async with Network(1), anyio.create_task_group() as tasks:
        for seconds in (5.0, 0.5, 3.0, 0.1, 60.0):
            tasks.start_soon(waiter, seconds)
    assert [0.1, 0.5, 3.0, 5.0, 60.0] == order


async def test_cancelling_who_lets_time_pass() -> None:
    """When the task is cancelled that let time pass for all, another one goes on with it."""
    done: list[str] = []

    async def waiter(name: str, seconds: float) -> None:
        await memory.sleep(seconds)
        done.append(name)

    async with Network(1), anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(waiter, "other", 100.0)
            await anyio.lowlevel.checkpoint()
            async with anyio.create_task_group() as inner:
                inner.start_soon(waiter, "cancelled", 1000.0)
                await anyio.lowlevel.checkpoint()
                scope.cancel()
    assert ["other"] == done


async def test_a_partition_holds_and_heals() -> None:
    """Cut off, a client waits until its timeout; healed, the ring is whole again and serves."""
    async with Network(1) as net, AsyncExitStack() as stack:
        a, b, c = [
            await stack.enter_async_context(
                memory.open_node(f"{name}:1", join=["a:1"] if name != "a" else [], config=QUICK)
            )
            for name in "abc"
        ]
        for node in (a, b, c):
            await node.wait_ready()
        await memory.sleep(10)
        done = await a.put("k", b"v")
        net.partition(["c:1"])
        with pytest.raises((Timeout, Unreachable)):
            await c.get(next(key for key in map(str, range(1000)) if a.owns(key)), timeout=2.0)
        net.heal()
        await memory.sleep(90)
        assert await c.get("k") == Entry(b"v", done.version)
        assert {b.peer, c.peer} == set(a.successors)


@pytest.mark.parametrize("silent", [False, True])
async def test_a_crash_from_outside(*, silent: bool) -> None:
    """The network crashes a node: its own calls raise `Closed`, the others go on, and the address is free again."""
    async with Network(1) as net, AsyncExitStack() as stack:
        a = await stack.enter_async_context(memory.open_node("a:1", config=QUICK))
        b = await stack.enter_async_context(memory.open_node("b:1", join=["a:1"], config=QUICK))
        await b.wait_ready()
        net.crash("b:1", silent=silent)
        with pytest.raises(Closed):
            await b.get("k")
        await memory.sleep(10)
        assert not a.successors
        again = await stack.enter_async_context(memory.open_node("b:1", join=["a:1"], config=QUICK))
        await again.wait_ready(timeout=30)
        await memory.sleep(3)
        assert (again.peer,) == a.successors


async def test_a_pause_from_outside() -> None:
    """A paused node answers nobody, and goes on where it was."""
    async with Network(1) as net, memory.open_node("a:1", config=QUICK) as a, memory.connect("a:1") as client:
        await a.wait_ready()
        await a.put("k", b"v")
        net.pause("a:1", 3.0)
        before = net.now
        found = await client.get("k")
        assert found is not None
        assert net.now - before >= 3.0


async def test_what_was_given_up_is_not_sent_later() -> None:
    """A write that ends because nobody was reached in time is not done when the connection is there at last (D11)."""
    async with Network(1) as net, memory.open_node("a:1", config=QUICK) as a, memory.connect("a:1") as client:
        await a.wait_ready()
        net.set_links(latency=(1.0, 1.0))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.put, "cancelled", b"v")
            with pytest.raises(Unreachable) as caught:
                await client.put("k", b"v", timeout=1.5)
            tasks.cancel_scope.cancel()
        assert not caught.value.outcome_unknown
        await memory.sleep(10.0)
        assert [None, None] == [await a.get("k"), await a.get("cancelled")]


async def test_other_networks_are_refused() -> None:
    """The name of a ring's network counts here as it does over sockets."""
    async with Network(1), memory.open_node("a:1"), memory.open_node("b:1", join=["a:1"], network="other") as b:
        with pytest.raises(JoinRefused):
            await b.wait_ready()


async def test_networks_are_separate() -> None:
    """The same address may be taken once in each network, by the block or by name."""
    with Network(1) as outer:
        inner = Network(2)
        async with memory.open_node("a:1") as one, memory.open_node("a:1", simulation=inner) as two:
            with pytest.raises(OSError, match="a:1"):
                async with memory.open_node("a:1"):
                    raise AssertionError("not entered")
            with inner:
                await two.put("k", b"inner")
            await one.put("k", b"outer")
            assert memory.current_time() == outer.now
        async with memory.connect("nobody:1") as client:
            with pytest.raises(Unreachable):
                await client.get("k", timeout=1.0)


async def test_without_a_block_one_loop_shares_one_network() -> None:
    """Nodes opened without any network named meet all the same."""
    async with memory.open_node("a:1") as a, memory.open_node("b:1", join=["a:1"]) as b:
        await b.wait_ready()
        assert a.peer in b.successors


async def test_spawned_nodes_share_time_and_faults() -> None:
    """Nodes that are spawned live in the same time and under the same faults, apart from those that are opened."""
    async with Network(1) as net, memory.open_node("a:1") as node:
        net.spawn("x")
        with pytest.raises(ValueError, match="taken"):
            net.spawn("a:1")
        await node.wait_ready()
        await memory.sleep(5)
        assert net.now >= 5
        assert net.node("x").ready
