"""SRV records (RFC 2782), the extra ``srv``: the only module that knows dnspython."""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import suppress

from chord_adapters._address import HostPort, Service
from chord_adapters._names import MOST_SPOTS, Target

try:
    import dns.exception
    import dns.resolver
    from dns.rdtypes.IN.SRV import SRV
except ModuleNotFoundError as error:
    text = "to join by SRV records takes dnspython: python -m pip install 'chord-dht[srv]'"
    raise ImportError(text, name="dns") from error

LIFETIME = 2.5
"""Seconds that one question may take: less than a dial, of which it is a part."""


def look_up(service: Service) -> list[Target]:
    """Return whom the records name, in the order in which to try them; blocks.  Raises `OSError` when there is nobody."""
    try:
        resolver = _resolver(service)
        answer = resolver.resolve(service.name, "SRV", lifetime=LIFETIME, search=False)
    except dns.exception.DNSException as error:
        raise OSError(f"{service}: {error}") from error
    targets: dict[Target, None] = {}
    for record in in_order(answer, random.Random())[:MOST_SPOTS]:
        host = record.target.to_text(omit_final_dot=True).lower()
        if host and record.port:  # The target "." says that there is no such service.
            targets[Target(HostPort(host, record.port), _addresses(resolver, host, service))] = None
    if not targets:
        raise OSError(f"{service} names nobody")
    return list(targets)


def _resolver(service: Service) -> dns.resolver.Resolver:
    if service.server is None:
        return dns.resolver.Resolver()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [service.server.host]
    resolver.port = service.server.port
    return resolver


def _addresses(resolver: dns.resolver.Resolver, host: str, service: Service) -> tuple[str, ...]:
    """Ask for the addresses who named the host, if it is a server of its own: the system need not know the name."""
    if service.server is None:
        return ()
    with suppress(dns.exception.DNSException):
        return tuple(resolver.resolve_name(host, lifetime=LIFETIME, search=False).addresses())
    return ()


def in_order(records: Iterable[SRV], rng: random.Random) -> list[SRV]:
    """Return the records by priority, and of one priority by chance, each time one drawn by its weight."""
    left = sorted(records, key=lambda record: (record.priority, record.weight))
    ordered: list[SRV] = []
    while left:
        same = [record for record in left if record.priority == left[0].priority]
        # Those of weight 0 come first in the running sum, and so have a very small chance while others are left.
        mark = rng.randint(0, sum(record.weight for record in same))
        for record in same:
            mark -= record.weight
            if mark <= 0:
                break
        ordered.append(record)
        left.remove(record)
    return ordered
