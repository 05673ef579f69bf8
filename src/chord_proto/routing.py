"""What a node knows of others: its pointers, and a bounded table of peers seen lately of which they are part.

Data and rules over it; no messages.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice

from chord_proto.config import Config
from chord_proto.identifiers import between, distance, within
from chord_proto.peer import Address, Peer
from chord_proto.proximity import CLOSE, WINDOW, preferred, usual
from chord_proto.tuning import size_on_arc

_FEW = 2
"""With so few successors the size of the ring is not estimated."""
LIST_SLACK = 32
"""How far a successor list may run on past r until it names R distinct addresses."""


def cut_list(me: Peer, peers: Iterable[Peer], config: Config) -> tuple[tuple[Peer, ...], bool]:
    """Return the successor list that ``me`` keeps of ``peers`` in their order, and whether it came round.

    It holds r nodes, runs on past r until it names R distinct addresses (a bounded way), never holds a node
    twice, and stops where it comes round to the node itself (chord.md section 2).
    """
    kept: list[Peer] = []
    my_id, length = me.id, config.successors
    ids = {my_id}
    addresses = {me.address}
    for peer in peers:
        peer_id = peer.id
        if peer_id == my_id:
            return tuple(kept), True
        if peer_id in ids:
            continue
        if len(kept) >= length and _is_enough(len(kept), len(addresses), config):
            break
        kept.append(peer)
        ids.add(peer_id)
        addresses.add(peer.address)
    return tuple(kept), False


def is_full(me: Peer, peers: tuple[Peer, ...], config: Config) -> bool:
    """Tell whether a list of these would not be run on: it names r nodes and R distinct addresses."""
    return _is_enough(len(peers), len({me.address, *(peer.address for peer in peers)}), config)


def _is_enough(nodes: int, addresses: int, config: Config) -> bool:
    return nodes >= config.successors and (addresses >= config.replicas or nodes >= config.successors + LIST_SLACK)


def first_distinct(peers: Iterable[Peer], count: int) -> tuple[Peer, ...]:
    """Return the first ``count`` peers with distinct addresses: where the replicas of a key lie.

    The one rule of placement: ``peers`` begins with the key's owner.
    """
    chosen: dict[Address, Peer] = {}
    for peer in peers:
        chosen.setdefault(peer.address, peer)
        if len(chosen) == count:
            break
    return tuple(chosen.values())


class Known:
    """What is known of one peer."""

    __slots__ = ("after", "answered", "heard", "incarnation", "peer", "rttvar", "since", "spoke", "srtt")

    def __init__(self, peer: Peer, now: float) -> None:
        self.peer = peer
        self.since = self.heard = now
        """Since when this node knows it, and when it last heard from it."""
        self.incarnation = self.answered = 0
        """Which life of it is known, and which one has answered this node; 0: none."""
        self.spoke = self.rttvar = 0.0
        """When it last answered a request of this node; and the round-trip times, -1 if none was measured."""
        self.srtt = -1.0
        self.after: int | None = None
        """The id of the node before it, as last told: it owned (after, id]."""


class Routing:
    """Pointers, fingers and the table of known peers."""

    __slots__ = (
        "came_round",
        "config",
        "fingers",
        "ids",
        "known",
        "lost",
        "me",
        "near",
        "peers",
        "predecessor",
        "predecessors",
        "ranks",
        "salt",
        "successors",
        "suspects",
        "there",
        "usual",
    )

    def __init__(self, me: Peer, config: Config, *, salt: int = 0) -> None:
        self.me = me
        self.config = config
        self.salt = salt.to_bytes(8)
        self.predecessor: Peer | None = None
        self.predecessors: tuple[Peer, ...] = ()
        self.successors: tuple[Peer, ...] = ()
        self.came_round = True
        self.fingers: dict[int, Peer] = {}
        self.known: dict[int, Known] = {}
        self.ids: list[int] = []
        """The ids of those by whom lookups go, in order: all, or with ``Config.peer_cache`` off those that a pointer names."""
        self.peers: list[Peer] = []
        """These themselves."""
        self.there: list[int] = []
        """The ids of those that have answered, in order."""
        self.ranks: list[tuple[int, int]] = []
        """The same with where each stands in an order of all peers that nobody but this node knows."""
        self.suspects: dict[int, float] = {}
        self.lost: dict[int, Peer] = {}
        self.near: dict[int, Peer] = {}
        """With ``Config.peer_cache`` off, by finger: of those on its interval that have answered, the nearest by round trips."""
        self.usual = 0.0
        """The usual first round trip to a peer, in seconds; 0.0: none was measured."""

    # The table

    def entry(self, peer: Peer, now: float, *, pointer: bool = False) -> Known:
        """Return the entry of ``peer``, making one (and room for it) if there is none; ``pointer``: one names it."""
        known = self.known.get(peer.id)
        if known is None:
            if len(self.known) >= self.config.max_known_peers:
                self._evict()
            known = self.known[peer.id] = Known(peer, now)
            if pointer or self.config.peer_cache:
                self._go_by(peer)
        elif pointer and not self.config.peer_cache:
            self._go_by(peer)
        return known

    def _go_by(self, peer: Peer) -> None:
        position = bisect_left(self.ids, peer.id)
        if position == len(self.ids) or self.ids[position] != peer.id:
            self.ids.insert(position, peer.id)
            self.peers.insert(position, peer)

    def go_by_pointers(self) -> None:
        """Let lookups go by those whom pointers name, and by nobody else."""
        self.peers = sorted({peer.id: peer for peer in self.pointers()}.values(), key=lambda peer: peer.id)
        self.ids = [peer.id for peer in self.peers]

    def note_answer(self, known: Known, incarnation: int) -> None:
        """Note that this life of a peer of the table has answered at its address."""
        if not known.answered:
            insort(self.there, known.peer.id)
            insort(self.ranks, (self._rank(known.peer), known.peer.id))
        known.answered = incarnation

    def measure(self, known: Known, seconds: float) -> None:
        """Take a round trip to a peer of the table (Jacobson and Karels, SIGCOMM 1988)."""
        if known.srtt < 0:
            known.srtt, known.rttvar = seconds, seconds / 2
            self.usual = usual(self.usual, seconds)
        else:
            known.rttvar += (abs(known.srtt - seconds) - known.rttvar) / 4
            known.srtt += (seconds - known.srtt) / 8
        if self.config.proximity and not self.config.peer_cache and known.peer.id in self.known:
            self._keep_near(known)

    def _keep_near(self, known: Known) -> None:
        """Go by a peer besides the exact finger of its interval if it is nearer than whoever is kept there."""
        index = distance(self.me.id, known.peer.id, self.config.bits).bit_length() - 1
        old = self.near.get(index)
        kept = None if old is None else self.known.get(old.id)
        if kept is None or known.srtt < kept.srtt:
            self.near[index] = known.peer
            self.go_by_pointers()

    def _rank(self, peer: Peer) -> int:
        said = f"{peer.address}#{peer.index}".encode()
        return int.from_bytes(hashlib.blake2b(said, digest_size=8, key=self.salt).digest())

    def forget(self, peer_id: int) -> None:
        """Drop a peer from the table; the pointers stay."""
        position = bisect_left(self.ids, peer_id)
        if position < len(self.ids) and self.ids[position] == peer_id:
            del self.ids[position], self.peers[position]
        known = self.known.pop(peer_id, None)
        if known is not None and known.answered:
            del self.there[bisect_left(self.there, peer_id)]
            del self.ranks[bisect_left(self.ranks, (self._rank(known.peer), peer_id))]

    def _evict(self) -> None:
        """Forget the eighth of the table that was heard least lately, but none that a pointer names or the sample holds."""
        kept = self.kept(self.config.max_known_peers // 2)
        others = [known for known in self.known.values() if known.peer.id not in kept]
        others.sort(key=lambda known: (known.heard, known.peer.id))
        for known in others[: max(1, self.config.max_known_peers // 8)]:
            self.forget(known.peer.id)

    def _sample(self) -> set[int]:
        """Return the ids of those that have answered whose ranks are the least: at most half the table.

        The ranks are hashes with a salt, so that these are as good as drawn at random from all peers that ever answered,
        however often some of them make others name them (Bortnikov et al., Brahms, 2009, section 3.1).
        """
        return self._least(self.config.max_known_peers // 2)

    def _least(self, count: int) -> set[int]:
        return {peer_id for _, peer_id in self.ranks[:count]}

    def kept(self, sample: int) -> set[int]:
        """Return the ids of those that are not to be forgotten: whom pointers name, and so many of the sample."""
        return {peer.id for peer in self.pointers()}.union(self._least(sample))

    def sample_around(self, place: int) -> list[Peer]:
        """Return those of the sample that are not suspected: in turn the nearest before and the nearest from ``place`` on."""
        sample = sorted(self._sample().difference(self.suspects))
        position, total = bisect_left(sample, place), len(sample)
        turns = (sample[(position + step) % total] for n in range(total) for step in (-1 - n, n))
        return [self.known[peer_id].peer for peer_id in dict.fromkeys(turns)]

    def learn_arcs(self, start: int, peers: Iterable[Peer], now: float, *, pointers: bool = False) -> None:
        """Remember that the ``peers`` follow each other on the circle, the first one after ``start``."""
        for peer in peers:
            if peer.id == self.me.id or peer.id in self.suspects:
                start = peer.id
                continue
            self.entry(peer, now, pointer=pointers).after = start
            start = peer.id

    def learn(self, peers: Iterable[Peer], now: float) -> None:
        """Take ``peers`` into the table, as others have told of them."""
        for peer in peers:
            if peer.id not in self.known and peer.id != self.me.id and peer.id not in self.suspects:
                self.entry(peer, now)

    def pointers(self) -> Iterator[Peer]:
        """Yield every peer that a pointer names; some twice."""
        if self.predecessor is not None:
            yield self.predecessor
        yield from self.predecessors
        yield from self.successors
        yield from self.fingers.values()
        yield from self.near.values()

    def is_suspect(self, peer: Peer) -> bool:
        """Tell whether direct evidence spoke against the peer lately."""
        return peer.id in self.suspects

    # Rules

    def owns(self, place: int) -> bool:
        """Tell whether ``place`` lies on (predecessor, me]; a node without predecessor owns everything."""
        return self.predecessor is None or within(self.predecessor.id, place, self.me.id)

    def extended(self) -> tuple[Peer, ...]:
        """Return [me] + successors."""
        return (self.me, *self.successors)

    def replicas(self) -> tuple[Peer, ...]:
        """Return where the keys that this node owns belong: the first R living places of distinct addresses."""
        places: Iterable[Peer] = self.extended()
        if self.suspects:
            places = (peer for peer in places if peer.id not in self.suspects)
        return first_distinct(places, self.config.replicas)

    def closest_preceding(self, place: int, count: int) -> list[Peer]:
        """Return up to ``count`` known living peers between this node and ``place``, closest to it first."""
        found: list[Peer] = []
        ids, peers, suspects, me = self.ids, self.peers, self.suspects, self.me.id
        total = len(ids)
        first = bisect_left(ids, place) - 1
        for position in range(first, first - total, -1):
            candidate = ids[position]  # Below 0 from the end: round the circle.
            if not between(me, candidate, place):
                break
            if candidate not in suspects:
                found.append(peers[position])
                if len(found) == count:
                    break
        return found

    def candidates(self, place: int, count: int, doubted: Container[Address]) -> list[Peer]:
        """Return up to ``count`` known living peers before ``place``, closest first, and one more that is worth being asked first."""
        found = self.closest_preceding(place, count)
        if self.config.proximity and len(found) == count and not self._is_close(found[0], place):
            more = self.closest_preceding(place, WINDOW)
            nearer = more[self.preferred(more, place, doubted)]
            if nearer not in found:
                found.append(nearer)
        return found

    def preferred(self, peers: Sequence[Peer], place: int, doubted: Container[Address]) -> int:
        """Return the position of the one to ask first, of ``peers`` before ``place``, closest first.

        Those of ``doubted`` addresses gain nothing by being fast.
        """
        if not self.config.proximity or len(peers) < 2 or not self.usual or self._is_close(peers[0], place):
            return 0
        found = ((peer, self.known.get(peer.id)) for peer in peers)
        trips = [-1.0 if known is None or peer.address in doubted else known.srtt for peer, known in found]
        return preferred([peer.id for peer in peers], trips, place, self.config.bits, self.usual)

    def _is_close(self, peer: Peer, place: int) -> bool:
        return distance(peer.id, place, self.config.bits) * self._size() <= CLOSE * (1 << self.config.bits)

    def answered_after(self, place: int, count: int) -> list[Peer]:
        """Return up to ``count`` known living peers at or after ``place`` that have answered this node, nearest first."""
        ids, total = self.there, len(self.there)
        position = bisect_left(ids, place)
        found: list[Peer] = []
        for step in range(total):
            if len(found) == count:
                break
            peer_id = ids[(position + step) % total]
            if peer_id not in self.suspects:
                found.append(self.known[peer_id].peer)
        return found

    def rivals(self, place: int, owner: Peer, count: int) -> list[Peer]:
        """Return known living peers from ``place`` on before ``owner``: up to ``count`` that have answered, and one other."""
        found: list[Peer] = []
        others = 0
        for peer in self._from(place):
            if peer.id == owner.id or not within(place - 1, peer.id, owner.id) or len(found) - others >= count:
                break
            answered = self.has_answered(peer)
            if answered or not others:
                found.append(peer)
                others += not answered
        return found

    def _from(self, place: int) -> Iterator[Peer]:
        position, total = bisect_left(self.ids, place), len(self.ids)
        every = (self.peers[(position + step) % total] for step in range(total))
        return (peer for peer in every if peer.id not in self.suspects)

    def has_answered(self, peer: Peer) -> bool:
        """Tell whether a known peer has answered this node at its address."""
        known = self.known.get(peer.id)
        return known is not None and known.answered != 0

    def is_sparse(self, place: int, owner: Peer, times: float) -> bool:
        """Tell whether it is unlikely far from ``place`` to its ``owner``: more than ``times`` the mean gap of the ring."""
        return distance(place, owner.id, self.config.bits) * self._size() > times * (1 << self.config.bits)

    def _size(self) -> int:
        """Return how large the ring is at least, by all that are known, or by the gaps between the successors."""
        bits, size = self.config.bits, 1 + len(self.ids)
        if len(self.successors) > _FEW:  # N from s gaps (chord.md section 6).
            span = distance(self.me.id, self.successors[-1].id, bits)
            size = max(size, int(size_on_arc(len(self.successors), span, bits)))
        return size

    def nearest_known(self) -> Peer | None:
        """Return the first known living peer after this node, all round the circle; None if there is none."""
        return next(iter(self.following(self.me, 1)), None)

    def first_known_after(self) -> Peer | None:
        """Return the first known living peer between this node and its successor; None if the successor is the first."""
        end = self.successors[0].id if self.successors else self.me.id
        position, total = bisect_right(self.ids, self.me.id), len(self.ids)
        for step in range(total):
            peer = self.peers[(position + step) % total]
            if not between(self.me.id, peer.id, end):
                return None
            if peer.id not in self.suspects:
                return peer
        return None

    def following(self, peer: Peer, count: int) -> list[Peer]:
        """Return up to ``count`` known living peers after ``peer``, the nearest first."""
        position, total = bisect_right(self.ids, peer.id), len(self.ids)
        others = (self.peers[(position + step) % total] for step in range(total))
        living = (other for other in others if other.id not in self.suspects and other.id not in (peer.id, self.me.id))
        return list(islice(living, count))

    def likely_owner(self, place: int) -> Peer | None:
        """Return the known peer whose last told range holds ``place``, this node included; None if there is none."""
        if self.predecessor is not None and self.owns(place):
            return self.me
        if not self.ids:
            return None
        known = self.known.get(self.ids[bisect_left(self.ids, place) % len(self.ids)])
        if (
            known is None
            or known.after is None
            or known.peer.id in self.suspects
            or not within(known.after, place, known.peer.id)
        ):
            return None
        return known.peer

    def closer_owner(self, place: int, claimed: Peer) -> Peer | None:
        """Return who, by this node's pointers, owns ``place`` rather than ``claimed``; None if they agree."""
        nearest = claimed
        for peer in (self.me, *self.predecessors, *self.successors):
            if nearest.id == place:
                break
            if peer.id not in self.suspects and (peer.id == place or between(place, peer.id, nearest.id)):
                nearest = peer
        return None if nearest.id == claimed.id else nearest

    def finger(self, index: int) -> Peer | None:
        """Return finger ``index``: the first node at or after me + 2**index, as far as known."""
        start = (self.me.id + (1 << index)) % (1 << self.config.bits)
        before = self.me.id
        for peer in self.successors:
            if within(before, start, peer.id):
                return peer
            before = peer.id
        if self.came_round:
            return self.me
        return self.fingers.get(index)
