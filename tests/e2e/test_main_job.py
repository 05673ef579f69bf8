"""The main job across processes: a file survives the crash of two nodes out of eight."""

from __future__ import annotations

import filecmp
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.processes import await_ideal, document, fine, ring_of_processes, terminate_all, write_random

pytestmark = pytest.mark.slow

SIZE = int(os.environ.get("CHORD_E2E_BYTES", "5000000"))
"""Bytes of the file: few here, 50,000,000 at night (`tox -e nightly`)."""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_file_outlives_two_of_eight_processes(tmp_path: Path, backend: str) -> None:
    """A file stored on one of eight processes is fetched whole through another after two were killed by SIGKILL."""
    original = write_random(tmp_path / "original", SIZE)
    copy = tmp_path / "copy"
    with ring_of_processes(8, "--backend", backend) as nodes:
        by_address = {node.address: node for node in nodes}
        key = fine("store", str(original), "--node", nodes[1].address).decode().strip()
        holders = [peer["address"] for peer in document("locate", "--id", key, "--node", nodes[0].address)["replicas"]]
        assert 3 == len(holders)

        for address in holders[:2]:  # the owner of the root and the first of its copies
            by_address[address].end(signal.SIGKILL)
        living = [node for address, node in by_address.items() if address not in holders[:2]]
        fine("fetch", key, "--out", str(copy), "--node", living[-1].address)

        assert filecmp.cmp(original, copy, shallow=False)
        await_ideal(living[0].address, 6)
        assert [0] * 6 == terminate_all(living)
        assert "Traceback" not in "".join(node.said() for node in living)
