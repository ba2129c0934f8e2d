"""One step whose Job, Pod or node is gone or does not answer."""

from __future__ import annotations

from typing import Final

from nightcrawler_crds.planning.nodes import Nodes
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.plan import LookForJob, OldObject
from tests.support.plans import planned, step_of
from tests.support.snapshots import (
    a_job,
    a_pod,
    a_snapshot,
    a_step,
    an_environment,
    job_name,
    wire,
)

TRAIN: Final = "train"
RETRIED: Final = a_step(TRAIN, retries=2, retryDelay=30)


# --- what has vanished -----------------------------------------------------------------------------


def test_a_missing_job_is_read_before_it_counts_as_deleted() -> None:
    lost = a_snapshot(RETRIED).recorded(TRAIN, "Running", startTime=wire(1))
    lost = lost.with_status(startTime=wire(1), phase="Running", progress="0/1")

    plan = planned(lost, 20)

    assert (plan.lookups, plan.status) == ((LookForJob(job_name(TRAIN)),), None)


def test_a_job_confirmed_missing_was_disrupted_and_is_retried_for_free() -> None:
    lost = a_snapshot(TRAIN).recorded(TRAIN, "Running", startTime=wire(1))

    plan = planned(lost.with_fields(absent=frozenset({job_name(TRAIN)})), 20)

    assert step_of(plan)["phase"] == "Retrying"
    assert (step_of(plan)["reason"], step_of(plan)["disruptions"]) == (conditions.STEP_VANISHED, 1)


def test_a_complete_job_without_its_pod_is_a_success() -> None:
    done = a_snapshot(TRAIN).recorded(TRAIN, "Running", startTime=wire(1))

    plan = planned(done.with_job(a_job(ended=("Complete", 9))), 20)

    assert step_of(plan)["phase"] == "Completed"
    assert (step_of(plan)["completionTime"], step_of(plan).get("startTime")) == (wire(9), None)


def test_a_failed_job_without_its_pod_is_read_before_the_cluster_is_blamed() -> None:
    failed = a_snapshot(TRAIN).recorded(TRAIN, "Running").with_job(a_job(ended=("Failed", 9)))

    asks = planned(failed, 20)
    sure = planned(failed.with_fields(absent=frozenset({job_name(TRAIN)})), 20)

    assert asks.lookups == (LookForJob(job_name(TRAIN)),)
    assert step_of(sure)["reason"] == conditions.STEP_VANISHED


def test_a_pod_that_outlives_its_job_is_waited_for() -> None:
    orphan = a_snapshot(TRAIN).recorded(TRAIN, "Pending").with_orphan(a_pod())

    plan = planned(orphan, 30)

    assert (plan.first_jobs, plan.later_jobs) == ((), ())
    assert step_of(plan)["reason"] == conditions.STEP_LAST_POD


def test_one_success_among_two_pods_is_a_success() -> None:
    two = a_snapshot(TRAIN).recorded(TRAIN, "Pending")
    two = two.with_pod(a_pod().exited(1, end=4)).with_pod(a_pod().exited(0, end=5))

    assert step_of(planned(two, 6))["phase"] == "Completed"


# --- nodes that do not answer ----------------------------------------------------------------------

LOST: Final = a_snapshot(TRAIN).recorded(TRAIN, "Running", startTime=wire(1)).with_fields(nodes=Nodes())


def test_a_lost_node_is_reported_and_the_step_is_not_retried_elsewhere() -> None:
    plan = planned(LOST.with_pod(a_pod().running().deleted(5, grace=5)), 500)

    assert step_of(plan)["reason"] == conditions.STEP_NODE_LOST
    assert (plan.force_delete_pods, plan.later_jobs) == ((), ())


def test_a_pod_on_a_lost_node_is_force_deleted_only_where_the_environment_allows_it() -> None:
    forceful = an_environment("lab", forceDeleteOnLostNode=True)
    pod = a_pod().running().deleted(5, grace=5)
    lost = LOST.with_status(environment="lab").with_fields(environments=(forceful,)).with_pod(pod)

    meta = pod.view.metadata
    assert planned(lost, 9).force_delete_pods == ()
    assert planned(lost, 10).force_delete_pods == (OldObject(meta.name, meta.uid),)


def test_a_recovered_node_is_reported_at_once() -> None:
    back = LOST.recorded(TRAIN, "Running", startTime=wire(1), reason=conditions.STEP_NODE_LOST, message="m")
    back = back.with_fields(nodes=Nodes(ready=frozenset({"node-1"}))).with_pod(a_pod().running())

    assert step_of(planned(back, 500)) == {"reason": None, "message": None}


def test_no_duration_is_negative_when_clocks_differ() -> None:
    odd = a_snapshot(TRAIN).recorded(TRAIN, "Pending").with_pod(a_pod().exited(0, end=3, started=5))

    plan = planned(odd, 6)

    assert (step_of(plan)["startTime"], step_of(plan)["completionTime"]) == (wire(5), wire(5))
