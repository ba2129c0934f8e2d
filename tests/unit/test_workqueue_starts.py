"""When the work queue lets a key start or go on, and what it counts as outstanding."""

from __future__ import annotations

import asyncio

from nightcrawler_operator.workqueue import QueueClosed, WorkQueue
from tests.support.virtualtime import now, virtual_time


@virtual_time
async def test_a_key_that_may_not_start_waits_for_one_that_is_processed() -> None:
    queue = WorkQueue[str](may_start=lambda in_process: in_process < 1)
    queue.add("a")
    queue.add("b")
    first = await queue.get()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(60)
    assert (len(queue), [worker.done() for worker in workers]) == (1, [False] * 3)
    queue.done(first)
    async with asyncio.timeout(1):
        done, others = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
    assert ([worker.result() for worker in done], len(others)) == (["b"], 2)
    queue.done("b")
    for each in "cd":  # the workers that were refused are of use again
        queue.add(each)
        await asyncio.sleep(1)
        queue.done(each)
    assert all(worker.done() for worker in workers)


@virtual_time
async def test_a_worker_that_was_refused_asks_again_when_it_is_asked_to() -> None:
    allowed = False
    queue = WorkQueue[str](may_start=lambda _: allowed)
    queue.add("a")
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert (len(queue), worker.done()) == (1, False)
    allowed = True
    queue.ask_again()
    async with asyncio.timeout(1):
        assert await worker == "a"


@virtual_time
async def test_a_refused_worker_that_is_cancelled_leaves_the_key_to_another() -> None:
    allowed = False
    queue = WorkQueue[str](may_start=lambda _: allowed)
    queue.add("a")
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    first.cancel()
    await asyncio.sleep(1)
    allowed = True
    queue.ask_again()
    async with asyncio.timeout(1):
        assert await second == "a"
    assert first.cancelled()


@virtual_time
async def test_closing_ends_refused_workers_too() -> None:
    queue = WorkQueue[str](may_start=lambda _: False)
    queue.add("a")
    workers = [asyncio.create_task(queue.get()) for _ in range(4)]
    await asyncio.sleep(1)
    queue.close()
    async with asyncio.timeout(1):
        ends = await asyncio.gather(*workers, return_exceptions=True)
    assert [type(end) for end in ends] == [QueueClosed] * 4


@virtual_time
async def test_a_paused_key_goes_on_as_soon_as_it_might_start_and_before_others() -> None:
    most = 2
    queue = WorkQueue[str](may_start=lambda in_process: in_process < most)
    for key in "abc":
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    waiting = asyncio.create_task(queue.get())
    async with asyncio.timeout(0):
        await queue.pause()  # beside the other one, it might start
    most = 1
    paused = asyncio.create_task(queue.pause())
    await asyncio.sleep(1)
    assert (paused.done(), waiting.done()) == (False, False)
    queue.done("b")
    async with asyncio.timeout(1):
        await paused
    await asyncio.sleep(1)
    assert not waiting.done()
    queue.done("a")
    async with asyncio.timeout(1):
        assert await waiting == "c"


@virtual_time
async def test_of_keys_that_are_all_paused_one_goes_on() -> None:
    queue = WorkQueue[str](may_start=lambda in_process: in_process < 1 or most_keys)
    most_keys = True
    for key in "abc":
        queue.add(key)
        await queue.get()
    most_keys = False
    paused = [asyncio.create_task(queue.pause()) for _ in range(3)]
    await asyncio.sleep(1)
    assert sum(pause.done() for pause in paused) == 1
    for _ in range(2):
        await queue.pause()  # the one that goes on has further steps: it need not wait for the others
    for key in "abc":
        queue.done(key)
    async with asyncio.timeout(1):
        await asyncio.gather(*paused)


@virtual_time
async def test_a_paused_key_whose_worker_is_cancelled_holds_nothing_up() -> None:
    most = 2
    queue = WorkQueue[str](may_start=lambda in_process: in_process < most)
    for key in "abc":
        queue.add(key)
    held = [await queue.get(), await queue.get()]
    most = 1
    paused = asyncio.create_task(queue.pause())
    await asyncio.sleep(1)
    paused.cancel()
    await asyncio.wait([paused])
    assert paused.cancelled()
    for key in held:
        queue.done(key)
    async with asyncio.timeout(1):
        assert await queue.get() == "c"


@virtual_time
async def test_closing_ends_pauses() -> None:
    queue = WorkQueue[str](may_start=lambda _: False)
    paused = asyncio.create_task(queue.pause())
    await asyncio.sleep(1)
    queue.close()
    async with asyncio.timeout(1):
        await paused


@virtual_time
async def test_what_is_outstanding_is_ready_or_processed() -> None:
    fell_to_none: list[float] = []
    queue = WorkQueue[str](counts=str.isupper, on_none_outstanding=lambda: fell_to_none.append(now()))
    for each in ("A", "A", "b", "C"):
        queue.add(each)
    queue.add_after("D", 5)  # not before then
    assert queue.outstanding == 2
    for each in ("A", "b"):
        assert await queue.get() == each
    queue.add("A")  # again, once its worker is done
    queue.done("A")
    queue.done("b")
    assert queue.outstanding == 2
    assert [await queue.get(), await queue.get()] == ["C", "A"]
    queue.done("C")
    queue.done("A")
    assert (queue.outstanding, fell_to_none) == (0, [0])
    await asyncio.sleep(6)
    assert queue.outstanding == 1
    queue.clear()
    assert (queue.outstanding, fell_to_none) == (0, [0, 6])
