"""Hunts about records: written, read, deleted and handed over while nodes come, go and die (D1 to D10)."""

from __future__ import annotations

from collections.abc import Callable

from chord_adapters.testing import World
from chord_proto.identifiers import content_key
from chord_proto.operations import Delete, Fetch, Fetched, Get, Left, Put, Store
from tests.faults.watched import ring

KEYS = [b"key %d" % number for number in range(16)]


def write(world: World, round_: int, keys: list[bytes] = KEYS) -> None:
    """Write records, delete some, store blocks, each through another node, and wait for all of it."""
    up = world.up
    for number, key in enumerate(keys):
        at = up[(number + round_) % len(up)]
        world.perform(at, Put(key, b"%d of round %d" % (number, round_)))
        if number % 4 == 3:
            world.net.run_for(0.2)
            world.perform(at, Delete(key))
        if number % 4 == 0:
            world.perform(at, Store(b"block %d of round %d" % (number, round_)))
    finish(world)


def read(world: World, round_: int) -> None:
    """Read everything through one node after another."""
    up = world.up
    for number, key in enumerate(KEYS):
        world.perform(up[(number + round_ + 1) % len(up)], Get(key))
        world.perform(up[number % len(up)], Fetch(content_key(b"block %d of round %d" % (number, round_))))
    finish(world)


def finish(world: World) -> None:
    """Wait until every operation has ended, and take note."""
    world.net.run_until(
        lambda: all(handle.done for handle in world.ledger.open),
        within=30.0,
        every=0.05,
        explain=lambda: "L4: operations do not end",
    )
    world.collect()
    told(world)


def told(world: World) -> None:
    """Fail with what the ledger has found so far."""
    assert [] == world.ledger.verdict(), "\n".join(world.ledger.verdict())


def calm() -> None:
    """Nothing goes wrong: who reads, reads what was acknowledged; a deletion stays."""
    world = ring(5, write_delay=0.02)
    for round_ in range(2):
        write(world, round_)
        read(world, round_)
    world.settle()


def newcomers() -> None:
    """Nodes join while records are written and read; nothing is missed."""
    world = ring(2, write_delay=0.02)
    for round_ in range(4):
        write(world, round_)
        world.join(["n0"])
        for _ in range(6):
            read(world, round_)
        world.net.run_for(2.0)
        read(world, round_)
    world.net.run_for(15.0)
    world.settle()


def leavers() -> None:
    """Nodes leave gracefully while records are read; nothing is missed, with one copy of each as with three."""
    for replicas in (1, 3):
        world = ring(6, write_delay=0.02, replicas=replicas, successors=3, predecessors=3)
        for round_, leaver in enumerate(("n3", "n1", "n5")):
            write(world, round_)
            world.leave(leaver)
            leaving = world.leaves[leaver]
            for _ in range(5):
                read(world, round_)
            world.net.run_for(3.0)
            read(world, round_)
            results = [handle.result for handle in leaving]
            assert [Left(handed_over=True)] == results, f"L9: {leaver} leaves, nothing else goes wrong: {results}"
        world.settle()


def crashes() -> None:
    """Nodes die one after another, repair in between: all that was acknowledged is there."""
    world = ring(6, write_delay=0.02)
    for round_, dead in enumerate(("n2", "n4", "n1")):
        write(world, round_)
        world.crash(dead, silent=bool(round_ % 2))
        world.net.run_for(25.0)
    world.restart("n2", disk=True, via=["n0"])
    world.net.run_for(10.0)
    world.settle()


def crashes_at_once() -> None:
    """The owner dies in the moment in which it has acknowledged."""
    for seed, victim in enumerate(("n1", "n2", "n3", "n4")):
        world = ring(5, seed=seed, write_delay=0.02)
        write(world, seed)
        for key in KEYS[:8]:
            world.perform("n0", Put(key, key + b", the last"))
        world.net.run_until(lambda world=world: any(h.done for h in world.ledger.open), within=5.0, every=0.001)  # type: ignore[misc]
        world.crash(victim, silent=True)
        world.net.run_for(5.0)
        world.settle()


