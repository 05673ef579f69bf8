"""Upkeep at the pace at which the ring changes: its size, its churn, and the period that follows (RFC 7363).

The functions are the formulas; `Tuning` is what one node has seen that goes into them.  Nobody counts the ring: each node
looks at the arc of its neighbours, and for the size also at what others say of theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from chord_proto.identifiers import between, distance
from chord_proto.peer import Peer

LEAST_INTERVAL = 15.0
"""Seconds below which RFC 7363 does not go (section 6.6)."""
_FEW = 2
"""So few gaps say nothing about the size of a ring."""
_FAILURES = 8
"""k, how many of the latest failures count: their rate is right within a third; with more of them a change would show later."""
_TOLD = 16
"""How many estimates of others count: those of the neighbours and of two rounds of fingers in a ring of a thousand."""
_BITS = 24
"""Binary places of a logarithm."""
_UNKNOWN = float("-inf")
"""When a peer joined that was there before this node."""


def log2(number: float) -> float:
    """Return the logarithm to base 2 of a number of at least 1, to 2**-24, the same on every machine.

    `math.log2` may differ in the last place from one C library to another, and then a history would not replay.
    """
    whole = 0
    while number >= 2.0:
        number /= 2.0
        whole += 1
    fraction, place = 0.0, 0.5
    for _ in range(_BITS):
        number *= number
        if number >= 2.0:
            number /= 2.0
            fraction += place
        place /= 2.0
    return whole + fraction


def size_on_arc(gaps: int, span: int, bits: int) -> float:
    """Return how many nodes the circle has if so many gaps between neighbours span this distance: (s-1) C/d.

    Without bias, and right within 1/sqrt(s-2) (chord.md section 6; RFC 7363 section 6.1 takes a single density).
    """
    return (gaps - 1 << bits) / max(1, span)


def harmonic_mean(estimates: Collection[float]) -> float:
    """Return the harmonic mean: of sizes, what one gets by laying the arcs together that they were seen on."""
    return len(estimates) / sum(1.0 / estimate for estimate in estimates)


def failure_rate(failures: int, peers: int, seconds: float) -> float:
    """Return U, failures per peer and second, when so many of these peers failed in this time: k/(M T_k).

    RFC 7363 section 6.3, after Mahajan, Castro and Rowstron (IPTPS 2003).
    """
    return failures / (peers * seconds) if seconds > 0 else float("inf")


def join_rate(size: float, ages: Iterable[float]) -> float:
    """Return L, joins per second in the ring, of which these ages of peers (seconds) are known: N / median age.

    Half of a ring that grows is younger than the time in which it doubled (RFC 7363 section 6.4).
    """
    ordered = sorted(ages)
    if not ordered:
        return 0.0
    median = ordered[len(ordered) // 2]
    return size / median if median > 0 else float("inf")


def stabilization_interval(size: float, failures: float, joins: float, *, least: float = LEAST_INTERVAL) -> float:
    """Return the period of upkeep in seconds, for a ring of ``size`` nodes, U and L: min(1/(2U), N/L) / log2^2 N.

    Half the ring has gone after the first of the two times, and the ring has doubled after the second; in each it needs
    the square of log2 N rounds to stay whole (RFC 7363 section 6.6, after Liben-Nowell, Balakrishnan and Karger, PODC
    2002).
    """
    halved = 1.0 / (2.0 * failures) if failures > 0 else float("inf")
    doubled = size / joins if joins > 0 else float("inf")
    return max(least, min(halved, doubled) / log2(max(size, 2.0)) ** 2)


class Tuning:
    """What one node has seen of the ring around it: who came and went, and how large others think the ring is."""

    __slots__ = ("_end", "_failures", "_neighbours", "_start", "_told", "_whole", "nearby")

    def __init__(self) -> None:
        self._neighbours: dict[int, float] = {}
        """Whom the predecessor and successor lists name, by id, and when each was seen to join."""
        self._start = self._end = -1
        """The ends of the arc on which all nodes are among them; -1: it has seen nobody yet."""
        self._whole = False
        """Whether that arc is the circle."""
        self._failures: list[float] = []
        """When it began, or an earlier failure than those that count, and since then when each failure was seen."""
        self._told: dict[int, float] = {}
        """What others said of the size of the ring, the latest last, by their ids."""
        self.nearby = 1.0
        """How large the ring is, by the gaps between the neighbours."""

    def see(
        self, now: float, me: int, before: tuple[Peer, ...], after: tuple[Peer, ...], bits: int, *, came_round: bool
    ) -> None:
        """Compare the neighbours with those seen before; one list has changed.

        Who is missing from the arc that they cover has failed, or left, which is the same to whoever pointed to it; and who
        is new on the arc that was covered before has joined.
        """
        old, start, end, whole = self._neighbours, self._start, self._end, self._whole
        names = [*(peer.id for peer in before), *(peer.id for peer in after)]
        ids = dict.fromkeys(names)
        self._whole = came_round or len(ids) < len(names)
        self._start, self._end = before[-1].id if before else me, after[-1].id if after else me
        if not self._failures:
            self._failures.append(now)
        for peer_id in old:
            if peer_id not in ids and (self._whole or between(self._start, peer_id, self._end)):
                self._failures.append(now)
        del self._failures[: -(_FAILURES + 1)]
        self._neighbours = {
            peer_id: old[peer_id]
            if peer_id in old
            else now
            if whole or (start >= 0 and between(start, peer_id, end))
            else _UNKNOWN
            for peer_id in ids
        }
        if self._whole or len(ids) <= _FEW:
            self.nearby = 1.0 + len(ids)
        else:
            self.nearby = max(1.0 + len(ids), size_on_arc(len(ids), distance(self._start, self._end, bits), bits))

    def told(self, peer_id: int, size: float) -> None:
        """Learn how large a peer thinks the ring is, by its own neighbours; 0: it does not say."""
        if size > 0:
            self._told.pop(peer_id, None)
            self._told[peer_id] = size
            if len(self._told) > _TOLD:
                del self._told[next(iter(self._told))]

    @property
    def size(self) -> float:
        """N, how many nodes the ring has: exactly if this node sees all of it, else the mean of what is thought.

        Nobody's word makes the ring smaller than what this node sees of it.
        """
        if self._whole:
            return self.nearby
        least = 1.0 + len(self._neighbours)
        return harmonic_mean([self.nearby, *(max(least, size) for size in self._told.values())])

    def interval(self, now: float, least: float, greatest: float) -> float:
        """Return the period of upkeep, in seconds.

        While few failures were seen one is taken to happen now, so that the period is short at first and grows with the
        time in which nothing happens.  A peer that was there before is older than all that this node can tell of.
        """
        size, failures = self.size, self._failures
        seen_for = now - failures[0] if failures else 0.0
        failing = failure_rate(len(failures), max(1, len(self._neighbours)), seen_for)
        joining = join_rate(size, (now - joined for joined in self._neighbours.values()))
        return min(greatest, stabilization_interval(size, failing, joining, least=least))
