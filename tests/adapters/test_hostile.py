"""Who floods, dawdles, or opens thousands of connections: others are served meanwhile, and memory stays bounded."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from chord_adapters import _buffers, _doors, _engine
from chord_adapters._node import Node
from chord_adapters.testing._strangers import Stranger, stranger
from chord_proto._wire_hello import Reply, pack_reply
from chord_proto.connection import LENGTH_SIZE, Connection, Hello
from chord_proto.messages import Message, Performed, Ping, Pong, Refused
from chord_proto.operations import Await, Fetch, Put
from chord_proto.wire import OLDEST_VERSION, WIRE_VERSION, Codec
from tests.adapters.backends import LISTEN, QUICK, Backend, over_sockets, ring, until

FEW = 600
AT_NIGHT = pytest.mark.skipif("CHORD_NIGHTLY" not in os.environ, reason="another ten thousand: at night")

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left"), over_sockets]


def config_of(**bounds: int) -> Any:
    """Return a quick configuration with other bounds."""
    return attrs.evolve(QUICK, **bounds)  # type: ignore[arg-type]


def at(node: Node) -> tuple[str, int]:
    """Return where to connect."""
    host, _, port = node.address.rpartition(":")
    return host, int(port)


def knock(node: Node, host: str) -> socket.socket:
    """Begin to connect from an address of loopback."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.bind((host, 0))
    with suppress(BlockingIOError):
        sock.connect(at(node))
    return sock


@contextmanager
def crowd() -> Iterator[list[socket.socket]]:
    """Hold sockets until the end."""
    held: list[socket.socket] = []
    try:
        yield held
    finally:
        for sock in held:
            sock.close()


# Connections

THREADS = 4


def come_in_crowds(node: Node, number: int, hosts: int, at_once: int) -> None:
    """Open so many connections from so many addresses and say nothing; hold so many of them at once."""
    with crowd() as held:
        for turn in range(number):
            held.append(socket.create_connection(at(node), 60.0, (f"127.0.0.{1 + turn % hosts}", 0)))
            if len(held) > at_once:
                held.pop(0).close()


async def serve_meanwhile(backend: Backend, node: Node, done: anyio.Event) -> int:
    """Let clients come and go, from an address of the crowd, until it is over; return how many were served."""
    served = 0
    while not done.is_set() or not served:
        async with backend.connect(node.address) as client:
            await client.put("k", b"v", timeout=10.0)
            served += 1
    return served


@pytest.mark.parametrize(
    "number, hosts, at_once",
    [
        (FEW, 1, 300),
        pytest.param(10_000, 1, 1, marks=[pytest.mark.slow, AT_NIGHT]),
        pytest.param(10_000, 50, 2000, marks=pytest.mark.slow),
        pytest.param(10_000, 1, 2000, marks=[pytest.mark.slow, AT_NIGHT]),
    ],
)
async def test_ten_thousand_connections(backend: Backend, number: int, hosts: int, at_once: int) -> None:
    """One after the other or many at once, from one address or many: a client at one of them gets in, and a member does."""
    if number > FEW and backend.loop == "trio" and "CHORD_NIGHTLY" not in os.environ:
        pytest.skip("ten thousand on trio, too: at night")
    bounds = config_of(max_strangers=64)
    async with ring(backend, 1, config=bounds) as nodes, backend.connect(nodes[0].address) as early:
        await early.put("k", b"v")
        done = anyio.Event()
        strangers: list[int] = []

        async def attack() -> None:
            async with anyio.create_task_group() as threads:
                for _ in range(THREADS):
                    threads.start_soon(
                        anyio.to_thread.run_sync, come_in_crowds, nodes[0], number // THREADS, hosts, at_once // THREADS
                    )
            done.set()

        async def watch() -> None:
            while not done.is_set():
                strangers.append(nodes[0].stats().strangers)
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attack)
            tasks.start_soon(watch)
            async with backend.open_node(LISTEN, join=[nodes[0].address], config=bounds) as late:
                await late.wait_ready(timeout=30.0)
                await serve_meanwhile(backend, nodes[0], done)
                await early.get("k", timeout=10.0)
        assert max(strangers) <= 64
        await until(lambda: nodes[0].stats().links.accepted >= number, "all have been accepted", within=60.0)
        assert 1 == early._asker.links.counters.dialled
        assert 0 == nodes[0].stats().links.full
        await until(lambda: nodes[0].stats().strangers == 0, "nobody of them stays")


