"""The operations of clients: bounded in number and bytes, in all and by connection; who asks for most makes way."""

from __future__ import annotations

from chord_adapters._guests import Guests
from chord_proto.config import Config
from chord_proto.messages import Perform
from chord_proto.node import Node
from chord_proto.operations import Fetch, Operation, Put, Restore, Store
from chord_proto.peer import Peer

NODE = Node(Peer.at("a:1", 0, bits=160), seed=1)


def asked(operation: Operation, request: int = 1) -> Perform:
    """Return the message of a client."""
    return Perform(None, 0, None, 0, request, operation, 1000)


def test_bytes() -> None:
    """They are counted from when an operation comes until it ends; a single one may have more than the bound."""
    guests = Guests(Config(max_guest_bytes=100_000))
    long = Put(b"k", bytes(150_000))
    operations: list[Operation] = [Put(b"k", bytes(40_000)), Store(bytes(30_000)), Restore(b"k", bytes(20_000), "")]
    assert guests.has_room(asked(long))
    for number, operation in enumerate(operations):
        assert guests.has_room(asked(operation))
        guests.admit(asked(operation, number), "in:1", NODE, 0.0)
    assert 90_000 == guests.bytes
    assert (True, False) == (guests.has_room(asked(Fetch(1))), guests.has_room(asked(Put(b"k", bytes(10_001)))))
    displaced = guests.give_way("in:2")
    assert displaced is not None
    assert (2, 70_000) == (displaced.message.request, guests.bytes)
    while guests.next() is not None:
        pass
    for number in range(2):
        guests.end("in:1", number)
    assert (0, 0) == (len(guests), guests.bytes)


def test_number() -> None:
    """So many in all, and so many by one connection; those that have waited too long make room."""
    guests = Guests(Config(max_guests=4, max_guests_per_connection=3))
    for number, sender in enumerate(("in:1", "in:1", "in:1", "in:2")):
        assert (True, False) == (guests.has_room(asked(Fetch(1))), guests.has_too_many(sender))
        guests.admit(asked(Put(b"k", bytes(9_000_000)), number), sender, NODE, 0.0)
    assert not guests.has_room(asked(Fetch(1)))
    assert (True, False) == (guests.has_too_many("in:1"), guests.has_too_many("in:2"))
    assert guests.next() is not None
    guests.check(1.5)
    assert (1, False, True) == (len(guests), guests.has_too_many("in:1"), guests.has_room(asked(Fetch(1))))
