"""Which Kubernetes Events an execution deserves, by what has changed in its status.

They are for people who run `kubectl describe`: that it started, what it waits for (once a reason), which
attempts failed, and how it ended. A step that goes well has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from nightcrawler_crds.kube.views import ExecutionStatusView, StepStatusView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.retrying import INFRASTRUCTURE_REASONS
from nightcrawler_operator.plan import RunEvent

_USUAL: Final = frozenset(
    {
        conditions.STEP_STARTING,
        conditions.STEP_NO_POD,
        conditions.STEP_INITIALIZING,
    }
)
"""Reasons for which every step may wait a little."""
_WAITS: Final = ((conditions.ACCEPTED, "Unknown"), (conditions.GRANTED, "False"))
_SHOWN: Final = ("Failed", "Retrying", "Pending")
_NEW: Final = ExecutionStatusView()
_END: Final = {
    "Completed": conditions.EVENT_COMPLETED,
    "Failed": conditions.EVENT_FAILED,
    "Cancelled": conditions.EVENT_CANCELLED,
}


def events_between(before: ExecutionStatusView | None, after: ExecutionStatusView) -> list[RunEvent]:
    """The Events for what has changed; for all that the status shows, if `before` is None."""
    old = before or _NEW
    return [*_started(old, after), *_waits(old, after), *_steps(old, after), *_ended(old, after)]


def recent(status: ExecutionStatusView, since: datetime) -> list[RunEvent]:
    """The Events that a new leader repeats, because the last one may have died before it sent them."""
    return [event for event in events_between(None, status) if event.at is None or event.at >= since]


def _started(before: ExecutionStatusView, after: ExecutionStatusView) -> Iterator[RunEvent]:
    if after.start_time is not None and before.start_time is None:
        message = f"its first Pod has started ({after.progress or 'no'} steps completed)"
        yield RunEvent(conditions.EVENT_STARTED, message, ("started",), after.start_time)


def _waits(before: ExecutionStatusView, after: ExecutionStatusView) -> Iterator[RunEvent]:
    """What the execution itself waits for before it begins."""
    if after.has_ended:
        return
    for condition in after.conditions:
        if (condition.type, condition.status) in _WAITS and condition not in before.conditions:
            yield _waiting(condition.reason, condition.message)


def _steps(before: ExecutionStatusView, after: ExecutionStatusView) -> Iterator[RunEvent]:
    known = before.steps
    for name, step in after.steps.items():
        if step.phase not in _SHOWN:  # first: most of a thousand steps
            continue
        old = known.get(name)
        if old is not None and _state(old) == _state(step):
            continue
        match step.phase:
            case "Failed" | "Retrying":
                yield _attempt_failed(name, step)
            case "Pending" if step.reason and step.reason not in _USUAL and not after.has_ended:
                yield _waiting(step.reason, step.message or f"step {name!r} waits")


def _state(step: StepStatusView) -> tuple[str, int, str | None]:
    return step.phase, step.attempt, step.reason


def _waiting(reason: str, message: str) -> RunEvent:
    return RunEvent(conditions.EVENT_WAITING, f"{message} ({reason})", ("waiting", reason))


def _attempt_failed(name: str, step: StepStatusView) -> RunEvent:
    key = (name, str(step.attempt))
    message = step.message or f"step {name!r} failed"
    if step.phase == "Failed":
        return RunEvent(
            conditions.EVENT_STEP_FAILED, message, ("failed", *key), step.completion_time, warning=True
        )
    disrupted = step.reason in INFRASTRUCTURE_REASONS
    return RunEvent(
        conditions.EVENT_STEP_DISRUPTED if disrupted else conditions.EVENT_STEP_RETRIED,
        f"{message}; attempt {step.attempt + 1} follows",
        ("disrupted" if disrupted else "retried", *key),
        step.completion_time,
        warning=True,
    )


def _ended(before: ExecutionStatusView, after: ExecutionStatusView) -> Iterator[RunEvent]:
    if after.has_ended and not before.has_ended:
        failed = after.phase == "Failed"
        message = after.message or f"it is {after.phase}"
        yield RunEvent(_END[after.phase], message, ("ended",), after.completion_time, warning=failed)
