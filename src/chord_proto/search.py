"""What one lookup has learned: whom to ask next, who is said to own the place, and whether that is to be believed.

Data and rules over it; no messages.  An answer is believed at once unless something speaks against it.  In doubt the lookup
goes on: it asks several nodes around the place, and takes the nearest one behind it that has itself answered.  Nobody can
answer at a place that is not its own, since ids are hashes of addresses.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import islice

import attrs

from chord_proto.calls import Purpose
from chord_proto.identifiers import between, distance
from chord_proto.operations import Hop
from chord_proto.peer import Peer
from chord_proto.records import record

_PER_TELLER = 4
"""Most possible owners, and in doubt most others, usually taken from one answer, lest one liar fill the lists."""


@record
class Outcome:
    """How a lookup ended: ``successors[0]`` owns the place, which lies on (predecessor, owner]."""

    predecessor: Peer
    successors: tuple[Peer, ...]
    came_round: bool
    path: tuple[Hop, ...]

    @property
    def owner(self) -> Peer:
        """Who owns the place."""
        return self.successors[0]


@record
class Hint:
    """A peer that might be asked, who named it, and with which peer of this node's own table that way began."""

    peer: Peer
    teller: int | None
    root: int


@record
class Question:
    """What somebody was asked: about which place; who had named it, and where that way began."""

    about: int
    teller: int | None
    root: int


@record
class Claim:
    """What ``teller`` said of the owner, or ``relayed``: what came of the question that it took to pass on."""

    teller: Peer
    outcome: Outcome
    relayed: bool = False


