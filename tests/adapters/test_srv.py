"""A node finds its ring by SRV records, of a real name server on loopback."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator

import dns.rrset
import pytest

from chord_adapters import JoinRefused, NotReady, sync
from chord_adapters._address import Service, parse_contact
from chord_adapters._names import Target
from chord_adapters._srv import in_order, look_up
from chord_adapters.testing._stage import QUICK
from tests.adapters.backends import LISTEN, Backend, over_sockets, ring, settled, until
from tests.adapters.names import NameServer, name_server, port_of, with_ipv6

SERVICE = "_chord._tcp.example.org"


@pytest.fixture
def server() -> Iterator[NameServer]:
    """A name server with no records."""
    with name_server() as server:
        yield server


@pytest.mark.parametrize(
    "text", [SERVICE, "_x-1._tcp.node.dc1.consul", f"{SERVICE}@127.0.0.1:8600", f"{SERVICE}@[::1]:53"]
)
def test_what_stands_for_records(text: str) -> None:
    """It is told from HOST:PORT by its labels, and is written as it was read."""
    found = parse_contact(text)
    assert isinstance(found, Service)
    assert text == str(found)
    assert found == parse_contact(text.upper())


@pytest.mark.parametrize(
    "text, reason",
    [
        ("_chord._udp.example.org", "no port"),
        ("chord._tcp.example.org", "no port"),
        ("_chord._tcp", "no port"),
        ("_chord._tcp.a..b", "no host name"),
        (f"{SERVICE}@", "no port"),
        (f"{SERVICE}@127.0.0.1", "no port"),
        (f"{SERVICE}@ns.example.org:53", "IP address"),
        (f"{SERVICE}@127.0.0.1:0", "port 0"),
    ],
)
def test_what_does_not(text: str, reason: str) -> None:
    """Anything else is refused, saying why."""
    with pytest.raises(ValueError, match=reason):
        parse_contact(text)


def test_a_port_makes_it_a_name() -> None:
    """Underscores alone do not stand for records."""
    assert "_chord._tcp.example.org:4600" == str(parse_contact("_chord._tcp.example.org:4600"))
    assert not isinstance(parse_contact("_chord._tcp.example.org:4600"), Service)


def test_priority_and_weight() -> None:
    """Lower priorities come first; among equals each comes first as often as its weight says, 0 hardly ever (RFC 2782)."""
    texts = ["10 0 1 never", "10 100 1 light", "10 300 1 heavy", "5 0 1 first", "20 900 1 last"]
    records = list(dns.rrset.from_text(SERVICE, 60, "IN", "SRV", *(f"{text}." for text in texts)))
    rng = random.Random(1)
    seconds: Counter[str] = Counter()
    for _ in range(4000):
        hosts = [record.target.to_text(omit_final_dot=True) for record in in_order(records, rng)]
        assert ("first", "last") == (hosts[0], hosts[-1])
        assert {"never", "light", "heavy"} == set(hosts[1:4])
        seconds[hosts[1]] += 1
    assert 2900 < seconds["heavy"] < 3100
    assert 900 < seconds["light"] < 1100
    assert seconds["never"] < 40


def test_what_records_say(server: NameServer) -> None:
    """Their targets come with the addresses that the same server tells; a target "." is nobody."""
    server.zone[SERVICE, "SRV"] = ["2 0 4601 B.example.org.", "1 0 4600 a.example.org.", "3 0 4602 c.example.org."]
    server.zone["a.example.org", "A"] = ["127.0.0.1", "127.0.0.2"]
    server.zone["a.example.org", "AAAA"] = ["::1"]
    server.zone["b.example.org", "A"] = ["127.0.0.3"]
    service = parse_contact(f"{SERVICE}@{server.address}")
    assert isinstance(service, Service)
    first, second, third = look_up(service)
    assert ("a.example.org:4600", {"127.0.0.1", "127.0.0.2", "::1"}) == (str(first.name), set(first.hosts))
    assert ("b.example.org:4601", ("127.0.0.3",)) == (str(second.name), second.hosts)
    assert Target(third.name) == third
    server.zone[SERVICE, "SRV"] = ["0 0 0 ."]
    with pytest.raises(OSError, match="names nobody"):
        look_up(service)
    del server.zone[SERVICE, "SRV"]
    with pytest.raises(OSError, match=r"_chord\._tcp\.example\.org.*does not"):
        look_up(service)


def test_without_dnspython(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not installed it is told so, at once."""
    for name in ("dns", "dns.exception", "dns.resolver", "dns.rdtypes.IN.SRV"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "chord_adapters._srv")
    with pytest.raises(ImportError, match=r"chord-dht\[srv\]"):
        with sync.open_node(LISTEN, join=[SERVICE]):
            raise AssertionError("the body is not entered")


