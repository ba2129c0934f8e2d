"""What a workflow's status says of it and of its runs."""

from __future__ import annotations

from nightcrawler_crds import names
from tests.support.builders import a_workflow
from tests.support.team import Team


def test_a_workflow_shows_its_last_run_and_how_many_are_in_flight(shared: Team) -> None:
    first, second = shared.runs(a_workflow("shown").step("one", lasts=600), 2)
    latest = max(first, second, key=shared.made)
    seen = shared.until_last_run("shown", latest, "Running", active=2)
    assert seen["lastRunTime"] == shared.execution(latest)["metadata"]["creationTimestamp"]

    for run in (first, second):
        shared.cancel(run)

    shared.until_last_run("shown", latest, "Cancelled", active=0)


def test_a_workflow_that_has_never_run_says_that_it_is_accepted(shared: Team) -> None:
    shared.apply(a_workflow("new").step("one"))

    accepted = shared.until_condition(names.WORKFLOWS, "new", "Accepted", "True")

    assert (accepted["reason"], accepted["message"]) == ("Valid", "it can run")
    deferred = shared.condition(names.WORKFLOWS, "new", "Deferred")
    assert (deferred["status"], deferred["reason"]) == ("False", "NothingDeferred")
    found = shared.get(names.WORKFLOWS, "new")
    assert found is not None
    assert found["status"]["observedGeneration"] == 1
    assert "lastExecution" not in found["status"]


def test_who_may_do_what_is_kept_and_keeps_the_operator_from_nothing(shared: Team) -> None:
    workflow = a_workflow("ahead", priority="high", environment_strategy="cost").step("one")
    workflow = workflow.config(security={"visibility": "Private", "auditLogging": True})
    kept = shared.apply(workflow)

    deferred = shared.until_condition(names.WORKFLOWS, "ahead", "Deferred", "False")

    assert deferred["reason"] == "NothingDeferred"
    assert kept["spec"] == workflow.manifest()["spec"]
    shared.until_phase(shared.run("ahead"), "Completed")


def test_kubectl_get_shows_progress(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("listed", priority="low").step("one", exit_code=4, says="no such file"))
    shared.until_phase(run, "Failed")
    shared.until_last_run("listed", run, "Failed")

    table = shared.cluster.kubectl("get", "wf,wfe", "-n", shared.namespace, "--no-headers")

    (workflow,) = [line.split() for line in table.splitlines() if "/listed " in line]
    (execution,) = [line for line in table.splitlines() if f"/{run} " in line]
    assert "True" in workflow
    assert "Failed" in execution
    assert "0/1" in execution
    assert "ended with exit code 4: no such file" in execution
