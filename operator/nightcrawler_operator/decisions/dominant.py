"""The one reason for which a run waits, of all that its steps have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from nightcrawler_crds.kube.views import ExecutionStatusView, StepStatusView
from nightcrawler_crds.v1alpha1 import conditions

_REASONS: Final = (
    # What somebody has to do something about.
    conditions.STEP_MISSING_RIGHTS,
    conditions.UNKNOWN_ENVIRONMENT,
    conditions.STEP_NO_SUCH_GPU,
    conditions.STEP_NO_NODE_LARGE_ENOUGH,
    conditions.STEP_VOLUME,
    conditions.STEP_PULLING,
    conditions.STEP_CANNOT_START_YET,
    conditions.STEP_API_UNAVAILABLE,
    conditions.STEP_NODE_LOST,
    # What passes when others end, or by itself.
    conditions.STEP_QUOTA,
    conditions.STEP_CORDONED,
    conditions.STEP_UNSCHEDULABLE,
    conditions.STEP_LAST_POD,
    conditions.STEP_NO_POD,
    conditions.STEP_INITIALIZING,
    conditions.STEP_STARTING,
)
"""Reasons for which a step waits, those first that a person should know of first."""
_RANK: Final = {reason: position for position, reason in enumerate(_REASONS)}
_WAITING: Final = ("Pending", "Running")
"""Phases of a step that may wait; one that runs does if its node is lost."""


def dominant(steps: Mapping[str, StepStatusView | None]) -> str | None:
    """The name of the step whose reason to wait says most; None if none waits."""
    waiting = {
        name: _RANK[status.reason]
        for name, status in steps.items()
        if status is not None and status.phase in _WAITING and status.reason in _RANK
    }
    return min(waiting, key=waiting.__getitem__, default=None)


def waits(recorded: ExecutionStatusView, reason: str | None, since: datetime | None) -> dict[str, Any]:
    """The fields of a status that say for what it waits, and since when.

    A run that waits for one thing after the other has waited since the first.
    """
    if reason is None:
        return {"waiting_reason": None, "waiting_since": None}
    known = recorded.waiting_since if recorded.waiting_reason is not None else None
    return {"waiting_reason": reason, "waiting_since": known or since}
