"""Addresses ``HOST:PORT``: parsed, checked, and written in one form."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from typing import NamedTuple

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
BACKLOG = 1024
"""Connections that wait to be accepted; the system may allow fewer."""
_LONGEST_NAME = 253
_SERVICE = re.compile(r"_[^.:]+\._tcp\.[^:]+", re.IGNORECASE)
UNACKNOWLEDGED = 2.0
"""Seconds after which a connection ends on which the other machine does not confirm what was sent, as it does even when
its process sleeps.  Less than `Config.shortest_suspicion`: what arrives later may have been done by somebody else."""
_SILENT = 10
"""Seconds after which the other machine is asked whether it is there."""
_VANISHED = (
    ("TCP_USER_TIMEOUT", int(1000 * UNACKNOWLEDGED)),
    ("TCP_KEEPIDLE", _SILENT),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 2),
)


class HostPort(NamedTuple):
    """An address in canonical form: ``host`` is an IP literal without brackets, or a lower-case name."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The IP address, None for a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def is_wildcard(self) -> bool:
        """True for 0.0.0.0 and [::], which nobody can dial."""
        return self.ip is not None and self.ip.is_unspecified


def parse(text: str, *, what: str = "address", port_zero: bool = False) -> HostPort:
    """Return the address that ``text`` says; raises `ValueError` saying what is wrong with ``what``, or `TypeError`.

    Port 0 is allowed, if at all, where a free port will be picked.
    """
    if not isinstance(text, str):
        raise TypeError(f"the {what} is a str HOST:PORT, not {type(text).__name__}")
    shown = text if len(text) <= 100 else text[:100] + "…"
    host, colon, port = text.rpartition(":")
    # "::1" has colons enough, but none of them stands before a port.
    if not colon or (":" in host and not (host.startswith("[") and host.endswith("]"))) or port.endswith("]"):
        if text.count(":") > 1:
            raise ValueError(f"{what} {shown!r}: an IPv6 address is written [ADDRESS]:PORT")
        raise ValueError(f"{what} {shown!r} has no port: write HOST:PORT")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65_535):
        raise ValueError(f"{what} {shown!r}: the port is a number from {0 if port_zero else 1} to 65535")
    if int(port) == 0 and not port_zero:
        raise ValueError(f"{what} {shown!r}: port 0 is no port that can be dialled")
    try:
        return HostPort(_host(host), int(port))
    except ValueError as error:
        raise ValueError(f"{what} {shown!r}: {error}") from None


class Service(NamedTuple):
    """SRV records (RFC 2782) that say where nodes are, such as ``_chord._tcp.example.org``."""

    name: str
    server: HostPort | None = None
    """The name server to ask, an IP address; None for those of the system."""

    def __str__(self) -> str:
        return self.name if self.server is None else f"{self.name}@{self.server}"


def parse_contact(text: str, *, what: str = "address to join") -> HostPort | Service:
    """Return whom ``text`` says to join by: ``HOST:PORT``, or SRV records ``_NAME._tcp.DOMAIN[@SERVER:PORT]``.

    Raises what `parse` raises.
    """
    if not isinstance(text, str):
        return parse(text, what=what)
    name, at, server = text.partition("@")
    if not _SERVICE.fullmatch(name):
        return parse(text, what=what)
    try:
        host = _host(name)
    except ValueError as error:
        raise ValueError(f"{what} {text[:100]!r}: {error}") from None
    if not at:
        return Service(host)
    asked = parse(server, what="name server")
    if asked.ip is None:
        raise ValueError(f"name server {server[:100]!r}: an IP address is needed")
    return Service(host, asked)


def _host(text: str) -> str:
    if not text:
        raise ValueError("the host is missing")
    if text.startswith("["):
        literal = text[1:-1]
        try:
            return str(ipaddress.IPv6Address(literal))
        except ValueError:
            raise ValueError("between brackets stands an IPv6 address") from None
    name = text.lower()
    if not name.isascii():
        name = name.encode("idna").decode()
    name = name.removesuffix(".")
    labels = name.split(".")
    if labels[-1].isdecimal():
        # No name ends in a number; what looks like an IPv4 address is one, or wrong.
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise ValueError("this is no IPv4 address") from None
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("this is no host name")
    return name


def listening_socket(infos: list[tuple[int, int, int, str, tuple[object, ...]]]) -> socket.socket:
    """Bind and listen at the first of these results of ``getaddrinfo`` that works, or raise the last `OSError`."""
    failure: OSError | None = None
    for family, kind, protocol, _, address in infos:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setblocking(False)
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            failure = OSError(error.errno, f"cannot listen at {address[0]}:{address[1]}: {error.strerror}")
            continue
        except BaseException:
            sock.close()
            raise
        return sock
    raise failure or OSError("there is no address to listen at")


def origin_of(address: object) -> str:
    """Return by which connections from one place are counted together, given what a socket says of the other side.

    That is the IP address, of IPv6 the network of 64 bits that a machine may choose its addresses from.
    """
    if not isinstance(address, tuple) or not address:
        return ""  # It is gone already.
    host = str(address[0]).partition("%")[0]
    if ":" not in host:
        return host
    return str(ipaddress.IPv6Network((host, 64), strict=False))


def tune(set_option: Callable[[int, int, int], None]) -> None:
    """Let a socket, by its ``setsockopt``, send small frames at once and notice a peer that vanished without a word.

    By itself TCP sends to a machine without power for a quarter of an hour, and whatever is there by then is not
    dialled as long.
    """
    set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _VANISHED:
        option = getattr(socket, name, None)
        if option is not None:  # Not every system has each of them.
            set_option(socket.IPPROTO_TCP, option, value)
