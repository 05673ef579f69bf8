"""Properties of the ring as a whole, under Zave's assumptions (scope Z): S1 to S7, S9.

They may be asserted only while nothing broke the assumptions: an ideal ring of at least r+1 to begin with,
fail-stop, an accurate failure detector, no identity used again while pointers to it remain, no failure that
strands a member or leaves fewer than r+1 principals (Zave, TSE 2017, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator

from chord_proto._invariants_snapshot import Snapshot, Violation, principals_wanted
from chord_proto.identifiers import distance
from chord_proto.view import NodeView


def live_successor(ring: Snapshot) -> Iterator[Violation]:
    """S1: every live node has a live successor; a node alone is its own."""
    for view in ring.live.values():
        if ring.best(view) is None and (view.successors or len(ring.live) > 1):
            yield Violation("S1", view.me, f"no live node among its successors {_show(view)}")


def enough_principals(ring: Snapshot) -> Iterator[Violation]:
    """S2: at least r+1 principals."""
    found, wanted = len(ring.principals), principals_wanted(ring.config)
    if found < wanted:
        skipped = [view.me.address for i, view in ring.live.items() if i not in ring.principals]
        yield Violation("S2", None, f"{found} principals, fewer than {wanted}; skipped: {skipped}")


def some_ring(ring: Snapshot) -> Iterator[Violation]:
    """S3: there is a ring."""
    if ring.live and not ring.on_ring:
        yield Violation("S3", None, f"none of {len(ring.live)} live nodes reaches itself")


def one_ring(ring: Snapshot) -> Iterator[Violation]:
    """S4: there is only one ring."""
    left = dict(ring.on_ring)
    cycles = 0
    while left:
        cycles += 1
        here: NodeView | None = next(iter(left.values()))
        while here is not None and left.pop(here.me.id, None) is not None:
            here = ring.best(here)
    if cycles > 1:
        yield Violation("S4", None, f"{cycles} rings")


def ordered_ring(ring: Snapshot) -> Iterator[Violation]:
    """S5: the ring is ordered, no ring member lies between n and best(n)."""
    members = tuple(ring.on_ring.values())  # In the order of the circle.
    for view, following in zip(members, (*members[1:], *members[:1]), strict=True):
        after = ring.best(view)
        if after is not None and after is not following:
            yield Violation("S5", view.me, f"goes on to {after.me.address} past {following.me.address}")


def connected_appendages(ring: Snapshot) -> Iterator[Violation]:
    """S6: every appendage reaches the ring."""
    reaches = set(ring.on_ring)
    for view in ring.live.values():
        trail: list[int] = []
        here: NodeView | None = view
        while here is not None and here.me.id not in reaches and here.me.id not in trail:
            trail.append(here.me.id)
            here = ring.best(here)
        if here is None or here.me.id not in reaches:
            yield Violation("S6", view.me, "an appendage that does not reach the ring")
        else:
            reaches.update(trail)


def ordered_lists(ring: Snapshot) -> Iterator[Violation]:
    """S7: successor lists are ordered, each entry farther clockwise than the one before."""
    for view in ring.examined:
        reached = 0
        for peer in view.successors:
            away = distance(view.me.id, peer.id, ring.config.bits)
            if away <= reached:
                yield Violation("S7", view.me, f"{peer.address} out of order in {_show(view)}")
                break
            reached = away


def member_has_successor(ring: Snapshot) -> Iterator[Violation]:
    """S9, first part: a member of a larger ring has a successor."""
    if len(ring.live) > 1:
        for view in ring.live.values():
            if not view.successors:
                yield Violation("S9", view.me, f"no successor in a ring of {len(ring.live)}")


def _show(view: NodeView) -> str:
    return "[" + " ".join(peer.address for peer in view.successors) + "]"
