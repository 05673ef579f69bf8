"""What a node tells of the arcs that it decides for, so that work can be shared out by them."""

from __future__ import annotations

import anyio
import attrs
import pytest

from chord_adapters import Closed, Gained, Lagged, Lost
from chord_adapters._node import Node
from chord_proto.identifiers import content_key
from chord_proto.peer import Peer
from chord_proto.places import Places, arc
from tests.adapters.backends import LISTEN, QUICK, Backend, ring, settled

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]

KEYS: list[str | bytes | int] = ["job/1", "job/2", b"job/3", 0, 2**159, content_key(b"some value")]
CIRCLE = Places(2**160, ((0, 2**160),))


async def owned(node: Node) -> list[Gained | Lost]:
    """Return what a new subscription begins with."""
    changes = node.ownership()
    first = await anext(changes)
    assert isinstance(first, Gained)
    return [first, *changes._events]


async def test_it_begins_with_what_is_owned(backend: Backend) -> None:
    """A node alone has the whole circle, told with equal ends; on a ring the beginnings tile it, and say what `owns` says."""
    async with ring(backend, 1) as nodes, nodes[0].ownership() as changes:
        change = await anext(changes)
        assert isinstance(change, Gained)
        assert (change.end, nodes[0].peer) == (change.start, change.peer)
        assert all(key in change for key in KEYS)
        with pytest.raises(TypeError):
            assert None not in change  # type: ignore[operator]
    async with ring(backend, 4) as nodes:
        total = Places(2**160)
        for node in nodes:
            for change in await owned(node):
                assert [node.owns(key) for key in KEYS] == [key in change for key in KEYS]
                places = arc(change.start, change.end, 2**160)
                assert not total & places
                total |= places
        assert CIRCLE == total


async def test_one_joins_and_leaves(backend: Backend) -> None:
    """What it gains another has lost, and gains again when it has lost everything."""
    async with ring(backend, 1) as nodes, nodes[0].ownership() as changes:
        whole = await anext(changes)
        async with backend.open_node(LISTEN, join=[nodes[0].address], config=QUICK) as joiner:
            theirs = joiner.ownership()
            gained = await anext(theirs)
            assert Gained(nodes[0].id, joiner.id, joiner.peer) == gained
            assert Lost(nodes[0].id, joiner.id, nodes[0].peer) == await anext(changes)
            await settled([nodes[0], joiner])
            await joiner.leave()
            with pytest.raises(Closed):
                await anext(theirs)
        assert isinstance(whole, Gained)
        assert Gained(nodes[0].id, joiner.id, nodes[0].peer) == await anext(changes)


async def test_who_begins_to_leave_has_lost_everything(backend: Backend) -> None:
    """It is told before the others gain it, while there is time to put the work aside."""
    async with ring(backend, 2) as nodes:
        heard: list[Gained | Lost | Lagged] = []
        changes, theirs = nodes[1].ownership(), nodes[0].ownership()
        (gained,) = await owned(nodes[1])
        await anext(changes)
        await anext(theirs)

        async def read() -> None:
            heard.append(await anext(changes))
            heard.append(await anext(theirs))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await nodes[1].leave()
        assert [Lost(gained.start, gained.end, nodes[1].peer), Gained(gained.start, gained.end, nodes[0].peer)] == heard


async def test_a_crash_is_the_end(backend: Backend) -> None:
    """Who waits hears `Closed`, and the next node gains what the crashed one had."""
    async with ring(backend, 3) as nodes:
        victim = nodes[1]
        (had,) = await owned(victim)
        heir = next(node for node in nodes if node.peer == victim.successors[0])
        async with heir.ownership() as changes:
            await anext(changes)
            victim.abort()
            with pytest.raises(Closed):
                await anext(victim.ownership())
            assert Gained(had.start, had.end, heir.peer) == await anext(changes)


async def test_virtual_nodes(backend: Backend) -> None:
    """Each arc says of which place it is, and they tile the circle together."""
    async with ring(backend, 2, virtual_nodes=3) as nodes:
        told = [change for node in nodes for change in await owned(node)]
        assert {peer for node in nodes for peer in node.peers} == {change.peer for change in told}
        assert all(change.end == change.peer.id for change in told)
        assert 2**160 == sum((change.end - change.start) % 2**160 for change in told)


async def test_what_places_of_one_process_hand_on(backend: Backend) -> None:
    """An arc that goes from one place of a node to another of it is lost before it is gained, also in one moment."""
    async with ring(backend, 1, virtual_nodes=2) as nodes:
        ownership = nodes[0]._driver.ownership
        first, second = (Decider(peer) for peer in nodes[0].peers)
        ownership._nodes = [first, second]  # type: ignore[list-item]
        async with nodes[0].ownership() as changes:
            first.decides = ((10, 20),)
            ownership.look()
            first.decides, second.decides = ((10, 15), (30, 40)), ((15, 20),)
            ownership.look()
            told = [await anext(changes) for _ in range(4)]
        assert told == [
            Gained(10, 20, first.me),
            Lost(15, 20, first.me),
            Gained(30, 40, first.me),
            Gained(15, 20, second.me),
        ]
        first.decides = ()  # While nobody listens.
        async with nodes[0].ownership() as changes:
            assert [Gained(15, 20, second.me)] == list(changes._events)


@attrs.define(eq=False)
class Decider:
    """Stands for a node that decides for some arcs."""

    me: Peer
    decides: tuple[tuple[int, int], ...] = ()

    def view(self) -> Decider:
        """Return what the node shows."""
        return self
