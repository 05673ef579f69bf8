"""Watching a record, the same on every backend."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from chord_adapters import Closed, Event, Lagged, Unreachable
from chord_proto.operations import Await, Result
from tests.adapters.backends import LISTEN, QUICK, Backend, ring

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


def told(events: list[Event | Lagged]) -> list[tuple[str, bytes | None]]:
    """Return kinds and values."""
    assert all(isinstance(event, Event) for event in events)
    return [(event.kind, event.value) for event in events if isinstance(event, Event)]


async def test_each_change_once_and_in_order(backend: Backend) -> None:
    """Through another node and through a client: puts, a deletion and an expiry, with their versions."""
    async with ring(backend, 4) as nodes, backend.connect(nodes[2].address, config=QUICK) as client:
        await nodes[0].put("k", b"before")
        for watcher in (nodes[1], client):
            async with watcher.watch("k") as watch:
                versions = [(await nodes[0].put("k", b"%d" % number)).version for number in range(3)]
                versions.append((await nodes[3].delete("k")).version)
                versions.append((await nodes[3].put("k", b"short", ttl=0.3)).version)
                await nodes[0].put("other", b"v")
                events = [await anext(watch) for _ in range(6)]
            assert [
                ("put", b"0"),
                ("put", b"1"),
                ("put", b"2"),
                ("delete", None),
                ("put", b"short"),
                ("expire", None),
            ] == told(events)
            assert [*versions, versions[-1]] == [event.version for event in events if isinstance(event, Event)]
            assert [b"k"] * 6 == [event.key for event in events if isinstance(event, Event)]
            cursors = [event.cursor for event in events if isinstance(event, Event)]
            assert sorted(set(cursors)) == cursors


async def test_going_on_after_a_version(backend: Backend) -> None:
    """Who was away goes on where it stopped: at once, if something came since, and with what comes next."""
    async with ring(backend, 3) as nodes:
        first = await nodes[0].put("k", b"1")
        async with nodes[1].watch("k", after=first.version) as watch:
            await nodes[0].put("k", b"2")
            second = await anext(watch)
            assert [("put", b"2")] == told([second])
        await nodes[0].put("k", b"3")
        await nodes[0].put("k", b"4")
        async with nodes[2].watch("k", after=getattr(second, "cursor", None)) as watch:
            assert [("put", b"3"), ("put", b"4")] == told([await anext(watch), await anext(watch)])


async def test_who_fell_behind_is_told_so(backend: Backend) -> None:
    """More changes than the owner remembers: `Lagged`, then the newest, then what comes."""
    async with ring(backend, 2) as nodes:
        async with nodes[1].watch("k") as watch:
            for number in range(5):
                await nodes[0].put("k", bytes([number]) * 300_000)
            assert [Lagged()] == [await anext(watch)]
            assert [("put", bytes([4]) * 300_000)] == told([await anext(watch)])
            await nodes[0].put("k", b"next")
            assert [("put", b"next")] == told([await anext(watch)])


async def test_only_the_first_answer_must_come_in_time(backend: Backend) -> None:
    """With a time for the first answer: none ends the watch; after one it waits for ever, and through outages."""
    async with backend.connect("127.0.0.1:1") as client:
        for after in (None, "000000000001-0000-0000000000000001"):
            with pytest.raises(Unreachable):
                await client._watch("k", after, within=0.2).__aenter__()
    async with ring(backend, 1) as nodes, backend.connect(nodes[0].address) as client:
        first = await nodes[0].put("k", b"1")
        async with client._watch("k", first.version, within=10.0) as watch, anyio.create_task_group() as group:
            seen: list[Event | Lagged] = []

            async def fail(operation: Await, timeout: float) -> Result:
                watch._perform = perform
                raise Unreachable("an outage")

            async def read() -> None:
                seen.append(await anext(watch))

            perform, watch._perform = watch._perform, fail
            group.start_soon(read)
            await backend.sleep(0.4)
            assert [] == seen
            await nodes[0].put("k", b"2")
        assert [("put", b"2")] == told(seen)


async def test_what_does_not_exist_can_be_watched(backend: Backend) -> None:
    """Its first write is told."""
    async with ring(backend, 2) as nodes, nodes[0].watch("new") as watch:
        await nodes[1].put("new", b"v", if_absent=True)
        assert [("put", b"v")] == told([await anext(watch)])


async def test_the_end_of_the_node_ends_the_watch(backend: Backend) -> None:
    """Who waits is told `Closed`."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        await node.wait_ready()
        failed: list[Exception] = []

        async def read(watch: Any) -> None:
            try:
                await anext(watch)
            except Closed as error:
                failed.append(error)

        async with node.watch("k") as watch, anyio.create_task_group() as group:
            group.start_soon(read, watch)
            await backend.sleep(0.01)
            node.abort()
        assert 1 == len(failed)


async def test_watchers_do_not_stand_in_the_way(backend: Backend) -> None:
    """Hundreds of them wait at one node, and other calls go on; cancelled, they leave nothing behind."""
    async with ring(backend, 2) as nodes:
        async with anyio.create_task_group() as group:

            async def read(number: int) -> None:
                async with nodes[0].watch(f"k{number}") as watch:
                    await anext(watch)

            for number in range(300):
                group.start_soon(read, number)
            for _ in range(20):
                await nodes[0].put("other", b"v", timeout=5.0)
            group.cancel_scope.cancel()
        assert 0 == nodes[0].stats().calls


@pytest.mark.parametrize(
    "arguments, options, error",
    [((7,), {}, TypeError), (("k",), {"after": "7"}, ValueError), (("k",), {"after": 7}, TypeError)],
)
async def test_bad_arguments(
    backend: Backend, arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception]
) -> None:
    """They are refused at once."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        with pytest.raises(error):
            node.watch(*arguments, **options)
