"""The table of connections, without any: dialling, back-off, bounds and timeouts on a clock of the test's."""

from __future__ import annotations

import attrs
import pytest

from chord_adapters import _links, _room
from chord_adapters._address import UNACKNOWLEDGED
from chord_adapters._buffers import UNWATCHED
from chord_adapters._doors import HELLO_TIMEOUT
from chord_adapters._link import MAX_WAITING, READ_AHEAD, READ_BEHIND_LONG, READ_SIZE, STALL_TIMEOUT
from chord_adapters._links import Link, Links, Loss, Standing
from chord_proto.config import Config
from chord_proto.connection import Connection, Hello
from chord_proto.messages import Message, Perform, Ping, Pong
from chord_proto.operations import Store
from chord_proto.wire import Codec

A = "127.0.0.1:1"
PING = Ping(None, 0, None, 0, 1)


@attrs.define(eq=False)
class FakeWire:
    """A connection that keeps what it is to send."""

    wakes: int = 0
    ended: str = ""
    unsent: int = 0
    host: str = "127.0.0.1"

    def origin(self) -> str:
        """As a runtime does."""
        return self.host

    def wake(self) -> None:
        """As a runtime does."""
        self.wakes += 1

    def pending(self) -> int:
        """As a runtime does."""
        return self.unsent

    def close(self) -> None:
        """As a runtime does."""
        self.ended = "closed"

    def covers(self, host: str) -> bool:
        """Nobody shows anything."""
        return True

    def abort(self) -> None:
        """As a runtime does."""
        self.ended = "aborted"


class World:
    """A table, a dialler that only takes notes, and the other side of each connection."""

    def __init__(self, *, patient: bool = False, **bounds: int) -> None:
        self.now = 100.0
        self.dials: list[tuple[Link, float]] = []
        self.hung_up: list[Link] = []
        self.received: list[tuple[Message, str]] = []
        self.losses: list[Loss] = []
        self.links = Links(
            self,
            Hello("chord", 160, "127.0.0.1:9"),
            Codec(),
            Config(**bounds),  # type: ignore[arg-type]
            receive=lambda message, name: self.received.append((message, name)),
            unreachable=self.losses.append,
            patient=patient,
        )

    def dial(self, link: Link, delay: float) -> None:
        """Note it."""
        self.dials.append((link, delay))

    def hang_up(self, link: Link) -> None:
        """Note it."""
        self.hung_up.append(link)

    def send(self, message: Message = PING, to: str = A) -> None:
        """Send at the present time."""
        self.links.send(to, message, self.now)

    def connect(self) -> tuple[Link, FakeWire]:
        """Let the latest dial succeed, without the other side having said anything."""
        link, wire = self.dials[-1][0], FakeWire()
        self.links.dialled(link, wire, self.now)
        return link, wire

    def accept(self, host: str = "127.0.0.1") -> tuple[Link, FakeWire]:
        """Let a connection come in."""
        wire = FakeWire(host=host)
        link = self.links.accepted(wire, self.now)
        assert link is not None
        return link, wire

    def hear(self, link: Link, data: bytes) -> None:
        """Let bytes come, and all that they bring be handled."""
        self.links.received(link, data, self.now)
        while (first := self.links.backlogs.first()) is not None:
            self.links.work_off(first)

    def greet(self, link: Link, network: str = "chord") -> Connection:
        """Exchange hellos with the other side of ``link`` and return that side."""
        other = Connection(initiator=not link.dialled, hello=Hello(network), codec=Codec(), max_frame=1_000_000)
        if link.dialled:
            other.receive_data(link.take())
        self.links.received(link, other.data_to_send(), self.now)
        if not link.dialled:
            other.receive_data(link.take())
        return other

    def check(self, seconds: float) -> None:
        """Let time pass, and look at the timeouts."""
        self.now += seconds
        self.links.check(self.now)


def test_one_dial_an_address() -> None:
    """The first message dials, the others wait, and all leave in one piece behind the hello."""
    world = World()
    world.send()
    world.send()
    assert [(link.name, delay) for link, delay in world.dials] == [(A, 0.0)]
    link, wire = world.connect()
    world.send()
    assert len(world.dials) == 1
    assert wire.wakes == 2
    other = Connection(initiator=False, hello=Hello("chord"), codec=Codec(), max_frame=1_000_000)
    assert other.receive_data(link.take()) == [PING, PING, PING]
    assert link.take() == b""


