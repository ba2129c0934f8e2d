"""The API's words for the phases of executions and steps; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, get_args

from nightcrawler_crds.kube.views import ExecutionView, StepStatusView

ExecutionWord = Literal["completed", "failed", "running", "cancelled", "cancelling"]
StepWord = Literal["pending", "running", "completed", "failed"]

EXECUTION_WORDS: Final[tuple[ExecutionWord, ...]] = get_args(ExecutionWord)
IN_FLIGHT: Final[tuple[ExecutionWord, ...]] = ("running", "cancelling")

_ENDED: Final[dict[str, ExecutionWord]] = {
    "Completed": "completed",
    "Failed": "failed",
    "Cancelled": "cancelled",
}
_STEPS: Final[dict[str, StepWord]] = {
    "Running": "running",
    "Retrying": "running",
    "Completed": "completed",
    "Failed": "failed",
    # The document has no other word for a step that was ended; its error says `cancelled`.
    "Cancelled": "failed",
}
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def execution_word(execution: ExecutionView) -> ExecutionWord:
    """The status of an execution; a live one that is to be cancelled is so at once."""
    ended = _ENDED.get(execution.status.phase)
    if ended is not None:
        return ended
    return "cancelling" if execution.spec.cancel or execution.status.phase == "Cancelling" else "running"


def step_word(step: StepStatusView | None) -> StepWord:
    """The status of a step in a workflow; one that has not begun, or never will, is pending."""
    if step is None:
        return "pending"
    # Between two attempts its phase is Retrying and then, until the next one's Pod has started, Pending.
    if step.phase == "Pending" and _is_a_retry(step):
        return "running"
    return _STEPS.get(step.phase, "pending")


def has_begun(step: StepStatusView) -> bool:
    """Whether anything of a step has happened: it has run, or has failed to."""
    match step.phase:
        case "Pending":
            return _is_a_retry(step)
        case "Cancelled":
            return step.start_time is not None or _is_a_retry(step)
        case _:
            return step.phase in _STEPS


def _is_a_retry(step: StepStatusView) -> bool:
    """Whether an attempt before this one has failed; of its times nothing is kept."""
    return step.attempt > 1


def created(execution: ExecutionView) -> datetime:
    """When an execution was created."""
    return execution.metadata.creation_timestamp or _EPOCH


def started(execution: ExecutionView) -> datetime:
    """When an execution began: its creation until its first step has."""
    return execution.status.start_time or created(execution)


def ended(execution: ExecutionView) -> datetime | None:
    """When an execution ended; None while it has not."""
    if execution.status.phase not in _ENDED:
        return None
    return execution.status.completion_time or started(execution)
