"""What follows a failure: whether a step is tried again, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.planning.resolved import ResolvedStep
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, Step, conditions
from nightcrawler_operator.decisions.attempt_state import Blame, Failed
from nightcrawler_operator.decisions.retrying import (
    Again,
    Over,
    after_failure,
    next_attempt_at,
)
from nightcrawler_operator.limits import Limits
from tests.support.snapshots import a_spec, a_step, at

LIMITS: Final = Limits(max_disruptions=5, default_retry_delay=30)


def failed(blame: Blame) -> Failed:
    return Failed(blame, "Error", "ended with exit code 1", at(0))


def resolved(step: Step, **workflow: Any) -> ResolvedStep:
    return ResolvedStep(step, a_spec(step, **workflow), EnvironmentSpec(), LIMITS)


def decided(blame: Blame, attempt: int, disruptions: int = 0, retries: int | None = None) -> Again | Over:
    step = a_step() if retries is None else a_step(retries=retries)
    return after_failure(resolved(step), LIMITS, failed(blame), attempt, disruptions)


ALLOWED: Final[dict[str, tuple[dict[str, Any], dict[str, Any], int]]] = {
    "none, where nothing is set": ({}, {}, 0),
    "those of config": ({}, {"config": {"retries": 2}}, 2),
    "three, if they are only switched on": ({}, {"options": {"enableRetry": True}}, 3),
    "those of config, if they are switched on": (
        {},
        {"options": {"enableRetry": True}, "config": {"retries": 1}},
        1,
    ),
    "none of config's zero, though they are switched on": (
        {},
        {"options": {"enableRetry": True}, "config": {"retries": 0}},
        0,
    ),
    "none, if they are switched off": ({}, {"options": {"enableRetry": False}, "config": {"retries": 2}}, 0),
    "the step's own, though they are switched off": (
        {"retries": 4},
        {"options": {"enableRetry": False}, "config": {"retries": 2}},
        4,
    ),
    "the step's own zero over config's": ({"retries": 0}, {"config": {"retries": 2}}, 0),
    "those of config, if the options do not say": (
        {},
        {"options": {"enableLogging": True}, "config": {"retries": 2}},
        2,
    ),
}


@pytest.mark.parametrize(("step", "workflow", "allowed"), ALLOWED.values(), ids=ALLOWED)
def test_the_retries_of_a_step_are(step: dict[str, Any], workflow: dict[str, Any], allowed: int) -> None:
    made = a_step(**step)

    assert resolved(made, **workflow).retries == allowed


def test_three_retries_are_four_attempts() -> None:
    outcomes = [type(decided(Blame.PROGRAM, attempt, retries=3)) for attempt in (1, 2, 3, 4)]

    assert outcomes == [Again, Again, Again, Over]


def test_the_last_failure_says_how_many_attempts_there_were() -> None:
    over = decided(Blame.PROGRAM, 4, retries=3)

    assert over == Over(0, "ended with exit code 1 (in the last of 4 attempts)")


def test_a_failure_without_retries_does_not_speak_of_attempts() -> None:
    assert decided(Blame.PROGRAM, 1) == Over(0, "ended with exit code 1")


def test_disruptions_use_up_no_retry() -> None:
    assert decided(Blame.INFRASTRUCTURE, 1) == Again(1)
    assert decided(Blame.PROGRAM, attempt=4, disruptions=3, retries=1) == Again(3)
    assert isinstance(decided(Blame.PROGRAM, attempt=5, disruptions=3, retries=1), Over)


def test_disruptions_are_bounded() -> None:
    assert decided(Blame.INFRASTRUCTURE, 5, disruptions=4) == Again(5)
    assert decided(Blame.INFRASTRUCTURE, 6, disruptions=5) == Over(
        6, "ended with exit code 1 (disrupted 6 times, that is enough)"
    )


def test_errors_of_the_definition_are_not_retried() -> None:
    assert decided(Blame.DEFINITION, 1, retries=100) == Over(0, "ended with exit code 1")


@given(st.integers(0, 10), st.lists(st.sampled_from([Blame.PROGRAM, Blame.INFRASTRUCTURE]), max_size=40))
def test_a_step_ends_after_its_retries_or_its_disruptions_in_any_order(
    retries: int, failures: list[Blame]
) -> None:
    disruptions, programs = 0, 0
    for attempt, blame in enumerate(failures, start=1):
        programs += blame is Blame.PROGRAM
        next_ = decided(blame, attempt, disruptions, retries)
        if isinstance(next_, Over):
            assert programs == retries + 1 or next_.disruptions == LIMITS.max_disruptions + 1
            return
        disruptions = next_.disruptions
        assert disruptions == attempt - programs
    assert programs <= retries
    assert disruptions <= LIMITS.max_disruptions


DELAYS: Final[dict[str, tuple[dict[str, Any], dict[str, Any], str, int, float]]] = {
    "the usual one after an error": ({}, {}, conditions.STEP_ERROR, 0, 30),
    "config's after an error": ({}, {"config": {"retryDelay": "2 minutes"}}, conditions.STEP_ERROR, 0, 120),
    "the step's own after an error": (
        {"retryDelay": "5 seconds"},
        {"config": {"retryDelay": "2 minutes"}},
        conditions.STEP_ERROR,
        0,
        5,
    ),
    "none, if the step says so": ({"retryDelay": 0}, {}, conditions.STEP_OUT_OF_MEMORY, 0, 0),
    "the step's own after an error that followed disruptions": (
        {"retryDelay": 7},
        {},
        conditions.STEP_ERROR,
        4,
        7,
    ),
    "two seconds after the first disruption": ({"retryDelay": 99}, {}, conditions.STEP_DISRUPTED, 1, 2),
    "four after the second": ({}, {}, conditions.STEP_NODE_REFUSED, 2, 4),
    "thirty-two after the fifth": ({}, {}, conditions.STEP_VANISHED, 5, 32),
    "a minute at the most": ({}, {}, conditions.STEP_VANISHED, 50, 60),
}


@pytest.mark.parametrize(
    ("step", "workflow", "reason", "disruptions", "seconds"), DELAYS.values(), ids=DELAYS
)
def test_the_delay_before_the_next_attempt_is(
    step: dict[str, Any], workflow: dict[str, Any], reason: str, disruptions: int, seconds: float
) -> None:
    made = a_step(**step)

    due = next_attempt_at(resolved(made, **workflow), at(100), reason, disruptions)

    assert due == at(100 + seconds)


def test_being_preempted_uses_up_neither_retries_nor_disruptions() -> None:
    disrupted = failed(Blame.INFRASTRUCTURE)
    preempted = replace(disrupted, preempted=True)
    step = resolved(a_step(retries=0))
    counts: Any = Again(0, 0)
    for attempt in range(1, 101):
        counts = after_failure(step, LIMITS, preempted, attempt, counts.disruptions, counts.preemptions)
        assert counts == Again(attempt, attempt)
    # All that it had is still there: five disruptions, and then no more.
    for attempt in range(101, 106):
        counts = after_failure(step, LIMITS, disrupted, attempt, counts.disruptions, counts.preemptions)
        assert isinstance(counts, Again)
    over = after_failure(step, LIMITS, disrupted, 106, counts.disruptions, counts.preemptions)
    assert isinstance(over, Over)
    assert over.message.endswith("(disrupted 6 times, that is enough)")
    assert isinstance(after_failure(step, LIMITS, failed(Blame.PROGRAM), 106, 105, 100), Over)


def test_a_disruption_in_a_cordoned_environment_counts_like_a_preemption() -> None:
    step, evicted = resolved(a_step()), failed(Blame.INFRASTRUCTURE)
    assert after_failure(step, LIMITS, evicted, 9, 5, 0, cordoned=True) == Again(6, 1)
    assert isinstance(after_failure(step, LIMITS, evicted, 9, 5, 0), Over)
    assert isinstance(after_failure(step, LIMITS, failed(Blame.PROGRAM), 1, 0, 0, cordoned=True), Over)
