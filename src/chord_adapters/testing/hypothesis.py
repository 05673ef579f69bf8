"""Plans by Hypothesis, which shrinks them: strategies, and a state machine to subclass.

Needs the extra ``testing``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from chord_adapters.testing._choices import Choices, Drawn
from chord_adapters.testing._happenings import KINDS, Event
from chord_adapters.testing._plan import Plan, Setup
from chord_adapters.testing._strategies import messages, operations, peers, places, records
from chord_adapters.testing._world import World

__all__ = [
    "ChordMachine",
    "deviations",
    "events",
    "messages",
    "operations",
    "peers",
    "places",
    "plans",
    "records",
    "setups",
]

_GAP = 200
_MOST = 8


def deviations(most: int = _MOST) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    """Return a strategy of orders of messages: first in, first out, but for up to ``most`` choices."""
    return st.lists(st.tuples(st.integers(0, _GAP), st.integers(0, (1 << 20) - 1)), max_size=most).map(tuple)


@st.composite
def setups(draw: st.DrawFn, *, in_order: bool | None = None) -> Setup:
    """Return a strategy of beginnings; ``in_order`` says whether messages deviate from their order only here and there."""
    setup = Setup.draw(_choices(draw))
    deviate = draw(st.booleans()) if in_order is None else in_order
    return setup.deviating(draw(deviations())) if deviate else setup


def events(kinds: tuple[str, ...] = tuple(KINDS)) -> st.SearchStrategy[Event]:
    """Return a strategy of single happenings of some kinds."""
    return st.one_of([_event(kind) for kind in kinds])


@st.composite
def plans(
    draw: st.DrawFn, *, setup: st.SearchStrategy[Setup] | None = None, kinds: tuple[str, ...] = (), steps: int = 25
) -> Plan:
    """Return a strategy of whole plans of up to ``steps`` happenings."""
    begin = draw(setups() if setup is None else setup)
    happen = draw(st.lists(events(kinds or tuple(KINDS)), max_size=steps))
    return Plan(begin, tuple(happen))


def _event(kind: str) -> st.SearchStrategy[Event]:
    numbers = {name: st.sampled_from(values) for name, values in KINDS[kind].numbers.items()}
    return st.fixed_dictionaries(numbers).map(lambda drawn: Event(kind, drawn))


def _choices(draw: st.DrawFn) -> Choices:
    return Drawn(lambda bound: draw(st.integers(0, bound - 1)))


class ChordMachine(RuleBasedStateMachine):
    """Nodes come, go, die, are cut off and come back while clients read and write; then all becomes quiet.

    Each kind of happening is a rule.  Subclass it with rules and invariants of your own, with other ``setups``, or with
    another ``make_world``: nodes of your own are ``functools.partial(World, make_node=MyNode)``, a storage of your own
    is ``functools.partial(World, make_disk=MyStorage)``.  ``world`` is there from the first rule on.  A failing example is also noted as a trace, for ``chord replay``.
    """

    setups: ClassVar[st.SearchStrategy[Setup]] = setups(in_order=False)
    make_world: ClassVar[Callable[..., World]] = World
    seen: ClassVar[Counter[str]] = Counter()
    """What happened how often, in all examples of this class; see ``SOMETIMES``."""

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        cls.seen = Counter()

    def __init__(self) -> None:
        super().__init__()
        self._world: World | None = None
        self._happened: list[Event] = []
        self._setup = Setup()

    @property
    def world(self) -> World:
        """The run."""
        assert self._world is not None, "the first rule has not begun it yet"
        return self._world

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Begin with an ideal ring."""
        self._setup = data.draw(type(self).setups)
        self._world = self._setup.world(type(self).make_world)

    def happen(self, event: Event) -> None:
        """Let something happen."""
        self._happened.append(event)
        event.happen(self.world)

    def teardown(self) -> None:
        """Let all become quiet, and judge."""
        if self._world is None:
            return
        note(str(Plan(self._setup, tuple(self._happened)).trace()))
        self._world.settle()
        type(self).seen.update(self._world.overseer.seen)


def _add_rule(kind: str) -> None:
    def happens(self: ChordMachine, **numbers: int) -> None:
        self.happen(Event(kind, numbers))

    happens.__name__ = kind
    happens.__doc__ = KINDS[kind].do.__doc__
    strategies: dict[str, Any] = {name: st.sampled_from(values) for name, values in KINDS[kind].numbers.items()}
    begun = precondition(lambda self: self._world is not None and bool(KINDS[kind].when(self._world)))
    setattr(ChordMachine, kind, begun(rule(**strategies)(happens)))  # type: ignore[no-untyped-call]


for _kind in KINDS:
    _add_rule(_kind)
