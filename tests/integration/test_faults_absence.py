"""What happens while no operator runs is recovered when one starts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import pytest

from localcluster import FakeNode, LocalCluster
from localcluster.fakenodes import POOL
from nightcrawler_crds import names
from nightcrawler_crds.clock import utcnow
from tests.support.builders import WorkflowBuilder, a_chain, a_workflow
from tests.support.exactlyonce import assert_never_two_at_once, assert_ran_once
from tests.support.history import History
from tests.support.operator import OperatorProcess, Operators
from tests.support.polling import eventually
from tests.support.team import Team, is_live

pytestmark = pytest.mark.usefixtures("nodes")

TWO: Final = a_chain("two", 2, lasts=1)


class Absence:
    """An operator that begins a run, dies, and comes back."""

    def __init__(self, operator: OperatorProcess, team: Team) -> None:
        self.team = team
        self.history = History(team)
        self._operator = operator

    def begins(self, workflow: WorkflowBuilder) -> str:
        """A run whose first Pod runs and whose first Job is recorded; then no operator runs.

        What is deleted before it was recorded leaves no trace: its attempt is made as if for the first time.
        """
        self._operator.start()
        self.team.apply(workflow)
        run = self.team.run(workflow)
        self.team.until_pod_runs(run)
        eventually(lambda: self.team.status(run).get("steps"), what="the record of the first Job")
        self._operator.kill()
        return run

    def ends(self) -> None:
        """The operator is back."""
        self._operator.start()


@pytest.fixture
def absence(operators: Operators, team: Team) -> Absence:
    return Absence(operators.make(leader_election=False), team)


def test_a_step_that_ended_during_the_absence_is_recorded_and_the_run_goes_on(
    absence: Absence, team: Team
) -> None:
    run = absence.begins(TWO)
    eventually(lambda: not any(map(is_live, team.pods(run))), what="the end of the first step")

    absence.ends()

    team.until_phase(run, "Completed")
    assert_ran_once(absence.history, run, "s1/1", "s2/1")


def test_a_step_that_failed_during_the_absence_is_retried(absence: Absence, team: Team) -> None:
    run = absence.begins(a_workflow("f").step("s", lasts=1, exit_code=4, retries=1, retry_delay=0))
    eventually(lambda: not any(map(is_live, team.pods(run))), what="the end of the step")

    absence.ends()

    team.until_phase(run, "Failed")
    assert team.step(run, "s")["exitCode"] == 4
    assert_ran_once(absence.history, run, "s/1", "s/2")


def test_a_pod_deleted_during_the_absence_was_disrupted(
    absence: Absence, team: Team, cluster: LocalCluster, add_node: Callable[[FakeNode], None]
) -> None:
    add_node(FakeNode("frozen", labels={POOL: "frozen"}))
    here = {"spec": {"nodeSelector": {POOL: "frozen"}}}
    run = absence.begins(a_workflow("d").step("s", lasts=600, retries=0, pod=here))
    cluster.lose_fake_node("frozen")  # whose kubelet is the test from here on
    add_node(FakeNode("after-frozen"))  # and kwok, which takes one after the other, has observed that
    [pod] = team.pods(run)
    name = pod["metadata"]["name"]
    team.delete(names.PODS, name)
    team.end_pod(pod, exit_code=137)
    ended = utcnow().replace(microsecond=0)
    eventually(lambda: utcnow() >= ended + timedelta(seconds=1), what="the next second")
    # A kubelet asks again when it is done; the finalizer keeps the Pod, whose deletionTimestamp is now that.
    team.delete(names.PODS, name, gracePeriodSeconds=0)
    left = team.get(names.PODS, name)
    assert left is not None
    assert datetime.fromisoformat(left["metadata"]["deletionTimestamp"]) > ended
    cluster.return_fake_node("frozen")

    absence.ends()

    assert team.until_step(run, "s", attempt=2)["disruptions"] == 1
    team.cancel(run)
    team.until_phase(run, "Cancelled")


def delete_pod(team: Team, run: str) -> None:
    [pod] = team.pods(run)
    team.delete(names.PODS, pod["metadata"]["name"], gracePeriodSeconds=0)


def delete_job(team: Team, run: str) -> None:
    [job] = team.jobs(run)
    team.delete(names.JOBS, job["metadata"]["name"])


DELETIONS: Final[dict[str, Callable[[Team, str], None]]] = {"Pod": delete_pod, "Job": delete_job}


@pytest.mark.parametrize("delete", DELETIONS.values(), ids=DELETIONS)
def test_a_step_whose_job_or_pod_was_deleted_during_the_absence_is_retried_for_free(
    delete: Callable[[Team, str], None], absence: Absence, team: Team
) -> None:
    run = absence.begins(a_chain("c", 1, lasts=600))
    delete(team, run)
    eventually(lambda: not any(map(is_live, team.pods(run))), what="the Pod to be gone")

    absence.ends()

    team.until_step(run, "s1", attempt=2)
    team.finish(team.until_pod_runs(run))
    team.until_phase(run, "Completed")
    assert team.step(run, "s1")["disruptions"] == 1
    assert_ran_once(absence.history, run, "s1/1", "s1/2")
    assert_never_two_at_once(absence.history, run)


def test_a_cancellation_during_the_absence_is_carried_out(absence: Absence, team: Team) -> None:
    run = absence.begins(a_chain("c", 2, lasts=600))
    team.cancel(run)

    absence.ends()

    team.until_phase(run, "Cancelled", within=40)
    team.until_no_live_pods(run)
    assert_ran_once(absence.history, run, "s1/1")


def test_a_deletion_during_the_absence_removes_everything_and_frees_the_name(
    absence: Absence, team: Team
) -> None:
    run = absence.begins(a_chain("c", 1, lasts=600))
    team.delete(names.EXECUTIONS, run)
    team.apply(a_chain("quick", 1))
    team.run("quick", run)

    absence.ends()

    team.until_phase(run, "Completed")
    eventually(lambda: [p["metadata"]["name"] for p in team.pods(run) if is_live(p)] == [], within=40)


def test_a_run_that_timed_out_during_the_absence_is_ended(absence: Absence, team: Team) -> None:
    run = absence.begins(a_chain("c", 1, lasts=600).config(timeout=4))

    absence.ends()

    team.until_phase(run, "Failed")
    assert team.condition(names.EXECUTIONS, run, "Finished")["reason"] == "TimedOut"
    team.until_no_live_pods(run)
    assert_ran_once(absence.history, run, "s1/1")


def test_a_workflow_edited_during_the_absence_does_not_change_the_run(absence: Absence, team: Team) -> None:
    run = absence.begins(TWO)
    team.edit(a_chain("two", 1))

    absence.ends()

    team.until_phase(run, "Completed")
    assert_ran_once(absence.history, run, "s1/1", "s2/1")
