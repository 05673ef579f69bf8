"""A peer: one place on the circle, and the address of the process that holds it."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from chord_proto.identifiers import place_of_node
from chord_proto.records import register

Address: TypeAlias = str
"""Where a process is reached, opaque to the core: ``host:port`` to the socket adapters."""


@register
@attrs.frozen(slots=True, weakref_slot=False)
class Peer:
    """A (virtual) node as others know it.

    ``id`` is H(address, index) on a circle of ``Config.bits`` bits; whoever hears of a peer computes it
    again, so nobody chooses their own place.  ``index`` numbers the virtual nodes of one address from 0.
    """

    id: int
    address: Address
    index: int = 0

    @classmethod
    def at(cls, address: Address, index: int = 0, *, bits: int = 160) -> Peer:
        """Return the peer that virtual node ``index`` of ``address`` is."""
        return cls(place_of_node(address, index, bits), address, index)

    def is_well_formed(self, bits: int) -> bool:
        """Tell whether the id is the one that address and index give (property S10)."""
        return self.id == place_of_node(self.address, self.index, bits)
