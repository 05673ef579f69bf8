"""A node finds its ring by names that lead to several places, to none for a while, or to itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from errno import EADDRINUSE
from pathlib import Path

import attrs
import pytest

from chord_adapters import JoinRefused, _authority, _links
from chord_adapters._node import Node
from chord_adapters.testing._stage import QUICK
from tests.adapters.backends import LISTEN, Backend, is_ideal, over_sockets, ring, settled, until
from tests.adapters.names import Names, port_of, silent_place, with_ipv6

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left"), over_sockets]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Names below .test that the test may define."""
    return Names(monkeypatch)


@asynccontextmanager
async def ring_beside_silence(backend: Backend, host: str) -> AsyncIterator[Node]:
    """Yield a ring of one node, while nobody gets through to its port on another host.

    If somebody has that port there already, it is another node, with another port.
    """
    for last in [False] * 20 + [True]:
        async with AsyncExitStack() as stack:
            [node] = await stack.enter_async_context(ring(backend, 1))
            try:
                stack.enter_context(silent_place(host, port_of(node.address)))
            except OSError as error:
                if last or error.errno != EADDRINUSE:
                    raise
                continue
            yield node
            return


async def test_a_name_whose_first_addresses_are_dead(backend: Backend, names: Names) -> None:
    """One refuses, one swallows what comes, and the third leads into the ring, before a dial's time is up."""
    async with ring_beside_silence(backend, "127.0.0.3") as node:
        port = port_of(node.address)
        names.known["seeds.test"] = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
        began = backend.now()
        async with backend.open_node(LISTEN, join=[f"seeds.test:{port}"], config=QUICK) as other:
            await settled([node, other])
            assert backend.now() - began < _links.DIAL_TIMEOUT
            assert {f"seeds.test:{port}": "answers"} == other.contacts
            assert 0 == other.stats().links.dial_failures


async def test_a_client_finds_the_place_that_answers(backend: Backend, names: Names) -> None:
    """A client's name may lead to several places, too."""
    async with ring(backend, 1) as [node]:
        port = port_of(node.address)
        names.known["ring.test"] = ["127.0.0.2", "127.0.0.1"]
        async with backend.connect(f"ring.test:{port}") as client:
            assert await client.get("k") is None


async def test_a_name_that_comes_to_lead_somewhere(backend: Backend, names: Names) -> None:
    """It is looked up at each dial, in a thread: an answer that takes long holds up nothing else."""
    async with ring(backend, 1) as [node]:
        port = port_of(node.address)
        async with backend.open_node(LISTEN, join=[f"seeds.test:{port}"], config=QUICK) as other:
            await until(lambda: names.asked > 3, "it is looked up again and again")
            assert {f"seeds.test:{port}": "cannot be reached"} == other.contacts
            names.known["seeds.test"] = ["127.0.0.2"]
            names.may_answer.clear()
            await until(lambda: names.asked, "it is being looked up")
            try:
                for number in range(20):
                    await node.put(f"{number}", b"v", timeout=1.0)
                assert not other.is_ready
            finally:
                names.may_answer.set()
            names.known["seeds.test"] = ["127.0.0.1"]
            await settled([node, other])


async def test_somebody_who_is_of_no_use_is_passed_over(backend: Backend, names: Names) -> None:
    """Who itself waits for a ring stands first behind the name; the next is asked instead of the same one for ever."""
    async with ring(backend, 1) as [node]:
        port = port_of(node.address)
        names.known["seeds.test"] = ["127.0.0.2", "127.0.0.1"]
        async with (
            backend.open_node(f"127.0.0.2:{port}", join=["127.0.0.1:1"], config=QUICK) as waiting,
            backend.open_node(LISTEN, join=[f"seeds.test:{port}"], config=QUICK) as other,
        ):
            await settled([node, other])
            assert waiting.stats().links.accepted


