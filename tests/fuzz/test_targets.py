"""The fuzzing targets themselves: what has been found stays mended, they find what is wrong, and work grows with the input."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from chord_proto import connection as streams
from chord_proto.messages import Message, Reached
from tests.fuzz.corpus import corpus, finds
from tests.fuzz.states import STATES, state
from tests.fuzz.targets import CODECS, TARGETS, decoder, node, reader
from tests.proto import samples
from tests.proto.rig import peer, record_at


def try_all(target: str) -> int:
    """Try all that is committed; return how much that is."""
    tried = [*finds(target), *corpus(target)]
    for data in tried:
        TARGETS[target](data)
    return len(tried)


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_found_stays_mended(target: str) -> None:
    """Each find, and each input of the corpus, as the fuzzer tries them."""
    assert try_all(target) > 20


def test_any_bytes_will_do() -> None:
    """A few thousand random inputs without a fuzzer: on Pythons that atheris is not there for."""
    chance = random.Random(1)
    for target, count in ((decoder, 2000), (reader, 500), (node, 150)):
        for _ in range(count):
            target(chance.randbytes(chance.randrange(200)))


def test_all_states_are_what_they_are_called() -> None:
    """A node that is new, one that joins, members, one that leaves and one that has left."""
    phases = [state(name).phase.value for name in STATES]
    assert ["new", *["active"], "joining", *["active"] * 6, "leaving", "stopped"] == phases
    assert {"requests": 7, "records": 3} == {
        "requests": len(state("at work").ctx.calls), "records": state("ideal").stats().records
    }  # fmt: skip
    assert state("suspecting").ctx.routing.suspects


@pytest.mark.parametrize(
    "broken, target",
    [
        ("chord_proto.wire.Codec.decode", "decoder"),
        ("chord_proto.connection.Connection._keep", "reader"),
        ("chord_proto.ring.Ring.on_notify", "node"),
        ("chord_proto.coordinator.Coordinator.on_replicate", "node"),
    ],
)
def test_what_raises_is_found(broken: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed corpus alone reaches all of these."""
    for name in STATES:
        state(name)  # Before the part is broken: to build it needs every part.
    monkeypatch.setattr(broken, lambda *arguments, **keywords: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        try_all(target)


# Linear time: work is counted, since a clock on a busy machine tells little


def calls(function: Callable[[], object]) -> int:
    """Return how many functions, of Python and of C, are called."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def grows(work: Callable[[int], int], size: int) -> float:
    """Return how much more work twice the size is."""
    work(2 * size)  # What is remembered, is remembered.
    return work(2 * size) / work(size)


def with_lists(message: Message, count: int) -> Message:
    """Return the message with its lists so long."""
    lists: dict[str, Any] = {}
    kind: Any = type(message)
    for field in attrs.fields(kind):
        value = getattr(message, field.name)
        if type(value) is tuple and value and field.name != "after":
            lists[field.name] = (value * count)[:count]
    fields = {field.name: getattr(message, field.name) for field in attrs.fields(kind)}
    longer: Message = kind(**fields | lists)
    return longer


LISTS = sorted(name for name, each in samples.MESSAGES.items() if with_lists(each, 1) != with_lists(each, 2))


@pytest.mark.parametrize("name", LISTS)
def test_decoding_takes_linear_time(name: str) -> None:
    """Twice as long a list is no more than twice the work."""

    def work(count: int) -> int:
        body = CODECS[0].encode(with_lists(samples.MESSAGES[name], count))
        return calls(lambda: CODECS[0].decode(body))

    assert len(LISTS) > 10
    assert grows(work, 60) <= 2.1


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_reading_takes_linear_time(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that never ends, in however small pieces: twice as many bytes are twice the calls, and each is moved a few times at most."""
    moved = 0

    class Counting(bytearray):
        def __init__(self, data: bytes | memoryview = b"") -> None:
            nonlocal moved
            moved += len(data)
            super().__init__(data)

    monkeypatch.setattr(streams, "bytearray", Counting, raising=False)

    def work(size: int) -> int:
        connection = streams.Connection(
            initiator=False, hello=streams.Hello("chord"), codec=CODECS[0], max_frame=1_000_000
        )
        connection.receive_data(streams.Hello("chord").pack())
        stream = (size + 1).to_bytes(4) + b"\xff" * size

        def read() -> None:
            for at in range(0, len(stream), piece):
                connection.receive_data(stream[at : at + piece])

        return calls(read)

    assert grows(work, 20_000) <= 2.1
    moved = 0
    work(20_000)
    assert moved <= 3 * 20_000


@pytest.mark.parametrize("name", [name for name in LISTS if not name.startswith("Performed")])
def test_handling_takes_linear_time(name: str) -> None:
    """A member that is at work takes a list: twice as long, little more than twice the work."""

    def work(count: int) -> int:
        subject = state("at work").copy()
        message: Any = with_lists(samples.MESSAGES[name], count)
        places = dict.fromkeys(("start", "end", "place"), 70)
        fields: dict[str, Any] = {key: place for key, place in places.items() if hasattr(message, key)}
        fields |= {"source": peer(60), "incarnation": 1, "target": subject.me.id, "target_incarnation": 1}
        for key in ("predecessor", "predecessors", "successors", "peers", "acked", "replicas"):
            value = getattr(message, key, None)
            if value is not None:
                several = tuple(peer(place) for place in range(20, 20 + count))
                fields[key] = several if isinstance(value, tuple) else peer(5)
        if hasattr(message, "records"):
            fields["records"] = tuple(record_at(150) for _ in range(count))
        call = next(iter(subject.ctx.calls.values()))
        if isinstance(message, Reached):
            fields["number"] = next(iter(subject.lookups.patience.tokens), 0)
        else:
            fields["request"] = call.request
        message = attrs.evolve(message, **fields)
        return calls(lambda: subject.receive(message, sender=peer(60).address, now=subject.ctx.now))

    assert grows(work, 8) <= 2.3
