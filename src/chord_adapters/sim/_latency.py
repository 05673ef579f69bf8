"""How long lookups take among hosts all over the world, and what it brings to prefer the near ones."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from math import hypot
from statistics import median

import attrs

from chord_adapters.sim._field import Field, places_of
from chord_adapters.sim._figures import random_place
from chord_adapters.sim._settings import DELAY, papers, production
from chord_proto.operations import Failed
from chord_proto.peer import Address
from chord_proto.rng import Rng

Progress = Callable[[int, int], None]
_LEAST = 0.002
"""Seconds that any message takes."""
_ACROSS = 0.15
"""How wide a continent is, where the map is 1 wide."""
_SAMPLE = 64
_STEP = 1000


class World:
    """A map with continents, on which each address has its place by the seed; called, how long a message takes, in seconds.

    That is proportional to the distance, and ``mean`` seconds between two addresses on average.
    """

    def __init__(self, seed: int, *, continents: int = 5, mean: float = DELAY) -> None:
        self._seed, self._continents = seed, continents
        self._places: dict[Address, tuple[float, float]] = {}
        some = [self.place(f"sample {number}") for number in range(_SAMPLE)]
        away = [hypot(a[0] - b[0], a[1] - b[1]) for a in some for b in some if a is not b]
        self._scale = (mean - _LEAST) * len(away) / sum(away)

    def __call__(self, source: Address, to: Address) -> float:
        a, b = self.place(source), self.place(to)
        return _LEAST + self._scale * hypot(a[0] - b[0], a[1] - b[1])

    def place(self, address: Address) -> tuple[float, float]:
        """Return where an address is: somewhere on one of the continents."""
        place = self._places.get(address)
        if place is None:
            continent, x, y = self._drawn(address)
            _, left, top = self._drawn(f"continent {int(continent * self._continents)}")
            place = self._places[address] = (left + _ACROSS * x, top + _ACROSS * y)
        return place

    def _drawn(self, name: str) -> tuple[float, float, float]:
        data = blake2b(f"{self._seed}/{name}".encode(), digest_size=24).digest()
        first, second, third = (int.from_bytes(data[start : start + 8]) / 2**64 for start in (0, 8, 16))
        return first, second, third


@attrs.frozen(kw_only=True)
class Latency:
    """How long lookups took, in milliseconds of virtual time; a message took ``DELAY`` on average."""

    nodes: int
    lookups: int
    proximity: bool
    hops: float
    median_ms: float
    mean_ms: float
    p99_ms: float
    wrong: int


def latency(
    *,
    nodes: int = 1000,
    lookups: int = 2000,
    before: int = 20,
    virtual_nodes: int = 1,
    successors: int | None = None,
    seed: int = 0,
    in_production: bool = False,
    proximity: bool = True,
    progress: Progress = lambda done, total: None,
) -> Latency:
    """Look random keys up from random nodes of a ring at rest, whose hosts are on five continents.

    ``before`` lookups for each place come first, by which it gets to know others and how far they are.  The settings are the
    papers', but for ``proximity`` (`Config.proximity`), four candidates in an answer and successor lists of 8: what a retry by
    timeouts would take is not the question here, so questions may take two seconds.
    """
    config = production(successors=successors) if in_production else papers(successors=successors or 8, candidates=4)
    config = attrs.evolve(config, proximity=proximity, initial_timeout=2.0, max_timeout=2.0)
    field = Field(places_of(nodes, virtual_nodes, seed=seed, bits=config.bits), config, seed=seed, between=World(seed))
    rng, took, hops, wrong = Rng(seed), list[float](), 0, 0
    first = before * len(field.ids)
    total = first + lookups
    for number in range(total):
        place = random_place(rng, config.bits)
        found = field.locate(field.nodes[field.ids[rng.below(len(field.ids))]], place)
        if isinstance(found, Failed):
            raise RuntimeError(f"a lookup on a ring at rest failed: {found}")  # noqa: TRY004 nobody gave a wrong type
        if number >= first:
            took.append(1000 * field.took)
            hops += len(found.path)
            wrong += found.owner.id != field.owner(place)
        if number % _STEP == 0:
            progress(number, total)
    took.sort()
    return Latency(
        nodes=nodes,
        lookups=lookups,
        proximity=proximity,
        hops=hops / lookups,
        median_ms=median(took),
        mean_ms=sum(took) / lookups,
        p99_ms=took[int(0.99 * (lookups - 1))],
        wrong=wrong,
    )
