"""What comes in on the port from others than correct peers harms nobody."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from typing import Any

import anyio
import attrs
import pytest
from anyio.abc import SocketStream

from chord_adapters import Busy, JoinRefused, NotReady, Unreachable, _doors, _link, _links, _room
from chord_adapters._node import Node
from chord_adapters.testing._leaks import things
from chord_adapters.testing._strangers import stranger
from chord_proto._wire_hello import Reply, pack_reply
from chord_proto.config import Config
from chord_proto.connection import frame_limit
from chord_proto.messages import FindSuccessor, Performed
from chord_proto.operations import Fetch, Fetched, Put
from tests.adapters.backends import LISTEN, QUICK, Backend, is_ideal, over_sockets, ring, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left"), over_sockets]


async def _is_well(nodes: list[Node]) -> None:
    done = await nodes[0].put("well", b"v")
    entry = await nodes[-1].get("well")
    assert entry is not None
    assert entry.version == done.version


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 100, b"\xff" * 100_000, b"\x89ChordH\n\x01\x01\x00\x01\x00\x00c"],
)
async def test_garbage_on_the_port(backend: Backend, garbage: bytes) -> None:
    """Bytes of no hello: the connection is closed without an answer and counted, the node unharmed."""
    async with ring(backend, 2) as nodes:
        async with stranger(nodes[1]) as other:
            with suppress(anyio.BrokenResourceError):  # Closed before all of it was sent.
                await other.stream.send(garbage)
            assert await other.is_closed() == b""
        assert nodes[1].stats().links.garbage == 1
        await _is_well(nodes)


@pytest.mark.parametrize("size", [3, 20])
async def test_half_a_hello_or_frame(backend: Backend, size: int) -> None:
    """A stream that ends within a hello or a frame is counted."""
    async with ring(backend, 2) as nodes:
        async with stranger(nodes[1]) as other:
            if size > 10:
                await other.say_hello()
                other.frames.send(FindSuccessor(None, 0, None, 0, 1, 7))
                await other.stream.send(other.frames.data_to_send()[:-3])
            else:
                await other.stream.send(other.frames.data_to_send()[:size])
        await until(lambda: nodes[1].stats().links.garbage == 1, "it is counted")
        await _is_well(nodes)


@pytest.mark.parametrize("frame", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x00\x00\x00\x04\xff\xff\xff\xff"])
async def test_a_frame_that_is_none(backend: Backend, frame: bytes) -> None:
    """A frame longer than the limit, an empty one, one with garbage in it: closed at once, not when it is complete."""
    async with ring(backend, 2) as nodes:
        async with stranger(nodes[1]) as other:
            await other.say_hello()
            await other.stream.send(frame)
            assert await other.is_closed() == b""
        assert nodes[1].stats().links.garbage == 1
        await _is_well(nodes)


async def test_a_stranger_who_says_nothing(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a hello is closed after a while, and counted."""
    monkeypatch.setattr(_doors, "HELLO_TIMEOUT", 0.1)
    async with ring(backend, 1) as nodes, stranger(nodes[0]) as other:
        assert await other.is_closed() == b""
        assert nodes[0].stats().links.silent == 1


async def test_too_many_strangers(backend: Backend) -> None:
    """When there is no room for another, the oldest connection without a hello makes way; who has said hello stays."""
    async with ring(backend, 1, config=attrs.evolve(QUICK, max_strangers=2)) as nodes:
        async with stranger(nodes[0]) as first, stranger(nodes[0]) as second:
            await second.say_hello()
            async with stranger(nodes[0]) as third, stranger(nodes[0]) as fourth:
                assert await first.is_closed() == b""
                assert nodes[0].stats().strangers == 2
                for other in (second, third, fourth):
                    if other is not second:
                        await other.say_hello()
                    await other.ask(Fetch(1))
                    (answer,) = await other.answers(1)
                    assert isinstance(answer, Performed)
                    assert answer.result == Fetched(None, None)
        assert (1, 0) == (nodes[0].stats().links.turned_away, nodes[0].stats().strangers)