def old_disks() -> None:
    """A node is away while others delete and overwrite, and comes back with its old disk: it brings nothing back."""
    world = ring(5, write_delay=0.02)
    write(world, 0)
    world.crash("n2", silent=False)
    world.net.run_for(15.0)
    for number, key in enumerate(KEYS):
        world.perform(world.up[number % 4], Delete(key) if number % 2 else Put(key, b"meanwhile"))
    finish(world)
    world.restart("n2", disk=True, via=["n0"])
    world.net.run_for(15.0)
    read(world, 0)
    world.settle()


def survivor() -> None:
    """Two of three nodes fall silent: the last one cannot write three copies, and says so."""
    world = ring(3)
    write(world, 0, KEYS[:4])
    for dead in ("n1", "n2"):
        world.crash(dead, silent=True)
    world.net.run_for(10.0)
    write(world, 1, KEYS[:4])
    for dead in ("n1", "n2"):
        world.restart(dead, via=["n0"])
    world.settle()


def virtual_nodes() -> None:
    """Several places at each address: copies lie at distinct addresses."""
    world = ring(4, write_delay=0.02, virtual_nodes=3)
    write(world, 0)
    read(world, 0)
    world.join(["n0"])
    world.net.run_for(10.0)
    world.crash("n2", silent=True)
    world.net.run_for(10.0)
    read(world, 0)
    world.settle()


def many() -> None:
    """More than a page of records moves to a newcomer, and all of it is there when the newcomer is ready."""
    # Nodes that check what they are told find the newcomer sooner, and push to it what it has not pulled.
    world = ring(2, replicas=1, lookup_witnesses=0)
    world.net.watch = None  # The overseer would look at all records again and again.
    written = {b"many %d" % number: b"%d" % number for number in range(2000)}
    for handle in [world.net.perform("n0", Put(key, value)) for key, value in written.items()]:
        world.net.wait(handle)
    newcomer = world.join(["n0"])
    world.net.run_until(lambda: world.node(newcomer).ready, within=10.0)
    for key, handle in [(key, world.net.perform(newcomer, Get(key))) for key in written]:
        found = world.net.wait(handle)
        assert isinstance(found, Fetched), f"D10: {key!r} cannot be read: {found}"
        assert written[key] == found.value, f"D10: {key!r} reads {found.value!r}"
    held = world.node(newcomer).stats().records
    assert held > 512, f"a page holds 512 records, the newcomer has {held}"


def unanswered() -> None:
    """An owner's answers do not arrive, or it dies with writes under way: what is said to have failed has not happened."""
    for seed, victim in enumerate(("n1", "n2", "n3", "n4")):
        world = ring(5, seed=seed, write_delay=0.05)
        if seed % 2:
            world.cut(victim, "n0", oneway=True)
        for number, key in enumerate(KEYS):
            world.perform("n0", Put(key, b"%d of run %d" % (number, seed)))
        world.net.run_for(0.03)
        if not seed % 2:
            world.crash(victim, silent=True)
        world.net.run_for(15.0)
        world.settle()


def liar() -> None:
    """A host changes what it hands out for a while: a block is itself wherever it is read or kept, or it is not there."""
    world = ring(4, seed=3)
    blocks = [b"block %d" % number for number in range(16)]
    for number, block in enumerate(blocks):
        world.perform(world.up[number % 4], Store(block))
    finish(world)
    world.lie("n2", "changes values", 20.0)
    world.join(["n0"])
    world.net.run_for(5.0)
    for at in world.up:
        for block in blocks:
            world.perform(at, Fetch(content_key(block)))
    finish(world)
    world.settle()


HUNTS: dict[str, Callable[[], None]] = {
    "records in calm": calm,
    "records and newcomers": newcomers,
    "records and leavers": leavers,
    "records and crashes": crashes,
    "crash after the word": crashes_at_once,
    "old disks": old_disks,
    "the last of three": survivor,
    "records on virtual nodes": virtual_nodes,
    "many records": many,
    "unanswered writes": unanswered,
    "a liar": liar,
}
