"""Bad arguments are refused at once, with `ValueError`, `TypeError` or, for a port in use, `OSError`."""

from __future__ import annotations

import math
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chord_proto.config import Config
from tests.adapters.backends import LISTEN, QUICK, Backend, over_sockets, ring

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


@pytest.mark.parametrize(
    "listen, options, error",
    [
        ("127.0.0.1", {}, ValueError),
        ("", {}, ValueError),
        (":0", {}, ValueError),
        ("127.0.0.1:65536", {}, ValueError),
        ("::1:7000", {}, ValueError),
        (7000, {}, TypeError),
        ("0.0.0.0:0", {}, ValueError),
        ("[::]:0", {}, ValueError),
        ("0.0.0.0:0", {"advertise": "0.0.0.0:0"}, ValueError),
        (LISTEN, {"advertise": "nowhere"}, ValueError),
        (LISTEN, {"join": ["127.0.0.1"]}, ValueError),
        (LISTEN, {"join": ["127.0.0.1:0"]}, ValueError),
        (LISTEN, {"join": ["a b:7000"]}, ValueError),
        (LISTEN, {"join": "127.0.0.1:7000"}, TypeError),
        (LISTEN, {"join": [7000]}, TypeError),
        (LISTEN, {"virtual_nodes": 0}, ValueError),
        (LISTEN, {"virtual_nodes": 1000}, ValueError),
        (LISTEN, {"virtual_nodes": True}, TypeError),
        (LISTEN, {"network": ""}, ValueError),
        (LISTEN, {"network": "x" * 300}, ValueError),
        (LISTEN, {"network": b"chord"}, TypeError),
        (LISTEN, {"config": {"bits": 8}}, TypeError),
        (LISTEN, {"seed": "1"}, TypeError),
        (LISTEN, {"config": Config(bits=1), "virtual_nodes": 3}, ValueError),
    ],
)
async def test_bad_arguments_of_open_node(
    backend: Backend, listen: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    """Entering raises, and nothing listens."""
    with pytest.raises(error):
        async with backend.open_node(listen, **options):
            raise AssertionError("the body is not entered")


async def test_options_of_later_versions_are_unknown(backend: Backend) -> None:
    """What is not built is not accepted and ignored."""
    with pytest.raises(TypeError):
        backend.open_node(LISTEN, data=None)


@pytest.mark.parametrize(
    "call, arguments, error",
    [
        ("put", (7, b"v"), TypeError),
        ("put", (None, b"v"), TypeError),
        ("put", (bytearray(b"k"), b"v"), TypeError),
        ("put", ("k", "v"), TypeError),
        ("put", ("k", bytearray(b"v")), TypeError),
        ("put", ("k" * 4097, b"v"), ValueError),
        ("put", ("\ud800", b"v"), ValueError),
        ("get", (7,), TypeError),
        ("delete", (7,), TypeError),
        ("store", ("text",), TypeError),
        ("store", (None,), TypeError),
        ("fetch", ("k",), TypeError),
        ("fetch", (b"k",), TypeError),
        ("fetch", (True,), TypeError),
        ("fetch", (-1,), ValueError),
        ("fetch", (1 << 160,), ValueError),
        ("locate", (True,), TypeError),
        ("locate", (1.5,), TypeError),
        ("locate", (-1,), ValueError),
        ("locate", (1 << 160,), ValueError),
        ("replicas", (None,), TypeError),
    ],
)
async def test_bad_arguments_of_calls(
    backend: Backend, call: str, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    """Nodes and clients check the same, before anything is sent."""
    async with backend.open_node(LISTEN, config=QUICK) as node, backend.connect("127.0.0.1:1") as client:
        for who in (node, client):
            with pytest.raises(error):
                await getattr(who, call)(*arguments)


@pytest.mark.parametrize(
    "timeout, error",
    [(0, ValueError), (-1.0, ValueError), (math.nan, ValueError), ("1", TypeError), (True, TypeError)],
)
async def test_bad_timeouts(backend: Backend, timeout: Any, error: type[Exception]) -> None:
    """A timeout is a positive number of seconds."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        await node.wait_ready()
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: node.get("k", timeout=timeout),
            lambda: node.store(b"", timeout=timeout),
            lambda: node.fetch(1, timeout=timeout),
            lambda: node.wait_ready(timeout=timeout),
            lambda: node.describe(timeout=timeout),
        ]
        for call in calls:
            with pytest.raises(error):
                await call()
        assert await node.get("k", timeout=math.inf) is None


async def test_bad_arguments_of_views(backend: Backend) -> None:
    """`owns` and `describe` check theirs."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        with pytest.raises(TypeError):
            node.owns(None)
        with pytest.raises(ValueError, match="160 bits"):
            node.owns(-1)
        with pytest.raises(ValueError, match="no place"):
            await node.describe(place=node.id ^ 1)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:0", "", "nobody here:1"])
async def test_bad_arguments_of_connect(backend: Backend, address: str) -> None:
    """The address of a client has a host and a port that can be dialled."""
    with pytest.raises(ValueError, match="address"):
        async with backend.connect(address):
            raise AssertionError("the body is not entered")


@over_sockets
async def test_a_port_in_use(backend: Backend) -> None:
    """A port where somebody listens is an `OSError` that says where, and the one who listens is unharmed."""
    async with ring(backend, 1) as nodes:
        with pytest.raises(OSError, match=nodes[0].address):
            async with backend.open_node(nodes[0].address):
                raise AssertionError("the body is not entered")
        assert await nodes[0].get("k") is None


@over_sockets
async def test_joining_by_oneself(backend: Backend) -> None:
    """One's own address is ignored among the contacts, and an error if it is the only one, by whatever name."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for listen, contact in [
        (f"127.0.0.1:{port}", f"127.0.0.1:{port}"),
        (f"127.0.0.1:{port}", f"LocalHost:{port}"),
        (f"localhost:{port}", f"127.0.0.1:{port}"),
    ]:
        with pytest.raises(ValueError, match="own address"):
            async with backend.open_node(listen, join=[contact]):
                raise AssertionError("the body is not entered")
    with pytest.raises(ValueError, match="own address"):
        async with backend.open_node(f"0.0.0.0:{port}", advertise="192.0.2.1:0", join=[f"127.0.0.1:{port}"]):
            raise AssertionError("the body is not entered")
    async with ring(backend, 1) as nodes:
        own = f"127.0.0.1:{port}"
        async with backend.open_node(own, join=[own, nodes[0].address], config=QUICK) as node:
            await node.wait_ready(timeout=15.0)
            assert node.successors == (nodes[0].peer,)


@over_sockets
async def test_addresses_are_canonical(backend: Backend) -> None:
    """Names come out in lower case, IPv6 in brackets, and the port is the one that was picked."""
    async with backend.open_node("LOCALHOST:0", config=QUICK) as node:
        host, _, port = node.address.rpartition(":")
        assert host == "localhost"
        assert int(port) > 0
        async with backend.open_node("localhost:0", join=[node.address], config=QUICK) as other:
            await other.wait_ready(timeout=15.0)
    async with backend.open_node("127.0.0.1:0", advertise="127.0.0.1:0", config=QUICK) as node:
        assert node.address != "127.0.0.1:0"
    async with backend.open_node("127.0.0.1:0", advertise="example.org:7000", config=QUICK) as node:
        assert node.address == "example.org:7000"


@over_sockets
async def test_ipv6(backend: Backend) -> None:
    """Two nodes on the loopback address of IPv6 find each other."""
    async with backend.open_node("[0:0:0:0:0:0:0:1]:0", config=QUICK) as node:
        assert node.address.startswith("[::1]:")
        async with backend.open_node("[::1]:0", join=[node.address], config=QUICK) as other:
            await other.wait_ready(timeout=15.0)
            assert other.successors == (node.peer,)
