"""One step: when its Job is made, what is recorded, and that no two attempts run at once."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds.building.run import NewJob
from nightcrawler_crds.planning.nodes import Nodes
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.plan import LookForJob, OldObject, Waiting
from tests.support.plans import planned, step_of
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

TRAIN: Final = "train"
RETRIED: Final = a_step(TRAIN, retries=2, retryDelay=30)


def the_job(step: str = TRAIN, attempt: int = 1) -> OldObject:
    return OldObject(job_name(step, attempt), a_job(step, attempt).metadata.uid)


# --- soft writes wait, hard ones do not ------------------------------------------------------------


def test_a_start_waits_for_the_window_to_be_recorded() -> None:
    started = a_snapshot().recorded(TRAIN, "Pending").with_status(progress="0/1")
    started = started.with_pod(a_pod().running(since=1))

    early, late = planned(started, 2.9), planned(started, 3)

    assert early.status is None
    assert early.outcome == Waiting(at(3))
    assert step_of(late) == {"phase": "Running", "startTime": wire(1)}
    assert late.status is not None
    assert (late.status["phase"], late.status["startTime"]) == ("Running", wire(1))


def test_an_end_is_recorded_at_once_and_brings_a_start_with_it() -> None:
    both = a_snapshot("a", "b", order="Graph").recorded("a", "Pending").recorded("b", "Pending")
    both = both.with_pod(a_pod("a").running(since=4)).with_pod(a_pod("b").exited(0, end=5, started=4))

    plan = planned(both, 5)

    assert step_of(plan, "a")["phase"] == "Running"
    assert step_of(plan, "b")["phase"] == "Completed"


def test_a_step_shorter_than_the_window_costs_one_write() -> None:
    done = a_snapshot("a", "b").recorded("a", "Pending").with_pod(a_pod("a").exited(0, end=2, started=1))

    assert step_of(planned(done, 2), "a") == {
        "phase": "Completed",
        "startTime": wire(1),
        "completionTime": wire(2),
        "exitCode": 0,
    }


def test_a_reason_for_waiting_is_recorded_after_the_window_only() -> None:
    pod = a_pod().condition("PodScheduled", "False", 0, "Unschedulable", "no room")
    waits = a_snapshot().recorded(TRAIN, "Pending").with_status(progress="0/1").with_pod(pod)

    assert planned(waits, 1).status is None
    assert planned(waits, 1).outcome == Waiting(at(2))
    assert step_of(planned(waits, 2)) == {
        "reason": conditions.STEP_UNSCHEDULABLE,
        "message": "step 'train' waits for a node: no room",
    }


def test_the_same_reason_in_other_words_is_not_written_again() -> None:
    said = "step 'train' waits for a node: 0/3 nodes"
    pod = a_pod().condition("PodScheduled", "False", 0, "Unschedulable", "0/4 nodes")
    waits = a_snapshot().with_status(message=said, progress="0/1").with_pod(pod)
    waits = waits.with_status(waitingReason=conditions.STEP_UNSCHEDULABLE, waitingSince=wire(0))
    waits = waits.recorded(TRAIN, "Pending", reason=conditions.STEP_UNSCHEDULABLE, message=said)

    assert planned(waits, 60).status is None


# --- the first attempt -----------------------------------------------------------------------------


def test_the_next_job_is_made_together_with_the_record_of_the_end_before() -> None:
    chain = a_snapshot("a", "b").recorded("a", "Running", startTime=wire(1)).with_pod(a_pod("a").exited(0))

    plan = planned(chain, 5)

    assert plan.first_jobs == (NewJob("b", 1, job_name("b")),)
    assert step_of(plan, "a")["phase"] == "Completed"
    assert step_of(plan, "b") == {"phase": "Pending", "attempt": 1, "jobName": job_name("b")}


def test_a_step_waits_for_all_that_it_depends_on() -> None:
    join = a_snapshot("a", "b", a_step("c", dependsOn=["a", "b"]))
    join = join.recorded("a", "Completed").recorded("b", "Pending").with_pod(a_pod("b").running())

    assert planned(join, 1).first_jobs == ()
    assert [new.step for new in planned(join.recorded("b", "Completed"), 1).first_jobs] == ["c"]


def test_steps_without_dependencies_begin_together() -> None:
    assert {new.step for new in planned(a_snapshot("a", "b", "c", order="Graph")).first_jobs} == set("abc")


def test_a_refused_job_is_created_again_after_its_back_off() -> None:
    held = a_snapshot().with_refusal(TRAIN, "exceeded quota: team", ask_again=30)

    early, late = planned(held, 1), planned(held, 30)

    assert early.first_jobs == ()
    assert step_of(early)["reason"] == conditions.STEP_QUOTA
    assert "attempt" not in step_of(early) or step_of(early)["attempt"] == 0
    assert early.outcome == Waiting(at(30))
    assert [new.name for new in late.first_jobs] == [job_name(TRAIN)]


def test_a_job_that_can_never_be_made_fails_its_step() -> None:
    plan = planned(a_snapshot().with_refusal(TRAIN, "spec.template: invalid", ask_again=None), 1)

    assert step_of(plan)["phase"] == "Failed"
    assert step_of(plan)["message"] == "step 'train' cannot be run: spec.template: invalid"
    assert plan.status is not None
    assert plan.status["phase"] == "Failed"


def test_a_gpu_that_no_node_has_is_waited_for_without_a_job_until_the_queue_timeout() -> None:
    step = a_step(TRAIN, resources={"gpu": "2x NVIDIA H100"})
    here = Nodes(frozenset({"NVIDIA-A100-SXM4-80GB"}), frozenset())
    asks = a_snapshot(step).with_fields(nodes=here).with_limits(queue_timeout=100)

    early, late = planned(asks, 1), planned(asks, 100)

    assert early.first_jobs == ()
    assert step_of(early)["reason"] == conditions.STEP_NO_SUCH_GPU
    assert "NVIDIA-A100-SXM4-80GB" in step_of(early)["message"]
    assert late.status is not None
    assert (late.status["phase"], step_of(late)["reason"]) == ("Failed", conditions.STEP_QUEUE_TIMED_OUT)


# --- further attempts ------------------------------------------------------------------------------


def failed_once(**fields: Any) -> SnapshotMaker:
    """The record after a first failure at moment 10."""
    said: dict[str, Any] = {"completionTime": wire(10), "reason": conditions.STEP_ERROR, "exitCode": 1}
    return a_snapshot(RETRIED).recorded(TRAIN, "Retrying", **(said | {"message": "m"} | fields))


def test_a_failure_with_retries_left_is_recorded_and_the_next_attempt_is_due_later() -> None:
    failed = a_snapshot(RETRIED).recorded(TRAIN, "Running", startTime=wire(1))
    failed = failed.with_status(startTime=wire(1)).with_pod(a_pod().exited(1, end=10, message="boom"))

    plan = planned(failed, 10)

    assert step_of(plan)["phase"] == "Retrying"
    assert step_of(plan)["message"] == "step 'train' ended with exit code 1: boom"
    assert (plan.later_jobs, plan.first_jobs) == ((), ())
    assert plan.outcome == Waiting(at(40))


def test_a_further_attempt_is_recorded_and_made_in_one_plan_when_it_is_due() -> None:
    waits = failed_once().with_pod(a_pod().exited(1, end=10))

    assert planned(waits, 39).later_jobs == ()
    plan = planned(waits, 40)

    assert plan.later_jobs == (NewJob(TRAIN, 2, job_name(TRAIN, 2)),)
    # The results of the last attempt are removed with the record of the new one.
    assert step_of(plan) == {
        "phase": "Pending",
        "attempt": 2,
        "jobName": None,
        "completionTime": None,
        "exitCode": None,
        "reason": None,
        "message": None,
    }


def test_a_recorded_further_attempt_without_its_job_gets_it() -> None:
    plan = planned(a_snapshot(RETRIED).recorded(TRAIN, "Pending", 2, job=False), 41)

    assert plan.later_jobs == (NewJob(TRAIN, 2, job_name(TRAIN, 2)),)


def test_a_further_attempt_with_its_job_is_not_made_again() -> None:
    made = a_snapshot(RETRIED).recorded(TRAIN, "Pending", 2, job=False).with_pod(a_pod(attempt=2).running(50))

    plan = planned(made, 53)

    assert plan.later_jobs == ()
    assert step_of(plan)["jobName"] == job_name(TRAIN, 2)


def held_back(step: SnapshotMaker) -> SnapshotMaker:
    """The second attempt is on record, and the API server does not take its Job."""
    held = step.recorded(TRAIN, "Pending", 2, job=False, disruptions=1)
    return held.with_refusal(TRAIN, "exceeded quota: team", ask_again=900, attempt=2).with_limits(
        queue_timeout=100
    )


HELD_SINCE: Final = {
    "the pause after its creation, if no Pod has started": (held_back(a_snapshot(RETRIED)), 130),
    "the pause after the end of the last attempt's program": (
        held_back(a_snapshot(RETRIED).with_status(startTime=wire(1)).with_pod(a_pod().exited(1, end=10))),
        140,
    ),
    "the pause after the end of the last attempt's Job": (
        held_back(a_snapshot(RETRIED).with_job(a_job(ended=("Failed", 20)))),
        150,
    ),
}


@pytest.mark.parametrize(("held", "over"), HELD_SINCE.values(), ids=HELD_SINCE)
def test_a_further_attempt_waits_for_its_job_no_longer_than_the_queue_timeout_from(
    held: SnapshotMaker, over: float
) -> None:
    early, late = planned(held, over - 1), planned(held, over)

    assert step_of(early)["reason"] == conditions.STEP_QUOTA
    assert early.outcome == Waiting(at(over))
    assert late.status is not None
    assert (late.status["phase"], step_of(late)["reason"]) == ("Failed", conditions.STEP_QUEUE_TIMED_OUT)


def test_a_further_attempt_of_a_run_that_has_started_waits_at_most_as_long_as_the_run_may_take() -> None:
    held = held_back(a_snapshot(RETRIED, config={"timeout": 500}).with_status(startTime=wire(1)))

    assert planned(held, 400).outcome == Waiting(at(501))


LIVE_LAST: Final = {
    "runs a side-car": a_pod().exited(1, end=10).phase("Running"),
    "is being deleted": a_pod().running().deleted(8),
    "was never scheduled": a_pod(),
}


@pytest.mark.parametrize("pod", LIVE_LAST.values(), ids=LIVE_LAST)
def test_no_further_attempt_begins_while_the_last_pod(pod: Any) -> None:
    plan = planned(failed_once().with_pod(pod), 3600)

    assert plan.later_jobs == ()
    assert isinstance(plan.outcome, Waiting)


def test_a_last_pod_without_its_job_still_holds_the_next_attempt_back() -> None:
    assert planned(failed_once().with_orphan(a_pod().running().deleted(8)), 3600).later_jobs == ()


def test_a_last_pod_that_a_side_car_keeps_has_its_job_deleted_after_a_while() -> None:
    lingers = failed_once().with_pod(with_side_car(a_pod().exited(1, end=10).phase("Running")))

    assert planned(lingers, 19).delete_jobs == ()
    assert planned(lingers, 20).delete_jobs == (the_job(),)


def test_a_last_pod_that_only_lacks_its_phase_holds_the_next_attempt_back_and_keeps_its_job() -> None:
    plan = planned(failed_once().with_pod(a_pod().exited(1, end=10).phase("Running")), 3600)

    assert (plan.delete_jobs, plan.later_jobs) == ((), ())
    assert isinstance(plan.outcome, Waiting)


def test_before_another_attempt_an_unobserved_last_pod_is_read_by_name() -> None:
    vanished = failed_once().with_job(a_job())

    asks = planned(vanished, 3600)
    goes_on = planned(vanished.with_fields(absent=frozenset({job_name(TRAIN)})), 3600)

    assert (asks.lookups, asks.later_jobs) == ((LookForJob(job_name(TRAIN), has_run=True),), ())
    assert [job.attempt for job in goes_on.later_jobs] == [2]


def test_a_failed_attempt_keeps_its_job_and_log_while_its_pod_ends() -> None:
    failed = a_snapshot(RETRIED).recorded(TRAIN, "Running", startTime=wire(1))

    plan = planned(failed.with_pod(a_pod().exited(1, end=10).phase("Running")), 10)

    assert (step_of(plan)["phase"], plan.delete_jobs) == ("Retrying", ())


def with_side_car(pod: PodMaker) -> PodMaker:
    return pod.container({"running": {"startedAt": wire(1)}}, "proxy")


def completed_before_another(pod: PodMaker) -> SnapshotMaker:
    done = a_snapshot("a", "b").recorded("a", "Completed", completionTime=wire(10)).with_pod(pod)
    return done.recorded("b", "Pending").with_pod(a_pod("b").running(12))


def test_a_completed_step_keeps_its_job_however_long_its_kubelet_takes_to_set_the_phase() -> None:
    late = a_pod("a").exited(0, end=10).phase("Running")
    restartable = late.container({"running": {"startedAt": wire(1)}}, "ticker", init=True)

    for pod in (late, restartable, with_side_car(late).deleted(15)):
        assert planned(completed_before_another(pod), 3600).delete_jobs == ()


def test_a_completed_step_whose_pod_a_side_car_keeps_has_its_job_deleted_after_a_while() -> None:
    lingers = completed_before_another(with_side_car(a_pod("a").exited(0, end=10).phase("Running")))

    assert planned(lingers, 19).delete_jobs == ()
    assert planned(lingers, 20).delete_jobs == (the_job("a"),)
