"""What may happen to which small ring, and the ring at its beginning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from chord_adapters.testing._moments import Moments
from chord_adapters.testing._participant import Participant, RingNode
from chord_adapters.testing._small_ring import SmallRing, State, Step
from chord_adapters.testing._trace import TraceError
from chord_proto.config import Config
from chord_proto.invariants import MEMBERS, Scope
from chord_proto.peer import Peer

_MOST = 32
_ROUNDS = 100
"""Rounds of all timers within which members that join one after the other must be an ideal ring."""

Make = Callable[[Peer, int, Config], Participant]
"""Makes a node that is outside of any ring: of its place, a seed, and the parameters."""


@attrs.frozen
class Beginning:
    """A state, and the rules by which it goes on."""

    rules: SmallRing
    state: State

    @property
    def scope(self) -> frozenset[Scope]:
        """What may be asserted: Z only where the members are more than r, as Zave's proof takes for granted."""
        moments = self.rules.moments.moments
        members = sum(number >= 0 and moments[number].view.phase in MEMBERS for number in self.state.moments)
        return frozenset({"Z", "A"} if members > self.rules.config.successors else {"A"})


@attrs.frozen(kw_only=True)
class Scenario:
    """What may happen to which ring.

    ``members`` nodes form an ideal ring at first.  ``joiners`` nodes come to it, each by the first of these members.
    ``failures`` of its members fail, but none that would leave a member without a living successor or fewer than
    ``successors`` + 1 principals; with ``any_failure`` any members, also such.  ``replicas`` counts for the lists only:
    they run on until they name so many addresses.  ``prefix`` and a number make the addresses.  ``make`` makes the
    nodes, by default the shipping ones.
    """

    members: int
    joiners: int = 0
    failures: int = 0
    successors: int = 2
    predecessors: int = 1
    """How long lists of predecessors are.  No rule of the ring looks farther back than the first."""
    replicas: int = 1
    exchanges: bool = True
    """A request and its answer are one step; False: each message is one."""
    any_failure: bool = attrs.field(default=False, converter=bool)
    """Also failures that Zave's proof rules out: then nothing is promised, and Z must not be asserted."""
    prefix: str = "n"
    make: Make = RingNode.make

    def __attrs_post_init__(self) -> None:
        if self.members < 1 or self.joiners < 0 or self.failures < 0:
            raise ValueError("a scenario has at least one member, and no fewer than no joiners and failures")
        if self.members + self.joiners > _MOST:
            raise ValueError(f"a scenario has at most {_MOST} nodes: more could not be searched")

    @property
    def config(self) -> Config:
        """The nodes' parameters."""
        return Config(successors=self.successors, predecessors=self.predecessors, replicas=self.replicas)

    @property
    def grain(self) -> str:
        """What one step is: ``"exchanges"`` or ``"messages"``."""
        return "exchanges" if self.exchanges else "messages"

    def settings(self) -> dict[str, str]:
        """Return the scenario as the second line of a trace tells it; nodes of one's own are not told."""
        counts = ("members", "joiners", "failures", "successors", "predecessors", "replicas")
        told = {**{name: str(getattr(self, name)) for name in counts}, "grain": self.grain}
        if self.any_failure:
            told["any_failure"] = "1"
        if self.prefix != "n":
            told["prefix"] = self.prefix
        return told

    @classmethod
    def of(cls, settings: Mapping[str, str], make: Make = RingNode.make) -> Scenario:
        """Return the scenario that a trace tells; raises `TraceError`."""
        numbers = dict(settings)
        prefix = numbers.pop("prefix", "n")
        exchanges = {"exchanges": True, "messages": False}.get(numbers.pop("grain", "exchanges"))
        if exchanges is None:
            raise TraceError("line 2: the grain is exchanges or messages")
        try:
            counts = {name: int(value) for name, value in numbers.items()}
            return cls(**counts, prefix=prefix, exchanges=exchanges, make=make)
        except (TypeError, ValueError) as error:
            raise TraceError(f"line 2: {error}") from error

    def begin(self) -> Beginning:
        """Return the first state.  Places are spread so that joiners fall between members in turn."""
        count, config = self.members + self.joiners, self.config
        peers = sorted((Peer.at(f"{self.prefix}{number}") for number in range(count)), key=lambda peer: peer.id)
        names = tuple(peer.address for peer in peers)
        joining = sorted([*range(1, count, 2), *range(2, count, 2)][: self.joiners])
        moments = Moments(config)
        nodes = [self.make(peer, number, config) for number, peer in enumerate(peers)]
        members = [position for position in range(count) if position not in joining]
        nodes[members[0]].create()
        first = names[members[0]]
        state = State(tuple(moments.add(node) for node in nodes))
        alone = SmallRing(moments, names, exchanges=True)
        for position in members[1:]:
            state = _settled(alone, state._replace(to_join=((position, first),)))
        state = state._replace(to_join=tuple((position, first) for position in joining), may_fail=self.failures)
        rules = SmallRing(moments, names, exchanges=self.exchanges, any_failure=self.any_failure)
        return Beginning(rules, state)


def _settled(rules: SmallRing, state: State) -> State:
    """Let a joiner join, and everything else happen in turn, until nothing changes any more."""
    for _ in range(_ROUNDS):
        before = state
        while state.to_join or state.parcels:
            state = next((after for _, after, _ in _moves(rules, state)), state)
        for position in range(len(state.moments)):
            for timer in rules.moments.moments[state.moments[position]].timers:
                state = next(after for step, after, _ in rules.steps(state) if step == ("fire", position, timer))
        if state == before and rules.why_not_ideal(state) is None:
            return state
    raise RuntimeError("the members do not become an ideal ring even when nothing goes wrong")


def _moves(rules: SmallRing, state: State) -> Iterator[tuple[Step, State, str | None]]:
    return (each for each in rules.steps(state) if each[0][0] in ("join", "deliver"))
