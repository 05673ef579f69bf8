"""A small seeded generator: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).

One ``int`` of state a node (``random.Random`` weighs 2.9 kB), the same numbers on every platform.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1


class Rng:
    """Uniform integers and jitter from a seed.  ``spread`` is by what share of a period jitter moves it at most, either way."""

    __slots__ = ("spread", "state")

    def __init__(self, seed: int, *, spread: float = 0.2) -> None:
        self.state = seed & _MASK
        self.spread = spread

    def bits64(self) -> int:
        """Return 64 random bits."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, n: int) -> int:
        """Return an integer in ``range(n)``; the bias is below 2**-32 for any n that occurs here."""
        return (self.bits64() * n) >> 64

    def jitter(self, period: float) -> float:
        """Return ``period`` times a uniform factor between 1 - spread and 1 + spread."""
        spread = self.spread
        return period * (1.0 - spread + 2.0 * spread * (self.bits64() >> 11) / (1 << 53))

    def request_id(self) -> int:
        """Return an id for a request: 63 bits, hard to guess for who does not know the seed."""
        return self.bits64() >> 1
