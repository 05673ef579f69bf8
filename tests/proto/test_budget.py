"""The account of bytes that bounds what a node asks without need, and whom it forgets."""

from __future__ import annotations

import pytest

from chord_proto.budget import SAVED, Budget, size_of
from chord_proto.config import Config
from chord_proto.exploring import alive
from chord_proto.messages import Ping
from chord_proto.peer import Peer
from chord_proto.routing import Known
from chord_proto.wire import Codec
from tests.proto.samples import MESSAGES

ME, OTHER = Peer.at("10.0.0.1:4000"), Peer.at("10.0.0.2:4000")
PING = Ping(ME, 1, OTHER.id, 1, 1 << 60)


@pytest.mark.parametrize(
    "name", "Ping Pong GetNeighbours Neighbours Notify FindSuccessor Found Closer Busy Digest".split()
)
def test_sizes_are_those_on_the_wire_near_enough(name: str) -> None:
    """Within six bytes or a twelfth, for the messages of upkeep."""
    real = len(Codec(160).encode(MESSAGES[name]))
    assert real == pytest.approx(size_of(MESSAGES[name]), abs=6, rel=1 / 12)


def test_what_comes_in_may_be_sent_and_what_was_sent_must_come_in_again() -> None:
    """So many bytes a second, less what messages take."""
    budget = Budget(100.0)
    assert 0.0 == budget.left(50.0)
    assert 200.0 == budget.left(52.0)
    budget.spend(PING, 52.0)
    assert 200.0 - size_of(PING) == budget.left(52.0)


def test_neither_savings_nor_debts_grow_for_ever() -> None:
    """A node that slept does not make up for it, and one that was asked too much goes on after some seconds."""
    budget = Budget(10.0)
    budget.left(0.0)
    assert SAVED * 10.0 == budget.left(1e6)
    for _ in range(100):
        budget.spend(PING, 1e6)
    assert -SAVED * 10.0 == budget.left(1e6)


def test_who_has_lived_long_is_believed_to_live_longer() -> None:
    """After the same silence, and after a ninth of its known lifetime nine in ten live."""
    young, old = Known(OTHER, 0.0), Known(OTHER, 0.0)
    young.heard, old.heard = 30.0, 840.0
    assert 1.0 == alive(young, 30.0)
    assert pytest.approx(0.9) == alive(young, 40.0)
    assert pytest.approx(0.9) == alive(old, 940.0)


def test_a_budget_needs_a_table() -> None:
    """Lookups that go by fingers alone have no use for one; and nothing is no budget."""
    with pytest.raises(ValueError, match="peer_cache"):
        Config(upkeep_budget=1000, peer_cache=False)
    with pytest.raises(ValueError, match="upkeep_budget"):
        Config(upkeep_budget=0)