@pytest.mark.parametrize("bound", ["max_connections", "max_connections_per_address"])
async def test_too_many_connections(backend: Backend, bound: str) -> None:
    """Who has said hello when there is no room is refused, and told why; a client says busy, and gets in when there is room."""
    bounds: dict[str, Any] = {bound: 1}
    config = attrs.evolve(QUICK, **bounds)
    async with ring(backend, 1, config=config) as nodes, backend.connect(nodes[0].address) as client:
        async with stranger(nodes[0]) as first, stranger(nodes[0]) as second:
            await first.say_hello()
            await second.stream.send(second.frames.data_to_send())
            assert await second.is_closed() == pack_reply(Reply.FULL)
            with pytest.raises(Busy, match="as many connections as it takes"):
                await client.get("k", timeout=0.5)
            await first.ask(Fetch(1))
            assert 1 == len(await first.answers(1))
        assert await client.get("k", timeout=10.0) is None
        assert nodes[0].stats().links.full >= 2


async def test_an_idle_connection_makes_way(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room, who has long not used a connection makes way for a newcomer, and only for one of the ring."""
    monkeypatch.setattr(_room, "IDLE_TIMEOUT", 0.1)
    async with ring(backend, 1, config=attrs.evolve(QUICK, max_connections=1)) as nodes:
        async with stranger(nodes[0]) as first, stranger(nodes[0]) as second, stranger(nodes[0]) as third:
            await first.say_hello()
            await anyio.sleep(0.2)
            await second.stream.send(b"garbage")
            assert await second.is_closed() == b""
            await first.ask(Fetch(1))
            assert 1 == len(await first.answers(1))
            await anyio.sleep(0.2)
            await third.say_hello()
            assert await first.is_closed() == b""
        assert (1, 0) == (nodes[0].stats().links.made_way, nodes[0].stats().links.full)


async def test_an_asker_that_goes_away(backend: Backend) -> None:
    """Whoever asks and does not wait for the answer harms nobody; a write may take effect all the same."""
    async with ring(backend, 3) as nodes:
        key = await nodes[0].store(bytes(60_000))
        for _ in range(5):
            async with stranger(nodes[1]) as other:
                await other.say_hello()
                await other.ask(*[Fetch(key)] * 20, Put(b"k", b"v"))
        await until(lambda: nodes[1].stats().inbound <= 2, "the strangers' connections are gone")
        await until(lambda: nodes[1].stats().nodes[0].operations == 0, "their operations have ended")
        await _is_well(nodes)


async def test_an_asker_that_does_not_read(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that nobody reads are bounded; then the connection is closed, and others are served all the time."""
    async with ring(backend, 2, config=attrs.evolve(QUICK, max_buffered_bytes_per_connection=1_000_000)) as nodes:
        key = await nodes[0].store(bytes(60_000))
        async with stranger(nodes[1]) as other, anyio.create_task_group() as tasks:
            await other.say_hello()

            async def ask_on() -> None:
                with suppress(anyio.BrokenResourceError):
                    while True:
                        await other.ask(*[Fetch(key)] * 50)

            tasks.start_soon(ask_on)
            await until(lambda: nodes[1].stats().links.dropped > 0, "answers are dropped")
            inbound = nodes[1]._driver.links.inbound.values()
            link = next(link for link in inbound if link.connection.remote_address is None)
            assert link.queued() < 1_200_000
            await _is_well(nodes)
            monkeypatch.setattr(_link, "STALL_TIMEOUT", 0.2)
            monkeypatch.setattr(_links, "CHECK_INTERVAL", 0.05)
            await until(lambda: link.closed, "the connection is closed")  # By us, or, where it can, by the system.
            tasks.cancel_scope.cancel()
        await _is_well(nodes)


async def test_leaving_while_somebody_does_not_read(backend: Backend) -> None:
    """The end of a node does not wait for who reads nothing, and when the block has ended everything is closed."""
    before = things()
    async with AsyncExitStack() as stack:
        async with backend.open_node(LISTEN, config=QUICK) as node:
            await node.wait_ready()
            key = await node.store(bytes(60_000))
            other = await stack.enter_async_context(stranger(node))
            await other.say_hello()
            with anyio.move_on_after(0.5):  # By then nothing more goes into the buffers between.
                while True:
                    await other.ask(*[Fetch(key)] * 50)
            began = anyio.current_time()
        assert anyio.current_time() - began < _links.FLUSH_TIMEOUT + 1.0
        assert [now - then for now, then in zip(things(), before, strict=True)] == [0, 1, 0]


async def test_another_network(backend: Backend) -> None:
    """A node of another network gets one refusal, is told so by `wait_ready`, and disturbs nobody."""
    async with ring(backend, 2) as nodes:
        async with backend.open_node(LISTEN, join=[nodes[0].address], network="other", config=QUICK) as node:
            with pytest.raises(JoinRefused, match="network") as caught:
                await node.wait_ready(timeout=10.0)
            assert not caught.value.retryable
            assert node.contacts == {nodes[0].address: "refuses us"}
            with pytest.raises(NotReady):
                await node.get("k", timeout=0.2)
        assert nodes[0].stats().links.refused >= 1
        assert is_ideal(nodes)


async def test_another_circle(backend: Backend) -> None:
    """A circle of another width is refused too."""
    async with ring(backend, 1) as nodes:
        other = Config(bits=32)
        async with backend.open_node(LISTEN, join=[nodes[0].address], config=other) as node:
            with pytest.raises(JoinRefused, match="bits"):
                await node.wait_ready(timeout=10.0)


async def test_one_contact_refuses_and_one_is_down(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """When all contacts that answer refuse, joining is hopeless within seconds, not at once."""
    monkeypatch.setattr("chord_adapters._driver.HOPELESS_AFTER", 0.5)
    async with ring(backend, 1) as nodes:
        join = [nodes[0].address, "127.0.0.1:1"]
        async with backend.open_node(LISTEN, join=join, network="other", config=QUICK) as node:
            began = anyio.current_time()
            with pytest.raises(JoinRefused):
                await node.wait_ready(timeout=10.0)
            assert anyio.current_time() - began > 0.3


async def test_one_contact_refuses_and_one_does_not(backend: Backend) -> None:
    """One contact of the right network is enough."""
    async with ring(backend, 1) as foreign, ring(backend, 1, network="other") as nodes:
        join = [foreign[0].address, nodes[0].address]
        async with backend.open_node(LISTEN, join=join, network="other", config=QUICK) as node:
            await node.wait_ready(timeout=10.0)
            assert node.successors == (nodes[0].peer,)


async def test_a_server_of_something_else_as_contact(backend: Backend) -> None:
    """A contact that speaks another protocol counts as one that cannot be reached."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with backend.open_node(LISTEN, join=[f"127.0.0.1:{port}"], config=QUICK) as node:
            with pytest.raises(NotReady):
                await node.wait_ready(timeout=0.5)
            assert node.stats().links.garbage >= 1
        async with backend.connect(f"127.0.0.1:{port}") as client:
            with pytest.raises(Unreachable):
                await client.get("k", timeout=0.5)
        tasks.cancel_scope.cancel()


async def test_two_nodes_with_one_address(backend: Backend) -> None:
    """Who advertises an address that is another member's does not become one, and the ring does not suffer."""
    async with ring(backend, 2) as nodes:
        async with backend.open_node(
            LISTEN, join=[nodes[0].address], advertise=nodes[1].address, config=QUICK
        ) as double:
            with pytest.raises(NotReady):
                await double.wait_ready(timeout=1.0)
            await _is_well(nodes)
        assert is_ideal(nodes)


async def test_the_limit_of_frames_lets_every_allowed_value_through(backend: Backend) -> None:
    """Nodes and clients take frames of the size that the configuration needs."""
    large = Config(max_value_size=9_000_000)
    assert _links.max_frame_of(large) >= frame_limit(large)
    async with ring(backend, 1, config=large) as nodes, backend.connect(nodes[0].address, config=large) as client:
        await client.put("k", bytes(9_000_000))
        entry = await client.get("k")
        assert entry is not None
        assert len(entry.value) == 9_000_000
