"""What follows a failed attempt: another attempt, and when, or the end of the step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds.planning.resolved import ResolvedStep
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.attempt_state import Blame, Failed
from nightcrawler_operator.limits import Limits

_FIRST_BACKOFF: Final = 2.0
_MOST_BACKOFF: Final = 60.0

INFRASTRUCTURE_REASONS: Final = frozenset(
    {
        conditions.STEP_DISRUPTED,
        conditions.STEP_NODE_REFUSED,
        conditions.STEP_NODE_FAILED,
        conditions.STEP_VANISHED,
    }
)
"""Reasons recorded for attempts that the cluster ended; after these the delay is a back-off."""


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt follows, with the new counts."""

    disruptions: int
    preemptions: int = 0


@dataclass(frozen=True, slots=True)
class Over:
    """No further attempt; `message` gives the failure and why."""

    disruptions: int
    message: str
    preemptions: int = 0


def after_failure(
    resolved: ResolvedStep,
    limits: Limits,
    failed: Failed,
    attempt: int,
    disruptions: int,
    preemptions: int = 0,
    *,
    cordoned: bool = False,
) -> Again | Over:
    """Whether the step gets another attempt. The counts are those before this failure.

    Preemptions are among the disruptions, and none of them is too many: the step cannot help that others come
    first. The same holds while the Environment is `cordoned`, for its nodes are being emptied.
    """
    if failed.blame is Blame.DEFINITION:
        return Over(disruptions, failed.message, preemptions)
    if failed.blame is Blame.INFRASTRUCTURE:
        if failed.preempted or cordoned:
            return Again(disruptions + 1, preemptions + 1)
        counted = disruptions - preemptions + 1
        if counted <= limits.max_disruptions:
            return Again(disruptions + 1, preemptions)
        message = f"{failed.message} (disrupted {counted} times, that is enough)"
        return Over(disruptions + 1, message, preemptions)
    allowed = resolved.retries
    if attempt - disruptions <= allowed:
        return Again(disruptions, preemptions)
    return Over(
        disruptions,
        failed.message if not allowed else f"{failed.message} (in the last of {allowed + 1} attempts)",
        preemptions,
    )


def next_attempt_at(
    resolved: ResolvedStep, ended: datetime, reason: str | None, disruptions: int
) -> datetime:
    """When the next attempt may begin. It depends on the record alone, so restarts do not matter."""
    if reason in INFRASTRUCTURE_REASONS:
        doubled = _FIRST_BACKOFF * 2 ** max(0, disruptions - 1)
        return ended + timedelta(seconds=min(doubled, _MOST_BACKOFF))
    return ended + timedelta(seconds=resolved.retry_delay)
