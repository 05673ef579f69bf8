"""DNS for the tests: a name server on loopback, and names that the system's resolver is made to know."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest


class NameServer:
    """Answers from ``zone``: the records by (name, type), as texts.  A name without any does not exist."""

    def __init__(self, sock: socket.socket) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.asked: list[tuple[str, str]] = []
        self._sock = sock
        host, port = sock.getsockname()
        self.address = f"{host}:{port}"

    def serve(self) -> None:
        """Answer until the socket is shut."""
        while True:
            try:
                data, sender = self._sock.recvfrom(4096)
            except OSError:
                return
            if not data:
                return
            self._sock.sendto(self._answer(dns.message.from_wire(data)).to_wire(), sender)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        [question] = query.question
        name, kind = question.name.to_text(omit_final_dot=True), question.rdtype.name
        self.asked.append((name, kind))
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        if records := self.zone.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        elif not any(known == name for known, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


@contextmanager
def name_server() -> Iterator[NameServer]:
    """Run a name server on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        server = NameServer(sock)
        thread = threading.Thread(target=server.serve, name="name server")
        thread.start()
        try:
            yield server
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"", sock.getsockname())
            thread.join()


class Names:
    """Names that ``getaddrinfo`` knows while a test runs; both loops call it, in a thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: dict[str, Sequence[str]] = {}
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def _getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if not str(name).endswith(".test"):
            return list(self._real(host, port, *args, **kwargs))
        self.asked += 1
        self.may_answer.wait()
        if name not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [info for each in self.known[name] for info in self._real(each, port, *args, **kwargs)]


@contextmanager
def silent_place(host: str, port: int) -> Iterator[None]:
    """Let nobody get through to a port: connections are neither taken nor refused."""
    with socket.socket() as full:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind((host, port))
        full.listen(0)
        clients = [socket.socket() for _ in range(3)]
        try:
            for client in clients:
                client.setblocking(False)
                client.connect_ex((host, port))
            yield
        finally:
            for client in clients:
                client.close()


def port_of(address: str) -> int:
    """Return the port of an address."""
    return int(address.rpartition(":")[2])


def has_ipv6() -> bool:
    """Tell whether the machine has IPv6 on loopback."""
    if not socket.has_ipv6:
        return False
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


with_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="NOT RUN: this machine has no IPv6 on loopback")
