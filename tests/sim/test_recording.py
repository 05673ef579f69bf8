"""What a recorder wrote down is fed to fresh nodes again, which do the same; what was changed since is found."""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chord_adapters.memory import Network
from chord_adapters.testing import BadRecording, Recorder, Replayed, replay
from chord_adapters.testing import _strategies as strategies
from chord_adapters.testing._recorded import Input, Reader
from chord_proto.effects import OpId, WriteId
from chord_proto.errors import LocalProtocolError
from chord_proto.messages import Message, Ping, Refused
from chord_proto.node import Node
from chord_proto.operations import Operation, Put
from chord_proto.peer import Peer
from chord_proto.ring import Ring
from tests.sim.recordings import A, record_faults, record_one, replayed, small_recording

pytestmark = pytest.mark.slow

EXAMPLES = 300 if os.environ.get("CHORD_NIGHTLY") else 30
PING = Ping(Peer.at("b"), 1, A.id, 0, 7)


def inputs_of(data: bytes) -> list[Input]:
    """Return every input of a recording."""
    file = BytesIO(data)
    return [each for each in Reader(file, file.readline().decode()).entries() if isinstance(each, Input)]


def read(data: bytes) -> Replayed | BadRecording:
    """Replay what may be damaged."""
    try:
        return replayed(data)
    except BadRecording as error:
        return error


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_ring_under_faults_replays_identically(seed: int, tmp_path: Path) -> None:
    """Every input of every node gives the same effects again, and leaves the nodes in the same states."""
    path = tmp_path / "recording"
    net = record_faults(path, seed)
    found = replayed(path.read_bytes())
    assert (None, True) == (found.difference, found.ending is not None and found.ending.complete)
    assert net.counts["steps"] == found.inputs
    assert found.effects > net.counts["sent"]
    assert {"n0#0", "n0#1", "n1#0", "n6#0"} <= set(found.nodes)
    for node in net.nodes:
        again = found.states[f"{node.me.address}#{node.me.index}"].node
        assert (node.view(), node.fingerprint()) == (again.view(), again.fingerprint())
        assert node.stats() == again.stats()


def test_recording_changes_nothing(tmp_path: Path) -> None:
    """A ring that is recorded lives as one that is not."""
    with Recorder(tmp_path / "recording") as recorder:
        lives = []
        for make in (recorder.node, Node):
            net = Network(4, make_node=make, loss=0.05)
            net.spawn("a", virtual_nodes=2)
            net.spawn("b", join=["a"])
            net.do("b", Put(b"key", b"value"))
            net.run_for(10)
            lives.append((net.counts, [node.view() for node in net.nodes]))
    assert lives[0] == lives[1]


def test_a_replay_stops_at_any_step() -> None:
    """Stopped after a step, the nodes are as they were then."""
    inputs = inputs_of(small_recording())
    for steps in (1, 2, len(inputs) // 2, len(inputs)):
        found = replayed(small_recording(), steps=steps)
        assert (steps, True, inputs[steps - 1].name) == (found.inputs, found.identical, found.last)
        assert inputs[steps - 1] == found.states[found.last or ""].latest[-1]
    assert "new" == replayed(small_recording(), steps=1).states["a#0"].node.phase.value
    assert "active" == replayed(small_recording(), steps=2).states["a#0"].node.phase.value


# What was changed, or cut off


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_change_is_found(data: st.DataObject) -> None:
    """One other character in any line is found: at the step that it belongs to, or as a damaged line."""
    lines = small_recording().decode().splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    line = lines[at]
    where = data.draw(st.integers(0, len(line) - 2))  # The last newline's loss is a torn file.
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda each: each != line[where]))
    step = sum(each[0].isdecimal() for each in lines[: at + 1])
    lines[at] = line[:where] + other + line[where + 1 :]
    found = read("".join(lines).encode())
    if isinstance(found, BadRecording):
        assert at == 0 or re.match(rf"line ({at + 1}|{at + 2}) is damaged", str(found)), found
    else:
        assert found.difference is not None
        is_of_a_step = line.startswith("  ") or line[0].isdecimal()
        assert (step if is_of_a_step else step + 1) == found.difference.input.step


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_line_that_is_missing_or_twice_is_found(data: st.DataObject) -> None:
    """Leaving a line out, or repeating it, is found."""
    lines = small_recording().splitlines(keepends=True)
    at = data.draw(st.integers(1, len(lines) - 2))
    for times in (0, 2):
        found = read(b"".join(lines[:at] + times * [lines[at]] + lines[at + 1 :]))
        assert isinstance(found, BadRecording) or not found.identical


@given(end=st.integers(len("# chord recording 1\n"), len(small_recording()) - 1))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_torn_end_is_told_and_the_rest_replays(end: int) -> None:
    """Wherever a kill cut the file, the whole steps before replay, and the end is said to be missing."""
    kept = small_recording()[:end]
    found = replayed(kept)
    whole = sum(line.startswith(b"  = ") and line.endswith(b"\n") for line in kept.splitlines(keepends=True))
    assert (whole, True) == (found.inputs, found.identical)
    assert found.ending is not None
    assert not found.ending.complete
    assert "breaks off" in found.ending.words


