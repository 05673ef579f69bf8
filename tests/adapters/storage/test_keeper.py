"""What stands between nodes and their storage: how a life begins, and what goes into a batch."""

from __future__ import annotations

import pytest

from chord_adapters._keeper import ASIDE, MAX_BATCH_BYTES, MAX_PEERS, PEERS_INTERVAL, SEEN_INTERVAL, Keeper, begin
from chord_adapters.storage import Batch, MemoryStorage, Saved, StorageDamaged, StorageError
from chord_proto.effects import Write, WriteId
from chord_proto.messages import Record
from chord_proto.table import place_of
from tests.adapters.storage.storages import Watched

CIVIL = 1_700_000_000.0


def record(name: bytes, version: str = "1", value: bytes = b"v") -> Record:
    """Return a record."""
    return Record(0, name, value, version, 1)


def holding(*records: tuple[int, Record], **fields: object) -> Watched:
    """Return a storage that holds these."""
    storage = Watched()
    storage.load()
    writes = tuple((index, Write(WriteId(1), (item,))) for index, item in records)
    storage.apply(Batch(writes=writes, **fields))  # type: ignore[arg-type]
    storage.close()
    storage.batches.clear()
    return storage


def begun(
    storage: MemoryStorage,
    *,
    civil: float = CIVIL,
    network: str = "chord",
    places: int = 1,
    keep_outdated: bool = False,
) -> Saved:
    """Begin a life and end it."""
    saved = begin(storage, civil=civil, network=network, places=places, bits=160, keep_outdated=keep_outdated)
    storage.close()
    return saved


# A new life


@pytest.mark.parametrize(
    "civil, before, expected",
    [
        (CIVIL, 0, 1_700_000_000_000_000),
        (CIVIL, 5, 1_700_000_000_000_000),
        (CIVIL, 1_700_000_000_000_000, 1_700_000_000_000_001),
        (CIVIL, 10**18, 10**18 + 1),
        (0.0, 0, 1),
        (-5.0, 7, 8),
    ],
)
def test_each_life_is_later_than_the_one_before(civil: float, before: int, expected: int) -> None:
    """It is the civil time in microseconds, and greater than the last one, also when the clock was set back."""
    storage = holding(incarnation=before)
    assert expected == begun(storage, civil=civil).incarnation == storage.saved.incarnation


def test_the_last_life() -> None:
    """A number that leaves no room for another is taken for damage."""
    storage = holding(incarnation=(1 << 63) - 1)
    with pytest.raises(StorageDamaged, match="its latest life was 9223372036854775807"):
        begun(storage)
    assert not storage.is_open


def test_a_beginning_that_cannot_be_made_durable() -> None:
    """Then there is none, and the storage is let go."""

    class Full(Watched):
        def apply(self, batch: Batch) -> None:
            raise StorageError("full")

    storage = Full()
    with pytest.raises(StorageError, match="full"):
        begun(storage)
    assert not storage.is_open


def test_what_earlier_lives_left_is_told() -> None:
    """When it was seen last is from before this life began."""
    storage = holding(peers=("a:1",), was_member=True, seen=5.0, width=3, network="chord")
    saved = begun(storage)
    assert (("a:1",), True, 5.0, 3) == (saved.peers, saved.was_member, saved.seen, saved.width)
    assert 5.0 == storage.saved.seen


def test_records_come_in_order_of_their_place() -> None:
    """As a node's table takes them fastest."""
    names = [b"%d" % number for number in range(200)]
    saved = begun(holding(*((index, record(name)) for name in names for index in (1, 0))), places=2)
    order = [(index, place_of(item.space, item.name, 160)) for index, item in saved.records]
    assert sorted(order) == order
    assert 400 == len(order)


