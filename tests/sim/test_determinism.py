"""The core as it ships, in whole rings: equal inputs give equal effects, in any process; a copy goes on as its original."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chord_adapters.memory import Network, Step
from chord_proto.config import Config
from chord_proto.errors import LocalProtocolError
from chord_proto.messages import Message, Ping
from chord_proto.node import Node
from chord_proto.operations import Delete, Fetch, Get, Left, Locate, Put, Store
from chord_proto.phase import Phase

ROOT = Path(__file__).parents[2]


def eventful(net: Network) -> None:
    """Let much of what can happen happen: joins, leaves, crashes, restarts, a partition, reads and writes."""
    net.spawn("n0", virtual_nodes=2)
    for index in range(1, 7):
        net.spawn(f"n{index}", join=["n0"])
        net.run_for(0.3)
    net.set_links(loss=0.05, duplicate=0.1, reorder=0.2)
    for index in range(20):
        address = net.addresses[index % len(net.addresses)]
        net.perform(address, Put(b"k%d" % index, b"v" * index))
        net.perform(address, Store(b"block %d" % index))
        net.perform(address, Locate(index))
    net.run_for(5)
    net.crash("n3")
    net.crash("n4", silent=True)
    net.leave("n5")
    for index in range(20):
        net.perform("n1", Get(b"k%d" % index))
        net.perform("n2", Delete(b"k%d" % index))
        net.perform("n2", Fetch(index))
    net.run_for(3)
    net.restart("n3")
    net.partition(["n0", "n1"], ["n2", "n3"])
    net.run_for(20)
    net.heal()
    net.run_for(30)


def digest(seed: int) -> str:
    """Return a digest over every input and every effect of a run."""
    seen = hashlib.blake2b()

    def watch(step: Step) -> None:
        seen.update(repr((step.at, step.node.me, step.kind, step.arguments, step.effects)).encode())
        if net.counts["steps"] % 20 == 0:
            seen.update(step.node.fingerprint())

    net = Network(seed, watch=watch, write_delay=0.01)
    eventful(net)
    return seen.hexdigest()


def test_equal_inputs_give_equal_effects_in_any_process() -> None:
    """N11: the same run is the same, effect by effect, in other processes and with other hash seeds."""
    here = digest(5)
    assert here != digest(6)
    code = "from tests.sim.test_determinism import digest; print(digest(5))"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("0", "4711")
    ]
    printed = [process.communicate(timeout=60)[0].strip() for process in running]
    assert [here, here] == printed


def test_a_copy_goes_on_as_its_original_does() -> None:
    """N12: a copy taken half-way gives the same effects for the same inputs."""
    twins: dict[int, Node] = {}
    compared = 0

    def watch(step: Step) -> None:
        nonlocal compared
        twin = twins.get(step.node.me.id)
        if twin is not None and twin.incarnation == step.node.incarnation:
            effects = getattr(twin, step.kind)(*step.arguments, now=step.at, **step.keywords)
            assert list(step.effects) == effects, step
            compared += 1
            if compared % 20 == 0:
                assert step.node.fingerprint() == twin.fingerprint()
                assert step.node.view() == twin.view()
            if compared % 100 == 0:
                twins[step.node.me.id] = twin.copy()  # A copy of a copy.
        elif net.now > 2.0:
            twins[step.node.me.id] = step.node.copy()

    net = Network(7, watch=watch, write_delay=0.01, config=Config(stabilize_interval=2.0))
    eventful(net)
    assert compared > 3000


def test_a_copy_is_independent() -> None:
    """A copy stays as it was while the original goes on."""
    net = Network(1)
    net.spawn("a")
    net.spawn("b", join=["a"])
    net.run_for(5)
    copies = [(node, node.copy(), node.fingerprint(), node.view()) for node in net.nodes]
    net.spawn("c", join=["a"])
    net.do("a", Put(b"k", b"v"))
    net.run_for(5)
    for node, copied, print_before, view_before in copies:
        assert print_before == copied.fingerprint()
        assert view_before == copied.view()
        assert print_before != node.fingerprint()


def test_a_fingerprint_leaves_out_time_and_chance() -> None:
    """Two ideal rings of the same addresses have the same fingerprints, whatever their seeds and their age."""

    def prints(seed: int, age: float) -> list[bytes]:
        net = Network(seed, latency=(0.002, 0.002))
        for address in "abc":
            net.spawn(address, join=["a"] if address != "a" else [])
            net.run_for(1)
        net.run_for(age)
        net.run_until(lambda: not net.in_flight(), within=10, every=0.001)
        return [node.fingerprint() for node in net.nodes]

    assert prints(1, 60) == prints(2, 95)


def test_who_has_left_sends_nothing() -> None:
    """S17: after it has stopped a node answers nothing, wants no tick, and refuses its caller."""
    sent: list[Message] = []
    net = Network(1, watch=lambda step: sent.append(step.argument) if step.kind == "receive" else None)
    net.spawn("a")
    node = net.spawn("b", join=["a"])
    net.run_for(5)
    (left,) = net.leave("b")
    assert Left(handed_over=True) == net.wait(left)
    assert Phase.STOPPED is node.phase
    assert node.deadline is None
    other = net.node("a").me
    for message in (*sent[-50:], Ping(other, 1, node.me.id, 0, 1)):
        assert [] == node.receive(message, sender="a", now=net.now)
    assert [] == node.tick(now=net.now + 100)
    assert [] == node.unreachable("a", now=net.now + 100)
    with pytest.raises(LocalProtocolError):
        node.create(now=net.now + 100)


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("disk", [False, True])
@pytest.mark.parametrize("pause", [0.0, 0.01, 0.5])
def test_restarting_faster_than_suspicion(pause: float, *, disk: bool, silent: bool) -> None:
    """L10: a node that comes back before anybody missed it rejoins, and no acknowledged record is lost."""
    net = Network(3)
    for index in range(5):
        net.spawn(f"n{index}", join=["n0"] if index else [])
        net.run_for(0.2)
    net.run_for(10)
    for index in range(10):
        net.do("n1", Put(b"k%d" % index, b"v%d" % index))
    net.run_for(5)
    for address in ("n2", "n0"):
        net.crash(address, silent=silent)
        net.run_for(pause)
        net.restart(address, disk=disk, join=["n1"])
        net.run_until(lambda address=address: net.node(address).ready, within=30)  # type: ignore[misc]
        net.run_for(15)
    for index in range(10):
        read = net.do("n0", Get(b"k%d" % index))
        assert b"v%d" % index == getattr(read, "value", None)
