"""``--tls`` on real processes: who has a certificate of the authority gets in, nobody else, and files are renewed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.processes import chord, document, fine, node_process, until

pytestmark = pytest.mark.slow

ANYWHERE = ("--listen", "127.0.0.1:0")


def test_a_closed_ring(tmp_path: Path) -> None:
    """As the README says: make an authority, issue for each machine, and start nodes with what they were given."""
    folders = [tmp_path / f"host{number}" for number in range(3)]
    fine("tls", "init", str(tmp_path / "authority"))
    for folder in folders:
        fine("tls", "issue", str(tmp_path / "authority"), "--host", "127.0.0.1", "--out", str(folder))
    first, second, client = (("--tls", str(folder)) for folder in folders)
    with node_process(*ANYWHERE, *first) as one, node_process(*ANYWHERE, *second, "--join", one.wait_ready()) as two:
        asking = ("--node", two.wait_ready(), *client)
        until("they are a ring", lambda: document("ring", *asking)["size"] == 2)
        fine("put", "key", "value", *asking)
        assert b"value" == fine("get", "key", *asking)
        refused = chord("get", "key", "--node", two.address, "--timeout", "2")
        assert (4, b"") == (refused.returncode, refused.stdout)
        assert "open to whoever" not in one.said() + two.said()
        fine("tls", "issue", str(tmp_path / "authority"), "--host", "127.0.0.1", "--out", str(folders[1]))
        two.process.send_signal(signal.SIGHUP)
        until("it has renewed them", lambda: "new connections use" in two.said())
        (folders[1] / "node.pem").write_text("nothing")
        two.process.send_signal(signal.SIGHUP)
        until("it has refused them", lambda: "the certificates stay as they were" in two.said())
        assert b"value" == fine("get", "key", *asking)
        assert [0, 0] == [node.end(signal.SIGTERM) for node in (two, one)]


def test_an_open_ring_says_so() -> None:
    """Whoever reaches the address may do everything."""
    with node_process(*ANYWHERE) as node:
        node.wait_ready()
        assert "the ring is open to whoever reaches 127.0.0.1:" in node.said()
