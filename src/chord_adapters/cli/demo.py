"""``chord demo``: a ring in one process keeps a file while some of its nodes crash."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from contextlib import AsyncExitStack
from importlib.resources import files
from io import BytesIO
from typing import Annotated

import anyio
import attrs
from cyclopts import Parameter

from chord_adapters._errors import Timeout
from chord_adapters._node import Node
from chord_adapters.cli._options import Backend, Json, NamedPath, adapter
from chord_adapters.cli._outcome import Status, UsageError
from chord_adapters.cli._output import hexadecimal, print_json, size_in_words
from chord_adapters.cli._progress import progress_bar
from chord_adapters.cli._ring import Ring, ring_of
from chord_proto.blocks import Cutter
from chord_proto.config import Config
from chord_proto.identifiers import content_key

MOST_NODES = 64
"""In one process; each two that know each other share up to two connections."""
SETTLING = 30.0
"""Seconds in which the ring must become ideal."""
LOOK = 0.02
"""Seconds between two looks at whether it has."""


BRISK = Config(stabilize_interval=0.2, finger_interval=0.5, repair_interval=1.0)
"""Upkeep five times as often as by default, so that nobody has to wait for lists to come round."""


@attrs.frozen(kw_only=True)
class _Wanted:
    """What the command line says, and the bytes to store."""

    nodes: int
    kill: int
    backend: str
    json: bool
    name: str
    data: bytes


def demo(
    file: Annotated[
        NamedPath | None, Parameter(help="What to store, by default a text that the package carries.")
    ] = None,
    /,
    *,
    nodes: Annotated[int, Parameter(help="How many nodes to start.")] = 8,
    kill: Annotated[int, Parameter(help="How many of them to crash.")] = 2,
    backend: Backend = "asyncio",
    json: Json = False,
) -> int:
    """Start a ring on loopback sockets, store a file, crash some nodes, read it back through another, compare.

    Status 1 when a byte is not the same.
    """
    if not 0 <= kill <= nodes - 2 or nodes > MOST_NODES:
        raise UsageError(f"--nodes is at most {MOST_NODES}, and leaves two, one to store and one to read, after --kill")
    if file is None:
        # The interface description of SQLite, whose authors disclaim copyright.
        name, data = "a text of its own", files("chord_adapters.cli").joinpath("sample.txt").read_bytes()
    else:
        name, data = str(file), file.read_bytes()
    wanted = _Wanted(nodes=nodes, kill=kill, backend=backend, json=json, name=name, data=data)
    return anyio.run(_Demo(wanted).run, backend=backend)


class _Demo:
    """One demonstration, step by step."""

    def __init__(self, wanted: _Wanted) -> None:
        self.wanted = wanted
        self.living: list[Node] = []
        self.keys = _block_keys(wanted.data)

    def tell(self, line: str = "") -> None:
        """Tell a person; with --json, standard output is for the document alone."""
        if not self.wanted.json:
            print(line, flush=True)

    async def run(self) -> int:
        """Do it all and return the exit status."""
        began = anyio.current_time()
        async with AsyncExitStack() as stack:
            ring = await self.start(stack)
            self.tell(f"{len(self.living)} nodes have become a ring in {anyio.current_time() - began:.2f} s:\n")
            self.show(ring)
            storer, reader, victims = self.cast(ring)
            key, store_s = await self.store(storer)
            await self.path("lookup before the crash", reader, key)
            killed = await self.crash(victims)
            intact, fetch_s = await self.fetch(reader, key)
            await self.path("lookup after the crash", reader, key)
            ring = await self.settle(repaired=True)
            self.tell(f"\nthe ring has closed again, and every block has its {self.copies()} replicas:\n")
            self.show(ring)
            # The process ends here: no need for each to hand its records to the next.
            for node in self.living:
                node.abort()
        if self.wanted.json:
            document = {"nodes": self.wanted.nodes, "killed": killed, "key": hexadecimal(key)}
            times = {"store_s": round(store_s, 4), "fetch_s": round(fetch_s, 4)}
            print_json(document | {"bytes": len(self.wanted.data), "intact": intact} | times | {"ring": ring.fields()})
        self.tell(f"\ndone in {anyio.current_time() - began:.2f} s")
        return Status.FINE if intact else Status.FAILED

    def show(self, ring: Ring) -> None:
        """Show the ring to a person."""
        if not self.wanted.json:
            ring.print()

    async def start(self, stack: AsyncExitStack) -> Ring:
        """Start the nodes, each joining through the first, and wait until the ring is ideal."""
        open_node = adapter(self.wanted.backend).open_node
        for _ in range(self.wanted.nodes):
            join = [self.living[0].address] if self.living else []
            self.living.append(await stack.enter_async_context(open_node("127.0.0.1:0", join=join, config=BRISK)))
        for node in self.living:
            await node.wait_ready()
        return await self.settle()

    def cast(self, ring: Ring) -> tuple[Node, Node, list[Node]]:
        """Choose who stores, who reads, and who crashes: first of all an owner of a block, then who holds its copies."""
        places = [member.me.id for member in ring.members]
        owners = Counter(places[bisect_left(places, key) % len(places)] for key in self.keys)
        at = {node.id: node for node in self.living}
        most = places.index(max(owners, key=lambda place: owners[place]))
        order = [at[place] for place in places[most:] + places[:most]]
        # The owner's next successors hold the copies of its blocks, so this is the worst choice; the reader is
        # the farthest from it, and the storer comes before the reader.
        return order[-2], order[-1], order[: self.wanted.kill]

    async def store(self, storer: Node) -> tuple[int, float]:
        """Store the bytes through ``storer``."""
        data = self.wanted.data
        with progress_bar("storing", len(data)) as advance:
            began = anyio.current_time()
            stored = await storer.store_stream(BytesIO(data), progress=advance)
            seconds = anyio.current_time() - began
        self.tell(
            f"\nstored {self.wanted.name} ({size_in_words(len(data))}, blocks: {stored.blocks}) through"
            f" {storer.address} in {seconds:.2f} s, key {hexadecimal(stored.key)}"
        )
        return stored.key, seconds

    async def crash(self, victims: list[Node]) -> list[str]:
        """Crash the victims without warning; no more at once than every block survives."""
        at_once = max(1, BRISK.replicas - 1)
        killed: list[str] = []
        for first in range(0, len(victims), at_once):
            if first:
                await self.settle(repaired=True)
            for node in victims[first : first + at_once]:
                node.abort()
                self.living.remove(node)
                killed.append(node.address)
                self.tell(f"crashed {node.address}" + (", which owns blocks of it" if node is victims[0] else ""))
        return killed

    async def fetch(self, reader: Node, key: int) -> tuple[bool, float]:
        """Read the bytes back through ``reader`` and compare them, all of them."""
        got = bytearray()
        with progress_bar("fetching", len(self.wanted.data)) as advance:
            began = anyio.current_time()
            async with reader.open(key) as blocks:
                found = blocks.length is not None
                async for block in blocks:
                    got += block
                    advance(len(block))
            seconds = anyio.current_time() - began
        intact = found and got == self.wanted.data
        verdict = f"all {len(got)} bytes are the same" if intact else "THE BYTES ARE NOT THE SAME"
        self.tell(f"read it back through {reader.address} in {seconds:.2f} s: {verdict}")
        return intact, seconds

    async def path(self, what: str, reader: Node, key: int) -> None:
        """Show the way of a lookup."""
        located = await reader.lookup(key)
        hops = [f"{hop.peer.address} ({1000 * hop.seconds:.1f} ms)" for hop in located.path]
        way = f"by way of {' and '.join(hops)}" if hops else "known without asking"
        self.tell(f"{what}: {reader.address} finds its owner {located.owner.address}, {way}")

    async def settle(self, *, repaired: bool = False) -> Ring:
        """Wait until the ring is ideal and, if wanted, until every block has all its replicas."""
        with anyio.move_on_after(SETTLING):
            while True:
                ring = ring_of([await node.describe() for node in self.living])
                if ring.ideal and not (repaired and self.lacks(ring)):
                    return ring
                await anyio.sleep(LOOK)
        raise Timeout(f"the ring has not become ideal within {SETTLING:.0f} seconds")

    def copies(self) -> int:
        """How many nodes hold each block once all is repaired."""
        return min(BRISK.replicas, len(self.living))

    def lacks(self, ring: Ring) -> bool:
        """Tell whether copies are missing, or on their way."""
        held = sum(member.keys for member in ring.members)
        return held < self.copies() * len(self.keys) or any(member.pending for member in ring.members)


def _block_keys(data: bytes) -> set[int]:
    """Return the keys of all blocks that ``data`` is cut into."""
    cutter = Cutter()
    blocks = cutter.feed(data)
    last, _ = cutter.finish()
    return {content_key(block) for block in (*blocks, *last)}
