"""Any well-formed message, in any phase, is handled: no exception, and a bounded number of effects (N1, N10)."""

from __future__ import annotations

from functools import cache
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chord_adapters.testing import _strategies as strategies
from chord_proto.effects import OpId, Send, Stopped
from chord_proto.messages import Answer, Message, Request
from chord_proto.node import Node
from chord_proto.peer import Peer
from tests.proto.rig import CONFIG, Rig, only, peer, record_at

LIMITED = attrs.evolve(CONFIG, max_operations=8, max_requests=64, max_known_peers=32, max_lost_peers=8)
MEMBERS = [peer(place) for place in (200, 60, 100, 230)]
MOST_EFFECTS = 64
"""Each thing outstanding (operations, arcs, lookups, neighbours told) may cause a few; none of them depends on what came."""


@cache
def stage(phase: str) -> Node:
    """Return a node in a phase of its life, with things under way."""
    rig = Rig(LIMITED, durable=False)
    if phase == "new":
        return rig.add(10)
    if phase == "joining":
        node = rig.add(10)
        rig.take(node, node.join(OpId(1), [peer(200).address], now=rig.now))
        return node
    if phase == "alone":
        return rig.create(10)
    node = rig.member(10, before=200, after=[60, 100], granted=phase != "pending")
    if phase == "stopped":
        rig.take(node, node.leave(OpId(1), now=rig.now))
        rig.run(30.0)
        return node
    for place in (5, 30, 70, 150, 220):
        rig.take(node, node.put(rig.op(), record_at(place).name, b"v", now=rig.now))
        rig.take(node, node.get(rig.op(), record_at(place).name, now=rig.now))
    if phase == "leaving":
        rig.take(node, node.leave(OpId(1), now=rig.now))
    return node


PHASES = ["new", "joining", "alone", "pending", "member", "leaving", "stopped"]


@st.composite
def addressed(draw: st.DrawFn, node: Node) -> tuple[Message, str]:
    """Draw a message, made to fit this node in some of its fields, so that it gets past the first checks."""
    message: Any = draw(strategies.messages(8))
    fields: dict[str, Any] = {}
    if draw(st.integers(0, 9)):
        fields |= {"target": node.me.id, "target_incarnation": 0}
    if draw(st.integers(0, 9)) and message.source is not None:
        fields |= {"source": draw(st.sampled_from(MEMBERS)), "incarnation": draw(st.integers(1, 2))}
    if isinstance(message, Answer) and node.ctx.calls and draw(st.integers(0, 9)):
        call = node.ctx.calls[draw(st.sampled_from(sorted(node.ctx.calls)))]
        fields |= {"request": call.request, "incarnation": draw(st.integers(1, 2)), "source": call.peer or MEMBERS[0]}
    message = attrs.evolve(message, **fields)
    source: Peer | None = message.source
    return message, draw(st.sampled_from(["in:1", peer(60).address if source is None else source.address]))


@pytest.mark.parametrize("phase", PHASES)
@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_any_message_in_any_phase(phase: str, data: st.DataObject) -> None:
    """A few messages, with time between them: no exception, bounded effects, silence once stopped."""
    node = stage(phase).copy()
    now = 100.0
    for _ in range(data.draw(st.integers(1, 6))):
        message, sender = data.draw(addressed(node))
        now += data.draw(st.sampled_from([0.0, 0.0, 0.01]))
        effects = node.receive(message, sender=sender, now=now)
        assert len(effects) <= MOST_EFFECTS
        if phase == "stopped":
            assert [] == effects
        assert not any(isinstance(each, Stopped) for each in effects) or phase == "leaving"
    bounded(node)
    for _ in range(40):
        if node.deadline is not None:
            late = node.deadline
            node.tick(now=late)
            assert node.deadline is None or node.deadline > late
    bounded(node)


def bounded(node: Node) -> None:
    """Check that the tables keep their bounds."""
    stats = node.stats()
    assert stats.requests <= LIMITED.max_requests
    assert stats.operations <= LIMITED.max_operations + 10
    assert stats.known_peers <= LIMITED.max_known_peers
    assert len(node.ctx.routing.lost) <= LIMITED.max_lost_peers


@pytest.mark.parametrize("phase", PHASES[:-1])
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_a_request_gets_at_most_one_answer_at_once(phase: str, data: st.DataObject) -> None:
    """One request, one answer or none yet, on its return path; and the same again adds at most one."""
    node = stage(phase).copy()
    message, sender = data.draw(addressed(node).filter(lambda drawn: isinstance(drawn[0], Request)))
    assert isinstance(message, Request)
    for _ in range(2):
        effects = node.receive(message, sender=sender, now=100.0)
        mine = [
            each.message
            for each in only(Send, effects)
            if each.to == sender and isinstance(each.message, Answer) and each.message.request == message.request
        ]
        assert len(mine) <= 1