def test_records_of_places_that_are_no_more() -> None:
    """They go to the first place, the newest of each name, in memory and on disk; a second time nothing changes."""
    kept = [
        (0, record(b"only here")),
        (0, record(b"newer here", "5")),
        (0, record(b"older here", "1")),
        (1, record(b"newer here", "7")),
        (2, record(b"newer here", "4")),
        (2, record(b"older here", "2")),
        (3, record(b"older here", "3")),
        (2, record(b"only there", "2")),
        (3, record(b"only there", "1")),
    ]
    expected = {
        (0, b"only here", "1"),
        (0, b"newer here", "5"),
        (0, b"older here", "3"),
        (0, b"only there", "2"),
        (1, b"newer here", "7"),
    }
    storage = holding(*kept)
    for _ in range(2):
        saved = begun(storage, places=2)
        assert expected == {(index, item.name, item.version) for index, item in saved.records}
        assert expected == {(place[0], place[2], item.version) for place, item in storage._records.items()}
    assert [5, 0] == [len(storage.batches[0].outcome()) - 2, len(storage.batches[1].outcome())]


def test_what_was_set_aside() -> None:
    """No node gets it, in this life and the next ones, until one is to keep it: then it goes to the first place."""
    storage = holding((0, record(b"newer here", "5")), (ASIDE, record(b"newer here", "4")), (ASIDE, record(b"k")))
    for _ in range(2):
        assert [(0, b"newer here", "5")] == [(i, item.name, item.version) for i, item in begun(storage).records]
    for _ in range(2):
        saved = begun(storage, keep_outdated=True)
        assert {(0, b"newer here"), (0, b"k")} == {(index, item.name) for index, item in saved.records}
    assert {(0, b"newer here"), (0, b"k")} == {(place[0], place[2]) for place in storage._records}


# Batches


class Driven:
    """A keeper, and what its driver would tell it."""

    def __init__(self, **fields: object) -> None:
        storage = holding(**fields)
        self.keeper = Keeper(storage, begin(storage, civil=CIVIL, network="chord", places=2, bits=160))
        self.now = 0.0
        self.member = self.current = False
        self.known: list[str] = []
        self.asked = 0

    def next(self) -> Batch | None:
        """Ask for the next batch."""
        return self.keeper.next(
            self.now, lambda: CIVIL + self.now, lambda: self.member, self._known, lambda: self.current
        )

    def done(self) -> Batch | None:
        """Ask for the next batch and say that it is durable."""
        batch = self.next()
        if batch is not None:
            self.keeper.ended(None)
        return batch

    def _known(self) -> list[str]:
        self.asked += 1
        return self.known


def write(number: int, size: int = 1) -> Write:
    """Return a write."""
    return Write(WriteId(number), (record(b"%d" % number, value=bytes(size)),))


def test_setting_aside() -> None:
    """It is durable in the batch in which the node drops it, and no node is told of it."""
    driven = Driven()
    driven.keeper.set_aside((record(b"k"),))
    driven.keeper.keep(0, Write(WriteId(1), (), ((0, b"k"),)))
    batch = driven.next()
    assert batch is not None
    assert {(ASIDE, 0, b"k"): record(b"k"), (0, 0, b"k"): None} == batch.outcome()
    assert {0: 1} == driven.keeper.ended(None)


def test_one_batch_is_under_way_at_a_time() -> None:
    """What comes meanwhile goes into the next one; the last write of each virtual node is reported."""
    driven = Driven()
    driven.done()
    keeper = driven.keeper
    keeper.keep(0, write(1))
    assert Batch(writes=((0, write(1)),)) == driven.next()
    keeper.keep(1, write(1))
    keeper.keep(0, write(2))
    keeper.keep(0, write(3))
    assert None is driven.next()
    assert 3 == keeper.counted().waiting
    assert {0: 1} == keeper.ended(None)
    assert Batch(writes=((1, write(1)), (0, write(2)), (0, write(3)))) == driven.next()
    assert {0: 3, 1: 1} == keeper.ended(None)
    assert None is driven.next()


