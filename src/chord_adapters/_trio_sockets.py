"""How the trio adapter dials: whichever place answers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import trio

from chord_adapters._descriptors import OUT_OF_RESOURCES
from chord_adapters._link import Link
from chord_adapters._names import STAGGER, Spot, spots_of

A = TypeVar("A")
B = TypeVar("B")


async def resolve(host: str, port: int) -> list[Any]:
    """Ask the system where a host is; raises `OSError`."""
    return list(await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP))


async def connect(link: Link, bound: tuple[Any, ...] | None) -> trio.SocketStream:
    """Connect to where the name of ``link`` leads now, and note where that is; raises what `spots_of` raises."""
    stream, link.spot = await _first_of(link.in_turn(await spots_of(link.name, resolve, _aside, bound)))
    return stream


async def _aside(work: Callable[[A], B], argument: A) -> B:
    return await trio.to_thread.run_sync(work, argument, abandon_on_cancel=True)


async def _first_of(spots: Sequence[Spot]) -> tuple[trio.SocketStream, Spot]:
    """Connect to the first of these places that answers, in the manner of RFC 8305; raises `OSError`.

    trio's own dialling asks one name, in an order of its own.
    """
    made: list[tuple[trio.SocketStream, Spot]] = []
    failures: list[OSError] = []

    async def attempt(spot: Spot, ended: trio.Event, scope: trio.CancelScope) -> None:
        try:
            made.append((await _connect(spot), spot))
            scope.cancel()
        except OSError as error:
            failures.append(error)
        ended.set()

    try:
        if len(spots) == 1:
            await attempt(spots[0], trio.Event(), trio.CancelScope())
        else:
            async with trio.open_nursery() as nursery:
                for spot in spots:
                    ended = trio.Event()
                    nursery.start_soon(attempt, spot, ended, nursery.cancel_scope)
                    with trio.move_on_after(STAGGER):
                        await ended.wait()
        if not made:
            raise next((each for each in failures if each.errno in OUT_OF_RESOURCES), failures[0])
        return made.pop(0)
    finally:
        for stream, _ in made:
            stream.socket.close()


async def _connect(spot: Spot) -> trio.SocketStream:
    sock = trio.socket.socket(spot.family, socket.SOCK_STREAM)
    try:
        await sock.connect(spot.where)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)