def test_blocking_code(server: NameServer) -> None:
    """It joins in the same way."""
    with sync.open_node(LISTEN, config=QUICK) as node:
        server.zone[SERVICE, "SRV"] = [f"0 0 {port_of(node.address)} a.example.org."]
        server.zone["a.example.org", "A"] = ["127.0.0.1"]
        with sync.open_node(LISTEN, join=[f"{SERVICE}@{server.address}"], config=QUICK) as other:
            other.wait_ready(timeout=15.0)
            assert (node.peer,) == other.successors


@pytest.mark.anyio
@pytest.mark.usefixtures("nothing_left")
@over_sockets
class TestJoining:
    """On real sockets."""

    async def test_the_first_target_is_dead(self, backend: Backend, server: NameServer) -> None:
        """The next one by priority leads into the ring; the rest, who are of another network, are not asked."""
        async with ring(backend, 1) as [node], ring(backend, 1, network="other") as [last]:
            server.zone[SERVICE, "SRV"] = [
                "1 0 1 dead.example.org.",
                f"2 0 {port_of(node.address)} alive.example.org.",
                f"3 0 {port_of(last.address)} last.example.org.",
            ]
            for name in ("dead", "alive", "last"):
                server.zone[f"{name}.example.org", "A"] = ["127.0.0.1"]
            async with backend.open_node(LISTEN, join=[f"{SERVICE}@{server.address}"], config=QUICK) as other:
                await settled([node, other])
                assert 0 == last.stats().links.accepted

    async def test_records_that_come_later(self, backend: Backend, server: NameServer) -> None:
        """They are asked for again until somebody is reached."""
        join = [f"{SERVICE}@{server.address}"]
        async with ring(backend, 1) as [node], backend.open_node(LISTEN, join=join, config=QUICK) as other:
            with pytest.raises(NotReady):
                await other.wait_ready(timeout=0.3)
            await until(lambda: len(server.asked) > 3, "they are asked for again")
            assert dict.fromkeys(join, "cannot be reached") == other.contacts
            server.zone["a.example.org", "A"] = ["127.0.0.1"]
            server.zone[SERVICE, "SRV"] = [f"0 0 {port_of(node.address)} a.example.org."]
            await settled([node, other])

    async def test_all_refuse(self, backend: Backend, server: NameServer) -> None:
        """Joining is hopeless when all whom the records name are of another network."""
        async with ring(backend, 1, network="other") as [one], ring(backend, 1, network="third") as [two]:
            server.zone["a.example.org", "A"] = ["127.0.0.1"]
            server.zone[SERVICE, "SRV"] = [f"0 0 {port_of(each.address)} a.example.org." for each in (one, two)]
            async with backend.open_node(LISTEN, join=[f"{SERVICE}@{server.address}"], config=QUICK) as node:
                with pytest.raises(JoinRefused, match="network"):
                    await node.wait_ready(timeout=15.0)
                assert one.stats().links.refused
                assert two.stats().links.refused

    @with_ipv6
    async def test_a_target_of_both_families(self, backend: Backend, server: NameServer) -> None:
        """Whichever family of it answers will do."""
        async with ring(backend, 1) as [four], backend.open_node("[::1]:0", config=QUICK) as six:
            server.zone["a.example.org", "A"] = ["127.0.0.1"]
            server.zone["a.example.org", "AAAA"] = ["::1"]
            for node in (four, six):
                server.zone[SERVICE, "SRV"] = [f"0 0 {port_of(node.address)} a.example.org."]
                async with backend.open_node(LISTEN, join=[f"{SERVICE}@{server.address}"], config=QUICK) as other:
                    await settled([node, other])
