"""What is kept of runs that have ended: their Jobs, for a while."""

from __future__ import annotations

from nightcrawler_crds.kube.views import JobView
from nightcrawler_operator.decisions.leftovers import Keep, Remove, StopLive, leftovers
from nightcrawler_operator.snapshot import Attempt
from tests.support.snapshots import PodMaker, a_job, a_pod, at, job_name


def verdict(*attempts: Attempt, now: float = 0, gone: bool = False) -> Keep | Remove | StopLive:
    return leftovers(attempts, gone=gone, now=at(now), keep=900)


def an_attempt(job: JobView, *pods: PodMaker) -> Attempt:
    return Attempt(job, tuple(pod.view for pod in pods))


def test_jobs_are_kept_from_the_end_of_the_last_one_on() -> None:
    early, late = Attempt(a_job("a", ended=("Complete", 10))), Attempt(a_job("b", ended=("Failed", 60)))

    assert verdict(early, late, now=500) == Keep(at(960))
    assert verdict(early, late, now=960) == Remove()


def test_jobs_of_an_execution_that_is_gone_go_at_once() -> None:
    assert verdict(Attempt(a_job("a")), now=1, gone=True) == Remove()


def test_a_job_that_may_still_run_is_stopped() -> None:
    done, runs = Attempt(a_job("a", ended=("Complete", 10))), an_attempt(a_job("b"), a_pod("b").running())

    assert verdict(done, runs, now=5000) == StopLive((job_name("b"),))
    assert verdict(Attempt(a_job("c"))) == StopLive((job_name("c"),))


def test_a_job_that_is_being_deleted_is_not_stopped_again() -> None:
    going = an_attempt(a_job("a", deleting=True), a_pod("a").running().deleted(1))

    assert verdict(going, now=5) == Keep(at(905))


def test_a_job_whose_pod_has_ended_is_not_live_although_it_does_not_say_so_yet() -> None:
    assert isinstance(verdict(an_attempt(a_job("a"), a_pod("a").exited(0))), Keep)


def test_a_pod_may_outlive_its_program_for_a_while_before_its_job_is_stopped() -> None:
    lingers = an_attempt(a_job("a"), a_pod("a").exited(0, end=10).phase("Running"))

    assert verdict(lingers, now=11) == Keep(at(20))
    assert verdict(lingers, now=20) == StopLive((job_name("a"),))


def test_a_long_last_step_does_not_have_the_jobs_go_at_once() -> None:
    # Its Job does not say yet that it has ended, and the one before it ended more than the time to keep ago.
    first, last = (
        Attempt(a_job("a", ended=("Complete", 10))),
        an_attempt(a_job("b"), a_pod("b").exited(0, 5000)),
    )

    assert verdict(first, last, now=5000) == Keep(at(5900))


def test_a_job_whose_end_nobody_knows_is_kept_from_now_on() -> None:
    going = an_attempt(a_job("b", deleting=True), a_pod("b"))

    assert verdict(Attempt(a_job("a", ended=("Complete", 10))), going, now=5000) == Keep(at(5900))
