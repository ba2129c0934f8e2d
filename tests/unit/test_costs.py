"""What a run has cost: what its steps asked for, times the time of all attempts, at the prices then."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.v1alpha1 import conditions
from tests.support.plans import planned, status_of, step_of
from tests.support.snapshots import SnapshotMaker, a_pod, a_snapshot, a_step, an_environment, wire

HOUR: Final = 3600
LAB: Final = an_environment("lab", prices={"cpuHour": 2, "memoryGbHour": 0.5, "currency": "EUR"})
FREE: Final = an_environment("lab", prices={"cpuHour": 0})
WITHOUT: Final = an_environment("lab")


def a_run(*steps: Any, place: EnvironmentView = LAB) -> SnapshotMaker:
    made = a_snapshot(*steps, order="Graph").with_status(environment="lab").with_fields(environments=(place,))
    said = {"type": conditions.PLACED, "status": "True", "reason": conditions.CHOSEN}
    return made.with_status(conditions=[*made.status["conditions"], said])


def ran(
    made: SnapshotMaker, step: str, seconds: int, phase: str = "Completed", **fields: Any
) -> SnapshotMaker:
    return made.recorded(step, phase, startTime=wire(0), completionTime=wire(seconds), **fields)


def cost(made: SnapshotMaker, now: float = 2 * HOUR) -> Any:
    status = status_of(planned(made, now))
    assert status["phase"] in ("Completed", "Failed", "Cancelled")
    return status.get("cost")


ONE_CORE: Final = a_step("a", resources={"cpu": 1})
FOUR_GB: Final = a_step("b", resources={"memory": "4 GB"})


def test_each_step_costs_what_it_asked_for_in_its_own_time() -> None:
    made = ran(ran(a_run(ONE_CORE, FOUR_GB), "a", HOUR), "b", HOUR // 2)

    assert cost(made) == {"amount": 2 + 4 * 0.5 / 2, "currency": "EUR"}


def test_earlier_attempts_cost_as_much_as_the_last_one() -> None:
    made = ran(a_run(ONE_CORE), "a", HOUR, attempt=3, earlierSeconds=HOUR)

    assert cost(made) == {"amount": 4.0, "currency": "EUR"}


@pytest.mark.parametrize(
    ("place", "expected"),
    [(FREE, {"amount": 0.0}), (WITHOUT, None), (an_environment("another"), None)],
)
def test_without_prices_there_is_no_cost_and_a_price_of_nothing_is_one(
    place: EnvironmentView, expected: Any
) -> None:
    assert cost(ran(a_run(ONE_CORE, place=place), "a", HOUR)) == expected


def test_a_run_that_failed_costs_what_ran_and_what_was_skipped_costs_nothing() -> None:
    made = ran(
        a_run(ONE_CORE, a_step("b", dependsOn=["a"])), "a", HOUR, "Failed", reason="Error", message="m"
    )

    assert cost(made) == {"amount": 2.0, "currency": "EUR"}


def test_a_step_that_is_cancelled_costs_the_time_until_then() -> None:
    made = a_run(ONE_CORE).recorded("a", "Running", startTime=wire(0)).cancelled()

    assert cost(made, HOUR) == {"amount": 2.0, "currency": "EUR"}


def test_a_run_whose_steps_never_started_cost_nothing() -> None:
    assert cost(a_run(ONE_CORE).recorded("a", "Failed", attempt=0, job=False)) == {
        "amount": 0.0,
        "currency": "EUR",
    }


def test_the_time_of_an_attempt_is_kept_when_the_next_one_is_recorded() -> None:
    step = a_step("a", retries=3, retryDelay=0)
    made = ran(a_run(step), "a", 90, "Retrying", attempt=2, reason="Error", earlierSeconds=30)
    made = made.with_pod(a_pod("a", 2).exited(1, end=90, started=0))

    assert step_of(planned(made, 100), "a")["earlierSeconds"] == 120


def test_the_time_of_earlier_attempts_stays_through_the_rest_of_a_step() -> None:
    made = a_run(ONE_CORE).recorded("a", "Pending", attempt=2, earlierSeconds=90)
    for pod in (a_pod("a", 2).running(), a_pod("a", 2).exited(0), a_pod("a", 2).exited(1)):
        step = step_of(planned(made.with_pod(pod), 60), "a")
        assert "earlierSeconds" not in step, "a merge patch has only what changes"


def test_an_attempt_that_never_started_took_no_time() -> None:
    step = a_step("a", retries=3, retryDelay=0)
    made = a_run(step).recorded("a", "Retrying", completionTime=wire(90), reason="Error")
    made = made.with_pod(a_pod("a").exited(1, end=90, started=None))

    assert "earlierSeconds" not in step_of(planned(made, 100), "a")
