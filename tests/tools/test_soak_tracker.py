"""The soak's tracker: what it reports of Pods and runs that are not as they must be."""

from __future__ import annotations

import asyncio

import pytest

from tests.bench.soak.kinds import KINDS, Kind
from tests.bench.soak.tracker import PodSeen, RunTracker

_BY_NAME = {kind.name: kind for kind in KINDS}


class _Observed:
    """A tracker, and the events of one run, a second apart."""

    def __init__(self, kind: str) -> None:
        self.kind: Kind = _BY_NAME[kind]
        self.tracker = RunTracker()
        self.now = 0.0
        self.tracker.ask("r", self.kind, self.now)
        self.tracker.accept("r", self.now)

    def pod(self, uid: str, step: str, *phases: str, attempt: int = 1, deleted: bool = False) -> _Observed:
        for phase in phases:
            self.now += 1
            seen = PodSeen(uid, "r", step, str(attempt), phase, deleted)
            if self.tracker.pods_of("r", step) == 0 or phase == "Pending":
                self.tracker.first_sight(seen)
            self.tracker.pod(seen, self.now)
        return self

    def gone(self, uid: str, step: str) -> _Observed:
        self.tracker.pod_gone(PodSeen(uid, "r", step, "1", "Running", is_deleted=True))
        return self

    def ends(self, phase: str) -> _Observed:
        self.now += 1
        self.tracker.phase("r", phase, self.now)
        return self

    def wrong(self) -> dict[str, int]:
        self.tracker.settle(self.now, after=0)
        return dict(self.tracker.wrong)


_WHOLE = ("Pending", "Running", "Succeeded")


def _chain_of_two(kind: str = "retried") -> _Observed:
    observed = _Observed(kind)
    observed.pod("a", "step-0", "Pending", "Running", "Failed").pod("b", "step-0", *_WHOLE, attempt=2)
    return observed.pod("c", "step-1", *_WHOLE)


def test_a_correct_run_is_settled_without_a_finding() -> None:
    observed = _chain_of_two().ends("Completed")
    assert observed.wrong() == {}
    assert observed.tracker.settled == {"retried": 1}
    assert observed.tracker.unsettled == 0


def test_a_run_that_is_not_judged_yet_stays_tracked() -> None:
    observed = _chain_of_two().ends("Completed")
    observed.tracker.settle(observed.now + 19)
    assert observed.tracker.unsettled == 1
    observed.tracker.settle(observed.now + 20)
    assert observed.tracker.unsettled == 0


def test_an_attempt_whose_pod_ended_must_not_run_again() -> None:
    observed = _Observed("one").pod("a", "step-0", *_WHOLE).pod("b", "step-0", *_WHOLE).ends("Completed")
    assert observed.wrong() == {"ran twice": 1, "wrong number of Pods": 1}


def test_two_pods_of_a_step_must_not_live_at_once() -> None:
    observed = _Observed("retried").pod("a", "step-0", "Pending", "Running")
    observed.pod("b", "step-0", "Pending", attempt=2)
    assert observed.tracker.wrong == {"two at once": 1}


def test_a_pod_that_was_taken_away_may_be_replaced() -> None:
    observed = _Observed("disrupted").pod("a", "step-0", "Pending", "Running").gone("a", "step-0")
    observed.pod("b", "step-0", *_WHOLE).pod("c", "step-1", *_WHOLE).ends("Completed")
    assert observed.wrong() == {}


def test_a_pod_that_is_being_deleted_but_runs_on_may_not_be_replaced_yet() -> None:
    observed = _Observed("disrupted").pod("a", "step-0", "Pending", "Running")
    observed.pod("a", "step-0", "Running", deleted=True).pod("b", "step-0", "Pending")
    assert observed.tracker.wrong == {"two at once": 1}


def test_a_step_must_not_begin_before_those_it_waits_for_have_succeeded() -> None:
    observed = _Observed("chain").pod("a", "step-0", "Pending", "Running").pod("b", "step-1", "Pending")
    assert observed.tracker.wrong == {"too early": 1}


@pytest.mark.parametrize("phase", ["Failed", "Cancelled"])
def test_an_end_other_than_the_kinds_is_wrong(phase: str) -> None:
    observed = _Observed("one").pod("a", "step-0", *_WHOLE).ends(phase)
    assert observed.wrong() == {"wrong end": 1}


def test_an_end_that_is_reverted_is_wrong() -> None:
    observed = _Observed("one").pod("a", "step-0", *_WHOLE).ends("Completed").ends("Running")
    assert observed.tracker.wrong == {"end revoked": 1}


def test_a_completed_run_whose_step_never_succeeded_is_wrong() -> None:
    observed = _Observed("one").pod("a", "step-0", "Pending", "Running", "Failed").ends("Completed")
    assert observed.wrong() == {"step not run": 1}


def test_a_pod_that_outlives_its_run_is_wrong() -> None:
    observed = _Observed("cancelled").pod("a", "step-0", "Pending", "Running").ends("Cancelled")
    assert observed.wrong() == {"Pod left running": 1}


def test_a_pod_of_a_run_that_was_settled_long_ago_is_late() -> None:
    observed = _Observed("one").pod("a", "step-0", *_WHOLE).ends("Completed")
    assert observed.wrong() == {}
    observed.tracker.first_sight(PodSeen("b", "r", "step-0", "1", "Pending", is_deleted=False))
    assert observed.tracker.wrong == {"late Pod": 1}


def test_a_run_that_is_deleted_before_its_end_is_wrong() -> None:
    observed = _Observed("one").pod("a", "step-0", "Pending")
    observed.tracker.run_gone("r", observed.now)
    assert observed.tracker.wrong == {"deleted while active": 1}


def test_runs_that_never_end_are_lost() -> None:
    observed = _Observed("one").pod("a", "step-0", "Pending")
    observed.tracker.record_lost()
    assert observed.tracker.wrong == {"lost": 1}
    assert "still in phase none" in observed.tracker.examples[0]


def test_the_lag_is_the_age_of_the_oldest_accepted_run_without_a_pod() -> None:
    observed = _Observed("one")
    observed.tracker.ask("later", observed.kind, 5)
    observed.tracker.accept("later", 5)
    observed.tracker.ask("never accepted", observed.kind, 0)
    assert observed.tracker.lag(7) == 7
    observed.pod("a", "step-0", "Pending")
    assert observed.tracker.lag(7) == 2


def test_waits_are_reported_once_from_request_to_pod_and_from_step_to_step() -> None:
    observed = _Observed("chain").pod("a", "step-0", *_WHOLE).pod("b", "step-1", "Pending")
    window = observed.tracker.take_window()
    assert window.starts == [1.0]
    assert window.handovers == [1.0]
    assert observed.tracker.take_window() == ([], [])


def test_the_end_of_all_runs_can_be_awaited() -> None:
    async def scenario() -> None:
        observed = _Observed("one").pod("a", "step-0", *_WHOLE)
        waiting = asyncio.create_task(observed.tracker.all_ended())
        await asyncio.sleep(0)
        assert not waiting.done()
        observed.ends("Completed")
        await asyncio.wait_for(waiting, 60)

    asyncio.run(scenario())
