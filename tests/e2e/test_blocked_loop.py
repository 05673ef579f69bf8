"""A node whose event loop is blocked for ten seconds is missed, comes back, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import attrs
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from chord_adapters._node import Node
from chord_adapters.testing import _stage
from tests.e2e.processes import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("backend", [name for name in ("asyncio", "trio") if find_spec(name) is not None]),
]
BLOCKED = 10.0
"""Seconds."""


@attrs.frozen
class Member:
    """A node on a loop and a thread of its own."""

    node: Node
    portal: BlockingPortal

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call something of its loop's, and wait for it."""
        return self.portal.call(function, *args)

    def value(self, key: str) -> bytes | None:
        """Return the value of a record."""
        entry = self.call(self.node.get, key)
        return None if entry is None else bytes(entry.value)


@contextmanager
def member(backend: str, *join: str) -> Iterator[Member]:
    """Open a node."""
    open_node = import_module(f"chord_adapters.{backend}").open_node
    with start_blocking_portal(backend) as portal:
        with portal.wrap_async_context_manager(open_node("127.0.0.1:0", join=join)) as node:
            portal.call(node.wait_ready)
            yield Member(node, portal)


def is_ideal(members: list[Member]) -> bool:
    """Tell whether these are one ring; their loops may run on meanwhile."""
    return _stage.is_ideal([each.node for each in members]) and all(each.node.is_ready for each in members)


def test_ten_seconds(backend: str) -> None:
    """The others go on without it; then all are one ring again, with every write that was acknowledged."""
    with ExitStack() as stack:
        first = stack.enter_context(member(backend))
        others = [stack.enter_context(member(backend, first.node.address)) for _ in range(3)]
        members = [first, *others]
        until("they are a ring", lambda: is_ideal(members))
        written = {f"before/{number}": b"v" for number in range(100)}
        for at, (key, value) in enumerate(written.items()):
            asked = members[at % 4]
            asked.call(asked.node.put, key, value)
        blocked, rest = others[0], [first, *others[1:]]
        blocking = blocked.portal.start_task_soon(time.sleep, BLOCKED)
        number = 0
        while not blocking.done():
            asked, key = rest[number % 3], f"meanwhile/{number}"
            asked.call(asked.node.put, key, b"w")
            written[key] = b"w"
            assert b"v" == asked.value(f"before/{number % 100}")
            number += 1
            if blocked.node.peer not in asked.node.successors:
                break
        assert not blocking.done(), "they have not missed it"
        until("the others are a ring", lambda: blocking.done() or is_ideal(rest))
        blocking.result(timeout=2 * BLOCKED)
        until("they are a ring again", lambda: is_ideal(members))
        for key, value in written.items():
            assert [value] * 4 == [each.value(key) for each in members], key
        blocked.call(blocked.node.put, "after", b"x")
        assert b"x" == first.value("after")
