"""What the invariants look at: the nodes at one moment, what is under way, and what a harness remembers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Mapping
from functools import cached_property

import attrs

from chord_proto.config import Config
from chord_proto.identifiers import between
from chord_proto.messages import Message, Neighbours
from chord_proto.peer import Peer
from chord_proto.phase import Phase
from chord_proto.routing import cut_list
from chord_proto.view import NodeView

MEMBERS = (Phase.ACTIVE, Phase.LEAVING)
"""The phases of a member; a leaving node is one until it has stopped."""


@attrs.frozen
class Violation:
    """One property broken at one node (None: by the ring as a whole)."""

    name: str
    peer: Peer | None
    text: str

    def __str__(self) -> str:
        """Return one line for people."""
        where = "ring" if self.peer is None else f"{self.peer.address}#{self.peer.index} ({self.peer.id:x})"
        return f"{self.name} at {where}: {self.text}"


@attrs.frozen
class UnderWay:
    """A message that was sent and has not arrived, and when it was sent (seconds)."""

    message: Message
    sent: float


class _Everything:
    """Contains whatever is asked for: a fact that nobody recorded excuses everything."""

    def __contains__(self, item: object) -> bool:
        return True


UNKNOWN: Container[object] = _Everything()


@attrs.frozen(kw_only=True)
class Facts:
    """What a harness has recorded since the beginning; what it leaves out is not checked.

    ``existed``: every peer that ever was.  ``gone``: (observer's id, peer) once the observer suspected that
    peer or was told that it left.  ``answered``: (observer's id, peer) once that peer answered the observer.
    ``ended``: when (id, incarnation) crashed or left, in seconds.
    """

    existed: Container[object] = UNKNOWN
    gone: Container[object] = UNKNOWN
    answered: Container[object] = UNKNOWN
    ended: Mapping[tuple[int, int], float] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Snapshot:
    """All nodes that are up, at one moment of one run.

    ``under_way`` are the messages that may still arrive.  ``before`` holds earlier views by id, for the
    properties about moves; ``ticked`` the ids of nodes whose latest input was a tick.  ``changed`` limits the
    properties about single nodes to these ids (None: all), so that a check after each step stays cheap.
    """

    views: tuple[NodeView, ...]
    config: Config
    now: float = 0.0
    under_way: tuple[UnderWay, ...] = ()
    before: Mapping[int, NodeView] = attrs.field(factory=dict)
    ticked: Container[int] = ()
    changed: Container[int] | None = None
    facts: Facts = Facts()

    @cached_property
    def by_id(self) -> Mapping[int, NodeView]:
        """Every node that is up, by id."""
        return {view.me.id: view for view in self.views}

    @cached_property
    def live(self) -> Mapping[int, NodeView]:
        """``live(n)``: up and a member; in the order of the circle."""
        members = sorted((v for v in self.views if v.phase in MEMBERS), key=lambda view: view.me.id)
        return {view.me.id: view for view in members}

    @cached_property
    def examined(self) -> tuple[NodeView, ...]:
        """The nodes that properties about single nodes are checked on."""
        if self.changed is None:
            return self.views
        return tuple(view for view in self.views if view.me.id in self.changed)

    def best(self, view: NodeView) -> NodeView | None:
        """``best(n)``: the first live entry of n's successors."""
        return next((self.live[peer.id] for peer in view.successors if peer.id in self.live), None)

    @cached_property
    def on_ring(self) -> Mapping[int, NodeView]:
        """``ring``: the live nodes that reach themselves by ``best``; a node alone reaches itself."""
        following = {i: self.best(view) for i, view in self.live.items()}
        members: dict[int, NodeView] = {}
        settled: set[int] = set()
        for start in self.live:
            trail: list[int] = []
            here: int | None = start
            while here is not None and here not in settled:
                settled.add(here)
                trail.append(here)
                after = following[here]
                here = after.me.id if after is not None else (here if not self.live[here].successors else None)
            if here in trail:
                members.update((i, self.live[i]) for i in trail[trail.index(here) :])
        return {i: self.live[i] for i in self.live if i in members}

    def extended_lists(self) -> Iterator[tuple[Peer, ...]]:
        """Yield ``esl`` of every live node, and every list under way to one as the receiver will keep it.

        An answer that nobody waits for any more will not be kept.
        """
        for view in self.live.values():
            yield (view.me, *view.successors)
        for sent in self.under_way:
            message = sent.message
            if type(message) is Neighbours and message.target is not None:
                receiver = self.by_id.get(message.target)
                if receiver is not None and any(message.request == out[0] for out in receiver.requests):
                    kept = as_kept(receiver.me, receiver.phase, message, self.config)
                    if kept is not None:
                        yield (receiver.me, *kept)

    @cached_property
    def principals(self) -> Mapping[int, NodeView]:
        """``principal(p)``: live, and skipped by no extended list, those under way included."""
        ids = list(self.live)
        passed: set[int] = set()
        for peers in self.extended_lists():
            passed.update(skipped(ids, peers))
        return {i: view for i, view in self.live.items() if i not in passed}


def principals_wanted(config: Config) -> int:
    """Return r + 1, r being the length to which lists run on to name R addresses (one place each)."""
    return max(config.successors, config.replicas - 1) + 1


def as_kept(me: Peer, phase: Phase, message: Neighbours, config: Config) -> tuple[Peer, ...] | None:
    """Return the successor list that ``me`` will keep of an answer under way to it, None if it keeps none.

    A member will keep [sender] + list, cut.  A joiner keeps the list without its sender, unless that came round.
    """
    sender = message.source
    if sender is None:
        return None
    if phase in MEMBERS:
        return cut_list(me, (sender, *message.successors), config)[0]
    if phase is Phase.JOINING and message.successors and between(sender.id, me.id, message.successors[0].id):
        return cut_list(me, (*message.successors, sender) if message.came_round else message.successors, config)[0]
    return None


def skipped(ids: list[int], extended: tuple[Peer, ...]) -> list[int]:
    """Return which of the living ``ids``, which are in order, lie between neighbours of an extended list."""
    found: list[int] = []
    left = extended[0].id
    for peer in extended[1:]:
        right = peer.id
        low, high = bisect_right(ids, left), bisect_left(ids, right)
        if left < right:
            found += ids[low:high]
        else:
            found += ids[low:]
            found += ids[:high]
        left = right
    return found
