"""A disk for SQLite that fails as disks do: it may be cut off from power, be full, or refuse to synchronise.

It is a file system of apsw's in memory.  What was written and not synchronised may, after a cut, be there, or not, or
in parts: each sector that was written is new, old, half of each, or noise.  A new file has no name after a cut unless
it was synchronised (SQLite's own synchronises the folder of a log with it) or its folder was; one that was deleted may
be back.  Not modelled: a disk that lies about what it has synchronised.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import apsw
import attrs

SECTOR = 512


class PowerCut(Exception):
    """There is no more power."""


@attrs.define(eq=False)
class Content:
    """One file: as it reads now, as it is for certain, and what was written since."""

    now: bytearray = attrs.field(factory=bytearray)
    safe: bytes = b""
    since: list[tuple[int, bytes] | int] = attrs.field(factory=list)
    """Offset and bytes, or the length to which it was cut."""
    has_name: bool = False
    """Its folder names it for certain."""

    def synchronise(self) -> None:
        """Make all of it certain."""
        self.safe, self.has_name = bytes(self.now), True
        self.since.clear()

    def after_cut(self, chance: random.Random) -> bytearray:
        """Return what is found on the disk: all that was written, none of it, or some."""
        drawn = chance.random()
        if drawn < 0.5:
            return bytearray(self.now if drawn < 0.35 else self.safe)
        found = bytearray(self.safe)
        for change in self.since:
            if isinstance(change, int):
                if chance.random() < 0.5:
                    _resize(found, change)
                continue
            offset, data = change
            for start in range(0, len(data), SECTOR):
                old = bytes(found[offset + start : offset + start + SECTOR])
                new = _torn(old, data[start : start + SECTOR], chance)
                if new is not None:
                    _resize(found, max(len(found), offset + start + len(new)))
                    found[offset + start : offset + start + len(new)] = new
        return found


def _torn(old: bytes, new: bytes, chance: random.Random) -> bytes | None:
    """Return what becomes of one sector that is being written; None: nothing does."""
    drawn = chance.random()
    if drawn < 0.4:
        return new
    if drawn < 0.8:
        return None
    if drawn < 0.9:
        cut = chance.randrange(len(new))
        return new[:cut] + old[cut : len(new)].ljust(len(new) - cut, b"\0")
    return chance.randbytes(len(new))


def _resize(content: bytearray, length: int) -> None:
    if len(content) > length:
        del content[length:]
    else:
        content.extend(bytes(length - len(content)))


class Disk(apsw.VFS):
    """A disk with a name by which apsw finds it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.files: dict[str, Content] = {}
        self.deleted: dict[str, Content] = {}
        """Not for certain."""
        self.steps = self.syncs = 0
        """How often it was written to, cut, deleted from or synchronised."""
        self.cut_at: int | None = None
        """At which of these steps power fails."""
        self.limit: int | None = None
        """How many bytes fit on it."""
        self.sync_fails = False
        super().__init__(name, "")

    # What happens to it

    def step(self) -> None:
        """Do one thing that takes power."""
        self.steps += 1
        if self.cut_at is not None and self.steps >= self.cut_at:
            raise PowerCut

    def cut(self, chance: random.Random) -> int:
        """Cut it off from power, and switch it on again; return of how many files there is a part of what was written."""
        torn = 0
        back = {name: content for name, content in self.deleted.items() if chance.random() < 0.5}
        found: dict[str, Content] = {}
        for name, content in (back | self.files).items():
            if content.has_name or chance.random() < 0.5:
                now = content.after_cut(chance)
                torn += now not in (content.now, content.safe)
                found[name] = Content(now, bytes(now), [], True)
        self.files, self.deleted, self.cut_at = found, {}, None
        return torn

    def synchronise_folder(self, *_: object) -> None:
        """Make certain which files there are."""
        self.step()
        self.deleted.clear()
        for content in self.files.values():
            content.has_name = True

    # What apsw calls

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Handle:  # type: ignore[override]  # noqa: N802
        """Open a file, making it if it is missing."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        if path not in self.files:
            if not flags[0] & apsw.SQLITE_OPEN_CREATE:
                raise apsw.CantOpenError(path)
            self.step()
            self.files[path] = Content()
        flags[1] = flags[0]
        return Handle(self, self.files[path])

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        """Delete a file, for certain if ``syncdir``."""
        self.step()
        content = self.files.pop(filename, None)
        if content is not None and not syncdir:
            self.deleted[filename] = content
        elif syncdir:
            self.deleted.pop(filename, None)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        """Tell whether there is such a file."""
        return pathname in self.files

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        """Return the name as it is."""
        return name


class Handle:
    """An open file."""

    def __init__(self, disk: Disk, content: Content) -> None:
        self._disk = disk
        self._content = content

    def _change(self, change: tuple[int, bytes] | int, do: Callable[[bytearray], None]) -> None:
        self._disk.step()
        self._content.since.append(change)
        do(self._content.now)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        """Read; less at the end."""
        return bytes(self._content.now[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        """Write, if there is room."""
        data, limit = bytes(data), self._disk.limit
        grows = max(0, offset + len(data) - len(self._content.now))
        if limit is not None and grows and grows + sum(len(each.now) for each in self._disk.files.values()) > limit:
            raise apsw.FullError("the disk is full")

        def write(now: bytearray) -> None:
            _resize(now, max(len(now), offset + len(data)))
            now[offset : offset + len(data)] = data

        self._change((offset, data), write)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        """Cut it."""
        self._change(newsize, lambda now: _resize(now, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Make certain what was written."""
        self._disk.step()
        self._disk.syncs += 1
        if self._disk.sync_fails:
            raise apsw.IOError("input/output error")
        self._content.synchronise()

    def xFileSize(self) -> int:  # noqa: N802
        """Return its length."""
        return len(self._content.now)

    def xSectorSize(self) -> int:  # noqa: N802
        """Return how much is written at once."""
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        """What SQLite supposes of disks by itself: a write leaves alone what is beside it, also in a power cut."""
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802
        """Know nothing of it."""
        return False

    def xLock(self, level: int) -> None:  # noqa: N802
        """Do nothing: nobody else is there."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """Do nothing."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        """Nobody else is there."""
        return False

    def xClose(self) -> None:  # noqa: N802
        """Do nothing."""
