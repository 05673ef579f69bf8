"""The connections of one process: dialling, bounds, and who refused us.  Knows nothing of loops, and does no I/O.

Requests go out on connections that we dialled, one an address; answers go back on the connection on which the
request came, which is known by a name such as ``in:17``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from chord_adapters._address import UNACKNOWLEDGED
from chord_adapters._link import MAX_WAITING, Contact, Dialler, Link, LinkCounters, Loss, Standing, Wire
from chord_adapters._shortage import QUIET_CLIENT, Shortage
from chord_proto.config import Config
from chord_proto.connection import Connection, Hello, frame_limit
from chord_proto.errors import DecodeError, LocalProtocolError
from chord_proto.messages import Answer, Message, Perform
from chord_proto.peer import Address
from chord_proto.wire import Codec

__all__ = ["Contact", "Link", "LinkCounters", "Links", "Loss", "Standing", "Wire"]

_UNHEARD = "it closes the connection unheard, as one does that wants to see a certificate"

_log = logging.getLogger("chord_adapters")

MAX_OUTBOUND = 256
"""Most connections dialled at once; the one unused for longest makes way.  A ring member needs some tens."""
MAX_INBOUND = 512
"""Most connections accepted at once; both together stay below the usual limit of 1,024 open files."""
HELD_ABOVE = 2 * 1024 * 1024
"""How many bytes of answers wait on a connection when no more questions are taken from it until they are read."""
HELD_INTERVAL = 0.02
"""Seconds between two looks at those connections, should their runtimes not say that they have sent all."""
MAX_QUEUED = 32 * 1024 * 1024
"""Most bytes that wait on one connection, above what the operations under way of one node can carry; what comes on top
is dropped, and repeated by who misses it."""
MAX_QUEUED_IN_ALL = 128 * 1024 * 1024
"""Most bytes that wait on all connections together, but for 1 MiB each."""
QUEUE_UNWATCHED = 1024 * 1024
HELLO_TIMEOUT = 5.0
"""Seconds in which the other side must have said a valid hello."""
STALL_TIMEOUT = 15.0
"""Seconds after which a connection is closed on which the other side reads nothing."""
IDLE_TIMEOUT = 60.0
"""Seconds after which a connection that we dialled and do not use is closed."""
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
READ_SIZE = 128 * 1024
"""Most bytes read in one turn of the loop: some thousand small messages, which take some tens of milliseconds."""
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
        max_frame: int,
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
        self.held: dict[Link, None] = {}
        """Connections with a backlog."""
        self.seeds: frozenset[Address] = frozenset()
        """The addresses that the node was told to join by."""
        self._shortage = Shortage(self.counters)
        self._check_at: float | None = None
        self._dialler = dialler
        self._hello = hello
        self._codec = codec
        self._max_frame = max_frame
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
        if link.connection.queued_bytes > QUEUE_UNWATCHED and not self._may_queue(link, now):
            self.counters.dropped += 1
            return
        self._queue(link, message)
        link.wire.wake()

    def withdraw(self, to: Address, request: int) -> None:
        """Do not send a request any more, if it still waits for a connection: nobody expects anything of it."""
        link = self.outbound.get(to)
        if link is not None and link.waiting:
            kept = [
                message for message in link.waiting if not (isinstance(message, Perform) and message.request == request)
            ]
            link.waiting.clear()
            link.waiting.extend(kept)

    def _may_queue(self, link: Link, now: float) -> bool:
        if link.queued() < MAX_QUEUED and sum(each.queued() for each in self._all()) < MAX_QUEUED_IN_ALL:
            link.stalled = None
            return True
        if link.stalled is None:
            link.stalled = now
        return False

    def _queue(self, link: Link, message: Message) -> None:
        try:
            link.connection.send(message)
        except LocalProtocolError:
            self.counters.unsendable += 1

    def dial(self, address: Address, now: float) -> Link:
        """Return the connection to ``address``, dialling it unless there is one; one dial at a time an address."""
        link = self.outbound.get(address)
        if link is not None:
            return link
        if len(self.outbound) >= MAX_OUTBOUND:
            self._close(min(self.outbound.values(), key=lambda each: each.used))
        connection = Connection(initiator=True, hello=self._hello, codec=self._codec, max_frame=self._max_frame)
        contact = self.contact(address)
        link = self.outbound[address] = Link(address, True, connection, now, now, contact=contact)
        self._dialler.dial(link, max(0.0, contact.retry_at - now))
        return link

    # What the runtime tells

    def accepted(self, wire: Wire, now: float, *, scarce: bool = False) -> Link | None:
        """Take a connection that came in, or return None when there are too many.

        ``scarce``: it has one of the last file descriptors, which are for the node's own needs; so there are no more
        connections than now for a while.
        """
        if scarce:
            self._shortage.note(len(self), now)
            strangers = sum(not link.connection.established for link in self.inbound.values())
            self._shortage.limit(len(self.inbound), strangers, now)
        if len(self.inbound) >= self._shortage.most(MAX_INBOUND, now) and not self._evict():
            self.counters.turned_away += 1
            return None
        self.counters.accepted += 1
        self._number += 1
        connection = Connection(initiator=False, hello=self._hello, codec=self._codec, max_frame=self._max_frame)
        link = Link(f"in:{self._number}", False, connection, now, now, wire)
        self.inbound[link.name] = link
        self._watch(now)
        return link

    def _evict(self) -> bool:
        """Close the oldest stranger that has not said its hello."""
        for link in self.inbound.values():
            if not link.connection.established:
                self.counters.turned_away += 1
                self._close(link)
                return True
        return False

    def starved(self, now: float, *, dialling: bool) -> bool:
        """Let somebody make way for a connection, since file descriptors run out; tell whether somebody did.

        That is a stranger that has not said its hello, and for one that we dial also a client that is quiet.
        """
        self._shortage.note(len(self), now)
        return self._evict() or (dialling and self._evict_client(now))

    def _evict_client(self, now: float) -> bool:
        quiet = [
            link
            for link in self.inbound.values()
            if not link.connection.remote_address and not link.queued() and now - link.used >= QUIET_CLIENT
        ]
        if quiet:
            self._close(min(quiet, key=lambda link: link.used))
        return bool(quiet)

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

    def received(self, link: Link, data: bytes, now: float) -> None:
        """Take bytes that came."""
        connection = link.connection
        if link.closed:
            return
        link.used = now
        greeted = connection.established
        try:
            messages = connection.receive_data(data)
        except DecodeError as error:
            self.counters.garbage += 1
            self._break(link, Standing.DOWN, str(error), now)
            return
        if not greeted:
            self._greeted(link, now)
        link.backlog.extend(messages)
        self.work_off(link)

    def work_off(self, link: Link) -> bool:
        """Handle what came on a connection, unless the other side has too much to read; tell whether something was."""
        worked = False
        while link.backlog and not link.closed:
            if not link.dialled and link.queued() > HELD_ABOVE:
                if link not in self.held:
                    self.counters.held += 1
                    self.held[link] = None
                return worked
            worked = True
            message = link.backlog.popleft()
            if message.source is None or self._may_speak_for(link, message.source.address):
                self._receive(message, link.name)
        if link in self.held:
            del self.held[link]
            if link.wire is not None and not link.closed:
                link.wire.wake()  # So that it reads on.
        return worked

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

    def _greeted(self, link: Link, now: float) -> None:
        """See how the exchange of hellos ended, if it did."""
        connection = link.connection
        assert link.wire is not None
        if connection.refused is not None:
            self.counters.refused += 1
            if link.dialled:
                self._break(link, Standing.REFUSED, connection.refused, now)
            else:
                link.wire.wake()
                self._close(link, politely=True)
        elif connection.established:
            claimed = connection.remote_address
            if claimed and not link.dialled and not self._may_speak_for(link, claimed):
                return
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
        # Nothing that was sent is looked at before the hellos are exchanged.
        self._unreachable(Loss(link.name, link.connection.refused, sent=established, reason=reason))

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
        link.backlog.clear()
        self.held.pop(link, None)
        table = self.outbound if link.dialled else self.inbound
        if table.get(link.name) is link:
            del table[link.name]
        if link.wire is None:
            self._dialler.hang_up(link)
        elif politely:
            link.wire.close()
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
        """Return when `check` is due."""
        if self.held and (self._check_at is None or self._check_at > now + HELD_INTERVAL):
            return now + HELD_INTERVAL
        return self._check_at

    def _watch(self, now: float) -> None:
        if self._check_at is None:
            self._check_at = now + CHECK_INTERVAL

    def check(self, now: float) -> None:
        """Close what is silent, stalled or idle, if it is time to look."""
        if self._check_at is None or now < self._check_at:
            return
        for link in self._all():
            if link.wire is None:
                continue
            if not link.connection.established and now - link.since >= HELLO_TIMEOUT:
                self.counters.silent += 1
                self._break(link, Standing.DOWN, "no hello came", now)
            elif self._is_stalled(link, now):
                self.counters.stalled += 1
                self._break(link, Standing.DOWN, "nothing is read", now)
            elif link.dialled and now - link.used >= self._idle_timeout(link):
                self._close(link)
        self._check_at = now + CHECK_INTERVAL if len(self) else None

    def _idle_timeout(self, link: Link) -> float:
        return SEED_IDLE_TIMEOUT if link.choices > 1 and link.name in self.seeds else IDLE_TIMEOUT

    def _is_stalled(self, link: Link, now: float) -> bool:
        if link.stalled is None:
            return False
        if link.queued() < MAX_QUEUED // 2:
            link.stalled = None
            return False
        return now - link.stalled >= STALL_TIMEOUT


def max_frame_of(config: Config) -> int:
    """Return the longest frame to take: never less than a client of default configuration may send."""
    return max(frame_limit(config), frame_limit(Config()))