# What is recorded


@given(message=strategies.messages(), sender=strategies.ADDRESSES, now=st.floats(0, 1e9), wall=st.floats(-1e9, 1e12))
@settings(max_examples=EXAMPLES, deadline=None)
def test_every_message_comes_back(
    tmp_path_factory: pytest.TempPathFactory, message: Message, sender: str, now: float, wall: float
) -> None:
    """Messages, addresses and times are read as they were told, and what came of them is the same again."""
    path = tmp_path_factory.mktemp("one") / "recording"
    with Recorder(path) as recorder:
        node = record_one(recorder)
        node.wall(wall, now=now)
        node.receive(message, sender=sender, now=now)
    _, told_wall, told = inputs_of(path.read_bytes())
    assert ((wall,), now) == (told_wall.arguments, told_wall.at)
    assert ((message,), {"sender": sender}, now) == (told.arguments, told.keywords, told.at)
    assert replayed(path.read_bytes()).identical


@given(operation=strategies.operations(), timeout=st.none() | st.floats(0.001, 1e6))
@settings(max_examples=EXAMPLES, deadline=None)
def test_every_operation_comes_back(
    tmp_path_factory: pytest.TempPathFactory, operation: Operation, timeout: float | None
) -> None:
    """Operations are read as they were asked for, also those that the node refuses by an exception."""
    path = tmp_path_factory.mktemp("one") / "recording"
    with Recorder(path) as recorder:
        node = record_one(recorder)
        with suppress(LocalProtocolError):
            node.perform(OpId(7), operation, now=1.0, timeout=timeout)
    _, told = inputs_of(path.read_bytes())
    assert ((7, operation), {"timeout": timeout}) == (told.arguments, told.keywords)
    assert replayed(path.read_bytes()).identical


def test_every_door_is_recorded(tmp_path: Path) -> None:
    """Each way to tell a node something is one recorded input, and a copy of the node is not recorded."""
    path = tmp_path / "recording"
    with Recorder(path) as recorder:
        node = record_one(recorder)
        node.put(OpId(1), b"k", b"v", now=1.0)
        node.delete(OpId(2), b"k", now=1.0)
        node.get(OpId(3), b"k", now=1.0)
        node.store(OpId(4), b"data", now=1.0)
        node.fetch(OpId(5), 1, now=1.0)
        node.locate(OpId(6), b"k", now=1.0)
        node.cancel(OpId(6), now=1.0)
        node.unreachable(Peer.at("b"), now=2.0)
        node.unreachable("two words\n", now=2.0)
        node.tick(now=2.5)
        node.written(WriteId(1), now=3.0)
        node.write_failed(WriteId(2), now=3.0)
        node.copy().tick(now=4.0)
        node.leave(OpId(8), now=4.0)
    kinds = [each.kind for each in inputs_of(path.read_bytes())]
    last = ["cancel", "unreachable", "unreachable", "tick", "written", "write_failed", "leave"]
    assert ["create", *["perform"] * 6, *last] == kinds
    assert replayed(path.read_bytes()).identical


def test_odd_addresses(tmp_path: Path) -> None:
    """An address may be any text: with spaces, newlines, and letters of any script."""
    path = tmp_path / "recording"
    with Recorder(path) as recorder:
        for address in ("two words", "line\nline", "möwe.example:65535", "a#1", '"', "\\", "'"):
            node = recorder.node(Peer.at(address, 3), seed=1)
            node.create(now=0.0)
            node.unreachable(address, now=1.0)
    found = replayed(path.read_bytes())
    assert (14, True) == (found.inputs, found.identical)


def test_what_killed_a_node_is_in_its_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception is recorded like an effect: it comes again, until its cause is gone."""
    path = tmp_path / "recording"

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch, Recorder(path) as recorder:
        patch.setattr(Ring, "on_ping", fail)
        node = record_one(recorder)
        with pytest.raises(ZeroDivisionError):
            node.receive(PING, sender="b", now=1.0)
        assert replayed(path.read_bytes()).identical
    mended = replayed(path.read_bytes()).difference
    assert mended is not None
    assert (2, "  raised ZeroDivisionError: 'a bug'") == (mended.input.step, mended.expected[0])
    assert mended.actual[0].startswith("  send b Pong 7 of a#0")


def test_other_behaviour_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that does something else now is shown with both, at the first input where it differs."""
    path = tmp_path / "recording"
    with Recorder(path) as recorder:
        node = record_one(recorder)
        for number in range(3):
            node.receive(PING, sender="b", now=1.0 + number)
    monkeypatch.setattr(Ring, "on_ping", lambda ring, message, sender: ring.ctx.misbehaved(sender, "it pings"))
    difference = replayed(path.read_bytes()).difference
    assert difference is not None
    assert 2 == difference.input.step
    assert difference.expected[0].startswith("  send b Pong 7 of a#0")
    assert "  event Misbehaved address=b reason='it\\x20pings'" == difference.actual[0]


