"""Room under a quota on the number of objects, made by a run's own finished Jobs."""

from __future__ import annotations

from typing import Final

import pytest

from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.plan import OldObject, Plan
from tests.support.snapshots import SnapshotMaker, a_job, a_pod, a_snapshot, at, job_name, wire

JOBS: Final = (
    'jobs.batch "x" is forbidden: exceeded quota: team, requested: count/jobs.batch=1, '
    "used: count/jobs.batch=2, limited: count/jobs.batch=2"
)
PODS: Final = JOBS.replace("jobs.batch", "pods")


def planned(snapshot: SnapshotMaker, now: float = 20) -> Plan:
    return decide(snapshot.at(now).build())


def the_job(step: str) -> OldObject:
    return OldObject(job_name(step), f"uid-{job_name(step)}")


def two_done(message: str = JOBS) -> SnapshotMaker:
    """Two steps have completed, the later one stands first; a quota keeps the third's Job out."""
    run = a_snapshot("late", "early", "third", order="Graph")
    for step, end in (("late", 9), ("early", 5)):
        run = run.recorded(step, "Completed", completionTime=wire(end)).with_pod(
            a_pod(step).exited(0, end=end)
        )
    return run.with_refusal("third", message, ask_again=50)


def test_the_oldest_finished_job_of_the_run_is_deleted() -> None:
    plan = planned(two_done())

    assert (plan.room, plan.delete_jobs, plan.first_jobs) == ((the_job("early"),), (), ())


@pytest.mark.parametrize("message", [JOBS, PODS])
def test_room_is_made_for_a_refused_pod_too(message: str) -> None:
    waits = two_done(message).recorded("third", "Pending").with_job(a_job("third"))

    assert planned(waits).room == (the_job("early"),)


def test_as_many_jobs_are_deleted_as_are_refused() -> None:
    run = a_snapshot("a", "b", "c", "d", "e", order="Graph")
    for step, end in (("a", 5), ("b", 6), ("c", 7)):
        run = run.recorded(step, "Completed", completionTime=wire(end)).with_pod(
            a_pod(step).exited(0, end=end)
        )
    run = run.with_refusal("d", JOBS, 50).with_refusal("e", JOBS, 50)

    assert planned(run).room == (the_job("a"), the_job("b"))


def test_no_job_is_deleted_before_its_result_is_recorded() -> None:
    run = a_snapshot("a", "b", order="Graph").recorded("a", "Running", startTime=wire(1))
    run = run.with_pod(a_pod("a").exited(0, end=5)).with_refusal("b", JOBS, 50)

    plan = planned(run)

    assert plan.room == ()
    assert plan.status is not None
    assert plan.status["steps"]["a"]["phase"] == "Completed"


def test_no_running_job_is_deleted() -> None:
    run = a_snapshot("a", "b", order="Graph").recorded("a", "Completed", completionTime=wire(15))
    run = run.with_pod(a_pod("a").exited(0, end=15).phase("Running")).with_refusal("b", JOBS, 50)

    assert planned(run).room == ()


def test_a_recorded_failed_attempt_may_be_deleted() -> None:
    run = a_snapshot("a", order="Graph").recorded("a", "Pending", 2, job=False)
    run = run.with_pod(a_pod("a").exited(1, end=5)).with_refusal("a", JOBS, 50, attempt=2)

    assert planned(run).room == (the_job("a"),)


OTHER_WANTS: Final = {
    "CPU": 'pods "x" is forbidden: exceeded quota: team, requested: requests.cpu=1, used: requests.cpu=2',
    "live Pods": 'pods "x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=2',
    "CPU, too": JOBS.replace("count/jobs.batch=1", "count/jobs.batch=1,requests.cpu=1"),
    "an unknown amount": "status unknown for quota: team",
}


@pytest.mark.parametrize("message", OTHER_WANTS.values(), ids=OTHER_WANTS)
def test_no_job_is_deleted_for_a_quota_that_it_does_not_use(message: str) -> None:
    assert planned(two_done(message)).room == ()


def test_nothing_more_is_deleted_before_the_quotas_usage_is_updated() -> None:
    assert planned(two_done().with_fields(room_made=at(16))).room == ()
    assert planned(two_done().with_fields(room_made=at(15))).room == (the_job("early"),)
