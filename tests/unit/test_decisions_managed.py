"""Jobs whose Pods the operator makes: their ends, their Pods' finalizer, and results that are remembered."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nightcrawler_crds import names
from nightcrawler_crds.kube.nativeviews import JobView
from nightcrawler_operator.plan import EndedJob, FreedPod, LookForJob, Waiting
from tests.support.plans import planned
from tests.support.snapshots import (
    PodMaker,
    SnapshotMaker,
    a_job,
    a_pod,
    a_snapshot,
    a_step,
    at,
    job_name,
    wire,
)

RUNS = a_pod("a").running()
SUCCEEDED = a_pod("a").exited(0, end=5)
LOST = (
    a_pod("a")
    .phase("Failed")
    .container({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "finishedAt": wire(9)}})
)


def managed(step: str = "a", attempt: int = 1, **fields: Any) -> JobView:
    """A Job whose Pod is ours to make."""
    job = a_job(step, attempt, **fields)
    return msgspec.structs.replace(job, spec=msgspec.structs.replace(job.spec, managed_by=names.MANAGED_BY))


def held(pod: PodMaker, *others: str) -> PodMaker:
    """The Pod with our finalizer, and others."""
    return pod._with("metadata", finalizers=[names.JOB_TRACKING, *others])


def chain() -> SnapshotMaker:
    """Step `a` on its first attempt, with `b` after it."""
    return a_snapshot("a", "b").with_status(progress="0/2").recorded("a", "Pending")


# --- the Pod ---------------------------------------------------------------------------------------


def test_a_missing_pod_is_created() -> None:
    plan = planned(chain().with_job(managed()), 1)

    assert [pod.name for pod in plan.missing_pods] == [job_name("a")]


@pytest.mark.parametrize("job", [a_job("a"), managed(ended=("Complete", 3)), managed(deleting=True)])
def test_no_pod_is_created_for_a_foreign_or_finished_job(job: JobView) -> None:
    assert planned(chain().with_job(job), 1).missing_pods == ()


def test_a_pod_that_has_run_is_not_recreated_before_its_absence_is_confirmed() -> None:
    begun = a_snapshot("a", "b").recorded("a", "Running", startTime=wire(1)).with_job(managed())

    plan = planned(begun, 60)

    assert plan.missing_pods == ()
    assert plan.lookups == (LookForJob(job_name("a"), has_run=True),)


# --- the Job's end ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pod", "succeeded"), [(a_pod("a").exited(0), True), (a_pod("a").exited(3), False)], ids=["well", "badly"]
)
def test_the_end_of_a_pod_is_written_to_its_job(pod: PodMaker, succeeded: bool) -> None:
    ran = a_snapshot(a_step("a", retries=1), "b").recorded("a", "Pending").with_pod(pod, job=managed())

    [written] = planned(ran, 6).ended_jobs

    assert written == EndedJob(job_name("a"), f"uid-{job_name('a')}", succeeded, at(0), at(5))


@pytest.mark.parametrize("job", [a_job("a"), managed(ended=("Complete", 5)), managed(deleting=True)])
def test_the_end_of_a_job_is_written_once_and_only_for_our_own(job: JobView) -> None:
    assert planned(chain().with_pod(SUCCEEDED, job=job), 6).ended_jobs == ()


def test_a_job_whose_pod_runs_has_no_end() -> None:
    assert planned(chain().with_pod(RUNS, job=managed()), 6).ended_jobs == ()


def test_a_success_written_to_the_job_stands_when_the_node_is_lost() -> None:
    written = managed(ended=("Complete", 5))

    plan = planned(chain().with_pod(LOST, job=written).with_fields(recorded_at=at(9.5)), 10)

    assert plan.completed["a"].phase == "Completed"
    assert [job.step for job in plan.first_jobs] == ["b"]


def test_an_end_not_written_to_the_job_is_lost_with_its_node() -> None:
    plan = planned(chain().with_pod(LOST, job=managed()), 10)

    assert plan.status is not None
    assert (plan.status["steps"]["a"]["phase"], plan.first_jobs) == ("Retrying", ())


# --- the Pod's finalizer ---------------------------------------------------------------------------


def recorded(phase: str, attempt: int = 1) -> SnapshotMaker:
    """Step `a` with this status; its Pod has succeeded and is being deleted."""
    pod = held(SUCCEEDED.deleted(7), "example.com/hold")
    return (
        a_snapshot("a", "b").recorded("a", phase, attempt).with_pod(pod, job=managed(ended=("Complete", 5)))
    )


def test_a_deleted_pod_loses_its_finalizer_once_its_result_is_recorded() -> None:
    [freed] = planned(recorded("Completed"), 8).freed_pods

    assert freed == FreedPod(f"{job_name('a')}-x7k2p", "10", ("example.com/hold",))


def test_a_result_is_recorded_at_the_latest_when_its_pod_is_deleted() -> None:
    plan = planned(recorded("Pending"), 8)

    assert plan.status is not None
    assert plan.status["steps"]["a"]["phase"] == "Completed"
    assert len(plan.freed_pods) == 1


@pytest.mark.parametrize(
    "pod",
    [held(SUCCEEDED), SUCCEEDED.deleted(7), held(RUNS.deleted(7))],
    ids=["nobody deletes it", "nothing of ours holds it", "it runs"],
)
def test_no_other_pod_is_touched(pod: PodMaker) -> None:
    kept = a_snapshot("a", "b").recorded("a", "Completed").with_pod(pod, job=managed())

    assert planned(kept, 8).freed_pods == ()


# --- what is recorded at once, and what may wait ---------------------------------------------------


def test_progress_is_recorded_at_most_once_a_second_while_steps_go_well() -> None:
    ended = chain().with_pod(SUCCEEDED, job=managed()).with_fields(recorded_at=at(5.5))

    soon, later = planned(ended, 6), planned(ended, 6.5)

    assert (soon.status, soon.outcome) == (None, Waiting(at(6.5)))
    assert [job.step for job in soon.first_jobs] == ["b"]
    assert later.status is not None
    assert later.status["progress"] == "1/2"


def test_an_unrecorded_result_is_remembered_without_its_pod() -> None:
    ended = chain().with_pod(SUCCEEDED, job=managed()).with_fields(recorded_at=at(5.5))
    seen = planned(ended, 6).completed

    after = chain().with_fields(recorded_at=at(5.5), completed=seen)
    plan = planned(after.recorded("b", "Pending", 0, job=False), 6.1)

    assert set(seen) == {"a"}
    assert plan.status is not None
    assert plan.status["steps"]["a"]["phase"] == "Completed"
    assert plan.lookups == ()


def test_a_recorded_later_attempt_overrides_what_was_observed() -> None:
    ended = chain().with_pod(SUCCEEDED, job=managed()).with_fields(recorded_at=at(5.5))
    seen = planned(ended, 6).completed

    later = a_snapshot("a", "b").recorded("a", "Running", 2).with_fields(completed=seen)
    plan = planned(later.with_pod(a_pod("a", 2).running(), job=managed(attempt=2)), 7)

    assert (plan.completed, plan.first_jobs) == ({}, ())


def test_a_failure_is_recorded_at_once() -> None:
    failed = a_snapshot(a_step("a", retries=1), "b").recorded("a", "Pending")
    failed = failed.with_pod(a_pod("a").exited(1), job=managed()).with_fields(recorded_at=at(5.9))

    plan = planned(failed, 6)

    assert plan.status is not None
    assert plan.status["steps"]["a"]["phase"] == "Retrying"


def test_the_end_of_the_run_is_recorded_at_once() -> None:
    last = a_snapshot("a").recorded("a", "Pending").with_pod(SUCCEEDED, job=managed())

    plan = planned(last.with_fields(recorded_at=at(5.9)), 6)

    assert plan.status is not None
    assert plan.status["phase"] == "Completed"
