"""Copies share nothing that changes, fingerprints tell states apart, equal inputs give equal effects (N11 to N13)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import chord_proto
from chord_proto.effects import OpId, Send
from chord_proto.messages import GetNeighbours, Neighbours
from chord_proto.node import Node
from tests.proto.rig import Rig, name_at, peer, ring_of


def busy_node() -> tuple[Rig, Node]:
    """Return a node with an operation, a lookup, a write and a step under way."""
    rig = Rig(durable=False)
    node = rig.member(10, before=200, after=[60, 100, 150], came_round=False)
    for op, place in enumerate((5, 30, 70, 190), 1):
        rig.take(node, node.put(OpId(op), name_at(place), b"v", now=rig.now))
    return rig, node


def script(node: Node) -> list[object]:
    """Drive a node for some seconds, without answers; return all its effects."""
    effects: list[object] = []
    for _ in range(60):
        assert node.deadline is not None
        effects.append(node.tick(now=node.deadline))
    effects.append(node.leave(OpId(99), now=0.0))
    return effects


def test_a_copy_goes_on_identically() -> None:
    """A copy taken half-way gives the same effects to the same inputs (N12)."""
    _, node = busy_node()
    twin = node.copy()
    assert (node.fingerprint(), node.view(), node.stats()) == (twin.fingerprint(), twin.view(), twin.stats())
    assert script(node) == script(twin)
    assert (node.fingerprint(), node.view(), node.stats()) == (twin.fingerprint(), twin.view(), twin.stats())


def test_a_copy_is_independent() -> None:
    """What happens to one of them is not seen by the other, in either direction."""
    for which in (0, 1):
        _, node = busy_node()
        pair = (node, node.copy())
        acting, resting = pair[which], pair[1 - which]
        before = (resting.fingerprint(), resting.view(), resting.stats())
        script(acting)
        assert before == (resting.fingerprint(), resting.view(), resting.stats())
        assert before != (acting.fingerprint(), acting.view(), acting.stats())


def test_no_changeable_object_is_shared() -> None:
    """Walking both states, lists, dicts and objects with state are different ones, everything else is plain data."""
    from chord_proto.records import is_record

    def walk(value: object, seen: dict[int, object]) -> None:
        if isinstance(value, (int, float, str, bytes, tuple, type(None))) or is_record(type(value)):
            return
        if type(value).__module__.startswith("chord_proto") and hasattr(value, "name"):
            return  # An enum.
        if id(value) in seen:
            return
        seen[id(value)] = value
        if isinstance(value, dict):
            for item in value.values():
                walk(item, seen)
        elif isinstance(value, list):
            for item in value:
                walk(item, seen)
        else:
            for base in type(value).__mro__:
                for slot in getattr(base, "__slots__", ()):
                    if slot != "__weakref__":
                        walk(getattr(value, slot), seen)

    _, node = busy_node()
    mine: dict[int, object] = {}
    theirs: dict[int, object] = {}
    twin = node.copy()
    walk(node, mine)
    walk(twin, theirs)
    assert len(mine) == len(theirs) > 30
    assert [] == [type(mine[each]) for each in mine if each in theirs]


def test_a_fingerprint_leaves_out_ids_and_times() -> None:
    """The same steps at another time, with another seed for request ids, lead to the same fingerprint."""
    prints = []
    for start, seed in ((100.0, 1), (5000.0, 2)):
        rig = Rig()
        rig.now = start
        node = rig.nodes[peer(10).address] = Node(peer(10), seed=seed, config=rig.config)
        rig.take(node, node.join(OpId(seed), [peer(200).address], now=rig.now))
        rig.meet(node, 200, [60, 100], came_round=True)
        prints.append(node.fingerprint())
    assert prints[0] == prints[1]


def test_a_fingerprint_tells_states_apart() -> None:
    """Another list, another step, a record more: another fingerprint; and 16 bytes it is."""
    rig, node = busy_node()
    seen = {node.fingerprint()}
    rig.reply(rig.asked(GetNeighbours, peer(60)), Neighbours, peer(10), (peer(100), peer(150)), False, 3)
    seen.add(node.fingerprint())
    rig.flush_writes()
    seen.add(node.fingerprint())
    node.ctx.suspect(peer(100))
    seen.add(node.fingerprint())
    assert (4, {16}) == (len(seen), {len(each) for each in seen})


HISTORY = """
import hashlib
from tests.proto.test_snapshot import history
print(hashlib.sha256(history().encode()).hexdigest())
"""


def history() -> str:
    """Return all that happened in a small ring, in words."""
    rig = ring_of(10, 60, 120, 200)
    for op, place in enumerate(range(0, 256, 25), 1):
        node = list(rig.nodes.values())[op % 4]
        rig.take(node, node.put(OpId(op), name_at(place), b"%d" % op, now=rig.now))
    rig.run(3.0)
    rig.kill(rig.nodes[peer(60).address])
    rig.run(10.0)
    return repr((rig.delivered, rig.events, rig.finished, [node.view() for node in rig.nodes.values()]))


def test_the_same_in_any_process_for_any_hash_seed() -> None:
    """Two processes with different PYTHONHASHSEED live through byte-identical histories (N11)."""
    root = Path(__file__).parents[2]
    source = Path(chord_proto.__file__).parents[1]
    printed = []
    for seed in ("1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{source}{os.pathsep}{root}"}
        done = subprocess.run(
            [sys.executable, "-c", HISTORY], capture_output=True, text=True, env=environment, cwd=root, check=True
        )
        printed.append(done.stdout)
    assert printed[0] == printed[1]
    assert 65 == len(printed[0])


def test_inputs_to_different_nodes_commute() -> None:
    """Two nodes given one input each come to the same states in either order (N18)."""
    states = []
    for order in ((0, 1), (1, 0)):
        rig = ring_of(10, 60, 120)
        nodes = [rig.nodes[peer(place).address] for place in (10, 60)]
        effects: dict[int, list[object]] = {}
        for which in order:
            effects[which] = [*nodes[which].put(OpId(1), name_at(90), b"v", now=rig.now)]
        states.append((effects[0], effects[1], [node.fingerprint() for node in nodes]))
    assert states[0] == states[1]
    assert any(isinstance(each, Send) for each in states[0][0])
