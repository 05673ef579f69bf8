"""The connections of one process: dialling, bounds, and who refused us.  Knows nothing of loops, and does no I/O.

Requests go out on connections that we dialled, one an address; answers go back on the connection on which the
request came, which is known by a name such as ``in:17``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from chord_adapters._address import UNACKNOWLEDGED
from chord_adapters._backlogs import Backlogs
from chord_adapters._buffers import Buffers
from chord_adapters._doors import HELLO_TIMEOUT, Doors, Stranger
from chord_adapters._link import MAX_WAITING, READ_AHEAD, Contact, Dialler, Link, LinkCounters, Loss, Standing, Wire
from chord_adapters._room import IDLE_TIMEOUT, crowd_of, quiet_client, unused
from chord_adapters._shortage import Shortage
from chord_proto.config import Config
from chord_proto.connection import Connection, Hello, frame_limit
from chord_proto.errors import DecodeError, LocalProtocolError
from chord_proto.messages import Answer, Message
from chord_proto.peer import Address
from chord_proto.wire import Codec

__all__ = ["Contact", "Link", "LinkCounters", "Links", "Loss", "Standing", "Wire"]

_UNHEARD = "it closes the connection unheard, as one does that wants to see a certificate"

_log = logging.getLogger("chord_adapters")

SEED_IDLE_TIMEOUT = 5.0
"""The same for one to join by whose name leads to several places: the next time another of them is asked."""
DIAL_TIMEOUT = 3.0
"""Seconds in which a connection must be made: less than the core's retries of one request take."""
STABLE_AFTER = 1.0
"""A connection that lasted less counts as a failed dial: who accepts and closes at once is not dialled at once."""
FIRST_BACKOFF = 0.05
LONGEST_BACKOFF = 1.0
REFUSED_BACKOFF = 3.0
CHECK_INTERVAL = 1.0
"""Seconds between two looks at the timeouts above."""
FLUSH_TIMEOUT = 1.0
"""Seconds that what is queued has to be sent when all connections are closed."""
HIGH_WATER = 512 * 1024
"""How many bytes handed to a connection and not sent let it take no more, and no more questions either."""
MAX_CONTACTS = 1024
"""How many addresses with a failed dial are remembered."""


