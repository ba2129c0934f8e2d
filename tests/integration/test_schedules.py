"""Schedules on a real API server: what is started, skipped and dropped, and that no time runs twice.

`NIGHTCRAWLER_KILLS_FOR=600` kills the operator at random for ten minutes instead of half a minute.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import pytest

from localcluster import LocalCluster
from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire, utcnow
from tests.support.builders import WorkflowBuilder, a_workflow
from tests.support.history import History
from tests.support.operator import QUICK_LEASE, Operators
from tests.support.polling import eventually
from tests.support.team import ENDED, Team

pytestmark = pytest.mark.usefixtures("nodes")

KILLS_FOR: Final = float(os.environ.get("NIGHTCRAWLER_KILLS_FOR", "30"))
Json = dict[str, Any]


def every_ten_seconds(
    name: str, *, first_in: float = 2, lasts: float = 0.1, **fields: Any
) -> WorkflowBuilder:
    """A workflow whose first time is in so many seconds."""
    exit_code = fields.pop("exit_code", None)
    start = to_wire(utcnow() + timedelta(seconds=first_in))
    schedule = {"type": "interval", "interval": "10 seconds", "start": start, **fields}
    return a_workflow(name).step("one", lasts=lasts, exit_code=exit_code).config(schedule=schedule)


def state(team: Team, workflow: str) -> Json:
    """What is recorded of a schedule; empty before anything is."""
    found = team.get(names.WORKFLOWS, workflow) or {}
    recorded: Json = found.get("status", {}).get("schedule") or {}
    return recorded


def outcomes(team: Team, workflow: str) -> list[tuple[str, str]]:
    """Outcome and reason of the recent times."""
    return [(e["outcome"], e.get("reason", "")) for e in state(team, workflow).get("recent", [])]


def until_outcomes(team: Team, workflow: str, *wanted: tuple[str, str], within: float = 90) -> None:
    """Wait until the first outcomes are these."""
    eventually(
        lambda: outcomes(team, workflow),
        until=lambda seen: seen[: len(wanted)] == list(wanted),
        within=within,
        what=f"the schedule of {workflow} to show {wanted}",
    )


def scheduled_times(team: Team, workflow: str) -> list[datetime]:
    """The scheduled times of a workflow's runs, in order."""
    runs = team.every(names.EXECUTIONS, f"{names.LABEL_WORKFLOW}={workflow}")
    return sorted(datetime.fromisoformat(run["spec"]["trigger"]["scheduledTime"]) for run in runs)


def test_a_time_is_run_under_a_name_that_follows_from_it(shared: Team) -> None:
    uid = shared.apply(every_ten_seconds("tick"))["metadata"]["uid"]

    until_outcomes(shared, "tick", ("Started", "Completed"))

    recorded = state(shared, "tick")
    first = recorded["recent"][0]
    assert first["execution"] == names.scheduled_run_name("tick", uid, first["time"])
    run = shared.execution(first["execution"])
    assert run["spec"]["executor"] == "schedule"
    assert run["spec"]["trigger"] == {"type": "Schedule", "scheduledTime": first["time"]}
    assert [owner["uid"] for owner in run["metadata"]["ownerReferences"]] == [uid]
    table = shared.cluster.kubectl("get", "wf", "tick", "-n", shared.namespace)
    columns, row = (line.split() for line in table.splitlines())
    assert columns[2:5] == ["SCHEDULE", "NEXT", "LAST"]
    assert "seconds" in row[3]
    assert row[4].startswith("20")


def test_after_a_failed_run_exactly_the_next_time_is_skipped(shared: Team) -> None:
    shared.apply(every_ten_seconds("failing", exit_code=1, skipOnFailure=True))

    until_outcomes(
        shared, "failing", ("Started", "Failed"), ("Skipped", "FailedBefore"), ("Started", "Failed")
    )
    described = shared.cluster.kubectl("describe", "wf", "failing", "-n", shared.namespace)
    assert "ScheduleSkipped" in described
    assert "FailedBefore (the scheduled run before it failed)" in described


def test_a_time_is_skipped_while_the_last_run_is_running(shared: Team) -> None:
    shared.apply(every_ten_seconds("long", lasts=600))

    until_outcomes(shared, "long", ("Started", "Running"), ("Skipped", "StillRunning"))

    assert len(scheduled_times(shared, "long")) == 1


def test_a_run_is_replaced_by_the_next_after_it_has_ended(shared: Team) -> None:
    shared.apply(every_ten_seconds("replaced", lasts=600, concurrencyPolicy="Replace"))

    until_outcomes(shared, "replaced", ("Started", "Cancelled"), ("Started", "Cancelled"))

    first, second = state(shared, "replaced")["recent"][:2]
    ended = shared.status(first["execution"])["completionTime"]
    assert ended <= shared.execution(second["execution"])["metadata"]["creationTimestamp"]


def test_a_suspended_schedule_starts_nothing_until_it_is_resumed(shared: Team) -> None:
    workflow = every_ten_seconds("paused")
    shared.apply(workflow.with_spec(suspend=True))

    until_outcomes(shared, "paused", ("Dropped", "Suspended"))
    assert "nextScheduledTime" not in state(shared, "paused")
    shared.edit(workflow.with_spec(suspend=False))

    eventually(lambda: scheduled_times(shared, "paused"), what="a run")
    assert all(pair == ("Dropped", "Suspended") for pair in outcomes(shared, "paused")[:1])


