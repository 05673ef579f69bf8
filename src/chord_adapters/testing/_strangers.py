"""A bare TCP connection to a node, for those who do not behave, and for those who do with the frames of a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketStream

from chord_adapters._links import max_frame_of
from chord_adapters._node import Node
from chord_proto.config import Config
from chord_proto.connection import Connection, Hello
from chord_proto.messages import Message, Perform
from chord_proto.operations import Operation
from chord_proto.peer import Peer
from chord_proto.wire import Codec


class Stranger:
    """A bare TCP connection to a node, with the frames of a client if wanted."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self.frames = Connection(initiator=True, hello=Hello("chord"), codec=Codec(), max_frame=max_frame_of(Config()))
        self.requests = 0

    async def say_hello(self) -> None:
        """Exchange hellos."""
        await self.stream.send(self.frames.data_to_send())
        while not self.frames.established:
            self.frames.receive_data(await self.stream.receive())

    async def ask(self, *operations: Operation, source: Peer | None = None, timeout: int = 5000) -> None:
        """Send operations."""
        self.prepare(*operations, source=source, timeout=timeout)
        await self.stream.send(self.frames.data_to_send())

    def prepare(self, *operations: Operation, source: Peer | None = None, timeout: int = 5000) -> None:
        """Make the frames of operations, to be sent."""
        for operation in operations:
            self.requests += 1
            self.frames.send(Perform(source, 0, None, 0, self.requests, operation, timeout))

    async def answers(self, count: int) -> list[Message]:
        """Receive so many messages."""
        messages: list[Message] = []
        with anyio.fail_after(10.0):
            while len(messages) < count:
                messages += self.frames.receive_data(await self.stream.receive())
        return messages

    async def is_closed(self) -> bytes:
        """Wait until the node has closed the connection; return what it sent before."""
        got = b""
        with anyio.fail_after(10.0):
            while True:
                try:
                    got += await self.stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return got


@asynccontextmanager
async def stranger(node: Node) -> AsyncIterator[Stranger]:
    """Connect to a node's port."""
    host, _, port = node.address.rpartition(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        yield Stranger(stream)
