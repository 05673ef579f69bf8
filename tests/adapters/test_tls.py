"""With certificates nobody gets in who has none of the ring's authority, and nobody speaks for an address not its own."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import attrs
import pytest

from chord_adapters import Timeout, Unreachable, _authority, _doors
from chord_adapters._tls import Tls, covers
from chord_adapters.testing import conformance
from tests.adapters.backends import LISTEN, QUICK, Backend, over_sockets, ring, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an authority, with a certificate for this machine."""
    folder = tmp_path_factory.mktemp("authority")
    _authority.init(folder)
    _authority.issue(folder, ["127.0.0.1", "localhost", "::1"])
    return folder


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """Return the folder of another authority, with a certificate for this machine."""
    _authority.init(tmp_path / "strangers")
    _authority.issue(tmp_path / "strangers", ["127.0.0.1"])
    return tmp_path / "strangers"


def at(address: str) -> tuple[str, int]:
    """Return where a node listens."""
    host, _, port = address.rpartition(":")
    return host, int(port)


@over_sockets
async def test_a_ring_with_certificates(backend: Backend, authority: Path) -> None:
    """Its nodes and clients that have one of its authority work as without."""
    async with ring(backend, 3, tls=authority) as nodes:
        await nodes[0].put("k", b"v" * 100_000)
        async with backend.connect(nodes[1].address, tls=Tls(authority)) as client:
            entry = await client.get("k")
            assert b"v" * 100_000 == entry.value
        assert [0, 0, 0] == [node.stats().links.impostors for node in nodes]


@over_sockets
@pytest.mark.parametrize("shown", ["nothing", "another authority's"])
async def test_a_stranger_gets_no_further(backend: Backend, authority: Path, strangers: Path, shown: str) -> None:
    """Who shows nothing, or what another authority has issued, is not answered, and the node serves on."""
    options: dict[str, Any] = {} if shown == "nothing" else {"tls": strangers}
    async with ring(backend, 1, tls=authority) as [node]:
        async with backend.connect(node.address, **options) as client:
            with pytest.raises((Unreachable, Timeout), match=r"unheard|not accepted"):
                await client.get("k", timeout=2.0)
        assert 0 == node.stats().links.accepted
        await node.put("k", b"v")


@over_sockets
async def test_a_ring_without_certificates(backend: Backend, authority: Path) -> None:
    """Who wants to see one hears that there is none."""
    async with ring(backend, 1) as [node], backend.connect(node.address, tls=authority) as client:
        with pytest.raises(Unreachable, match="does not show a certificate"):
            await client.get("k", timeout=2.0)


@over_sockets
async def test_a_stranger_cannot_join(backend: Backend, authority: Path, strangers: Path) -> None:
    """Nor does it know of anybody afterwards."""
    async with ring(backend, 1, tls=authority) as [node]:
        async with backend.open_node(LISTEN, join=[node.address], config=QUICK, tls=strangers) as stranger:
            await until(
                lambda: stranger.stats().links.dial_failures + stranger.stats().links.broken > 2, "it has tried"
            )
            assert not stranger.is_ready
        assert () == node.successors


@over_sockets
async def test_what_a_stranger_is_told(backend: Backend, authority: Path) -> None:
    """Who speaks no TLS is sent an alert of it at most, and nothing of the ring."""

    def talk(where: tuple[str, int]) -> bytes:
        with socket.create_connection(where, timeout=10) as sock:
            sock.sendall(b"chord" * 20)
            heard = b""
            while data := sock.recv(4096):
                heard += data
            return heard

    async with ring(backend, 1, tls=authority) as [node]:
        try:
            heard = await anyio.to_thread.run_sync(talk, at(node.address))
        except ConnectionResetError:
            heard = b""
    assert heard[:1] in (b"", b"\x15")
    assert len(heard) < 16


