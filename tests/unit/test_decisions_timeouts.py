"""A step's timeout: counted from its container's start, kept by the kubelet, and by us where that cannot."""

from __future__ import annotations

from typing import Any, Final

from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.plan import Deadline, LookForJob, OldObject, Waiting
from tests.support.plans import planned
from tests.support.snapshots import PodMaker, SnapshotMaker, a_pod, a_snapshot, a_step, at, job_name, wire

BACKSTOP: Final = 7 * 86_400 + 61
POD: Final = f"{job_name('train')}-x7k2p"
STRICT: Final = a_step(timeout=60, retries=1, retryDelay=30)
FINAL: Final = a_step(timeout=60)
LOOKED_UP: Final[dict[str, Any]] = {"looked_up": {job_name("train"): at(130)}}
"""The Pod was read from the API server when its time was over."""


def running(pod: PodMaker, *, retries: bool = True) -> SnapshotMaker:
    """The step's start is on record."""
    run = a_snapshot(STRICT if retries else FINAL).with_status(
        startTime=wire(40), phase="Running", progress="0/1"
    )
    return run.recorded("train", "Running", startTime=wire(40)).with_pod(pod)


SLOW: Final = a_pod().running(since=40).allowed(BACKSTOP)
"""Its kubelet took it at moment 0; image and init containers took until 40."""
WITH_DEADLINE: Final = SLOW.allowed(101)


def test_once_the_program_has_started_its_pod_gets_a_deadline() -> None:
    plan = planned(running(SLOW), 41)

    assert plan.deadlines == (Deadline(POD, f"uid-{POD}", 101),)


def test_a_deadline_that_is_set_is_not_set_again() -> None:
    assert planned(running(WITH_DEADLINE), 41).deadlines == ()
    assert planned(running(SLOW.allowed(70)), 41).deadlines == ()


def test_a_deadline_that_the_api_server_refused_is_not_set_again() -> None:
    assert planned(running(SLOW).with_fields(deadlines_set={f"uid-{POD}": at(41)}), 42).deadlines == ()


def test_no_deadline_is_set_before_the_program_has_started_or_without_a_timeout() -> None:
    waits = a_snapshot(STRICT).recorded("train", "Pending").with_pod(a_pod().on_node().allowed(BACKSTOP))
    free = a_snapshot("train").recorded("train", "Running", startTime=wire(1)).with_pod(a_pod().running())

    assert planned(waits, 120).deadlines == ()
    assert planned(free, 120).deadlines == ()


def test_a_kubelet_that_does_not_end_a_program_in_time_is_given_half_a_minute() -> None:
    early, late = (
        planned(running(WITH_DEADLINE), 129),
        planned(running(WITH_DEADLINE).with_fields(**LOOKED_UP), 130),
    )

    assert (early.status, early.outcome) == (None, Waiting(at(130)))
    assert late.status is not None
    assert late.status["steps"]["train"]["reason"] == conditions.STEP_TIMED_OUT


def test_a_pod_that_exceeded_its_deadline_is_over_when_its_program_is() -> None:
    """A busy kubelet reports the Pod's failure first: with its next report the exit code is on record."""
    failed, ended = WITH_DEADLINE.phase("Failed", "DeadlineExceeded"), a_pod().exited(0, end=101, started=40)
    first, then = (
        planned(running(failed), 102),
        planned(running(ended.phase("Failed", "DeadlineExceeded")), 103),
    )

    assert (first.status, first.outcome) == (None, Waiting(at(130)))
    assert then.status is not None
    step = then.status["steps"]["train"]
    assert (step["reason"], step["exitCode"]) == (conditions.STEP_TIMED_OUT, 0)
    assert step["completionTime"] == wire(101)


def test_a_program_whose_end_is_never_reported_has_exceeded_its_timeout() -> None:
    failed = WITH_DEADLINE.phase("Failed", "DeadlineExceeded")

    plan = planned(running(failed).with_fields(**LOOKED_UP), 130)

    assert plan.status is not None
    assert plan.status["steps"]["train"]["reason"] == conditions.STEP_TIMED_OUT


def test_a_deadline_that_is_set_late_gives_the_kubelet_as_long_from_then_on() -> None:
    back = running(SLOW)
    late = running(WITH_DEADLINE).with_fields(deadlines_set={f"uid-{POD}": at(500)})

    assert len(planned(back, 500).deadlines) == 1
    assert planned(back, 500).status is None
    assert planned(late, 529).status is None
    assert planned(late.with_fields(looked_up={job_name("train"): at(530)}), 530).status is not None


def test_a_pod_is_read_before_its_program_counts_as_timed_out() -> None:
    """The cache of Pods may be stale, and the program may have ended in time."""
    stale, early = (
        planned(running(WITH_DEADLINE), 130),
        running(WITH_DEADLINE).with_fields(looked_up={job_name("train"): at(129)}),
    )

    assert (stale.status, stale.lookups) == (None, (LookForJob(job_name("train"), has_run=True),))
    assert planned(early, 130).lookups == stale.lookups


def test_a_timeout_is_recorded_before_the_program_is_ended() -> None:
    first = planned(running(WITH_DEADLINE).with_fields(**LOOKED_UP), 130)
    failure: dict[str, Any] = {
        "reason": conditions.STEP_TIMED_OUT,
        "completionTime": wire(130),
        "startTime": wire(40),
    }
    then = planned(running(WITH_DEADLINE).recorded("train", "Retrying", **failure), 131)

    assert first.status is not None
    assert (first.delete_jobs, first.status["steps"]["train"]["phase"]) == ((), "Retrying")
    assert first.outcome == Waiting(at(130))
    assert then.delete_jobs == (OldObject(job_name("train"), f"uid-{job_name('train')}"),)


def test_a_step_that_fails_for_its_timeout_is_recorded_before_the_run_is_ended() -> None:
    first = planned(running(WITH_DEADLINE, retries=False).with_fields(**LOOKED_UP), 130)
    failure: dict[str, Any] = {
        "reason": conditions.STEP_TIMED_OUT,
        "completionTime": wire(130),
        "startTime": wire(40),
    }
    then = planned(
        running(WITH_DEADLINE, retries=False).recorded("train", "Failed", message="m", **failure), 130
    )

    assert first.status is not None
    assert first.status["steps"]["train"]["phase"] == "Failed"
    assert ("phase" in first.status, first.delete_jobs, first.outcome) == (False, (), Waiting(at(130)))
    assert then.status is not None
    assert then.status["phase"] == "Failed"
    assert then.delete_jobs == (OldObject(job_name("train"), f"uid-{job_name('train')}"),)


def test_a_graceful_exit_after_the_record_does_not_change_it() -> None:
    failure: dict[str, Any] = {
        "reason": conditions.STEP_TIMED_OUT,
        "completionTime": wire(130),
        "startTime": wire(40),
    }
    graceful = running(SLOW.allowed(101).deleted(131)).recorded("train", "Retrying", **failure)
    ended = graceful.with_pod(a_pod().exited(0, end=132, started=40).deleted(131))

    plan = planned(ended, 133)

    assert plan.status is None or "train" not in plan.status.get("steps", {})
