"""Tools that search the running code for errors; they need no test framework.

`explore` goes through every interleaving of a small ring of real nodes.
"""

from __future__ import annotations

from chord_adapters.testing._explorer import Explored, explore
from chord_adapters.testing._participant import Evidence, Participant, RingNode
from chord_adapters.testing._retrace import Retraced, describe, retrace
from chord_adapters.testing._scenario import Beginning, Scenario
from chord_adapters.testing._small_ring import Action, SmallRing, State
from chord_adapters.testing._trace import Trace, TraceError

__all__ = [
    "Action",
    "Beginning",
    "Evidence",
    "Explored",
    "Participant",
    "Retraced",
    "RingNode",
    "Scenario",
    "SmallRing",
    "State",
    "Trace",
    "TraceError",
    "describe",
    "explore",
    "retrace",
]
