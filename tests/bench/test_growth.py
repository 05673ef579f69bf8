"""How cost grows: what is measured, and what follows on paper; how fast anything is does not matter here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import growth

KEPT = Path(__file__).parents[2] / "docs/explanation/figures/growth.json"


def test_a_row() -> None:
    """A ring of few nodes is one or two hops wide, and each node sends what the periods of its upkeep say."""
    row = growth.measure(16, lookups=200)
    assert {"nodes", "p1", "p99", "peak_rss_mb", "events_per_s", *growth.DRAWN} == row.keys()
    assert 0 < min(value for name, value in row.items() if name != "p1")
    assert 1.0 < row["hops"] < 2.5
    # In a second a round of stabilise (three messages) and one for the predecessor (two); each five, comparisons with replicas.
    assert 5.0 < row["messages_per_node_s"] < 8.0


def test_lines() -> None:
    """Those of rings of at least a hundred nodes count; speed is by the hops."""
    rows = [
        {"nodes": float(nodes), "hops": bits / 2, "messages_per_node_s": 6 + bits, "bytes_per_node": 3000 + 40 * bits}
        for bits, nodes in ((bits, 1 << bits) for bits in (8, 10, 14))
    ]
    rows += [{"nodes": 10.0, "hops": 9.0, "messages_per_node_s": 0.0, "bytes_per_node": 0.0}]
    rows[2]["lookups_per_s"] = 4000.0
    found = [growth.on_paper(rows, name, 1 << 28) for name in growth.DRAWN]
    assert pytest.approx([14.0, 34.0, 4120.0, 2000.0]) == found


def test_what_is_kept_of_the_rings_that_were_measured() -> None:
    """Half of log2 N hops, upkeep and memory that hardly grow, up to a million nodes in less than 8 GB."""
    rows = json.loads(KEPT.read_text(encoding="utf-8"))
    assert [10, 100, 1000, 10_000, 100_000, 1_000_000] == [row["nodes"] for row in rows]
    lines = growth.lines(rows)
    assert 0.5 == pytest.approx(lines["hops"][1], rel=0.05)
    assert max(row["bytes_per_node"] for row in rows) <= 4096
    assert rows[-1]["peak_rss_mb"] < 8 * 1024
    assert 10.0 == pytest.approx(rows[-1]["hops"], abs=0.3)
    assert "| 1,000,000,000 |" in growth.table(rows)
