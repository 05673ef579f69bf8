"""A ring of which a part begins to lie, and how many lookups of the others find the owner all the same."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from random import Random

import attrs

from chord_adapters.memory import Network
from chord_adapters.testing import Seeded
from chord_adapters.testing._lying import HOW, Liar
from chord_proto.config import Config
from chord_proto.context import Context
from chord_proto.identifiers import distance
from chord_proto.invariants import is_ideal
from chord_proto.messages import Forward, Message, Reached
from chord_proto.operations import Locate, Located
from chord_proto.peer import Address, Peer
from chord_proto.phase import Phase
from chord_proto.recursive import Forwards

NAMES_ITS_LIKE = "names its like"
"""All liars know each other, and name each other wherever a correct node names others: the lie that is hardest to see through."""
WAYS = (*HOW, NAMES_ITS_LIKE)
ANSWERS_FOR_OTHERS = "answers for others"
"""Liars take whatever question is passed to them, and tell the asker in another's name that one of their like owns the place."""
DROPS_QUESTIONS = "drops questions"
"""Liars take whatever question is passed to them, and do nothing with it."""
LIE_FOR = 30.0
"""Seconds for which they have lied when the first lookup begins."""
_AT_ONCE = 16


class Forger(Forwards):
    """Takes questions, and answers them itself: by whom the place is owned, it has made up."""

    def __init__(self, ctx: Context, like: list[Peer]) -> None:
        super().__init__(ctx)
        self.like = like

    def take(self, message: Forward, sender: Address) -> bool:
        """Say that it is passed on, and name the liar that lies next behind the place, if there are any."""
        if self.like:
            bits, place = self.ctx.config.bits, message.place
            owner = min(self.like, key=lambda peer: distance(place, peer.id, bits))
            before = min(self.ctx.routing.peers, key=lambda peer: distance(peer.id, place - 1, bits))
            named = before, (owner,), False
            told = Reached(before, 1, message.asker.id, message.life, message.number, 1, *named)
            self.ctx.send(message.asker.address, told)
        return True


@attrs.frozen
class Measured:
    """What came of the lookups of honest nodes: how many were right, and what they took."""

    right: int
    lookups: int
    seconds: tuple[float, ...]
    """How long each took, in virtual time with 1 to 10 ms from node to node, in ascending order."""
    messages: float
    """Messages a node and second, all that it sent."""

    @property
    def share(self) -> float:
        """The share of right answers."""
        return self.right / self.lookups


def grown(nodes: int, config: Config, seed: int, between: Callable[[Address, Address], float] | None = None) -> Network:
    """Return an ideal ring of so many nodes, all honest."""
    net = Network(seed, config=config, between=between)
    net.spawn("n0")
    for first in range(1, nodes, _AT_ONCE):
        fresh = [net.spawn(f"n{each}", join=["n0"]) for each in range(first, min(first + _AT_ONCE, nodes))]
        net.run_until(lambda fresh=fresh: all(node.phase is Phase.ACTIVE for node in fresh), within=600, every=0.05)  # type: ignore[misc]
    net.run_until(lambda: is_ideal([node.view() for node in net.nodes], config), within=600, every=1.0)
    net.run_for(20.0)
    return net


def drawn_liars(net: Network, share: float, draw: Random) -> set[Address]:
    """Return the addresses of those that lie in `measured`, with a generator of its seed."""
    everybody = sorted((node.me for node in net.nodes), key=lambda peer: peer.id)
    return set(draw.sample([peer.address for peer in everybody], int(len(everybody) * share)))


def measured(net: Network, how: str, *, share: float, lookups: int, seed: int) -> Measured:
    """Let a share of the nodes lie from now on, and the others look up random places, one after the other.

    The true owner is the first member from the place on, liars that answer included.
    """
    draw = Random(seed)
    everybody = sorted((node.me for node in net.nodes), key=lambda peer: peer.id)
    liars = drawn_liars(net, share, draw)
    for address in sorted(liars):
        if how in (ANSWERS_FOR_OTHERS, DROPS_QUESTIONS):
            lookups_of, like = net.node(address).lookups, [peer for peer in everybody if peer.address in liars]
            lookups_of._forwards = Forger(lookups_of.ctx, like if how == ANSWERS_FOR_OTHERS else [])
            continue
        net.tamper(address, _liar(how, [peer for peer in everybody if peer.address in liars], draw, net.config))
    members = [peer for peer in everybody if not (how == "says nothing" and peer.address in liars)]
    honest = [peer.address for peer in everybody if peer.address not in liars]
    net.run_for(LIE_FOR)
    sent, began, right = net.counts["sent"], net.now, 0
    seconds: list[float] = []
    for _ in range(lookups):
        place, since = draw.getrandbits(net.config.bits), net.now
        found = net.do(draw.choice(honest), Locate(place))
        right += isinstance(found, Located) and found.owner == _owner(members, place)
        seconds.append(net.now - since)
    messages = (net.counts["sent"] - sent) / max(net.now - began, 1e-9) / len(everybody)
    return Measured(right, lookups, tuple(sorted(seconds)), messages)


def _liar(how: str, liars: list[Peer], draw: Random, config: Config) -> Callable[[Message], Message | None]:
    choices = Seeded(draw.getrandbits(32))
    if how == NAMES_ITS_LIKE:
        return Liar("forges lists", choices, config.bits, invented=liars)
    return Liar(how, choices, config.bits)


def _owner(members: list[Peer], place: int) -> Peer:
    return members[bisect_left(members, place, key=lambda peer: peer.id) % len(members)]
