"""Schedules with faults: every time is counted exactly once.

To run more: `pytest tests/unit/test_simulated_schedules.py --hypothesis-profile=…` is not needed; set
`NIGHTCRAWLER_STORIES=5000`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.support.modelstore import Death
from tests.support.schedulesimulation import Action, ScheduleSimulation, run_story

STORIES = int(os.environ.get("NIGHTCRAWLER_STORIES", "40"))
many_examples = settings(
    max_examples=STORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

policies = st.sampled_from(["Forbid", "Allow", "Replace"])
options = st.fixed_dictionaries(
    {},
    optional={
        "catchUp": st.booleans(),
        "skipOnFailure": st.booleans(),
        "concurrencyPolicy": policies,
        "startingDeadline": st.sampled_from([30, 600, 86_400]),
    },
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu"])
lines = st.sampled_from(
    ["* * * * *", "*/7 * * * *", "0,30 * * * *", "30 2 * * *", "15 1,2,3 * * *", "0 */6 * * 1-5"]
)
crons = st.builds(lambda cron, zone: {"type": "cron", "cron": cron, "timeZone": zone}, lines, zones)
intervals = st.sampled_from([10, 60, 3600]).map(lambda seconds: {"type": "interval", "interval": seconds})
schedules = st.builds(lambda one, more: one | more, crons | intervals, options)
begins = st.sampled_from(
    [
        datetime(2025, 7, 10, 14, 0, 3, tzinfo=UTC),
        datetime(2025, 3, 29, 23, 30, tzinfo=UTC),
        datetime(2025, 10, 25, 22, 59, 59, tzinfo=UTC),
        datetime(2025, 10, 4, 14, 0, tzinfo=UTC),
    ]
)
replica = st.integers(0, 1)
deaths = st.builds(Death, st.integers(0, 6), st.booleans())
spans = st.sampled_from([1, 5, 10, 30, 60, 61, 600, 3_600, 7_200, 86_400])
any_action = st.one_of(
    st.builds(Action, st.just("catch up"), replica=replica),
    st.builds(Action, st.just("catch up"), replica=replica, death=deaths),
    st.builds(Action, st.just("work"), replica=replica, death=st.none() | deaths),
    st.builds(Action, st.just("observe"), many=st.integers(1, 3), replica=replica),
    st.builds(Action, st.just("time"), many=spans),
    # Long strides, so that runs get anywhere; the small steps above vary the order.
    st.builds(Action, st.just("later"), many=spans, replica=replica),
    st.builds(Action, st.just("later"), many=spans, replica=replica, death=deaths),
    st.builds(Action, st.sampled_from(["complete", "complete", "fail", "cancel"]), many=st.integers(0, 2)),
    st.builds(Action, st.sampled_from(["prune", "suspend", "resume"])),
)
edits = st.builds(Action, st.sampled_from(["edit", "recreate"]), schedule=schedules)
clocks = st.builds(
    Action, st.sampled_from(["clock jumps", "clock returns"]), many=st.sampled_from([40, 7_300])
)


def played(
    schedule: dict[str, Any], actions: list[Action], replicas: int, begin: datetime
) -> ScheduleSimulation:
    story = ScheduleSimulation(schedule, replicas, begin)
    run_story(story, [Action("catch up"), *actions])
    for outcome in story.invariants.counted:
        event(outcome)
    event(f"deaths: {min(3, sum(one.deaths for one in story.replicas))}")
    return story


def test_a_time_that_was_to_replace_a_run_waits_for_it_once_the_schedule_forbids_two() -> None:
    schedule = {"type": "interval", "interval": 10, "concurrencyPolicy": "Replace"}
    edited = {"type": "cron", "cron": "* * * * *", "timeZone": "UTC"}
    actions = [Action("later", many=10), Action("later", many=10), Action("edit", schedule=edited)]
    run_story(
        ScheduleSimulation(schedule, 1, datetime(2025, 7, 10, 14, 0, 3, tzinfo=UTC)),
        [Action("catch up"), *actions],
    )


@many_examples
@given(schedules, st.lists(any_action, min_size=8, max_size=40), begins)
def test_every_time_counts_once_after_any_crash(
    schedule: dict[str, Any], actions: list[Action], begin: datetime
) -> None:
    played(schedule, actions, 1, begin)


@many_examples
@given(schedules, st.lists(any_action, min_size=8, max_size=40), begins)
def test_every_time_counts_once_with_two_leaders(
    schedule: dict[str, Any], actions: list[Action], begin: datetime
) -> None:
    played(schedule, actions, 2, begin)


@many_examples
@given(schedules, st.lists(any_action | edits, min_size=8, max_size=40), begins)
def test_every_time_counts_once_through_edits_and_re_creation(
    schedule: dict[str, Any], actions: list[Action], begin: datetime
) -> None:
    played(schedule, actions, 1, begin)


@many_examples
@given(schedules, st.lists(any_action | clocks, min_size=8, max_size=40), begins)
def test_no_clock_error_stops_a_schedule(
    schedule: dict[str, Any], actions: list[Action], begin: datetime
) -> None:
    story = played(schedule, [*actions, Action("resume")], 1, begin)
    recorded = story.state
    assert datetime.fromisoformat(recorded["nextScheduledTime"]) - story.server.now <= timedelta(days=4)
