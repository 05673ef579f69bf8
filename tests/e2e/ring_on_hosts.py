"""A ring of processes, one on each host, with clients on each."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio

from chord_adapters.testing import History
from chord_proto.config import Config
from chord_proto.operations import Description
from tests.e2e.clients import Clients, Sight, unreadable
from tests.e2e.hosts import Hosts
from tests.e2e.processes import CHORD, PATIENCE, NodeProcess, node_process

WITHIN = 75.0
"""Seconds in which a ring is one again that was cut: a minute or so."""


class RingOnHosts:
    """One node on each host, with its records in a folder, and clients there; made by `ring_on_hosts`.

    ``command`` says what ``chord`` is called by on each.
    """

    def __init__(
        self, hosts: Hosts, folder: Path, stack: ExitStack, command: Callable[[int], Sequence[str]] = lambda _: CHORD
    ) -> None:
        self.hosts = hosts
        self.everybody = range(hosts.size)
        self.history = History()
        self.clients: list[Clients] = []
        self._folder, self._stack, self._command = folder, stack, command
        self._inside = [
            stack.enter_context(ThreadPoolExecutor(1, initializer=hosts.enter, initargs=(number,)))
            for number in self.everybody
        ]
        """A thread on each host."""
        self._working: list[Future[None]] = []
        self.nodes = [self._start(number) for number in self.everybody]
        for node in self.nodes:
            node.wait_ready()

    # Nodes

    def _start(self, number: int) -> NodeProcess:
        arguments = ["--listen", self.hosts.addresses[number], "--data", str(self._folder / str(number))]
        if number:
            arguments += ["--join", self.hosts.addresses[0]]
        command = self.hosts.command(number, self._command(number))
        return self._stack.enter_context(node_process(*arguments, command=command))

    def kill(self, number: int) -> None:
        """Kill it as a power cut would."""
        node = self.nodes[number]
        os.kill(node.process.pid, signal.SIGKILL)
        node.process.wait(10)
        assert "Traceback" not in node.said(), node.said()
        node.kill()

    def start_again(self, number: int) -> NodeProcess:
        """Start it with the same arguments; it is not ready yet."""
        self.nodes[number] = self._start(number)
        return self.nodes[number]

    # Clients

    def begin(self, keys: Callable[[int], list[str]], rate: float) -> None:
        """Let clients do so many operations a second, in all, on the keys of their host each."""
        for number, address in enumerate(self.hosts.addresses):
            self.clients.append(Clients(address, number, self.history, keys, rate / self.hosts.size))
        self._working = [
            inside.submit(anyio.run, clients.work) for inside, clients in zip(self._inside, self.clients, strict=True)
        ]
        self._stack.callback(self._stop)

    def _stop(self) -> None:
        for clients in self.clients:
            clients.over.set()

    def end(self) -> None:
        """Let the clients end; read every key on every host, and let a judge look at all of it; nobody has seen an error."""
        self._stop()
        for working in self._working:
            working.result(PATIENCE)
        self.history.final = True
        keys = sorted({operation.key for operation in self.history.operations})
        reading = [
            inside.submit(anyio.run, unreadable, address, self.history, keys)
            for inside, address in zip(self._inside, self.hosts.addresses, strict=True)
        ]
        assert [None] * self.hosts.size == [each.result(10 * PATIENCE) for each in reading]
        problems = self.history.problems()
        assert [] == problems, "\n".join([*problems, *told_of(self.history, problems)])
        for node in self.nodes:
            assert "Traceback" not in node.said(), node.said()

    # What is seen

    def sights(self, part: Sequence[int], since: float) -> list[Sight]:
        """Return how the nodes of a part are, if they all answer and were asked after ``since``; else nothing."""
        found = [sight for number in part if (sight := self.clients[number].sight) and sight.asked >= since]
        return found if len(found) == len(part) else []

    def is_one(self, part: Sequence[int], since: float) -> bool:
        """Tell whether the nodes of a part are one ideal ring with nobody else in it."""
        sights = self.sights(part, since)
        return bool(sights) and is_ideal([sight.node for sight in sights])

    def is_whole(self, since: float) -> bool:
        """Tell whether all are one ring, and each has found all its replicas complete since then."""
        sights = self.sights(self.everybody, since)
        return self.is_one(self.everybody, since) and all(
            sight.repaired > since and not sight.node.missing for sight in sights
        )

    def wait(self, what: str, condition: Callable[[float], bool], within: float = WITHIN) -> float:
        """Wait until a condition holds of what is seen from now on; return how many seconds that took."""
        since = time.monotonic()
        while not condition(since):
            for working in self._working:
                assert not working.done(), working.result()
            assert time.monotonic() < since + within, f"not within {within} s: {what}\n{self.described()}"
            time.sleep(0.1)
        return time.monotonic() - since

    def wait_whole(self) -> float:
        """Wait until all is one ring again and whole; return after how many seconds it was one."""
        took = self.wait("one ring", lambda since: self.is_one(self.everybody, since))
        self.wait("a whole ring", self.is_whole)
        self.history.steadied()
        return took

    def described(self) -> str:
        """Return for people how the nodes are."""
        lines = []
        for node, clients in zip(self.nodes, self.clients, strict=True):
            lines += [f"{node.address}: {clients.sight}", node.warned()]
        return "\n".join(lines)


@contextmanager
def ring_on_hosts(
    hosts: Hosts, folder: Path, command: Callable[[int], Sequence[str]] = lambda _: CHORD
) -> Iterator[RingOnHosts]:
    """Start a ring; its processes are dead afterwards."""
    with ExitStack() as stack:
        yield RingOnHosts(hosts, folder, stack, command)


def told_of(history: History, problems: Sequence[str]) -> list[str]:
    """Return what was done to the keys that problems are about."""
    keys = {problem.split(": ")[1] for problem in problems}
    return [str(operation) for operation in history.operations if operation.key in keys]


def is_ideal(nodes: Sequence[Description]) -> bool:
    """Tell whether the pointers of these nodes name the next of exactly these nodes, and nothing is to be handed over."""
    order = sorted(nodes, key=lambda node: node.me.id)
    for at, node in enumerate(order):
        after = [each.me for each in (*order[at + 1 :], *order[:at])]
        if node.phase != "active" or node.pending or list(node.successors) != after[: Config().successors]:
            return False
        if node.predecessor != (after[-1] if after else None):
            return False
    return True
