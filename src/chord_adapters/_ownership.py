"""Which arcs of the circle the nodes of one address decide for, as it changes."""

from __future__ import annotations

from collections.abc import Sequence

from chord_adapters._engine import Engine
from chord_adapters._events import Gained, Lost
from chord_adapters._subscription import Hub
from chord_proto.config import Config
from chord_proto.node import Node
from chord_proto.places import Places, arc


class Ownership:
    """Compares what the nodes decide for with what was told last.

    The state is asked rather than the node's events followed: a range also stops to be served, and is served again,
    when the node finds out that it was taken for dead, and while it leaves.
    """

    def __init__(self, engine: Engine, nodes: Sequence[Node], config: Config) -> None:
        self.hub: Hub[Gained | Lost] = Hub(engine, self._present)
        self._nodes = nodes
        self._config = config
        self._told = [Places(1 << config.bits) for _ in nodes]

    def look(self) -> None:
        """Tell what has changed; of virtual nodes first what they have lost, so that no arc is with two of them."""
        lost: list[Gained | Lost] = []
        gained: list[Gained | Lost] = []
        for index, node in enumerate(self._nodes):
            before, now = self._told[index], self._decided(node)
            if before != now:
                self._told[index] = now
                lost += [Lost(*each, node.me, config=self._config) for each in (before - now).arcs()]
                gained += [Gained(*each, node.me, config=self._config) for each in (now - before).arcs()]
        self.hub.publish(lost + gained)

    def _present(self) -> list[Gained | Lost]:
        self.look()
        return [
            Gained(*each, node.me, config=self._config)
            for node, places in zip(self._nodes, self._told, strict=True)
            for each in places.arcs()
        ]

    def _decided(self, node: Node) -> Places:
        places = Places(1 << self._config.bits)
        for start, end in node.view().decides:
            places |= arc(start, end, places.size)
        return places
