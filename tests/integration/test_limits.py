"""Limits on running runs on the real API server: by workflow, Environment, namespace and installation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pytest

from localcluster import FakeNode, LocalCluster
from localcluster.fakenodes import POOL
from nightcrawler_crds import names
from nightcrawler_crds.names import EXECUTIONS
from nightcrawler_crds.v1alpha1 import conditions
from tests.support.audit import Audit
from tests.support.builders import WorkflowBuilder, a_chain, a_workflow, an_environment
from tests.support.facade import serving
from tests.support.history import Change, History
from tests.support.operator import Operators, operators_in
from tests.support.polling import eventually
from tests.support.team import Team

Json = dict[str, Any]

NARROW: Final = an_environment("narrow", node_selector={POOL: "narrow"}, max_running=3)
GRANTED: Final = conditions.GRANTED


@pytest.fixture(scope="module", autouse=True)
def places(cluster: LocalCluster) -> Iterator[None]:
    """An Environment in which three runs may be under way, and one that is the default, both on one node."""
    everywhere = Team(cluster, "default")
    cluster.add_fake_nodes(FakeNode("narrow-1", gpus=0, cpu="64", labels={POOL: "narrow"}))
    environments = (NARROW, an_environment("wide", node_selector={POOL: "narrow"}, default=True))
    for environment in environments:
        everywhere.apply(environment)
    yield
    for environment in environments:
        everywhere.delete(names.ENVIRONMENTS, environment.name)
    cluster.remove_node("narrow-1")


def until_in_line(team: Team, run: str) -> str:
    """Wait until a run is recorded to wait for its places; the sentence that says for what."""
    found = team.until_condition(EXECUTIONS, run, GRANTED, "False")
    assert found["reason"] == conditions.QUEUED
    assert team.status(run)["message"] == found["message"]
    return str(found["message"])


def a_run_of(workflow: WorkflowBuilder, team: Team) -> str:
    """A run of a workflow, under way."""
    run = team.run(workflow)
    team.until_pod_runs(run)
    return run


def granted_by(status: Json) -> bool | None:
    """Whether a status says that its run has its places; None if it says nothing about them."""
    found = (one["status"] == "True" for one in status.get("conditions", ()) if one["type"] == GRANTED)
    return next(found, None)


class Watched:
    """What a history shows of runs under limits."""

    def __init__(self, history: History) -> None:
        self._executions = history.of(EXECUTIONS)
        jobs = [change for change in history.of(names.JOBS) if change.kind == "ADDED"]
        self.begun: dict[str, Change] = {}
        for change in jobs:
            self.begun.setdefault(change.object["metadata"]["labels"][names.LABEL_EXECUTION], change)
        self.ended: dict[str, int] = {}
        self.granted: dict[str, int] = {}
        self.waited: set[str] = set()
        for change in self._executions:
            if change.phase in ("Completed", "Failed", "Cancelled") or change.kind == "DELETED":
                self.ended.setdefault(change.name, change.number)
            granted = granted_by(change.object.get("status", {}))
            if granted:
                self.granted.setdefault(change.name, change.number)
            elif granted is False:
                self.waited.add(change.name)

    def statuses(self, run: str) -> list[Json]:
        """The statuses of a run, one after another, from the first that was written."""
        of_run = (change.object.get("status", {}) for change in self._executions if change.name == run)
        return [status for status, _ in groupby(of_run) if status]

    def most(self, what: str = "", value: str = "") -> int:
        """How many runs were ever under way at once; of those alone whose first Job has that mark."""
        changes = []
        for run, job in self.begun.items():
            marks = job.object["metadata"]["labels"] | job.object["metadata"]["annotations"]
            if marks.get(what, "") == value:
                changes += [(job.number, 1), (self.ended[run], -1)]
        under_way, most = 0, 0
        for _, change in sorted(changes):
            under_way += change
            most = max(most, under_way)
        return most


def test_two_hundred_runs_stay_within_all_limits_while_leaders_are_killed(
    operators: Operators, team: Team
) -> None:
    limits: dict[str, Any] = {"max_running": 9, "max_running_in": f"{team.namespace}=8"}
    settings: dict[str, Any] = {"history_completed": 300, "lease_duration": 15, **limits}
    first, second = operators.start(**settings), operators.make(**settings)
    second.start(leading=False)
    history = History(team)
    alone = a_workflow("alone", max_running=2).step("one", lasts=0.1)
    narrow = a_workflow("narrow", environments=["narrow"]).step("one", lasts=0.1)
    free = a_workflow("free").step("one", lasts=0.1)
    for workflow in (alone, narrow, free):
        team.apply(workflow)

    runs = [team.run(workflow) for _ in range(66) for workflow in (alone, narrow, free)]
    runs += [team.run(free), team.run(free)]

    def until_ended(enough: int) -> None:
        eventually(
            lambda: sum(run.get("status", {}).get("phase") == "Completed" for run in team.every(EXECUTIONS)),
            until=lambda count: count >= enough,
            within=120,
            what=f"{enough} runs to end",
        )

    for enough, victim in ((40, first), (110, second)):
        until_ended(enough)
        victim.kill()
        victim.start(leading=False)
    until_ended(len(runs))

    seen = Watched(history)
    assert seen.begun.keys() == seen.granted.keys() == set(runs)
    assert all(seen.granted[run] < job.number for run, job in seen.begun.items())
    assert seen.most(names.LABEL_WORKFLOW, "alone") <= 2
    assert seen.most(names.ANNOTATION_ENVIRONMENT, "narrow") <= 3
    total = seen.most()
    assert 4 <= total <= 8


def test_runs_get_places_by_priority_then_age_and_say_what_they_wait_for(
    operators: Operators, team: Team
) -> None:
    operators.start(max_running=1)
    history = History(team)
    workflows = {
        priority: a_workflow(priority, priority=priority).step("one", lasts=0.1)
        for priority in ("low", "medium", "high", "critical")
    }
    for workflow in workflows.values():
        team.apply(workflow)
    team.apply(long := a_workflow("long").step("one", lasts=3600))
    first = a_run_of(long, team)

    waiting: dict[str, str] = {}
    for priority in ("low", "medium", "high", "critical", "low"):
        run = team.run(workflows[priority])
        waiting[run] = priority
        message = until_in_line(team, run)
        assert message.startswith("waits for its turn: the installation has 1 of at most 1 run under way")
    most_important = ("critical", "high", "medium", "low")
    # Within one second by name.
    expected = sorted(waiting, key=lambda run: (most_important.index(waiting[run]), team.made(run)))
    assert message.endswith(f"and {expected.index(run)} wait before it")
    team.finish(team.pods(first)[0])
    for run in waiting:
        team.until_phase(run, "Completed")

    granted = Watched(history).granted
    assert sorted(waiting, key=granted.__getitem__) == expected


def test_a_limit_holds_at_once_when_it_is_raised_or_taken_away(operators: Operators, team: Team) -> None:
    operators.start()
    workflow = a_workflow("w", max_running=1).step("one", lasts=3600)
    team.apply(workflow)
    first = a_run_of(workflow, team)
    # Of those that are created within one second, the first is the first by name.
    second, third, fourth = sorted((team.run(workflow) for _ in range(3)), key=team.made)
    for run in (second, third, fourth):
        sentence = until_in_line(team, run)
        assert sentence.startswith("waits for its turn: workflow 'w' has 1 of at most 1 run under way")

    team.edit(workflow.with_spec(max_running=2))
    team.until_pod_runs(second)
    assert (team.jobs(third), team.jobs(fourth)) == ([], [])

    team.edit(workflow.with_spec(max_running=None))
    team.until_pod_runs(third)
    team.until_pod_runs(fourth)

    # A lowered limit ends nothing, and nothing more begins.
    team.edit(workflow.with_spec(max_running=1))
    fifth = team.run(workflow)
    until_in_line(team, fifth)
    for run in (first, second, third):
        team.cancel(run)
        team.until_phase(run, "Cancelled")
    assert team.jobs(fifth) == []
    team.cancel(fourth)
    team.until_pod_runs(fifth)


def test_a_run_that_is_cancelled_or_deleted_in_line_leaves_it(operators: Operators, team: Team) -> None:
    operators.start()
    workflow = a_workflow("w", environments=["narrow"], max_running=1).step("one", lasts=3600)
    team.apply(workflow)
    first = a_run_of(workflow, team)
    cancelled, deleted, last = sorted((team.run(workflow) for _ in range(3)), key=team.made)
    for run in (cancelled, deleted, last):
        until_in_line(team, run)
    assert team.status(cancelled)["environment"] == "narrow"

    team.cancel(cancelled)
    assert team.until_phase(cancelled, "Cancelled")["message"] == "cancelled before it began"
    team.delete(EXECUTIONS, deleted)
    team.finish(team.pods(first)[0])

    team.until_pod_runs(last)
    assert team.jobs(cancelled) == []


def test_a_limit_costs_a_write_of_a_run_that_waits_and_none_of_one_that_does_not(
    operators: Operators, team: Team
) -> None:
    """What the other writes are for, and how many, `test_economy` shows."""
    operators.start(job_cleanup_after=0, max_running=4)
    history = History(team)
    workflow = a_chain("frugal", 5, lasts=0.1)
    team.apply(workflow)
    runs = [team.run(workflow) for _ in range(8)]
    for run in runs:
        team.until_phase(run, "Completed")

    requests = Audit(team).requests()
    writes = Counter(r.name for r in requests if r.what == "patch workflowexecutions/status")
    watched = Watched(history)
    assert len(watched.waited) >= 4
    for run in runs:
        statuses = watched.statuses(run)
        assert len(statuses) == writes[run], "a write changed nothing"
        in_line = [status for status in statuses if granted_by(status) is False]
        assert len(in_line) == (run in watched.waited), in_line
        # What grants the places says that it is accepted, or has waited: no other write is needed.
        first = next(status for status in statuses if granted_by(status))
        assert statuses.index(first) == len(in_line)
    print(f"status writes: {sorted(writes.values())}; {len(watched.waited)} runs waited")  # noqa: T201


def test_a_run_in_line_shows_its_place_and_when_it_is_expected_to_start(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    with (
        serving(cluster, tmp_path) as served,
        operators_in(cluster, served.namespace, tmp_path) as operators,
    ):
        team = Team(cluster, served.namespace)
        operators.start()
        workflow = a_workflow("w", max_running=1).step("one", lasts=3600).config(timeout="2 hours")
        team.apply(workflow)
        assert served.ask("GET", "/w")["maxRunning"] == 1
        first = served.execute("w")
        team.until_pod_runs(first)
        runs = [served.execute("w") for _ in range(2)]
        for run in runs:
            until_in_line(team, run)
        runs.sort(key=team.made)  # within one second by name
        team.until_phase(first, "Running")

        def shown(run: str) -> Json:
            return served.ask("GET", f"/w/executions/{run}")

        def in_line(run: str) -> Json:
            return eventually(
                lambda: shown(run), until=lambda one: "placeInLine" in one, what=f"the place of {run}"
            )

        for place, run in enumerate(runs, 1):
            line = in_line(run)
            assert (line["placeInLine"], line["waitingReason"]) == (place, "Queued")
            assert line["waitingSince"] == team.execution(run)["metadata"]["creationTimestamp"]
            # Without an earlier run, each is expected to take as long as it may.
            start = datetime.fromisoformat(team.status(first)["startTime"]) + timedelta(hours=2 * place)
            assert abs(datetime.fromisoformat(line["expectedStart"]) - start) < timedelta(minutes=1)
        assert "placeInLine" not in shown(first)
        (row,) = (one for one in served.ask("GET", "/w/executions")["executions"] if one["id"] == runs[1])
        assert "workflow 'w' has 1 of at most 1 run under way" in row["message"]

        team.finish(team.pods(first)[0])
        team.until_pod_runs(runs[0])
        eventually(
            lambda: shown(runs[1])["placeInLine"], until=lambda place: place == 1, what="it to be the next"
        )
        assert "waitingReason" not in shown(runs[0])
