"""The change hub: every follower gets every change while it is subscribed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.state.hub import Change, ChangeQueue, Hub, Resync
from tests.support.views import workflow

steps = st.lists(
    st.one_of(
        st.just("change"),
        st.tuples(st.just("subscribe"), st.booleans()),
        st.tuples(st.just("unsubscribe"), st.integers(0, 5)),
    ),
    max_size=40,
)


def change(number: int = 1) -> Change[Any]:
    return Change("workflows", None, workflow(version=number))


@given(steps)
def test_a_follower_gets_all_changes_until_it_unsubscribes(made: list[Any]) -> None:
    logging.disable()
    hub = Hub()
    followers: list[tuple[Callable[[], None], list[Any]]] = []
    expected: list[list[Any]] = []
    active: set[int] = set()

    def follower(received: list[Any], *, fails: bool) -> Callable[[Change[Any]], None]:
        def follow(one: Change[Any]) -> None:
            received.append(one)
            if fails:
                raise ValueError(one)

        return follow

    for number, step in enumerate(made):
        if step == "change":
            one = change(number)
            hub.publish(one)
            for index in active:
                expected[index].append(one)
        elif step[0] == "subscribe":
            received: list[Any] = []
            followers.append((hub.subscribe(follower(received, fails=step[1])), received))
            expected.append([])
            active.add(len(followers) - 1)
        elif step[1] < len(followers):
            followers[step[1]][0]()
            active.discard(step[1])
    logging.disable(logging.NOTSET)
    assert [received for _, received in followers] == expected


def test_a_follower_that_fails_is_logged_and_the_next_one_is_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = Hub()
    received: list[Any] = []

    def fail(_: Change[Any]) -> None:
        raise ValueError("broken")

    hub.subscribe(fail)
    hub.subscribe(received.append)
    hub.publish(change())
    assert len(received) == 1
    assert "a follower of changes failed on one of workflows" in caplog.text
    assert "broken" in caplog.text


def test_a_follower_that_another_one_unsubscribes_is_not_called_any_more() -> None:
    hub = Hub()
    received: list[Any] = []
    ends: list[Callable[[], None]] = []
    hub.subscribe(lambda _: ends[0]())
    ends.append(hub.subscribe(received.append))
    hub.publish(change())
    assert received == []


def test_one_function_may_subscribe_twice_and_unsubscribes_each_separately() -> None:
    hub = Hub()
    received: list[Any] = []
    end = hub.subscribe(received.append)
    hub.subscribe(received.append)
    end()
    end()
    hub.publish(change())
    assert len(received) == 1


def test_a_publisher_names_the_kind_of_its_cache() -> None:
    hub = Hub()
    received: list[Change[Any]] = []
    hub.subscribe(received.append)
    view = workflow()
    hub.publisher("workflows")(None, view)
    hub.publisher("workflows")(view, None)
    assert received == [Change("workflows", None, view), Change("workflows", view, None)]


# --- queues ----------------------------------------------------------------------------------------


class Model:
    """What a queue is expected to hold."""

    def __init__(self, limit: int) -> None:
        self.items: list[Any] = []
        self._limit = limit

    def put(self, one: Change[Any]) -> None:
        """What a change does to it."""
        self.items = [Resync()] if len(self.items) >= self._limit else [*self.items, one]


@given(st.integers(1, 4), st.lists(st.booleans(), max_size=40))
def test_a_queue_has_all_changes_in_order_or_says_that_it_lost_some(limit: int, made: list[bool]) -> None:
    async def follow() -> None:
        hub = Hub()
        queue, model = hub.queue(limit), Model(limit)
        for number, publishes in enumerate(made):
            if publishes:
                one = change(number)
                hub.publish(one)
                model.put(one)
            elif model.items:
                assert await queue.get() == model.items.pop(0)
            assert len(queue._items) <= limit
        assert list(queue._items) == model.items

    asyncio.run(follow())


async def test_a_waiting_follower_gets_the_next_change() -> None:
    hub = Hub()
    queue = hub.queue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    one = change()
    hub.publish(one)
    assert await waiting == one


async def test_a_closed_queue_ends_its_iteration_and_unsubscribes() -> None:
    hub = Hub()
    queue = hub.queue()

    async def all_of(queue: ChangeQueue) -> list[Any]:
        return [item async for item in queue]

    waiting = asyncio.create_task(all_of(queue))
    await asyncio.sleep(0)
    queue.close()
    queue.close()
    hub.publish(change())
    assert await waiting == []
    assert hub._followers == {}
