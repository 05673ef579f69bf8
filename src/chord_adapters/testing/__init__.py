"""Tools that search the running code for errors; they need no test framework.

`explore` goes through every interleaving of a small ring of real nodes.  `run_story`, `check_story` and
`rewrite_story` deal with stories: text files of commands and of what was seen, the same on every adapter.
`VirtualRing` is a ring for tests of applications, without pytest; with pytest it is the fixture ``chord_ring``.
`chord_adapters.testing.conformance` has the checks that every adapter must pass.
"""

from __future__ import annotations

from chord_adapters.testing._explorer import Explored, Scenario, explore
from chord_adapters.testing._small_ring import Action, SmallRing
from chord_adapters.testing._stage import Adapter
from chord_adapters.testing._story import StoryError
from chord_adapters.testing._tell import check_story, rewrite_story, run_story, stories
from chord_adapters.testing._virtual_ring import MakeRing, VirtualRing

__all__ = [
    "Action",
    "Adapter",
    "Explored",
    "MakeRing",
    "Scenario",
    "SmallRing",
    "StoryError",
    "VirtualRing",
    "check_story",
    "explore",
    "rewrite_story",
    "run_story",
    "stories",
]
