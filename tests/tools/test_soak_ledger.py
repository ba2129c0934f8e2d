"""The soak's ledger: what it makes of Pods and runs that are not as they must be."""

from __future__ import annotations

import asyncio

import pytest

from tests.bench.soak.kinds import KINDS, Kind
from tests.bench.soak.ledger import Ledger, PodSeen

_BY_NAME = {kind.name: kind for kind in KINDS}


class _Told:
    """A ledger, and what a watch tells it of one run, a second apart."""

    def __init__(self, kind: str) -> None:
        self.kind: Kind = _BY_NAME[kind]
        self.ledger = Ledger()
        self.now = 0.0
        self.ledger.ask("r", self.kind, self.now)
        self.ledger.accept("r", self.now)

    def pod(self, uid: str, step: str, *phases: str, attempt: int = 1, deleted: bool = False) -> _Told:
        for phase in phases:
            self.now += 1
            seen = PodSeen(uid, "r", step, str(attempt), phase, deleted)
            if self.ledger.pods_of("r", step) == 0 or phase == "Pending":
                self.ledger.first_sight(seen)
            self.ledger.pod(seen, self.now)
        return self

    def gone(self, uid: str, step: str) -> _Told:
        self.ledger.pod_gone(PodSeen(uid, "r", step, "1", "Running", is_deleted=True))
        return self

    def ends(self, phase: str) -> _Told:
        self.now += 1
        self.ledger.phase("r", phase, self.now)
        return self

    def wrong(self) -> dict[str, int]:
        self.ledger.settle(self.now, after=0)
        return dict(self.ledger.wrong)


_WHOLE = ("Pending", "Running", "Succeeded")


def _chain_of_two(kind: str = "retried") -> _Told:
    told = _Told(kind)
    told.pod("a", "step-0", "Pending", "Running", "Failed").pod("b", "step-0", *_WHOLE, attempt=2)
    return told.pod("c", "step-1", *_WHOLE)


def test_a_run_as_it_must_be_is_settled_without_a_word() -> None:
    told = _chain_of_two().ends("Completed")
    assert told.wrong() == {}
    assert told.ledger.settled == {"retried": 1}
    assert told.ledger.unsettled == 0


def test_a_run_that_is_not_judged_yet_stays_for_what_may_still_come() -> None:
    told = _chain_of_two().ends("Completed")
    told.ledger.settle(told.now + 19)
    assert told.ledger.unsettled == 1
    told.ledger.settle(told.now + 20)
    assert told.ledger.unsettled == 0


def test_an_attempt_whose_pod_ended_must_not_run_again() -> None:
    told = _Told("one").pod("a", "step-0", *_WHOLE).pod("b", "step-0", *_WHOLE).ends("Completed")
    assert told.wrong() == {"ran twice": 1, "wrong number of Pods": 1}


def test_two_pods_of_a_step_must_not_live_at_once() -> None:
    told = _Told("retried").pod("a", "step-0", "Pending", "Running")
    told.pod("b", "step-0", "Pending", attempt=2)
    assert told.ledger.wrong == {"two at once": 1}


def test_a_pod_that_was_taken_away_may_be_replaced() -> None:
    told = _Told("disrupted").pod("a", "step-0", "Pending", "Running").gone("a", "step-0")
    told.pod("b", "step-0", *_WHOLE).pod("c", "step-1", *_WHOLE).ends("Completed")
    assert told.wrong() == {}


def test_a_pod_that_is_being_deleted_but_runs_on_may_not_be_replaced_yet() -> None:
    told = _Told("disrupted").pod("a", "step-0", "Pending", "Running")
    told.pod("a", "step-0", "Running", deleted=True).pod("b", "step-0", "Pending")
    assert told.ledger.wrong == {"two at once": 1}


def test_a_step_must_not_begin_before_those_it_waits_for_have_succeeded() -> None:
    told = _Told("chain").pod("a", "step-0", "Pending", "Running").pod("b", "step-1", "Pending")
    assert told.ledger.wrong == {"too early": 1}


@pytest.mark.parametrize("phase", ["Failed", "Cancelled"])
def test_another_end_than_the_kinds_is_wrong(phase: str) -> None:
    told = _Told("one").pod("a", "step-0", *_WHOLE).ends(phase)
    assert told.wrong() == {"wrong end": 1}


def test_an_end_that_is_taken_back_is_wrong() -> None:
    told = _Told("one").pod("a", "step-0", *_WHOLE).ends("Completed").ends("Running")
    assert told.ledger.wrong == {"end revoked": 1}


def test_a_completed_run_whose_step_never_succeeded_is_wrong() -> None:
    told = _Told("one").pod("a", "step-0", "Pending", "Running", "Failed").ends("Completed")
    assert told.wrong() == {"step not run": 1}


def test_a_pod_that_outlives_its_run_is_wrong() -> None:
    told = _Told("cancelled").pod("a", "step-0", "Pending", "Running").ends("Cancelled")
    assert told.wrong() == {"Pod left running": 1}


def test_a_pod_of_a_run_that_was_settled_long_ago_is_late() -> None:
    told = _Told("one").pod("a", "step-0", *_WHOLE).ends("Completed")
    assert told.wrong() == {}
    told.ledger.first_sight(PodSeen("b", "r", "step-0", "1", "Pending", is_deleted=False))
    assert told.ledger.wrong == {"late Pod": 1}


def test_a_run_that_is_deleted_before_its_end_is_wrong() -> None:
    told = _Told("one").pod("a", "step-0", "Pending")
    told.ledger.run_gone("r", told.now)
    assert told.ledger.wrong == {"deleted alive": 1}


def test_runs_that_never_end_are_lost() -> None:
    told = _Told("one").pod("a", "step-0", "Pending")
    told.ledger.lose_the_rest()
    assert told.ledger.wrong == {"lost": 1}
    assert "still in phase none" in told.ledger.examples[0]


def test_the_lag_is_the_age_of_the_oldest_accepted_run_without_a_pod() -> None:
    told = _Told("one")
    told.ledger.ask("later", told.kind, 5)
    told.ledger.accept("later", 5)
    told.ledger.ask("never accepted", told.kind, 0)
    assert told.ledger.lag(7) == 7
    told.pod("a", "step-0", "Pending")
    assert told.ledger.lag(7) == 2


def test_waits_are_told_once_from_request_to_pod_and_from_step_to_step() -> None:
    told = _Told("chain").pod("a", "step-0", *_WHOLE).pod("b", "step-1", "Pending")
    window = told.ledger.take_window()
    assert window.starts == [1.0]
    assert window.handovers == [1.0]
    assert told.ledger.take_window() == ([], [])


def test_the_end_of_all_runs_can_be_awaited() -> None:
    async def scenario() -> None:
        told = _Told("one").pod("a", "step-0", *_WHOLE)
        waiting = asyncio.create_task(told.ledger.all_ended())
        await asyncio.sleep(0)
        assert not waiting.done()
        told.ends("Completed")
        await asyncio.wait_for(waiting, 5)

    asyncio.run(scenario())
