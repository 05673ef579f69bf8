"""The simulated network's links: how long a message travels, whether it arrives, and who is cut off from whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil, log
from random import Random

from chord_proto.peer import Address

Micros = int
"""Virtual time, in whole microseconds: no float ever decides an order."""

MICROS = 1_000_000
EPOCH = 1_700_000_000.0
"""Civil time at the beginning of virtual time, Unix seconds; any constant would do."""

Barrier = tuple[dict[Address, int], int | None, bool]
"""Which side each address is on, the side of all others (None: on every side), and whether it blocks one way only."""


def micros(seconds: float) -> Micros:
    """Return the first microsecond that is no earlier: read back as seconds, it is not a rounding error too early."""
    at = ceil(seconds * MICROS)
    return at if at / MICROS >= seconds else at + 1


class Links:
    """Latency, loss, duplication and reordering from a seed; cuts and partitions."""

    __slots__ = (
        "_barriers",
        "_cuts",
        "_random",
        "between",
        "corrupt",
        "duplicate",
        "loss",
        "mean",
        "reorder",
        "shortest",
        "spread",
        "whole",
    )

    def __init__(self, seed: object, chance: Callable[[], float] | None = None) -> None:
        # Seeded by a string: the same numbers in every process, whatever the hash seed.
        self._random = chance or Random(f"{seed}/links").random
        self.loss = self.duplicate = self.reorder = self.corrupt = 0.0
        self.shortest = self.spread = 0
        self.mean: Micros = 0
        """If not 0, times are drawn from the exponential distribution of this mean."""
        self.between: Callable[[Address, Address], float] | None = None
        """Seconds from one address to another, to which what is drawn is added."""
        self._cuts: dict[tuple[Address, Address], None] = {}
        self._barriers: list[Barrier] = []
        self.whole = True
        """True while nobody is cut off."""

    def set(
        self,
        *,
        latency: tuple[float, float] | None = None,
        loss: float | None = None,
        duplicate: float | None = None,
        reorder: float | None = None,
        corrupt: float | None = None,
    ) -> None:
        """Change what is given; raises ``ValueError`` for a latency or probability that cannot be."""
        for name, share in (("loss", loss), ("duplicate", duplicate), ("reorder", reorder), ("corrupt", corrupt)):
            if share is not None and not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} must lie between 0 and 1, not {share}")
        if latency is not None:
            low, high = latency
            if not 0.0 <= low <= high:
                raise ValueError(f"latency must be (shortest, longest) seconds, not {latency}")
            self.shortest, self.spread = micros(low), micros(high) - micros(low)
        self.loss = self.loss if loss is None else loss
        self.duplicate = self.duplicate if duplicate is None else duplicate
        self.reorder = self.reorder if reorder is None else reorder
        self.corrupt = self.corrupt if corrupt is None else corrupt

    def latency(self, source: Address, to: Address) -> Micros:
        """Draw the time one message travels."""
        far = 0 if self.between is None else micros(self.between(source, to))
        if self.mean:
            return far + int(-log(1 - self._random()) * self.mean)
        return far + self.shortest + int(self._random() * self.spread)

    def below(self, count: int) -> int:
        """Draw a number from 0 to ``count`` - 1."""
        return int(self._random() * count)

    def chance(self, share: float) -> bool:
        """Draw whether something of this probability happens."""
        return self._random() < share

    def arrival(self, source: Address, pipe: dict[Address, Micros], to: Address, now: Micros) -> Micros | None:
        """Draw when a message sent now arrives, None if it is lost.

        ``pipe`` remembers the source's latest arrival at each address: messages keep their order, as on a
        connection, unless one is drawn to be reordered.
        """
        random = self._random
        if self.loss and random() < self.loss:
            return None
        if self.mean or self.between is not None:
            at = now + self.latency(source, to)
        else:
            at = now + self.shortest + int(random() * self.spread)
        if self.reorder and random() < self.reorder:
            return at
        latest = pipe.get(to, 0)
        if at < latest:
            return latest
        pipe[to] = at
        return at

    # Who is cut off

    def cut(self, a: Address, b: Address, *, oneway: bool) -> None:
        """Lose what ``a`` sends to ``b`` and, unless ``oneway``, what ``b`` sends to ``a``."""
        self._cuts[a, b] = None
        if not oneway:
            self._cuts[b, a] = None
        self.whole = False

    def partition(self, groups: tuple[Iterable[Address], ...], *, oneway: bool) -> None:
        """Separate the groups from each other, a single one from everybody else."""
        sides = {address: side for side, group in enumerate(groups) for address in group}
        self._barriers.append((sides, 1 if len(groups) == 1 else None, oneway))
        self.whole = False

    def heal(self) -> None:
        """Undo all cuts and partitions."""
        self._cuts.clear()
        self._barriers.clear()
        self.whole = True

    def blocked(self, source: Address, to: Address) -> bool:
        """Tell whether what ``source`` sends to ``to`` is lost."""
        if (source, to) in self._cuts:
            return True
        for sides, others, oneway in self._barriers:
            a, b = sides.get(source, others), sides.get(to, others)
            if a is not None and b is not None and (a < b if oneway else a != b):
                return True
        return False
