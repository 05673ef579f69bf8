"""Real ``chord`` processes, started, watched and ended by the tests."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

CHORD = [sys.executable, "-W", "error", "-m", "chord_adapters"]
"""The command; a forgotten socket or coroutine is an error that shows on standard error."""
PATIENCE = 60.0
"""Seconds after which a test gives up on what must happen; far more than it takes."""


def chord(*arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run one command to its end."""
    return subprocess.run(
        [*CHORD, *arguments],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        env=chord_environment() | environment,
    )


def fine(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run one command that must succeed and return its standard output."""
    done = chord(*arguments, stdin=stdin)
    assert 0 == done.returncode, f"{arguments} ended with {done.returncode}: {done.stdout!r} {done.stderr!r}"
    return done.stdout


def document(*arguments: str) -> dict[str, Any]:
    """Run one command that must succeed with ``--json`` and return its document."""
    return parsed(fine(*arguments, "--json"))


def parsed(output: bytes) -> dict[str, Any]:
    """Return the one JSON document that ``output`` is."""
    found = json.loads(output)
    assert isinstance(found, dict)
    return found


def until(what: str, condition: Callable[[], bool], *, every: float = 0.05) -> None:
    """Ask again and again, ``every`` so many seconds, until ``condition`` holds; fail when it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"this has not come true: {what}"
        time.sleep(every)


class NodeProcess:
    """One ``chord node`` process; ``command`` is what ``chord`` is called by."""

    def __init__(self, *arguments: str, command: Sequence[str] = CHORD) -> None:
        self.errors: IO[bytes] = TemporaryFile()  # noqa: SIM115  closed by `kill`
        self.process = subprocess.Popen(
            [*command, "node", *arguments], stdout=subprocess.PIPE, stderr=self.errors, env=chord_environment()
        )
        self.address = ""

    def line(self) -> str:
        """Return the next line of its standard output, which must come in time."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(PATIENCE), f"no line came; it said: {self.said()}"
        # A line is written whole, and nothing is buffered here before it.
        return self.process.stdout.readline().decode().rstrip("\n")

    def wait_ready(self) -> str:
        """Wait for its line ``ready ADDRESS`` and return the address."""
        word, _, self.address = self.line().partition(" ")
        assert "ready" == word, self.said()
        return self.address

    def said(self) -> str:
        """Return what it has told people so far."""
        self.errors.seek(0)
        return self.errors.read().decode()

    def warned(self) -> str:
        """Return the same without the word that the ring is open."""
        lines = self.said().splitlines(keepends=True)
        return "".join(line for line in lines if "the ring is open to" not in line)

    def end(self, *signals: int) -> int:
        """Send it the signals and return its exit status."""
        for number in signals:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """Crash it, if it still runs, and let go of its pipes."""
        self.process.kill()
        self.process.wait(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.errors.close()


@contextmanager
def node_process(*arguments: str, command: Sequence[str] = CHORD) -> Iterator[NodeProcess]:
    """Start a node; it is dead afterwards, whatever happens."""
    node = NodeProcess(*arguments, command=command)
    try:
        yield node
    finally:
        node.kill()


@contextmanager
def ring_of_processes(size: int, *options: str) -> Iterator[list[NodeProcess]]:
    """Start a ring of processes on free ports and wait until it is ideal; all are dead afterwards."""
    with ExitStack() as stack:
        first = stack.enter_context(node_process("--listen", "127.0.0.1:0", *options))
        first.wait_ready()
        join = ["--listen", "127.0.0.1:0", "--join", first.address, *options]
        others = [stack.enter_context(node_process(*join)) for _ in range(size - 1)]
        for node in others:
            node.wait_ready()
        await_ideal(first.address, size)
        yield [first, *others]


def await_ideal(address: str, size: int) -> None:
    """Wait until the ring is ideal and of this size, as ``address`` shows it."""
    wanted = (size, True)

    def is_ideal() -> bool:
        ring = document("ring", "--node", address)
        return wanted == (ring["size"], ring["ideal"])

    until(f"an ideal ring of {size}", is_ideal, every=0.2)  # To ask is a process each time, and takes from the ring.


def free_port() -> int:
    """Return a port that is free just now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_random(path: Path, size: int) -> Path:
    """Write a file of random bytes."""
    with path.open("wb") as file:
        for _ in range(size // 1_000_000):
            file.write(os.urandom(1_000_000))
        file.write(os.urandom(size % 1_000_000))
    return path


def terminate_all(nodes: Sequence[NodeProcess]) -> list[int]:
    """Let the nodes leave one after the other and return their exit statuses."""
    return [node.end(signal.SIGTERM) for node in nodes]


def chord_environment() -> dict[str, str]:
    """Return the environment for a command, without what the caller's own would tell it."""
    return {name: value for name, value in os.environ.items() if name != "CHORD_NODE"}
