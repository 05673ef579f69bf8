"""What clients wrote and read: which values may be read, and which must have survived (D1, D3, D6, D9 to D12)."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping

import attrs

from chord_adapters.memory import Handle
from chord_adapters.testing._history import History
from chord_adapters.testing._history import Operation as Noted
from chord_proto.config import Config
from chord_proto.identifiers import content_key
from chord_proto.messages import Space
from chord_proto.operations import ALL, MAJORITY, Delete, Failed, Failure, Fetch, Fetched, Get, Put, Store, Stored
from chord_proto.peer import Peer
from chord_proto.routing import first_distinct
from chord_proto.table import place_of

Name = tuple[int, bytes]


@attrs.define
class Entry:
    """The history of one record or block, and who must not fail all together before it may be lost."""

    newest: str | None = None
    """The newest version that was acknowledged."""
    mortal: dict[bytes, float] = attrs.field(factory=dict)
    """Values that expire, and by when at the latest, in virtual seconds, by clocks that show it."""
    replaced: dict[str, str] = attrs.field(factory=dict)
    """Versions that a write has replaced on condition that they are there, and by which."""
    named: frozenset[str] = frozenset()
    """The addresses that hold the newest acknowledged version, as its acknowledgement or the last repair says."""
    allowance: int = 0
    """How many of them may fail."""
    failed: bool = False
    """Whether one of them has failed since."""
    excused: bool = False
    """More have failed than a majority or repair can make up for: it may be gone."""

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
        self.history = History()
        """What was done to records, for its judge."""
        self._noted: dict[int, Noted] = {}
        """The operations of records that are under way, by identity of their handles."""
        self.calm = True
        """Nothing went wrong yet: whoever reads, reads what was acknowledged before."""
        self.trusting = True
        """Nobody has lied yet.  After a lie nothing is promised of named records but that calls end, nor that blocks
        survive; but what is read under a block's key is that block."""
        self.width = 0
        """How many addresses the ring had at least, all the time, up to R; 0 when that cannot be told."""
        self._expected: dict[int, str] = {}
        """The version that a read must give at least if all stays calm, by identity of its handle."""
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
            if isinstance(operation, Get | Fetch) and self.calm and entry.newest is not None:
                self._expected[id(handle)] = entry.newest
            if isinstance(operation, Put | Delete | Get):
                self._noted[id(handle)] = self._note_beginning(operation)
        self.open.append(handle)
        self._begun[id(handle)] = len(self._gone)

    def newest(self, name: bytes) -> str | None:
        """Return the newest version of a record that was acknowledged."""
        entry = self.entries.get((int(Space.RECORD), name))
        return None if entry is None else entry.newest

    def disturbed(self) -> None:
        """Note that somebody may be taken for dead who lives, or lives apart."""
        self.calm = False
        self.history.disturb()

    def steadied(self) -> None:
        """Note that all faults are over, the ring is one and its copies agree."""
        self.collect()
        self.history.steadied()

    def deceived(self) -> None:
        """Note that somebody lies from here on: it may say that it holds what it does not, and change what it holds."""
        self.trusting = False
        self.disturbed()

    def collect(self) -> None:
        """Take the results of operations that have ended since."""
        for handle in [handle for handle in self.open if handle.done]:
            self.open.remove(handle)
            self.done += 1
            name = name_of(handle)
            gone_before = self._begun.pop(id(handle))
            in_calm = self._expected.pop(id(handle), "")
            if name is not None:
                self._compare(handle.result, in_calm if self.calm else "", name)
                self._note_end(handle)
                self._ended(handle, name, self.entries[name], gone_before)

    def _note_beginning(self, operation: Put | Delete | Get) -> Noted:
        kind = "put" if isinstance(operation, Put) else "delete" if isinstance(operation, Delete) else "get"
        value = operation.value if isinstance(operation, Put) else None
        mortal = isinstance(operation, Put) and bool(operation.ttl)
        return self.history.begin(kind, operation.name, value, strict=operation.quorum != 1, mortal=mortal)

    def _note_end(self, handle: Handle) -> None:
        noted, result = self._noted.pop(id(handle), None), handle.result
        if noted is None:
            return
        if isinstance(result, Stored):
            self.history.end(noted, result.version)
        elif isinstance(result, Fetched):
            self.history.end(noted, None if result.value is None else result.version, result.value)
        elif not (isinstance(result, Failed) and result.outcome_unknown):
            self.history.fail(noted)

    def _compare(self, result: object, expected: str, name: Name) -> None:
        if expected and isinstance(result, Fetched) and (result.version is None or result.version < expected):
            self._note("D10", name, f"it reads version {result.version}, {expected} was acknowledged before")

    def _note(self, check: str, name: Name, text: str) -> None:
        """Note a problem of a record or block, unless somebody has lied whom it may come from."""
        if self.trusting or (check == "D9" and name[0] == Space.BLOCK):
            self.problems.append(f"{check}: {name}: {text}")

    def _ended(self, handle: Handle, name: Name, entry: Entry, gone_before: int) -> None:
        result, operation = handle.result, handle.operation
        if isinstance(result, Stored):
            self._acknowledged(result, name, entry, gone_before)
            self._decided(operation, result, name, entry)
        elif isinstance(result, Fetched) and isinstance(operation, Fetch):
            self._look_at_block(operation, result, name)
        elif isinstance(result, Failed) and isinstance(operation, Put) and not result.outcome_unknown:
            self.failed.append((operation, result))
        if isinstance(result, Fetched) and result.value is not None and self.history.clocks_agree:
            over = entry.mortal.get(result.value)
            if over is not None and handle.started > over:
                self._note("D12", name, f"{result.value!r} was read from {handle.started} s on, it expired by {over} s")
        if isinstance(operation, Put) and operation.ttl and handle.finished is not None:
            entry.mortal[operation.value] = handle.finished + operation.ttl / 1000
        if isinstance(result, Failed) and result.reason is Failure.INVALID:
            self.problems.append(f"{operation} is invalid")

    def _look_at_block(self, operation: Fetch, result: Fetched, name: Name) -> None:
        if result.value is not None and content_key(result.value) != operation.key:
            self._note("D9", name, f"{result.value!r} was read, which is another block")

    def _decided(self, operation: object, result: Stored, name: Name, entry: Entry) -> None:
        """Look at what the writer asked for."""
        if not isinstance(operation, (Put, Delete)):
            return
        wanted = _needed(operation.quorum, self.width)
        if len(result.acked) < wanted and self.width:
            self._note("D3", name, f"{result.acked} are fewer than {wanted}")
        if operation.condition:
            first = entry.replaced.setdefault(operation.condition, result.version)
            if first != result.version and self.history.steady:
                self._note("section 7", name, f"{operation.condition} was replaced by {first} and by {result.version}")

    def _acknowledged(self, result: Stored, name: Name, entry: Entry, gone_before: int) -> None:
        addresses = [peer.address for peer in result.acked]
        if len(set(addresses)) < len(addresses):
            self._note("D3", name, f"{result.acked} are not distinct")
        if name[0] == Space.BLOCK and len(addresses) < self.width:
            self._note("D3", name, f"{result.acked} are too few on a ring of {self.width} addresses")
        if result.owner not in result.acked:
            self._note("D3", name, f"the owner {result.owner} is not among {result.acked}")
        if result.version >= (entry.newest or ""):
            entry.newest = result.version
            most = len(addresses) if name[0] == Space.BLOCK else _needed(MAJORITY, self.config.replicas)
            entry.named, entry.allowance = frozenset(addresses), min(len(addresses), most) - 1
            entry.failed = entry.excused = False
            # Some of those who hold it may have gone before the word of it was here.
            for address, failed in self._gone[gone_before:]:
                self._lose(name, entry, address, failed=failed)

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
            if entry.newest is not None:
                if not entry.excused:
                    self._look_for_repair(name, entry, members)
                self._lose(name, entry, address, failed=failed)
        self._gone.append((address, failed))
        self.history.depart()

    def _lose(self, name: Name, entry: Entry, address: str, *, failed: bool) -> None:
        entry.lose(address, failed=failed)
        if entry.excused and name[0] == Space.RECORD:
            self.history.lose(name[1])

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

    def judge(self, name: Name, handle: Handle) -> None:
        """Note a problem unless this read, after all is quiet, gives what must have survived."""
        entry, result = self.entries[name], handle.result
        if not isinstance(result, Fetched):
            self.problems.append(f"{name} cannot be read: {result}")
        elif isinstance(handle.operation, Fetch):
            self._look_at_block(handle.operation, result, name)
            if entry.newest is not None and not entry.excused and result.value is None:
                self._note("D1", name, "it is gone, and was acknowledged")

    def verdict(self) -> list[str]:
        """Return all problems, with those that the judge of the history finds."""
        return [*self.problems, *(self.history.problems() if self.trusting else ())]


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


def _needed(quorum: int, width: int) -> int:
    """Return how many must hold a write: not by the node's own rule, which is what is looked at."""
    return {MAJORITY: width // 2 + 1, ALL: width}.get(quorum, quorum)


def replicas_of(name: Name, members: list[Peer], config: Config) -> tuple[str, ...]:
    """Return the addresses that should hold a name: the first R distinct ones from its owner on."""
    place = place_of(*name, config.bits)
    after = [peer for peer in members if peer.id >= place]
    before = [peer for peer in members if peer.id < place]
    return tuple(peer.address for peer in first_distinct((*after, *before), config.replicas))
