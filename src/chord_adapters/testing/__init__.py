"""Tools that search the running code for errors; they need no test framework.

`explore` goes through every interleaving of a small ring of real nodes.  A `Recorder` writes down what nodes are told
and what they do, and `replay` feeds that to fresh nodes again.
"""

from __future__ import annotations

from chord_adapters._recording import Recorder
from chord_adapters.testing._explorer import Explored, Scenario, explore
from chord_adapters.testing._recorded import BadRecording
from chord_adapters.testing._replay import Difference, Replayed, State, replay
from chord_adapters.testing._small_ring import Action, SmallRing

__all__ = [
    "Action",
    "BadRecording",
    "Difference",
    "Explored",
    "Recorder",
    "Replayed",
    "Scenario",
    "SmallRing",
    "State",
    "explore",
    "replay",
]
