"""``chord node``: how a node process begins, lives and ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.processes import (
    CHORD,
    await_ideal,
    chord,
    document,
    fine,
    free_port,
    node_process,
    parsed,
    until,
    write_random,
)

pytestmark = pytest.mark.slow

ANYWHERE = ("--listen", "127.0.0.1:0")


def bytes_held(address: str) -> int:
    """Return how many bytes of values a node holds."""
    return int(document("status", "--node", address)["bytes"])


def has_grown(address: str, before: int) -> bool:
    """Tell whether a node holds more bytes than before."""
    return before < bytes_held(address)


@pytest.mark.parametrize("number, backend", [(signal.SIGTERM, "asyncio"), (signal.SIGINT, "trio")])
def test_a_signal_makes_it_leave(number: signal.Signals, backend: str) -> None:
    """On SIGTERM and on Ctrl-C a node hands its records over and ends with 0."""
    running = ("--listen", "127.0.0.1:0", "--backend", backend)
    with node_process(*running) as stays, node_process(*running, "--join", stays.wait_ready()) as leaves:
        leaves.wait_ready()
        await_ideal(stays.address, 2)
        for key in ("a", "b", "c"):
            fine("put", key, "value", "--node", leaves.address)
        assert 0 == leaves.end(number)
        assert [b"value"] * 3 == [fine("get", key, "--node", stays.address) for key in ("a", "b", "c")]
        await_ideal(stays.address, 1)
        assert "Traceback" not in stays.said() + leaves.said()


def test_the_last_node_leaves() -> None:
    """A node that is alone ends with 0 at once, although nobody can take its records."""
    with node_process(*ANYWHERE) as node:
        fine("put", "key", "value", "--node", node.wait_ready())
        began = time.monotonic()
        assert 0 == node.end(signal.SIGTERM)
        assert time.monotonic() - began < 5


def test_ready_as_json() -> None:
    """With ``--json`` the ready line is a document with the address and the id."""
    with node_process(*ANYWHERE, "--json") as node:
        said = parsed(node.line().encode())
        assert {"ready", "id"} == said.keys()
        assert re.fullmatch("[0-9a-f]{40}", said["id"])
        assert said["id"] == document("status", "--node", said["ready"])["id"]
        assert 0 == node.end(signal.SIGTERM)


def test_a_join_that_is_down_is_tried_for_ever() -> None:
    """While the node to join is down a node says so on stderr and retries; once it is up it joins."""
    address = f"127.0.0.1:{free_port()}"
    with node_process(*ANYWHERE, "--join", address) as early:
        until("it says that it waits", lambda: address in early.said())
        assert early.process.poll() is None
        with node_process("--listen", address) as late:
            late.wait_ready()
            early.wait_ready()
            await_ideal(address, 2)


def test_a_node_that_waits_for_its_ring_can_be_ended() -> None:
    """SIGTERM ends with 0 a node that has not joined yet."""
    with node_process(*ANYWHERE, "--join", f"127.0.0.1:{free_port()}") as node:
        until("it says that it waits", lambda: "still trying" in node.said())
        assert 0 == node.end(signal.SIGTERM)


def test_another_network_refuses() -> None:
    """A node that joins a ring of another name ends with 4 within ten seconds and says why."""
    with node_process(*ANYWHERE, "--network", "blue") as blue:
        address = blue.wait_ready()
        began = time.monotonic()
        done = chord("node", *ANYWHERE, "--network", "red", "--join", address, "--json")
        assert 4 == done.returncode
        assert "JoinRefused" == parsed(done.stdout)["error"]["name"]
        assert time.monotonic() - began < 10
        assert 1 == document("ring", "--node", address, "--network", "blue")["size"]


def test_a_second_signal_aborts() -> None:
    """A second signal does not wait for the hand-over."""
    with node_process(*ANYWHERE) as stays, node_process(*ANYWHERE, "--join", stays.wait_ready()) as leaves:
        leaves.wait_ready()
        stays.process.send_signal(signal.SIGSTOP)  # nobody takes what is handed over
        leaves.process.send_signal(signal.SIGTERM)
        until("it says that it leaves", lambda: "leaving the ring" in leaves.said())
        began = time.monotonic()
        assert 130 == leaves.end(signal.SIGTERM)
        assert time.monotonic() - began < 5


def test_virtual_nodes() -> None:
    """A process that holds several places counts as often in the ring."""
    with (
        node_process(*ANYWHERE, "--virtual-nodes", "3") as many,
        node_process(*ANYWHERE, "--join", many.wait_ready()) as one,
    ):
        one.wait_ready()
        await_ideal(many.address, 4)
        ring = document("ring", "--node", one.address)
        assert 3 == [member["address"] for member in ring["members"]].count(many.address)
        fine("put", "key", "value", "--node", one.address)
        assert b"value" == fine("get", "key", "--node", many.address)


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x00", b"\xff" * 100_000, b"\x00\x00\x10\x00half a frame", b"\xff\xff\xff\xff" * 9],
    ids=["http", "one byte", "ones", "half", "huge"],
)
def test_garbage_on_the_port_harms_nobody(garbage: bytes) -> None:
    """Whatever a stranger sends, whole or half, the node serves on."""
    with node_process(*ANYWHERE) as node:
        host, _, port = node.wait_ready().rpartition(":")
        for _ in range(20):
            with socket.create_connection((host, int(port)), timeout=10) as stranger:
                stranger.sendall(garbage)
        fine("put", "key", "value", "--node", node.address)
        assert b"value" == fine("get", "key", "--node", node.address)
        assert "Traceback" not in node.said()
        assert 0 == node.end(signal.SIGTERM)


def test_an_asker_that_goes_away_harms_nobody(tmp_path: Path) -> None:
    """Commands that are killed in the middle of a transfer leave a node that serves on."""
    with node_process(*ANYWHERE) as node:
        address = node.wait_ready()
        for _ in range(3):
            file = write_random(tmp_path / "file", 20_000_000)
            before = bytes_held(address)
            with subprocess.Popen([*CHORD, "store", str(file), "--node", address], stdout=subprocess.DEVNULL) as asker:
                until("blocks arrive", partial(has_grown, address, before))
                asker.kill()
        fine("put", "key", "value", "--node", address)
        assert b"value" == fine("get", "key", "--node", address)
        assert "Traceback" not in node.said()


def test_two_processes_cannot_have_one_address() -> None:
    """A port in use is an error with status 1 that names the address, and the first process is unharmed."""
    with node_process(*ANYWHERE) as node:
        address = node.wait_ready()
        done = chord("node", "--listen", address, "--json")
        assert 1 == done.returncode
        assert address in parsed(done.stdout)["error"]["message"]
        assert "active" == document("status", "--node", address)["phase"]
