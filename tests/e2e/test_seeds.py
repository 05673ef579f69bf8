"""``chord node --join``: by SRV records, and with seeds that are down for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from chord_adapters.sync import connect
from tests.adapters.names import name_server, port_of
from tests.e2e.processes import await_ideal, chord, free_port, node_process, until

pytestmark = pytest.mark.slow

ANYWHERE = ("--listen", "127.0.0.1:0")


def test_joining_by_srv_records() -> None:
    """The node says by what it tries, and is there once the records name a member."""
    with name_server() as server, node_process(*ANYWHERE) as first:
        first.wait_ready()
        service = f"_chord._tcp.example.org@{server.address}"
        with node_process(*ANYWHERE, "--join", service) as second:
            until("it says what it tries", lambda: f"{service} cannot be reached" in second.said())
            server.zone["seed.example.org", "A"] = ["127.0.0.1"]
            server.zone["_chord._tcp.example.org", "SRV"] = [f"0 0 {port_of(first.address)} seed.example.org."]
            second.wait_ready()
            await_ideal(first.address, 2)


def test_what_is_no_name_of_records() -> None:
    """It is wrong usage."""
    done = chord("node", *ANYWHERE, "--join", "_chord._tcp.example.org@nowhere:53")
    assert 2 == done.returncode
    assert b"an IP address is needed" in done.stderr


def test_all_seeds_are_gone(tmp_path: Path) -> None:
    """A member that is started again serves what it has, and finds its ring by the members that it knew."""
    seed = f"127.0.0.1:{free_port()}"
    data = [str(tmp_path / name) for name in ("one", "two")]
    with node_process("--listen", seed) as first:
        first.wait_ready()
        nodes = [node_process(*ANYWHERE, "--join", seed, "--data", each) for each in data]
        with nodes[0] as one, nodes[1] as two:
            addresses = [one.wait_ready(), two.wait_ready()]
            await_ideal(seed, 3)
            with connect(seed) as client:
                for number in range(10):
                    client.put(f"{number}", b"v", w="all")
    with node_process("--listen", addresses[0], "--join", seed, "--data", data[0]) as one:
        one.wait_ready()
        with connect(one.address) as client:
            assert [b"v"] * 10 == [entry.value for number in range(10) if (entry := client.get(f"{number}"))]
        with node_process("--listen", addresses[1], "--join", seed, "--data", data[1]) as two:
            two.wait_ready()
            await_ideal(one.address, 2)
