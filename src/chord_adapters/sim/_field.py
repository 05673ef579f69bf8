"""Nodes at rest, and one lookup at a time among them: no more of a network than that takes, so that there may be a million."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from chord_adapters.sim._settings import DELAY
from chord_proto.config import Config
from chord_proto.effects import Effect, Finished, OpId, Send
from chord_proto.messages import FindSuccessor, Message
from chord_proto.node import Node
from chord_proto.operations import Failed, Located
from chord_proto.peer import Address, Peer
from chord_proto.settled import settled_ring


class Field:
    """A ring at rest.  Nobody repairs anything; messages take ``between`` two addresses so many seconds, and to the dead they get lost."""

    def __init__(
        self,
        peers: Iterable[Peer],
        config: Config,
        *,
        seed: int,
        between: Callable[[Address, Address], float] = lambda source, to: DELAY,
    ) -> None:
        self.nodes = {node.me.id: node for node in settled_ring(peers, config=config, seed=seed, upkeep=False)}
        self.ids = sorted(self.nodes)
        """Of those that live."""
        self.now = 0.0
        self.events = 0
        """Inputs of nodes."""
        self.lost = 0
        """Questions about the way that went to the dead, each of which is a timeout of its sender."""
        self.took = 0.0
        """Seconds until the latest lookup had its result."""
        self._between = between
        self._op = self._sent = 0

    def kill(self, ids: Iterable[int]) -> None:
        """Let nodes be gone, all at once and without a word."""
        for each in ids:
            del self.nodes[each]
        self.ids = sorted(self.nodes)

    def owner(self, place: int) -> int:
        """Return the id of the node that owns a place: the first living one at or after it."""
        return self.ids[bisect_left(self.ids, place) % len(self.ids)]

    def locate(self, asker: Node, place: int) -> Located | Failed:
        """Let a node look a place up, and nothing else happen until it has ended and no message is under way."""
        self._op += 1
        op, now, between, nodes = OpId(self._op), self.now, self._between, self.nodes
        queue: list[tuple[float, int, Message, Address]] = []
        result: Located | Failed | None = None
        source: Node | None = asker
        effects: list[Effect] = asker.locate(op, place, now=now)
        while True:
            for effect in effects:
                if type(effect) is Send:
                    assert source is not None
                    self._sent += 1
                    at = now + between(source.me.address, effect.to)
                    heappush(queue, (at, self._sent, effect.message, source.me.address))
                elif type(effect) is Finished and isinstance(effect.result, (Located, Failed)):
                    result, self.took = effect.result, now - self.now
            if result is not None and not queue:
                self.now = now
                return result
            deadline = asker.deadline
            if queue and (deadline is None or queue[0][0] <= deadline):
                now, _, message, sender = heappop(queue)
                source = None if message.target is None else nodes.get(message.target)
                if source is None:
                    self.lost += isinstance(message, FindSuccessor) and message.place == place
                    effects = []
                    continue
                effects = source.receive(message, sender=sender, now=now)
            else:
                if deadline is None:
                    raise RuntimeError(f"{asker.me} looks for {place} and waits for nothing")
                now, source = deadline, asker
                effects = asker.tick(now=now)
            self.events += 1


def places_of(nodes: int, virtual_nodes: int, *, seed: int, bits: int = 160) -> list[Peer]:
    """Return the places of so many nodes, each with its virtual ones; other seeds, other addresses."""
    return [Peer.at(f"{seed}.{number}", index, bits=bits) for number in range(nodes) for index in range(virtual_nodes)]
