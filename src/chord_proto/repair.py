"""Keeping every record on exactly its R places: repair of one's range, dropping of surplus copies, hand-over.

The owner compares its range with each of its replicas, periodically and whenever they changed.  A node that
holds copies out of its place gives them to their owner, and drops them once that one confirms that all replicas
have them (properties D4 and D8).
"""

from __future__ import annotations

from itertools import islice

from chord_proto.context import Context
from chord_proto.grants import MAX_ARCS
from chord_proto.graves import Graves
from chord_proto.identifiers import within
from chord_proto.lookup import Lookups, Outcome
from chord_proto.membership import Membership
from chord_proto.messages import Answer, Confirm, Done, Reason
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.ranges import Ranges
from chord_proto.records import record
from chord_proto.ring import Ring
from chord_proto.sync import SyncEnded, Syncs
from chord_proto.table import Name, place_of
from chord_proto.writes import Writes

_SOON = 0.05
_DROPPED_AT_ONCE = 1024


@record
class ForRepair:
    """Purpose of comparing one's range with a replica."""

    round: int


@record
class ForSurplus:
    """Purpose of finding the owner of records that do not belong here."""


@record
class Returning:
    """Purpose of giving surplus copies on (start, end] to their owner: these, in these versions, may go afterwards."""

    start: int
    end: int
    copies: tuple[tuple[Name, str], ...]


@record
class Confirming:
    """Purpose of asking the owner of surplus copies whether they may go: these, in these versions."""

    copies: tuple[tuple[Name, str], ...]


@record
class ForLeave:
    """Purpose of handing the arc (start, end] over before this node leaves."""

    start: int
    end: int


