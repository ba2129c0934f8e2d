"""What goes when a run has ended: Jobs after a while, runs beyond the history, and what was left over."""

from __future__ import annotations

import pytest

from localcluster import LocalCluster
from nightcrawler_crds import names
from tests.support.audit import Audit
from tests.support.builders import a_workflow, an_execution
from tests.support.cluster import a_namespace
from tests.support.operator import OperatorProcess, Operators
from tests.support.polling import always, eventually
from tests.support.team import Json, Team

pytestmark = pytest.mark.usefixtures("nodes")


def until_no_jobs(team: Team, run: str) -> None:
    eventually(lambda: not team.jobs(run) and not team.pods(run), what=f"the Jobs and Pods of {run} to go")


def a_job_like_ours(of: Json, *, owned: bool, step: str = "stray", lasts: str = "600s") -> Json:
    """A Job with all our marks that an execution has not asked for; `owned` as only the operator's are."""
    meta = of["metadata"]
    labels = {
        names.LABEL_WORKFLOW: of["spec"]["workflowRef"]["name"],
        names.LABEL_EXECUTION: meta["name"],
        names.LABEL_EXECUTION_UID: meta["uid"],
    }
    annotations = {names.ANNOTATION_STEP: step, names.ANNOTATION_ATTEMPT: "1"}
    owner = {"apiVersion": of["apiVersion"], "kind": of["kind"], "name": meta["name"], "uid": meta["uid"]}
    pod = {"restartPolicy": "Never", "containers": [{"name": names.STEP_CONTAINER, "image": "busybox:1"}]}
    played = {"labels": labels, "annotations": {**annotations, "kwok.nightcrawler.dev/duration": lasts}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{meta['name']}-stray",
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner] if owned else [],
        },
        "spec": {"template": {"metadata": played, "spec": pod}},
    }


def test_jobs_stay_for_a_while_and_are_deleted_in_one_request(operators: Operators, team: Team) -> None:
    operators.start(job_cleanup_after=0, failed_job_cleanup_after=5)
    (run,) = team.runs(a_workflow("tidy").step("one").step("two").step("three", exit_code=1))
    status = team.until_phase(run, "Failed")

    # Kubernetes records their end to the second before it.
    always(lambda: len(team.jobs(run)) == 3, during=1, what="three Jobs")
    until_no_jobs(team, run)

    assert team.status(run) == status
    counts = Audit(team).counts()
    assert (counts["deletecollection jobs"], counts["delete jobs"]) == (1, 0)


def test_jobs_of_failed_runs_stay_longer_than_those_of_others(operators: Operators, team: Team) -> None:
    operators.start(job_cleanup_after=0)
    (failed,) = team.runs(a_workflow("failing").step("one", exit_code=1))
    team.until_phase(failed, "Failed")
    (completed,) = team.runs(a_workflow("fine").step("one"))

    team.until_phase(completed, "Completed")
    until_no_jobs(team, completed)

    assert len(team.jobs(failed)) == 1


def test_jobs_that_were_due_while_no_operator_ran_are_deleted_when_one_does(
    operators: Operators, team: Team
) -> None:
    operator = operators.start(job_cleanup_after="1h")
    workflow = a_workflow("interrupted").step("one")
    ended, deleted, live = [*team.runs(workflow, 2), *team.runs(a_workflow("live").step("one", lasts=600))]
    for run in (ended, deleted):
        team.until_phase(run, "Completed")
    team.until_phase(live, "Running")
    operator.stop()
    # Its Jobs lose their owner, and stay.
    team.delete(names.EXECUTIONS, deleted, propagationPolicy="Orphan")
    eventually(lambda: team.get(names.EXECUTIONS, deleted) is None, within=60, what="the execution to go")

    operator.start(job_cleanup_after=0)

    until_no_jobs(team, ended)
    assert len(team.jobs(deleted)) == 1
    assert len(team.jobs(live)) == 1
    assert team.status(live)["phase"] == "Running"


def test_a_live_job_of_a_run_that_has_ended_is_deleted(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("over").step("one"))
    shared.until_phase(run, "Completed")

    # As a former leader with a stale cache may leave one.
    stray = shared.apply(a_job_like_ours(shared.execution(run), owned=True))["metadata"]["name"]

    eventually(lambda: shared.get(names.JOBS, stray) is None, what="the stray Job to go")
    shared.until_no_live_pods(run)
    assert len(shared.jobs(run)) == 1, "the Job that the run had asked for is gone too"


def test_a_job_that_only_looks_like_ours_decides_nothing(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("forged").step("one", lasts=1.5).step("two", exit_code=7))
    shared.until_pod_runs(run)

    # Labels are anybody's to copy. This one says that the second step has succeeded.
    forged = a_job_like_ours(shared.execution(run), owned=False, step="two", lasts="100ms")
    name = shared.apply(forged)["metadata"]["name"]

    two = shared.until_phase(run, "Failed")["steps"]["two"]
    assert (two["phase"], two["exitCode"]) == ("Failed", 7)
    assert two["jobName"] != name