def test_the_whole_of_an_effect_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Effects that are the same in words, and differ in what words leave out, are not identical."""
    path = tmp_path / "recording"
    with Recorder(path) as recorder:
        record_one(recorder).receive(PING, sender="b", now=1.0)
    on_ping = Ring.on_ping

    def to_another_life(ring: Ring, message: Ping, sender: str) -> None:
        on_ping(ring, Ping(message.source, 2, message.target, 0, message.request), sender)

    monkeypatch.setattr(Ring, "on_ping", to_another_life)
    difference = replayed(path.read_bytes()).difference
    assert difference is not None
    assert (2, difference.expected[:-1]) == (difference.input.step, difference.actual[:-1])


# Trouble with the file


def test_a_bound_on_the_file(tmp_path: Path) -> None:
    """Before its bound a recording stops and says so once; the node goes on, and what was recorded replays."""
    said: list[str] = []
    path = tmp_path / "recording"
    recorder = Recorder(path, limit=10_000, report=said.append)
    node = record_one(recorder)
    for number in range(1000):
        assert 1 == len(node.receive(PING, sender="b", now=float(number)))
    recorder.close()
    assert not recorder.is_open
    assert path.stat().st_size < 11_000
    assert 1 == len(said)
    assert "has reached its bound of 10000 bytes" in said[0]
    found = replayed(path.read_bytes())
    assert found.ending is not None
    assert (True, "stopped it has reached its bound of 10000 bytes") == (found.identical, found.ending.words)
    assert not found.ending.complete
    assert found.inputs > 20


@pytest.mark.parametrize("refuses", [6, 7, 12, 13])
@pytest.mark.parametrize("for_good", [False, True])
def test_a_disk_that_fills_up(refuses: int, *, for_good: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails half-way ends the recording, which is said once; the node goes on, whole steps replay."""
    said: list[str] = []
    path = tmp_path / "recording"
    written = 0

    def write(file: int, data: Any) -> int:
        nonlocal written
        written += 1
        if written == refuses:
            return os.write(file, data[:5])
        if written == refuses + 1 or (for_good and written > refuses):
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(file, data)

    recorder = Recorder(path, report=said.append)
    monkeypatch.setattr("chord_adapters._recording.os.write", _through(write))
    node = record_one(recorder)
    for number in range(10):
        assert 1 == len(node.receive(PING, sender="b", now=float(number)))
    recorder.close()
    assert 1 == len(said)
    assert "the node goes on: No space left on device" in said[0]
    found = replayed(path.read_bytes())
    assert found.identical
    assert (refuses - 4) // 2 <= found.inputs < 8
    assert found.ending is not None
    assert ("breaks off" if for_good else "stopped No space left on device") in found.ending.words


def _through(write: Any) -> Any:
    """Let a patched ``os.write`` call the real one."""
    real, inside = os.write, False

    def call(file: int, data: Any) -> int:
        nonlocal inside
        if inside:
            return real(file, data)
        inside = True
        try:
            return int(write(file, data))
        finally:
            inside = False

    return call


def test_what_has_no_wire_format_ends_the_recording(tmp_path: Path) -> None:
    """A message that no peer could have sent cannot be recorded: that is said, and the node gets it all the same."""
    said: list[str] = []
    with Recorder(tmp_path / "recording", report=said.append) as recorder:
        node = record_one(recorder)
        node.receive(Refused(None, 1, None, 0, 7, 4711), sender="b", now=1.0)
        node.receive(PING, sender="b", now=1.0)
    assert 1 == len(said)
    assert "an input of a#0 cannot be recorded" in said[0]
    assert (1, True) == ((found := replayed((tmp_path / "recording").read_bytes())).inputs, found.identical)
    assert 2 == node.stats().received


def test_a_recording_never_replaces_anything(tmp_path: Path) -> None:
    """A file that holds something is refused and stays as it is; an empty one is used; a full disk is told at once."""
    path = tmp_path / "recording"
    path.touch()
    Recorder(path).close()
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="exists already"):
        Recorder(path)
    assert before == path.read_bytes()
    with pytest.raises(FileNotFoundError):
        Recorder(tmp_path / "no folder" / "recording")
    with pytest.raises(OSError, match="No space left"):
        Recorder("/dev/full")


def test_another_version_is_told_and_the_replay_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another version recorded is replayed all the same, after a warning."""
    data = small_recording()
    monkeypatch.setattr("chord_adapters.testing._replay.versions", lambda: {"chord-dht": "9.9", "python": "3.99"})
    said: list[str] = []
    file = BytesIO(data)
    assert replay(file, file.readline().decode(), warn=said.append).identical
    assert 1 == len(said)
    assert "not 9.9" in said[0]
