"""The right to decide: what a node holds of it, what it has granted to whom, and its answers to who asks for it.

Who grants remembers to whom, so that a grant whose answer was lost is repeated to the same node and nobody
else takes the arc for orphaned.  Whether the grant arrived at all is asked when another node wants the arc.
"""

from __future__ import annotations

from collections.abc import Iterator

from chord_proto.calls import Call
from chord_proto.context import Context
from chord_proto.identifiers import between
from chord_proto.messages import Answer, Claim, Elsewhere, GetClaim, Grant, Granted, Reason, TakeOver
from chord_proto.peer import Address, Peer
from chord_proto.places import Places, arc
from chord_proto.records import record
from chord_proto.writes import Writes

_MEMORY = 60.0
"""Seconds for which a grant is remembered: the ring around it has long settled by then."""
_MAX_GIVEN = 128
_MAX_SPANS = 512
"""Most arcs held, and most arcs remembered as granted: what no ring comes near."""
_ASKED_AT_ONCE = 8
MAX_ARCS = 64
"""Most arcs in one message."""


@record
class ForClaim:
    """Purpose of asking whether a grant on (start, end] arrived."""

    start: int
    end: int


@record
class Given:
    """What was granted to one life of a peer, and when.

    ``lost`` when that one died: nobody can tell who decides there now.  ``here`` unless a leaver told of it: then
    this node never had the records.
    """

    places: Places
    to: Peer
    life: int
    at: float
    here: bool = True
    lost: bool = False


