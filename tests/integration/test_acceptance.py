"""Which executions are accepted, and why the others are refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from nightcrawler_crds import names
from tests.support.builders import WorkflowBuilder, a_workflow, an_execution
from tests.support.operator import Operators
from tests.support.team import Team

CANNOT_RUN = {
    "cycle": (
        a_workflow("cycle")
        .step("a", depends_on=["c"])
        .step("b", depends_on=["a"])
        .step("c", depends_on=["b"]),
        "DependencyCycle",
        "steps wait for each other: a → c → b → a; remove one of these from dependsOn",
    ),
    "itself": (a_workflow("itself").step("a", depends_on=["a"]), "DependencyCycle", "a → a"),
    "dangling": (
        a_workflow("dangling").step("a", depends_on=["b"]),
        "UnknownDependency",
        "step 'a' depends on 'b', and there is no such step",
    ),
    "empty": (a_workflow("empty"), "NoSteps", "the workflow has no steps"),
    "privileged": (
        a_workflow("privileged").step(
            "a", pod={"spec": {"containers": [{"name": "step", "securityContext": {"privileged": True}}]}}
        ),
        "InvalidPodTemplate",
        "podTemplate.spec.containers[0].securityContext.privileged: true is not allowed",
    ),
    "mounting": (
        a_workflow("mounting").step("a", pod={"spec": {"volumes": [{"name": "host", "hostPath": {}}]}}),
        "InvalidPodTemplate",
        "podTemplate.spec.volumes[0].hostPath: a hostPath volume is not allowed",
    ),
    "borrowing": (
        a_workflow("borrowing").step("a", pod={"spec": {"serviceAccountName": "admin"}}),
        "InvalidPodTemplate",
        "podTemplate.spec.serviceAccountName: it is not allowed",
    ),
    "misspelt": (
        a_workflow("misspelt").step("a", pod={"spec": {"securityContxt": {"runAsUser": 1000}}}),
        "InvalidPodTemplate",
        "podTemplate.spec.securityContxt: there is no such field; is it 'securityContext' that was meant?",
    ),
    "removing": (
        a_workflow("removing").step("a", pod={"spec": {"nodeSelector": None}}),
        "InvalidPodTemplate",
        "podTemplate.spec.nodeSelector: must not be null",
    ),
    "choosing": (
        a_workflow("choosing").step("a", pod={"spec": {"nodeName": "master"}}),
        "InvalidPodTemplate",
        "podTemplate.spec.nodeName: it is not allowed",
    ),
    "prying": (
        a_workflow("prying").step("a", env_from=[{"secretRef": {"name": "nightcrawler-mail"}}]),
        "InvalidSpec",
        "envFrom[0].secretRef.name: 'nightcrawler-mail' cannot be used",
    ),
    "posing": (
        a_workflow("posing").step("a", pod={"metadata": {"labels": {names.LABEL_EXECUTION: "other"}}}),
        "InvalidPodTemplate",
        "is Nightcrawler's own",
    ),
}


@pytest.fixture(scope="module")
def refused(shared: Team) -> dict[str, str]:
    """An execution of each workflow that cannot run; all at once, for each has to wait its second."""
    return {name: shared.runs(workflow)[0] for name, (workflow, *_) in CANNOT_RUN.items()}


@pytest.mark.parametrize(("workflow", "reason", "message"), CANNOT_RUN.values(), ids=CANNOT_RUN)
def test_what_cannot_run_is_refused_on_the_workflow_and_on_its_execution(
    shared: Team, refused: dict[str, str], workflow: WorkflowBuilder, reason: str, message: str
) -> None:
    run = refused[workflow.name]

    status = shared.until_phase(run, "Failed")

    on_run = shared.condition(names.EXECUTIONS, run, "Accepted")
    on_workflow = shared.until_condition(names.WORKFLOWS, workflow.name, "Accepted", "False")
    assert (on_run["status"], on_run["reason"]) == ("False", reason)
    assert (on_workflow["reason"], on_workflow["message"]) == (reason, on_run["message"])
    assert message in on_run["message"]
    assert status["message"] == on_run["message"]
    assert shared.condition(names.EXECUTIONS, run, "Finished")["reason"] == "NotAccepted"
    assert shared.jobs(run) == []


def test_a_corrected_workflow_is_accepted(shared: Team) -> None:
    shared.apply(a_workflow("corrected").step("a", depends_on=["b"]))
    shared.until_condition(names.WORKFLOWS, "corrected", "Accepted", "False")

    shared.edit(a_workflow("corrected").step("a"))

    said = shared.until_condition(names.WORKFLOWS, "corrected", "Accepted", "True")
    assert said["observedGeneration"] == 2
    shared.until_phase(shared.run("corrected"), "Completed")


def test_an_execution_created_by_kubectl_is_adopted_by_its_workflow(shared: Team) -> None:
    workflow = shared.apply(a_workflow("adopting").step("one"))
    run = shared.run("adopting")

    shared.until_phase(run, "Completed")

    metadata = shared.execution(run)["metadata"]
    (owner,) = metadata["ownerReferences"]
    assert owner["uid"] == workflow["metadata"]["uid"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Workflow", "adopting", True)
    assert metadata["labels"] == {names.LABEL_WORKFLOW: "adopting"}
    assert "finalizers" not in metadata


def test_adoption_keeps_other_owners_and_labels(shared: Team) -> None:
    shared.apply(a_workflow("owned").step("one"))
    other = shared.apply(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "somebody"},
            "spec": {
                "suspend": True,
                "template": {
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1"}]}
                },
            },
        }
    )
    owner: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": "somebody",
        "uid": other["metadata"]["uid"],
        "controller": True,
    }
    run = shared.begin(
        an_execution("owned").with_metadata(owner_references=[owner], labels={"team": "vision"})
    )

    shared.until_phase(run, "Completed")

    metadata = shared.execution(run)["metadata"]
    assert [o["kind"] for o in metadata["ownerReferences"]] == ["Job", "Workflow"]
    assert metadata["labels"] == {"team": "vision", names.LABEL_WORKFLOW: "owned"}


def test_an_execution_may_be_applied_before_its_workflow(shared: Team) -> None:
    run = shared.run("late")
    shared.until_condition(names.EXECUTIONS, run, "Accepted", "Unknown")
    assert shared.status(run)["phase"] == "Pending"
    assert "waits for workflow 'late'" in shared.status(run)["message"]

    shared.apply(a_workflow("late").step("one"))

    status = shared.until_phase(run, "Completed", within=20)
    assert status["message"] == "its step completed"


def test_without_any_environments_every_name_is_accepted(shared: Team) -> None:
    workflow = a_workflow("anywhere").step("one")
    shared.apply(workflow)
    run = shared.begin(an_execution(workflow, environment="wherever"))

    status = shared.until_phase(run, "Completed")

    assert status["environment"] == "wherever"
    assert shared.condition(names.EXECUTIONS, run, "Placed")["reason"] == "ThisCluster"


def test_an_execution_whose_workflow_does_not_come_fails_after_a_while(
    operators: Operators, team: Team
) -> None:
    operators.start(workflow_not_found_grace=2)
    run = team.run("nowhere")

    status = team.until_phase(run, "Failed", within=20)

    created = team.execution(run)["metadata"]["creationTimestamp"]
    waited = datetime.fromisoformat(status["completionTime"]) - datetime.fromisoformat(created)
    assert waited.total_seconds() >= 2
    accepted = team.condition(names.EXECUTIONS, run, "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "WorkflowNotFound")
    assert "there is no workflow 'nowhere'" in status["message"]
