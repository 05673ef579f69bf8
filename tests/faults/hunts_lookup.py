"""Hunts about finding the owner of a place: every node asks for every id and what lies around it (L5, L6, L7)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise

from chord_adapters.memory import Network, Step
from chord_proto.effects import PeerFailed
from chord_proto.identifiers import between
from chord_proto.operations import Locate, Located
from chord_proto.peer import Peer
from tests.faults.watched import ring

SIZE = 24
BITS = 16


def quiet_ring() -> tuple[Network, list[Peer]]:
    """Return an ideal ring whose fingers have been looked up, and its members in order.  Lists are short."""
    world = ring(4, bits=BITS, successors=2, predecessors=2)
    while len(world.net.addresses) < SIZE:
        world.join(["n0"])
        world.net.run_for(0.3)
    world.wait_ideal()
    world.net.watch = None
    world.net.run_for(90.0)
    return world.net, sorted(world.members(), key=lambda peer: peer.id)


def owner(members: list[Peer], place: int) -> Peer:
    """Return the first member at or after a place."""
    return members[bisect_left(members, place, key=lambda peer: peer.id) % len(members)]


def lookups() -> None:
    """Every lookup is right, each hop comes closer, and few are needed."""
    net, members = quiet_ring()
    top, hops = 1 << BITS, []
    wanted = sorted({0, top - 1, *((peer.id + step) % top for peer in members for step in (-1, 0, 1))})
    for node in net.nodes:
        for place in wanted:
            found = net.do(node.me.address, Locate(place))
            where = f"{node.me.address} asked for {place:x}"
            assert isinstance(found, Located), f"L6: {where}: {found}"
            expected = owner(members, place)
            assert expected == found.owner, f"L6: {where}: {found.owner}, not {expected}"
            way = [hop.peer.id for hop in found.path]
            assert len(set(way)) == len(way), f"L7: {where}: somebody was asked twice, {way}"
            for before, after in pairwise(way[:-1]):
                assert between(before, after, place), f"L7: {where}: a hop came no closer, {way}"
            hops.append(len(way))
    mean = sum(hops) / len(hops)
    assert mean < 2.6, f"L7: {mean:.2f} hops on average among {SIZE} nodes"


def fingers() -> None:
    """Every finger names the first node at or after its place, also some time after others have died."""
    net, members = quiet_ring()
    dead = members[::7]
    for peer in dead:
        net.crash(peer.address)
    net.run_for(90.0)
    members = [peer for peer in members if peer not in dead]
    for node in net.nodes:
        for index, finger in enumerate(node.fingers):
            expected = owner(members, (node.me.id + (1 << index)) % (1 << BITS))
            assert expected == finger, f"L5: finger {index} of {node.me.address} is {finger}, not {expected}"


def lookups_around_the_dead() -> None:
    """While a fifth of the ring has just fallen silent, lookups go round it, end in time, and drop the dead."""
    net, members = quiet_ring()
    net.watch = no_finger_of_the_dead
    dead = members[2::5]
    for peer in dead:
        net.crash(peer.address, silent=True)
    living = [peer for peer in members if peer not in dead]
    for asker in living[::3]:
        for peer in living:
            found = net.do(asker.address, Locate(peer.id))
            assert isinstance(found, Located), f"L4: {asker.address} asked for {peer.id:x}: {found}"


def no_finger_of_the_dead(step: Step) -> None:
    """L5: who has just been found dead is no finger any more, but for those that are read off the successor list."""
    for effect in step.effects:
        if isinstance(effect, PeerFailed) and effect.peer not in step.node.successors:
            named = effect.peer in step.node.fingers
            assert not named, f"L5: {step.node.me.address} knows that {effect.peer} is dead; a finger names it"


HUNTS: dict[str, Callable[[], None]] = {
    "lookups": lookups,
    "fingers": fingers,
    "lookups around the dead": lookups_around_the_dead,
}
