"""What is kept of runs that have ended: their Jobs, for a while."""

from __future__ import annotations

import pytest

from nightcrawler_crds.kube.nativeviews import JobView
from nightcrawler_operator.decisions.leftovers import Keep, Remove, StopLive, leftovers
from nightcrawler_operator.plan import OldObject
from nightcrawler_operator.snapshot import Attempt
from tests.support.snapshots import PodMaker, a_job, a_pod, at, job_name, wire

SIDE_CAR = {"running": {"startedAt": wire(1)}}
GONE_WRONG = {"terminated": {"exitCode": 1, "finishedAt": wire(4)}}


def decided(*attempts: Attempt, now: float = 0) -> Keep | Remove | StopLive:
    return leftovers(attempts, now=at(now), keep=900)


def stop(*steps: str) -> StopLive:
    return StopLive(tuple(OldObject(job_name(step), f"uid-{job_name(step)}") for step in steps))


def an_attempt(job: JobView, *pods: PodMaker) -> Attempt:
    return Attempt(job, tuple(pod.view for pod in pods))


def test_jobs_are_kept_from_the_end_of_the_last_one_on() -> None:
    early, late = Attempt(a_job("a", ended=("Complete", 10))), Attempt(a_job("b", ended=("Failed", 60)))

    assert decided(early, late, now=500) == Keep(at(960))
    assert decided(early, late, now=960) == Remove()


def test_a_job_that_may_still_run_is_stopped() -> None:
    done, runs = Attempt(a_job("a", ended=("Complete", 10))), an_attempt(a_job("b"), a_pod("b").running())

    assert decided(done, runs, now=5000) == stop("b")
    assert decided(Attempt(a_job("c"))) == stop("c")


def test_a_job_that_is_being_deleted_is_not_stopped_again() -> None:
    going = an_attempt(a_job("a", deleting=True), a_pod("a").running().deleted(1))

    assert decided(going, now=5) == Keep(at(905))


def test_a_job_whose_pod_has_ended_is_not_live_before_its_status_says_so() -> None:
    assert isinstance(decided(an_attempt(a_job("a"), a_pod("a").exited(0))), Keep)


def test_a_side_car_may_outlive_the_program_for_a_while_before_its_job_is_stopped() -> None:
    lingers = an_attempt(a_job("a"), late(10).container(SIDE_CAR, "proxy"))

    assert decided(lingers, now=11) == Keep(at(20))
    assert decided(lingers, now=20) == stop("a")


def late(end: float) -> PodMaker:
    """A Pod whose program has ended, and whose phase has not been set yet."""
    return a_pod("a").exited(0, end=end).phase("Running")


@pytest.mark.parametrize(
    "pod",
    [
        late(10),
        late(10).deleted(12),
        late(10).container(GONE_WRONG, "proxy"),
        late(10).container({"terminated": {"exitCode": 0}}, "prepare", init=True),
        late(10).container(SIDE_CAR, "restartable", init=True),
        late(10).container(SIDE_CAR, "proxy").deleted(12),
        late(10).phase("Pending"),
    ],
    ids=[
        "nothing runs",
        "nothing runs and it was deleted",
        "a side-car has ended",
        "an init container has ended",
        "the kubelet ends a restartable init container",
        "the kubelet ends a Pod that was deleted",
        "the kubelet has not said that it ran",
    ],
)
def test_a_job_is_kept_however_long_its_kubelet_takes_to_set_the_phase(pod: PodMaker) -> None:
    attempt = an_attempt(a_job("a"), pod)

    assert decided(attempt, now=21) == decided(attempt, now=909) == Keep(at(910))
    assert decided(attempt, now=910) == Remove()


@pytest.mark.parametrize(
    "pod",
    [
        a_pod("a"),
        a_pod("a").on_node(),
        a_pod("a").running(),
        a_pod("a").running().deleted(2),
        a_pod("a").waiting("PodInitializing").container(SIDE_CAR, "prepare", init=True),
        a_pod("a").waiting("ImagePullBackOff"),
    ],
    ids=["no node", "no status", "it runs", "it is being deleted", "it is prepared", "it cannot start"],
)
def test_a_job_whose_program_may_run_is_stopped_at_once(pod: PodMaker) -> None:
    assert decided(an_attempt(a_job("a"), pod), now=3) == stop("a")


def test_a_side_car_that_never_started_is_waited_for_no_longer_than_one_that_runs() -> None:
    waits = an_attempt(a_job("a"), late(10).container({"waiting": {"reason": "ImagePullBackOff"}}, "proxy"))

    assert (decided(waits, now=19), decided(waits, now=20)) == (Keep(at(20)), stop("a"))


def test_a_long_last_step_does_not_shorten_the_retention_of_jobs() -> None:
    # Its Job does not say yet that it has ended, and the one before it ended more than the time to keep ago.
    first, last = (
        Attempt(a_job("a", ended=("Complete", 10))),
        an_attempt(a_job("b"), a_pod("b").exited(0, 5000)),
    )

    assert decided(first, last, now=5000) == Keep(at(5900))


def test_a_job_without_a_known_end_is_kept_from_now_on() -> None:
    going = an_attempt(a_job("b", deleting=True), a_pod("b"))

    assert decided(Attempt(a_job("a", ended=("Complete", 10))), going, now=5000) == Keep(at(5900))
