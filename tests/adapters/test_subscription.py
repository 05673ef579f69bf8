"""Subscriptions whatever they tell: their beginning, their bounds, falling behind, and all the ways in which they end."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest

from chord_adapters import Busy, Closed, Lagged
from chord_adapters._subscription import Hub, Subscription
from chord_adapters.testing._cancelling import sweep
from tests.adapters.backends import LISTEN, QUICK, Backend, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_left")]


class Words:
    """What is so is a list of words; saying one more tells it."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.hub: Hub[str]

    def say(self, *words: str) -> None:
        """Say words, all in one moment."""
        self.said += words
        self.hub.publish(words)


@asynccontextmanager
async def words(backend: Backend, *, most_unread: int = 100, most_subscribers: int = 3) -> AsyncIterator[Words]:
    """Open a node, whose loop and end the subscriptions share."""
    async with backend.open_node(LISTEN, config=QUICK) as node:
        said = Words()
        said.hub = Hub(
            node._driver, lambda: list(said.said), most_unread=most_unread, most_subscribers=most_subscribers
        )
        yield said


async def taken(subscription: Subscription[str], count: int) -> list[str | Lagged]:
    """Read so many events."""
    return [await anext(subscription) for _ in range(count)]


async def test_all_are_told_everything_in_order(backend: Backend) -> None:
    """Each begins with what is so at its beginning, and reads in its own time, waiting or not."""
    async with words(backend) as said:
        said.say("before")
        first, second = Subscription(said.hub), Subscription(said.hub)
        async with first:  # Begun on entering …
            said.say("one")
            assert ["before", "one"] == await taken(second, 2)  # … and at the first step.
            said.say("two", "three")
            assert ["before", "one", "two", "three"] == await taken(first, 4)
            got: list[str | Lagged] = []

            async def read() -> None:
                got.extend(await taken(first, 2))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await until(lambda: first.waiter is not None, "the reader waits")
                said.say("four")
                await until(lambda: first.waiter is not None and not first._events, "it was read")
                said.say("five")
            assert ["four", "five"] == got
            assert ["two", "three", "four", "five"] == await taken(second, 4)
        second.close()


async def test_a_reader_that_falls_behind(backend: Backend) -> None:
    """It is told so once, and then what is so now; others are not concerned."""
    async with words(backend, most_unread=3) as said, Subscription(said.hub) as slow, Subscription(said.hub) as quick:
        said.say("one", "two", "three")
        assert ["one", "two", "three"] == await taken(quick, 3)
        said.say("four")
        said.say("five", "six")
        assert ["four", "five", "six"] == await taken(quick, 3)
        assert [Lagged(), "one", "two"] == await taken(slow, 3)
        said.say("seven", "eight", "nine")  # There is room for as many again, beyond what it was told anew.
        assert ["three", "four", "five", "six", "seven", "eight", "nine"] == await taken(slow, 7)
        said.hub.publish(["said"] * 10)  # In one moment more than there is room for.
        assert [Lagged(), "one"] == await taken(slow, 2)
        assert [Lagged(), "one"] == await taken(quick, 2)


async def test_no_more_subscriptions_than_the_bound(backend: Backend) -> None:
    """One more is `Busy`, on entering or at the first step; there is room again for each that was closed."""
    async with words(backend) as said:
        said.say("word")
        async with Subscription(said.hub) as first, Subscription(said.hub), Subscription(said.hub):
            with pytest.raises(Busy) as caught:
                await Subscription(said.hub).__aenter__()
            assert caught.value.retryable
            late = Subscription(said.hub)
            with pytest.raises(Busy):
                await anext(late)
            first.close()
            first.close()
            assert "word" == await anext(late)
        assert [late] == said.hub.subscribers()
        late.close()
        assert [] == said.hub.subscribers()
        assert not said.hub


async def test_who_forgets_to_close(backend: Backend) -> None:
    """A loop that is left early without a context manager leaves nothing behind."""
    async with words(backend) as said:
        said.say("word")
        for _ in range(10):
            async for word in Subscription(said.hub):
                assert "word" == word
                break
        gc.collect()
        assert [] == said.hub.subscribers()
        assert not said.hub


async def test_closing_ends_the_loop(backend: Backend) -> None:
    """Also of a task that waits; nothing is told afterwards, and it does not begin again."""
    async with words(backend) as said:
        said.say("one")
        subscription = Subscription(said.hub)
        got: list[str | Lagged] = []

        async def read() -> None:
            got.extend([word async for word in subscription])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await until(lambda: got or (subscription.waiter is not None and not subscription._events), "it waits")
            subscription.close()
        assert ["one"] == got
        said.say("two")
        with pytest.raises(StopAsyncIteration):
            await anext(subscription)
        with pytest.raises(RuntimeError, match="closed"):
            await subscription.__aenter__()


async def test_one_task_at_a_time(backend: Backend) -> None:
    """A second reader of one subscription is refused, and the first goes on."""
    async with words(backend) as said, Subscription(said.hub) as subscription:
        got: list[str | Lagged] = []

        async def read() -> None:
            got.append(await anext(subscription))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await until(lambda: subscription.waiter is not None, "the first waits")
            with pytest.raises(RuntimeError, match="another task"):
                await anext(subscription)
            said.say("word")
        assert ["word"] == got


async def test_the_end_of_the_node(backend: Backend) -> None:
    """Each step raises `Closed` from then on, whatever was not read, and so does a new subscription."""
    async with words(backend) as said, AsyncExitStack() as stack:
        subscription = await stack.enter_async_context(Subscription(said.hub))
        said.say("word")
        said.hub.engine.abort()
        for _ in range(2):
            with pytest.raises(Closed):
                await anext(subscription)
        with pytest.raises(Closed):
            await taken(Subscription(said.hub), 1)
        with pytest.raises(Closed):
            await Subscription(said.hub).__aenter__()


async def test_a_step_that_was_cancelled_takes_nothing_away(backend: Backend) -> None:
    """Cancelled while it waits, before anything happens or in the same moment: each event is handed out once."""
    async with words(backend) as said, Subscription(said.hub) as subscription:
        got: list[str | Lagged] = []

        async def read() -> None:
            got.append(await anext(subscription))

        for happens in (False, True, True):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await until(lambda: subscription.waiter is not None, "it waits")
                if happens:
                    said.say("word")
                tasks.cancel_scope.cancel()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await read()
            assert len(said.said) == len(got) + len(subscription._events)
            got += await taken(subscription, len(subscription._events))
        assert ["word", "word"] == got


async def test_cancelling_at_each_await(backend: Backend) -> None:
    """Cancelled anywhere, the subscription is gone from the node."""
    async with words(backend) as said:
        said.say("one", "two")

        async def scenario() -> None:
            async with Subscription(said.hub) as subscription:
                await taken(subscription, 2)
                said.hub.publish(["three"])
                await anext(subscription)

        async def check() -> None:
            assert [] == said.hub.subscribers()

        assert await sweep(scenario, check) > 3


async def test_the_bound_of_a_node(backend: Backend) -> None:
    """So many may subscribe to what a node owns, and one more is `Busy`."""
    async with backend.open_node(LISTEN, config=QUICK) as node, AsyncExitStack() as stack:
        for _ in range(QUICK.max_subscriptions):
            await stack.enter_async_context(node.ownership())
        with pytest.raises(Busy):
            await anext(node.ownership())
