"""How the asyncio adapter comes by sockets: it dials whichever place answers, and takes in what comes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from chord_adapters._descriptors import OUT_OF_RESOURCES
from chord_adapters._link import Link
from chord_adapters._names import STAGGER, Spot, spots_of
from chord_adapters._shortage import RETRY_PAUSE

A = TypeVar("A")
B = TypeVar("B")


async def resolve(host: str, port: int) -> list[Any]:
    """Ask the system where a host is; raises `OSError`."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)


async def connect(link: Link, bound: tuple[Any, ...] | None) -> socket.socket:
    """Connect to where the name of ``link`` leads now, and note where that is; raises what `spots_of` raises."""
    sock, link.spot = await _first_of(link.in_turn(await spots_of(link.name, resolve, _aside, bound)))
    return sock


async def _aside(work: Callable[[A], B], argument: A) -> B:
    return await asyncio.get_running_loop().run_in_executor(None, work, argument)


async def _first_of(spots: Sequence[Spot]) -> tuple[socket.socket, Spot]:
    """Connect to the first of these places that answers, in the manner of RFC 8305; raises `OSError`.

    The loop's own dialling asks one name, in an order of its own.
    """
    if len(spots) == 1:
        return await _connect(spots[0]), spots[0]
    made: list[tuple[socket.socket, Spot]] = []
    failures: list[OSError] = []

    async def attempt(spot: Spot) -> None:
        try:
            made.append((await _connect(spot), spot))
        except OSError as error:
            failures.append(error)

    under_way: set[asyncio.Task[None]] = set()
    waiting = list(spots)
    try:
        while not made and (waiting or under_way):
            if waiting:
                under_way.add(asyncio.get_running_loop().create_task(attempt(waiting.pop(0))))
            _, under_way = await asyncio.wait(
                under_way, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
        if not made:
            raise next((each for each in failures if each.errno in OUT_OF_RESOURCES), failures[0])
        return made.pop(0)
    finally:
        for task in under_way:
            task.cancel()
        for sock, _ in made:
            sock.close()


async def _connect(spot: Spot) -> socket.socket:
    sock = socket.socket(spot.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, spot.where)
    except BaseException:
        sock.close()
        raise
    return sock


class Listener:
    """Takes in what comes.

    asyncio's own server logs a hundred tracebacks a second while there are no file descriptors, and forgets to close a
    connection that it has accepted but not announced when it is closed (python/cpython#109564).

    ``came`` is given each connection; ``starved`` is asked to let somebody make way for one, and tells whether it did.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        came: Callable[[socket.socket], None],
        starved: Callable[[], bool],
    ) -> None:
        self.bound = sock.getsockname()
        self._loop = loop
        self._sock = sock
        self._came = came
        self._starved = starved
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        # One in a turn of the loop: who comes has said its hello before so many have come that it must make way.
        try:
            sock, _ = self._sock.accept()
        except OSError as error:
            if error.errno in OUT_OF_RESOURCES and not self._starved():
                self._loop.remove_reader(self._sock)
                self._pause = self._loop.call_later(RETRY_PAUSE, self._listen)
            return  # Otherwise who came has gone again.
        sock.setblocking(False)
        self._came(sock)

    def close(self) -> None:
        """Let nobody connect any more; harmless when repeated."""
        if self._pause is not None:
            self._pause.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()
