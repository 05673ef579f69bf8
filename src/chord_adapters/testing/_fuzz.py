"""What strangers may send: bytes that are no messages, streams cut anywhere, messages that nobody expects.

Needs hypothesis, by which the cases are drawn and made small.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Any

import attrs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from chord_adapters.memory import Network
from chord_adapters.testing._strategies import messages
from chord_proto.config import Config
from chord_proto.connection import Connection, Hello
from chord_proto.errors import DecodeError
from chord_proto.invariants import is_ideal
from chord_proto.messages import Answer, Message
from chord_proto.node import Node
from chord_proto.operations import Get, Put
from chord_proto.wire import WIRE_VERSION, Codec

MOST_EFFECTS = 64
"""What one message may cause at most (property N1)."""
_MAX_FRAME = 100_000
_CODEC = Codec()
_HELLO = Hello("chord", address="127.0.0.1:7000", versions=(WIRE_VERSION, WIRE_VERSION))


@attrs.frozen
class Fuzzed:
    """How many cases of each kind were tried, and the first that went wrong, in words."""

    cases: int
    seconds: float
    problem: str | None = None

    def __str__(self) -> str:
        """Return it in a few lines."""
        done = f"{self.cases:,} cases of each of {len(_KINDS)} kinds, {self.seconds:.1f} s"
        return done if self.problem is None else f"{done}\n{self.problem}"


def fuzz(
    cases: int = 2_000, *, seed: int = 0, progress: Callable[[int, int], None] = lambda done, wanted: None
) -> Fuzzed:
    """Try ``cases`` cases of each kind, which follow from ``seed``; stop at the first that goes wrong.

    ``progress`` is told the cases so far and how many there will be, before each.
    """
    began, problem, done = perf_counter(), None, 0

    def counted(body: Callable[[st.DataObject], None]) -> Callable[[st.DataObject], None]:
        def count(data: st.DataObject) -> None:
            nonlocal done
            progress(done, cases * len(_KINDS))
            done += 1
            body(data)

        return count

    for words, body in _KINDS.items():
        run = seeded(seed)(
            settings(
                max_examples=cases,
                database=None,
                deadline=None,
                print_blob=False,
                phases=[Phase.generate, Phase.shrink],  # To explain takes longer than all the rest.
                suppress_health_check=list(HealthCheck),
            )(given(st.data())(counted(body)))
        )
        try:
            run()
        except Exception as error:  # noqa: BLE001 whatever is raised is what is looked for
            notes = "\n".join(getattr(error, "__notes__", ()))
            problem = f"{words}: {type(error).__name__}: {error}\n{notes}"
            break
    return Fuzzed(cases, perf_counter() - began, problem)


def bytes_are_messages_or_errors(data: st.DataObject) -> None:
    """Any bytes are a message, which has these bytes' meaning, or a DecodeError (N7, N8)."""
    frame = bytearray(data.draw(st.binary(max_size=300) | messages().map(_CODEC.encode)))
    for _ in range(data.draw(st.integers(0, 4))):
        if frame:
            frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = _CODEC.decode(bytes(frame))
    except DecodeError:
        return
    again = _CODEC.decode(_CODEC.encode(message))
    assert message == again, f"{message} is read back as {again}"


def splits_change_nothing(data: st.DataObject) -> None:
    """However a stream is cut, the other end reads the same messages (N9); one gone bad gives a prefix of them."""
    sent = data.draw(st.lists(messages(), max_size=6))
    sender = Connection(initiator=True, hello=_HELLO, codec=_CODEC, max_frame=_MAX_FRAME)
    receiver = Connection(initiator=False, hello=_HELLO, codec=_CODEC, max_frame=_MAX_FRAME)
    for message in sent:
        sender.send(message)
    stream = bytearray(sender.data_to_send())
    bad = data.draw(st.none() | st.integers(0, len(stream) - 1))
    if bad is not None:
        stream[bad] ^= data.draw(st.integers(1, 255))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    received: list[Message] = []
    try:
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            received += receiver.receive_data(bytes(stream[start:end]))
    except DecodeError:
        assert bad is not None, "a good stream was refused"
    assert bad is not None or received == sent, f"sent {sent}, received {received}"


def any_message_is_handled(data: st.DataObject) -> None:
    """Any message, in any state: no exception, few effects, and afterwards a deadline that lies ahead (N1, N6, N10)."""
    stage = _stage()
    node = stage[data.draw(st.integers(0, len(stage) - 1))].copy()
    now = node.ctx.now
    for _ in range(data.draw(st.integers(1, 6))):
        message, sender = _addressed(data, node)
        now += data.draw(st.sampled_from([0.0, 0.0, 0.01]))
        effects = node.receive(message, sender=sender, now=now)
        assert len(effects) <= MOST_EFFECTS, f"{len(effects)} effects of {message}"
    for _ in range(20):
        if node.deadline is not None:
            late = node.deadline
            node.tick(now=late)
            assert node.deadline is None or node.deadline > late, f"at {late} the deadline is {node.deadline}"


_KINDS: dict[str, Callable[[st.DataObject], None]] = {
    "bytes": bytes_are_messages_or_errors,
    "streams": splits_change_nothing,
    "messages": any_message_is_handled,
}


@cache
def _stage() -> tuple[Node, ...]:
    """Return nodes of a ring at different moments: joining, ideal, at work, one of them dead, leaving."""
    net, found = Network(1, config=Config(max_operations=8, max_requests=64)), []
    net.spawn("a")
    for name in "bcd":
        net.spawn(name, join=["a"])
        found += [node.copy() for node in net.nodes]
    net.run_until(lambda: len(net.nodes) == 4 and is_ideal(net.nodes, net.config), within=60.0)
    for number in range(12):
        net.perform("abcd"[number % 4], Put(b"%d" % number, b"v") if number % 3 else Get(b"%d" % number))
    found += [node.copy() for node in net.nodes]
    net.run_for(0.004)
    found += [node.copy() for node in net.nodes]
    net.crash("b", silent=True)
    net.leave("c")
    for _ in range(3):
        net.run_for(0.3)
        found += [node.copy() for node in net.nodes]
    return tuple(found)


def _addressed(data: st.DataObject, node: Node) -> tuple[Message, str]:
    """Draw a message, made to fit this node in some of its fields, so that it gets past the first checks."""
    message: Any = data.draw(messages())
    fields: dict[str, Any] = {}
    known = [each.peer for each in node.ctx.routing.known.values()] or [node.me]
    if data.draw(st.integers(0, 9)):
        fields |= {"target": node.me.id, "target_incarnation": 0}
    if data.draw(st.integers(0, 9)) and message.source is not None:
        fields |= {"source": data.draw(st.sampled_from(known)), "incarnation": data.draw(st.integers(1, 2))}
    if isinstance(message, Answer) and node.ctx.calls and data.draw(st.integers(0, 9)):
        call = node.ctx.calls[data.draw(st.sampled_from(sorted(node.ctx.calls)))]
        fields |= {"request": call.request, "source": call.peer or known[0], "incarnation": 1}
    message = attrs.evolve(message, **fields)
    return message, "in:1" if message.source is None else message.source.address
