"""Eight hosts whose network is cut and healed: the ring is one again within about a minute, and nothing is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.hosts import BAD, Hosts
from tests.e2e.ring_on_hosts import RingOnHosts, ring_on_hosts

pytestmark = pytest.mark.slow

SIZE = 8
SHARED = [f"key {number}" for number in range(10)]
RATE = 50.0
HALVES = [range(4), range(4, 8)]
LONGER = 600.0 if os.environ.get("CHORD_NIGHTLY") else 0.0
"""For how many seconds halves stay apart once they are known to be two rings."""
MUTE = 6.0
"""More seconds than it takes to suspect who says nothing."""


@pytest.fixture
def bad_hosts(hosts: Hosts) -> Hosts:
    """The same, on links that lose two of a hundred packets and delay the others, or a word that they cannot be had."""
    if not hosts.knows(BAD):
        pytest.skip("NOT RUN: loss and delay: this kernel has no netem")
    hosts.worsen(range(SIZE), BAD)
    return hosts


@pytest.fixture
def ring(hosts: Hosts, tmp_path: Path) -> Iterator[RingOnHosts]:
    """A ring of processes on them, with clients that are at work."""
    with ring_on_hosts(hosts, tmp_path) as ring:
        ring.begin(lambda number: [*SHARED, *own(hosts, number)], RATE)
        ring.wait("one ring", partial(ring.is_one, ring.everybody))
        yield ring


def own(hosts: Hosts, number: int) -> list[str]:
    """Return keys that only the clients of a host use, and only until the next cut or its healing.

    So nothing that is written later makes up for what gets lost of them when parts merge.
    """
    return [f"{key} of host {number}, time {hosts.changes}" for key in (1, 2)]


def written(ring: RingOnHosts, part: Sequence[int], before: int, _: float = 0.0) -> bool:
    """Tell whether clients on hosts of a part have written since there were so many operations."""
    keys = [key for number in part for key in own(ring.hosts, number)]
    return any(each.kind == "put" and each.is_done and each.key in keys for each in ring.history.operations[before:])


def cut_and_heal(ring: RingOnHosts, parts: Sequence[Sequence[int]], longer: float = 0.0) -> float:
    """Cut until each part is a ring of its own that takes writes, and heal; return when after that it was one ring."""
    ring.history.disturb()
    ring.hosts.cut(*parts)
    for part in parts:
        ring.wait(f"a ring of {list(part)}", partial(ring.is_one, part))
    apart = len(ring.history.operations)
    for part in parts:
        if len(part) > 1:
            ring.wait(f"writes on {list(part)}", partial(written, ring, part, apart))
    time.sleep(longer)
    assert not any(written(ring, part, apart) for part in parts if len(part) == 1)
    ring.hosts.heal()
    return ring.wait_whole()


def mute_and_heal(ring: RingOnHosts) -> float:
    """Let one not be heard by half of the others for a while, and the other way round; heal."""
    ring.history.disturb()
    ring.hosts.mute(6, range(3))
    ring.hosts.mute(1, range(4, 8))
    time.sleep(MUTE)
    ring.hosts.heal()
    return ring.wait_whole()


def test_cut_and_healed(ring: RingOnHosts, record_property: Callable[[str, object], None]) -> None:
    """Halves, thirds, a host alone and links cut one way: each side goes on but who is alone, and all merge again."""
    took = {
        "halves": cut_and_heal(ring, HALVES, LONGER),
        "three parts, one alone": cut_and_heal(ring, [[0, 5, 7], [1, 2, 4, 6], [3]]),
        "one way": mute_and_heal(ring),
    }
    figures(ring, record_property, took)


@pytest.mark.usefixtures("bad_hosts")
def test_loss_and_delay(ring: RingOnHosts, record_property: Callable[[str, object], None]) -> None:
    """Halves merge again on bad links, too."""
    figures(ring, record_property, {"halves": cut_and_heal(ring, HALVES)})


def figures(ring: RingOnHosts, record_property: Callable[[str, object], None], took: dict[str, float]) -> None:
    """End the ring, judge what its clients were told, and tell how long it took to be one."""
    ring.end()
    record_property("figures", {"one ring after s": {name: round(each, 1) for name, each in took.items()}})
