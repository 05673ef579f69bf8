"""A storage of one's own in the simulated network: it is put under the same faults, and what it loses is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import partial

import pytest

from chord_adapters._memory_disk import MemoryDisk
from chord_adapters.memory import Disk, Network
from chord_adapters.testing import World, simulate
from chord_proto.effects import Write
from chord_proto.messages import Record
from chord_proto.operations import Put


class Table:
    """A user's storage: a table of SQLite."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:", isolation_level=None)
        self.width = self.founded = 0
        self._database.execute("create table record (space, name, value, version, write, primary key (space, name))")

    def __del__(self) -> None:
        self._database.close()

    def keep(self, write: Write) -> None:
        """Make a write durable, in one transaction."""
        with self._database as database:
            database.execute("begin")
            database.executemany("delete from record where (space, name) = (?, ?)", write.dropped)
            rows = [(r.space, r.name, r.value, r.version, str(r.write_id)) for r in write.changes]
            database.executemany("insert or replace into record values (?, ?, ?, ?, ?)", rows)
        self.width = write.width or self.width
        self.founded = write.founded or self.founded

    def records(self) -> Mapping[tuple[int, bytes], Record]:
        """Read all of it."""
        rows = self._database.execute("select * from record").fetchall()
        made = (Record(space, name, value, version, int(write)) for space, name, value, version, write in rows)
        return {(each.space, each.name): each for each in made}


class Forgetful(MemoryDisk):
    """Makes no second write to a name durable."""

    def keep(self, write: Write) -> None:
        """Keep what is not there yet."""
        new = tuple(record for record in write.changes if (record.space, record.name) not in self.records())
        super().keep(Write(write.id, new, write.dropped, write.width, write.founded))


def test_a_disk_outlives_its_node() -> None:
    """Crash and restart: the node gets back what its disk has, and a new disk has nothing."""
    made: list[Disk] = []

    def make() -> Table:
        made.append(Table())
        return Table()

    net = Network(make_disk=make)
    net.spawn("a")
    net.do("a", Put(b"k", b"v"))
    held = net.disk("a")
    assert [b"v"] == [record.value for record in held.values()]
    net.crash("a")
    assert held == net.disk("a")
    net.restart("a")
    assert held == net.disk("a")
    assert 1 == len(made)
    net.crash("a")
    net.restart("a", disk=False)
    assert {} == net.disk("a")
    assert 2 == len(made)
    with pytest.raises(LookupError, match="no node"):
        net.disk("b")
    with pytest.raises(LookupError, match="virtual node 1"):
        net.disk("a", 1)


@pytest.mark.slow
def test_a_sound_storage_keeps_every_promise() -> None:
    """Twenty plans with SQLite under every node."""
    simulated = simulate(0, 20, make=partial(World, make_disk=Table))
    assert simulated.failure is None, str(simulated)


@pytest.mark.slow
def test_a_storage_that_forgets_is_found() -> None:
    """Its node says that it has what it has not."""
    failure = simulate(0, 60, make=partial(World, make_disk=Forgetful), shrink_within=5.0).failure
    assert failure is not None
    assert failure.name in ("D1", "D2", "D3")