async def test_the_crowd_s_own_address_makes_way(backend: Backend) -> None:
    """Who came from elsewhere, and has not said hello yet, is not pushed out by a crowd from one address."""
    async with ring(backend, 1, config=config_of(max_strangers=4)) as nodes:
        with crowd() as held:
            held.append(knock(nodes[0], "127.0.0.2"))
            await until(lambda: nodes[0].stats().strangers == 1, "it has come in")
            held.extend(knock(nodes[0], "127.0.0.3") for _ in range(12))
            await until(lambda: nodes[0].stats().links.turned_away == 9, "the others have made way")
            origins = [each.origin for each in nodes[0]._driver.links.doors._strangers.values()]
            assert ["127.0.0.2", "127.0.0.3", "127.0.0.3", "127.0.0.3"] == sorted(origins)


async def test_each_address_has_its_share(backend: Backend) -> None:
    """With as many connections from one address as it may have, others get in from elsewhere."""
    async with ring(backend, 1, config=config_of(max_connections_per_address=2)) as nodes:
        hello = Hello("chord").pack()
        with crowd() as held:
            for host, expected in (("127.0.0.2", Reply.WELCOME),) * 2 + (
                ("127.0.0.2", Reply.FULL),
                ("127.0.0.3", Reply.WELCOME),
            ):
                held.append(knock(nodes[0], host))
                await anyio.wait_writable(held[-1])
                held[-1].send(hello)
                await anyio.wait_readable(held[-1])
                assert pack_reply(expected, WIRE_VERSION if expected is Reply.WELCOME else 0) == held[-1].recv(100)


