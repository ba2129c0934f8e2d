"""A whole run: how it goes on, and each of its ends."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from nightcrawler_crds.kube.metadata import Owner
from nightcrawler_crds.kube.nativeviews import JobView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.plan import Done, OldObject, Plan, Waiting
from tests.support.plans import planned, status_of
from tests.support.snapshots import a_job, a_pod, a_snapshot, a_step, at, job_name, wire


def finished(plan: Plan) -> tuple[str, str]:
    """What the condition Finished says; once it is True, Succeeded says whether all went well."""
    said = {c["type"]: (c["status"], c["reason"]) for c in status_of(plan)["conditions"]}
    status, reason = said[conditions.FINISHED]
    well = "True" if status_of(plan)["phase"] == "Completed" else "False"
    assert said.get(conditions.RUN_SUCCEEDED) == ((well, reason) if status == "True" else None)
    return status, reason


def deleted(plan: Plan) -> list[str]:
    return [old.name for old in plan.delete_jobs]


def running(step: str, since: float = 1) -> Any:
    return a_pod(step).running(since=since)


# --- on its way ------------------------------------------------------------------------------------


def test_a_run_is_pending_until_its_first_pod_has_started() -> None:
    begun = a_snapshot("a", "b").recorded("a", "Pending")

    assert planned(begun.with_pod(a_pod("a")), 1).status == {"progress": "0/2"}
    started = status_of(planned(begun.with_pod(running("a")), 5))
    assert (started["phase"], started["startTime"]) == ("Running", wire(1))


def test_the_start_of_a_run_is_that_of_its_first_pod_and_stays() -> None:
    later = a_snapshot("a", "b").with_status(phase="Running", startTime=wire(1), progress="0/2")
    later = later.recorded("a", "Completed", startTime=wire(1), completionTime=wire(3))
    later = later.recorded("b", "Pending").with_pod(running("b", since=2))

    assert "startTime" not in status_of(planned(later, 60))


def test_progress_counts_the_completed_steps_of_all() -> None:
    chain = a_snapshot("a", "b", "c").recorded("a", "Completed").recorded("b", "Pending")

    assert status_of(planned(chain.with_pod(a_pod("b").exited(0)), 5))["progress"] == "2/3"


def test_a_step_whose_successor_has_a_job_is_inferred_complete() -> None:
    chain = a_snapshot("a", "b", "c").with_pod(
        a_pod("b", created=7).running(since=8), job=a_job("b", created=7)
    )

    for unwritten in (chain, chain.recorded("a", "Running", startTime=wire(1))):
        plan = planned(unwritten, 60)
        assert plan.first_jobs == ()
        assert plan.lookups == ()
        step = status_of(plan)["steps"]["a"]
        assert (step["phase"], step["completionTime"]) == ("Completed", wire(7))


def test_the_steps_before_it_are_inferred_complete_too() -> None:
    chain = a_snapshot("a", "b", "c").with_pod(
        a_pod("c", created=7).running(since=8), job=a_job("c", created=7)
    )

    plan = planned(chain, 60)
    assert plan.first_jobs == ()
    assert {name: step["phase"] for name, step in status_of(plan)["steps"].items()} == {
        "a": "Completed", "b": "Completed", "c": "Running",
    }  # fmt: skip


def changed(job: JobView, **metadata: Any) -> JobView:
    return msgspec.structs.replace(job, metadata=msgspec.structs.replace(job.metadata, **metadata))


B: Final = a_job("b", created=7)
OTHER_REVISION: Final = msgspec.structs.replace(B.metadata.annotations, revision="wf-other")
SHOWS_NOTHING: Final = {
    "a Job that another run owns": changed(B, owner_references=(Owner(uid="22222222-bbbb"),)),
    "a Job that no run owns": changed(B, owner_references=()),
    "a Job made from another revision": changed(B, annotations=OTHER_REVISION),
    "a Pod alone": None,
}


@pytest.mark.parametrize("job", SHOWS_NOTHING.values(), ids=SHOWS_NOTHING)
def test_nothing_is_inferred_from(job: JobView | None) -> None:
    pod = a_pod("b", created=7).running(since=8)
    chain = a_snapshot("a", "b")
    chain = chain.with_orphan(pod) if job is None else chain.with_pod(pod, job=job)

    plan = planned(chain, 60)

    assert [new.step for new in plan.first_jobs] == ["a"]


def test_a_step_that_is_recorded_as_ended_is_not_inferred_complete() -> None:
    failed = a_snapshot("a", "b").recorded(
        "a", "Retrying", reason=conditions.STEP_ERROR, completionTime=wire(9)
    )

    plan = planned(failed.with_pod(a_pod("b", created=7).running(since=8), job=B), 10)

    assert plan.completed == {}


def test_a_completed_step_is_remembered_even_if_it_is_written_now() -> None:
    plan = planned(
        a_snapshot("a", "b").recorded("a", "Running", startTime=wire(1)).with_pod(a_pod("a").exited(0)), 60
    )

    assert (len(plan.first_jobs), status_of(plan)["steps"]["a"]["phase"]) == (1, "Completed")
    assert list(plan.completed) == ["a"]


def test_a_step_whose_pod_still_exists_has_the_result_of_that_pod() -> None:
    both = a_snapshot("a", "b").with_pod(a_pod("b").running())

    both_failed = both.with_pod(a_pod("a").exited(0, end=4))
    assert status_of(planned(both_failed, 60))["steps"]["a"]["completionTime"] == wire(4)


def test_the_message_is_that_of_the_first_step_with_a_problem() -> None:
    stuck = a_pod("b").condition("PodScheduled", "False", 0, "Unschedulable", "no room")
    both = a_snapshot("a", "b", order="Graph").recorded("a", "Pending").recorded("b", "Pending")
    both = both.with_pod(running("a")).with_pod(stuck)

    assert status_of(planned(both, 60))["message"] == "step 'b' waits for a node: no room"


def test_a_message_is_cleared_when_the_problem_is_gone() -> None:
    said = "step 'a' waits for a node: no room"
    freed = a_snapshot("a").with_status(message=said)
    freed = freed.recorded("a", "Pending", reason="Unschedulable", message=said).with_pod(running("a"))

    assert status_of(planned(freed, 60))["message"] is None


def test_an_idle_run_is_requeued_for_its_deadline_and_not_written() -> None:
    quiet = a_snapshot("a", config={"timeout": 100}).with_status(
        phase="Running", startTime=wire(1), progress="0/1"
    )
    quiet = quiet.recorded("a", "Running", startTime=wire(1)).with_pod(running("a"))

    plan = planned(quiet, 50)

    assert (plan.status, plan.outcome) == (None, Waiting(at(101)))


# --- complete --------------------------------------------------------------------------------------


def test_a_run_is_complete_with_its_last_step_in_one_write() -> None:
    last = a_snapshot("a", "b").recorded("a", "Completed").recorded("b", "Running", startTime=wire(1))

    plan = planned(last.with_pod(a_pod("b").exited(0, end=9)), 9.5)

    status = status_of(plan)
    assert (status["phase"], status["completionTime"], status["progress"]) == ("Completed", wire(9), "2/2")
    assert (finished(plan), status["message"]) == (("True", conditions.SUCCEEDED), "all 2 steps completed")
    assert (plan.ended, plan.outcome, plan.first_jobs) == (True, Done(), ())


def test_the_job_of_a_step_that_has_ended_stays_when_the_run_is_complete() -> None:
    assert (
        planned(a_snapshot("a").recorded("a", "Pending").with_pod(a_pod("a").exited(0)), 9).delete_jobs == ()
    )


def test_a_kubelet_that_is_late_to_end_the_pod_costs_no_step_its_log() -> None:
    # Real kubelets report the container's end up to seconds before the Pod's.
    late = a_snapshot("a", "b").recorded("a", "Completed", completionTime=wire(5)).recorded("b", "Running")
    late = late.with_pod(a_pod("a").exited(0).phase("Running"))

    completes = planned(late.with_pod(a_pod("b").exited(0, end=9).phase("Running")), 9.5)
    fails = planned(late.with_pod(a_pod("b").exited(3, end=9).phase("Running")), 9.5)

    assert (status_of(completes)["phase"], deleted(completes)) == ("Completed", [])
    assert (status_of(fails)["phase"], deleted(fails)) == ("Failed", [])


def test_a_completed_run_cannot_be_cancelled() -> None:
    done = a_snapshot("a").recorded("a", "Running").with_pod(a_pod("a").exited(0)).cancelled()

    assert status_of(planned(done, 9))["phase"] == "Completed"


# --- cancelled -------------------------------------------------------------------------------------

HALFWAY: Final = (
    a_snapshot("a", "b", "c", "d", order="Graph")
    .recorded("a", "Completed", completionTime=wire(3))
    .recorded("b", "Running", startTime=wire(1))
    .recorded("c", "Retrying", reason=conditions.STEP_ERROR, completionTime=wire(4))
    .with_status(phase="Running", startTime=wire(1), progress="1/4")
    .with_pod(a_pod("a").exited(0, end=3))
    .with_pod(a_pod("c").exited(1, end=4))
)
GONE: Final = (
    HALFWAY.with_job(a_job("b", ended=("Failed", 6))).with_pod(
        a_pod("b").exited(143, end=6).deleted(5), job=a_job("b", ended=("Failed", 6))
    )
).cancelled()


def test_cancelling_deletes_running_jobs_and_creates_nothing() -> None:
    plan = planned(HALFWAY.with_pod(running("b")).cancelled(), 5)

    assert deleted(plan) == [job_name("b")]
    assert (plan.first_jobs, plan.later_jobs) == ((), ())
    assert status_of(plan)["phase"] == "Cancelling"
    assert finished(plan) == ("False", conditions.CANCELLING)
    assert plan.outcome == Waiting(at(65))


def test_a_job_that_is_being_deleted_is_not_deleted_again() -> None:
    pod = running("b").deleted(5)

    assert planned(HALFWAY.with_pod(pod, job=a_job("b", deleting=True)).cancelled(), 6).delete_jobs == ()


def test_a_run_is_cancelled_once_none_of_its_pods_is_live() -> None:
    plan = planned(GONE, 7)

    status = status_of(plan)
    assert (status["phase"], finished(plan)) == ("Cancelled", ("True", conditions.RUN_CANCELLED))
    assert {name: step["phase"] for name, step in status["steps"].items()} == {
        "b": "Cancelled",
        "c": "Cancelled",
        "d": "Skipped",
    }


def test_a_job_that_may_still_make_a_pod_is_waited_for() -> None:
    plan = planned(HALFWAY.with_job(a_job("b")).cancelled(), 5)

    assert status_of(plan)["phase"] == "Cancelling"
    assert deleted(plan) == [job_name("b")]


def test_a_cancellation_ends_after_its_grace_and_names_what_is_left() -> None:
    said = {"type": conditions.FINISHED, "status": "False", "reason": conditions.CANCELLING}
    stuck = HALFWAY.with_pod(running("b").deleted(5), job=a_job("b", deleting=True)).cancelled()
    known = stuck.status["conditions"]
    stuck = stuck.with_status(
        phase="Cancelling", conditions=[*known, {**said, "lastTransitionTime": wire(10)}]
    )

    assert planned(stuck, 69).ended is False
    plan = planned(stuck, 70)

    assert finished(plan) == ("True", conditions.CANCELLED_WITH_PODS_LEFT)
    assert a_pod("b").view.metadata.name in status_of(plan)["message"]


def test_a_step_that_ended_by_itself_during_the_cancellation_is_recorded_so() -> None:
    both = a_snapshot("a", "b", order="Graph").recorded("a", "Running").recorded("b", "Running")
    both = both.with_pod(a_pod("a").exited(0)).with_pod(running("b").deleted(5)).cancelled()

    assert status_of(planned(both, 6))["steps"]["a"]["phase"] == "Completed"


# --- failed ----------------------------------------------------------------------------------------


def test_a_failed_step_ends_the_run_in_one_plan() -> None:
    plan = planned(HALFWAY.with_pod(a_pod("b").exited(2, end=9, message="boom")), 9)

    status = status_of(plan)
    assert (status["phase"], finished(plan)) == ("Failed", ("True", conditions.STEP_FAILED))
    assert status["message"] == "step 'b' ended with exit code 2: boom"
    assert {name: step["phase"] for name, step in status["steps"].items()} == {
        "b": "Failed",
        "c": "Cancelled",
        "d": "Skipped",
    }
    assert (plan.first_jobs, plan.later_jobs, plan.ended) == ((), (), True)


def test_the_other_running_steps_are_deleted_before_the_failure_is_recorded() -> None:
    both = a_snapshot("a", "b", order="Graph").recorded("a", "Running").recorded("b", "Running")

    plan = planned(both.with_pod(a_pod("a").exited(1)).with_pod(running("b")), 9)

    assert deleted(plan) == [job_name("b")]
    assert status_of(plan)["steps"]["b"]["phase"] == "Cancelled"
    assert status_of(plan)["steps"]["b"]["message"] == "step 'b' was ended because step 'a' failed"


def test_of_two_failures_the_first_in_time_is_reported() -> None:
    both = a_snapshot("a", "b", order="Graph").recorded("a", "Running").recorded("b", "Running")
    both = both.with_pod(a_pod("a").exited(1, end=8)).with_pod(a_pod("b").exited(2, end=7))

    assert status_of(planned(both, 9))["message"] == "step 'b' ended with exit code 2"


def test_a_queue_timeout_is_distinguished_from_a_run_timeout() -> None:
    plan = planned(
        a_snapshot("a").recorded("a", "Pending").with_pod(a_pod("a")).with_limits(queue_timeout=60), 60
    )

    assert finished(plan) == ("True", conditions.QUEUE_TIMED_OUT)
    assert status_of(plan)["steps"]["a"]["reason"] == conditions.STEP_QUEUE_TIMED_OUT
    assert deleted(plan) == [job_name("a")]


# --- out of time -----------------------------------------------------------------------------------

TIMES: Final = {
    "as it is written": ({"timeout": "1 minute"}, 60.0, "1 minute"),
    "a week if nothing is": ({}, 7 * 86400.0, "604800 s"),
}


@pytest.mark.parametrize(("config", "seconds", "words"), TIMES.values(), ids=TIMES)
def test_a_run_over_its_timeout_is_ended(config: dict[str, Any], seconds: float, words: str) -> None:
    timed = a_snapshot("a", "b", config=config).with_status(phase="Running", startTime=wire(1))
    timed = timed.recorded("a", "Running", startTime=wire(1)).with_pod(running("a"))

    assert planned(timed, seconds).ended is False
    plan = planned(timed, seconds + 1)

    assert (deleted(plan), finished(plan)) == ([job_name("a")], ("True", conditions.TIMED_OUT))
    assert status_of(plan)["message"] == f"took longer than its timeout of {words}"
    assert {n: s["phase"] for n, s in status_of(plan)["steps"].items()} == {"a": "Failed", "b": "Skipped"}


def test_the_wait_before_the_first_pod_does_not_count_as_the_runs_time() -> None:
    waits = a_snapshot("a", config={"timeout": 1}).recorded("a", "Pending").with_pod(a_pod("a"))

    assert planned(waits, 600).ended is False


def test_a_steps_error_is_reported_rather_than_the_timeout() -> None:
    late = a_snapshot("a", config={"timeout": 10}).with_status(startTime=wire(1))
    late = late.recorded("a", "Running", startTime=wire(1)).with_pod(a_pod("a").exited(1, end=9))

    assert finished(planned(late, 60)) == ("True", conditions.STEP_FAILED)


def test_a_timeout_ends_the_wait_for_a_further_attempt() -> None:
    waits = a_snapshot(a_step("a", retries=1), config={"timeout": 20}).with_status(startTime=wire(1))
    waits = waits.recorded("a", "Retrying", reason=conditions.STEP_ERROR, completionTime=wire(10))

    plan = planned(waits.with_pod(a_pod("a").exited(1, end=10)), 60)

    assert (plan.later_jobs, finished(plan)[1]) == ((), conditions.TIMED_OUT)


def test_nothing_is_deleted_twice_in_one_plan() -> None:
    both = a_snapshot("a", "b", order="Graph").recorded("a", "Running").recorded("b", "Running")
    plan = planned(both.with_pod(running("a")).with_pod(running("b")).cancelled(), 9)

    assert plan.delete_jobs == tuple(
        OldObject(job_name(step), a_job(step).metadata.uid) for step in ("a", "b")
    )


def test_an_unrecorded_running_step_is_recorded_when_the_run_is_cancelled() -> None:
    cancelled = a_snapshot("a", "b").recorded("a", "Completed").with_pod(running("b")).cancelled()

    step = status_of(planned(cancelled, 60))["steps"]["b"]
    assert (step["phase"], step["attempt"]) == ("Running", 1)
