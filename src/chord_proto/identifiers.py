"""The identifier circle: arithmetic modulo 2**bits, and how names get their place on it.

Places are plain ``int`` in ``range(2**bits)``.  The three predicates are the only code of the project
that compares places (Stoica et al., ToN 2003, section IV; Zave, TSE 2017, section 3).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

CONTENT_BITS = 160
"""Width of a content key: SHA-1, as in the Chord papers, whatever the width of the circle."""


def between(start: int, place: int, end: int) -> bool:
    """Tell whether ``place`` lies strictly inside the clockwise arc from ``start`` to ``end``.

    With ``start == end`` the arc is the whole circle less that one place.
    """
    if start < end:
        return start < place < end
    return place > start or place < end


def within(start: int, place: int, end: int) -> bool:
    """Tell whether ``place`` lies on the half-open arc ``(start, end]``, the whole circle if both are equal."""
    if start < end:
        return start < place <= end
    return place > start or place <= end


def distance(start: int, end: int, bits: int) -> int:
    """Return how far ``end`` lies clockwise of ``start``, 0 to ``2**bits - 1``."""
    return (end - start) & ((1 << bits) - 1)


def content_key(data: bytes) -> int:
    """Return the content key of a block: its SHA-1 as an int of 160 bits."""
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest())


def place_of_content(key: int, bits: int) -> int:
    """Return where a content key lies on a circle of ``bits`` bits: its leading bits."""
    return key >> (CONTENT_BITS - bits)


def place_of_name(name: bytes, bits: int) -> int:
    """Return where a record's name lies on the circle: the leading bits of its SHA-1."""
    return content_key(name) >> (CONTENT_BITS - bits)


@lru_cache(maxsize=65_536)
def place_of_node(address: str, index: int, bits: int) -> int:
    """Return where virtual node ``index`` of ``address`` lies: H(address, index)."""
    return content_key(f"{address}#{index}".encode()) >> (CONTENT_BITS - bits)
