"""Finding a lost part of the ring again after a partition (chord.md section 4)."""

from __future__ import annotations

from chord_proto.context import Context
from chord_proto.lookup import Lookups, Outcome
from chord_proto.membership import Membership
from chord_proto.peer import Peer
from chord_proto.records import record
from chord_proto.ring import Ring


@record
class ForMerge:
    """Purpose of the lookup of me + 1 on the other side."""


class Merge:
    """The probing of seeds and of peers that fell silent, one at a time, for ever."""

    __slots__ = ("ctx", "interval", "lookups", "membership", "ring", "seed_turn")

    def __init__(self, ctx: Context, ring: Ring, lookups: Lookups, membership: Membership) -> None:
        self.ctx = ctx
        self.ring = ring
        self.lookups = lookups
        self.membership = membership
        self.interval = ctx.config.probe_interval
        self.seed_turn = 0

    def arm(self) -> None:
        """Arm the periodic timer."""
        ctx = self.ctx
        ctx.timers.arm(("probe", 0), ctx.now + ctx.rng.jitter(self.interval))

    def on_timer(self) -> None:
        """Look me + 1 up, starting at a seed or at a peer that fell silent and using only its side's answers."""
        ctx = self.ctx
        self.interval = min(2 * self.interval, ctx.config.probe_interval_max)
        self.arm()
        place = (ctx.me.id + 1) % (1 << ctx.config.bits)
        seeds, lost = self.membership.contacts, ctx.routing.lost
        self.seed_turn += 1
        # Somebody of another ring may be known well, ask and be asked; lookups then pass from ring to ring and find nothing.
        unnoticed = ctx.routing.first_known_after()
        if unnoticed is not None:
            self.ring.propose_successor(unnoticed)
        if lost and (not seeds or self.seed_turn % 2):
            peer = lost.pop(next(iter(lost)))
            lost[peer.id] = peer  # To the end of the queue; hearing from it takes it out.
            self.lookups.start(place, ForMerge(), through=(peer,))
        elif seeds:
            seed = seeds[(self.seed_turn // 2) % len(seeds)]
            if seed != ctx.me.address or ctx.me.index:
                self.lookups.start(place, ForMerge(), contacts=(seed,))

    def on_found(self, purpose: ForMerge, peer: Peer | None, found: Outcome | None) -> None:
        """Let stabilise ask what was found, if it lies before the present successor."""
        if found is None or found.successors[0].id == self.ctx.me.id:
            return
        if not self.ring.propose_successor(found.successors[0]):
            self.ctx.timers.arm_earlier(
                ("probe", 0), self.ctx.now + self.ctx.rng.jitter(self.ctx.config.probe_interval)
            )

    def on_departed(self, peer: Peer) -> None:
        """Somebody fell silent: probe at short intervals again."""
        self.interval = self.ctx.config.probe_interval
        if self.ctx.timers.when(("probe", 0)) is not None:
            self.ctx.timers.arm_earlier(("probe", 0), self.ctx.now + self.ctx.rng.jitter(self.interval))