def test_what_waited_for_long_is_not_sent() -> None:
    """A dial that took so long that a silent peer is suspected: what waited for it may have been asked elsewhere since."""
    world = World()
    world.send()
    world.now += UNACKNOWLEDGED
    link, _ = world.connect()
    world.send()
    other = Connection(initiator=False, hello=Hello("chord"), codec=Codec(), max_frame=1_000_000)
    assert [PING] == other.receive_data(link.take())
    assert 1 == world.links.counters.dropped


def test_a_patient_table_sends_nothing_before_the_hello() -> None:
    """A client's messages leave only once the other side is known to listen."""
    world = World(patient=True)
    world.send()
    link, _ = world.connect()
    world.send()
    other = Connection(initiator=False, hello=Hello("chord"), codec=Codec(), max_frame=1_000_000)
    assert other.receive_data(link.take()) == []
    world.links.received(link, other.data_to_send(), world.now)
    assert other.receive_data(link.take()) == [PING, PING]


def test_back_off() -> None:
    """After a failed dial the next is made at once for the first time, then ever later, up to a second."""
    world = World()
    delays = []
    for _ in range(8):
        world.send()
        delays.append(round(world.dials[-1][1], 3))
        world.now += world.dials[-1][1]
        world.links.dial_failed(world.dials[-1][0], world.now)
    assert delays == [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert world.losses == [Loss(A, None, sent=False)] * 8
    assert world.links.counters.dial_failures == 8
    assert world.links.counters.dropped == 8


def test_a_connection_that_lasted_is_dialled_again_at_once() -> None:
    """Only who closes soon after accepting is treated like one that cannot be dialled."""
    world = World()
    for lasted, delay in ((0.1, 0.05), (0.1, 0.1), (5.0, 0.0), (0.1, 0.05)):
        world.links.dial(A, world.now)
        link, _ = world.connect()
        world.greet(link)
        world.now += lasted
        world.links.lost(link, world.now)
        assert world.losses[-1] == Loss(A, None, sent=True)
        world.links.dial(A, world.now)
        assert round(world.dials[-1][1], 3) == delay
        # Not made this time: the next round dials anew.
        del world.links.outbound[A]
        world.now += 1.0


def test_who_refused_us_is_not_dialled_for_a_while() -> None:
    """What is sent meanwhile is reported as not sent, after the effects in whose course it was."""
    world = World()
    world.send()
    link, wire = world.connect()
    world.greet(link, network="other")
    assert wire.ended == "aborted"
    reason = "the other side belongs to another network than 'chord'"
    assert world.losses == [Loss(A, reason, sent=False, reason=reason)]
    assert world.links.contact(A).standing is Standing.REFUSED
    world.send()
    assert len(world.dials) == 1
    assert world.links.turned_down == {A: Loss(A, reason, sent=False)}
    world.now += _links.REFUSED_BACKOFF
    world.send()
    assert len(world.dials) == 2


def test_refusing_another_network() -> None:
    """The refusal is sent, then the connection is closed."""
    world = World()
    link, wire = world.accept()
    other = world.greet(link, network="other")
    assert other.refused is not None
    assert wire.ended == "closed"
    assert len(world.links) == 0
    assert world.losses == []
    assert world.links.counters.refused == 1


def test_messages_wait_within_bounds() -> None:
    """While a connection is made the oldest messages make way."""
    world = World()
    for number in range(MAX_WAITING + 5):
        world.send(Ping(None, 0, None, 0, number))
    link, _ = world.connect()
    other = Connection(initiator=False, hello=Hello("chord"), codec=Codec(), max_frame=1_000_000)
    requests = [message.request for message in other.receive_data(link.take()) if isinstance(message, Ping)]
    assert requests == list(range(5, MAX_WAITING + 5))
    assert world.links.counters.dropped == 5


def _big(number: int) -> Perform:
    return Perform(None, 0, None, 0, number, Store(bytes(60_000)), 1000)


def test_a_queue_is_bounded() -> None:
    """What is beyond the bound is dropped and counted; when the other side reads, there is room again."""
    world = World(max_buffered_bytes_per_connection=2_000_000)
    world.links.dial(A, world.now)
    link, wire = world.connect()
    world.greet(link)
    for number in range(100):
        world.send(_big(number))
    assert 2_000_000 <= link.queued() < 2_100_000
    assert world.links.counters.dropped > 50
    wire.unsent = len(link.take())
    world.send()
    assert link.connection.queued_bytes > 0
    wire.unsent = 0
    link.take()
    world.check(2 * STALL_TIMEOUT)
    assert not link.closed


def test_all_queues_together_are_bounded() -> None:
    """Where all hold too much, who reads nothing is closed, and of these who has most to read; others have room again."""
    world = World(max_buffered_bytes=5_000_000)
    ports = {}
    for port, size in ((1, 30), (2, 10), (3, 20), (4, 0)):
        world.links.dial(f"127.0.0.1:{port}", world.now)
        ports[port] = world.connect()
        link = ports[port][0]
        world.greet(link)
        for number in range(size):
            world.send(_big(number), f"127.0.0.1:{port}")
        if port != 1:
            link.stalled = world.now
    most = 0
    for number in range(100):
        world.now += 0.1
        world.send(_big(number), "127.0.0.1:4")
        ports[4][0].take()
        world.send(_big(number), "127.0.0.1:2")
        most = max(most, world.links.buffered_bytes)
    assert most < 5_000_000 + 2 * 61_000
    assert [bool(wire.ended) for _, wire in ports.values()] == [False, True, False, False]
    assert world.links.counters.crowded == 1


def test_who_does_not_read_is_closed() -> None:
    """A connection whose queue stays too long is closed after a while."""
    world = World()
    link, wire = world.accept()
    world.greet(link)
    wire.unsent = Config().max_buffered_bytes_per_connection
    link.connection.queued_bytes += UNWATCHED + 1
    world.links.send(link.name, _answer(), world.now)
    assert world.links.counters.dropped == 1
    world.check(STALL_TIMEOUT)
    wire.unsent -= 1  # A byte has been read.
    world.check(STALL_TIMEOUT)
    world.check(STALL_TIMEOUT)
    assert not link.closed
    world.check(STALL_TIMEOUT)
    assert wire.ended == "aborted"
    assert world.links.counters.stalled == 1


def _answer() -> Pong:
    return Pong(None, 0, None, 0, 1, True, ())


def test_answers_go_back_by_the_connection_they_came_by() -> None:
    """And nowhere else: an asker that has gone is not dialled."""
    world = World()
    link, _ = world.accept()
    other = world.greet(link)
    assert link.name == "in:1"
    world.links.send("in:1", _answer(), world.now)
    assert other.receive_data(link.take()) == [_answer()]
    world.links.lost(link, world.now)
    world.links.send("in:1", _answer(), world.now)
    world.links.send(A, _answer(), world.now)
    assert world.dials == []
    assert world.links.counters.dropped == 2
    assert world.losses == []


def test_messages_are_told_with_the_name_they_came_by() -> None:
    """The address that was dialled, or the name of the connection."""
    world = World()
    world.links.dial(A, world.now)
    outbound, _ = world.connect()
    inbound, _ = world.accept()
    for link in (outbound, inbound):
        other = world.greet(link)
        other.send(_answer())
        world.hear(link, other.data_to_send())
    assert world.received == [(_answer(), A), (_answer(), "in:1")]


def test_a_wire_is_woken_only_to_send_or_to_read_on() -> None:
    """What comes wakes nobody, unless nothing more was read until it was handled."""
    world = World()
    link, wire = world.accept()
    other = world.greet(link)
    before = wire.wakes
    other.send(PING)
    world.hear(link, other.data_to_send())
    assert (1, 0) == (len(world.received), wire.wakes - before)
    link.paused = True
    other.send(PING)
    other.send(PING)
    world.hear(link, other.data_to_send())
    assert (3, 1) == (len(world.received), wire.wakes - before)


def test_the_longest_unused_makes_way() -> None:
    """Over the bound of dialled connections the one unused for longest is closed, and nobody is called unreachable."""
    world = World(max_dialled=2)
    wires = {}
    for port in (1, 2):
        world.now += 1.0
        world.send(to=f"127.0.0.1:{port}")
        wires[port] = world.connect()[1]
    world.now += 1.0
    world.send(to="127.0.0.1:1")
    world.send(to="127.0.0.1:3")
    assert list(world.links.outbound) == ["127.0.0.1:1", "127.0.0.1:3"]
    assert (wires[1].ended, wires[2].ended) == ("", "aborted")
    assert world.losses == []


def test_a_dial_that_makes_way_is_hung_up() -> None:
    """So is one that is still under way."""
    world = World(max_dialled=1)
    world.send()
    world.send(to="127.0.0.1:2")
    assert [link.name for link in world.hung_up] == [A]
    world.links.dial_failed(world.dials[0][0], world.now)
    assert world.losses == []


def test_idle_connections_are_closed() -> None:
    """A dialled connection that nobody uses is closed; one that came in is its dialler's business."""
    world = World()
    world.links.dial(A, world.now)
    outbound, wire = world.connect()
    inbound, _ = world.accept()
    world.greet(outbound)
    world.greet(inbound)
    world.check(_room.IDLE_TIMEOUT - 1)
    assert not outbound.closed
    world.check(2)
    assert wire.ended == "aborted"
    assert not inbound.closed
    assert world.losses == []


def test_who_says_no_hello_is_closed() -> None:
    """On either side; dialled, it counts as unreachable."""
    world = World()
    world.links.dial(A, world.now)
    outbound, _ = world.connect()
    inbound, _ = world.accept()
    world.check(HELLO_TIMEOUT)
    assert outbound.closed
    assert inbound.closed
    assert world.links.counters.silent == 2
    assert world.losses == [Loss(A, None, sent=False, reason="no hello came")]
    assert world.links.deadline(world.now) is None


def test_the_table_of_contacts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses that once failed are forgotten, the oldest first."""
    monkeypatch.setattr(_links, "MAX_CONTACTS", 3)
    world = World()
    for port in range(1, 10):
        world.links.contact(f"127.0.0.1:{port}")
    assert list(world.links.contacts) == ["127.0.0.1:7", "127.0.0.1:8", "127.0.0.1:9"]


def test_a_message_that_cannot_be_written_is_counted() -> None:
    """It harms nobody but who waits for it."""
    world = World()
    world.links.dial(A, world.now)
    world.connect()
    world.send(Perform(None, 0, None, 0, 1, Store(bytes(6_000_000)), 1000))
    assert world.links.counters.unsendable == 1


def test_a_close_ends_everything() -> None:
    """Politely or not; what comes afterwards is ignored."""
    for politely, ended in ((True, "closed"), (False, "aborted")):
        world = World()
        world.links.dial(A, world.now)
        outbound, wire = world.connect()
        inbound, other = world.accept()
        world.send(to="127.0.0.1:2")
        world.links.close(politely=politely)
        assert (wire.ended, other.ended) == (ended, ended)
        assert [link.name for link in world.hung_up] == ["127.0.0.1:2"]
        for link in (outbound, inbound):
            world.links.received(link, b"garbage", world.now)
            world.links.lost(link, world.now)
        assert world.losses == []
        assert world.links.counters.garbage == 0
        assert len(world.links) == 0


def test_connections_take_turns() -> None:
    """Of what waits on several connections one message of each is handled before another of the same."""
    world = World()
    links = [world.accept()[0] for _ in range(3)]
    for link, count in zip(links, (5, 1, 3), strict=True):
        other = world.greet(link)
        for _ in range(count):
            other.send(PING)
        world.links.received(link, other.data_to_send(), world.now)
    assert world.links.deadline(world.now) == world.now
    world.hear(links[0], b"")
    assert [int(name[3:]) for _, name in world.received] == [1, 2, 3, 1, 3, 1, 3, 1, 1]
    assert not world.links.backlogs.ready


def test_little_is_read_of_what_may_be_many() -> None:
    """Some kilobytes at once, and more only of a frame that is known to be longer, and after one."""
    world = World()
    link, _ = world.accept()
    other = world.greet(link)
    assert link.wanted == READ_AHEAD
    other.send(_big(1))
    frame = other.data_to_send()
    world.links.received(link, frame[:READ_AHEAD], world.now)
    assert link.wanted == len(frame) - READ_AHEAD
    assert world.links.buffers.received == READ_AHEAD
    world.links.received(link, frame[READ_AHEAD:], world.now)
    assert (link.wanted, world.links.buffers.received) == (READ_BEHIND_LONG, 0)
    other.send(PING)
    world.links.received(link, other.data_to_send(), world.now)
    assert link.wanted == READ_AHEAD
    other.send(Perform(None, 0, None, 0, 1, Store(bytes(600_000)), 1000))
    world.links.received(link, other.data_to_send()[:READ_AHEAD], world.now)
    assert link.wanted == READ_SIZE
    world.links.lost(link, world.now)
    assert world.links.buffers.received == 0