async def test_a_byte_a_second(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hello that comes byte by byte has no more time than one that does not come, and hears nothing."""
    monkeypatch.setattr(_doors, "HELLO_TIMEOUT", 0.4)
    async with ring(backend, 1) as nodes, stranger(nodes[0]) as other:
        began = anyio.current_time()
        with suppress(anyio.BrokenResourceError):
            for byte in itertools.cycle(Hello("c" * 255).pack()):
                await other.stream.send(bytes([byte]))
                if nodes[0].stats().links.silent:
                    break
                await anyio.sleep(0.05)
        assert await other.is_closed() == b""
        assert anyio.current_time() - began < 5.0
        assert (1, 0) == (nodes[0].stats().links.silent, nodes[0].stats().links.garbage)


@pytest.mark.parametrize(
    "said, heard",
    [
        (Hello("other").pack(), pack_reply(Reply.NETWORK)),
        (Hello("chord", 32).pack(), pack_reply(Reply.BITS, 160)),
        (Hello("chord", versions=(7, 9)).pack(), pack_reply(Reply.VERSION, OLDEST_VERSION, WIRE_VERSION)),
        (Hello("other").pack() + bytes(50_000), pack_reply(Reply.NETWORK)),
    ],
    ids=["network", "bits", "version", "and more"],
)
async def test_what_a_stranger_hears(backend: Backend, said: bytes, heard: bytes) -> None:
    """One refusal of fixed size, byte for byte, and the end."""
    async with ring(backend, 2) as nodes, stranger(nodes[1]) as other:
        with suppress(anyio.BrokenResourceError):
            await other.stream.send(said)
        # Where more was sent than was read the system may take back what was on its way.
        assert await other.is_closed() in ((heard,) if len(said) < 1000 else (heard, b""))


# Bytes


async def test_frames_that_never_end(backend: Backend) -> None:
    """What has come of them is bounded; whose frame has been coming for longest is closed, and others are served."""
    async with ring(backend, 1, config=config_of(max_received_bytes=1_000_000)) as nodes:
        async with anyio.create_task_group() as tasks:
            sent: list[int] = []

            async def dawdle(number: int) -> None:
                async with stranger(nodes[0]) as other:
                    await other.say_hello()
                    with suppress(anyio.BrokenResourceError):
                        await other.stream.send((4_000_000).to_bytes(LENGTH_SIZE) + bytes(300_000))
                        sent.append(number)
                        await other.is_closed()

            for number in range(10):
                tasks.start_soon(dawdle, number)
            await until(lambda: nodes[0].stats().links.crowded >= 7, "most are closed")
            assert 300_000 < nodes[0].stats().received_bytes <= 1_000_000
            async with backend.connect(nodes[0].address) as client:
                await client.put("k", bytes(500_000))
            tasks.cancel_scope.cancel()
        await until(lambda: nodes[0].stats().received_bytes == 0, "nothing is held of them")


async def test_many_who_read_nothing(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for all of them is bounded; who has most to read is closed, and who reads gets every answer."""
    monkeypatch.setattr(_buffers, "RECOUNTED", 0.0)
    bounds = config_of(max_buffered_bytes=3_000_000, max_buffered_bytes_per_connection=1_000_000)
    async with ring(backend, 1, config=bounds) as nodes, backend.connect(nodes[0].address) as client:
        key = await nodes[0].store(bytes(60_000))
        most = 0
        async with anyio.create_task_group() as tasks:

            async def ask_on() -> None:
                async with stranger(nodes[0]) as other:
                    await other.say_hello()
                    with suppress(anyio.BrokenResourceError):
                        while True:
                            await other.ask(*[Fetch(key)] * 50)

            for _ in range(10):
                tasks.start_soon(ask_on)
            with anyio.fail_after(30.0):
                while not nodes[0].stats().links.crowded:
                    assert bytes(60_000) == await client.fetch(key, timeout=20.0)
                    most = max(most, nodes[0].stats().buffered_bytes)
            tasks.cancel_scope.cancel()
        # But for what may wait on each without being counted.
        assert most <= 3_000_000 + 12 * (_buffers.UNWATCHED + 61_000)


async def test_many_long_writes_of_one_client(backend: Backend) -> None:
    """Operations that wait their turn are bounded in bytes, and who asks for too much is refused."""
    async with ring(backend, 1, config=config_of(max_guest_bytes=1_000_000)) as nodes, stranger(nodes[0]) as other:
        await other.say_hello()
        most: list[int] = []
        take = nodes[0]._driver.guests.admit

        def admit(*arguments: Any) -> None:
            take(*arguments)
            most.append(nodes[0]._driver.guests.bytes)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nodes[0]._driver.guests, "admit", admit)
            await other.ask(*[Put(b"k", bytes(300_000))] * 40)
            answers = await other.answers(40)
        kinds = Counter(type(each).__name__ for each in answers)
        assert kinds["Performed"] >= 3
        assert 40 == sum(kinds.values())
        assert max(most) <= 1_000_000
        assert 0 == nodes[0].stats().guest_bytes


async def test_operations_of_one_client(backend: Backend) -> None:
    """So many may wait that came by one connection; another one's are taken although it has as many."""
    async with ring(backend, 2, config=config_of(max_guests_per_connection=20)) as nodes:
        driver = nodes[0]._driver
        async with stranger(nodes[0]) as greedy, stranger(nodes[0]) as other:
            await greedy.say_hello()
            await other.say_hello()
            await greedy.ask(*[Await(b"k", "")] * 30)
            assert [Refused] * 10 == [type(each) for each in await greedy.answers(10)]
            assert (20, 10) == (nodes[0].stats().guests, driver.counters.busy)
            await other.ask(Fetch(1))
            assert [Performed] == [type(each) for each in await other.answers(1)]


# Floods


