"""What subscriptions tell."""

from __future__ import annotations

import attrs

from chord_adapters._arguments import place_of
from chord_proto.config import Config
from chord_proto.identifiers import within
from chord_proto.peer import Peer

_CONFIG = Config()


@attrs.frozen
class _Arc:
    """The arc (start, end] of the circle, of the place ``peer``; the whole circle when both ends are equal."""

    start: int
    end: int
    peer: Peer
    config: Config = attrs.field(default=_CONFIG, repr=False, eq=False, kw_only=True)

    def __contains__(self, key: str | bytes | int) -> bool:
        return within(self.start, place_of(key, self.config), self.end)


@attrs.frozen
class Gained(_Arc):
    """The node decides for the arc (start, end] from now on: it owns it, and what the one before it decided is here.

    It goes clockwise, without ``start``, with ``end``, past zero if need be, and is the whole circle when both are
    equal.  ``peer`` is the place of the node that has it.  ``key in event`` tells whether a key, as `Node.owns` takes
    it, lies there.
    """


@attrs.frozen
class Lost(_Arc):
    """The node does not decide for the arc (start, end] any more, which it did until now; all as in `Gained`."""