def test_a_batch_is_bounded() -> None:
    """Long values are spread over several batches, one at least in each."""
    driven = Driven()
    driven.done()
    for number in range(5):
        driven.keeper.keep(0, write(number, MAX_BATCH_BYTES // 2))
    driven.keeper.keep(0, write(5, 2 * MAX_BATCH_BYTES))
    batches = [driven.done() for _ in range(4)]
    assert [2, 2, 2, 0] == [0 if batch is None else len(batch.writes) for batch in batches]


def test_nothing_follows_a_failure() -> None:
    """What waited is forgotten, and what comes is not taken."""
    driven = Driven()
    driven.done()
    keeper = driven.keeper
    keeper.keep(0, write(1))
    driven.next()
    keeper.keep(0, write(2))
    assert {0: 1} == keeper.ended(StorageError("full"))
    keeper.keep(0, write(3))
    driven.now = 1e6
    assert None is driven.next()
    assert ("full", 0) == (keeper.counted().failure, keeper.counted().waiting)


def test_membership_goes_with_the_first_write() -> None:
    """Whoever holds something that was acknowledged knows, in its next life, that it was a member."""
    driven = Driven()
    driven.done()
    driven.keeper.keep(0, write(1))
    driven.member = True
    batch = driven.done()
    assert batch is not None
    assert (True, 1) == (batch.was_member, len(batch.writes))
    assert None is driven.done()


def test_members_that_are_known() -> None:
    """They are saved when they change, the newest first, and the old ones stay while there is room; now and then only."""
    driven = Driven(peers=("old:1", "old:2"), was_member=True)
    driven.known = ["new:1", "old:2"]
    batch = driven.done()
    assert batch is not None
    assert ("new:1", "old:2", "old:1") == batch.peers
    driven.known = ["old:1", "new:1"]
    for _ in range(10):
        assert None is driven.done()
    assert 1 == driven.asked
    driven.now += PEERS_INTERVAL
    assert None is driven.done()  # the same ones
    assert 2 == driven.asked
    driven.now += PEERS_INTERVAL
    driven.known = [f"host:{number}" for number in range(MAX_PEERS - 1)]
    batch = driven.done()
    assert batch is not None
    assert (*driven.known, "new:1") == batch.peers


def test_members_go_with_each_write() -> None:
    """Who holds what is acknowledged as well is saved with it, however short ago it was met: all may crash in a moment."""
    driven = Driven(was_member=True)
    driven.done()
    driven.known = ["new:1"]
    assert None is driven.done()
    driven.keeper.keep(0, write(1))
    batch = driven.done()
    assert batch is not None
    assert (("new:1",), 1) == (batch.peers, len(batch.writes))


def test_who_is_no_member_knows_nobody() -> None:
    """Contacts that never were members with it are not remembered."""
    driven = Driven()
    driven.known = ["stranger:1"]
    driven.done()
    driven.now = 100.0
    assert (None, 0) == (driven.done(), driven.asked)


def test_it_says_now_and_then_that_it_runs() -> None:
    """At once and then once a minute, though nothing else is to be written; as long as the ring relies on what it has."""
    driven = Driven()
    driven.now = 5.0
    assert None is driven.done()
    driven.current = True
    assert Batch(seen=CIVIL + 5.0) == driven.done()
    driven.now += SEEN_INTERVAL - 0.1
    assert None is driven.done()
    driven.now += 0.1
    assert Batch(seen=CIVIL + 5.0 + SEEN_INTERVAL) == driven.done()
    driven.current = False
    driven.now += SEEN_INTERVAL
    assert None is driven.done()


def test_what_the_ring_is_like_is_kept() -> None:
    """With the batch in which it comes, also with the last one; what says nothing of it leaves it as it was."""
    driven = Driven()
    driven.keeper.keep(0, Write(WriteId(1), (), (), 2, 10))
    driven.keeper.keep(0, Write(WriteId(2), (), (), 3))
    driven.keeper.keep(0, write(3, 10))
    batch = driven.done()
    assert batch is not None
    assert (3, 10) == (batch.width, batch.founded)
    driven.keeper.keep(0, write(4, 10))
    later = driven.done()
    assert later is not None
    assert (None, None) == (later.width, later.founded)
