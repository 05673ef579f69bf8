"""Addresses are parsed strictly, and written in one form."""

from __future__ import annotations

import pytest

from chord_adapters._address import listening_socket, parse


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("127.0.0.1:7000", "127.0.0.1:7000"),
        ("localhost:1", "localhost:1"),
        ("Node-1.Example.ORG:65535", "node-1.example.org:65535"),
        ("example.org.:7000", "example.org:7000"),
        ("[::1]:7000", "[::1]:7000"),
        ("[2001:DB8:0:0:0:0:0:1]:7000", "[2001:db8::1]:7000"),
        ("[fe80::1%eth0]:7000", "[fe80::1%eth0]:7000"),
        ("bücher.example:7000", "xn--bcher-kva.example:7000"),
        ("_chord.example:007", "_chord.example:7"),
    ],
)
def test_canonical_form(text: str, canonical: str) -> None:
    """One place has one spelling, and that parses to itself."""
    assert str(parse(text)) == canonical
    assert parse(canonical) == parse(text)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "no port"),
        ("localhost", "no port"),
        ("7000", "no port"),
        ("::1", "IPv6"),
        ("::1:7000", "IPv6"),
        ("[::1]", "IPv6"),
        ("[::1:7000", "IPv6"),
        ("[127.0.0.1]:7000", "brackets"),
        ("[]:7000", "brackets"),
        (":7000", "host is missing"),
        ("a b:7000", "no host name"),
        ("-a:7000", "no host name"),
        ("a..b:7000", "no host name"),
        ("a/b:7000", "no host name"),
        ("x" * 64 + ":7000", "no host name"),
        (".".join(["x" * 60] * 5) + ":7000", "no host name"),
        ("256.0.0.1:7000", "no IPv4 address"),
        ("127.1:7000", "no IPv4 address"),
        ("localhost:", "port"),
        ("localhost:0", "port 0"),
        ("localhost:65536", "65535"),
        ("localhost:-1", "65535"),
        ("localhost:+1", "65535"),
        ("localhost: 1", "65535"),
        ("localhost:\u0667", "65535"),
        ("localhost:http", "65535"),
        ("localhost:" + "1" * 5000, "65535"),
    ],
)
def test_what_is_no_address(text: str, reason: str) -> None:
    """The error says what is wrong, and quotes no more than a line of it."""
    with pytest.raises(ValueError, match=reason) as caught:
        parse(text, what="listen address")
    assert str(caught.value).startswith("listen address")
    assert len(str(caught.value)) < 400


def test_what_is_no_text() -> None:
    """An address is a str."""
    with pytest.raises(TypeError, match="bytes"):
        parse(b"localhost:7000")  # type: ignore[arg-type]


def test_port_zero() -> None:
    """Port 0 is for listening."""
    assert parse("localhost:0", port_zero=True).port == 0


@pytest.mark.parametrize(
    "text, wildcard", [("0.0.0.0:1", True), ("[::]:1", True), ("127.0.0.1:1", False), ("a:1", False)]
)
def test_wildcards(text: str, wildcard: bool) -> None:
    """Nobody can dial a wildcard."""
    assert parse(text).is_wildcard is wildcard


def test_listening_where_there_is_nothing() -> None:
    """No address to listen at is an `OSError`."""
    with pytest.raises(OSError, match="no address"):
        listening_socket([])