@attrs.define(eq=False)
class Search:
    """One lookup under way."""

    number: int
    place: int
    purpose: Purpose
    started: float
    me: Peer
    bits: int
    room: int
    """Most hints kept of each kind."""
    foreign: bool
    """Only the answers count, not what this node knows (for finding the other side of a healed partition)."""
    confirm: bool
    """Whether an owner that has never answered this node is asked itself."""
    token: int = 0
    """The number by which the answer is known to a question that was passed on; 0: none was."""
    first: Peer | None = None
    """To whom that question was given."""
    offered: bool = False
    """It has not said yet whether it takes it."""
    taken: bool = False
    """It has taken it, and the answer is still waited for."""
    in_doubt: bool = False
    hints: list[Hint] = attrs.field(factory=list)
    """Peers to be asked for the way: before the place or, in doubt, around it."""
    owners: list[Hint] = attrs.field(factory=list)
    """Peers that may own the place, nearer to it than ``claim`` says, to be asked themselves."""
    asked: dict[int, Question] = attrs.field(factory=dict)
    """Whom it asked."""
    strangers: dict[int, None] = attrs.field(factory=dict)
    """Those of them that were named in doubt, and that this node did not know."""
    unnamed: int = 0
    """Questions to contacts that are out: whoever answers there."""
    fresh: dict[int, int] = attrs.field(factory=dict)
    """Whose answers are waited for, and how often each had to be asked again."""
    slow: dict[int, None] = attrs.field(factory=dict)
    """Whose answers are taken, but not waited for if others will do."""
    gone: dict[int, None] = attrs.field(factory=dict)
    """Who did not answer."""
    silent: dict[int, None] = attrs.field(factory=dict)
    """Tellers who named somebody who is slow, or have misled before: what else they name comes last."""
    votes: dict[Peer, dict[int, None]] = attrs.field(factory=dict)
    """By which ways those behind the place were named: counted in doubt, from what had been told before, too."""
    told: list[tuple[int, tuple[Peer, ...]]] = attrs.field(factory=list)
    """What was told before there was any doubt, and by whom."""
    claims: list[Claim] = attrs.field(factory=list)
    claim: Claim | None = None
    """The nearest owner that is believed to be there."""
    there: list[Peer] = attrs.field(factory=list)
    """Who has answered in doubt."""
    witnesses: list[Peer] = attrs.field(factory=list)
    """Who has answered what it knows of the place."""
    steps: dict[int, int] = attrs.field(factory=dict)
    """How many have been asked on each way, by its root."""
    best: Peer | None = None
    """Who of those that answered is the closest before the place."""
    path: list[Hop] = attrs.field(factory=list)

    def is_nearer(self, peer: Peer, than: Peer) -> bool:
        """Tell whether ``peer`` comes before ``than``, from the place on."""
        return self._behind(peer.id) < self._behind(than.id)

    def _behind(self, peer_id: int) -> int:
        return distance(self.place, peer_id, self.bits)

    def _is_after(self, peer: Peer) -> bool:
        """Tell on which side of the place a peer lies: at it or rather behind it, so that it may own it, or before it."""
        behind = self._behind(peer.id)
        return not behind or behind < self._before(peer.id)

    def _before(self, peer_id: int) -> int:
        return distance(peer_id, self.place, self.bits)

    @property
    def farthest(self) -> Peer | None:
        """Who owns the place if nobody before it does; None while nobody is known who may."""
        if self.claim is not None:
            return self.claim.outcome.owner
        if not self.owners and not self.claims:
            return None
        owners = [hint.peer for hint in self.owners]
        owners += [claim.outcome.owner for claim in self.claims if claim.outcome.owner.id in self.fresh]
        return max(owners, key=lambda owner: self._behind(owner.id), default=None)

    # What was told

    def came_closer(self, source: Peer, now: float) -> None:
        """Note that ``source`` has answered; if it is the closest before the place so far, it is a hop on the way."""
        if self.best is None or between(self.best.id, source.id, self.place):
            self.best = source
            self.path.append(Hop(source, now - self.started))

    def name(
        self, peers: Iterable[Peer], teller: int | None, suspects: Container[int], *, most: int = _PER_TELLER
    ) -> None:
        """Take ``peers`` for what they may be: on the way to the place, or a nearer owner than the one that is claimed.

        Of possible owners, and in doubt of the others, up to ``most`` count.
        """
        peers, in_doubt, best, place = tuple(peers), self.in_doubt, self.best, self.place
        if teller is not None and in_doubt:
            self._vote(peers, teller)
        elif teller is not None:
            self.told.append((teller, peers[: self.room]))
        known = {hint.peer.id for hint in self.hints + self.owners}
        began = self.asked.get(teller) if teller is not None else None
        limit = self.farthest if self.claim is not None or not in_doubt else None
        nearer = further = 0
        for peer in peers:
            peer_id = peer.id
            if peer_id in self.asked or peer_id in known or peer_id == self.me.id or peer_id in suspects:
                continue
            known.add(peer_id)
            if best is not None and not in_doubt and between(best.id, peer_id, place):
                kind = self.hints
            elif not self._is_after(peer):
                further += 1
                if not in_doubt or further > most:
                    continue
                kind = self.hints
            elif self.is_nearer(peer, limit) if limit is not None else in_doubt:
                nearer += 1
                if nearer > most:
                    continue
                kind = self.owners
            else:
                continue
            kind.append(Hint(peer, teller, peer_id if began is None else began.root))
        self._sort()

    def _vote(self, peers: Iterable[Peer], teller: int) -> None:
        question = self.asked.get(teller)
        if question is not None:
            for peer in islice(filter(self._is_after, peers), _PER_TELLER):
                self.votes.setdefault(peer, {})[question.root] = None

    def doubt(self) -> list[tuple[int, tuple[Peer, ...]]]:
        """Believe no single answer any more; return what was told so far, which counts as votes.

        The asker is there itself: who lies between it and the place may have died, and it not have noticed.
        """
        self.in_doubt = True
        self.there.append(self.me)
        told, self.told = self.told, []
        for teller, peers in told:
            self._vote(peers, teller)
        return told

    def _sort(self) -> None:
        """Nearest first, but last what was named by those whose other peers are silent; in doubt all ways in turn."""
        hints, place, silent = self.hints, self.place, self.silent
        if not self.in_doubt and self.best is not None:
            best = self.best.id
            hints = self.hints = [hint for hint in hints if between(best, hint.peer.id, place)]
        if len(hints) > 1 and not silent and not self.in_doubt:
            circle = (1 << self.bits) - 1
            hints.sort(key=lambda hint: (place - hint.peer.id) & circle)
            del hints[self.room :]
        elif len(hints) > 1:
            steps = self.steps if self.in_doubt else {}
            hints.sort(key=lambda hint: (hint.teller in silent, steps.get(hint.root, 0), self._before(hint.peer.id)))
            del hints[self.room * (4 if self.in_doubt else 1) :]
        if len(self.owners) > 1:
            self.owners.sort(key=lambda hint: (hint.teller in silent, self._behind(hint.peer.id)))
            del self.owners[self.room :]

    def fill(self, peers: Iterable[Peer], count: int) -> bool:
        """Let up to ``count`` of ``peers`` be asked that were not; tell whether there is one."""
        more = [Hint(peer, None, peer.id) for peer in dict.fromkeys(peers) if peer.id not in self.asked][:count]
        self.hints += more
        self._sort()
        return bool(more)

    def believe(self, claim: Claim) -> bool:
        """Take a claim whose owner is there, if it is nearer than the last; tell whether it was."""
        if not self._take(claim):
            return False
        self._look_back()
        return True

    def _look_back(self) -> None:
        """Somebody nearer than the claimed owner may have answered before there was a claim."""
        for peer in self.there:
            self._take(self._existence(peer))

    def is_there(self, peer: Peer, *, may_own: bool) -> None:
        """Note that ``peer`` has answered: if it lies before the claimed owner, it owns the place, whatever it says itself."""
        self.there.append(peer)
        if may_own or self.claim is not None:
            self._take(self._existence(peer))
            self._look_back()

    def _existence(self, peer: Peer) -> Claim:
        return Claim(peer, Outcome(self.best or self.me, (peer,), False, ()))

    def _take(self, claim: Claim) -> bool:
        owner = claim.outcome.owner
        if self.claim is not None and not self.is_nearer(owner, self.claim.outcome.owner):
            return False
        self.claim = claim
        self.owners = [hint for hint in self.owners if self.is_nearer(hint.peer, owner)]
        return True

    def tellers_of(self, owner: Peer) -> list[Peer]:
        """Return who says that ``owner`` owns the place."""
        return [claim.teller for claim in self.claims if claim.outcome.owner == owner]

    def root_of(self, peer: Peer) -> int:
        """Return where the way began that led to ``peer``."""
        question = self.asked.get(peer.id)
        return peer.id if question is None else question.root

    # Whom to ask

    def begin(self, hint: Hint, about: int, *, sent: bool) -> None:
        """Note that a peer is asked, or was to be when there was no room for the question."""
        self.asked[hint.peer.id] = Question(about, hint.teller, hint.root)
        self.steps[hint.root] = self.steps.get(hint.root, 0) + 1
        if sent:
            self.fresh[hint.peer.id] = 0

    def is_slow(self, peer: Peer, patience: int) -> None:
        """Note that ``peer`` had to be asked again; more often than ``patience`` times it is not waited for alone."""
        if peer.id not in self.fresh:
            return
        self.fresh[peer.id] += 1
        if self.fresh[peer.id] > patience:
            del self.fresh[peer.id]
            self.slow[peer.id] = self.gone[peer.id] = None
            teller = self.asked[peer.id].teller
            if teller is not None:
                self.silent[teller] = None
                self._sort()

    def ended(self, peer_id: int) -> None:
        """Note that nothing more will come from a peer."""
        self.fresh.pop(peer_id, None)
        self.slow.pop(peer_id, None)

    def waits_for_owner(self) -> bool:
        """Tell whether somebody is being asked who may own the place rather than the one that is claimed."""
        limit = None if self.claim is None else self._behind(self.claim.outcome.owner.id)
        return any(
            self.asked[peer_id].about == peer_id and (limit is None or self._behind(peer_id) < limit)
            for peer_id in self.fresh
        )

    def is_confirmed(self, count: int, doubted: Container[str]) -> bool:
        """Tell whether those at the end of ``count`` separate ways know nobody nearer than the claimed owner.

        Who misled does not count: it named others that are not there or are not the owner, or is of ``doubted`` addresses.  None of
        those heard of may be closer to the place than these, which are asked first otherwise.
        """
        assert self.claim is not None
        owner = self.claim.outcome.owner
        if not self.in_doubt or owner.id == self.place or not count:
            return True
        wrong = {claim.teller.id for claim in self.claims if claim.outcome.owner != owner and not claim.relayed}
        ends: dict[int, int] = {}
        for peer in self.witnesses:
            if not (peer.id in wrong or peer.id in self.silent or peer.address in doubted or peer == owner):
                root = self.asked[peer.id].root
                ends[root] = min(self._apart(peer.id), ends.get(root, 1 << self.bits))
        if len(ends) < count:
            return False
        farthest = sorted(ends.values())[count - 1]
        closer = (hint.peer.id for hint in self.hints if hint.teller not in self.silent)
        return all(self._apart(each) >= farthest for each in (*self.fresh, *closer))

    def _apart(self, peer_id: int) -> int:
        return min(self._before(peer_id), self._behind(peer_id))

    # The end

    def excuse_silence(self) -> None:
        """Believe all the same that somebody is there who was suspected, or did not answer, if most ways have named it.

        Messages can get lost until a peer is suspected that lives; and what liars invent only liars know.
        """
        ways = {self.asked[peer.id].root for peer in self.witnesses}
        for peer, named in self.votes.items():
            if 2 * len(named) > len(ways):
                claimed = [claim for claim in self.claims if claim.outcome.owner == peer]
                self._take(claimed[0] if claimed else self._existence(peer))

    def wrong_claims(self) -> list[Claim]:
        """Return the claims of owners behind the one that was found, or of such that are not there."""
        assert self.claim is not None
        owner = self.claim.outcome.owner
        return [
            claim
            for claim in self.claims
            if claim.outcome.owner != owner
            and claim.teller != self.me
            and (self.is_nearer(owner, claim.outcome.owner) or claim.outcome.owner.id in self.gone)
        ]

    def outcome(self) -> Outcome:
        """Return what was found."""
        assert self.claim is not None
        found = self.claim.outcome
        return Outcome(found.predecessor, found.successors, found.came_round, tuple(self.path))