class Links:
    """All connections of one node or client.

    ``receive`` is told each message with the name it came by, ``unreachable`` each dial that failed and each
    connection that broke.  ``patient``: send nothing before the other side has said its hello, so that what was not sent is known.
    """

    def __init__(
        self,
        dialler: Dialler,
        hello: Hello,
        codec: Codec,
        config: Config,
        *,
        receive: Callable[[Message, Address], None],
        unreachable: Callable[[Loss], None],
        patient: bool = False,
    ) -> None:
        self.outbound: dict[Address, Link] = {}
        self.inbound: dict[Address, Link] = {}
        self.contacts: dict[Address, Contact] = {}
        self.counters = LinkCounters()
        self.turned_down: dict[Address, Loss] = {}
        """What was sent to those who refused us lately; to be told as `Loss` once this turn's effects are done."""
        self.doors = Doors()
        self.backlogs = Backlogs(self.counters)
        self.buffers = Buffers(config)
        self.seeds: frozenset[Address] = frozenset()
        """The addresses that the node was told to join by."""
        self._shortage = Shortage(self.counters)
        self._check_at: float | None = None
        self._config = config
        self._dialler = dialler
        self._hello = hello
        self._codec = codec
        self._max_frame = max_frame_of(config)
        self._receive = receive
        self._unreachable = unreachable
        self._patient = patient
        self._number = 0

    def __len__(self) -> int:
        return len(self.outbound) + len(self.inbound)

    def contact(self, address: Address) -> Contact:
        """Return what is remembered of ``address``."""
        found = self.contacts.get(address)
        if found is None:
            found = self.contacts[address] = Contact()
            while len(self.contacts) > MAX_CONTACTS:
                del self.contacts[next(iter(self.contacts))]
        return found

    # Sending

    def send(self, to: Address, message: Message, now: float) -> None:
        """Send ``message``, or drop it: at most once, best effort."""
        link = self.outbound.get(to)
        if isinstance(message, Answer):
            link = self.inbound.get(to, link)
            if link is None:
                self.counters.dropped += 1  # The asker has gone away.
                return
        elif link is None:
            contact = self.contacts.get(to)
            if contact is not None and contact.standing is Standing.REFUSED and now < contact.retry_at:
                self.counters.dropped += 1
                self.turned_down[to] = Loss(to, contact.reason, sent=False)
                return
            link = self.dial(to, now)
        link.used = now
        if link.wire is None or (self._patient and not link.connection.established):
            if len(link.waiting) == MAX_WAITING:
                self.counters.dropped += 1
            link.waiting.append(message)
            return
        if self.buffers.room <= 0:
            for away in self.buffers.unread(self._all, now):
                self._crowd_out(away, now)
        if link.closed or not self.buffers.has_room(link):
            self.counters.dropped += 1
            return
        self._queue(link, message)
        link.wire.wake()

    def withdraw(self, to: Address, request: int) -> None:
        """Do not send a request any more, if it still waits for a connection: nobody expects anything of it."""
        link = self.outbound.get(to)
        if link is not None:
            link.withdraw(request)

    def _crowd_out(self, link: Link, now: float) -> None:
        self.counters.crowded += 1
        self._break(link, Standing.DOWN, "too many bytes wait", now)

    @property
    def buffered_bytes(self) -> int:
        """How many bytes wait to be sent, on all connections."""
        return sum(each.queued() for each in self._all())

    def _queue(self, link: Link, message: Message) -> None:
        connection = link.connection
        before = connection.queued_bytes
        try:
            connection.send(message)
        except LocalProtocolError:
            self.counters.unsendable += 1
        self.buffers.room -= connection.queued_bytes - before

    def dial(self, address: Address, now: float) -> Link:
        """Return the connection to ``address``, dialling it unless there is one; one dial at a time an address."""
        link = self.outbound.get(address)
        if link is not None:
            return link
        if len(self.outbound) >= self._config.max_dialled:
            self._close(min(self.outbound.values(), key=lambda each: each.used))
        connection = Connection(initiator=True, hello=self._hello, codec=self._codec, max_frame=self._max_frame)
        contact = self.contact(address)
        link = self.outbound[address] = Link(address, True, connection, now, now, origin=address, contact=contact)
        self._dialler.dial(link, max(0.0, contact.retry_at - now))
        return link

    # What the runtime tells

    def knocked(self, who: object, origin: str, end: Callable[[], None], now: float, *, scarce: bool = False) -> None:
        """Somebody has come of whom nothing is known yet, and whom ``end`` sends away; in time `accepted` follows.

        ``scarce``: it has one of the last file descriptors, which are for the node's own needs.
        """
        if scarce:
            self._shortage.note(len(self), now)
            self._shortage.limit_strangers(len(self.doors), now)
        if len(self.doors) >= self._shortage.most_strangers(self._config.max_strangers, now):
            self._evict()
        self.doors.knock(who, Stranger(origin, now, end))

    def _evict(self) -> bool:
        """Let the oldest stranger make way, if there is any."""
        away = self.doors.pop_oldest()
        if away is None:
            return False
        self.counters.turned_away += 1
        away.end()
        return True

    def accepted(self, wire: Wire, now: float, knocked: object = None, *, scarce: bool = False) -> Link | None:
        """Take a connection that came in, and that has knocked before as ``knocked``, if it has.

        ``scarce``: it has one of the last file descriptors; so there are no more connections than now for a while, and
        None is returned when nobody makes way for it.
        """
        before = self.doors.leave(knocked)
        if scarce:
            self._shortage.note(len(self), now)
            strangers = sum(not link.connection.established for link in self.inbound.values())
            self._shortage.limit(len(self.inbound), strangers, now)
        usually = self._config.max_connections + self._config.max_strangers
        if len(self.inbound) >= self._shortage.most(usually, now) and not self._evict():
            self.counters.turned_away += 1
            return None
        self.counters.accepted += 1
        self._number += 1
        since = now if before is None else before.since
        connection = Connection(initiator=False, hello=self._hello, codec=self._codec, max_frame=self._max_frame)
        link = Link(f"in:{self._number}", False, connection, since, now, wire, origin=wire.origin())
        self.inbound[link.name] = link
        self.knocked(link, link.origin, lambda: self._close(link), since)
        self._watch(now)
        return link

    def starved(self, now: float, *, dialling: bool) -> bool:
        """Let somebody make way for a connection, since file descriptors run out; tell whether somebody did.

        That is a stranger that has not said its hello, and for one that we dial also a client that is quiet.
        """
        self._shortage.note(len(self), now)
        return self._evict() or (dialling and self._evict_client(now))

    def _evict_client(self, now: float) -> bool:
        quiet = quiet_client(self.inbound.values(), now)
        if quiet is not None:
            self._close(quiet)
        return quiet is not None

    def dialled(self, link: Link, wire: Wire, now: float) -> None:
        """Take a connection that was asked for."""
        self.counters.dialled += 1
        link.wire = wire
        if not self._patient:
            if now - link.since >= UNACKNOWLEDGED:
                self._drop_waiting(link)  # Whoever asked this has given it up, or asks again.
            self._send_waiting(link)
        link.since = link.used = now
        wire.wake()
        self._watch(now)

    def _send_waiting(self, link: Link) -> None:
        while link.waiting:
            self._queue(link, link.waiting.popleft())

    def _drop_waiting(self, link: Link) -> None:
        self.counters.dropped += len(link.waiting)
        link.waiting.clear()

    def dial_failed(self, link: Link, now: float, reason: str = "") -> None:
        """A connection that was asked for could not be made."""
        if link.closed:
            return
        self.counters.dial_failures += 1
        self._break(link, Standing.DOWN, reason, now)

    def lost(self, link: Link, now: float) -> None:
        """A connection has ended."""
        if link.closed:
            return
        self.counters.broken += 1
        try:
            link.connection.eof()
        except DecodeError:
            self.counters.garbage += 1
        self._break(link, Standing.DOWN, "" if link.connection.established else _UNHEARD, now)

    def received(self, link: Link, data: bytes | memoryview, now: float) -> None:
        """Take bytes that came."""
        connection = link.connection
        if link.closed:
            return
        link.used = now
        greeted, idle = connection.established, None
        if not greeted and not link.dialled:
            crowd = crowd_of(self.inbound.values(), link, self._config)
            idle = unused(crowd, now)
            connection.full = bool(crowd) and idle is None
        try:
            messages = connection.receive_data(data)
        except DecodeError as error:
            self.counters.garbage += 1
            self._break(link, Standing.DOWN, str(error), now)
            return
        if messages:
            link.bulky = len(data) > READ_AHEAD * len(messages)
        if link.held or connection.held_bytes:
            self.buffers.came(link, now, complete=bool(messages))
        if not greeted:
            self._greeted(link, now, idle)
        if messages and not link.closed:
            self.backlogs.came(link, messages)
        while (away := self.buffers.unfinished(self._all)) is not None:
            self._crowd_out(away, now)

    def work_off(self, link: Link) -> bool:
        """Handle the next message that came on a connection, unless the other side has too much to read."""
        message = self.backlogs.next_of(link)
        if message is None:
            return False
        if message.source is None or self._may_speak_for(link, message.source.address):
            self._receive(message, link.name)
        if link.paused and not link.backlog and link.wire is not None and not link.closed:
            link.wire.wake()  # So that it reads on.
        return not link.closed

    def _may_speak_for(self, link: Link, address: Address) -> bool:
        """Tell whether the other side is who it says; close the connection if not."""
        if address == link.shown:
            return True
        assert link.wire is not None
        if not link.wire.covers(address.rpartition(":")[0].strip("[]")):
            self.counters.impostors += 1
            _log.warning(
                "a peer speaks for %s, which its certificate does not cover: its connection is closed", address
            )
            self._close(link)
            return False
        link.shown = address
        return True

    def _greeted(self, link: Link, now: float, idle: Link | None) -> None:
        """See how the exchange of hellos ended, if it did; ``idle`` makes way for a newcomer, if need be."""
        connection = link.connection
        assert link.wire is not None
        if connection.refused is not None:
            if connection.full:
                self.counters.full += 1
            else:
                self.counters.refused += 1
            if link.dialled:
                self._break(link, Standing.DOWN if connection.full else Standing.REFUSED, connection.refused, now)
            else:
                link.wire.wake()
                self._close(link, politely=True)
        elif connection.established:
            self.doors.leave(link)
            claimed = connection.remote_address
            if claimed and not link.dialled and not self._may_speak_for(link, claimed):
                return
            if idle is not None:
                self.counters.made_way += 1
                self._close(idle)
            if link.dialled:
                self.contact(link.name).standing = Standing.UP
                link.contact.refusing.clear()
                self._send_waiting(link)
            link.wire.wake()

    # Ending

    def _break(self, link: Link, standing: Standing, reason: str, now: float) -> None:
        """End a connection that failed, and tell who may wait for answers on it."""
        established = link.connection.established
        self._close(link)
        if not link.dialled:
            return
        contact = self.contact(link.name)
        contact.reason = reason
        if link.wire is not None and established and now - link.since >= STABLE_AFTER:
            contact.failures = 0
            contact.retry_at = now
            contact.standing = Standing.DOWN
        else:
            contact.failures += 1
            if standing is Standing.REFUSED and link.spot is not None:
                contact.refusing.add(link.spot)
                if len(contact.refusing) < link.choices:
                    standing = Standing.DOWN  # Others of its name have not refused.
            contact.standing = standing
            backoff = min(FIRST_BACKOFF * 2 ** min(contact.failures - 1, 10), LONGEST_BACKOFF)
            contact.retry_at = now + (REFUSED_BACKOFF if standing is Standing.REFUSED else backoff)
        full = link.connection.full
        refused = None if full else link.connection.refused
        # Nothing that was sent is looked at before the hellos are exchanged.
        self._unreachable(Loss(link.name, refused, sent=established, reason=reason, full=full))

    def look_elsewhere(self, name: Address) -> None:
        """Who answers there is of no use: the next time, dial another place to which the name leads."""
        link = self.outbound.get(name)
        if link is not None and link.choices > 1:
            self._close(link)

    def _close(self, link: Link, *, politely: bool = False) -> None:
        """End a connection of which nothing is expected any more."""
        link.closed = True
        link.pass_on()
        self._drop_waiting(link)
        self.backlogs.forget(link)
        self.doors.leave(link)
        self.buffers.forget(link)
        table = self.outbound if link.dialled else self.inbound
        if table.get(link.name) is link:
            del table[link.name]
        if link.wire is not None and politely:
            link.wire.close()
            return
        link.connection.abandon()  # At once, whoever may still refer to it.
        if link.wire is None:
            self._dialler.hang_up(link)
        else:
            link.wire.abort()

    def close(self, *, politely: bool) -> None:
        """End all connections, first sending what is queued if ``politely``."""
        for link in self._all():
            self._close(link, politely=politely)

    def _all(self) -> list[Link]:
        return [*self.outbound.values(), *self.inbound.values()]

    # Time

    def deadline(self, now: float) -> float | None:
        """Return when `check` or `release` is due, or at once when messages wait for their turn."""
        # Who wakes up for something else looks, too: nobody has to wake up for this alone while there is more to do.
        earliest = None if self._check_at is None else self._check_at + CHECK_INTERVAL
        for when in (self.doors.deadline, self.backlogs.deadline(now)):
            if when is not None and (earliest is None or when < earliest):
                earliest = when
        return earliest

    def _watch(self, now: float) -> None:
        if self._check_at is None:
            self._check_at = now + CHECK_INTERVAL

    def check(self, now: float) -> None:
        """Close what is silent, stalled or idle, if it is time to look."""
        while (stranger := self.doors.pop_overdue(now)) is not None:
            self.counters.silent += 1
            stranger.end()
        if self._check_at is None or now < self._check_at:
            return
        for link in self._all():
            if link.wire is None:
                continue
            if link.dialled and not link.connection.established and now - link.since >= HELLO_TIMEOUT:
                self.counters.silent += 1
                self._break(link, Standing.DOWN, "no hello came", now)
            elif link.is_stalled(now):
                self.counters.stalled += 1
                self._break(link, Standing.DOWN, "nothing is read", now)
            elif link.dialled and now - link.used >= self._idle_timeout(link):
                self._close(link)
        self._check_at = now + CHECK_INTERVAL if len(self) else None

    def _idle_timeout(self, link: Link) -> float:
        return SEED_IDLE_TIMEOUT if link.choices > 1 and link.name in self.seeds else IDLE_TIMEOUT


def max_frame_of(config: Config) -> int:
    """Return the longest frame to take: never less than a client of default configuration may send."""
    return max(frame_limit(config), frame_limit(Config()))
