"""What all layers of a node share: who it is, its clock reading, its generator, its requests and its effects."""

from __future__ import annotations

from typing import Any

from chord_proto.budget import Budget
from chord_proto.calls import Asker, Call, Counters, Purpose, Slow
from chord_proto.config import Config
from chord_proto.effects import Effect, Misbehaved, PeerFailed, PeerLeft, Send
from chord_proto.messages import Answer, Message, Notify, Performed, Ping, Reason, Refused, Request, Working
from chord_proto.operations import Result
from chord_proto.peer import Address, Peer
from chord_proto.rng import Rng
from chord_proto.routing import Known, Routing
from chord_proto.timers import Timers
from chord_proto.trust import Trust
from chord_proto.tuning import Tuning

_WIDER = 3 / 8
"""How much of the time that an answer to several tries took counts as deviation: the next timeout is half as long again."""


class Context:
    """The bottom of the node.

    Upper layers call down; what must go up is queued (``outcomes``, ``departed``, ``loopback``) and
    handed on by the node's frame before the input returns.
    """

    __slots__ = (
        "_per_address",
        "_served",
        "budget",
        "calls",
        "carried",
        "config",
        "counters",
        "departed",
        "in_progress",
        "incarnation",
        "loopback",
        "me",
        "now",
        "out",
        "outcomes",
        "reborn",
        "returned",
        "rng",
        "routing",
        "timers",
        "trust",
        "tuning",
        "wall_offset",
    )

    def __init__(self, me: Peer, *, seed: int, config: Config, incarnation: int) -> None:
        self.me = me
        self.config = config
        self.incarnation = incarnation
        self.rng = Rng(seed, spread=config.jitter)
        self.now = 0.0
        self.wall_offset = 0.0
        self.timers = Timers()
        self.routing = Routing(me, config, salt=Rng(~seed).bits64())
        self.trust = Trust()
        self.tuning = None if config.stabilize_interval_max is None else Tuning()
        self.budget = None if config.upkeep_budget is None else Budget(config.upkeep_budget)
        self.calls: dict[int, Call] = {}
        self._per_address: dict[Address, int] = {}
        self.in_progress: dict[tuple[Address, int], None] = {}
        """The requests of others that are answered later."""
        self._served: dict[Address, int] = {}
        """How many these are, by who asked."""
        self.carried = 0
        """Bytes of values in the reads and writes under way that this node coordinates."""
        self.counters = Counters()
        self.out: list[Effect] = []
        self.loopback: list[Message] = []
        self.outcomes: list[tuple[Purpose, Any, Any]] = []
        self.departed: list[Peer] = []
        self.reborn: list[Peer] = []
        self.returned: list[Peer] = []

    @property
    def civil(self) -> int:
        """Civil time as far as it was told: milliseconds of Unix time, 0 before 1970."""
        return max(0, int((self.now + self.wall_offset) * 1000))

    @property
    def interval(self) -> float:
        """The period of upkeep at present, in seconds: between two rounds of stabilise."""
        config = self.config
        if self.tuning is None:
            return config.stabilize_interval
        return self.tuning.interval(self.now, config.stabilize_interval, config.longest_interval)

    # Sending

    def emit(self, effect: Effect) -> None:
        """Add an effect to those of this input."""
        self.out.append(effect)

    def send(self, to: Address, message: Message) -> None:
        """Send, or hand over inside when the message is for this very node."""
        if message.target == self.me.id and to == self.me.address:
            self.loopback.append(message)
        else:
            self.counters.sent += 1
            if self.budget is not None and not isinstance(message, Answer):
                self.budget.spend(message, self.now)
            self.out.append(Send(to, message))

    def notify(self, peer: Peer) -> None:
        """Tell ``peer`` that this node believes to be its predecessor."""
        self.send(peer.address, Notify(self.me, self.incarnation, peer.id, self.life_of(peer)))

    def ask(self, peer: Peer, purpose: Purpose, kind: type[Request], *fields: object) -> bool:
        """Send a request to ``peer``; its outcome reaches the handler of ``purpose``.

        Returns False, and sends nothing, when too many requests are out.
        """
        return self._ask(peer.address, peer, purpose, kind, fields)

    def ask_address(self, address: Address, purpose: Purpose, kind: type[Request], *fields: object) -> bool:
        """Send a request to whoever answers at ``address``."""
        return self._ask(address, None, purpose, kind, fields)

    def _ask(
        self, address: Address, peer: Peer | None, purpose: Purpose, kind: type[Request], fields: tuple[object, ...]
    ) -> bool:
        out_to_address = self._per_address.get(address, 0)
        if len(self.calls) >= self.config.max_requests or out_to_address >= self.config.max_requests_per_peer:
            self.counters.refused += 1
            return False
        request = self.rng.request_id()
        known = target = None
        if peer is not None:
            target = peer.id
            known = self.routing.known.get(target)
        # A ping is for whichever life answers; all else is for the one that is known.
        life = 0 if known is None or kind is Ping else known.incarnation
        message = kind(self.me, self.incarnation, target, life, request, *fields)
        now, timeout = self.now, self._timeout(known)
        self.calls[request] = Call(request, address, peer, message, purpose, now, now, timeout=timeout)
        self._per_address[address] = out_to_address + 1
        self.timers.arm(("call", request), now + timeout)
        self.send(address, message)
        return True

    def life_of(self, peer: Peer) -> int:
        """Return the incarnation of ``peer`` that is known, 0 for none."""
        known = self.routing.known.get(peer.id)
        return 0 if known is None else known.incarnation

    # Answering

    def asker(self, message: Request, sender: Address) -> Asker:
        """Return what is needed to answer ``message`` now or later."""
        return Asker(
            sender, None if message.source is None else message.source.id, message.incarnation, message.request
        )

    def may_serve(self, sender: Address) -> bool:
        """Tell whether one more request of this sender may be answered later."""
        if sender == self.me.address:
            return True  # Its own operations are bounded by themselves.
        config = self.config
        return len(self.in_progress) < config.max_served and self._served.get(sender, 0) < config.max_served_per_peer

    def may_carry(self, size: int) -> bool:
        """Tell whether a read or write of so many bytes may be coordinated beside those under way."""
        return not self.carried or self.carried + size <= self.config.max_carried_bytes

    def defer(self, asker: Asker) -> None:
        """Remember that an answer will come later: the same request arriving again is told so."""
        if (asker.sender, asker.request) not in self.in_progress:
            self.in_progress[asker.sender, asker.request] = None
            self._served[asker.sender] = self._served.get(asker.sender, 0) + 1

    def answer(self, asker: Asker, kind: type[Answer], *fields: object) -> None:
        """Answer a request."""
        if self.in_progress and (asker.sender, asker.request) in self.in_progress:
            del self.in_progress[asker.sender, asker.request]
            left = self._served[asker.sender] - 1
            if left:
                self._served[asker.sender] = left
            else:
                del self._served[asker.sender]
        self.send(
            asker.sender, kind(self.me, self.incarnation, asker.source, asker.incarnation, asker.request, *fields)
        )

    def working(self, asker: Asker) -> None:
        """Tell who asks again that the answer will come."""
        self.send(asker.sender, Working(self.me, self.incarnation, asker.source, asker.incarnation, asker.request))

    def performed(self, asker: Asker, result: Result) -> None:
        """Tell a client how its operation ended."""
        self.answer(asker, Performed, result)

    def refuse(self, asker: Asker, reason: Reason) -> None:
        """Answer a request with a refusal."""
        self.counters.refused += 1
        self.answer(asker, Refused, reason)

    def misbehaved(self, sender: Address, reason: str) -> None:
        """Report a message that no correct peer sends."""
        self.counters.misbehaved += 1
        self.emit(Misbehaved(sender, reason))

    # Outstanding requests: round-trip times after Jacobson and Karels (SIGCOMM 1988), Karn's rule

    def _timeout(self, known: Known | None) -> float:
        config = self.config
        if known is None:
            return config.initial_timeout
        if known.srtt < 0:
            return max(config.initial_timeout, min(4 * known.rttvar, config.max_timeout))
        timeout = known.srtt + 4 * known.rttvar
        if timeout <= config.min_timeout:
            return config.min_timeout
        return min(timeout, max(config.max_timeout, 2 * known.srtt))

    def match(self, answer: Answer, sender: Address) -> Call | None:
        """Take the outstanding request that ``answer``, from ``sender``, belongs to; None for a late or forged one."""
        call = self.calls.get(answer.request)
        if call is None or call.address != sender or answer.source is None:
            return None
        if call.peer is not None and call.peer.id != answer.source.id:
            return None
        # Who answers at a contact's address under another one is no evidence for the node that it claims to be.
        known = self._same_life(answer) if answer.source.address == sender else Known(answer.source, self.now)
        if known is None or call.request not in self.calls:  # The latter: it was for the life before this one.
            return None
        if type(answer) is Working:
            call.tries, call.timed = 1, False
            self.timers.arm(("call", call.request), self.now + call.timeout)
            return None
        self.drop_call(call)
        known.spoke = self.now
        if self.budget is not None:
            self.budget.spend(answer, self.now)
        if call.timed:
            self.routing.measure(known, self.now - call.sent)
        elif call.tries > 1:
            # Nobody knows which try was answered; but if the peer has become slow, the next answer must come in time to tell.
            known.rttvar = max(known.rttvar, _WIDER * (self.now - call.sent))
        return call

    def _same_life(self, answer: Answer) -> Known | None:
        """Note which life of the answer's source answered at its address; None if that one is over."""
        source = answer.source
        assert source is not None
        known = self.routing.entry(source, self.now)
        if answer.incarnation < known.incarnation:
            return None
        if answer.incarnation > known.incarnation:
            self._begin_life(source, known, answer.incarnation)
        if known.answered != answer.incarnation:
            self.routing.note_answer(known, answer.incarnation)
        return known

    def drop_call(self, call: Call) -> None:
        """Forget a request: its answer, if it still comes, is late."""
        if self.calls.pop(call.request, None) is None:
            return
        self.timers.disarm(("call", call.request))
        left = self._per_address[call.address] - 1
        if left:
            self._per_address[call.address] = left
        else:
            del self._per_address[call.address]

    def drop_calls_for(self, purpose: Purpose) -> None:
        """Forget the requests sent for exactly this purpose."""
        for call in [call for call in self.calls.values() if call.purpose == purpose]:
            self.drop_call(call)

    def call_lapsed(self, request: int) -> None:
        """Send a request again, or give it up and suspect its peer."""
        call = self.calls[request]
        if call.tries < self.config.request_tries or self._is_only_slow(call):
            self._resend(call)
        else:
            self.fail_call(call)

    def _is_only_slow(self, call: Call) -> bool:
        """Tell whether the peer answers others of this node's requests since: this answer may be a long one."""
        known = None if call.peer is None else self.routing.known.get(call.peer.id)
        patient = self.now - call.sent < self.config.operation_timeout
        return patient and known is not None and known.spoke > call.latest

    def _resend(self, call: Call) -> None:
        call.tries, call.timed = call.tries + 1, False
        call.latest = self.now
        call.timeout = min(call.timeout * 2, max(self.config.max_timeout, call.timeout))
        self.counters.retransmitted += 1
        self.timers.arm(("call", call.request), self.now + call.timeout)
        self.send(call.address, call.message)
        self.outcomes.append((call.purpose, call.peer, Slow()))

    def doubt(self, peer: Peer) -> int:
        """Return how little the peer is to be relied on: 2 if suspected, 1 if it has not answered in time, else 0."""
        if self.routing.is_suspect(peer):
            return 2
        return int(any(call.peer == peer and call.tries > 1 for call in self.calls.values()))

    def fail_call(self, call: Call) -> None:
        """End a request without answer."""
        self.drop_call(call)
        if call.peer is not None:
            self.suspect(call.peer)
        self.outcomes.append((call.purpose, call.peer, None))

    def unreachable(self, address: Address) -> None:
        """Dialling ``address`` failed, or a connection to it broke: try again once, then fail what waits for it."""
        for call in [call for call in self.calls.values() if call.address == address]:
            call.refusals += 1
            if call.refusals >= 2 or call.tries >= self.config.request_tries:
                self.fail_call(call)
            elif call.request in self.calls:
                self._resend(call)

    def grant_fresh_timeouts(self) -> None:
        """Give every outstanding request its full time again, after a gap in this node's own inputs."""
        for call in self.calls.values():
            call.tries, call.timed = 1, False
            self.timers.arm(("call", call.request), self.now + call.timeout)

    # Who lives

    def suspect(self, peer: Peer) -> None:
        """Take ``peer`` for dead, on direct evidence, until it is heard from or the suspicion grows old."""
        if peer.id == self.me.id:
            return
        routing = self.routing
        fresh = peer.id not in routing.suspects and peer.id not in routing.lost
        routing.suspects[peer.id] = self.now + self.config.suspect_ttl
        routing.forget(peer.id)
        if not fresh:
            return
        self.counters.suspected += 1
        self._remember_lost(peer)
        self.emit(PeerFailed(peer))
        self._abandon(peer)

    def left(self, peer: Peer) -> None:
        """Take ``peer`` for gone: it said so."""
        self.routing.suspects[peer.id] = self.now + self.config.suspect_ttl
        self.routing.forget(peer.id)
        self.emit(PeerLeft(peer))
        self._abandon(peer)

    def _abandon(self, peer: Peer) -> None:
        self.departed.append(peer)
        for call in [call for call in self.calls.values() if call.peer is not None and call.peer.id == peer.id]:
            self.drop_call(call)
            self.outcomes.append((call.purpose, call.peer, None))

    def _remember_lost(self, peer: Peer) -> None:
        lost = self.routing.lost
        lost.pop(peer.id, None)
        lost[peer.id] = peer
        while len(lost) > self.config.max_lost_peers:
            del lost[next(iter(lost))]

    def heard(self, peer: Peer, incarnation: int, known: Known | None) -> bool:
        """Note that ``peer`` has spoken; False when an earlier life of it than the known one is speaking.

        A later life is believed only once it has answered at the address that it claims (`match`): otherwise
        anyone could silence a member by claiming to be its next life.
        """
        routing = self.routing
        if known is not None:
            if incarnation < known.incarnation:
                return False
            known.heard = self.now
        if routing.suspects:
            routing.suspects.pop(peer.id, None)
        if routing.lost and routing.lost.pop(peer.id, None) is not None:
            self.returned.append(peer)
        return True

    def _begin_life(self, peer: Peer, known: Known, incarnation: int) -> None:
        """The peer lives anew: what waits for its earlier life has failed."""
        if known.incarnation:
            known.srtt = -1.0
            self.emit(PeerFailed(peer))
            self.reborn.append(peer)
            for call in [call for call in self.calls.values() if call.peer is not None and call.peer.id == peer.id]:
                if call.message.target_incarnation:
                    self.drop_call(call)
                    self.outcomes.append((call.purpose, call.peer, None))
        known.incarnation = incarnation

    def forget_old_suspicions(self) -> None:
        """Let suspicions end that are older than ``suspect_ttl``: they may be asked again."""
        suspects = self.routing.suspects
        for peer_id in [peer_id for peer_id, until in suspects.items() if until <= self.now]:
            del suspects[peer_id]

    def has_answered(self, peer: Peer, incarnation: int) -> bool:
        """Tell whether this life of ``peer`` has answered at its address (the dial-back)."""
        known = self.routing.known.get(peer.id)
        return known is not None and known.answered == incarnation
