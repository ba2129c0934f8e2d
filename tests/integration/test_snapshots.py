"""What a run uses is kept when it begins: editing its workflow changes later runs only."""

from __future__ import annotations

from typing import Any

from nightcrawler_crds import names
from tests.support.builders import a_workflow
from tests.support.operator import Operators
from tests.support.polling import eventually
from tests.support.team import Team


def image_of(job: dict[str, Any]) -> str:
    image: str = job["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def revisions(team: Team, workflow: str) -> list[str]:
    found = team.every(names.REVISIONS, f"{names.LABEL_WORKFLOW}={workflow}")
    return [revision["metadata"]["name"] for revision in found]


def test_an_edited_workflow_changes_nothing_of_a_run_that_has_begun(shared: Team) -> None:
    before = a_workflow("edited").step("one", lasts=1.5).step("two", image="old:1").step("three")
    (run,) = shared.runs(before)
    shared.until_pod_runs(run, "one")

    shared.edit(a_workflow("edited").step("one").step("two", image="new:1"))

    status = shared.until_phase(run, "Completed")
    assert status["progress"] == "3/3"
    (job,) = shared.jobs(run, "two")
    assert image_of(job) == "old:1"
    later = shared.run("edited")
    assert shared.until_phase(later, "Completed")["progress"] == "2/2"
    (job,) = shared.jobs(later, "two")
    assert image_of(job) == "new:1"
    assert shared.status(later)["revision"] != status["revision"]


def test_an_edit_in_the_middle_of_a_run_reaches_neither_retries_nor_parameters(shared: Team) -> None:
    before = (
        a_workflow("retried", parameters=[{"name": "epochs", "default": 10}])
        .step("one", lasts=0.5)
        .step("two", exit_code=1, retries=1, retry_delay="2s")
    )
    (run,) = shared.runs(before)
    shared.until_step(run, "two", phase="Retrying")

    shared.edit(a_workflow("retried", parameters=[{"name": "epochs", "default": 99}]).step("two", retries=0))

    shared.until_phase(run, "Failed")
    first, second = shared.jobs(run, "two")
    assert first["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "10"
    env = second["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "PARAM_epochs", "value": "10"} in env


def test_runs_of_the_same_content_share_one_revision(shared: Team) -> None:
    workflow = a_workflow("shared").step("one")
    first, second = shared.runs(workflow, 2)
    used = {shared.until_phase(run, "Completed")["revision"] for run in (first, second)}
    shared.edit(workflow.with_spec(description="Said better, but the same work.", tags=["new"]))
    third = shared.run("shared")

    used.add(shared.until_phase(third, "Completed")["revision"])

    assert list(used) == revisions(shared, "shared")


def test_every_job_names_the_revision_it_was_made_from(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("named").step("one").step("two"))

    status = shared.until_phase(run, "Completed")

    named = {job["metadata"]["annotations"][names.ANNOTATION_REVISION] for job in shared.jobs(run)}
    assert named == {status["revision"]}


def test_a_revision_is_deleted_with_the_last_run_that_used_it(shared: Team) -> None:
    workflow = a_workflow("pruned", history={"completed": 1}).step("one", image="one:1")
    shared.apply(workflow)
    first = shared.run("pruned", "pruned-1")  # within a second, the name decides who is older
    old = shared.until_phase(first, "Completed")["revision"]
    shared.edit(a_workflow("pruned", history={"completed": 1}).step("one", image="two:1"))
    second = shared.run("pruned", "pruned-2")
    new = shared.until_phase(second, "Completed")["revision"]

    left = eventually(
        lambda: revisions(shared, "pruned"), what="the old revision to go", until=lambda seen: old not in seen
    )

    assert left == [new]
    assert shared.get(names.EXECUTIONS, first) is None


def test_a_run_of_a_named_revision_has_its_content_and_keeps_it_from_being_pruned(shared: Team) -> None:
    shared.apply(a_workflow("rerun", history={"completed": 1}).step("one", image="one:1"))
    old = shared.until_phase(shared.run("rerun", "rerun-1"), "Completed")["revision"]
    shared.edit(a_workflow("rerun", history={"completed": 1}).step("one", image="two:1"))
    again = shared.run("rerun", "rerun-2", revision=old, trigger={"type": "Rerun", "rerunOf": "rerun-1"})

    status = shared.until_phase(again, "Completed")

    (job,) = shared.jobs(again)
    assert (status["revision"], image_of(job)) == (old, "one:1")
    assert old in revisions(shared, "rerun")


def test_a_repeated_run_waits_for_its_revision_which_may_come_back(operators: Operators, team: Team) -> None:
    """As if an operator had deleted it between two requests of the facade, which brings it back."""
    operator = operators.start()
    team.apply(a_workflow("back").step("one", image="one:1"))
    old = team.until_phase(team.run("back", "back-1"), "Completed")["revision"]
    team.edit(a_workflow("back").step("one", image="two:1"))
    content = team.get(names.REVISIONS, old)
    assert content is not None
    team.delete(names.REVISIONS, old)
    operator.restart()  # it has cached the revision
    team.until_phase(team.run("back", "back-2", revision=old), "Failed")
    repeated = {"revision": old, "trigger": {"type": "Rerun", "rerunOf": "back-1"}}
    early = team.run("back", "back-3", **repeated)
    team.until_condition(names.EXECUTIONS, early, "Accepted", "Unknown")

    kept = {key: content["metadata"][key] for key in ("name", "labels", "ownerReferences")}
    team.cluster.api.post(team.path(names.REVISIONS), {**content, "metadata": kept})

    for run in (early, team.run("back", "back-4", revision=old)):
        team.until_phase(run, "Completed")
        (job,) = team.jobs(run)
        assert image_of(job) == "one:1"


def test_a_run_of_a_revision_of_another_workflow_is_refused(shared: Team) -> None:
    (other,) = shared.runs(a_workflow("other").step("one"))
    theirs = shared.until_phase(other, "Completed")["revision"]
    shared.apply(a_workflow("mine").step("one"))

    status = shared.until_phase(shared.run("mine", revision=theirs), "Failed")

    accepted = next(c for c in status["conditions"] if c["type"] == "Accepted")
    assert accepted["reason"] == "RevisionNotFound"
    assert "'mine'" in status["message"]
