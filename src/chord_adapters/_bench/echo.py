"""The floor: a bare echo over persistent loopback connections, frames of one turn joined into one send.

What a request and its answer cost on a loop without anything of Chord: four bytes of length, eight of request id,
a payload.  The callers are tasks, as those of a node are.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from chord_adapters._bench.measuring import Call
from chord_adapters._tls import Tls

if TYPE_CHECKING:
    import trio

_LENGTH = struct.Struct(">I")
_ID = struct.Struct(">Q")


class _Frames:
    """Bytes to frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        data = self._rest + data
        at = 0
        while len(data) - at >= _LENGTH.size:
            end = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
            if end > len(data):
                break
            yield data[at + _LENGTH.size : end]
            at = end
        self._rest = data[at:]


class _AsyncioEnd(asyncio.Protocol):
    """One end of a connection on asyncio: the server's, which sends back what comes, or the client's."""

    def __init__(self, *, server: bool) -> None:
        self.waiting: dict[int, asyncio.Future[bytes]] = {}
        self._server = server
        self._frames = _Frames()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # that of uvloop is no subclass
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            if self._server:
                self.send(frame)
            else:
                self.waiting.pop(_ID.unpack_from(frame)[0]).set_result(frame)

    def send(self, frame: bytes) -> None:
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out += (_LENGTH.pack(len(frame)), frame)

    def _flush(self) -> None:
        assert self._transport is not None
        self._transport.write(b"".join(self._out))
        self._out.clear()

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


@asynccontextmanager
async def _asyncio_echo(connections: int, payload: bytes, tls: Tls | None) -> AsyncIterator[Call]:
    loop = asyncio.get_running_loop()
    serving, dialling = (None, None) if tls is None else (tls.server, tls.client)
    server = await loop.create_server(lambda: _AsyncioEnd(server=True), "127.0.0.1", 0, ssl=serving)
    host, port = server.sockets[0].getsockname()
    ends = [
        (await loop.create_connection(lambda: _AsyncioEnd(server=False), host, port, ssl=dialling))[1]
        for _ in range(connections)
    ]
    turn = itertools.cycle(ends)

    async def call(number: int) -> bytes:
        end = next(turn)
        future: asyncio.Future[bytes] = loop.create_future()
        end.waiting[number] = future
        end.send(_ID.pack(number) + payload)
        return await future

    try:
        yield call
    finally:
        for end in ends:
            end.close()
        server.close()
        await server.wait_closed()


class _TrioEnd:
    """One end of a connection on trio: one task reads, one writes what is queued when it gets its turn."""

    def __init__(self, stream: trio.SocketStream, *, server: bool) -> None:
        import trio

        self.answers: dict[int, bytes] = {}
        self.waiting: dict[int, trio.Event] = {}
        self._server = server
        self._event = trio.Event
        self._frames = _Frames()
        self._out: list[bytes] = []
        self._stream = stream
        self._wanted = trio.Event()

    async def run(self) -> None:
        import trio

        async with self._stream, trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            async for data in self._stream:
                for frame in self._frames.feed(bytes(data)):
                    if self._server:
                        self.send(frame)
                    else:
                        number = _ID.unpack_from(frame)[0]
                        self.answers[number] = frame
                        self.waiting.pop(number).set()
            nursery.cancel_scope.cancel()

    async def _write(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = self._event()
            data = b"".join(self._out)
            self._out.clear()
            await self._stream.send_all(data)

    def send(self, frame: bytes) -> None:
        self._out += (_LENGTH.pack(len(frame)), frame)
        self._wanted.set()


@asynccontextmanager
async def _trio_echo(connections: int, payload: bytes) -> AsyncIterator[Call]:
    import trio

    async def serve(stream: trio.SocketStream) -> None:
        await _TrioEnd(stream, server=True).run()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        ends = []
        for _ in range(connections):
            stream = await trio.open_tcp_stream(*listener.socket.getsockname())
            ends.append(_TrioEnd(stream, server=False))
            nursery.start_soon(ends[-1].run)
        turn = itertools.cycle(ends)

        async def call(number: int) -> bytes:
            end = next(turn)
            end.waiting[number] = event = trio.Event()
            end.send(_ID.pack(number) + payload)
            await event.wait()
            return end.answers.pop(number)

        yield call
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def echo(loop: str, connections: int, size: int, tls: Tls | None = None) -> AsyncIterator[Call]:
    """Open an echo server and so many connections to it; yield what sends ``size`` bytes to one and awaits them."""
    payload = bytes(size)
    async with _trio_echo(connections, payload) if loop == "trio" else _asyncio_echo(connections, payload, tls) as call:
        yield call
