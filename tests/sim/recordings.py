"""Recordings to replay: of rings in virtual time, and of single nodes."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from chord_adapters.memory import Network
from chord_adapters.testing import Recorder, Replayed, replay
from chord_proto.node import Node
from chord_proto.operations import Put, Store
from chord_proto.peer import Peer
from tests.sim.test_determinism import eventful

A = Peer.at("a")


def replayed(data: bytes, *, steps: int | None = None) -> Replayed:
    """Replay what a recording holds."""
    file = BytesIO(data)
    return replay(file, file.readline().decode(), steps=steps)


def record_faults(path: Path, seed: int) -> Network:
    """Record a ring of virtual nodes through joins, leaves, crashes, restarts, a partition and a broken disk."""
    with Recorder(path) as recorder:
        net = Network(seed, make_node=recorder.node, write_delay=0.01)
        eventful(net)
        net.crash("n1")
        net.run_for(1)
        net.restart("n1", join=["n2"])  # With the records that its disk holds.
        net.fail_disk("n2")
        net.perform("n2", Put(b"late", b"v"))
        net.perform("n1", Store(b"late"))
        net.pause("n6", 8.0)
        net.run_for(20)
    return net


@cache
def small_recording() -> bytes:
    """Return the recording of a short life of two nodes."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "recording")
        with Recorder(path) as recorder:
            net = Network(1, make_node=recorder.node)
            net.spawn("a")
            net.spawn("b", join=["a"])
            net.run_for(0.5)
            net.do("a", Put(b"key", b"value"))
            net.crash("b")
            net.restart("b")
        return path.read_bytes()


def record_one(recorder: Recorder) -> Node:
    """Return a ring of one that is recorded."""
    node = recorder.node(A, seed=1)
    node.create(now=0.0)
    return node
