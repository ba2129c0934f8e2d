"""Properties of the work queue: nothing is lost, no key is processed twice at once, and the order is kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import looptime
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typing_extensions import override

from nightcrawler_operator.workqueue import WorkQueue
from tests.support.virtualtime import run

T = TypeVar("T")

keys = st.sampled_from("abcde")
spans = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, 7.0])


def _counts(key: str) -> bool:
    return key in "ab"


class QueueAgainstModel(RuleBasedStateMachine):
    """The queue beside a model of lists, sorted at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop()
        self.queue = WorkQueue[str](counts=_counts)
        self.line: list[str] = []
        self.again: set[str] = set()
        self.held: set[str] = set()
        self.later: dict[str, tuple[float, int]] = {}
        self.asked = 0

    @override
    def teardown(self) -> None:
        self.loop.close()

    def run(self, call: Callable[[], T]) -> T:
        async def inside() -> T:
            return call()

        return self.loop.run_until_complete(inside())

    def model_add(self, key: str) -> None:
        if key in self.held:
            self.again.add(key)
        elif key not in self.line:
            self.line.append(key)

    @rule(key=keys)
    def add(self, key: str) -> None:
        self.run(lambda: self.queue.add(key))
        self.model_add(key)

    @rule(key=keys, span=spans)
    def add_after(self, key: str, span: float) -> None:
        moment = self.loop.time() + span
        self.run(lambda: self.queue.add_at(key, moment))
        self.asked += 1
        if span == 0:
            self.model_add(key)
        elif key not in self.later or self.later[key][0] > moment:
            self.later[key] = (moment, self.asked)

    @rule(span=spans)
    def let_time_pass(self, span: float) -> None:
        until = self.loop.time() + span
        self.loop.run_until_complete(asyncio.sleep(span))
        due = sorted((place, key) for key, place in self.later.items() if place[0] <= until)
        for _, key in due:
            del self.later[key]
            self.model_add(key)

    @precondition(lambda self: self.line)
    @rule()
    def get(self) -> None:
        key = self.loop.run_until_complete(self.queue.get())
        assert key == self.line.pop(0)
        assert key not in self.held
        self.held.add(key)

    @precondition(lambda self: not self.line)
    @rule()
    def give_up_waiting(self) -> None:
        async def impatient() -> None:
            worker = asyncio.create_task(self.queue.get())
            await asyncio.sleep(0)
            worker.cancel()
            await asyncio.wait([worker])
            assert worker.cancelled()

        self.loop.run_until_complete(impatient())

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        self.run(lambda: self.queue.done(key))
        self.held.remove(key)
        if key in self.again:
            self.again.remove(key)
            self.line.append(key)

    @rule()
    def clear(self) -> None:
        self.run(self.queue.clear)
        self.line.clear()
        self.again.clear()
        self.later.clear()

    @invariant()
    def counts_agree(self) -> None:
        counts = (len(self.queue), self.queue.in_process, self.queue.delayed)
        assert counts == (len(self.line), len(self.held), len(self.later))
        assert self.queue.outstanding == sum(map(_counts, [*self.line, *self.held]))


QueueAgainstModel.TestCase.settings = settings(deadline=None, stateful_step_count=60)
test_the_queue_does_what_its_model_does = QueueAgainstModel.TestCase


class Workers:
    """Workers that take their time, and notice if they meet over one key."""

    def __init__(self, queue: WorkQueue[str], pauses: list[float]) -> None:
        self.queue = queue
        self.pauses = pauses
        self.busy: Counter[str] = Counter()
        self.started: dict[str, float] = {}
        self.finished = 0

    async def work(self) -> None:
        while True:
            key = await self.queue.get()
            self.busy[key] += 1
            assert self.busy[key] == 1, f"two workers have {key!r}"
            self.started[key] = asyncio.get_running_loop().time()
            await asyncio.sleep(self.pauses[self.finished % len(self.pauses)])
            self.busy[key] -= 1
            self.finished += 1
            self.queue.done(key)


@given(
    adds=st.lists(st.tuples(spans, keys, spans), min_size=1, max_size=40),
    pauses=st.lists(st.floats(0, 5), min_size=1, max_size=5),
    count=st.integers(1, 4),
)
def test_every_key_is_processed_after_its_last_addition_and_never_by_two_workers(
    adds: list[tuple[float, str, float]], pauses: list[float], count: int
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue = WorkQueue[str]()
        workers = Workers(queue, pauses)
        tasks = [asyncio.create_task(workers.work()) for _ in range(count)]
        last_added: dict[str, float] = {}
        for pause, key, delay in adds:
            await asyncio.sleep(pause)
            queue.add_after(key, delay)
            if delay == 0:
                last_added[key] = loop.time()
        await asyncio.sleep(10 + 5 * len(adds))
        assert (len(queue), queue.delayed, queue.in_process) == (0, 0, 0)
        for _, key, _ in adds:
            assert workers.started[key] >= last_added.get(key, 0)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends

    run(main())
