"""What comes in the way of a run that has begun: GPUs, nodes, Environments, revisions that go."""

from __future__ import annotations

from typing import Any, Final

from nightcrawler_crds.building.run import NewJob
from nightcrawler_crds.planning.nodes import Nodes
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.plan import OldObject, Waiting
from tests.support.plans import planned, step_of
from tests.support.snapshots import (
    a_job,
    a_new_execution,
    a_pod,
    a_snapshot,
    a_step,
    an_environment,
    at,
    job_name,
    wire,
)

TRAIN: Final = "train"
A100: Final = Nodes(frozenset({"NVIDIA-A100-SXM4-80GB"}), frozenset({"node-1"}))
NO_GPU: Final = Nodes(frozenset(), frozenset({"node-1"}))
RAN: Final[dict[str, Any]] = {"startTime": wire(1)}


def test_a_further_attempt_waits_for_the_gpu_model_too() -> None:
    step = a_step(TRAIN, retries=2, retryDelay=30, resources={"gpu": "1x NVIDIA A100"})
    failure: dict[str, Any] = {"completionTime": wire(10), "reason": conditions.STEP_ERROR, "exitCode": 1}
    failed = a_snapshot(step).recorded(TRAIN, "Retrying", **failure).with_pod(a_pod().exited(1, end=10))

    without = planned(failed.with_fields(nodes=NO_GPU), 40)
    again = planned(failed.with_fields(nodes=A100), 40)

    assert without.later_jobs == ()
    assert step_of(without)["reason"] == conditions.STEP_NO_SUCH_GPU
    assert again.later_jobs == (NewJob(TRAIN, 2, job_name(TRAIN, 2)),)


def test_a_step_that_has_run_is_not_over_its_queue_timeout_when_its_pod_is_gone() -> None:
    gone = (
        a_snapshot(TRAIN).recorded(TRAIN, "Running", **RAN).with_job(a_job()).with_limits(queue_timeout=100)
    )

    plan = planned(gone, 500)

    assert plan.status is None or plan.status.get("phase") != "Failed"
    assert plan.outcome == Waiting(at(505))


def test_the_timeout_of_a_step_holds_on_a_node_that_does_not_answer() -> None:
    lost = a_snapshot(a_step(TRAIN, timeout=60)).recorded(TRAIN, "Running", **RAN)
    lost = lost.with_fields(nodes=Nodes(), looked_up={job_name(TRAIN): at(100)})
    plan = planned(lost.with_pod(a_pod().running().allowed(62)), 100)
    assert step_of(plan)["reason"] == conditions.STEP_TIMED_OUT


def test_a_lost_pod_is_looked_at_again_when_its_grace_period_is_over() -> None:
    forceful = an_environment("lab", forceDeleteOnLostNode=True)
    pod = a_pod().running().deleted(50, grace=30)
    lost = (
        a_snapshot(TRAIN)
        .recorded(TRAIN, "Running", **RAN)
        .with_fields(nodes=Nodes(), environments=(forceful,))
    )
    lost = lost.with_status(environment="lab").with_pod(pod)

    assert planned(lost, 60).outcome == Waiting(at(80))
    assert planned(lost, 80).force_delete_pods == (OldObject(pod.view.metadata.name, pod.view.metadata.uid),)


def test_a_lost_pod_that_never_started_is_not_reported_as_running() -> None:
    pod = a_pod().on_node("node-1").deleted(50, grace=30)
    lost = a_snapshot(TRAIN).recorded(TRAIN, "Pending").with_fields(nodes=Nodes()).with_pod(pod)
    step = step_of(planned(lost, 60))
    assert (step.get("phase"), step["reason"]) == (None, conditions.STEP_NODE_LOST)


def test_steps_do_not_move_to_other_nodes_when_their_environment_is_gone() -> None:
    placed = {
        "type": conditions.PLACED,
        "status": "True",
        "reason": conditions.CHOSEN,
        "message": "",
        "lastTransitionTime": wire(0),
    }
    run = a_snapshot("a", "b").recorded("a", "Completed", completionTime=wire(5), exitCode=0)
    run = run.with_status(environment="lab", conditions=[*run.status["conditions"], placed])

    gone = planned(run, 6)
    there = planned(run.with_fields(environments=(an_environment("lab"),)), 6)

    assert gone.first_jobs == ()
    assert step_of(gone, "b")["reason"] == conditions.UNKNOWN_ENVIRONMENT
    assert [job.step for job in there.first_jobs] == ["b"]


def test_a_refused_run_gets_its_workflow_as_owner_so_that_history_finds_it() -> None:
    needy = a_new_execution("a", parameters=[{"name": "x", "required": True}]).with_fields(fresh=True)
    refused = decide(needy.with_metadata(ownerReferences=[], labels={}).build())
    assert refused.status is not None
    assert refused.status["phase"] == "Failed"
    assert refused.adopt


def test_a_run_whose_revision_is_lost_has_no_step_left_running() -> None:
    run = a_snapshot("a", "b").recorded("a", "Running", **RAN).with_status(revision="gone")
    plan = decide(run.with_fields(revision=None, absent={"gone"}).build())
    assert plan.status is not None
    assert plan.status["phase"] == "Failed"
    assert plan.status["steps"]["a"]["phase"] == "Cancelled"


def test_the_revision_is_recorded_while_the_first_step_is_held_back() -> None:
    step = a_step(TRAIN, resources={"gpu": "1x NVIDIA A100"})
    plan = decide(a_new_execution(step).with_fields(nodes=NO_GPU, fresh=True).build())
    assert plan.first_jobs == ()
    assert plan.revision is not None
    assert not plan.ended


def test_a_pod_without_its_job_is_deleted_when_the_run_is_cancelled() -> None:
    pod = a_pod().running()
    plan = planned(a_snapshot(TRAIN).recorded(TRAIN, "Running", **RAN).with_orphan(pod).cancelled(), 60)
    assert plan.delete_pods == (OldObject(pod.view.metadata.name, pod.view.metadata.uid),)
