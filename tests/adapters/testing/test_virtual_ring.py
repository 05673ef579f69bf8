"""A ring in virtual time for tests of applications."""

from __future__ import annotations

import anyio
import pytest

from chord_adapters import Closed, Config, NotReady
from chord_adapters.memory import NotReached, current_time, open_node, sleep
from chord_adapters.testing import VirtualRing
from chord_adapters.testing._stage import is_ideal
from tests.adapters.backends import LOOPS

R3 = Config(successors=3)


def test_a_ring_is_ideal_when_it_is_made() -> None:
    """So many nodes, each at an address of its own, with exact pointers; the network's options and config count."""
    ring = VirtualRing(5, seed=3, config=R3, loss=0.05)
    assert ("node0:4600", "node1:4600", "node2:4600", "node3:4600", "node4:4600") == ring.addresses
    assert ring.addresses == tuple(node.address for node in ring.nodes)
    assert is_ideal(ring.nodes, R3)
    assert {3} == {len(node.successors) for node in ring.nodes}
    assert (3, 3) == (ring.seed, ring.net.seed)
    ring.close()


def test_a_seed_is_a_history() -> None:
    """Rings of one seed are the same to the microsecond; another seed gives another."""

    def history(seed: int) -> tuple[float, str]:
        ring = VirtualRing(4, seed=seed)
        version = ring.put("k", b"v").version
        return ring.net.now, version

    assert history(1) == history(1)
    assert history(1) != history(2)


def test_plain_calls() -> None:
    """What is written through one node is read through another; the owner is the same for all."""
    ring = VirtualRing(4)
    first, second, *_ = ring.addresses
    assert ring.get("k") is None
    done = ring.put("k", b"v", at=second)
    entry = ring.get("k", at=first)
    assert entry is not None
    assert (b"v", done.version) == (entry.value, entry.version)
    assert {done.owner.address} == {ring.owner("k", at=address) for address in ring.addresses}
    assert ring.delete("k").version > done.version
    assert ring.get("k", at=second) is None


def test_nodes_crash_and_start() -> None:
    """A crash loses nothing; a new node, or a new life at the old address, takes its place."""
    ring = VirtualRing(5)
    ring.put("k", b"v")
    owner = ring.owner("k")
    ring.crash(owner)
    assert owner not in [node.address for node in ring.up]
    assert 4 == len(ring.up)
    assert 5 == len(ring.nodes)
    with pytest.raises(Closed):
        ring.get("k", at=owner)
    assert ring.settle() > 0
    ring.start(owner)
    ring.settle()
    assert ring.owner("k") == owner
    newcomer = ring.start(virtual_nodes=2)
    ring.settle()
    assert "node5:4600" == newcomer.address
    for address in (owner, newcomer.address):
        entry = ring.get("k", at=address)
        assert entry is not None
        assert b"v" == entry.value


@pytest.mark.parametrize("loop", LOOPS)
def test_an_application_on_the_ring(loop: str) -> None:
    """Asynchronous code uses the nodes, opens its own, waits in virtual time, and may cause faults meanwhile."""
    ring = VirtualRing(4)

    async def application(key: str) -> float:
        began = current_time()
        await ring.nodes[1].put(key, b"v")
        async with open_node("app:1", join=ring.addresses[:1]) as own:
            await own.wait_ready()
            ring.settle()
            ring.crash(ring.addresses[2])
            entry = await own.get(key)
            assert entry is not None
            assert b"v" == entry.value
            await sleep(60.0)
        return current_time() - began

    assert ring.run(application, "k", backend=loop) >= 60.0
    ring.settle()
    assert 3 == len(ring.up)


async def from_inside(ring: VirtualRing) -> None:
    """Use a ring where a loop is running."""
    await ring.nodes[2].put("k", b"v")
    ring.crash(ring.addresses[0])
    ring.settle()
    assert await ring.nodes[1].get("k") is not None
    with pytest.raises(RuntimeError, match="Already running"):
        ring.get("k")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_ring_made_inside_a_loop(loop: str) -> None:
    """An asynchronous test makes a ring, and awaits the calls of its nodes; plain calls there are refused."""

    async def test() -> None:
        await from_inside(VirtualRing(3))

    anyio.run(test, backend=loop)


def test_a_partition() -> None:
    """The network's own faults are there, and a ring that is in two says how its nodes stand."""
    ring = VirtualRing(3)
    alone, *others = ring.addresses
    ring.net.partition([alone], others)
    ring.advance(20.0)
    with pytest.raises(NotReached, match=r"not true after 3\.0 s; at .* 3 nodes, seed 0"):
        ring.settle(within=3.0)
    ring.net.heal()
    ring.advance(60.0)
    ring.settle()


def test_a_node_that_died_of_a_bug_is_not_silent() -> None:
    """Closing a ring raises what one of its nodes died of."""
    ring = VirtualRing(2)
    ring.nodes[1]._driver.fail(ZeroDivisionError("a bug"))
    with pytest.raises(Closed, match="died of ZeroDivisionError: a bug"):
        ring.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_time_waits_for_who_has_something_to_read(loop: str) -> None:
    """While a task goes through what it has been told, a turn of the loop each, no virtual time passes."""
    ring = VirtualRing(2)

    async def reads() -> tuple[int, float]:
        async with open_node("many:1", virtual_nodes=32) as node, anyio.create_task_group() as tasks:
            await node.wait_ready(timeout=60.0)
            for _ in range(3):
                tasks.start_soon(sleep, 100.0)
            async with node.ownership() as changes:
                await anext(changes)
                began, told = current_time(), 1
                while told < 32:
                    await anext(changes)
                    told += 1
            passed = current_time() - began
            tasks.cancel_scope.cancel()
        return told, passed

    assert (32, 0.0) == ring.run(reads, backend=loop)
    ring.close()


def test_what_cannot_be() -> None:
    """Wrong arguments are refused with a clear error."""
    with pytest.raises(ValueError, match="a ring has at least one node, not 0"):
        VirtualRing(0)
    with pytest.raises(ValueError, match="loss"):
        VirtualRing(2, loss=2.0)
    with pytest.raises(TypeError, match="speed"):
        VirtualRing(2, speed=2.0)
    ring = VirtualRing(1)
    with pytest.raises(LookupError, match="there is no node at 'x:1'; there are: node0:4600"):
        ring.get("k", at="x:1")
    with pytest.raises(OSError, match="node0:4600"):
        ring.start("node0:4600")
    ring.crash("node0:4600")
    with pytest.raises(LookupError, match="no node is up at node0:4600"):
        ring.crash("node0:4600")
    with pytest.raises(LookupError, match="no node is up"):
        ring.get("k")


def test_a_lone_newcomer_is_not_ready() -> None:
    """With nobody to join by a node is a ring of its own; whoever joins one that is gone says so."""
    ring = VirtualRing(1)
    node = ring.start()
    ring.crash(ring.addresses[0])
    with pytest.raises(NotReady):
        ring.run(lambda: node.wait_ready(timeout=2.0))
