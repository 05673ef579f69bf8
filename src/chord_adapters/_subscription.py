"""What happens at a node, told to tasks that read it in their own time: bounded queues, on any event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Self, TypeVar
from weakref import ref

from chord_adapters._engine import Engine
from chord_adapters._errors import Busy
from chord_adapters._results import Lagged
from chord_adapters._runtime import Waiter

MOST_UNREAD = 1024
"""Events that may wait for a reader, besides what it was told first; with one more it has fallen behind."""

T = TypeVar("T")


class Hub(Generic[T]):
    """Tells the same to all who have subscribed.

    ``present`` returns what is so at the moment, as events: what a subscription tells first, and again after `Lagged`.
    Subscriptions that nobody holds any more are forgotten: one that is not closed costs nothing.
    """

    def __init__(
        self,
        engine: Engine,
        present: Callable[[], Iterable[T]],
        *,
        most_unread: int = MOST_UNREAD,
        most_subscribers: int | None = None,
    ) -> None:
        self.engine = engine
        self.present = present
        self.most_unread = most_unread
        self._most_subscribers = engine.config.max_subscriptions if most_subscribers is None else most_subscribers
        self._subscribed: dict[int, ref[Subscription[T]]] = {}
        self._number = 0

    def subscribers(self) -> list[Subscription[T]]:
        """Return the subscriptions, in the order in which they began."""
        alive: list[Subscription[T]] = []
        for number, reference in list(self._subscribed.items()):
            subscription = reference()
            if subscription is None:
                del self._subscribed[number]
            else:
                alive.append(subscription)
        return alive

    def __bool__(self) -> bool:
        """Whether anybody may want to be told."""
        return bool(self._subscribed)

    def publish(self, events: Sequence[T]) -> None:
        """Tell all."""
        if events:
            for subscription in self.subscribers():
                subscription.tell(events)

    def waiters(self) -> list[Waiter]:
        """Return who waits for something to happen, for the end of the node."""
        return [each.waiter for each in self.subscribers() if each.waiter is not None]

    def add(self, subscription: Subscription[T]) -> int:
        """Take one in and return its number; raises `Closed` and `Busy`."""
        if self.engine.is_over:
            raise self.engine.closed()
        if len(self._subscribed) >= self._most_subscribers and len(self.subscribers()) >= self._most_subscribers:
            raise Busy(f"{self._most_subscribers} subscriptions are open already")
        self._number += 1
        self._subscribed[self._number] = ref(subscription)
        return self._number

    def remove(self, number: int) -> None:
        """Tell it nothing any more."""
        self._subscribed.pop(number, None)


class Subscription(Generic[T]):
    """An asynchronous iterator of what happens, and an asynchronous context manager that ends it.

    It begins on entering, or at the first step, which raise `Busy` when there are too many, with what is so at that
    moment.  A reader that falls behind, by more than 1,024 events, is told so once, by a `Lagged`;
    then it is told what is so now, as in the beginning.  The node's end raises `Closed`, and what was not read by
    then is void.  A step that was cancelled has taken nothing away.  One task at a time reads, any number may have
    subscriptions of their own.
    """

    def __init__(self, hub: Hub[T]) -> None:
        self.waiter: Waiter | None = None
        """Of the task that waits for something to happen."""
        self._hub = hub
        self._number: int | None = None
        self._events: deque[T] = deque()
        self._room = 0
        self._missed = False
        self._closed = False

    async def __aenter__(self) -> Self:
        if self._closed:
            raise RuntimeError("the subscription was closed: subscribe again")
        self._begin()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T | Lagged:
        if self.waiter is not None:
            raise RuntimeError("another task waits for the next event of this subscription")
        if not self._closed:
            self._begin()
        self.waiter = self._hub.engine.runtime.waiter()
        if self._closed or self._missed or self._events or self._hub.engine.is_over:
            self.waiter.resolve(None)
        try:
            outcome = await self.waiter.wait()
        finally:
            self.waiter = None
        if self._closed:
            raise StopAsyncIteration
        if isinstance(outcome, Exception):
            raise outcome
        if self._hub.engine.is_over:
            raise self._hub.engine.closed()
        if self._missed:
            self._tell_present()
            return Lagged()
        return self._events.popleft()

    def close(self) -> None:
        """End it: whoever waits for the next event, and every later step, has come to the end.  Harmless twice."""
        self._closed = True
        self._events.clear()
        if self._number is not None:
            self._hub.remove(self._number)
        if self.waiter is not None:
            self.waiter.resolve(None)

    def tell(self, events: Sequence[T]) -> None:
        """Let events wait for the reader; when they are too many, drop all."""
        if self._missed or len(self._events) + len(events) > self._room:
            self._missed = True
            self._events.clear()
        else:
            self._events.extend(events)
        if self.waiter is not None:
            self.waiter.resolve(None)

    def _begin(self) -> None:
        if self._number is None:
            self._number = self._hub.add(self)
            self._tell_present()

    def _tell_present(self) -> None:
        present = self._hub.present()  # It may tell us, too, how that differs from what was told last.
        self._missed = False
        self._events.clear()
        self._events.extend(present)
        self._room = len(self._events) + self._hub.most_unread
