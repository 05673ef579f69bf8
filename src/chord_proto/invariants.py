"""What must hold of a ring, as functions on what nodes show of themselves.

Each function names its property (S1 to S18, L1). When it may be asserted is its scope:

Z  under Zave's assumptions only: an ideal ring of at least r+1 to begin with, fail-stop, an accurate failure
   detector, no identity used again while pointers to it remain, no failure that strands a member or leaves fewer
   than r+1 principals.  Whoever breaks one of these must leave Z out of the scope.

A  always, under any fault.

Q  after quiet: faults over, and a bounded number of rounds gone by.

`check` runs them all; `is_ideal` and `why_not_ideal` compare with the ring that the members should form.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Literal

import attrs

from chord_proto._invariants_living import Living
from chord_proto._invariants_node import (
    PERIODIC,
    armed_operations,
    list_ends,
    no_duplicates,
    no_waiting_circle,
    pointers_existed,
    predecessor_moves,
    silent_after_end,
    successor_moves,
    timers_armed,
    well_formed,
)
from chord_proto._invariants_ring import (
    connected_appendages,
    enough_principals,
    live_successor,
    member_has_successor,
    one_ring,
    ordered_lists,
    ordered_ring,
    some_ring,
)
from chord_proto._invariants_snapshot import MEMBERS, Facts, Snapshot, UnderWay, Violation, as_kept
from chord_proto.config import Config
from chord_proto.peer import Peer
from chord_proto.routing import cut_list
from chord_proto.view import Pointers

__all__ = [
    "ALWAYS",
    "CHECKS",
    "MEMBERS",
    "PERIODIC",
    "WORK",
    "Check",
    "Facts",
    "Living",
    "Neighbourhood",
    "Scope",
    "Snapshot",
    "UnderWay",
    "Violation",
    "armed_operations",
    "as_kept",
    "check",
    "connected_appendages",
    "enough_principals",
    "ideal_neighbours",
    "ideal_ring",
    "is_ideal",
    "list_ends",
    "live_successor",
    "member_has_successor",
    "neighbourhood",
    "no_duplicates",
    "no_waiting_circle",
    "one_owner",
    "one_ring",
    "ordered_lists",
    "ordered_ring",
    "pointers_existed",
    "predecessor_moves",
    "silent_after_end",
    "some_ring",
    "successor_moves",
    "timers_armed",
    "violations",
    "well_formed",
    "why_not_ideal",
]

Scope = Literal["Z", "A", "Q"]


@attrs.frozen
class Neighbourhood:
    """What a member of the ideal ring points at."""

    predecessor: Peer | None
    successors: tuple[Peer, ...]
    came_round: bool


def ideal_neighbours(peers: Iterable[Peer], me: Peer, config: Config) -> Neighbourhood:
    """Return the pointers of ``me`` on the ideal ring of ``peers``, ``me`` among them or not.

    A list of min(r, size - 1) nodes, running on past r until it names R distinct addresses, ending where it
    comes round (by the core's own rule, `chord_proto.routing.cut_list`); alone, no pointers at all.
    """
    ordered = sorted({me, *peers}, key=lambda peer: peer.id)
    return neighbourhood(ordered, ordered.index(me), config)


def neighbourhood(ordered: list[Peer], position: int, config: Config) -> Neighbourhood:
    """Return the ideal pointers of the peer at ``position`` of all members, which are in order of id."""
    me, total = ordered[position], len(ordered)
    successors, came_round = cut_list(me, (ordered[(position + step) % total] for step in range(1, total + 1)), config)
    return Neighbourhood(ordered[position - 1] if len(ordered) > 1 else None, successors, came_round)


def why_not_ideal(views: Iterable[Pointers], config: Config) -> str | None:
    """Say in one line what keeps the members among ``views`` from being the ideal ring; None if nothing does.

    Nodes will do as well as their views.
    """
    members = sorted((view for view in views if view.phase in MEMBERS), key=lambda view: view.me.id)
    ordered = [view.me for view in members]
    for position, view in enumerate(members):
        want = neighbourhood(ordered, position, config)
        if view.predecessor != want.predecessor:
            return f"{view.me.address}: predecessor {_name(view.predecessor)}, not {_name(want.predecessor)}"
        if view.successors != want.successors:
            return f"{view.me.address}: successors {_names(view.successors)}, not {_names(want.successors)}"
        if view.came_round != want.came_round:
            return f"{view.me.address}: came_round is {view.came_round}"
    return None


def is_ideal(views: Iterable[Pointers], config: Config) -> bool:
    """Tell whether the members among ``views`` form the ideal ring: every predecessor and list exact."""
    return why_not_ideal(views, config) is None


def one_owner(ring: Snapshot) -> Iterator[Violation]:
    """S18: each key has exactly one owner, the arcs (predecessor, me] of the members tile the circle."""
    members = list(ring.live.values())
    for before, view in zip([*members[-1:], *members[:-1]], members, strict=True):
        start = None if view.predecessor is None else view.predecessor.id
        if start != before.me.id and not (start is None and len(members) == 1):
            yield Violation("S18", view.me, f"owns from {_name(view.predecessor)}, not from {_name(before.me)} on")


def ideal_ring(ring: Snapshot) -> Iterator[Violation]:
    """L1: the ring is ideal."""
    reason = why_not_ideal(ring.views, ring.config)
    if reason is not None:
        yield Violation("L1", None, reason)


@attrs.frozen
class Check:
    """A property: its name, when it may be asserted, and the function that finds violations."""

    name: str
    scope: Scope
    find: Callable[[Snapshot], Iterator[Violation]]


CHECKS = (
    Check("S1", "Z", live_successor),
    Check("S2", "Z", enough_principals),
    Check("S3", "Z", some_ring),
    Check("S4", "Z", one_ring),
    Check("S5", "Z", ordered_ring),
    Check("S6", "Z", connected_appendages),
    Check("S7", "Z", ordered_lists),
    Check("S8", "A", no_duplicates),
    Check("S9", "Z", member_has_successor),
    Check("S9", "A", list_ends),
    Check("S10", "A", well_formed),
    Check("S11", "A", pointers_existed),
    Check("S12", "A", predecessor_moves),
    Check("S13", "A", successor_moves),
    Check("S14", "A", armed_operations),
    Check("S15", "A", timers_armed),
    Check("S16", "A", no_waiting_circle),
    Check("S17", "A", silent_after_end),
    Check("S18", "Q", one_owner),
    Check("L1", "Q", ideal_ring),
)


ALWAYS = tuple(rule for rule in CHECKS if rule.scope == "A")
"""What may be asserted under any fault."""
WORK = tuple(rule for rule in ALWAYS if rule.name in ("S14", "S15", "S16"))
"""What is about timers, requests and operations, not about pointers."""


def check(snapshot: Snapshot, scope: Collection[Scope] = frozenset({"Z", "A", "Q"})) -> list[Violation]:
    """Return every violation of the properties within ``scope``, in the order of their names."""
    return violations(snapshot, [rule for rule in CHECKS if rule.scope in scope])


def violations(snapshot: Snapshot, rules: Iterable[Check]) -> list[Violation]:
    """Return every violation of these properties."""
    return [found for rule in rules for found in rule.find(snapshot)]


def _name(peer: Peer | None) -> str:
    return "none" if peer is None else f"{peer.address}#{peer.index}"


def _names(peers: tuple[Peer, ...]) -> str:
    return "[" + " ".join(_name(peer) for peer in peers) + "]"
