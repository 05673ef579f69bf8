"""Hosts that lie: what they make of messages, and what holds on a ring with one of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chord_adapters.testing import Event, Plan, Seeded, Setup
from chord_adapters.testing._lying import HOW, LIES, Liar, ghosts
from chord_adapters.testing.hypothesis import messages
from chord_proto.config import Config
from chord_proto.messages import Message, Value
from chord_proto.wire import Codec
from tests.faults.watched import ring

BITS = 160
CODEC = Codec(BITS)


def liar(how: str, *, seed: int = 0, share: float = 1.0) -> Liar:
    """Return a liar of this way."""
    return Liar(how, Seeded(seed), BITS, share)


@settings(max_examples=200)
@given(messages(), st.integers(0, 1000), st.sampled_from(HOW))
def test_a_lie_is_a_message_that_can_be_sent(message: Message, seed: int, how: str) -> None:
    """Well formed in every field, in the name of the sender, to whom the truth was for."""
    lie = liar(how, seed=seed)(message)
    if lie is not None:
        assert lie == CODEC.decode(CODEC.encode(lie))
        header = (lie.source, lie.incarnation, lie.target, lie.target_incarnation)
        assert header == (message.source, message.incarnation, message.target, message.target_incarnation)


def test_a_lie_that_there_is_not() -> None:
    """A way that nobody knows and a share that is none are refused at once."""
    with pytest.raises(ValueError, match="'how' must be in"):
        liar("shouts")
    with pytest.raises(ValueError, match="'share' must be <= 1"):
        liar("holds nothing", share=1.5)
    with pytest.raises(ValueError, match="no room"):
        Liar("holds nothing", Seeded(0), 1, invented=())


def test_a_share_of_messages_is_true() -> None:
    """A liar that lies in three of ten messages does so in about three of ten."""
    sometimes = liar("holds nothing", share=0.3)
    me = ghosts(BITS)[0]
    message = Value(me, 1, None, 0, 1, None, (me,))
    lies = sum(sometimes(message) != message for _ in range(1000))
    assert 250 < lies < 350


@pytest.mark.parametrize("how", HOW)
def test_a_ring_outlives_a_liar(how: str) -> None:
    """Calls end while it lies, S8, S10, S14 and S15 hold; soon after, the ring is ideal and records are in place."""
    for seed in range(3):
        world = ring(5, seed=seed, successors=2, predecessors=2)
        for number in range(4):
            Event("put", {"who": number, "key": number, "size": 1, "count": 1}).happen(world)
            Event("store", {"who": number, "block": number}).happen(world)
        world.net.run_for(0.5)
        world.lie("n2", how, 20.0)
        Event("join", {"via": 2}).happen(world)
        for turn in range(8):
            world.net.run_for(2.0)
            Event("get", {"who": turn, "key": turn % 4, "count": 1}).happen(world)
            Event("put", {"who": turn + 1, "key": turn % 4, "size": 1, "count": 1}).happen(world)
            Event("fetch", {"who": turn + 2, "block": turn % 4}).happen(world)
        assert not world.overseer.assumptions
        world.settle()
        world.net.run_for(4.0)
        world.collect()
        assert world.overseer.assumptions


def test_every_way_lies() -> None:
    """On a ring in which records are written, read and handed over, each way has something to say."""
    for how in LIES:
        told = 0
        world = ring(4, seed=1)
        lying = liar(how)

        def tamper(message: Message, lying: Liar = lying) -> Message | None:
            nonlocal told
            lie = lying(message)
            told += lie != message
            return lie

        world.overseer.deceived("n1", ghosts(BITS), 20.0)
        world.ledger.deceived()
        world.net.tamper("n1", tamper)
        for number in range(8):
            Event("put", {"who": number, "key": number % 4, "size": 1, "count": 1}).happen(world)
            Event("get", {"who": number, "key": number % 4, "count": 1}).happen(world)
        world.join(["n0"])
        world.net.run_for(10.0)
        assert told, how


def test_the_same_plan_is_the_same_run() -> None:
    """What a liar says follows from the seed."""
    lie = Event("lie", {"who": 1, "how": HOW.index("lies anyhow"), "permille": 300, "ms": 5000})
    plan = Plan(
        Setup(seed=5), (lie, Event("advance", {"ms": 3000}), Event("put", {"who": 0, "key": 0, "size": 1, "count": 8}))
    )
    one, two = plan.run(), plan.run()
    assert one.net.counts == two.net.counts
    assert [node.view() for node in one.net.nodes] == [node.view() for node in two.net.nodes]


def test_invented_peers_are_well_formed() -> None:
    """Their ids are what their addresses give, on circles of any width; nobody real is among them."""
    for bits in (8, 16, BITS):
        assert all(peer.is_well_formed(bits) for peer in ghosts(bits))
    world = ring(3, bits=Config(bits=16).bits)
    world.lie("n1", "forges lists", 1.0)
    world.lie("n2", "forges lists", 1.0)
    assert len({peer.id for peer in world.overseer.existed}) == len(world.overseer.existed)
