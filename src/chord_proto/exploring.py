"""The table of peers kept as large as a budget of bytes allows (Li, Stribling, Morris and Kaashoek, Accordion, NSDI 2005).

What a node may send and has not sent goes into questions: first to peers that it has not heard for long, measured by how long
they had lived, for which it would otherwise forget them; then to peers before the widest gaps of its table, so that
it gets to know many that are near and few that are far.  Both are questions for the way, whose answers name others.
"""

from __future__ import annotations

from chord_proto.context import Context
from chord_proto.identifiers import distance
from chord_proto.messages import Answer, Closer, FindSuccessor, Found
from chord_proto.peer import Peer
from chord_proto.records import record
from chord_proto.routing import Known

PERIOD = 1.0
"""Seconds between two looks at the account."""
_MOST = 16
"""Most questions at once."""
_DRAWS = 4
"""So many gaps are drawn, and the widest for its distance is asked about."""
_PROVEN = 60.0
"""Seconds that a peer counts as having lived when it is first heard of."""
_SURE, _UNSURE = 0.9, 0.8
"""How likely a peer still lives: below the first it is asked, below the second it is forgotten."""


@record
class Explored:
    """Purpose of a question for those who lie in a gap of the table."""


def alive(known: Known, now: float) -> float:
    """Return how likely a peer still lives: its known lifetime over the time since it began (Accordion, section 4.5).

    That holds for lifetimes of a Pareto distribution, as those of peers are: who has been there for long stays for long.
    """
    lived = _PROVEN + known.heard - known.since
    return lived / (lived + now - known.heard)


class Exploring:
    """What is sent only because the budget allows it."""

    __slots__ = ("ctx",)

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def arm(self) -> None:
        """Arm the periodic timer, if there is a budget."""
        if self.ctx.budget is not None:
            self.ctx.timers.arm(("explore", 0), self.ctx.now + self.ctx.rng.jitter(PERIOD))

    def on_timer(self) -> None:
        """Forget whom this node is not sure of any more, and spend what is left."""
        self.arm()
        ctx = self.ctx
        assert ctx.budget is not None
        if ctx.routing.came_round or not ctx.routing.successors:
            return  # The successor list is the ring, or all of it died.
        due = self._age()
        for _ in range(_MOST):
            if ctx.budget.left(ctx.now) <= 0:
                return
            asked = due.pop() if due else self._before_a_gap()
            if asked is None or not self._ask(asked):
                return

    def _age(self) -> list[Peer]:
        """Forget peers, and return those to be asked lest they be forgotten, who lived the longest last."""
        ctx = self.ctx
        routing, now = ctx.routing, ctx.now
        kept = routing.kept(2 * ctx.config.lookup_witnesses)
        due: list[Known] = []
        for known in tuple(routing.known.values()):
            likely = alive(known, now)
            if likely < _UNSURE and known.peer.id not in kept:
                routing.forget(known.peer.id)
            elif likely < _SURE and known.answered:
                due.append(known)
        due.sort(key=lambda known: (known.heard - known.since, known.peer.id))
        return [known.peer for known in due]

    def _before_a_gap(self) -> Peer | None:
        """Return who lies before the widest of some gaps; all distances by their powers of two are drawn alike."""
        ctx = self.ctx
        bits, me = ctx.config.bits, ctx.me.id
        near = distance(me, ctx.routing.successors[-1].id, bits).bit_length()
        best, widest = None, 0.0
        for _ in range(_DRAWS if near < bits else 0):
            power = near + ctx.rng.below(bits - near)
            away = (1 << power) + (ctx.rng.bits64() << power >> 64)
            before = ctx.routing.closest_preceding((me + away) % (1 << bits), 1)
            if before:
                far = distance(me, before[0].id, bits)
                gap = (self._next(before[0]) / far) if far else 0.0
                if gap > widest:
                    best, widest = before[0], gap
        return best

    def _next(self, peer: Peer) -> int:
        """Return how far it is from a peer to the next one in the table, or to this node."""
        after = self.ctx.routing.following(peer, 1)
        gap = distance(peer.id, self.ctx.me.id, self.ctx.config.bits)
        return min(gap, distance(peer.id, after[0].id, self.ctx.config.bits)) if after else gap

    def _ask(self, peer: Peer) -> bool:
        place = (peer.id + self._next(peer) // 2) % (1 << self.ctx.config.bits)
        return self.ctx.ask(peer, Explored(), FindSuccessor, place)

    def on_answer(self, answer: Answer | None) -> None:
        """Take those that are named into the table."""
        ctx, most = self.ctx, self.ctx.config.max_peers_in_message
        if isinstance(answer, Found):
            ctx.routing.learn_arcs(answer.predecessor.id, answer.successors[:most], ctx.now)
        elif isinstance(answer, Closer):
            ctx.routing.learn(answer.peers[:most], ctx.now)