def test_a_bad_schedule_is_refused_in_the_status_and_starts_nothing(shared: Team) -> None:
    schedule = {"type": "cron", "cron": "99 * * * *", "timeZone": "Europe/Berlim"}
    shared.apply(a_workflow("bad").step("one").config(schedule=schedule))

    refused = shared.until_condition(names.WORKFLOWS, "bad", "Accepted", "False")

    assert refused["reason"] == "InvalidSpec"
    assert "minute '99' is not understood; it takes 0 to 59" in refused["message"]
    assert "is it 'Europe/Berlin' that was meant?" in refused["message"]
    assert state(shared, "bad") == {}


def test_a_name_in_use_drops_the_time(shared: Team) -> None:
    workflow = every_ten_seconds("taken", first_in=15)
    uid = shared.apply(workflow)["metadata"]["uid"]
    time = workflow.spec["config"]["schedule"]["start"]
    other = a_workflow("other").step("one")
    shared.apply(other)
    shared.run(other, names.scheduled_run_name("taken", uid, time))

    until_outcomes(shared, "taken", ("Dropped", "NameTaken"))


def test_a_run_of_a_deleted_workflow_is_not_adopted_by_one_of_its_name(
    operators: Operators, team: Team
) -> None:
    operators.start(workflow_not_found_grace=1)
    uid = team.apply(a_workflow("again").step("one"))["metadata"]["uid"]
    team.delete(names.WORKFLOWS, "again")
    eventually(lambda: team.get(names.WORKFLOWS, "again") is None, what="the workflow to be gone")
    team.apply(a_workflow("again").step("one"))
    owner = {"apiVersion": names.API_VERSION, "kind": "Workflow", "name": "again", "uid": uid}
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "WorkflowExecution",
        "metadata": {"name": "orphan", "ownerReferences": [owner]},
        "spec": {"workflowRef": {"name": "again"}},
    }
    team.apply(body)

    # The garbage collector deletes it, too, as soon as it has found that its owner is gone.
    seen = eventually(
        lambda: team.get(names.EXECUTIONS, "orphan") or {"gone": True},
        until=lambda run: "gone" in run or run.get("status", {}).get("phase") in ENDED,
        what="the run to be refused or collected",
    )
    if "gone" not in seen:
        assert seen["status"]["phase"] == "Failed"
        assert team.condition(names.EXECUTIONS, "orphan", "Accepted")["reason"] == "WorkflowNotFound"
        assert not team.jobs("orphan")


def test_fifty_missed_times_are_caught_up_one_after_the_other(operators: Operators, team: Team) -> None:
    operator = operators.start()
    start = to_wire(utcnow() - timedelta(hours=1))
    schedule = {"type": "interval", "interval": "1 minute", "start": start, "catchUp": True}
    workflow = a_workflow("missed", history={"completed": 100}).step("one").config(schedule=schedule)
    team.apply(workflow)
    eventually(lambda: state(team, "missed"), what="the schedule to be observed")
    operator.stop()
    # As if the operator had been away for fifty times.
    decided = to_wire(datetime.fromisoformat(start) + timedelta(minutes=10))
    path = team.path(names.WORKFLOWS, "missed") + "/status"
    cluster: LocalCluster = team.cluster
    cluster.api.merge(path, {"status": {"schedule": {"lastScheduledTime": decided}}})

    operator.start()

    times = eventually(
        lambda: scheduled_times(team, "missed"),
        until=lambda seen: len(seen) >= 50,
        within=240,
        what="fifty runs",
    )
    first = datetime.fromisoformat(decided) + timedelta(minutes=1)
    assert times[:50] == [first + timedelta(minutes=n) for n in range(50)]
    runs = team.every(names.EXECUTIONS, f"{names.LABEL_WORKFLOW}=missed")
    runs.sort(key=lambda run: run["spec"]["trigger"]["scheduledTime"])
    for one, following in pairwise(runs):
        # Whole seconds: one may have ended within the second in which the next was created.
        assert one["status"]["completionTime"] <= following["metadata"]["creationTimestamp"]


def test_every_time_runs_once_however_often_the_operator_is_killed(operators: Operators, team: Team) -> None:
    history = History(team)
    operator = operators.make(**QUICK_LEASE)
    operator.start()
    # Nothing is kept: a run that was pruned must not be created again.
    workflow = every_ten_seconds("hunted", catchUp=True).with_spec(history={"completed": 0})
    team.apply(workflow)
    begin = datetime.fromisoformat(workflow.spec["config"]["schedule"]["start"])
    until = utcnow() + timedelta(seconds=KILLS_FOR)
    chance = random.Random(11)
    while utcnow() < until:
        _wait(chance.uniform(0.2, 6))
        operator.kill()
        operator.launch()

    due = (utcnow() - begin) // timedelta(seconds=10)
    wanted = {to_wire(begin + timedelta(seconds=10) * n) for n in range(due + 1)}

    def started() -> Counter[str]:
        return Counter(
            change.object["spec"]["trigger"]["scheduledTime"]
            for change in history.until_now(names.EXECUTIONS)
            if change.kind == "ADDED"
        )

    # A time is recorded before its run is created.
    made = eventually(
        started, until=lambda made: wanted <= made.keys(), within=120, what="every time to be run"
    )
    assert {time: count for time, count in made.items() if count > 1} == {}


def _wait(seconds: float) -> None:
    until = utcnow() + timedelta(seconds=seconds)
    eventually(lambda: utcnow() > until, what="the moment to kill")
