"""Jobs whose Pods the operator makes: they look, and can be removed, like any others."""

from __future__ import annotations

import pytest

from nightcrawler_crds import names
from tests.support.builders import a_workflow
from tests.support.operator import Operators
from tests.support.polling import eventually
from tests.support.team import Json, Team


def shown(job: Json) -> dict[str, str | int]:
    """What `kubectl get jobs` looks at."""
    status = job["status"]
    kinds = {c["type"] for c in status.get("conditions", ()) if c["status"] == "True"}
    counts = {key: status[key] for key in ("active", "succeeded", "failed") if status.get(key)}
    return {**counts, "end": next(iter(kinds & {"Complete", "Failed"}), "")}


def the_job(team: Team, run: str, step: str, attempt: int = 1) -> Json:
    marks = [(j["metadata"]["annotations"][names.ANNOTATION_ATTEMPT], j) for j in team.jobs(run, step)]
    return next(job for number, job in marks if number == str(attempt))


def test_a_job_reports_how_its_pod_ended_and_its_pod_has_its_name(shared: Team) -> None:
    workflow = a_workflow("ended", order="Graph").step("well", lasts=0.2)
    (run,) = shared.runs(workflow.step("badly", exit_code=3, retries=1, retry_delay=60))
    shared.until_step(run, "badly", phase="Retrying")
    shared.until_step(run, "well", phase="Completed")

    eventually(
        lambda: [shown(the_job(shared, run, step)) for step in ("well", "badly")],
        what="the ends of both Jobs",
        until=lambda seen: seen == [{"succeeded": 1, "end": "Complete"}, {"failed": 1, "end": "Failed"}],
    )
    well = the_job(shared, run, "well")
    assert well["spec"]["managedBy"] == names.MANAGED_BY
    assert [pod["metadata"]["name"] for pod in shared.pods(run, "well")] == [well["metadata"]["name"]]
    assert well["status"]["startTime"] <= well["status"]["completionTime"]
    shared.cancel(run)


@pytest.mark.parametrize("over", [False, True], ids=["its run goes on", "its run has ended"])
def test_a_pod_that_has_ended_can_be_deleted(shared: Team, over: bool) -> None:
    workflow = a_workflow(f"drained-{over}".lower()).step("one")
    (run,) = shared.runs(workflow if over else workflow.step("two", lasts=600))
    if over:
        shared.until_phase(run, "Completed")
    else:
        shared.until_pod_runs(run, "two")
    eventually(lambda: shown(the_job(shared, run, "one"))["end"] == "Complete", what="the Job's end")
    (pod,) = shared.pods(run, "one")

    shared.delete(names.PODS, pod["metadata"]["name"])

    eventually(lambda: not shared.pods(run, "one"), what="the Pod to be gone")
    one = shared.until_step(run, "one", phase="Completed")
    assert (one["attempt"], one["exitCode"]) == (1, 0)
    assert shown(the_job(shared, run, "one"))["end"] == "Complete"
    shared.cancel(run)


def test_a_pod_is_deleted_with_its_job_after_the_run(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("removed").step("one"))
    shared.until_phase(run, "Completed")
    (job,) = shared.jobs(run)

    shared.delete(names.JOBS, job["metadata"]["name"])

    eventually(lambda: not shared.pods(run), what="the Pod to be gone with its Job")


def test_with_the_job_controller_in_charge_a_run_is_the_same(
    operators: Operators, team: Team, nodes: object
) -> None:
    operators.start(managed_jobs=False)
    workflow = a_workflow("plain").step("one").step("two", exit_code=3, retries=1, retry_delay=0.5)
    (run,) = team.runs(workflow)

    status = team.until_phase(run, "Failed")

    steps = status["steps"]
    assert [(steps[s]["phase"], steps[s]["attempt"]) for s in ("one", "two")] == [
        ("Completed", 1),
        ("Failed", 2),
    ]
    jobs = team.jobs(run)
    assert len(jobs) == 3
    assert not any("managedBy" in job["spec"] for job in jobs)
