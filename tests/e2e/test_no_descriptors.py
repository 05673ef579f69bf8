"""A node process that strangers leave no file descriptors serves on, keeps its members, and says so once."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chord_adapters.sync import connect
from tests.e2e.processes import await_ideal, document, node_process, ring_of_processes, until

pytestmark = pytest.mark.slow

LIMIT = 48
STRANGERS = 60
PAUSE = 0.1
"""Seconds before one comes again."""


class Crowd:
    """Strangers who connect, say nothing, and come back when they are sent away."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._where = host, int(port)
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._come_again) for _ in range(STRANGERS)]
        self.came = 0

    def _come_again(self) -> None:
        while not self._end.is_set():
            with socket.socket() as sock:
                sock.settimeout(1.0)
                try:
                    sock.connect(self._where)
                    self.came += 1
                    sock.recv(1)
                except OSError:
                    pass
            self._end.wait(PAUSE)

    @contextmanager
    def there(self) -> Iterator[None]:
        """Let them come."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._end.set()
            for thread in self._threads:
                thread.join()


def descriptors(pid: int) -> int:
    """Return how many file descriptors a process has."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_strangers_take_all(tmp_path: Path, backend: str) -> None:
    """Clients that come are served, and the ring keeps its member; afterwards all is as before."""
    with ring_of_processes(2, "--backend", backend) as nodes:
        options = ("--data", str(tmp_path / "data"), "--backend", backend, "--join", nodes[0].address)
        with node_process("--listen", "127.0.0.1:0", *options) as node:
            node.wait_ready()
            await_ideal(node.address, 3)
            pid = node.process.pid
            assert descriptors(pid) < LIMIT // 2
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
            crowd = Crowd(node.address)
            with crowd.there():
                until("there are many", lambda: crowd.came > 5 * STRANGERS)
                assert descriptors(pid) > LIMIT // 2
                began, computed = time.monotonic(), cpu_seconds(pid)
                for number in range(10):
                    with connect(node.address) as client:
                        client.put(f"{number}", b"v", w="all")
                ring = document("ring", "--node", nodes[1].address)
                assert (3, True) == (ring["size"], ring["ideal"])
                assert cpu_seconds(pid) - computed < 0.5 * (time.monotonic() - began)
            await_ideal(node.address, 3)
            until("the strangers are gone", lambda: descriptors(pid) < LIMIT // 2)
            assert 1 == node.said().count("file descriptors run out")
            assert "Traceback" not in node.said()
