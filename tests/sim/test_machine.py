"""A Hypothesis state machine over the memory network: whatever happens to a ring, its invariants hold.

A after every input of every node; Z while Zave's assumptions hold; Q, and what clients were promised, after quiet.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chord_proto.config import Config
from chord_proto.operations import Delete, Fetch, Get, Locate, Put, Store
from tests.sim.world import LIGHTHOUSE, World, block_key

MOST_UP = 7
INDEX = st.integers(0, 999)
KEYS = st.sampled_from([b"", b"a", b"b", "schlüssel".encode()])


class RingMachine(RuleBasedStateMachine):
    """Nodes come, go, die, are cut off and come back while clients read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None
        self.values = 0

    @initialize(
        seed=st.integers(0, 2**32),
        r=st.integers(1, 4),
        more=st.sampled_from(["one", "r", "r+1", "r+3"]),
        bits=st.sampled_from([160, 16]),
        virtual_nodes=st.sampled_from([1, 1, 2]),
        write_delay=st.sampled_from([0.0, 0.02]),
    )
    def begin(self, seed: int, r: int, more: str, bits: int, virtual_nodes: int, write_delay: float) -> None:
        config = Config(bits=bits, successors=r, predecessors=r)
        size = {"one": 1, "r": r, "r+1": r + 1, "r+3": r + 3}[more]
        self.world = World(seed, config, size=size, virtual_nodes=virtual_nodes, write_delay=write_delay)

    @property
    def ring(self) -> World:
        assert self.world is not None
        return self.world

    def pick(self, index: int) -> str:
        return self.ring.up[index % len(self.ring.up)]

    def has_up(self) -> bool:
        return self.world is not None and bool(self.world.up)

    def has_down(self) -> bool:
        return self.world is not None and bool(self.world.net.down)

    def has_room(self) -> bool:
        return self.has_up() and len(self.ring.net.addresses) < MOST_UP

    @precondition(has_room)
    @rule(via=INDEX)
    def join(self, via: int) -> None:
        self.ring.join([self.pick(via), LIGHTHOUSE])

    @precondition(has_up)
    @rule(who=INDEX)
    def leave(self, who: int) -> None:
        self.ring.leave(self.pick(who))

    @precondition(has_up)
    @rule(who=INDEX, silent=st.booleans())
    def crash(self, who: int, silent: bool) -> None:
        self.ring.crash(self.pick(who), silent=silent)

    @precondition(has_down)
    @rule(who=INDEX, via=INDEX, disk=st.booleans())
    def restart(self, who: int, via: int, disk: bool) -> None:
        address = self.ring.net.down[who % len(self.ring.net.down)]
        if address == LIGHTHOUSE:
            contacts = [peer.address for peer in self.ring.members()]
        else:
            contacts = [*([self.pick(via)] if self.has_up() else []), LIGHTHOUSE]
        self.ring.restart(address, disk=disk, via=contacts)

    @precondition(has_up)
    @rule(who=INDEX, seconds=st.sampled_from([0.3, 2.0, 20.0]))
    def pause(self, who: int, seconds: float) -> None:
        self.ring.pause(self.pick(who), seconds)

    @precondition(has_up)
    @rule(side=st.integers(1, 2**MOST_UP - 2), oneway=st.booleans())
    def partition(self, side: int, oneway: bool) -> None:
        up = self.ring.net.addresses
        groups = [[a for i, a in enumerate(up) if side >> i & 1 == bit] for bit in (0, 1)]
        self.ring.partition(*groups, oneway=oneway)

    @precondition(has_up)
    @rule(a=INDEX, b=INDEX, oneway=st.booleans())
    def cut(self, a: int, b: int, oneway: bool) -> None:
        self.ring.cut(self.pick(a), self.pick(b), oneway=oneway)

    @precondition(has_up)
    @rule()
    def heal(self) -> None:
        self.ring.net.heal()

    @precondition(has_up)
    @rule(
        loss=st.sampled_from([0.0, 0.1, 0.3]),
        duplicate=st.sampled_from([0.0, 0.2]),
        reorder=st.sampled_from([0.0, 0.5]),
    )
    def weather(self, loss: float, duplicate: float, reorder: float) -> None:
        self.ring.net.set_links(loss=loss, duplicate=duplicate, reorder=reorder)

    @precondition(has_up)
    @rule(who=INDEX, key=KEYS, size=st.sampled_from([0, 1, 300]))
    def put(self, who: int, key: bytes, size: int) -> None:
        self.values += 1
        self.ring.perform(self.pick(who), Put(key, b"%d" % self.values + b"x" * size))

    @precondition(has_up)
    @rule(who=INDEX, key=KEYS)
    def get(self, who: int, key: bytes) -> None:
        self.ring.perform(self.pick(who), Get(key))

    @precondition(has_up)
    @rule(who=INDEX, key=KEYS)
    def delete(self, who: int, key: bytes) -> None:
        self.ring.perform(self.pick(who), Delete(key))

    @precondition(has_up)
    @rule(who=INDEX, number=st.integers(0, 3))
    def store(self, who: int, number: int) -> None:
        self.ring.perform(self.pick(who), Store(b"block %d" % number))

    @precondition(has_up)
    @rule(who=INDEX, number=st.integers(0, 3))
    def fetch(self, who: int, number: int) -> None:
        self.ring.perform(self.pick(who), Fetch(block_key(b"block %d" % number)))

    @precondition(has_up)
    @rule(who=INDEX, place=st.integers(0, 2**16 - 1))
    def locate(self, who: int, place: int) -> None:
        self.ring.perform(self.pick(who), Locate(place << self.ring.config.bits - 16))

    @precondition(has_up)
    @rule(seconds=st.sampled_from([0.002, 0.01, 0.1, 0.5, 3.0, 20.0]))
    def advance(self, seconds: float) -> None:
        self.ring.net.run_for(seconds)

    @precondition(has_up)
    @rule()
    def advance_until_ideal(self) -> None:
        """Let the assumptions of Z come true again, if no fault is in the way."""
        self.ring.net.set_links(loss=0.0, duplicate=0.0, reorder=0.0)
        self.ring.net.run_for(5.0)

    @invariant()
    def collect(self) -> None:
        if self.world is not None:
            self.world.collect()

    def teardown(self) -> None:
        if self.world is not None:
            self.world.settle()


TestRing = RingMachine.TestCase
TestRing.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
