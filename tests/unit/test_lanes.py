"""What schedules start has workers of its own."""

from __future__ import annotations

from nightcrawler_operator.keys import ExecutionKey, ScheduleKey, WorkKey
from nightcrawler_operator.lanes import Lane, Lanes


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
