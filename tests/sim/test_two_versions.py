"""Two wire versions in one ring (N19): hosts agree on one of them two by two."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given

from chord_adapters.memory import Network
from chord_adapters.testing import Event, Plan, Setup, World
from chord_adapters.testing._overseer import Broken
from chord_adapters.testing._versions import BOTH, THIS, NextCodec
from chord_adapters.testing.hypothesis import messages
from chord_proto.connection import common_version
from chord_proto.errors import DecodeError
from chord_proto.messages import Message
from chord_proto.operations import Get, Put, Stored
from chord_proto.wire import Codec

NEXT_ALONE = (BOTH[1], BOTH[1])


@given(messages())
def test_the_versions_do_not_take_each_other_for_their_own(message: Message) -> None:
    """Each reads its own messages, and refuses the other's."""
    this, following = Codec(), NextCodec()
    assert message == following.decode(following.encode(message))
    with pytest.raises(DecodeError):
        this.decode(following.encode(message))
    with pytest.raises(DecodeError):
        following.decode(this.encode(message))


def test_what_two_sides_agree_on() -> None:
    """The highest that both know, whoever asks; nothing when there is none."""
    ranges = [(low, high) for low, high in product(range(1, 5), repeat=2) if low <= high]
    for ours, theirs in product(ranges, repeat=2):
        both = set(range(ours[0], ours[1] + 1)) & set(range(theirs[0], theirs[1] + 1))
        assert max(both, default=None) == common_version(ours, theirs)


class Counting:
    """Counts what is read in one version."""

    def __init__(self, codec: Codec | NextCodec) -> None:
        self.codec = codec
        self.read = 0

    def encode(self, message: Message) -> bytes:
        """Return the bytes."""
        return self.codec.encode(message)

    def decode(self, data: bytes) -> Message:
        """Return the message, and count it."""
        self.read += 1
        return self.codec.decode(data)


def pair(*versions: tuple[int, int]) -> tuple[Network, dict[int, Counting]]:
    """Return a network of two hosts that speak these, and how much they spoke in each version."""
    codecs = {THIS[1]: Counting(Codec()), BOTH[1]: Counting(NextCodec())}
    net = Network(1, codecs=codecs)
    net.spawn("a", versions=versions[0])
    net.spawn("b", join=["a"], versions=versions[1])
    net.run_for(10.0)
    return net, codecs


@pytest.mark.parametrize(
    "first, second, newer",
    [(THIS, BOTH, False), (BOTH, THIS, False), (BOTH, BOTH, True), (THIS, THIS, False), (NEXT_ALONE, BOTH, True)],
)
def test_two_hosts_speak_what_both_know(first: tuple[int, int], second: tuple[int, int], newer: bool) -> None:
    """They are one ring, and every message between them is in that version."""
    net, codecs = pair(first, second)
    assert ["b", "a"] == [net.node(address).successors[0].address for address in "ab"]
    assert [not newer, newer] == [codecs[version].read > 0 for version in BOTH]


def test_hosts_without_a_common_version_do_not_meet() -> None:
    """Nothing passes between them, in either direction, as after a refused hello."""
    net, codecs = pair(THIS, NEXT_ALONE)
    assert [0, 0] == [codec.read for codec in codecs.values()]
    assert () == net.node("a").successors


def test_a_ring_of_both_through_upgrades() -> None:
    """Every property holds on a ring of both versions while hosts are upgraded, downgraded and join."""
    world = World(3, size=4, versions=1)
    world.perform("n0", Put(b"k", b"v"))
    for address, speaks in (("n0", 2), ("n1", 1), ("n2", 2), ("n2", 1)):
        world.crash(address, silent=False)
        world.restart(address, via=["n3"], speaks=speaks)
        world.net.run_for(10.0)
        world.perform("n3", Get(b"k"))
        world.join(["n3"])
    world.settle()
    assert (2, 2) == (world.overseer.seen["did: upgrade"], world.overseer.seen["did: downgrade"])
    assert isinstance(world.net.do("n2", Put(b"k", b"w")), Stored)


@pytest.mark.parametrize("choose", [lambda ours, theirs: max(ours[1], theirs[1]), lambda ours, theirs: theirs[1]])
def test_a_wrong_choice_of_version_is_found(choose: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a version is chosen that one side does not know, no ring of both comes about."""
    monkeypatch.setattr("chord_adapters._memory_simulation.common_version", choose)
    plan = Plan(Setup(size=3, versions=1), (Event("put", {"who": 0, "key": 0, "size": 0, "count": 1}),))
    with pytest.raises(Broken, match=r"^L[13]: "):
        plan.run()
    Plan(Setup(size=3), plan.events).run()