@over_sockets
async def test_who_speaks_for_another_address_is_refused(
    backend: Backend, authority: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its certificate is of the right authority, and for another machine: it is not believed to be at this address."""
    _authority.issue(authority, ["elsewhere.example"], out=tmp_path / "other")
    async with ring(backend, 1, tls=authority) as [node]:
        async with backend.open_node(LISTEN, join=[node.address], config=QUICK, tls=tmp_path / "other") as other:
            await until(lambda: node.stats().links.impostors, "it was noticed")
            assert not other.is_ready
            assert f"a peer speaks for {other.address}, which its certificate does not cover" in caplog.text
        assert () == node.successors
    caplog.clear()


@over_sockets
async def test_new_certificates(backend: Backend, authority: Path, tmp_path: Path) -> None:
    """They are used for connections from then on; those that there are go on; damaged ones change nothing."""
    folder = tmp_path / "host"
    _authority.issue(authority, ["127.0.0.1"], out=folder)
    tls, client = Tls(folder), Tls(authority)

    def serial(where: tuple[str, int]) -> object:
        with (
            socket.create_connection(where, timeout=10) as sock,
            client.client.wrap_socket(sock, server_hostname=where[0]) as secured,
        ):
            certificate = secured.getpeercert()
            return certificate and certificate["serialNumber"]

    async with (
        ring(backend, 1, tls=tls) as [node],
        backend.connect(node.address, tls=client) as asking,
    ):
        await asking.put("k", b"v")
        before = await anyio.to_thread.run_sync(serial, at(node.address))
        _authority.issue(authority, ["127.0.0.1"], out=folder)
        assert before == await anyio.to_thread.run_sync(serial, at(node.address))
        tls.reload()
        after = await anyio.to_thread.run_sync(serial, at(node.address))
        assert before != after
        (folder / "node.pem").write_text("nothing")
        with pytest.raises(ValueError, match="cannot be used"):
            tls.reload()
        assert after == await anyio.to_thread.run_sync(serial, at(node.address))
        assert b"v" == (await asking.get("k")).value
        assert 1 == asking._asker.links.counters.dialled


@over_sockets
async def test_who_does_not_show_anything(backend: Backend, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection ends in time; where there are too many such the oldest makes way, and members get in all the while."""
    monkeypatch.setattr(_doors, "HELLO_TIMEOUT", 3.0)
    async with ring(backend, 1, tls=authority, config=attrs.evolve(QUICK, max_strangers=4)) as [node]:
        silent = [socket.create_connection(at(node.address), timeout=10) for _ in range(12)]
        try:
            async with backend.connect(node.address, tls=authority) as client:
                await client.put("k", b"v", timeout=2.9)
            for sock in silent:
                assert b"" == await anyio.to_thread.run_sync(said_until_the_end, sock)
        finally:
            for sock in silent:
                sock.close()
        assert 1 == node.stats().links.accepted


@over_sockets
async def test_a_node_ends_while_somebody_shows_nothing(backend: Backend, authority: Path) -> None:
    """It does not wait for them, and nothing of them stays."""
    async with ring(backend, 1, tls=authority) as [node]:
        silent = [socket.create_connection(at(node.address), timeout=10) for _ in range(3)]
        await node.put("k", b"v")
        began = backend.now()
    assert backend.now() - began < _doors.HELLO_TIMEOUT / 2
    for sock in silent:
        assert b"" == await anyio.to_thread.run_sync(said_until_the_end, sock)
        sock.close()


def said_until_the_end(sock: socket.socket) -> bytes:
    """Return what comes on a connection until it ends."""
    try:
        return sock.recv(4096)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("name", ["ca.pem", "node.pem", "node.key"])
def test_files_that_cannot_be_used(authority: Path, tmp_path: Path, name: str) -> None:
    """A missing one is an `OSError` that names it, a damaged one a `ValueError` that names the folder."""
    folder = tmp_path / "copy"
    shutil.copytree(authority, folder)
    (folder / name).write_text("nothing")
    with pytest.raises(ValueError, match=str(folder)):
        Tls(folder)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        Tls(folder)


def test_nothing_older_than_tls_1_3(authority: Path) -> None:
    """Both sides refuse it, and both want a certificate."""
    tls = Tls(authority)
    for context in (tls.server, tls.client):
        assert (ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED) == (context.minimum_version, context.verify_mode)


@pytest.mark.parametrize(
    "host, expected",
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("0:0:0:0:0:0:0:1", True),
        ("a.example", True),
        ("A.Example.", True),
        ("b.a.example", False),
        ("example", False),
        ("127.0.0.2", False),
        ("", False),
    ],
)
def test_which_hosts_a_certificate_covers(host: str, expected: bool) -> None:
    """Names and addresses are compared as such, and none stands for others."""
    names = (("IP Address", "127.0.0.1"), ("IP Address", "0:0:0:0:0:0:0:1"), ("DNS", "a.example"), ("DNS", "*.example"))
    assert expected == covers({"subjectAltName": names}, host)


@pytest.mark.slow
@over_sockets
@pytest.mark.parametrize("check", conformance.WITHOUT_SOCKETS, ids=lambda check: check.__name__)
async def test_it_is_the_same_adapter(backend: Backend, authority: Path, check: Callable[[Any], Any]) -> None:
    """Whatever an adapter must do it does with certificates, too: stories, cancellation, nothing left behind."""
    tls = Tls(authority)
    closed = SimpleNamespace(
        __name__=f"{backend.name} with certificates",
        open_node=partial(backend.open_node, tls=tls),
        connect=partial(backend.connect, tls=tls),
    )
    await check(closed)