@asynccontextmanager
async def flooding(node: Node, message: Message) -> AsyncIterator[None]:
    """Send the same request for ever, as fast as it is taken, and read all answers."""
    frames = Connection(initiator=True, hello=Hello("chord"), codec=Codec(), max_frame=100_000)
    hello = frames.data_to_send()
    for _ in range(1000):
        frames.send(message)
    piece = frames.data_to_send()

    async def send(other: Stranger) -> None:
        await other.stream.send(hello)
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                await other.stream.send(piece)

    async def read(other: Stranger) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                await other.stream.receive()

    async with stranger(node) as other, anyio.create_task_group() as tasks:
        tasks.start_soon(send, other)
        tasks.start_soon(read, other)
        yield
        tasks.cancel_scope.cancel()


async def test_a_flood_of_requests(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests one sends, few of them are handled between two turns of the loop, or before another's one."""
    monkeypatch.setattr(_engine, "SLICE", 1000.0)  # So that it does not matter how fast the machine is.
    async with ring(backend, 1) as nodes, stranger(nodes[0]) as other:
        await other.say_hello()
        driver = nodes[0]._driver
        handled: list[str] = []
        take = driver.links._receive

        def receive(message: Message, name: str) -> None:
            handled.append(name)
            take(message, name)

        monkeypatch.setattr(driver.links, "_receive", receive)
        turns: list[int] = []
        async with flooding(nodes[0], Ping(None, 0, None, 0, 1)), anyio.create_task_group() as tasks:

            async def count() -> None:
                while True:
                    before = len(handled)
                    await anyio.lowlevel.checkpoint()
                    turns.append(len(handled) - before)

            tasks.start_soon(count)
            await until(lambda: len(handled) > 3000, "the flood has begun")
            between = []
            for number in range(20):
                other.frames.send(Ping(None, 0, None, 0, number))
                before = len(handled)
                await other.stream.send(other.frames.data_to_send())
                (pong,) = await other.answers(1)
                assert isinstance(pong, Pong)
                between.append(len(handled) - before)
            tasks.cancel_scope.cancel()
        most = _engine.AT_ONCE + _engine.STEPS_PER_TURN
        assert max(turns) <= 2 * most
        assert sorted(between)[10] <= 6 * most


async def test_a_flood_of_much_work(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes much work has few turns while another asks one thing after the other, and all the rest once that is over."""
    async with ring(backend, 1) as nodes, stranger(nodes[0]) as greedy, stranger(nodes[0]) as other:
        await greedy.say_hello()
        await other.say_hello()
        links = nodes[0]._driver.links
        greedy_name, _ = links.inbound
        handled: list[str] = []
        take = links._receive

        def receive(message: Message, name: str) -> None:
            handled.append(name)
            take(message, name)
            until_then = time.monotonic() + 0.005
            while name == greedy_name and time.monotonic() < until_then:
                pass

        monkeypatch.setattr(links, "_receive", receive)
        for number in range(60):
            greedy.frames.send(Ping(None, 0, None, 0, number))
        await greedy.stream.send(greedy.frames.data_to_send())
        await until(lambda: handled, "the flood has begun")
        for number in range(50):
            other.frames.send(Ping(None, 0, None, 0, number))
            await other.stream.send(other.frames.data_to_send())
            await other.answers(1)
        assert handled.count(greedy_name) <= 25  # Two for each of the other's where they take turns.
        assert [Pong] * 60 == [type(each) for each in await greedy.answers(60)]


async def test_a_flood_of_operations(backend: Backend) -> None:
    """Of one client few operations are under way at once, whatever it asks for; another one's do not wait for the rest."""
    async with ring(backend, 2) as nodes, stranger(nodes[0]) as greedy, stranger(nodes[0]) as other:
        key = await nodes[0].store(bytes(1000))
        await greedy.say_hello()
        await other.say_hello()
        ends: list[str] = []

        async def ask(who: Stranger, name: str, count: int) -> None:
            await who.ask(*[Fetch(key)] * count)
            while ends.count(name) < count:
                for answer in await who.answers(1):
                    assert isinstance(answer, Performed)
                    ends.append(name)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, greedy, "greedy", 400)
            await until(lambda: ends, "the flood has begun")
            tasks.start_soon(ask, other, "other", 5)
        assert ends.index("other") < 350
