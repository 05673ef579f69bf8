"""Fingers: finger i is the first node at or after me + 2**i (Stoica et al., SIGCOMM 2001, section 4.3).

Those that the successor list covers are read off it; the others, about log2 N distinct ones, are looked up in
turn, each lookup filling every finger that its owner serves.
"""

from __future__ import annotations

from chord_proto.context import Context
from chord_proto.identifiers import distance
from chord_proto.lookup import Lookups, Outcome
from chord_proto.peer import Peer
from chord_proto.records import record
from chord_proto.tuning import size_on_arc


@record
class ForFinger:
    """Purpose of a finger's lookup."""

    index: int


class Fingers:
    """The refreshing of fingers."""

    __slots__ = ("ctx", "lookups", "todo")

    def __init__(self, ctx: Context, lookups: Lookups) -> None:
        self.ctx = ctx
        self.lookups = lookups
        self.todo: list[int] = []
        """Indices not yet refreshed in this round."""

    def arm(self) -> None:
        """Arm the periodic timer."""
        ctx = self.ctx
        period = ctx.config.finger_interval * ctx.interval / ctx.config.stabilize_interval
        ctx.timers.arm(("finger", 0), ctx.now + ctx.rng.jitter(period))

    def on_timer(self) -> None:
        """Refresh one finger, picked at random among those of this round."""
        self.arm()
        ctx = self.ctx
        if not ctx.config.peer_cache:
            ctx.routing.go_by_pointers()
        if not self.todo:
            self.todo = self._uncovered()
        if self.todo:
            index = self.todo.pop(ctx.rng.below(len(self.todo)))
            self.lookups.start((ctx.me.id + (1 << index)) % (1 << ctx.config.bits), ForFinger(index), confirm=True)

    def on_found(self, purpose: ForFinger, peer: Peer | None, found: Outcome | None) -> None:
        """Set the finger, and all others that the same owner serves."""
        if found is None:
            return
        ctx, fingers = self.ctx, self.ctx.routing.fingers
        owner = found.successors[0]
        served = indices_on(found.predecessor.id, owner.id, ctx.me.id, ctx.config.bits)
        for index in served:
            if owner.id == ctx.me.id:
                fingers.pop(index, None)
            else:
                fingers[index] = owner
        if owner.id != ctx.me.id:
            ctx.routing.entry(owner, ctx.now, pointer=True)
            if ctx.tuning is not None and not found.came_round:
                span = distance(owner.id, found.successors[-1].id, ctx.config.bits)
                ctx.tuning.told(owner.id, size_on_arc(len(found.successors) - 1, span, ctx.config.bits))
        self.todo = [index for index in self.todo if index not in served]

    def on_departed(self, peer: Peer) -> None:
        """Forget fingers that name a peer which is gone."""
        for fingers in (self.ctx.routing.fingers, self.ctx.routing.near):
            for index in [index for index, finger in fingers.items() if finger.id == peer.id]:
                del fingers[index]

    def _uncovered(self) -> list[int]:
        """Return the fingers beyond the successor list, and forget those that it covers by now."""
        routing, bits = self.ctx.routing, self.ctx.config.bits
        if routing.came_round or not routing.successors:
            routing.fingers.clear()
            return []
        me = self.ctx.me.id
        covered = set(indices_on(me, routing.successors[-1].id, me, bits))
        for index in covered.intersection(routing.fingers):
            del routing.fingers[index]
        return [index for index in range(bits) if index not in covered]


def indices_on(start: int, end: int, me: int, bits: int) -> list[int]:
    """Return which of ``me``'s fingers begin on (start, end], in order: those whose 2**i lies between the distances."""
    low, high = distance(me, start, bits), distance(me, end, bits)
    if low < high:
        return list(range(low.bit_length(), high.bit_length()))
    return [*range(high.bit_length()), *range(low.bit_length(), bits)]
