"""Where a node keeps its records and what it knows of itself, so that both survive its process.

`SqliteStorage` keeps them in a folder (the extra ``sqlite``), `MemoryStorage` in this process.  Anything that does what
`Storage` says can stand in their place; `chord_adapters.testing.storage` checks that it does.

::

    async with open_node("127.0.0.1:7001", storage=SqliteStorage("/var/lib/chord")) as node:
        ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import attrs

from chord_proto.effects import Write
from chord_proto.messages import Record
from chord_proto.peer import Address

if TYPE_CHECKING:
    from chord_adapters._sqlite import SqliteStorage

__all__ = [
    "Batch",
    "MemoryStorage",
    "Saved",
    "SqliteStorage",
    "Storage",
    "StorageDamaged",
    "StorageError",
    "StorageInUse",
    "StorageTooNew",
]

Place: TypeAlias = tuple[int, int, bytes]
"""Where a record is kept: the index of its virtual node, its space and its name."""


class StorageError(OSError):
    """A storage cannot be used, or could not make something durable.  ``path`` is where it is, None if nowhere."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class StorageInUse(StorageError):
    """Another process, or another node of this one, has the storage open."""


class StorageDamaged(StorageError):
    """What is there is not what was written, or is no storage at all."""


class StorageTooNew(StorageError):
    """A newer version of this package has written it, in a form that this one does not know."""


@attrs.frozen(kw_only=True)
class Saved:
    """What a storage holds."""

    records: tuple[tuple[int, Record], ...] = ()
    """In any order, each with the index of the virtual node that holds it; a name occurs once for each of them."""
    incarnation: int = 0
    """The latest life that began with this storage; 0: none has."""
    peers: tuple[Address, ...] = ()
    """Members of the ring that were known lately, the most useful first."""
    was_member: bool = False
    """Whether it has ever been a member of a ring."""
    seen: float = 0.0
    """When it last said that it runs as a member, Unix seconds; 0.0: never."""
    width: int = 0
    """The largest number of distinct addresses that its ring is known to have had; 0: not known."""
    founded: int = 0
    """Which founding its ring goes back to (`chord_proto.messages.Neighbours`); 0: not known."""
    network: str | None = None
    """The name of its ring."""


@attrs.frozen(kw_only=True)
class Batch:
    """What is to be made durable at once: all of it, or none.  None leaves what `Saved` says of a field as it is."""

    writes: tuple[tuple[int, Write], ...] = ()
    """Each with the index of its virtual node, in the order in which they count; a write drops before it keeps."""
    incarnation: int | None = None
    peers: tuple[Address, ...] | None = None
    was_member: bool | None = None
    seen: float | None = None
    width: int | None = None
    founded: int | None = None
    network: str | None = None

    def outcome(self) -> dict[Place, Record | None]:
        """Return what the writes come to: for each place that they touch the record to keep, or None to forget it."""
        found: dict[Place, Record | None] = {}
        for index, write in self.writes:
            for space, name in write.dropped:
                found[index, int(space), name] = None
            for item in write.changes:
                found[index, int(item.space), item.name] = item
        return found

    def fields(self) -> dict[str, Any]:
        """Return what changes besides records, by the name of the field."""
        names = ("incarnation", "peers", "was_member", "seen", "width", "founded", "network")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class Storage(Protocol):
    """Keeps what one process of a ring must not forget.

    Its methods may block.  A node calls them one after the other, never two at once, and not always from the same
    thread: first `load`, then `apply` any number of times, and `close`, after which it may be loaded again.
    """

    def load(self) -> Saved:
        """Open it and return what it holds; of an empty one ``Saved()``.

        Raises `OSError`, best one of those here, when it cannot be used; it is not open then.  A storage that others
        may reach, too, raises `StorageInUse` while it is open.
        """

    def apply(self, batch: Batch) -> None:
        """Make a batch durable, all of it or none, before this returns.

        Raises when that is not so, or not sure; the node writes nothing more then.
        """

    def close(self) -> None:
        """Let go of it; harmless when it is not open.  What `apply` made durable is durable without this."""


class MemoryStorage:
    """A storage that lasts as long as this object: for a node that is opened again in the same process."""

    def __init__(self) -> None:
        self._saved = Saved()
        self._records: dict[Place, Record] = {}
        self._is_open = False

    def load(self) -> Saved:
        """Return what was kept; raises `StorageInUse` while another node has it."""
        if self._is_open:
            raise StorageInUse("another node has this MemoryStorage open")
        self._is_open = True
        return attrs.evolve(self._saved, records=tuple((place[0], each) for place, each in self._records.items()))

    def apply(self, batch: Batch) -> None:
        """Keep a batch; raises `StorageError` when it is not open."""
        if not self._is_open:
            raise StorageError("this MemoryStorage is not open")
        fields = batch.fields()
        for place, item in batch.outcome().items():
            if item is None:
                self._records.pop(place, None)
            else:
                self._records[place] = item
        self._saved = attrs.evolve(self._saved, **fields)

    def close(self) -> None:
        """Let another node load it."""
        self._is_open = False


def __getattr__(name: str) -> object:
    # So that apsw is needed by those only who use it.
    if name != "SqliteStorage":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from chord_adapters._sqlite import SqliteStorage
    except ModuleNotFoundError as error:
        if error.name != "apsw":
            raise
        raise ImportError("SqliteStorage needs apsw: python -m pip install 'chord-dht[sqlite]'", name="apsw") from error
    return SqliteStorage
