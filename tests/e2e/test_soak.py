"""Eight hosts under load for a long time, killed, cut and slowed at random: nothing is lost, and no process grows."""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.growth import Growth
from tests.e2e.hosts import Hosts
from tests.e2e.ring_on_hosts import RingOnHosts, ring_on_hosts

pytestmark = pytest.mark.slow

SIZE, RATE = 8, 200.0
SECONDS = float(os.environ.get("CHORD_SOAK", "120"))
MORTAL = range(SIZE // 2)
"""Hosts whose nodes are killed; the others run all the time, so that it shows whether they grow."""
AT_A_TIME = 24
"""Keys on which most operations are, from one cut or healing to the next; so some are left alone once the parts merge."""
KEYS = [f"key {number}" for number in range(AT_A_TIME * (4 + int(SECONDS / 36)))]
"""In turn; the judge compares all operations of a key with one another, and an hour has 700,000."""


class Trouble:
    """Makes it, and counts what it has made."""

    def __init__(self, ring: RingOnHosts) -> None:
        self.ring, self.chance = ring, random.Random(1)
        self.made = Counter[str]()
        self.one_after: list[float] = []
        """Seconds after which the ring was one again."""

    def kills(self, seconds: float) -> None:
        """Kill one after another."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            number = self._kill()
            self._pause(0.0, 2.0)
            self.ring.start_again(number).wait_ready()
            self._pause(1.0, 3.0)

    def weather(self) -> None:
        """Cut links or slow them down, and perhaps kill one meanwhile; then let all be well again."""
        ring, hosts = self.ring, self.ring.hosts
        ring.history.disturb()
        what = self.chance.choice(["halves", "three parts", "one alone", "one way", "slow"])
        drawn = self.chance.sample(ring.everybody, SIZE)
        self.made[what] += 1
        self._tell(what, f"hosts in order {drawn}")
        match what:
            case "halves":
                hosts.cut(drawn[:4], drawn[4:])
            case "three parts":
                hosts.cut(drawn[:3], drawn[3:6], drawn[6:])
            case "one alone":
                hosts.cut(drawn[:1], drawn[1:])
            case "one way":
                hosts.mute(drawn[0], drawn[1:5])
            case _:
                hosts.worsen(drawn[:3])
        self._pause(1.0, 8.0)
        killed = self._kill() if self.chance.random() < 0.5 else None
        if killed is not None:
            ring.start_again(killed)
            self._pause(1.0, 3.0)
        self._tell("healed")
        hosts.heal()
        if what == "slow":
            hosts.mend(drawn[:3])
        if killed is not None:
            ring.nodes[killed].wait_ready()
        self.one_after.append(ring.wait_whole())

    def _kill(self) -> int:
        number = self.chance.choice(MORTAL)
        self.made["kills"] += 1
        self._tell("kill", f"host {number}")
        self.ring.kill(number)
        return number

    def _tell(self, what: str, whom: str = "") -> None:
        """Say it to who looks into a failed test; versions begin with the same milliseconds."""
        print(f"{int(1000 * time.time()):012x} {what} {whom}")

    def _pause(self, low: float, high: float) -> None:
        time.sleep(self.chance.uniform(low, high))


@pytest.mark.timeout(2 * SECONDS + 600)
def test_soak(hosts: Hosts, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """What clients are told stays explainable, and memory, file descriptors, tasks and threads do not grow."""
    files = [tmp_path / f"counts {number}" for number in range(SIZE)]
    counted = str(Path(__file__).with_name("counted.py"))

    def command(number: int) -> list[str]:
        return [sys.executable, "-P", "-W", "error", counted, str(files[number])]

    turns = count()

    def keys(_: int) -> list[str]:
        first = hosts.changes * AT_A_TIME % len(KEYS)
        return KEYS[first : first + AT_A_TIME] if next(turns) % 10 else KEYS

    with ring_on_hosts(hosts, tmp_path, command) as ring:
        ring.begin(keys, RATE)
        ring.wait("one ring", partial(ring.is_one, ring.everybody))
        staying = [number for number in ring.everybody if number not in MORTAL]
        growth = Growth({ring.nodes[number].process.pid: files[number] for number in staying})
        trouble, before, began = Trouble(ring), ring.history.done, time.monotonic()
        with growth.looking():
            while time.monotonic() < began + SECONDS:
                trouble.kills(10.0)
                trouble.weather()
        seconds, done = time.monotonic() - began, ring.history.done - before
        took = sorted(each for clients in ring.clients for each in clients.took)
        record_property(
            "figures",
            {
                "seconds": round(seconds),
                "operations_per_s": round(done / seconds, 1),
                "ms": {f"p{part}": round(1000 * took[len(took) * part // 100], 1) for part in (50, 90, 99)},
                "troubles": dict(trouble.made),
                "one_ring_after_s": [round(each, 1) for each in sorted(trouble.one_after)],
                **growth.medians(),
            },
        )
        ring.end()
        assert [] == growth.problems()
    assert seconds * RATE / 4 < done
