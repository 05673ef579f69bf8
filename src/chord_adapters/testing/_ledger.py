"""What clients wrote and read: which values may be read, and which must have survived (properties D1, D9)."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping

import attrs

from chord_adapters.memory import Handle
from chord_proto.config import Config
from chord_proto.identifiers import content_key
from chord_proto.messages import Space
from chord_proto.operations import Delete, Failed, Failure, Fetch, Fetched, Get, Put, Store, Stored
from chord_proto.peer import Peer
from chord_proto.routing import first_distinct
from chord_proto.table import place_of

Name = tuple[int, bytes]


@attrs.define
class Entry:
    """The history of one record or block, and who must not fail all together before it may be lost."""

    written: dict[bytes | None, None] = attrs.field(factory=dict)
    """Every value that anybody ever tried to write (None: a deletion)."""
    acknowledged: dict[str, bytes | None] = attrs.field(factory=dict)
    named: frozenset[str] = frozenset()
    """The addresses that hold the newest acknowledged version, as its acknowledgement or the last repair says."""
    allowance: int = 0
    """How many of them may fail."""
    failed: bool = False
    """Whether one of them has failed since."""
    excused: bool = False
    """More have failed than a majority or repair can make up for: it may be gone."""

    @property
    def newest(self) -> str | None:
        """The newest version that was acknowledged."""
        return max(self.acknowledged, default=None)

    def lose(self, address: str, *, failed: bool) -> None:
        """Count an address out that has failed, or has left and handed its range over.

        Leaving alone loses nothing.  But until repair has made up for the copy, one fewer of the others may fail.
        """
        if address not in self.named:
            return
        self.named -= {address}
        if failed or self.failed:
            self.excused = self.allowance == 0
        self.failed = self.failed or failed
        self.allowance = max(0, self.allowance - 1)


class Ledger:
    """Every operation of a run.  ``holders`` tells which live addresses hold a name durably, and in which version."""

    def __init__(self, config: Config, holders: Callable[[Name], Mapping[str, str]]) -> None:
        self.config = config
        self.holders = holders
        self.entries: dict[Name, Entry] = {}
        self.open: list[Handle] = []
        self.calm = True
        """Nothing went wrong yet: whoever reads, reads what was acknowledged before."""
        self.trusting = True
        """Nobody has lied yet.  After a lie nothing is promised of named records but that calls end, nor that blocks
        survive; but what is read under a block's key is that block."""
        self.width = 0
        """How many addresses the ring had at least, all the time, up to R; 0 when that cannot be told."""
        self._expected: dict[int, str] = {}
        """The version that a read must give at least, by identity of its handle."""
        self._gone: list[tuple[str, bool]] = []
        """Who went, in order, and whether by failing."""
        self._begun: dict[int, int] = {}
        """How many had gone when an operation began, by identity of its handle."""
        self.failed: list[tuple[Put, Failed]] = []
        """Writes that are said to have failed: nobody may ever have them."""
        self.problems: list[str] = []
        self.done = 0

    def started(self, handle: Handle) -> None:
        """Note that an operation has begun."""
        name = name_of(handle)
        operation = handle.operation
        if name is not None:
            entry = self.entries.setdefault(name, Entry())
            if isinstance(operation, Put):
                entry.written[operation.value] = None
            elif isinstance(operation, Store):
                entry.written[operation.data] = None
            elif isinstance(operation, Delete):
                entry.written[None] = None
            elif self.calm and entry.newest is not None:
                self._expected[id(handle)] = entry.newest
        self.open.append(handle)
        self._begun[id(handle)] = len(self._gone)

    def deceived(self) -> None:
        """Note that somebody lies from here on: it may say that it holds what it does not, and change what it holds."""
        self.trusting = self.calm = False

    def collect(self) -> None:
        """Take the results of operations that have ended since."""
        for handle in [handle for handle in self.open if handle.done]:
            self.open.remove(handle)
            self.done += 1
            name = name_of(handle)
            gone_before = self._begun.pop(id(handle))
            expected = self._expected.pop(id(handle), None)
            if name is not None and self.calm and expected is not None and isinstance(handle.result, Fetched):
                version = handle.result.version
                if version is None or version < expected:
                    self._note("D10", name, f"in calm it reads version {version}, {expected} was acknowledged before")
            if name is not None:
                self._ended(handle, name, self.entries[name], gone_before)

    def _note(self, check: str, name: Name, text: str) -> None:
        """Note a problem of a record or block, unless somebody has lied whom it may come from."""
        if self.trusting or (check == "D9" and name[0] == Space.BLOCK):
            self.problems.append(f"{check}: {name}: {text}")

    def _ended(self, handle: Handle, name: Name, entry: Entry, gone_before: int) -> None:
        result, operation = handle.result, handle.operation
        if isinstance(result, Stored):
            value = getattr(operation, "value", getattr(operation, "data", None))
            if entry.acknowledged.setdefault(result.version, value) != value:
                self._note("D6", name, f"version {result.version} is two values")
            self._acknowledged(result, name, entry, gone_before)
        elif isinstance(result, Fetched) and result.value is not None and result.value not in entry.written:
            self._note("D9", name, f"{result.value!r} was read and never written")
        elif isinstance(result, Failed) and isinstance(operation, Put) and not result.outcome_unknown:
            self.failed.append((operation, result))
        if isinstance(result, Failed) and result.reason is Failure.INVALID:
            self.problems.append(f"{operation} is invalid")

    def _acknowledged(self, result: Stored, name: Name, entry: Entry, gone_before: int) -> None:
        addresses = [peer.address for peer in result.acked]
        if len(set(addresses)) < len(addresses):
            self._note("D3", name, f"{result.acked} are not distinct")
        if len(addresses) < (self.width if name[0] == Space.BLOCK else self.width // 2 + 1) and self.width:
            self._note("D3", name, f"{result.acked} are too few on a ring of {self.width} addresses")
        if result.owner not in result.acked:
            self._note("D3", name, f"the owner {result.owner} is not among {result.acked}")
        if result.version == entry.newest:
            needed = len(addresses) if name[0] == Space.BLOCK else min(len(addresses), self.config.replicas // 2 + 1)
            entry.named, entry.allowance = frozenset(addresses), needed - 1
            entry.failed = entry.excused = False
            # Some of those who hold it may have gone before the word of it was here.
            for address, failed in self._gone[gone_before:]:
                entry.lose(address, failed=failed)

    def failing(self, address: str, places: Iterable[Peer]) -> None:
        """Note that all at ``address`` is about to fail; ``places`` are the members, to tell what is repaired."""
        self._going(address, places, failed=True)

    def left(self, address: str, places: Iterable[Peer]) -> None:
        """Note that ``address`` has left and handed its range over."""
        self._going(address, places, failed=False)

    def _going(self, address: str, places: Iterable[Peer], *, failed: bool) -> None:
        self.collect()
        members = sorted(places, key=lambda peer: peer.id)
        for name, entry in self.entries.items():
            if entry.newest is not None and not entry.excused:
                self._look_for_repair(name, entry, members)
                entry.lose(address, failed=failed)
        self._gone.append((address, failed))

    def _look_for_repair(self, name: Name, entry: Entry, members: list[Peer]) -> None:
        assert entry.newest is not None
        holding = {address for address, version in self.holders(name).items() if version >= entry.newest}
        wanted = replicas_of(name, members, self.config)
        if wanted and set(wanted) <= holding:
            entry.named, entry.allowance, entry.failed = frozenset(wanted), len(wanted) - 1, False

    def judge_failed(self, held: Container[bytes | None]) -> None:
        """Note a problem for each record that is said to have failed and is among those that are held (D11)."""
        for operation, result in self.failed:
            if operation.value in held:
                name = int(Space.RECORD), operation.name
                self._note("D11", name, f"{operation} failed, {result}, and its value is there")

    def judge(self, name: Name, result: object) -> None:
        """Note a problem unless ``result``, read after all is quiet, is what must have survived."""
        entry = self.entries[name]
        if not isinstance(result, Fetched):
            self.problems.append(f"{name} cannot be read: {result}")
        elif result.value is not None and result.value not in entry.written:
            self._note("D9", name, f"{result.value!r} was read and never written")
        elif entry.newest is not None and not entry.excused:
            if result.version is None or result.version < entry.newest:
                self._note("D1", name, f"it has version {result.version}, {entry.newest} was acknowledged")
            elif result.version == entry.newest and result.value != entry.acknowledged[entry.newest]:
                self._note("D6", name, f"it reads {result.value!r}, not {entry.acknowledged[entry.newest]!r}")


def name_of(handle: Handle) -> Name | None:
    """Return the space and name that an operation is about."""
    operation = handle.operation
    if isinstance(operation, Put | Get | Delete):
        return int(Space.RECORD), operation.name
    if isinstance(operation, Store):
        return int(Space.BLOCK), content_key(operation.data).to_bytes(20)
    if isinstance(operation, Fetch):
        return int(Space.BLOCK), operation.key.to_bytes(20)
    return None


def replicas_of(name: Name, members: list[Peer], config: Config) -> tuple[str, ...]:
    """Return the addresses that should hold a name: the first R distinct ones from its owner on."""
    place = place_of(*name, config.bits)
    after = [peer for peer in members if peer.id >= place]
    before = [peer for peer in members if peer.id < place]
    return tuple(peer.address for peer in first_distinct((*after, *before), config.replicas))
