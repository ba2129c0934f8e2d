"""The work queue, on an event loop whose clock jumps to the next timer."""

from __future__ import annotations

import asyncio

import pytest

from nightcrawler_operator.workqueue import FIRST_BACKOFF, LONGEST_BACKOFF, QueueClosed, WorkQueue
from tests.support.virtualtime import now, virtual_time


async def take(queue: WorkQueue[str]) -> str:
    """The next key, which must be in line already."""
    async with asyncio.timeout(0):
        return await queue.get()


@virtual_time
async def test_keys_come_in_the_order_in_which_they_were_added() -> None:
    queue = WorkQueue[str]()
    for key in "cab":
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["c", "a", "b"]


@virtual_time
async def test_a_key_in_line_is_there_once_however_often_it_is_added() -> None:
    queue = WorkQueue[str]()
    for _ in range(5):
        queue.add("a")
    assert (len(queue), queue.added) == (1, 1)
    queue.done(await queue.get())
    assert len(queue) == 0


@virtual_time
async def test_a_key_added_while_a_worker_has_it_comes_again_when_that_worker_is_done() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.add("a")
    assert (len(queue), queue.in_process) == (0, 1)
    queue.done(key)
    assert (len(queue), queue.in_process) == (1, 0)
    queue.done(await queue.get())
    assert (len(queue), queue.in_process) == (0, 0)


@virtual_time
async def test_a_worker_that_waits_gets_the_key_as_soon_as_it_is_added() -> None:
    queue = WorkQueue[str]()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await worker == "a"
    assert now() == 0


@virtual_time
async def test_a_worker_that_is_cancelled_as_it_gets_a_key_leaves_the_key_to_another() -> None:
    queue = WorkQueue[str]()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    async with asyncio.timeout(1):
        assert await second == "a"
    assert first.cancelled()


@virtual_time
async def test_two_keys_wake_two_workers() -> None:
    queue = WorkQueue[str]()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.add("a")
    queue.add("b")
    async with asyncio.timeout(1):
        assert await asyncio.gather(*workers[:2]) == ["a", "b"]
    assert not workers[2].done()
    workers[2].cancel()


@virtual_time
async def test_a_delayed_key_comes_at_its_moment_and_not_before() -> None:
    queue = WorkQueue[str]()
    queue.add_after("late", 30)
    queue.add_at("early", now() + 10)
    assert (len(queue), queue.delayed) == (0, 2)
    assert (await queue.get(), now()) == ("early", 10)
    assert (await queue.get(), now()) == ("late", 30)
    assert queue.delayed == 0


@virtual_time
async def test_the_earliest_of_several_moments_stands() -> None:
    queue = WorkQueue[str]()
    for seconds in (20, 10, 30):
        queue.add_after("a", seconds)
    assert queue.delayed == 1
    assert (await queue.get(), now()) == ("a", 10)
    queue.done("a")
    await asyncio.sleep(60)
    assert len(queue) == 0


@virtual_time
async def test_a_moment_that_was_superseded_can_be_asked_for_again() -> None:
    queue = WorkQueue[str]()
    queue.add_at("a", 20)
    queue.add_at("a", 10)
    queue.done(await queue.get())
    queue.add_at("a", 20)
    assert (await queue.get(), now()) == ("a", 20)
    queue.done("a")
    await asyncio.sleep(60)
    assert len(queue) == 0


@virtual_time
async def test_a_moment_that_has_passed_is_now() -> None:
    queue = WorkQueue[str]()
    await asyncio.sleep(10)
    queue.add_at("a", 5)
    assert await take(queue) == "a"


@virtual_time
async def test_a_delayed_key_can_be_added_at_once_as_well() -> None:
    queue = WorkQueue[str]()
    queue.add_after("a", 10)
    queue.add("a")
    queue.done(await take(queue))
    assert (await queue.get(), now()) == ("a", 10)


@virtual_time
async def test_a_moment_that_comes_while_a_worker_has_the_key_is_kept_for_it() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    key = await queue.get()
    queue.add_after("a", 10)
    await asyncio.sleep(20)
    assert len(queue) == 0
    queue.done(key)
    assert await take(queue) == "a"


