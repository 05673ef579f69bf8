"""Every path of a small ring, breadth first, so that the first counterexample found is a shortest one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from hashlib import blake2b
from time import perf_counter

import attrs

from chord_adapters.memory import Network
from chord_adapters.testing._small_ring import Action, SmallRing
from chord_proto.config import Config
from chord_proto.invariants import MEMBERS, Scope, check, is_ideal, why_not_ideal
from chord_proto.node import Node
from chord_proto.peer import Peer

Fingerprint = bytes


@attrs.frozen(kw_only=True)
class Scenario:
    """What may happen to which ring.

    ``members`` nodes form an ideal ring at first.  ``joiners`` nodes come to it, each by any member of that ring.
    ``failures`` of its members fail, but none that would leave a member without a living successor.
    ``replicas`` counts for the lists only: they run on until they name so many addresses.
    """

    members: int
    joiners: int = 0
    failures: int = 0
    successors: int = 2
    replicas: int = 1
    exchanges: bool = True
    """A request and its answer are one step; False: each message is one."""

    @property
    def config(self) -> Config:
        """The nodes' parameters."""
        r = self.successors
        return Config(successors=r, predecessors=r, replicas=self.replicas)

    def begin(self) -> SmallRing:
        """Return the first state.  Places are spread so that joiners fall between members in turn."""
        count, config = self.members + self.joiners, self.config
        names = sorted((f"n{number}" for number in range(count)), key=lambda name: Peer.at(name).id)
        joining = {names[(2 * number + 1) % count] for number in range(self.joiners)}
        members = [name for name in names if name not in joining]
        net = Network(0, config=config)
        net.spawn(members[0])
        for name in members[1:]:
            net.spawn(name, join=[members[0]])
        net.run_until(lambda: all(node.ready for node in net.nodes), within=60.0)
        net.run_until(lambda: is_ideal([node.view() for node in net.nodes], config), within=60.0)
        net.run_until(lambda: not any(node.view().requests for node in net.nodes), within=60.0)
        nodes = {node.me.address: node.copy() for node in net.nodes}
        for number, name in enumerate(sorted(joining)):
            nodes[name] = Node(Peer.at(name), seed=number, config=config)
        return SmallRing(
            nodes={name: nodes[name] for name in names},
            to_join=tuple((name, members[0]) for name in sorted(joining)),
            may_fail=self.failures,
            exchanges=self.exchanges,
        )


@attrs.frozen(kw_only=True)
class Explored:
    """What was found: how far the search came, and what was wrong, with the shortest way to it."""

    states: int
    transitions: int
    depth: int
    seconds: float
    finished: bool
    problem: str | None = None
    path: tuple[Action, ...] = ()

    def __str__(self) -> str:
        """Return one line, or the counterexample with a line for each step."""
        rate = self.states / self.seconds if self.seconds else 0.0
        extent = "finished" if self.finished else "not finished"
        lines = [
            f"{self.states:,} states, {self.transitions:,} transitions, depth {self.depth}, {extent}, {rate:,.0f} states/s"
        ]
        if self.problem is not None:
            lines += [self.problem, *(f"{number:3}  {' '.join(action)}" for number, action in enumerate(self.path, 1))]
        return "\n".join(lines)


def explore(
    begin: Scenario | SmallRing,
    *,
    limit: int = 1_000_000,
    scope: Collection[Scope] | None = None,
    progress: Callable[[int, int], None] = lambda states, depth: None,
) -> Explored:
    """Search every state that a scenario, or a state, leads to, up to ``limit`` states.

    In each state the invariants of ``scope`` are checked: by default A, and Z where the members are more than r.
    Once all states are found, those from which nothing leads out of the group of states that lead back to them must
    be ideal rings: whatever happened, the ring heals.  ``progress`` is told the number of states and the depth now
    and then.
    """
    first = begin.begin() if isinstance(begin, Scenario) else begin
    if scope is None:
        r = first.config.successors
        scope = {"Z", "A"} if sum(node.phase in MEMBERS for node in first.nodes.values()) > r else {"A"}
    return _Search(first, limit, frozenset(scope), progress).run()


class _Search:
    def __init__(
        self, first: SmallRing, limit: int, scope: frozenset[Scope], progress: Callable[[int, int], None]
    ) -> None:
        self.scope = scope
        self.limit = limit
        self.progress = progress
        self.began = perf_counter()
        self.config = first.config
        self.number = {_fingerprint(first): 0}
        self.origin: list[tuple[int, Action]] = [(0, ())]
        self.edges: list[tuple[int, ...]] = []
        self.flaws: list[str | None] = [why_not_ideal(first.snapshot().views, self.config)]
        self.frontier = deque([(first, 0)])
        self.transitions = 0
        self.depth = 0

    def run(self) -> Explored:
        while self.frontier:
            state, self.depth = self.frontier.popleft()
            here = len(self.edges)
            reached = []
            for action, after in state.actions():
                self.transitions += 1
                print_ = _fingerprint(after)
                there = self.number.get(print_)
                if there is None:
                    there = self.number[print_] = len(self.origin)
                    self.origin.append((here, action))
                    snapshot = after.snapshot()
                    found = check(snapshot, self.scope)
                    if found:
                        return self._report(problem="; ".join(map(str, found)), at=there)
                    self.flaws.append(why_not_ideal(snapshot.views, self.config))
                    if len(self.origin) >= self.limit:
                        return self._report(finished=False)
                    self.frontier.append((after, self.depth + 1))
                if there != here:
                    reached.append(there)
            self.edges.append(tuple(dict.fromkeys(reached)))
            if here % 1000 == 0:
                self.progress(len(self.origin), self.depth)
        for group in terminal_groups(self.edges):
            for each in group:
                flaw = self.flaws[each]
                if flaw is not None:
                    end = "it stays like this" if len(group) == 1 else "it comes back to this for ever"
                    return self._report(problem=f"{end}: {flaw}", at=each)
        return self._report()

    def _report(self, *, finished: bool = True, problem: str | None = None, at: int = 0) -> Explored:
        path: list[Action] = []
        while at:
            at, action = self.origin[at]
            path.append(action)
        return Explored(
            states=len(self.origin),
            transitions=self.transitions,
            depth=self.depth,
            seconds=perf_counter() - self.began,
            finished=finished and (problem is None or not self.frontier),
            problem=problem,
            path=tuple(reversed(path)),
        )


def _fingerprint(state: SmallRing) -> Fingerprint:
    return blake2b(repr(state.key()).encode(), digest_size=16).digest()


def terminal_groups(edges: list[tuple[int, ...]]) -> Iterator[list[int]]:
    """Yield the strongly connected groups of states out of which nothing leads (Tarjan 1972, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    group_of: dict[int, int] = {}
    stack: list[int] = []
    groups = 0
    for root in range(len(edges)):
        if root in index:
            continue
        work = [(root, 0)]
        while work:
            here, position = work.pop()
            if position == 0:
                index[here] = low[here] = len(index)
                stack.append(here)
            following = edges[here]
            while position < len(following):
                there = following[position]
                position += 1
                if there not in index:
                    work += [(here, position), (there, 0)]
                    break
                if there not in group_of:
                    low[here] = min(low[here], low[there] if there in low else index[there])
            else:
                if low[here] == index[here]:
                    group: list[int] = []
                    while not group or group[-1] != here:
                        group.append(stack.pop())
                        group_of[group[-1]] = groups
                    groups += 1
                    if all(group_of[there] == group_of[here] for each in group for there in edges[each]):
                        yield group
                elif work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[here])
