"""How many replicas a quorum is (chord.md section 7): the one rule that writes, reads and health share."""

from __future__ import annotations

from chord_proto.operations import ALL, MAJORITY


def majority(width: int) -> int:
    """Return W for ``width`` replicas."""
    return width // 2 + 1


def needed(quorum: int, width: int) -> int:
    """Return how many of ``width`` replicas a quorum is: `MAJORITY`, `ALL` or a number."""
    return majority(width) if quorum == MAJORITY else width if quorum == ALL else quorum


def is_quorum(quorum: int, replicas: int) -> bool:
    """Tell whether a quorum makes sense for records that live on ``replicas`` addresses."""
    return quorum in (MAJORITY, ALL) or quorum <= replicas
