"""Which of several peers on the way a lookup asks first: a nearer one, by measured round trips, if that is worth the detour.

Half of log2 N hops is the mean path, so whoever leaves twice the distance costs half a hop more.  Only the order changes in which
peers are asked that lie before the place: each step still comes closer, and the end of a lookup is what it was (Dabek et al.,
NSDI 2004, section 4.2, of choosing fingers and of sampling 16 of an interval).
"""

from __future__ import annotations

from collections.abc import Sequence

from chord_proto.identifiers import distance

WINDOW = 16
"""So many of the closest before a place are compared: more bring nothing (Dabek et al., section 4.2)."""
CLOSE = 4.0
"""With fewer nodes than this between the closest peer and the place that one is asked: it probably knows the owner."""
_DOUBLING = 0.5
"""Hops that twice the remaining distance costs."""
_WEIGHT = 1 / 16
"""How much the latest newcomer counts in the usual round trip."""


def usual(before: float, seconds: float) -> float:
    """Return the usual round trip to a peer, in seconds, after one more was measured for the first time; 0.0: none was."""
    return seconds if not before else before + (seconds - before) * _WEIGHT


def preferred(ids: Sequence[int], trips: Sequence[float], place: int, bits: int, usual: float) -> int:
    """Return the position of the one to ask first, of ``ids`` before ``place``, the closest first.

    ``trips`` are their round trips in seconds, negative if none was measured: then it is taken for the ``usual`` one.
    Distances count by their powers of two.
    """
    least = distance(ids[0], place, bits).bit_length()
    best, lowest = 0, -1.0
    for position, (each, trip) in enumerate(zip(ids, trips, strict=True)):
        doublings = distance(each, place, bits).bit_length() - least
        cost = (usual if trip < 0 else trip) + doublings * _DOUBLING * usual
        if lowest < 0 or cost < lowest:
            best, lowest = position, cost
    return best
