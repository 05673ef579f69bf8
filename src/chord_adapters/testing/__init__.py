"""Tools that search the running code for errors; they need no test framework.

`explore` goes through every interleaving of a small ring of real nodes.
"""

from __future__ import annotations

from chord_adapters.testing._explorer import Explored, Scenario, explore
from chord_adapters.testing._small_ring import Action, SmallRing

__all__ = ["Action", "Explored", "Scenario", "SmallRing", "explore"]
