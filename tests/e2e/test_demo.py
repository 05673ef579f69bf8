"""``chord demo``, as in the README."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.processes import document, fine, write_random

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ten_megabytes_within_ten_seconds(backend: str, tmp_path: Path) -> None:
    """Eight nodes keep 10 MB while two crash, within ten seconds, on either backend."""
    file = write_random(tmp_path / "file", 10_000_000)
    done = document("demo", str(file), "--backend", backend)
    assert done["store_s"] + done["fetch_s"] < 10  # Starting an interpreter on a busy machine is not the demo's.
    assert (8, 10_000_000, True) == (done["nodes"], done["bytes"], done["intact"])
    assert 2 == len(set(done["killed"]))
    assert (6, True) == (done["ring"]["size"], done["ring"]["ideal"])


def test_more_may_crash_two_at_a_time() -> None:
    """Of nine nodes four can crash, since every block gets its replicas back in between."""
    done = document("demo", "--nodes", "9", "--kill", "4")
    assert (9, 4, True) == (done["nodes"], len(done["killed"]), done["intact"])
    assert (5, True) == (done["ring"]["size"], done["ring"]["ideal"])


def test_it_tells_a_story() -> None:
    """Without ``--json`` a person reads what happens, and nothing of it is JSON."""
    told = fine("demo").decode()
    for word in ("have become a ring", "stored", "crashed", "are the same", "owner", "closed again"):
        assert word in told
    with pytest.raises(json.JSONDecodeError):
        json.loads(told)
