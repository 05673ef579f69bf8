"""Peers on the wire: two bytes of virtual-node index and the address, known ones interned.

The id is not sent: it is computed from index and address (property S10), which costs a SHA-1.  The same few
peers stand in nearly every message, so both directions are remembered, and a repeated peer costs a dictionary
lookup.  Both tables are bounded: a full one is emptied, so that no stream of invented peers makes it grow.
"""

from __future__ import annotations

from chord_proto.peer import Peer

MAX_ADDRESS = 255
"""Most bytes of an address in UTF-8; a host name has at most 253."""
MAX_INDEX = 65_535
"""Greatest index of a virtual node."""
_INDEX_SIZE = 2
MIN_BLOB = _INDEX_SIZE + 1
"""Least bytes of a packed peer: an address is not empty."""
MAX_BLOB = _INDEX_SIZE + MAX_ADDRESS
"""Most bytes of a packed peer."""


class _Interned(dict[bytes, Peer]):
    """Packed peer to `Peer`; what is missing is computed and remembered.

    A subclass of dict, for the sake of speed: a hit never leaves C.
    """

    __slots__ = ("_bits", "_limit")

    def __init__(self, bits: int, limit: int) -> None:
        super().__init__()
        self._bits = bits
        self._limit = limit

    def __missing__(self, blob: bytes) -> Peer:
        """Unpack a peer met for the first time; `ValueError` when it is none."""
        if not MIN_BLOB <= len(blob) <= MAX_BLOB:
            raise ValueError(f"a packed peer has {MIN_BLOB} to {MAX_BLOB} bytes, not {len(blob)}")
        peer = Peer.at(blob[_INDEX_SIZE:].decode(), int.from_bytes(blob[:_INDEX_SIZE]), bits=self._bits)
        if len(self) >= self._limit:
            self.clear()
        self[blob] = peer
        return peer


class PeerTable:
    """Packs and unpacks the peers of a circle of ``bits`` bits, and remembers ``limit`` of them each way."""

    __slots__ = ("_bits", "_interned", "_limit", "_packed", "unpack")

    def __init__(self, bits: int, limit: int) -> None:
        if limit < 1:
            raise ValueError("a table of peers holds at least one")
        self._bits = bits
        self._limit = limit
        self._packed: dict[int, tuple[Peer, bytes]] = {}
        # Keyed by id, since hashing a Peer is a call into Python; the peer is compared all the same.
        self._interned = _Interned(bits, limit)
        self.unpack = self._interned.__getitem__
        """Returns the peer of a blob; `ValueError` when it is none."""

    def __len__(self) -> int:
        return max(len(self._interned), len(self._packed))

    def pack(self, peer: Peer) -> bytes:
        """Return the blob of a peer; `ValueError` when its id is not the one that index and address give."""
        known = self._packed.get(peer.id)
        if known is not None and (known[0] is peer or known[0] == peer):
            return known[1]
        address = peer.address.encode()
        if not 1 <= len(address) <= MAX_ADDRESS:
            raise ValueError(f"an address has 1 to {MAX_ADDRESS} bytes, not {len(address)}")
        if not 0 <= peer.index <= MAX_INDEX:
            raise ValueError(f"{peer.index} is no index of a virtual node")
        if not peer.is_well_formed(self._bits):
            raise ValueError(f"{peer} has another id than its address and index give")
        blob = peer.index.to_bytes(_INDEX_SIZE) + address
        if len(self._packed) >= self._limit:
            self._packed.clear()
        self._packed[peer.id] = (peer, blob)
        return blob
