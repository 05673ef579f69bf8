"""What can be set about a node, each default with its reason."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs.validators import and_, ge, gt, in_, instance_of, le, lt

from chord_proto.records import register


def _count(default: int, low: int = 1, high: int | None = None) -> int:
    checks = [instance_of(int), ge(low)] + ([le(high)] if high is not None else [])
    return attrs.field(default=default, validator=and_(*checks))


def _seconds(default: float) -> float:
    return attrs.field(default=default, converter=float, validator=gt(0.0))


@register
@attrs.frozen(kw_only=True, weakref_slot=False)
class Config:
    """Parameters of a node.  ``bits``, ``replicas`` and ``successors`` must agree ring-wide.

    Times are in seconds, sizes in bytes.  Raises ``ValueError`` or ``TypeError`` for a value out of range.
    """

    # The circle and the ring.
    bits: int = _count(160, 1, 160)
    """Width of an identifier; 160 is SHA-1, as in the papers."""
    successors: int = _count(8, 1, 64)
    """r, the length of the successor list: 2 log2 N for 16 nodes, and N = 10^4 survives a tenth dying at once."""
    predecessors: int = _count(8, 1, 64)
    """How many predecessors a node knows; as many as successors, since replicas are checked both ways."""
    replicas: int = _count(3, 1, 16)
    """R, on how many distinct addresses a record lives; three keep a majority when one dies."""
    routing: Literal["iterative", "recursive"] = attrs.field(
        default="iterative", validator=in_(("iterative", "recursive"))
    )
    """How the lookups of operations travel: the asker asks each hop itself, or the first one passes the question on.  All
    nodes pass on; the first is dearer by half at four hops and loses nothing when a hop fails."""
    max_virtual_nodes: int = _count(64, 1, 65_535)
    """How many places one address may hold; a peer with a higher index is refused."""

    # Periods of upkeep.
    jitter: float = attrs.field(default=0.2, converter=float, validator=and_(ge(0.0), lt(1.0)))
    """By what share of it each period and pause is lengthened or shortened, at random and evenly: a fifth parts nodes that began
    together within some rounds, and leaves a silent peer little more time.  The papers have a half."""
    stabilize_interval: float = _seconds(1.0)
    """Between two rounds of stabilise and of asking the predecessor: a quarter of the five seconds in which
    a silent peer must be suspected, the rest is for retries."""
    stabilize_interval_max: float | None = attrs.field(
        default=None, converter=attrs.converters.optional(float), validator=attrs.validators.optional(gt(0.0))
    )
    """With it these periods, and that of fingers in proportion, follow the churn that the node sees (RFC 7363): from
    ``stabilize_interval`` up to this.  Then silent peers may be suspected only after a period, so None, which fixes them."""
    finger_interval: float = _seconds(2.0)
    """Between two finger lookups; about log2 N of them refresh all."""
    repair_interval: float = _seconds(5.0)
    """Between two comparisons of one's range with its replicas; a change of neighbours starts one at once."""
    probe_interval: float = _seconds(2.0)
    """First interval between two probes of lost peers and seeds; doubles up to ``probe_interval_max``."""
    probe_interval_max: float = _seconds(30.0)
    """Longest interval between probes: a healed partition merges within about a minute."""
    eager_delay: float = _seconds(0.05)
    """Least time between two rounds of stabilise that a change of neighbours brings forward."""

    # Requests.
    initial_timeout: float = _seconds(0.3)
    """Retransmission timeout before a round trip was measured."""
    min_timeout: float = _seconds(0.15)
    """Least retransmission timeout: well above a busy event loop's pauses."""
    max_timeout: float = _seconds(1.0)
    """Greatest retransmission timeout: with ``request_tries`` it keeps suspicion within about 3.5 seconds."""
    request_tries: int = _count(4, 1, 16)
    """How often a request is sent before its peer is suspected; at 10% loss a false suspicion is one in 800."""
    late_tolerance: float = _seconds(1.0)
    """A tick this much later than the deadline means that the machine slept: outstanding requests get a
    fresh timeout."""
    suspect_ttl: float = _seconds(5.0)
    """How long a suspected peer is left out of lookups unless it is heard from."""

    # Operations.
    operation_timeout: float = _seconds(10.0)
    """How long an operation retries inside before it fails."""
    leave_timeout: float = _seconds(10.0)
    """How long a leaving node tries to hand its range over."""
    lookup_parallelism: int = _count(3, 1, 16)
    """Most questions that one lookup has out at once."""
    lookup_candidates: int = _count(4, 1, 32)
    """How many candidates an answer to a lookup carries, so that a dead hop costs no new question."""
    lookup_witnesses: int = _count(12, 0, 64)
    """How many nodes must confirm the owner of a place, each found on a way of its own, when something speaks against it: among
    a quarter of liars that name each other more than half the ways lead astray.  0 believes every answer."""
    peer_cache: bool = attrs.field(default=True, validator=instance_of(bool))
    """Whether lookups go by every peer that is known: one hop while the ring is small.  Without it they go by fingers and
    neighbours alone, as in the papers."""
    proximity: bool = attrs.field(default=True, validator=instance_of(bool))
    """Whether lookups prefer peers with short round trips among those that bring them about as far: by fingers alone it takes a
    third off their time."""
    upkeep_budget: float | None = attrs.field(
        default=None, converter=attrs.converters.optional(float), validator=attrs.validators.optional(gt(0.0))
    )
    """Bytes a second that a node may send, by which the table of peers grows and shrinks: what upkeep and lookups leave goes into
    hearing whether known peers still live, and into finding others.  Stabilising has no part in it, and takes some hundred
    of them.  None: the table is as large as ``max_known_peers``, and nobody in it is asked without need."""
    max_hops: int = _count(64, 1, 1024)
    """Most answers that one lookup follows: 2 log2 N is 40 for a million nodes."""

    # Versions.
    max_clock_ahead: float = _seconds(300.0)
    """How far ahead of a replica's civil clock the version of a write may be: what minutes of bad timekeeping explain."""
    grace_period: float = _seconds(86_400.0)
    """How long a deletion or expiry is remembered: a node that is away for less brings nothing back."""
    keep_outdated: bool = attrs.field(default=False, validator=instance_of(bool))
    """Whether a node keeps its named records that was away for longer, while its ring lived on, and takes back those
    that it has set aside: it sets them aside else, since some may be of what was deleted meanwhile."""

    # Bounds.
    max_value_size: int = _count(4 * 1024 * 1024, 1)
    """Longest value of a named record."""
    max_key_size: int = _count(4096, 1024, 65_535)
    """Longest name of a record."""
    max_records: int = _count(1_000_000)
    """Most records and blocks a node holds."""
    max_bytes: int = _count(4 * 1024**3)
    """Most bytes of values a node holds."""
    max_operations: int = _count(4096)
    """Most operations under way, the node's own and those it performs for clients."""
    max_requests: int = _count(8192)
    """Most requests out at once."""
    max_requests_per_peer: int = _count(2048)
    """Most requests out at once to one address."""
    max_served: int = _count(8192)
    """Most requests of others whose answers take longer than a turn, at once."""
    max_served_per_peer: int = _count(2048)
    """Most of these from one connection: as many as a peer of default configuration has out at once to one address."""
    max_pending_writes: int = _count(16_384)
    """Most writes handed out and not yet reported durable."""
    max_carried_bytes: int = _count(256 * 1024 * 1024)
    """Most bytes of values in the reads and writes that a node coordinates at once, unless a single one has more."""
    max_forwards: int = _count(2048)
    """Most lookups of others that a node is passing on; over it who asks is told whom to ask instead."""
    max_forwards_per_peer: int = _count(512)
    """Most of these from one connection."""
    max_watchers: int = _count(1024)
    """Most watchers that wait at once for changes of records that a node owns."""
    max_known_peers: int = _count(512, 16)
    """Size of the table of peers seen lately."""
    max_lost_peers: int = _count(64)
    """How many peers that fell silent are remembered, to find a lost part of the ring again."""
    max_peers_in_message: int = _count(256, 16, 256)
    """Most peers taken from one message."""
    max_records_in_message: int = _count(1024, 1024, 16_384)
    """Most records, names or summaries taken from one message: twice what a node sends, and some milliseconds of work."""
    max_scanned: int = _count(256)
    """Most records that are looked at for one page of a scan: some tenths of a millisecond of work."""
    max_batch_bytes: int = _count(1024 * 1024, 65_536)
    """Most bytes of records in one message of repair or hand-off, unless a single record is longer."""

    # Bounds of connections, which the adapters keep.
    max_connections: int = _count(512)
    """Most connections that came in and have shown who they are; with those below, and some files, it stays under the
    usual limit of 1,024 open files."""
    max_connections_per_address: int = _count(384)
    """Most of these from one IP address: a quarter is left for others, and no more than that, since behind one address
    may be a whole site, and on loopback everybody is."""
    max_strangers: int = _count(256)
    """Most connections that came in and have not shown yet who they are; the oldest makes way.  A newcomer shows it
    within two round trips: this leaves it 50 ms while 5,000 others knock each second."""
    max_dialled: int = _count(192)
    """Most connections dialled at once; the one unused for longest makes way.  A ring member needs some tens."""
    max_buffered_bytes: int = _count(128 * 1024 * 1024, 65_536)
    """Most bytes that wait to be sent, on all connections together."""
    max_buffered_bytes_per_connection: int = _count(32 * 1024 * 1024, 65_536)
    """Most bytes that wait to be sent on one connection: above what the operations under way of one node can carry."""
    max_received_bytes: int = _count(64 * 1024 * 1024, 65_536)
    """Most bytes of frames of which not all has come yet, on all connections together."""
    max_guests: int = _count(1024)
    """Most operations of clients that wait their turn or are under way."""
    max_guests_per_connection: int = _count(512)
    """Most of these that came by one connection."""
    max_guest_bytes: int = _count(64 * 1024 * 1024, 65_536)
    """Most bytes of values that operations of clients carry which wait their turn, but for a single one."""
    max_subscriptions: int = _count(64)
    """Most subscriptions to one thing at one node."""

    @property
    def longest_interval(self) -> float:
        """The most time between two rounds of stabilise, but for jitter."""
        return self.stabilize_interval if self.stabilize_interval_max is None else self.stabilize_interval_max

    @property
    def shortest_suspicion(self) -> float:
        """The least time in which a peer that says nothing is suspected: that of all tries at a peer that answers fast."""
        return sum((min(self.min_timeout * 2.0**turn, self.max_timeout) for turn in range(self.request_tries)), 0.0)

    def __attrs_post_init__(self) -> None:
        """Check what no single field can tell."""
        if self.min_timeout > self.max_timeout:
            raise ValueError("min_timeout is greater than max_timeout")
        if self.stabilize_interval_max is not None and self.stabilize_interval > self.stabilize_interval_max:
            raise ValueError("stabilize_interval is greater than stabilize_interval_max")
        if self.probe_interval > self.probe_interval_max:
            raise ValueError("probe_interval is greater than probe_interval_max")
        if self.upkeep_budget is not None and not self.peer_cache:
            raise ValueError("upkeep_budget is for the table of peers, by which lookups do not go without peer_cache")
        if self.max_peers_in_message < 2 * self.successors:
            raise ValueError("max_peers_in_message must be at least twice the number of successors")
