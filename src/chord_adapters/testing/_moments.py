"""The nodes of a small ring at single moments, each moment kept once, and what each input makes of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, TypeAlias

import attrs

from chord_adapters.testing._participant import Participant, Sent
from chord_proto.config import Config
from chord_proto.invariants import Facts, Snapshot, check
from chord_proto.messages import Answer, Message, Request
from chord_proto.peer import Address, Peer
from chord_proto.view import NodeView

STALE = 0
"""The number of a request that nobody waits for any more."""

Input: TypeAlias = tuple[str, Any]
"""``("join", contact)``, ``("fire", timer)``, ``("receive", parcel)``, ``("silence", number of the request)``."""


@attrs.frozen
class Parcel:
    """A message under way.  A request, or an answer, has the number that its purpose has at its asker."""

    to: Address
    sender: Address
    message: Message
    words: tuple[str, ...]
    """What it is: kind, sender, receiver, and what it says where that may differ."""
    asks: int | None = None
    """The number of the request that it is."""
    answers: int | None = None
    """The number of the request that it answers."""


@attrs.frozen(eq=False)
class Moment:
    """A node in one state.  ``problem`` is what is wrong with it whatever the others do."""

    number: int
    participant: Participant
    view: NodeView
    asked: dict[int, int]
    """Requests that are out: by the number of the purpose, the participant's own number."""
    timers: tuple[str, ...]
    shape: int
    """Equal for moments whose pointers are equal."""
    problem: str | None
    after: dict[Input, Outcome] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Outcome:
    """What an input leads to: the next moment, the parcels sent, the requests given up, and what was wrong with it."""

    moment: int
    sent: tuple[int, ...]
    given_up: tuple[int, ...]
    problem: str | None


class Moments:
    """Everything that was ever seen of single nodes: what a node does depends on its moment and the input alone.

    So each input of each moment is carried out once, however many states of the ring it occurs in.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.moments: list[Moment] = []
        self.parcels: list[Parcel] = []
        self._by_state: dict[Hashable, int] = {}
        self._by_content: dict[Hashable, int] = {}
        self._shapes: dict[Hashable, int] = {}
        self._purposes: dict[Hashable, int] = {"stale": STALE}
        self._at_once: set[int] = set()

    def add(self, participant: Participant) -> int:
        """Return the number of a participant's moment."""
        state = (participant.peer, participant.state())
        number = self._by_state.get(state)
        if number is None:
            number = self._by_state[state] = len(self.moments)
            asked = {self._purpose(participant, purpose): own for own, purpose in participant.asked().items()}
            view = participant.view()
            waits = tuple(
                (purpose, address, when)
                for own, address, when in view.requests
                for purpose in asked
                if asked[purpose] == own
            )
            pointers = (view.me, view.phase, view.predecessor, view.successors, view.came_round)
            found = check(Snapshot(views=(view,), config=self.config), {"A"})
            self.moments.append(
                Moment(
                    number,
                    participant,
                    attrs.evolve(view, requests=waits),
                    asked,
                    tuple(participant.timers()),
                    self._shapes.setdefault(pointers, len(self._shapes)),
                    "; ".join(map(str, found)) or None,
                )
            )
        return number

    def is_at_once(self, number: int) -> bool:
        """Tell whether the request of this number is answered in the step that sends it, whatever the grain."""
        return number in self._at_once

    def run(self, number: int, given: Input) -> Outcome:
        """Return what an input of a moment leads to."""
        before = self.moments[number]
        outcome = before.after.get(given)
        if outcome is None:
            outcome = before.after[given] = self._run(before, given)
        return outcome

    def _run(self, before: Moment, given: Input) -> Outcome:
        participant = before.participant.copy()
        sent = self._give(participant, before, given)
        own = {request: purpose for purpose, request in before.asked.items()}
        after = self.moments[self.add(participant)]
        now_out = participant.asked()
        parcels = tuple(self._parcel(participant, to, message) for to, message in sent)
        given_up = tuple(purpose for request, purpose in own.items() if request not in now_out)
        return Outcome(after.number, parcels, given_up, self._moved_wrongly(before, after, participant))

    def _give(self, participant: Participant, before: Moment, given: Input) -> Sent:
        kind, argument = given
        if kind == "join":
            return participant.join(argument)
        if kind == "fire":
            return participant.fire(argument)
        if kind == "silence":
            return participant.silence(before.asked[argument])
        parcel = self.parcels[argument]
        message = parcel.message
        if isinstance(message, Answer):
            message = _renumbered(message, before.asked.get(message.request, STALE))
        return participant.receive(message, parcel.sender)

    def _parcel(self, participant: Participant, to: Address, message: Message) -> int:
        if isinstance(message, Request):
            number = self._purpose(participant, participant.asked()[message.request])
            message = _renumbered(message, number)
        return self.put(to, participant.peer.address, message)

    def put(self, to: Address, sender: Address, message: Message) -> int:
        """Return the number of a parcel."""
        content = (to, sender, type(message), *(getattr(message, name) for name in _names(type(message))))
        number = self._by_content.get(content)
        if number is None:
            number = self._by_content[content] = len(self.parcels)
            asks = message.request if isinstance(message, Request) else None
            answers = message.request if isinstance(message, Answer) else None
            self.parcels.append(Parcel(to, sender, message, _words(to, sender, message), asks, answers))
        return number

    def stale(self, number: int) -> int:
        """Return the parcel as it is once nobody waits for it."""
        parcel = self.parcels[number]
        return self.put(parcel.to, parcel.sender, _renumbered(parcel.message, STALE))

    def _purpose(self, participant: Participant, purpose: Hashable) -> int:
        named = (participant.peer, purpose)
        number = self._purposes.setdefault(named, len(self._purposes))
        if participant.is_at_once(purpose):
            self._at_once.add(number)
        return number

    def _moved_wrongly(self, before: Moment, after: Moment, participant: Participant) -> str | None:
        """Check the properties about moves (S12, S13) by what the node itself had reason to believe."""
        earlier, later, me = before.participant.evidence(), participant.evidence(), after.view.me.id
        known = {peer.id: peer for peer in _named(before.view, after.view)}
        facts = Facts(
            gone={(me, known[peer]) for peer in earlier.dead | later.dead if peer in known},
            answered={(me, known[peer]) for peer in later.answered if peer in known},
        )
        moved = Snapshot(views=(after.view,), config=self.config, before={me: before.view}, facts=facts)
        return "; ".join(str(each) for each in check(moved, {"A"}) if each.name in ("S12", "S13")) or None


def _named(*views: NodeView) -> Iterable[Peer]:
    for view in views:
        if view.predecessor is not None:
            yield view.predecessor
        yield from view.successors


def _names(kind: Any) -> Iterable[str]:
    return (field.name for field in attrs.fields(kind))


def _renumbered(message: Any, request: int) -> Message:
    renumbered: Message = attrs.evolve(message, request=request)
    return renumbered


def _words(to: Address, sender: Address, message: Message) -> tuple[str, ...]:
    """Return the message in words: kind, sender, receiver, then pointers that it tells."""
    words = [type(message).__name__, sender, to]
    told = (name for name in ("predecessor", "successors", "predecessors", "peers", "member") if hasattr(message, name))
    return (*words, *(f"{name}={_plain(getattr(message, name))}" for name in told))


def _plain(value: object) -> str:
    if isinstance(value, Peer):
        return value.address
    if isinstance(value, tuple):
        return ",".join(_plain(item) for item in value) or "-"
    return "-" if value is None else str(value)