class Grants:
    """What one node may decide, and what it has let others decide."""

    __slots__ = ("ctx", "given", "held", "writes")

    def __init__(self, ctx: Context, writes: Writes) -> None:
        self.ctx = ctx
        self.writes = writes
        self.held = Places(1 << ctx.config.bits)
        self.given: list[Given] = []

    def owned(self) -> Places:
        """Return the places on (predecessor, me]."""
        return self.owned_after(self.ctx.routing.predecessor)

    def owned_after(self, predecessor: Peer | None) -> Places:
        """Return what this node owns with that predecessor."""
        me = self.ctx.me.id
        return arc(me if predecessor is None else predecessor.id, me, self.held.size)

    def hold(self, places: Places) -> None:
        """Everything decided on ``places`` is here, and nobody else decides there."""
        self.held |= places
        self._no_longer_given(places)

    def has_had(self, start: int, end: int) -> bool:
        """Tell whether this node held any of (start, end] lately and does no more."""
        asked = arc(start, end, self.held.size)
        return any(each.here and each.places & asked for each in self.given)

    @property
    def is_full(self) -> bool:
        """Whether what is held lies in so many pieces that no more may be cut off or added."""
        return len(self.held.spans) >= _MAX_SPANS

    def let_go(self, places: Places) -> None:
        """Somebody else may have decided on ``places``."""
        lost = self.held & places
        if lost:
            self.give(lost, self.ctx.me, self.ctx.incarnation)
            self.on_departed(self.ctx.me)

    # Granting

    def on_take_over(self, message: TakeOver, sender: Address, fetching: Places) -> None:
        """A new owner asks for its range: grant what is held of it and not owned, once nothing is under way there.

        ``fetching`` is what this node is about to hold itself.
        """
        ctx, source = self.ctx, message.source
        asker = ctx.asker(message, sender)
        if source is None or source.id == ctx.me.id:
            ctx.refuse(asker, Reason.INVALID)
            return
        self._forget_old()
        asked, owned = arc(message.start, message.end, self.held.size), self.owned()
        held, never_learnt = self.held & asked, Places(self.held.size)
        others: dict[int, Peer] = {}
        for each in self.given:
            if each.lost or not each.places & asked:
                continue
            if each.to != source:
                others[each.to.id] = each.to
            elif message.first and each.life == message.incarnation and each.here:
                never_learnt |= each.places & asked
        free = ((held | never_learnt) - owned).arcs()
        if free:
            start, end = free[-1]
            if self.is_full:
                ctx.refuse(asker, Reason.BUSY)
            elif self.writes.is_settled(start, end):
                self.give(arc(start, end, self.held.size), source, message.incarnation)
                ctx.answer(asker, Granted, start, end)
            else:
                ctx.refuse(asker, Reason.NOT_READY)
        elif asked & (owned | fetching):
            ctx.refuse(asker, Reason.NOT_READY)
        elif others:
            named = tuple(others.values())[:_ASKED_AT_ONCE]
            for peer in named:
                self._ask_whether_it_arrived(peer, message.start, message.end)
            ctx.answer(asker, Elsewhere, named, True)
        else:
            ctx.answer(asker, Elsewhere, self._next_to_ask(source), False)

    def _next_to_ask(self, asker: Peer) -> tuple[Peer, ...]:
        """Return whom else to ask who decides: the next one, and whoever has come between the asker and this node."""
        routing = self.ctx.routing
        before = routing.predecessor
        nearer = before is not None and between(asker.id, before.id, self.ctx.me.id)
        ahead = next((peer for peer in routing.successors if not routing.is_suspect(peer)), None)
        return tuple(peer for peer in (before if nearer else None, ahead) if peer is not None)

    def give(self, places: Places, to: Peer, life: int, *, age: float = 0.0, here: bool = True) -> None:
        """Let ``to`` decide for ``places`` from now on, or note that somebody did so ``age`` seconds ago."""
        self.held -= places
        self._no_longer_given(places)
        self.given.append(Given(places, to, life, self.ctx.now - age, here))
        self._bound()
        for call in list(self._claims_of(to)):  # What it is about to say is about what it had before.
            self.ctx.drop_call(call)

    def _bound(self) -> None:
        """Forget the oldest grants above the limits."""
        del self.given[:-_MAX_GIVEN]
        while sum(len(each.places.spans) for each in self.given) > _MAX_SPANS:
            del self.given[0]

    def known_holders(self, start: int, end: int) -> list[Peer]:
        """Return who was granted parts of (start, end], as far as known here, and lives."""
        asked = arc(start, end, self.held.size)
        return [each.to for each in self.given if each.places & asked and not each.lost]

    def granted_here(self) -> Places:
        """Return the places that this node granted lately, and of which it may still have the only records."""
        self._forget_old()
        places = Places(self.held.size)
        for each in self.given:
            if each.here:
                places |= each.places
        return places - self.held

    def remembered(self) -> tuple[Grant, ...]:
        """Return what another node needs to know of the grants that were made here."""
        self._forget_old()
        living = [each for each in self.given if not each.lost]
        now = self.ctx.now
        grants = [
            Grant(*ends, each.to, each.life, int(1000 * (now - each.at)))
            for each in living
            for ends in each.places.arcs()
        ]
        return tuple(grants[-MAX_ARCS:])

    def remember(self, grants: tuple[Grant, ...]) -> None:
        """Remember what a leaver granted to others, and its own arcs to its heir, unless more is known of them since."""
        for each in grants:
            places, age = arc(each.start, each.end, self.held.size) - self.held, each.age / 1000
            for known in self.given:
                same = (known.to, known.life, known.lost) == (each.to, each.incarnation, False)
                if same or known.at >= self.ctx.now - age:
                    places -= known.places
            if places and each.to.id != self.ctx.me.id and not self.ctx.routing.is_suspect(each.to):
                self.give(places, each.to, each.incarnation, age=age, here=False)

    # Did it arrive?

    def _ask_whether_it_arrived(self, peer: Peer, start: int, end: int) -> None:
        if not any(self._claims_of(peer)):
            self.ctx.ask(peer, ForClaim(start, end), GetClaim, start, end)

    def _claims_of(self, peer: Peer) -> Iterator[Call]:
        return (call for call in self.ctx.calls.values() if call.peer == peer and type(call.purpose) is ForClaim)

    def on_get_claim(self, message: GetClaim, sender: Address, fetching: Places) -> None:
        """Tell which part of an arc was ever granted to this node, or still may be by what it has asked."""
        self._forget_old()
        asked, known = arc(message.start, message.end, self.held.size), self.held | fetching
        lost = Places(self.held.size)
        further: list[Peer] = []
        for each in self.given:
            if each.lost or each.to == message.source:  # The latter: this node had it from there once.
                lost |= each.places & asked
            elif each.places & asked:
                known |= each.places
                further.append(each.to)
        for peer in further[:_ASKED_AT_ONCE]:  # By asking on, a death is found too.
            self._ask_whether_it_arrived(peer, message.start, message.end)
        claimed, gone = (known & asked).arcs(), (lost - known).arcs()
        if len(claimed) + len(gone) > MAX_ARCS:
            claimed, gone = ((message.start, message.end),), ()
        self.ctx.answer(self.ctx.asker(message, sender), Claim, claimed, gone)

    def on_claim(self, purpose: ForClaim, peer: Peer | None, answer: Answer | None) -> None:
        """What was granted here and never arrived is held here again."""
        if peer is None or not isinstance(answer, Claim):
            return
        size = self.held.size
        back, lost = arc(purpose.start, purpose.end, size), Places(size)
        for start, end in (*answer.arcs, *answer.lost):
            back -= arc(start, end, size)
        for start, end in answer.lost:
            lost |= arc(start, end, size)
        for each in [each for each in self.given if each.to == peer and not each.lost]:
            if each.life not in (0, answer.incarnation):
                self.lose(peer, each.places)
                continue
            if each.here:
                self.held |= each.places & back
            self._no_longer_given(each.places & back)
        self.lose(peer, lost)

    def on_departed(self, peer: Peer) -> None:
        """Whoever was granted an arc is gone: this node can no longer say who decides for it."""
        self.given = [_changed(each, lost=each.lost or each.to == peer) for each in self.given]

    def lose(self, peer: Peer, places: Places) -> None:
        """``peer`` does not hold ``places`` any more, or never did, and does not know who does."""
        for each in [each for each in self.given if each.to == peer and each.places & places and not each.lost]:
            rest, gone = each.places - places, each.places & places
            self.given.remove(each)
            self.given.extend(_changed(each, places=part, lost=part == gone) for part in (rest, gone) if part)
        self._bound()

    def _no_longer_given(self, places: Places) -> None:
        left = ((each, each.places - places) for each in self.given)
        self.given = [_changed(each, places=rest) for each, rest in left if rest]

    def _forget_old(self) -> None:
        self.given = [each for each in self.given if self.ctx.now - each.at < _MEMORY]


def _changed(given: Given, *, places: Places | None = None, lost: bool | None = None) -> Given:
    return Given(
        given.places if places is None else places,
        given.to,
        given.life,
        given.at,
        given.here,
        given.lost if lost is None else lost,
    )
