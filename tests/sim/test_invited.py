"""Nodes whose contacts have all died are found by the ring that remembers them."""

from __future__ import annotations

from chord_adapters.memory import Network
from chord_proto.invariants import is_ideal
from chord_proto.phase import Phase

SEEDS = ("seed0", "seed1")
OTHERS = ("n0", "n1", "n2")


def test_contacts_that_wait_for_each_other() -> None:
    """Two nodes that all others joined by die and name each other when they come back: the ring takes them in."""
    with Network(3) as net:

        def whole(members: int) -> bool:
            views = [node.view() for node in net.nodes if node.phase is Phase.ACTIVE]
            return len(views) == members and is_ideal(views, net.config)

        net.spawn("seed0")
        for address in (*SEEDS[1:], *OTHERS):
            net.spawn(address, join=["seed0"])
        net.run_until(lambda: whole(5), within=120.0)
        for address in SEEDS:
            net.crash(address)
        net.run_until(lambda: whole(3), within=120.0)
        net.restart("seed0", join=["seed1"], disk=False)
        net.restart("seed1", join=["seed0"], disk=False)
        net.run_until(lambda: whole(5), within=120.0)
