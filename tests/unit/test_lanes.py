"""What schedules start has workers of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_operator.controller import Controller
from nightcrawler_operator.keys import ExecutionKey, LeftoverKey, ScheduleKey, WorkKey
from nightcrawler_operator.lanes import Lane, Lanes, may_start_scheduled
from nightcrawler_operator.plan import Done, Outcome
from tests.support.virtualtime import now, run, virtual_time

_WIDTH = 4


def lane_of(key: WorkKey) -> Lane:
    return Lane.SCHEDULE if isinstance(key, ScheduleKey) else Lane.PEOPLE


async def test_a_persons_run_is_not_queued_behind_thousands_of_schedules() -> None:
    lanes = Lanes(lane_of)
    for number in range(5000):
        lanes.add(ScheduleKey("default", f"wf-{number}"))
    mine = ExecutionKey("default", "mine")
    lanes.add(mine)

    assert await lanes[Lane.PEOPLE].get() == mine
    assert len(lanes) == 5000
    assert lanes.wanted_since(mine) is not None
    assert (lanes.added, lanes.in_process, lanes.delayed) == (5001, 1, 0)


async def test_when_another_replica_leads_every_lane_is_emptied() -> None:
    lanes = Lanes(lane_of)
    lanes.add(ScheduleKey("default", "wf"))
    lanes.add_after(ExecutionKey("default", "mine"), 60)
    assert (len(lanes), lanes.delayed) == (1, 1)
    lanes.clear()
    assert (len(lanes), lanes.delayed, lanes.oldest_age) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("in_process", "of_people", "expected"),
    [
        pytest.param(0, 0, True, id="nothing to do for people"),
        pytest.param(200, 0, True, id="however many there are"),
        pytest.param(0, 1, True, id="one beside a person's run"),
        pytest.param(0, 10_000, True, id="one beside any number of them"),
        pytest.param(1, 1, False, id="not two"),
    ],
)
def test_one_scheduled_key_at_a_time_is_processed_beside_runs_of_people(
    in_process: int, of_people: int, expected: bool
) -> None:
    assert may_start_scheduled(in_process, of_people) is expected


class _Work:
    """A reconciler that takes its time, and notes when steps began and how many of each kind there were."""

    wake_delay = 0.0

    def __init__(self, seconds: Mapping[type[WorkKey], float], *, steps: int = 1) -> None:
        self.seconds = seconds
        self.steps = steps
        self.at_once: Counter[type[WorkKey]] = Counter()
        self.began: list[tuple[float, WorkKey, int, int]] = []
        self.controller: Controller[WorkKey]
        self.lanes = Lanes(lane_of)
        self.controller = Controller(
            self.lanes, dict.fromkeys(seconds, self), metrics=self, leads=lambda: True
        )
        self.tasks = [
            asyncio.create_task(self.controller.work(self.lanes[lane]))
            for lane in Lane
            for _ in range(_WIDTH)
        ]

    def all_keys(self) -> Iterable[Any]:
        return ()

    def reconciled(self, kind: str, seconds: float, error: str | None) -> None:
        assert error is None

    async def reconcile(self, key: WorkKey) -> Outcome:
        for step in range(self.steps):
            if step and isinstance(key, ScheduleKey):
                await self.lanes[Lane.SCHEDULE].pause()
            self.at_once[type(key)] += 1
            self.began.append((now(), key, self.at_once[ScheduleKey], self.at_once[ExecutionKey]))
            await asyncio.sleep(self.seconds[type(key)])
            self.at_once[type(key)] -= 1
        return Done()

    def add_schedules(self, count: int) -> None:
        for number in range(count):
            self.lanes.add(ScheduleKey("default", f"wf-{number}"))

    async def close(self) -> None:
        self.lanes.close()
        async with asyncio.timeout(60):
            await asyncio.gather(*self.tasks)

    def schedules(self) -> list[float]:
        """When each schedule's turn was."""
        return [moment for moment, key, *_ in self.began if isinstance(key, ScheduleKey)]


@virtual_time
async def test_schedules_make_room_for_a_persons_run_and_then_go_on_at_full_width() -> None:
    work = _Work({ScheduleKey: 1.0, ExecutionKey: 10.0})
    work.add_schedules(38)
    await asyncio.sleep(0.5)
    work.lanes.add(ExecutionKey("default", "mine"))
    await asyncio.sleep(60)
    began = work.schedules()
    assert began[:4] == [0.0] * 4
    assert began[4:14] == [
        float(second) for second in range(1, 11)
    ]  # one at a time, until the run has its turn
    assert Counter(int(moment - 10.5) for moment in began[14:]) == dict.fromkeys(range(6), _WIDTH)
    await work.close()


@virtual_time
async def test_schedules_go_on_however_many_runs_people_start() -> None:
    work = _Work({ScheduleKey: 1.0, ExecutionKey: 1.0})
    work.add_schedules(100)
    for number in range(1000):
        work.lanes.add(ExecutionKey("default", f"mine-{number}"))
    await asyncio.sleep(105)
    assert len(work.schedules()) == 100
    assert work.lanes[Lane.PEOPLE].outstanding > 0
    await work.close()


@virtual_time
async def test_what_nobody_waits_for_does_not_hold_schedules_up() -> None:
    work = _Work({ScheduleKey: 1.0, LeftoverKey: 30.0})
    for number in range(_WIDTH):
        work.lanes.add(LeftoverKey("default", "old", f"uid-{number}"))
    work.add_schedules(2 * _WIDTH)
    await asyncio.sleep(5)
    assert Counter(work.schedules()) == {0.0: _WIDTH, 1.0: _WIDTH}
    await work.close()


@given(
    st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=40),
    st.floats(0.1, 3),
    st.floats(0.1, 3),
)
def test_every_key_gets_its_turn_and_no_second_scheduled_step_begins_beside_a_persons_run(
    arrivals: list[tuple[float, bool]], of_schedule: float, of_run: float
) -> None:
    async def main() -> None:
        work = _Work({ScheduleKey: of_schedule, ExecutionKey: of_run}, steps=2)
        for number, (pause, scheduled) in enumerate(arrivals):
            await asyncio.sleep(pause)
            kind = ScheduleKey if scheduled else ExecutionKey
            work.lanes.add(kind("default", f"key-{number}"))
        await asyncio.sleep(len(arrivals) * 12 + 10)
        assert Counter(key for _, key, *_ in work.began).total() == work.steps * len(arrivals)
        for _, key, schedules, runs in work.began:
            assert not (isinstance(key, ScheduleKey) and schedules > 1 and runs > 0)
        await work.close()

    run(main())