@virtual_time
async def test_retries_back_off_from_the_first_to_the_longest_and_no_further() -> None:
    queue = WorkQueue[str]()
    waits = [queue.retry("a") for _ in range(20)]
    assert queue.retried == 20
    plain = [min(FIRST_BACKOFF * 2**n, LONGEST_BACKOFF) for n in range(20)]
    assert all(0.75 * most <= wait <= most for wait, most in zip(waits, plain, strict=True))


@virtual_time
async def test_retries_are_spread_so_that_keys_that_failed_together_do_not_come_together() -> None:
    queue = WorkQueue[str]()
    assert len({queue.retry(f"key-{n}") for n in range(50)}) > 40


@virtual_time
async def test_a_forgotten_key_fails_for_the_first_time_again() -> None:
    queue = WorkQueue[str]()
    for _ in range(10):
        queue.retry("a")
    queue.forget("a")
    queue.forget("a key that never failed")
    assert queue.retry("a") <= FIRST_BACKOFF


@virtual_time
async def test_a_retry_waits_at_least_as_long_as_was_asked_for() -> None:
    queue = WorkQueue[str]()
    assert queue.retry("a", at_least=7) == 7
    assert (await queue.get(), now()) == ("a", 7)


@virtual_time
async def test_the_age_of_the_oldest_key_grows_while_it_waits() -> None:
    queue = WorkQueue[str]()
    assert queue.oldest_age == 0
    queue.add("a")
    await asyncio.sleep(5)
    queue.add("b")
    assert queue.oldest_age == 5
    key = await queue.get()
    assert queue.oldest_age == 0
    await asyncio.sleep(2)
    queue.add(key)
    assert queue.oldest_age == 2


@virtual_time
async def test_a_worker_can_ask_since_when_its_key_was_queued() -> None:
    queue = WorkQueue[str]()
    queue.add_after("a", 3)
    await asyncio.sleep(5)
    key = await queue.get()
    assert queue.wanted_since(key) == 3
    queue.add(key)
    assert queue.wanted_since(key) == 3
    queue.done(key)
    assert queue.wanted_since(key) is None
    assert queue.wanted_since(await queue.get()) == 5


@virtual_time
async def test_what_is_cleared_does_not_come_back_and_the_queue_goes_on() -> None:
    queue = WorkQueue[str]()
    for key in "abc":
        queue.add(key)
    held = await queue.get()
    queue.add(held)
    queue.add_after("later", 10)
    queue.clear()
    queue.done(held)
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(60)
    assert (len(queue), queue.delayed, queue.in_process, worker.done()) == (0, 0, 0, False)
    queue.add("d")
    assert await worker == "d"


@virtual_time
async def test_closing_ends_every_worker() -> None:
    queue = WorkQueue[str]()
    workers = [asyncio.create_task(queue.get()) for _ in range(4)]
    await asyncio.sleep(0)
    queue.close()
    async with asyncio.timeout(1):
        ends = await asyncio.gather(*workers, return_exceptions=True)
    assert [type(end) for end in ends] == [QueueClosed] * 4


@virtual_time
async def test_a_closed_queue_takes_and_gives_nothing_but_workers_can_return_their_keys() -> None:
    queue = WorkQueue[str]()
    queue.add("held")
    queue.add("in line")
    held = await queue.get()
    queue.close()
    queue.add("late")
    queue.add_after("later", 1)
    queue.retry("again")
    queue.done(held)
    await asyncio.sleep(60)
    assert (len(queue), queue.delayed, queue.in_process) == (0, 0, 0)
    with pytest.raises(QueueClosed):
        await queue.get()


@virtual_time
async def test_returning_a_key_that_no_worker_has_is_an_error() -> None:
    with pytest.raises(KeyError):
        WorkQueue[str]().done("a")


@virtual_time
async def test_deadlines_that_were_superseded_do_not_pile_up() -> None:
    queue: WorkQueue[int] = WorkQueue()
    for turn in range(1000, 0, -1):
        queue.add_after(1, float(turn))
    assert queue.delayed == 1
    assert len(queue._heap) < 200


@virtual_time
async def test_a_dropped_deadline_adds_nothing() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 5.0)
    queue.add_after("b", 6.0)
    queue.drop_deadline("a")
    assert await queue.get() == "b"
