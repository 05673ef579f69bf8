"""A Hypothesis state machine over the memory network: whatever happens to a ring, its invariants hold.

A after every input of every node; Z while Zave's assumptions hold; Q, and what clients were promised, after quiet.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chord_proto.config import Config
from chord_proto.identifiers import content_key
from chord_proto.operations import Delete, Fetch, Get, Locate, Put, Store
from tests.sim.world import LIGHTHOUSE, World

NIGHTLY = bool(os.environ.get("CHORD_NIGHTLY"))
MOST_UP = 7
INDEX = st.integers(0, 999)
KEYS = st.sampled_from([b"", b"a", b"b", "schlüssel".encode()])
SEEN: Counter[str] = Counter()
"""What happened how often, in all runs."""


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
        replicas=st.sampled_from([3, 3, 2, 1]),
        virtual_nodes=st.sampled_from([1, 1, 2]),
        write_delay=st.sampled_from([0.0, 0.02]),
    )
    def begin(
        self, seed: int, r: int, more: str, bits: int, replicas: int, virtual_nodes: int, write_delay: float
    ) -> None:
        """Begin with an ideal ring."""
        config = Config(bits=bits, successors=r, predecessors=r, replicas=replicas)
        size = {"one": 1, "r": r, "r+1": r + 1, "r+3": r + 3}[more]
        self.world = World(seed, config, size=size, virtual_nodes=virtual_nodes, write_delay=write_delay)

    @property
    def ring(self) -> World:
        """The run."""
        assert self.world is not None
        return self.world

    def pick(self, index: int) -> str:
        """Return one of the addresses that are up."""
        return self.ring.up[index % len(self.ring.up)]

    def has_begun(self) -> bool:
        """Tell whether there is a network."""
        return self.world is not None

    def has_up(self) -> bool:
        """Tell whether any node is up."""
        return self.world is not None and bool(self.world.up)

    def has_down(self) -> bool:
        """Tell whether anybody can be restarted."""
        return self.world is not None and bool(self.world.net.down)

    def has_room(self) -> bool:
        """Tell whether another node may join."""
        return self.has_up() and len(self.ring.net.addresses) < MOST_UP

    # Nodes

    @precondition(has_room)
    @rule(via=INDEX)
    def join(self, via: int) -> None:
        """A new node joins."""
        self.ring.join([self.pick(via), LIGHTHOUSE])

    @precondition(has_up)
    @rule(who=INDEX)
    def leave(self, who: int) -> None:
        """A node leaves gracefully."""
        self.ring.leave(self.pick(who))

    @precondition(has_up)
    @rule(who=INDEX, silent=st.booleans())
    def crash(self, who: int, *, silent: bool) -> None:
        """A process is killed, or a machine loses its power."""
        self.ring.crash(self.pick(who), silent=silent)

    @precondition(has_down)
    @rule(who=INDEX, via=INDEX, disk=st.booleans())
    def restart(self, who: int, via: int, *, disk: bool) -> None:
        """A node that crashed or left comes back, with its disk or without."""
        address = self.ring.net.down[who % len(self.ring.net.down)]
        if address == LIGHTHOUSE:
            contacts = [peer.address for peer in self.ring.members()]
        else:
            contacts = [*([self.pick(via)] if self.has_up() else []), LIGHTHOUSE]
        self.ring.restart(address, disk=disk, via=contacts)

    @precondition(has_up)
    @rule(who=INDEX, seconds=st.sampled_from([0.3, 2.0, 20.0]))
    def pause(self, who: int, seconds: float) -> None:
        """A process sleeps."""
        self.ring.pause(self.pick(who), seconds)

    # The network

    @precondition(has_up)
    @rule(side=st.integers(1, 2**MOST_UP - 2), oneway=st.booleans())
    def partition(self, side: int, *, oneway: bool) -> None:
        """Two groups no longer reach each other, or one no longer reaches the other."""
        up = self.ring.net.addresses
        groups = [[a for i, a in enumerate(up) if side >> i & 1 == bit] for bit in (0, 1)]
        self.ring.partition(*groups, oneway=oneway)

    @precondition(has_up)
    @rule(a=INDEX, b=INDEX, oneway=st.booleans())
    def cut(self, a: int, b: int, *, oneway: bool) -> None:
        """Two nodes no longer reach each other though others reach both."""
        self.ring.cut(self.pick(a), self.pick(b), oneway=oneway)

    @precondition(has_up)
    @rule()
    def heal(self) -> None:
        """Everybody reaches everybody again."""
        self.ring.net.heal()

    @precondition(has_up)
    @rule(
        loss=st.sampled_from([0.0, 0.1, 0.3]),
        duplicate=st.sampled_from([0.0, 0.2]),
        reorder=st.sampled_from([0.0, 0.5]),
    )
    def weather(self, loss: float, duplicate: float, reorder: float) -> None:
        """Links get worse, or better."""
        self.ring.weather(loss=loss, duplicate=duplicate, reorder=reorder)

    # Clients

    @precondition(has_up)
    @rule(who=INDEX, key=KEYS, size=st.sampled_from([0, 1, 300]))
    def put(self, who: int, key: bytes, size: int) -> None:
        """Somebody writes a record."""
        self.values += 1
        self.ring.perform(self.pick(who), Put(key, b"%d" % self.values + b"x" * size))

    @precondition(has_up)
    @rule(who=INDEX, key=KEYS)
    def get(self, who: int, key: bytes) -> None:
        """Somebody reads a record."""
        self.ring.perform(self.pick(who), Get(key))

    @precondition(has_up)
    @rule(who=INDEX, key=KEYS)
    def delete(self, who: int, key: bytes) -> None:
        """Somebody deletes a record."""
        self.ring.perform(self.pick(who), Delete(key))

    @precondition(has_up)
    @rule(who=INDEX, number=st.integers(0, 3))
    def store(self, who: int, number: int) -> None:
        """Somebody stores a block."""
        self.ring.perform(self.pick(who), Store(b"block %d" % number))

    @precondition(has_up)
    @rule(who=INDEX, number=st.integers(0, 3))
    def fetch(self, who: int, number: int) -> None:
        """Somebody fetches a block."""
        self.ring.perform(self.pick(who), Fetch(content_key(b"block %d" % number)))

    @precondition(has_up)
    @rule(who=INDEX, place=st.integers(0, 2**16 - 1))
    def locate(self, who: int, place: int) -> None:
        """Somebody asks for an owner."""
        self.ring.perform(self.pick(who), Locate(place << self.ring.config.bits - 16))

    # Time

    @precondition(has_begun)
    @rule(seconds=st.sampled_from([0.002, 0.01, 0.1, 0.5, 3.0, 20.0]))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.ring.net.run_for(seconds)

    @precondition(has_up)
    @rule()
    def calm(self) -> None:
        """Faults pause, so that Zave's assumptions may come true again."""
        self.ring.net.heal()
        self.ring.net.set_links(loss=0.0, duplicate=0.0, reorder=0.0)
        self.ring.net.run_for(8.0)

    @invariant()
    def collect(self) -> None:
        """Take note of what has ended."""
        if self.world is not None:
            self.world.collect()

    def teardown(self) -> None:
        """Let all become quiet, and judge."""
        if self.world is not None:
            self.world.settle()
            SEEN.update(self.world.overseer.seen)


