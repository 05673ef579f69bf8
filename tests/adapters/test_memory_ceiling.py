"""A node under many attacks at once needs no more memory than its limits add up to, and serves a client all the while."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import anyio
import pytest

from chord_adapters._links import max_frame_of
from chord_proto.config import Config
from chord_proto.connection import LENGTH_SIZE, Connection, Hello
from chord_proto.identifiers import content_key
from chord_proto.messages import Perform
from chord_proto.operations import Fetch, Operation, Put
from chord_proto.wire import Codec
from tests.adapters.attacked import LARGE, LIMITS, MEBIBYTE
from tests.adapters.backends import SOCKETS, Backend

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is looked up in /proc"),
]

CEILING = (
    LIMITS.max_bytes
    + LIMITS.max_buffered_bytes
    + LIMITS.max_received_bytes
    + LIMITS.max_guest_bytes
    + LIMITS.max_carried_bytes
    + 32 * MEBIBYTE
)
"""What the limits allow, and for what is being handled, and what stands around it, the rest."""
SECONDS = 10.0


@contextmanager
def node(loop: str) -> Iterator[tuple[str, Callable[[], int]]]:
    """Run the node; yield its address, and what tells how many bytes its process has had in memory at most."""
    command = [sys.executable, "-m", "tests.adapters.attacked", loop]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told, said = process.stdin, process.stdout

        def memory() -> int:
            told.write("\n")
            told.flush()
            return int(said.readline())

        try:
            yield said.readline().strip(), memory
            told.close()
            assert 0 == process.wait(30.0)
        finally:
            process.kill()


def connect(address: str) -> socket.socket:
    """Connect to the node."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), 10.0)


def pieces(operation: Operation, number: int) -> bytes:
    """Return a hello and so many requests."""
    frames = Connection(initiator=True, hello=Hello("chord"), codec=Codec(), max_frame=max_frame_of(Config()))
    for request in range(number):
        frames.send(Perform(None, 0, None, 0, request, operation, 60_000))
    return frames.data_to_send()


def reads_nothing(address: str, over: threading.Event) -> None:
    """Ask for much on many connections and read nothing."""
    with ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(connect(address))
            sock.settimeout(0.5)
            with suppress(OSError):
                sock.sendall(pieces(Fetch(content_key(LARGE)), 300))
        over.wait()


def never_ends(address: str, over: threading.Event) -> None:
    """Send most of a long frame, on one connection after the other."""
    while not over.is_set():
        with ExitStack() as stack:
            for _ in range(20):
                sock = stack.enter_context(connect(address))
                with suppress(OSError):
                    sock.sendall(Hello("chord").pack() + (5_000_000).to_bytes(LENGTH_SIZE) + bytes(4_900_000))


def writes_much(address: str, over: threading.Event) -> None:
    """Write long values, many at once."""
    piece = pieces(Put(b"k", bytes(4_000_000)), 10)
    while not over.is_set():
        with suppress(OSError), connect(address) as sock:
            sock.sendall(piece)


def says_nothing(address: str, over: threading.Event) -> None:
    """Open connections as fast as can be."""
    with ExitStack() as stack:
        while not over.is_set():
            held = [stack.enter_context(connect(address)) for _ in range(100)]
            for sock in held:
                sock.close()


ATTACKS = (reads_nothing, never_ends, writes_much, says_nothing)


@pytest.mark.parametrize("backend", SOCKETS, ids=str)
def test_memory_stays_below_what_the_limits_add_up_to(backend: Backend) -> None:
    """Slow readers, frames that never end, floods of long values and of connections, together."""
    over = threading.Event()
    with node(backend.loop) as (address, memory):
        before = memory()

        async def served() -> int:
            count = 0
            async with backend.connect(address) as client:
                with anyio.move_on_after(SECONDS):
                    while True:
                        await client.fetch(content_key(LARGE), timeout=30.0)
                        count += 1
                        await anyio.sleep(0.01)
            return count

        attackers = [threading.Thread(target=each, args=(address, over), daemon=True) for each in ATTACKS]
        for attacker in attackers:
            attacker.start()
        try:
            assert anyio.run(served, backend=backend.loop) > 0
        finally:
            over.set()
            for attacker in attackers:
                attacker.join(30.0)
        taken = memory() - before
        print(f"{taken / MEBIBYTE:.0f} MiB of {CEILING / MEBIBYTE:.0f} MiB")
        assert taken < CEILING
