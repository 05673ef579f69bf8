"""Tools that search the running code for errors; they need no test framework.

`explore` goes through every interleaving of a small ring of real nodes.  `simulate` runs plans of faults, drawn from
seeds, on whole rings in virtual time; a `World` is one such run.  `chord_adapters.testing.hypothesis` draws them with
Hypothesis.  A `Recorder` writes down what nodes are told and what they do, and `replay` feeds that to fresh nodes again.

`run_story`, `check_story` and `rewrite_story` deal with stories: text files of commands and of what was seen, the same
on every adapter.  `VirtualRing` is a ring for tests of applications, without pytest; with pytest it is the fixture
``chord_ring``.  `chord_adapters.testing.conformance` has the checks that every adapter must pass.
"""

from __future__ import annotations

from chord_adapters._recording import Recorder
from chord_adapters.testing._choices import (
    Choice,
    Choices,
    Deviations,
    Drawn,
    Seeded,
    Tape,
    Taped,
    TapeError,
    every_choice,
)
from chord_adapters.testing._drawing import Drawing
from chord_adapters.testing._explorer import Explored, explore
from chord_adapters.testing._happenings import KINDS, Event, Kind, happening
from chord_adapters.testing._history import History
from chord_adapters.testing._ledger import Ledger
from chord_adapters.testing._lying import Liar
from chord_adapters.testing._overseer import Broken, Overseer
from chord_adapters.testing._participant import Evidence, Participant, RingNode
from chord_adapters.testing._plan import Plan, Setup
from chord_adapters.testing._recorded import BadRecording
from chord_adapters.testing._replay import Difference, NodeState, Replayed, replay
from chord_adapters.testing._retrace import Retraced, describe, retrace
from chord_adapters.testing._scenario import Beginning, Scenario
from chord_adapters.testing._simulate import SOMETIMES, Failure, Simulated, shrunk, simulate
from chord_adapters.testing._small_ring import Action, SmallRing, State
from chord_adapters.testing._stage import Adapter
from chord_adapters.testing._story import StoryError
from chord_adapters.testing._tell import check_story, rewrite_story, run_story, stories
from chord_adapters.testing._trace import Trace, TraceError
from chord_adapters.testing._virtual_ring import MakeRing, VirtualRing
from chord_adapters.testing._walk import Walked, walk
from chord_adapters.testing._world import World

__all__ = [
    "KINDS",
    "SOMETIMES",
    "Action",
    "Adapter",
    "BadRecording",
    "Beginning",
    "Broken",
    "Choice",
    "Choices",
    "Deviations",
    "Difference",
    "Drawing",
    "Drawn",
    "Event",
    "Evidence",
    "Explored",
    "Failure",
    "History",
    "Kind",
    "Ledger",
    "Liar",
    "MakeRing",
    "NodeState",
    "Overseer",
    "Participant",
    "Plan",
    "Recorder",
    "Replayed",
    "Retraced",
    "RingNode",
    "Scenario",
    "Seeded",
    "Setup",
    "Simulated",
    "SmallRing",
    "State",
    "StoryError",
    "Tape",
    "TapeError",
    "Taped",
    "Trace",
    "TraceError",
    "VirtualRing",
    "Walked",
    "World",
    "check_story",
    "describe",
    "every_choice",
    "explore",
    "happening",
    "replay",
    "retrace",
    "rewrite_story",
    "run_story",
    "shrunk",
    "simulate",
    "stories",
    "walk",
]
