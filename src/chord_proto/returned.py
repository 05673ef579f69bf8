"""Who was taken for dead and is heard again: it may have records of what came to this node meanwhile.

A node that waits for a range serves it without those who fell silent: otherwise nobody would serve it after a
crash.  But silence may be loss.  Then whoever lives after all is asked what it has, before this node says that
there is no such record (chord.md section 7).  Nothing but copies moves: who decides stays who decides.
"""

from __future__ import annotations

from chord_proto.context import Context
from chord_proto.peer import Peer
from chord_proto.places import Places, arc
from chord_proto.records import record
from chord_proto.sync import SyncEnded, Syncs

_MEMORY = 60.0
"""Seconds for which it is remembered what came while others were silent, as long as grants are."""
_MAX_GAINED = 64
_MAX_CHECKS = 256
_PAUSE = 0.1
_TRIES = 20
"""How often somebody is asked who answers and cannot tell all, or whom this node had no room to ask."""


@record
class ForReturned:
    """Purpose of pulling from the first in the queue."""


@record
class Gained:
    """Places that this node came to hold, and when."""

    places: Places
    at: float


@record
class Check:
    """``peer``, heard again at ``since``, is to be asked for its copies on (start, end]."""

    peer: Peer
    start: int
    end: int
    since: float
    tries: int = 0


class Returned:
    """What came to one node while others were silent, and which of those are to be asked for it."""

    __slots__ = ("checks", "ctx", "gained", "syncs", "under_way")

    def __init__(self, ctx: Context, syncs: Syncs) -> None:
        self.ctx = ctx
        self.syncs = syncs
        self.gained: tuple[Gained, ...] = ()
        self.checks: list[Check] = []
        self.under_way = False
        """Whether the first in the queue is being asked."""

    @property
    def is_checking(self) -> bool:
        """Whether somebody who was silent is still to be asked what it has."""
        return bool(self.checks)

    def note(self, places: Places) -> None:
        """This node holds ``places`` now; of consequence only if somebody who may have had them is silent, or asked."""
        if places and (self.checks or self.ctx.routing.lost):
            self.gained = (*self.gained[1 - _MAX_GAINED :], Gained(places, self.ctx.now))

    def on_returned(self, peer: Peer, held: Places, fetching: Places) -> None:
        """Ask ``peer`` for what this node came to ``held`` lately, and for what it is ``fetching`` without it."""
        now = self.ctx.now
        self.gained = tuple(each for each in self.gained if each.places & held and now - each.at < _MEMORY)
        lately = Places(held.size)
        for each in self.gained:
            lately |= each.places
        known = {(check.peer, check.start, check.end) for check in self.checks[self.under_way :]}
        for start, end in (lately & held | fetching).arcs():
            if (peer, start, end) not in known and len(self.checks) < _MAX_CHECKS:
                self.checks.append(Check(peer, start, end, now))
        self._go_on()

    def may_have(self, place: int) -> tuple[Peer, ...]:
        """Return who is still to be asked for ``place``, and can be: it has answered since it was heard again."""
        known, size = self.ctx.routing.known, 1 << self.ctx.config.bits
        peers: dict[Peer, None] = {}
        for check in self.checks:
            spoke = known.get(check.peer.id)
            if spoke is not None and spoke.spoke >= check.since and place in arc(check.start, check.end, size):
                peers[check.peer] = None
        return tuple(peers)

    def _go_on(self) -> None:
        while self.checks and not self.under_way:
            check = self.checks[0]
            if self.ctx.routing.is_suspect(check.peer):  # Silent again; when it is not, it is asked anew.
                del self.checks[0]
                continue
            self.under_way = True
            self.syncs.start(check.peer, check.start, check.end, ForReturned(), pull=True, push=False)

    def on_checked(self, purpose: ForReturned, peer: Peer | None, ended: SyncEnded) -> None:
        """All that it has is here; or not, and it is asked again after a pause."""
        self.under_way = False
        check = self.checks.pop(0)
        if not ended.ok and check.tries + 1 < _TRIES and not self.ctx.routing.is_suspect(check.peer):
            self.checks.insert(0, Check(check.peer, check.start, check.end, check.since, check.tries + 1))
            self.ctx.timers.arm(("returned", 0), self.ctx.now + self.ctx.rng.jitter(_PAUSE))
        else:
            self._go_on()

    def on_timer(self) -> None:
        """The pause is over."""
        self._go_on()
