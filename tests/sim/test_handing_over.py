"""While nodes join and leave gracefully, and nothing else goes wrong, nobody notices (properties L3, L9, D1, D4)."""

from __future__ import annotations

import pytest

from chord_adapters.memory import Network
from chord_adapters.testing._ledger import replicas_of
from chord_proto.config import Config
from chord_proto.invariants import is_ideal
from chord_proto.operations import Fetched, Get, Left, Put, Stored

KEYS = [b"key %d" % number for number in range(24)]


class Readers:
    """Every key is read through one node after another, again and again, and written now and then."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.versions: dict[bytes, str] = {}
        self.turn = 0
        self.read = 0
        for key in KEYS:
            self.write(key)

    def write(self, key: bytes) -> None:
        """Write a key and remember the version that was acknowledged."""
        done = self.net.do("n0", Put(key, b"%d" % self.turn))
        assert isinstance(done, Stored), done
        assert done.version > self.versions.get(key, "")
        self.versions[key] = done.version

    def go_on(self, seconds: float) -> None:
        """Read on for a while: each answer must be the version acknowledged last, or newer, and come in time."""
        end = self.net.now + seconds
        while self.net.now < end:
            self.turn += 1
            self.net.run_for(0.004)
            addresses = [node.me.address for node in self.net.nodes if node.phase.value == "active"]
            expected = dict(self.versions)
            handles = [
                self.net.perform(addresses[(self.turn + number) % len(addresses)], Get(key))
                for number, key in enumerate(KEYS)
            ]
            for key, handle in zip(KEYS, handles, strict=True):
                result = self.net.wait(handle)
                assert isinstance(result, Fetched), (key, result, self.net.describe())
                assert (result.version or "") >= expected[key], (key, handle.address, self.net.describe())
                self.read += 1
            if self.turn % 3 == 0:
                self.write(KEYS[self.turn % len(KEYS)])


@pytest.mark.parametrize("virtual_nodes", [1, 3])
@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_joins_and_leaves_go_unnoticed(replicas: int, virtual_nodes: int) -> None:
    """Every read gives what was acknowledged before, also in the midst of a join or of a graceful leave."""
    config = Config(replicas=replicas, successors=3, stabilize_interval=0.5, repair_interval=2.0)
    net = Network(replicas, config=config)
    net.spawn("n0", virtual_nodes=virtual_nodes)
    net.run_for(1)
    readers = Readers(net)
    for index in range(1, 6):
        net.spawn(f"n{index}", join=["n0"], virtual_nodes=virtual_nodes)
        readers.go_on(0.3 if index % 2 else 1.5)
    net.run_until(lambda: all(node.ready for node in net.nodes), within=30)
    # Places that leave together may be each other's heirs; what they hand over to nobody, its replicas or heirs have.
    for index in range(5, 0 if virtual_nodes == 1 else max(1, replicas - 1), -1):
        handles = net.leave(f"n{index}")
        readers.go_on(0.3 if index % 2 else 1.5)
        results = [net.wait(handle) for handle in handles]
        assert all(isinstance(result, Left) for result in results)
        assert virtual_nodes > 1 or [Left(handed_over=True)] == results
    assert readers.read > 500


def test_records_end_up_at_exactly_their_places() -> None:
    """D4: after joins and leaves each key is held by the first R places with distinct addresses, and nobody else."""
    config = Config(successors=3)
    net = Network(9, config=config)
    net.spawn("n0")
    readers = Readers(net)
    for index in range(1, 9):
        net.spawn(f"n{index}", join=["n0"])
        readers.go_on(1.0)
    net.leave("n3")
    net.leave("n6")

    def misplaced() -> list[tuple[bytes, list[str]]]:
        members = sorted((node.me for node in net.nodes), key=lambda peer: peer.id)
        wrong = []
        for key in KEYS:
            held = [address for address in net.addresses if (0, key) in net.disk(address)]
            if sorted(held) != sorted(replicas_of((0, key), members, config)):
                wrong.append((key, held))
        return wrong

    net.run_until(lambda: not misplaced(), within=60, every=0.5, explain=misplaced)
    net.run_for(30)
    assert [] == misplaced()


@pytest.mark.parametrize("seed", range(10))
def test_virtual_nodes_that_leave_together_hand_over(seed: int) -> None:
    """Places of one address may be each other's heirs: each finds one that stays, and within seconds all are gone."""
    net = Network(seed, config=Config(successors=3))
    net.spawn("n0", virtual_nodes=3)
    for index in range(1, 4):
        net.spawn(f"n{index}", join=["n0"], virtual_nodes=3)
    net.run_until(lambda: all(node.ready for node in net.nodes), within=60)
    net.run_until(lambda: is_ideal(net.nodes, net.config), within=60)
    for key in KEYS:
        net.do("n0", Put(key, b"v"))
    for address in ("n3", "n2"):
        began = net.now
        assert [Left(handed_over=True)] * 3 == [net.wait(handle) for handle in net.leave(address)]
        assert net.now - began < 3.0
    for key in KEYS:
        result = net.do("n1", Get(key))
        assert isinstance(result, Fetched)
        assert b"v" == result.value