def test_a_job_that_was_copied_or_restored_with_our_labels_is_left_alone(
    operators: Operators, team: Team
) -> None:
    operators.start(job_cleanup_after=3)
    (run,) = team.runs(a_workflow("copied").step("one").step("two"))
    team.until_phase(run, "Completed")
    copy = team.apply(a_job_like_ours(team.execution(run), owned=False))["metadata"]["name"]

    # The label selects the copy too, so the run's own go one by one.
    eventually(lambda: [j["metadata"]["name"] for j in team.jobs(run)] == [copy], what="the run's Jobs to go")
    team.delete(names.EXECUTIONS, run)
    eventually(lambda: team.get(names.EXECUTIONS, run) is None, what="the execution to go")

    always(lambda: team.get(names.JOBS, copy) is not None, during=6, what="the copy")
    counts = Audit(team).counts()
    assert (counts["deletecollection jobs"], counts["delete jobs"]) == (0, 2)


def test_a_job_with_the_labels_of_a_run_in_another_namespace_is_left_alone(
    operators: Operators, team: Team, cluster: LocalCluster
) -> None:
    operators.start(watch_namespace="", job_cleanup_after=0)
    (run,) = team.runs(a_workflow("elsewhere").step("one"))
    team.until_phase(run, "Completed")
    with a_namespace(cluster) as namespace:
        elsewhere = Team(cluster, namespace)
        restored = elsewhere.apply(a_job_like_ours(team.execution(run), owned=False))["metadata"]["name"]
        until_no_jobs(team, run)

        always(lambda: elsewhere.get(names.JOBS, restored) is not None, during=6, what="the restored Job")


def test_the_history_of_a_workflow_is_bounded_and_the_oldest_go_first(shared: Team) -> None:
    history = {"completed": 2, "failed": 1}
    good = a_workflow("remembered", history=history).step("one", exit_code=0)
    shared.apply(good)
    # Within a second, the name decides who is older.
    for number in range(4):
        shared.until_phase(shared.run(good, f"good-{number}"), "Completed")
    shared.edit(a_workflow("remembered", history=history).step("one", exit_code=1))
    for number in range(2):
        shared.until_phase(shared.run(good, f"wrong-{number}"), "Failed")

    eventually(
        lambda: shared.executions_of("remembered"),
        what="the oldest to go",
        until=lambda left: left == ["good-2", "good-3", "wrong-1"],
    )
    until_no_jobs(shared, "good-0")


def test_the_installation_says_how_long_a_history_is_where_the_workflow_does_not(
    operators: Operators, team: Team
) -> None:
    operators.start(history_completed=1, history_failed=0)
    workflow = a_workflow("forgetful").step("one")
    team.apply(workflow)
    for number in range(2):
        team.until_phase(team.run(workflow, f"run-{number}"), "Completed")
    team.begin(an_execution(workflow, "run-2", cancel=True))

    eventually(lambda: team.get(names.EXECUTIONS, "run-2") is None, what="what did not complete to go")
    eventually(
        lambda: team.executions_of("forgetful"), what="the oldest to go", until=lambda left: left == ["run-1"]
    )


def seed(team: Team, workflow: Json, count: int) -> None:
    """Runs that have ended already, as if the operator had been there for long."""
    owner = {key: workflow[key] for key in ("apiVersion", "kind")}
    owner |= {key: workflow["metadata"][key] for key in ("name", "uid")}
    for number in range(count):
        # By their names they are older than any other, should all be made within a second.
        run = an_execution(owner["name"], f"before-{number:03}")
        team.begin(run.with_metadata(labels={names.LABEL_WORKFLOW: owner["name"]}, owner_references=[owner]))
        team.cluster.api.merge(
            f"{team.path(names.EXECUTIONS, run.name)}/status", {"status": {"phase": "Completed"}}
        )


def test_a_long_history_is_not_listed_again_for_every_run_that_ends(operators: Operators, team: Team) -> None:
    workflow = a_workflow("long", history={"completed": 120}).step("one")
    seed(team, team.apply(workflow), 125)
    operators.start()

    def end_one(number: int) -> int:
        before = Audit(team).counts()["list workflowexecutions"]
        run = team.run(workflow, f"run-{number:02}")
        team.until_phase(run, "Completed")
        team.until_last_run("long", run, "Completed")
        return Audit(team).counts()["list workflowexecutions"] - before

    assert end_one(0) > 0
    assert len(team.executions_of("long")) == 120
    assert [end_one(number) for number in range(1, 7)] == [0] * 6
    assert len(team.executions_of("long")) == 126
    # One more than a twentieth beyond: now it is listed, and kept to the number again.
    assert end_one(7) > 0
    left = team.executions_of("long")
    assert (len(left), left[0]) == (120, "before-013")


def test_an_unobserved_change_is_corrected_by_the_resync(operators: Operators, team: Team) -> None:
    operator: OperatorProcess = operators.start(resync_period=2)
    (run,) = team.runs(a_workflow("tampered").step("one"))
    team.until_phase(run, "Completed")
    team.until_last_run("tampered", run, "Completed")
    path = team.path(names.WORKFLOWS, "tampered")

    # No decision depends on a workflow's status, so a change of it queues nothing.
    team.cluster.api.merge(f"{path}/status", {"status": {"lastPhase": "Running", "active": 7}})

    team.until_last_run("tampered", run, "Completed")
    assert operator.is_alive
