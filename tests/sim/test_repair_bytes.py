"""Repair sends what differs: bytes in proportion to the differences, not to the records (chord.md section 7)."""

from __future__ import annotations

import pytest

from chord_adapters.memory import Network, Step
from chord_proto.config import Config
from chord_proto.effects import Send
from chord_proto.messages import Copies, Digest, GetCopies, GetDigest, Listing, ListRange, Message, Replicate
from chord_proto.operations import Put
from chord_proto.wire import Codec

pytestmark = pytest.mark.slow

RECORDS, SIZE = 4000, 1000
SYNC = (GetDigest, Digest, ListRange, Listing, GetCopies, Copies, Replicate)


class Meter:
    """Counts the bytes of messages that compare and move copies."""

    def __init__(self) -> None:
        self.bytes = 0
        self.on = False
        self._codec = Codec()

    def __call__(self, step: Step) -> None:
        """Take what one node does."""
        for effect in step.effects if self.on else ():
            if isinstance(effect, Send) and isinstance(effect.message, SYNC):
                self.bytes += self._size(effect.message)

    def _size(self, message: Message) -> int:
        return len(self._codec.encode(message))


def repaired(changed: int) -> int:
    """Return how many bytes it took to bring a node up to date that missed so many of all writes."""
    meter = Meter()
    net = Network(config=Config(), watch=meter)
    for address in ("a", "b", "c"):
        net.spawn(address, join=["a"] if address != "a" else [])
        net.run_for(3.0)
    for number in range(RECORDS):
        net.perform("a", Put(b"k%d" % number, b"v" * SIZE))
        if number % 200 == 199:
            net.run_for(1.0)
    net.run_for(30.0)
    net.crash("c")
    net.run_for(10.0)
    for number in range(changed):
        net.perform("a", Put(b"k%d" % (number * RECORDS // changed), b"w" * SIZE))
        if number % 200 == 199:
            net.run_for(1.0)
    net.run_for(10.0)
    meter.on = True
    net.restart("c", join=["a"])
    net.run_for(10.0)
    held = [{name: item.version for name, item in net.disk(address).items()} for address in ("a", "b", "c")]
    assert [held[0]] * 3 == held
    assert RECORDS == len(held[0])
    return meter.bytes


@pytest.mark.parametrize("changed, most", [(0, 5_000), (1, 15_000), (100, 600_000)])
def test_repair_sends_what_differs(changed: int, most: int) -> None:
    """Of 4 MB a node that missed nothing, one write, or a hundred gets little more than those.

    A difference costs its record, and the names and versions of what lies near it: a hundredth of all at most.
    """
    assert repaired(changed) <= most