class Repair:
    """The upkeep of replicas."""

    __slots__ = (
        "clean",
        "ctx",
        "graves",
        "handed",
        "heir",
        "lookups",
        "membership",
        "noticed",
        "ranges",
        "refused",
        "repaired",
        "ring",
        "round",
        "started",
        "syncs",
        "todo",
        "waiting",
        "writes",
    )

    def __init__(
        self,
        ctx: Context,
        ring: Ring,
        lookups: Lookups,
        membership: Membership,
        writes: Writes,
        syncs: Syncs,
        ranges: Ranges,
        graves: Graves,
    ) -> None:
        self.ctx = ctx
        self.ring = ring
        self.lookups = lookups
        self.membership = membership
        self.writes = writes
        self.syncs = syncs
        self.ranges = ranges
        self.graves = graves
        self.round = 0
        self.todo: list[Peer] = []
        self.waiting = False
        self.started: tuple[int, tuple[Peer, ...], Peer | None] | None = None
        """What the running round is about: the count of unshared changes, the replicas, the predecessor."""
        self.clean: tuple[int, tuple[Peer, ...], Peer | None] | None = None
        """What the last complete round was about: if it still holds, every replica has everything."""
        self.repaired: float | None = None
        """When that was."""
        self.noticed: tuple[object, ...] = ()
        self.heir: Peer | None = None
        self.handed: dict[tuple[int, int], None] = {}
        """The arcs that the heir has been given."""
        self.refused: dict[int, None] = {}
        """Successors that would not take this leaver's range."""

    def arm(self) -> None:
        """Arm the periodic timer."""
        ctx = self.ctx
        ctx.timers.arm(("repair", 0), ctx.now + ctx.rng.jitter(ctx.config.repair_interval))

    def soon(self) -> None:
        """Something changed: compare again shortly."""
        if self.ctx.timers.when(("repair", 0)) is not None:
            self.ctx.timers.arm_earlier(("repair", 0), self.ctx.now + self.ctx.rng.jitter(_SOON))

    def notice(self) -> None:
        """Look whether anything changed that repair is about; cheap, called after every input."""
        routing = self.ctx.routing
        seen = (self.writes.unshared, routing.successors, routing.predecessor, self.ranges.completed)
        if seen != self.noticed:
            self.noticed = seen
            self.soon()

    def _state(self) -> tuple[int, tuple[Peer, ...], Peer | None]:
        routing = self.ctx.routing
        return self.writes.unshared, routing.replicas(), routing.predecessor

    @property
    def is_clean(self) -> bool:
        """Whether every replica is known to hold all of this node's range as it stands."""
        return self.clean == self._state() and self.ranges.is_ready

    # One's own range

    def on_timer(self) -> None:
        """Begin a round, and look after surplus copies."""
        self.arm()
        self.writes.expire()
        if self.ring.phase is not Phase.ACTIVE:
            return
        if not self.waiting and self.ranges.is_ready:
            self.round += 1
            self.started = self._state()
            self.todo = [peer for peer in self.started[1] if peer.id != self.ctx.me.id]
            self._next_replica()
        self._look_for_surplus()

    def _next_replica(self) -> None:
        if not self.todo:
            self.clean = self.started
            if self.is_clean:
                self.repaired = self.ctx.now
                self.graves.collect()
            return
        peer = self.todo.pop(0)
        start = self._start()
        self.waiting = True
        self.syncs.start(peer, start, self.ctx.me.id, ForRepair(self.round), pull=True, push=True)

    def _start(self) -> int:
        predecessor = self.ctx.routing.predecessor
        return self.ctx.me.id if predecessor is None else predecessor.id

    def on_compared(self, purpose: ForRepair, peer: Peer | None, ended: SyncEnded) -> None:
        """One replica has been compared; go on with the next."""
        self.waiting = False
        if purpose.round != self.round:
            return
        if not ended.ok or self.started is None or self._state()[1:] != self.started[1:]:
            self.todo.clear()
            self.soon()
        else:
            self._next_replica()

    # Surplus copies

    def responsibility(self) -> int | None:
        """Return where the arc begins on which this node should hold records; None while that is not known.

        Going back from here: a predecessor's range counts while this node is among the first R places of
        distinct addresses from that predecessor on.
        """
        routing, me = self.ctx.routing, self.ctx.me
        before: set[str] = set()
        for peer in routing.predecessors:
            before.add(peer.address)
            if me.address in before or len(before) == self.ctx.config.replicas:
                return peer.id
        return None

    def _look_for_surplus(self) -> None:
        start = self.responsibility()
        if start is None or self.ctx.timers.when(("repair", 0)) is None:
            return
        item = next(self.writes.table.outside(start, self.ctx.me.id), None)
        if item is not None:
            self.lookups.start(place_of(item.space, item.name, self.ctx.config.bits), ForSurplus())

    def on_owner_found(self, purpose: ForSurplus, peer: Peer | None, found: Outcome | None) -> None:
        """Give the owner what it lacks of the surplus on its range; what comes meanwhile is not compared, and stays."""
        start = self.responsibility()
        if found is None or found.successors[0].id == self.ctx.me.id or start is None:
            return
        owner, after = found.successors[0], found.predecessor.id
        held = (((item.space, item.name), item.version) for item in self.writes.table.on_arc(after, owner.id))
        copies = tuple(islice((each for each in held if self._is_surplus(*each, start)), _DROPPED_AT_ONCE))
        self.syncs.start(owner, after, owner.id, Returning(after, owner.id, copies), pull=False, push=True)

    def on_returned(self, purpose: Returning, peer: Peer | None, ended: SyncEnded) -> None:
        """The owner has the copies: ask it whether they may go."""
        if peer is not None and ended.ok and purpose.copies:
            self.ctx.ask(peer, Confirming(purpose.copies), Confirm, purpose.start, purpose.end)

    def _is_surplus(self, name: Name, version: str, start: int) -> bool:
        """Tell whether a copy lies beyond (start, me], where it belongs, no newer one came and nobody counts on it."""
        newest = self.writes.newest(*name)
        if newest is None or newest.version != version or self.writes.is_counted_on(name):
            return False
        return not within(start, place_of(*name, self.ctx.config.bits), self.ctx.me.id)

    def on_confirmed(self, purpose: Confirming, peer: Peer | None, answer: Answer | None) -> None:
        """Drop the copies if they may go; what came since is another matter, and perhaps acknowledged."""
        start = self.responsibility()
        if start is None or not isinstance(answer, Done):
            return
        names = tuple(name for name, version in purpose.copies if self._is_surplus(name, version, start))
        if names:
            self.writes.drop(names)
            self.soon()

    def on_confirm(self, message: Confirm, sender: Address) -> None:
        """Confirm an arc of one's range if every replica has all of it, and nothing is being written there.

        Not to a replica: it counts itself out while this node counts on it.  A leaver confirms nothing: who asks may
        be about to drop what the leaver has just handed it.
        """
        asker = self.ctx.asker(message, sender)
        routing = self.ctx.routing
        following = (message.start + 1) % (1 << self.ctx.config.bits)
        owned = routing.owns(message.end) and routing.owns(following)
        counted = message.source is None or self._counts_on(message.source)
        settled = self.is_clean and self.writes.is_settled(message.start, message.end)
        if owned and not counted and settled and self.ring.phase is not Phase.LEAVING:
            self.ctx.answer(asker, Done)
        else:
            self.soon()
            self.ctx.refuse(asker, Reason.NOT_READY)

    def _counts_on(self, peer: Peer) -> bool:
        """Tell whether ``peer`` is a replica, or may well be one: fewer than R are known, and none of its address."""
        replicas = self.ctx.routing.replicas()
        is_short = len(replicas) < self.ctx.config.replicas
        return peer in replicas or (is_short and all(peer.address != each.address for each in replicas))

    # Leaving

    def hand_over(self) -> None:
        """Give what this node holds to the first successor that takes it, then say farewell."""
        routing, ctx = self.ctx.routing, self.ctx
        unwilling = self.refused | self.membership.unwilling
        heir = next((p for p in routing.successors if not routing.is_suspect(p) and p.id not in unwilling), None)
        if heir != self.heir:
            self.heir, self.handed = heir, {}
        self.ranges.reopen()
        held = self.ranges.held.arcs()[:MAX_ARCS]
        # What was granted lately may never have arrived, and be nowhere else.
        granted = self.ranges.grants.granted_here().arcs()[:MAX_ARCS]
        arcs = [arc for arc in (*held, *granted) if arc not in self.handed]
        if heir is not None and (self.ranges.pending or not all(self.writes.is_settled(*arc) for arc in arcs)):
            ctx.timers.arm(("hand over", 0), ctx.now + ctx.rng.jitter(_SOON))
        elif heir is None and any(
            peer.address != ctx.me.address and not routing.is_suspect(peer)
            for peer in (*routing.successors, *routing.predecessors)
        ):
            # All refused, perhaps because they were leaving too, or a new successor is not found yet: ask again
            # until the deadline.
            self.refused.clear()
            ctx.timers.arm(("hand over", 0), ctx.now + ctx.rng.jitter(_SOON))
        elif heir is None:
            self.membership.say_farewell(granted_to=None)
        elif not arcs:
            given = self.ranges.grants.remembered()
            self.ranges.close(heir)
            self.membership.say_farewell(granted_to=heir, arcs=held, given=given)
        else:
            self.syncs.start(heir, *arcs[0], ForLeave(*arcs[0]), pull=False, push=True)

    def on_handed_over(self, purpose: ForLeave, peer: Peer | None, ended: SyncEnded) -> None:
        """The heir has everything, or the next one is tried."""
        if self.ring.phase is not Phase.LEAVING or peer is None:
            return
        if ended.ok:
            self.handed[purpose.start, purpose.end] = None
        else:
            self.refused[peer.id] = None
        self.hand_over()
