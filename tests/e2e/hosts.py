"""Hosts on one machine: network namespaces, each with one cable to a switch, that can be cut, slowed and healed.

The switch is a namespace, too, so that nothing of the machine's own network is touched.  It has a bridge for each part
into which the hosts are cut: a host is moved by plugging its cable into another bridge.  Its own end stays up, as it
does where a switch far away fails.  Needs root, and ``ip`` and ``tc`` of iproute2.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

PORT = 4600
SLOW = "tbf rate 400kbit burst 4kb latency 300ms".split()
"""Some fifty kilobytes a second; what waits for longer than 0.3 s is dropped."""
BAD = "netem delay 20ms 10ms loss 2%".split()
_NOWHERE = "02:00:00:00:00:ff"
"""The hardware address of nobody."""
_NEW_NET = 0x40000000
"""CLONE_NEWNET; ``os.setns`` is there from Python 3.12 on."""
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
_numbers = count()


class NotHereError(Exception):
    """This machine lets nobody make hosts; the message says why."""


class Hosts:
    """So many hosts, joined; made by `made`."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.addresses = [f"10.77.0.{number + 1}:{PORT}" for number in range(size)]
        name = f"chord-{os.getpid()}-{next(_numbers)}"
        self._switch = f"{name}-switch"
        self._names = [f"{name}-{number}" for number in range(size)]
        self.changes = 0
        """How often they were cut or healed."""
        self._bridges = 0
        self._unheard: set[tuple[int, int]] = set()

    def build(self) -> None:
        """Make them; raise `NotHereError` where that cannot be done."""
        if os.geteuid():
            raise NotHereError("only root makes network namespaces")
        for tool in ("ip", "tc"):
            if shutil.which(tool, path=_PATH) is None:
                raise NotHereError(f"there is no {tool}; Debian has it in iproute2")
        try:
            for name in (self._switch, *self._names):
                _run("ip", "netns", "add", name)
                _run("ip", "-n", name, "link", "set", "lo", "up")
            for number, name in enumerate(self._names):
                cable = ["name", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", name]
                _run("ip", "-n", self._switch, "link", "add", *cable)
                _run("ip", "-n", name, "address", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
                for where, device in ((name, "eth0"), (self._switch, f"port{number}")):
                    _run("ip", "-n", where, "link", "set", device, "addrgenmode", "none", "up")
            self.heal()
            _run(*self.command(0, ["true"]))
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip()
            raise NotHereError(f"{' '.join(error.cmd)} failed: {said}") from error

    def remove(self) -> None:
        """Take down what there is of them; the processes on them should be dead."""
        for name in (*self._names, self._switch):
            if Path("/run/netns", name).exists():
                _run("ip", "netns", "delete", name)

    # Who is on them

    def command(self, number: int, command: Sequence[str]) -> list[str]:
        """Return the command that runs ``command`` on a host, in the same process."""
        tool = shutil.which("ip", path=_PATH)
        assert tool is not None
        return [tool, "netns", "exec", self._names[number], *command]

    def enter(self, number: int) -> None:
        """Move the calling thread to a host: the sockets that it makes from now on are there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/run/netns", self._names[number]).open("rb") as namespace:
            if libc.setns(namespace.fileno(), _NEW_NET):
                raise OSError(ctypes.get_errno(), "setns failed")

    # What goes wrong between them

    def cut(self, *parts: Sequence[int]) -> None:
        """Let hosts reach only those of their own part, without a word to anybody."""
        self.changes += 1
        while self._bridges < len(parts):
            bridge = f"part{self._bridges}"
            _run("ip", "-n", self._switch, "link", "add", "name", bridge, "type", "bridge")
            _run("ip", "-n", self._switch, "link", "set", bridge, "addrgenmode", "none", "up")
            self._bridges += 1
        for at, part in enumerate(parts):
            for number in part:
                _run("ip", "-n", self._switch, "link", "set", f"port{number}", "master", f"part{at}")

    def mute(self, speaker: int, hearers: Sequence[int]) -> None:
        """Cut one way: nothing from the speaker reaches the hearers, and they still reach it."""
        self.changes += 1
        for hearer in hearers:
            self._unheard.add((speaker, hearer))
            neighbour = [f"10.77.0.{hearer + 1}", "lladdr", _NOWHERE, "nud", "permanent", "dev", "eth0"]
            _run("ip", "-n", self._names[speaker], "neighbour", "replace", *neighbour)

    def heal(self) -> None:
        """Let everybody reach everybody again."""
        self.cut(range(self.size))
        for speaker, hearer in self._unheard:
            _run("ip", "-n", self._names[speaker], "neighbour", "delete", f"10.77.0.{hearer + 1}", "dev", "eth0")
        self._unheard.clear()

    def worsen(self, numbers: Sequence[int], how: Sequence[str] = SLOW) -> None:
        """Give the cables of these hosts a discipline of tc's, both ways."""
        for number in numbers:
            for namespace, device in self._ends(number):
                _run("tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", *how)

    def mend(self, numbers: Sequence[int]) -> None:
        """Make their cables fast again."""
        for number in numbers:
            for namespace, device in self._ends(number):
                _run("tc", "-n", namespace, "qdisc", "delete", "dev", device, "root")

    def knows(self, how: Sequence[str]) -> bool:
        """Tell whether this kernel has a discipline."""
        try:
            self.worsen([0], how)
        except subprocess.CalledProcessError:
            return False
        self.mend([0])
        return True

    def _ends(self, number: int) -> tuple[tuple[str, str], tuple[str, str]]:
        return (self._names[number], "eth0"), (self._switch, f"port{number}")


@contextmanager
def made(size: int) -> Iterator[Hosts]:
    """Make hosts; they are gone afterwards, whatever happens.  Raises `NotHereError`."""
    hosts = Hosts(size)
    try:
        hosts.build()
        yield hosts
    finally:
        hosts.remove()


def _run(tool: str, *arguments: str) -> None:
    subprocess.run([tool, *arguments], check=True, capture_output=True, timeout=30, env={**os.environ, "PATH": _PATH})
