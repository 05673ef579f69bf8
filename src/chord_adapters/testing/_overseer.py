"""Watches every input of every node of a simulated network and checks the invariants as they go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from chord_adapters._words import of_value
from chord_adapters.memory import Network, Step
from chord_proto.config import Config
from chord_proto.effects import Effect, PeerFailed, PeerLeft, Send, Stopped, Write
from chord_proto.invariants import (
    ALWAYS,
    MEMBERS,
    WORK,
    Check,
    Facts,
    Living,
    Scope,
    Snapshot,
    UnderWay,
    Violation,
    as_kept,
    check,
    violations,
    why_not_ideal,
)
from chord_proto.messages import Acknowledged, Answer, Message, Neighbours, Pong, Reason, Refused
from chord_proto.node import Node
from chord_proto.peer import Peer
from chord_proto.phase import Phase
from chord_proto.view import NodeView

SAMPLE = 64
"""Every so many inputs all is checked though nothing seems to have changed."""
LINGERS = 3.0
"""Virtual seconds for which a lie may be under way after it was told."""
Stamp = tuple[object, ...]


class Broken(AssertionError):
    """A property does not hold; the message says which, after which input, and how the nodes stand."""


class Overseer:
    """Checks A after every input, and Z while its assumptions hold.

    Give it to the network as ``watch``, then set ``network``.  Zave's assumptions hold from the moment in which the
    ring is ideal, has r + 1 members and no list is under way, until something breaks one of them: then Z is silent
    until such a moment comes again.  They are never taken to hold with virtual nodes, whose lists have no fixed length.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.network: Network | None = None
        self.existed: dict[Peer, None] = {}
        self.gone: dict[tuple[int, Peer], None] = {}
        self.answered: dict[tuple[int, Peer], None] = {}
        self.ended: dict[tuple[int, int], float] = {}
        self._heard: dict[tuple[int, int], tuple[int, bool]] = {}
        """By both their ids: the latest life of another that spoke to a node, and whether it ever answered."""
        self.views: dict[int, NodeView] = {}
        self.leaving: dict[int, None] = {}
        self.assumptions = False
        self.liars: dict[str, None] = {}
        """Addresses that lie or have lied."""
        self.lies_until = 0.0
        """How long what they said may be under way."""
        self._stamps: dict[int, Stamp] = {}
        self._nodes: dict[int, Node] = {}
        self._stale: dict[int, Node] = {}
        """Whose views are old in what no stamp tells: timers, requests, operations."""
        self._living = Living(config)
        """The members that are not about to leave."""
        self._turn = 0
        self.seen: Counter[str] = Counter()
        """What happened how often, so that a test can tell that it tested something."""

    # What the network tells

    def __call__(self, step: Step) -> None:
        """Take one input of one node."""
        node, kind = step.node, step.kind
        ctx = node.ctx
        my_id = ctx.me.id
        self.seen[kind] += 1
        if kind == "receive":
            self._received(ctx.me, step.arguments[0])
        stopped = lists = False
        for effect in step.effects:
            if type(effect) is Send:
                if stopped:
                    self._raise([Violation("S17", ctx.me, "sends after it has stopped")], step)
                said = effect.message
                if type(said) is Neighbours:
                    lists = True
                elif type(said) is Acknowledged:
                    self._acknowledges(step, said)
            elif type(effect) is Write:
                self._writes(ctx.me, effect)
            else:
                stopped = stopped or type(effect) is Stopped
                self._happened(node, effect)
        ring, routing = node.ring, ctx.routing
        # What the properties of the ring are about; equal objects as long as nothing has changed.
        stamp = (
            node,
            ring.phase,
            routing.predecessor,
            routing.successors,
            routing.predecessors,
            routing.came_round,
        )
        self._turn += 1
        if stamp != self._stamps.get(my_id):
            self._stamps[my_id] = stamp
            self._look(step, ALWAYS)
            if self.assumptions and ring.phase is not Phase.STOPPED:
                self._check_ring_fast(step)
            return
        # Nothing has changed that the properties are about, but for deadlines, which are looked at now and then.
        self._stale[my_id] = node
        if not self._turn % SAMPLE or (kind == "tick" and not _is_ahead(step)):
            self._look(step, WORK)
        if lists and self.assumptions and self._tells_news(step):
            self._check_ring_fast(step)

    def _look(self, step: Step, rules: tuple[Check, ...]) -> None:
        """Check a node by itself."""
        node, me = step.node, step.node.me
        self._stale.pop(me.id, None)
        self._nodes[me.id] = node
        self.existed[me] = None
        before = self.views.get(me.id)
        view = self.views[me.id] = node.view()
        snapshot = Snapshot(
            views=(view,),
            config=self.config,
            now=step.at,
            before={} if before is None else {me.id: before},
            ticked=(me.id,) if step.kind == "tick" else (),
            facts=self.facts(),
        )
        self._raise(violations(snapshot, rules), step)
        if view.phase in MEMBERS and me.id not in self.leaving:
            self._living.keep(me, view.successors)
        else:
            self._living.lose(me.id)
        if view.phase is Phase.STOPPED:
            self._ended(node)

    def _tells_news(self, step: Step) -> bool:
        """Tell whether a list goes out that its receiver does not have yet, as far as it will keep it."""
        for effect in step.effects:
            if type(effect) is Send and type(effect.message) is Neighbours:
                message, receiver = effect.message, self.views.get(effect.message.target or 0)
                if receiver is None or receiver.phase not in MEMBERS:
                    return True
                if as_kept(receiver.me, receiver.phase, message, self.config) != receiver.successors:
                    return True
        return False

    def _received(self, me: Peer, message: Message) -> None:
        kind = type(message)
        self.seen[kind.__name__] += 1
        source = message.source
        if source is None:
            return
        pair = me.id, source.id
        life, answered = self._heard.get(pair, (0, False))
        if message.incarnation > life or not answered:
            answers = isinstance(message, Answer)
            self._heard[pair] = max(life, message.incarnation), answered or answers
            if life and message.incarnation > life:  # The life that it knew has ended.
                self.gone[me.id, source] = None
            if answers:
                self.answered[me.id, source] = None
        if (kind is Refused or kind is Pong) and is_no_member(message):
            self.gone[me.id, source] = None

    def _happened(self, node: Node, event: Effect) -> None:
        if isinstance(event, PeerFailed | PeerLeft):
            self.gone[node.me.id, event.peer] = None
            self.seen[type(event).__name__] += 1
        if isinstance(event, PeerFailed):
            suspect = self.views.get(event.peer.id)
            if suspect is not None and suspect.phase in MEMBERS and event.peer.id not in self.leaving:
                self.assume_nothing("false suspicion")

    def _acknowledges(self, step: Step, message: Acknowledged) -> None:
        """D2, D3: what is acknowledged is durable at its owner and wherever it is said to be, unless a newer one is."""
        for name, peers in (("D2", (step.node.me,)), ("D3", message.acked)):
            for peer in peers:
                view = self.views.get(peer.id)
                if view is None or view.phase not in MEMBERS or (name == "D3" and peer.address in self.liars):
                    continue
                kept = self._net.disk(peer.address, peer.index).values()
                if message.version and not any(record.version >= message.version for record in kept):
                    raise Broken(f"{name}: {message.version} is acknowledged, and not durable at {peer.address}")

    def _writes(self, me: Peer, write: Write) -> None:
        """D7: a node's version of a name never goes back."""
        for item in write.changes:
            kept = self._net.durable(me.address, (item.space, item.name), me.index)
            if kept is not None and kept.version > item.version:
                raise Broken(f"D7: {me.address} has {kept.version} of {item.name!r} and writes {item.version}")

    def _ended(self, node: Node) -> None:
        self.ended[node.me.id, node.incarnation] = self._net.now
        self._forget(node.me.id)

    def _forget(self, peer_id: int) -> None:
        self.views.pop(peer_id, None)
        self._nodes.pop(peer_id, None)
        self._living.lose(peer_id)
        self.leaving.pop(peer_id, None)
        self._stamps.pop(peer_id, None)
        self._stale.pop(peer_id, None)

    # What the test tells

    def assume_nothing(self, reason: str) -> None:
        """Say that one of Zave's assumptions is broken from here on."""
        self.seen[f"broken: {reason}"] += self.assumptions
        self.assumptions = False

    def deceived(self, address: str, invented: Iterable[Peer], until: float) -> None:
        """Say that ``address`` lies until then, and may name peers that never were.

        Lies break what rests on true lists (Z), and what rests on a liar's own word of what it holds (D3).
        """
        self.assume_nothing("lie")
        self.liars[address] = None
        self.existed.update(dict.fromkeys(invented))
        self.lies_until = max(self.lies_until, until + LINGERS)

    def honest(self) -> tuple[str, ...]:
        """Say that nobody lies any more, and return who did."""
        self.lies_until = min(self.lies_until, self._net.now + LINGERS)
        return tuple(self.liars)

    def going(self, address: str, *, crash: bool) -> None:
        """Say that the nodes at ``address`` are about to crash or begin to leave."""
        self._refresh()
        going = [i for i, view in self.views.items() if view.me.address == address]
        self.leaving.update(dict.fromkeys(going))
        for i in going:
            self._living.lose(i)
        if crash:
            for i in going:
                self.ended[i, self.views[i].incarnation] = self._net.now
                self._forget(i)
        if self.assumptions and (check(self.snapshot(self._staying()), {"Z"}) or not self._can_spare()):
            self.assume_nothing("too many gone")

    def may_fail(self, address: str) -> bool:
        """Tell whether the nodes at ``address`` may crash now without breaking Zave's assumptions."""
        self._refresh()
        left = tuple(view for view in self.views.values() if view.me.address != address)
        return not check(self.snapshot(left), {"Z"})

    def _staying(self) -> tuple[NodeView, ...]:
        """To the proof a leaver has failed in the moment in which it begins to leave: others drop it while it lives."""
        return tuple(view for i, view in self.views.items() if i not in self.leaving)

    def _can_spare(self) -> bool:
        """Tell whether r + 1 principals stay though leavers go on telling their lists, which may skip newcomers."""
        principals = [i for i in self.snapshot().principals if i not in self.leaving]
        return len(principals) > max(self.config.successors, self.config.replicas - 1)

    def coming(self, peer: Peer) -> None:
        """Say that ``peer`` is about to start."""
        for view in self.views.values():
            if peer in (view.predecessor, *view.predecessors, *view.successors):
                self.assume_nothing("identity used again")
        self.existed[peer] = None

    # Checks of the whole ring

    @property
    def _net(self) -> Network:
        assert self.network is not None
        return self.network

    def facts(self) -> Facts:
        """Return what was recorded."""
        return Facts(existed=self.existed, gone=self.gone, answered=self.answered, ended=self.ended)

    def _under_way(self) -> tuple[UnderWay, ...]:
        return tuple(UnderWay(sent.message, sent.sent) for sent in self._net.in_flight())

    def snapshot(
        self, views: tuple[NodeView, ...] | None = None, under_way: tuple[UnderWay, ...] | None = None
    ) -> Snapshot:
        """Return the whole network as it is."""
        return Snapshot(
            views=tuple(self.views.values()) if views is None else views,
            config=self.config,
            now=self._net.now,
            under_way=self._under_way() if under_way is None else under_way,
            facts=self.facts(),
        )

    def _refresh(self) -> None:
        """Make the views new that are old."""
        for peer_id in tuple(self._stale):
            self._refresh_one(peer_id)

    def _refresh_one(self, peer_id: int) -> None:
        node = self._stale.pop(peer_id, None)
        if node is not None:
            self.views[peer_id] = node.view()

    def check_ring(self, scope: set[Scope], step: Step | None = None) -> None:
        """Check the whole network; raise `Broken`."""
        self.seen["whole ring checked: " + "".join(sorted(scope))] += 1
        self._refresh()
        self._raise(check(self.snapshot(self._staying()), scope), step)

    def _check_ring_fast(self, step: Step) -> None:
        """Check Z; everything is looked at only where what is kept up step by step says that something is wrong."""
        if self._living.holds(self._lists_under_way()):
            self.seen["whole ring checked: Z"] += 1
        else:
            self.check_ring({"Z"}, step)

    def _lists_under_way(self) -> Iterator[tuple[Peer, ...]]:
        """Yield the extended lists that members and joiners will have of answers that they still wait for."""
        for message in self._net.under_way(Neighbours):
            receiver = None if message.target is None else self._nodes.get(message.target)
            if receiver is None or receiver.me.id in self.leaving or message.request not in receiver.ctx.calls:
                continue
            kept = as_kept(receiver.me, receiver.phase, message, self.config)
            if kept is not None:
                yield (receiver.me, *kept)

    def look_for_assumptions(self) -> None:
        """Let Z hold from here on if the ring is ideal, has r + 1 members, no list is under way, nobody falsely suspected."""
        if (
            self.assumptions
            or self.leaving
            or self.lies_until > self._net.now
            or any(view.me.index for view in self.views.values())
        ):
            return
        self._refresh()
        views = tuple(self.views.values())
        members = [view for view in views if view.phase in MEMBERS]
        quiet = not any(isinstance(sent.message, Neighbours) for sent in self._net.in_flight())
        living = {view.me.id for view in members}
        quiet = quiet and not any(living.intersection(node.ctx.routing.suspects) for node in self._net.nodes)
        if len(members) > self.config.successors and quiet and why_not_ideal(views, self.config) is None:
            self.assumptions = not check(self.snapshot(), {"Z"})
            self.seen["assumptions hold"] += 1

    def _raise(self, found: list[Violation], step: Step | None) -> None:
        if found:
            cause = "" if step is None else f"\nafter {step.kind} {of_value(step.argument)} at {step.node.me.address}"
            raise Broken("\n".join(map(str, found)) + cause + "\n" + self._net.describe())


def is_no_member(message: Message) -> bool:
    """Tell whether an answer says that its sender, as the asker knew it, has failed: no member, or another life."""
    if isinstance(message, Refused):
        return message.reason in (Reason.NOT_MEMBER, Reason.OTHER_LIFE)
    return isinstance(message, Pong) and not message.member


def _is_ahead(step: Step) -> bool:
    """Tell whether the deadline lies ahead, as it must after a tick."""
    deadline = step.node.deadline
    return deadline is None or deadline > step.at
