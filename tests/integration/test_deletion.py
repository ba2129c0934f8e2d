"""Deleting runs and workflows: nothing of them is left, and a namesake starts afresh."""

from __future__ import annotations

from typing import Final

from nightcrawler_crds import names
from tests.support.builders import a_workflow, an_execution
from tests.support.polling import eventually
from tests.support.team import Team

_COLLECTED_WITHIN: Final = 60.0
"""Seconds. The garbage collector takes up to 30 to notice kinds that are as new as ours are at first."""


def until_nothing_is_left(team: Team, run: str) -> None:
    eventually(
        lambda: [c["metadata"]["name"] for c in (*team.jobs(run), *team.pods(run))],
        within=_COLLECTED_WITHIN,
        what=f"no Job and no Pod of {run}",
        until=lambda left: not left,
    )


def test_deleting_a_running_execution_leaves_no_job_and_no_pod(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("deleted").step("fine").step("long", lasts=600))
    shared.until_pod_runs(run, "long")

    shared.delete(names.EXECUTIONS, run)

    until_nothing_is_left(shared, run)
    assert shared.get(names.EXECUTIONS, run) is None


def test_deleting_a_workflow_ends_and_deletes_its_runs(shared: Team) -> None:
    running, waiting = shared.runs(a_workflow("dropped").step("long", lasts=600), 2)
    for run in (running, waiting):
        shared.until_pod_runs(run)

    shared.delete(names.WORKFLOWS, "dropped")

    for run in (running, waiting):
        until_nothing_is_left(shared, run)
    eventually(lambda: not shared.executions_of("dropped"), what="its executions to go")
    revisions = f"{names.LABEL_WORKFLOW}=dropped"
    eventually(lambda: not shared.every(names.REVISIONS, revisions), what="its revisions to go")


def test_an_execution_of_the_same_name_gets_jobs_of_its_own(shared: Team) -> None:
    workflow = a_workflow("again").step("one", lasts=1.5)
    shared.apply(workflow)
    first = shared.apply(an_execution(workflow, name="namesake"))
    (old,) = eventually(lambda: shared.jobs("namesake"), what="the first one's Job")
    shared.delete(names.EXECUTIONS, "namesake")

    second = shared.apply(an_execution(workflow, name="namesake"))

    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    shared.until_phase("namesake", "Completed")
    made = [j for j in shared.jobs("namesake") if j["metadata"]["uid"] != old["metadata"]["uid"]]
    assert [job["metadata"]["labels"][names.LABEL_EXECUTION_UID] for job in made] == [
        second["metadata"]["uid"]
    ]
    assert made[0]["metadata"]["name"] != old["metadata"]["name"]
