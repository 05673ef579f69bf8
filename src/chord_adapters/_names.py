"""Where a name leads: what DNS says of it now, asked anew each time that it is dialled."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

from chord_adapters._address import HostPort, Service, parse_contact
from chord_proto.peer import Address

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[Any]]]
"""The loop's own ``getaddrinfo`` for TCP."""


class Target(NamedTuple):
    """What an SRV record names."""

    name: HostPort
    hosts: tuple[str, ...] = ()
    """Its IP addresses; none if the system's resolver is to be asked for them."""


Aside: TypeAlias = Callable[[Callable[[Service], list[Target]], Service], Awaitable[list[Target]]]
"""Carries out, in a thread, what would block the loop."""
STAGGER = 0.25
"""Seconds after which the next place is dialled, too, while one does not answer (RFC 8305, section 5)."""
MOST_SPOTS = 64
"""To how many places a name leads at the most; more are not looked at."""


class Spot(NamedTuple):
    """One place to which a name leads."""

    host: str
    """What its certificate must cover."""
    family: int
    where: tuple[Any, ...]
    """The address as sockets take it."""


async def spots_of(contact: Address, resolve: Resolve, aside: Aside, bound: tuple[Any, ...] | None) -> list[Spot]:
    """Return where ``contact`` leads now, in the order in which to dial, but not the socket ``bound``: that is oneself.

    Raises `OSError` when it leads nowhere, and `ValueError` for what is no address.
    """
    parsed = parse_contact(contact, what="address")
    targets = [Target(parsed)] if isinstance(parsed, HostPort) else await _targets(parsed, aside)
    found: dict[Spot, None] = {}
    failure: OSError | None = None
    for target in targets:
        for host in target.hosts or (target.name.host,):
            try:
                for family, where in await _resolved(target.name._replace(host=host), resolve):
                    found[Spot(target.name.host, family, where)] = None
            except OSError as error:
                failure = error
    spots = [spot for spot in found if bound is None or not is_here(spot.where, bound)][:MOST_SPOTS]
    if not spots:
        raise failure or OSError(f"{contact} leads to nobody else")
    return spots


async def _targets(service: Service, aside: Aside) -> list[Target]:
    try:
        from chord_adapters._srv import look_up
    except ImportError as error:
        raise OSError(str(error)) from error
    return await aside(look_up, service)


async def _resolved(place: HostPort, resolve: Resolve) -> list[tuple[int, tuple[Any, ...]]]:
    if place.ip is None or "%" in place.host:  # The index of a zone is the system's business.
        return [(family, where) for family, _, _, _, where in await resolve(place.host, place.port)]
    if place.ip.version == 4:
        return [(socket.AF_INET, (place.host, place.port))]
    return [(socket.AF_INET6, (place.host, place.port, 0, 0))]


def is_here(where: tuple[Any, ...], bound: tuple[Any, ...]) -> bool:
    """Tell whether who dials ``where`` reaches the listening socket that is bound to ``bound``."""
    if len(where) != len(bound) or where[1] != bound[1]:
        return False  # Another family of addresses, or another port.
    if bound[0] not in ("0.0.0.0", "::"):  # noqa: S104 -- compared
        return bool(where[0] == bound[0])
    with socket.socket(socket.AF_INET if len(where) == 2 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((where[0], 0, *where[2:]))
        except OSError:
            return False  # No address of this machine.
    return True
