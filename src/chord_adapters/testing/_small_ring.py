"""A ring of a few real nodes without time: what may happen next, and the state after it.

Time stands still.  A timer may fire whenever its node could let it, a message may arrive whenever it is under
way, and who asks a dead node learns that whenever it may be told: so every order in which these can happen is a
path.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from chord_adapters.testing._moments import Input, Moments
from chord_proto.config import Config
from chord_proto.invariants import MEMBERS, Scope, Snapshot, UnderWay, check, why_not_ideal
from chord_proto.messages import Neighbours
from chord_proto.peer import Address
from chord_proto.phase import Phase

Action: TypeAlias = tuple[str, ...]
"""What happens, in words: ``("join", "d", "a")``, ``("fail", "b")``, ``("stabilize", "a")``, ``("deliver", …)``."""
Step: TypeAlias = tuple[str, int, object]
"""The same in numbers: the kind, the node's position or the parcel's number, the timer or contact."""
DEAD = -1


class State(NamedTuple):
    """Where all nodes stand, what is under way, and what may still be done to them.

    ``moments`` has each node's in the order of the circle, -1 for a dead one; ``to_join`` holds (position,
    contact) of joiners still to come; ``may_fail`` counts members that may still fail.
    """

    moments: tuple[int, ...]
    parcels: tuple[int, ...] = ()
    to_join: tuple[tuple[int, Address], ...] = ()
    may_fail: int = 0


class SmallRing:
    """The rules of what may happen, over states.

    ``exchanges`` makes a request and its answer one step; without it each message is one.  ``any_failure`` allows
    failures that Zave's proof rules out.
    """

    def __init__(
        self, moments: Moments, addresses: tuple[Address, ...], *, exchanges: bool, any_failure: bool = False
    ) -> None:
        self.moments = moments
        self.addresses = addresses
        self.exchanges = exchanges
        self.any_failure = any_failure
        self._position = {address: position for position, address in enumerate(addresses)}
        self._ring_problems: dict[object, str | None] = {}
        self._flaws: dict[object, str | None] = {}

    @property
    def config(self) -> Config:
        """The nodes' parameters."""
        return self.moments.config

    # Looking

    def snapshot(self, state: State) -> Snapshot:
        """Return what the invariants look at."""
        moments = self.moments
        living = (moments.moments[number].view for number in state.moments if number != DEAD)
        return Snapshot(
            views=tuple(view for view in living if view.phase is not Phase.NEW),
            config=self.config,
            under_way=tuple(UnderWay(moments.parcels[number].message, 0.0) for number in state.parcels),
        )

    def why_not_ideal(self, state: State) -> str | None:
        """Say what keeps a state from being the ideal ring."""
        shapes = self._shapes(state)
        if shapes not in self._flaws:
            self._flaws[shapes] = why_not_ideal(self.snapshot(state).views, self.config)
        return self._flaws[shapes]

    def problem(self, state: State, scope: frozenset[Scope]) -> str | None:
        """Return which invariants of ``scope`` are broken: A is about single nodes, Z about all of them together."""
        if "A" in scope:
            for number in state.moments:
                if number != DEAD and (problem := self.moments.moments[number].problem) is not None:
                    return problem
        return self._ring_problem(state) if "Z" in scope else None

    def _shapes(self, state: State) -> tuple[int, ...]:
        moments = self.moments.moments
        return tuple(number if number == DEAD else moments[number].shape for number in state.moments)

    def _ring_problem(self, state: State) -> str | None:
        parcels = self.moments.parcels
        lists = tuple(number for number in state.parcels if type(parcels[number].message) is Neighbours)
        looked_at = self._shapes(state), lists
        if looked_at not in self._ring_problems:
            found = check(self.snapshot(state), {"Z"})
            self._ring_problems[looked_at] = "; ".join(map(str, found)) or None
        return self._ring_problems[looked_at]

    # What may happen

    def steps(self, state: State) -> Iterator[tuple[Step, State, str | None]]:
        """Yield everything that may happen next, the state after it, and what was wrong with the step itself."""
        for step in self.possible(state):
            yield step, *self.take(state, step)

    def possible(self, state: State) -> Iterator[Step]:
        """Yield everything that may happen next."""
        moments = self.moments.moments
        for position, contact in state.to_join:
            yield "join", position, contact
        for position, number in enumerate(state.moments):
            if number == DEAD:
                continue
            moment = moments[number]
            if (
                state.may_fail
                and moment.view.phase in MEMBERS
                and (self.any_failure or self._may_fail(state, position))
            ):
                yield "fail", position, None
            for timer in moment.timers:
                yield "fire", position, timer
        for number in dict.fromkeys(state.parcels):
            yield "deliver", number, None

    def take(self, state: State, step: Step) -> tuple[State, str | None]:
        """Return the state after a step, and what was wrong with the step itself."""
        kind, number, argument = step
        if kind == "join":
            rest = tuple(pair for pair in state.to_join if pair[0] != number)
            return self._run(state._replace(to_join=rest), number, ("join", argument))
        if kind == "fail":
            return self._fail(state, number), None
        if kind == "fire":
            return self._run(state, number, ("fire", argument))
        return self._deliver(state, number)

    def words(self, step: Step) -> Action:
        """Return a step in words."""
        kind, number, argument = step
        if kind == "deliver":
            return ("deliver", *self.moments.parcels[number].words)
        address = self.addresses[number]
        if kind == "fire":
            return (str(argument), address)
        return (kind, address) if argument is None else (kind, address, str(argument))

    def _may_fail(self, state: State, position: int) -> bool:
        """Tell whether a failure keeps Zave's assumption: it strands nobody, and leaves r + 1 principals if there were."""
        snapshot = self.snapshot(self._fail(state, position))
        if any(snapshot.best(view) is None and view.successors for view in snapshot.live.values()):
            return False
        wanted = self.config.successors + 1
        return len(snapshot.principals) >= wanted or len(self.snapshot(state).principals) < wanted

    # What happens then

    def _fail(self, state: State, position: int) -> State:
        """Return the state in which a node is dead: its messages still arrive, but answers to it are lost."""
        parcels, address = self.moments.parcels, self.addresses[position]
        kept = tuple(n for n in state.parcels if parcels[n].to != address or parcels[n].asks is not None)
        return State(_with(state.moments, position, DEAD), kept, state.to_join, state.may_fail - 1)

    def _run(
        self, state: State, position: int, given: Input, under_way: list[int] | None = None
    ) -> tuple[State, str | None]:
        """Return the state after one input of one node, and what follows in the same step.

        ``under_way`` is what is left of the state's parcels, to be changed here.
        """
        outcome = self.moments.run(state.moments[position], given)
        problem = outcome.problem
        if under_way is None:
            under_way = list(state.parcels)
        if outcome.given_up and under_way:
            under_way = [self._forgotten(number, position, outcome.given_up) for number in under_way]
        asked: int | None = None
        for number in outcome.sent:
            parcel = self.moments.parcels[number]
            if parcel.answers is not None:
                if state.moments[self._position[parcel.to]] != DEAD:
                    under_way.append(number)
            elif parcel.asks is not None:
                under_way.append(number)
                if asked is None and ((self.exchanges and given[0] == "fire") or self.moments.is_at_once(parcel.asks)):
                    asked = number
            elif number not in under_way:  # The same word twice at one time is the same word.
                under_way.append(number)
        if outcome.sent or outcome.given_up:
            under_way.sort()
        after = State(_with(state.moments, position, outcome.moment), tuple(under_way), state.to_join, state.may_fail)
        if asked is not None:
            after, more = self._deliver(after, asked, at_once=True)
            problem = problem or more
        return after, problem

    def _forgotten(self, number: int, position: int, given_up: tuple[int, ...]) -> int:
        """Return the parcel, as stale if it belongs to a request of the node at ``position`` that was given up."""
        parcel, address = self.moments.parcels[number], self.addresses[position]
        mine = parcel.asks if parcel.sender == address else parcel.answers if parcel.to == address else None
        return self.moments.stale(number) if mine in given_up else number

    def _deliver(self, state: State, number: int, *, at_once: bool = False) -> tuple[State, str | None]:
        parcels = self.moments.parcels
        parcel = parcels[number]
        under_way = list(state.parcels)
        under_way.remove(number)
        to, sender = self._position.get(parcel.to, DEAD), self._position[parcel.sender]
        if to != DEAD and state.moments[to] != DEAD:
            after, problem = self._run(state, to, ("receive", number), under_way)
            if parcel.asks is not None and (self.exchanges or at_once):
                answer = next((other for other in after.parcels if parcels[other].answers == parcel.asks), None)
                if answer is not None:
                    after, more = self._deliver(after, answer)
                    return after, problem or more
            return after, problem
        waits = state.moments[sender] != DEAD and parcel.asks is not None
        if waits and parcel.asks in self.moments.moments[state.moments[sender]].asked:
            return self._run(state, sender, ("silence", parcel.asks), under_way)
        return state._replace(parcels=tuple(under_way)), None


def _with(moments: tuple[int, ...], position: int, number: int) -> tuple[int, ...]:
    return (*moments[:position], number, *moments[position + 1 :])