PHASES = (Phase.explicit, Phase.generate, Phase.shrink) if NIGHTLY else (Phase.explicit, Phase.generate)
"""Shrinking takes minutes, more than a test may: without it the steps that led there are printed as they were drawn."""


@pytest.mark.slow
@pytest.mark.timeout(3600 if NIGHTLY else 300)
def test_a_ring_under_faults() -> None:
    """The invariants hold at every step, the ring becomes whole again, and what was acknowledged is there."""
    SEEN.clear()
    run_state_machine_as_test(
        RingMachine,
        settings=settings(
            max_examples=3000 if NIGHTLY else 200,
            stateful_step_count=40 if NIGHTLY else 25,
            phases=PHASES,
            derandomize=not NIGHTLY,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # Passes must not be empty: every kind of input, message and fault did occur, and Z was checked and silenced.
    inputs = ("create", "join", "leave", "receive", "tick", "unreachable", "perform", "written")
    messages = ("Notify", "Neighbours", "Busy", "Leaving", "TakeOver", "Replicate", "Copies", "Confirm", "Elsewhere")
    facts = ("PeerFailed", "PeerLeft", "assumptions hold", "whole ring checked: Z", "broken: partition")
    assert [] == [name for name in (*inputs, *messages, *facts) if not SEEN[name]]
