"""Phases of executions and steps as statuses of the REST API; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, get_args

from nightcrawler_crds.kube.views import ExecutionView, StepStatusView
from nightcrawler_crds.v1alpha1 import conditions

ExecutionStatus = Literal["completed", "failed", "running", "cancelled", "cancelling"]
StepStatus = Literal["pending", "running", "completed", "failed"]

EXECUTION_STATUSES: Final[tuple[ExecutionStatus, ...]] = get_args(ExecutionStatus)
IN_FLIGHT: Final[tuple[ExecutionStatus, ...]] = ("running", "cancelling")

_ENDED: Final[dict[str, ExecutionStatus]] = {
    "Completed": "completed",
    "Failed": "failed",
    "Cancelled": "cancelled",
}
_STEPS: Final[dict[str, StepStatus]] = {
    "Running": "running",
    "Retrying": "running",
    "Completed": "completed",
    "Failed": "failed",
    # The REST document has no status for a cancelled step; its error says `cancelled`.
    "Cancelled": "failed",
}
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def execution_status(execution: ExecutionView) -> ExecutionStatus:
    """The status of an execution; `cancelling` as soon as cancellation is requested."""
    ended = _ENDED.get(execution.status.phase)
    if ended is not None:
        return ended
    return "cancelling" if execution.spec.cancel or execution.status.phase == "Cancelling" else "running"


def is_pending(execution: ExecutionView) -> bool:
    """Whether no step of an execution has started yet, and it is not being cancelled."""
    return execution.status.phase in ("", "Pending") and not execution.spec.cancel


def is_accepted(execution: ExecutionView) -> bool:
    """Whether the operator has found that an execution can run."""
    return any(c.type == conditions.ACCEPTED and c.status == "True" for c in execution.status.conditions)


def waits_in_line(execution: ExecutionView) -> bool:
    """Whether an execution waits for its places under limits."""
    if execution.status.has_ended or execution.spec.cancel:
        return False
    return any(c.type == conditions.GRANTED and c.status == "False" for c in execution.status.conditions)


def step_status(step: StepStatusView | None) -> StepStatus:
    """The status of a step; one that has not started, or never will, is pending."""
    if step is None:
        return "pending"
    # Between two attempts the phase is Retrying, then Pending until the next Pod has started.
    if step.phase == "Pending" and _is_a_retry(step):
        return "running"
    return _STEPS.get(step.phase, "pending")


def has_started(step: StepStatusView) -> bool:
    """Whether a step has run, or has failed before its Pod started."""
    match step.phase:
        case "Pending":
            return _is_a_retry(step)
        case "Cancelled":
            return step.start_time is not None or _is_a_retry(step)
        case _:
            return step.phase in _STEPS


def _is_a_retry(step: StepStatusView) -> bool:
    """Whether an earlier attempt has failed; the status has no times of earlier attempts."""
    return step.attempt > 1


def created(execution: ExecutionView) -> datetime:
    """When an execution was created."""
    return execution.metadata.creation_timestamp or _EPOCH


def started(execution: ExecutionView) -> datetime:
    """When an execution started; its creation time until then."""
    return execution.status.start_time or created(execution)


def ended(execution: ExecutionView) -> datetime | None:
    """When an execution ended; None while it has not."""
    if not execution.status.has_ended:
        return None
    return execution.status.completion_time or started(execution)
