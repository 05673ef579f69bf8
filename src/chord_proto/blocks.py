"""Cutting a value of any length into blocks under a tree of keys, and checking such a tree while it is read.

A value of at most `BLOCK_SIZE` bytes that does not begin with `MARK` is one block, and its content key is the
SHA-1 of its bytes (chord.md section 7).  Every other value is a tree: its leaves are the value's bytes, each full
but the last, and a branch block of level n names the blocks of level n - 1 (leaves are level 0)::

    8 bytes     MARK
    1 byte      level, 1 to `MAX_LEVEL`
    8 bytes     how many bytes of the value lie below, big-endian
    20 bytes    each: the content key of a child, `FAN_OUT` at most

All children but the last are full, so that level and length give the number of keys and the length of each
child: a tree has one shape, and a block that does not fit is known as damaged at once.  Nothing here does I/O.
"""

from __future__ import annotations

import hashlib
import struct

from chord_proto.identifiers import CONTENT_BITS
from chord_proto.records import record

BLOCK_SIZE = 262_144
"""Most bytes of one block; leaves of a tree are this long, but for the last.

So long that what a block costs beside its bytes, six messages for three replicas, is less than what they cost."""
MARK = b"\x89ChordT\n"
"""What a branch block begins with: a byte that no ASCII or UTF-8 text begins with, a name, an end of line."""
KEY_SIZE = CONTENT_BITS // 8
"""Bytes of a content key."""
MAX_LEVEL = 5
"""Highest level of a branch: such a tree holds more than any length of eight bytes can say."""

_HEAD = struct.Struct(f">{len(MARK)}sBQ")
FAN_OUT = (BLOCK_SIZE - _HEAD.size) // KEY_SIZE
"""Most children of one branch block: 13,106."""


@record
class Branch:
    """A branch block as read: ``length`` bytes of the value lie below it, under ``keys`` in order."""

    level: int
    length: int
    keys: tuple[int, ...]

    def child_length(self, index: int) -> int:
        """Return how many bytes of the value lie below child ``index``; `IndexError` when there is no such child."""
        if not 0 <= index < len(self.keys):
            raise IndexError(f"a branch of {len(self.keys)} keys has no child {index}")
        full = _capacity(self.level - 1)
        return min(full, self.length - index * full)

    def child(self, index: int, block: bytes) -> Branch | None:
        """Check that ``block``, fetched under ``keys[index]``, has the place in the tree that this branch gives it.

        Returns None for a leaf (its bytes are part of the value, whatever they begin with), else the branch that
        it is.  The content key is not compared here: whoever fetches a block verifies it.  Raises `ValueError`
        for a block that does not fit, `IndexError` when there is no such child.
        """
        expected = self.child_length(index)
        if self.level == 1:
            if len(block) != expected:
                raise ValueError(f"a leaf of {expected} bytes was promised, one of {len(block)} came")
            return None
        below = branch(block)
        if below is None or (below.level, below.length) != (self.level - 1, expected):
            raise ValueError(f"no branch of level {self.level - 1} over {expected} bytes, as was promised")
        return below


class Cutter:
    """Cuts a stream of bytes into finished blocks, children before parents, each as soon as it is known.

    Memory is bounded whatever the length: one leaf, and the keys of one branch a level.
    """

    __slots__ = ("_buffer", "_finished", "_keys", "_total")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._keys: list[bytearray] = []
        """For each level the keys of its finished blocks that no branch names yet."""
        self._total = 0
        self._finished = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the value; return the blocks that they finish, in the order to store them.

        Raises `ValueError` after `finish`.
        """
        if self._finished:
            raise ValueError("the value is finished")
        self._total += len(data)
        # A full leaf waits for one more byte: only then is it known not to be the last, and perhaps the root.
        if len(self._buffer) + len(data) <= BLOCK_SIZE:
            self._buffer += data
            return []
        blocks: list[bytes] = []
        view = memoryview(data)
        taken = BLOCK_SIZE - len(self._buffer)
        self._buffer += view[:taken]
        self._add(0, bytes(self._buffer), blocks)
        while len(data) - taken > BLOCK_SIZE:
            self._add(0, bytes(view[taken : taken + BLOCK_SIZE]), blocks)
            taken += BLOCK_SIZE
        self._buffer = bytearray(view[taken:])
        return blocks

    def finish(self) -> tuple[list[bytes], int]:
        """End the value; return its last blocks, the root as the last of them, and the root's content key.

        There is at least one block, since an empty value is an empty block.  Raises `ValueError` the second time.
        """
        if self._finished:
            raise ValueError("the value is finished")
        self._finished = True
        blocks: list[bytes] = []
        leaf = bytes(self._buffer)
        self._add(0, leaf, blocks)
        level = 0
        # What begins with the mark becomes a tree even if it would fit in one block, or it would be read as a branch.
        if len(self._keys) == 1 and len(self._keys[0]) == KEY_SIZE and leaf.startswith(MARK):
            self._close(0, self._total, blocks)
            level = 1
        while level < len(self._keys) - 1 or len(self._keys[level]) > KEY_SIZE:
            self._close(level, (self._total - 1) % _capacity(level + 1) + 1, blocks)
            level += 1
        return blocks, int.from_bytes(self._keys[level])

    def _add(self, level: int, block: bytes, blocks: list[bytes]) -> None:
        """Hand a finished block out and keep its key for the branch above."""
        if level == len(self._keys):
            self._keys.append(bytearray())
        if len(self._keys[level]) == FAN_OUT * KEY_SIZE:
            self._close(level, _capacity(level + 1), blocks)
        blocks.append(block)
        self._keys[level] += hashlib.sha1(block, usedforsecurity=False).digest()

    def _close(self, level: int, length: int, blocks: list[bytes]) -> None:
        """Make the branch over the keys that wait on ``level``, which stand for ``length`` bytes of the value."""
        block = _HEAD.pack(MARK, level + 1, length) + self._keys[level]
        self._keys[level].clear()
        self._add(level + 1, block, blocks)


def branch(block: bytes) -> Branch | None:
    """Read a root, or a block that a branch of level 2 and more names: None for a plain value, else its branch.

    Raises `ValueError` for a block that begins with the mark and is no possible branch.  Do not ask about a child of
    a branch of level 1: that is a leaf even if it begins with the mark (`Branch.child` knows).
    """
    if not block.startswith(MARK):
        return None
    if len(block) < _HEAD.size:
        raise ValueError("a branch block ends within its head")
    if len(block) > BLOCK_SIZE:
        raise ValueError(f"a branch block of {len(block)} bytes is longer than a block")
    _, level, length = _HEAD.unpack_from(block)
    if not 1 <= level <= MAX_LEVEL:
        raise ValueError(f"a branch block has no level {level}")
    count, rest = divmod(len(block) - _HEAD.size, KEY_SIZE)
    if rest:
        raise ValueError("a branch block ends within a key")
    # Ceiling division; more keys than `FAN_OUT` would not have fitted in a block.
    if not count or count != -(-length // _capacity(level - 1)):
        raise ValueError(f"a branch block of level {level} over {length} bytes cannot have {count} keys")
    keys = tuple(int.from_bytes(block[at : at + KEY_SIZE]) for at in range(_HEAD.size, len(block), KEY_SIZE))
    return Branch(level, length, keys)


def _capacity(level: int) -> int:
    """Return how many bytes of the value lie below a full block of this level."""
    return BLOCK_SIZE * int(FAN_OUT**level)