async def test_a_name_that_leads_to_oneself_too(backend: Backend, names: Names) -> None:
    """All members may be started with the same name, of which each passes itself over."""
    async with ring(backend, 1) as [node]:
        port = port_of(node.address)
        names.known["seeds.test"] = ["127.0.0.2", "127.0.0.1"]
        async with backend.open_node(f"127.0.0.2:{port}", join=[f"seeds.test:{port}"], config=QUICK) as other:
            await settled([node, other])
            assert not any("127.0.0.2" in link for link in other._driver.links.outbound)
            assert 0 == other.stats().links.accepted - node.stats().links.dialled
    names.known["seeds.test"] = ["127.0.0.2"]
    with pytest.raises(ValueError, match="own address"):
        async with backend.open_node(f"127.0.0.2:{port}", join=[f"seeds.test:{port}"], config=QUICK):
            raise AssertionError("the body is not entered")


async def test_one_place_refuses_and_one_does_not(backend: Backend, names: Names) -> None:
    """A name is refused only when all are who answer to it."""
    async with ring(backend, 1) as [node]:
        port = port_of(node.address)
        names.known["seeds.test"] = ["127.0.0.2", "127.0.0.1"]
        join = [f"seeds.test:{port}"]
        async with backend.open_node(f"127.0.0.2:{port}", network="other", config=QUICK):
            async with backend.open_node(LISTEN, join=join, config=QUICK) as other:
                await settled([node, other])
            async with backend.open_node(LISTEN, join=join, network="third", config=QUICK) as other:
                with pytest.raises(JoinRefused, match="network"):
                    await other.wait_ready(timeout=10.0)
                assert dict.fromkeys(join, "refuses us") == other.contacts


async def test_rings_behind_one_name_merge(backend: Backend, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member asks each place behind its name in turn, and so finds the ring that it does not know."""
    monkeypatch.setattr(_links, "SEED_IDLE_TIMEOUT", 0.2)
    monkeypatch.setattr(_links, "CHECK_INTERVAL", 0.1)
    config = attrs.evolve(QUICK, probe_interval=0.6, probe_interval_max=0.6)
    async with AsyncExitStack() as stack:
        began = await stack.enter_async_context(backend.open_node(LISTEN, config=config))
        port = port_of(began.address)
        names.known["seeds.test"] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
        join = [f"seeds.test:{port}"]
        nodes = [
            await stack.enter_async_context(backend.open_node(f"{host}:{port}", join=join, config=config))
            for host in ("127.0.0.2", "127.0.0.3")
        ]
        await settled([began, *nodes])
        began.abort()
        names.known["seeds.test"] = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
        nodes.append(await stack.enter_async_context(backend.open_node(f"127.0.0.4:{port}", config=config)))
        await until(lambda: is_ideal(nodes), "the rings are one", within=30.0)


@pytest.mark.parametrize("hosts", [["seeds.test", "127.0.0.1"], ["127.0.0.1"]])
async def test_the_certificate_behind_a_name(backend: Backend, names: Names, tmp_path: Path, hosts: list[str]) -> None:
    """It has to cover the name that was dialled, whichever place answers."""
    _authority.init(tmp_path)
    _authority.issue(tmp_path, hosts)
    async with ring(backend, 1, tls=tmp_path) as [node]:
        port = port_of(node.address)
        names.known["seeds.test"] = ["127.0.0.2", "127.0.0.1"]
        join = [f"seeds.test:{port}"]
        async with backend.open_node(LISTEN, join=join, config=QUICK, tls=tmp_path) as other:
            if "seeds.test" in hosts:
                await settled([node, other])
            else:
                contact = other._driver.links.contact(join[0])
                await until(lambda: "not accepted" in contact.reason, "it is not accepted")


@with_ipv6
async def test_a_ring_of_both_families(backend: Backend, names: Names) -> None:
    """Nodes on IPv4 and on IPv6 are one ring, and a name of both families leads to whoever is there."""
    async with ring(backend, 1) as [four], backend.open_node("[::1]:0", join=[four.address], config=QUICK) as six:
        await settled([four, six])
        names.known["both.test"] = ["::1", "127.0.0.1"]
        async with (
            backend.open_node(LISTEN, join=[f"both.test:{port_of(four.address)}"], config=QUICK) as third,
            backend.open_node("[::1]:0", join=[f"both.test:{port_of(six.address)}"], config=QUICK) as fourth,
        ):
            nodes = [four, six, third, fourth]
            await settled(nodes)
            await six.put("k", b"v", w="all")
            assert [b"v"] * 4 == [(await node.get("k")).value for node in nodes]
