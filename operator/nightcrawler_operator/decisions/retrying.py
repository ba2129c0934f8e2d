"""What follows the failure of an attempt: another attempt, and when; or the end of the step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds import defaults, words
from nightcrawler_crds.v1alpha1 import Step, WorkflowSpec, conditions
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
"""Reasons recorded for attempts that the cluster ended; the delay before the next one follows from them."""


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt shall be made; `disruptions` is the new count."""

    disruptions: int


@dataclass(frozen=True, slots=True)
class Over:
    """No further attempt; `message` says so together with the failure."""

    disruptions: int
    message: str


def after_failure(
    step: Step, spec: WorkflowSpec, failed: Failed, attempt: int, disruptions: int, limits: Limits
) -> Again | Over:
    """Whether the step gets another attempt. `disruptions` is the count before this failure."""
    if failed.blame is Blame.DEFINITION:
        return Over(disruptions, failed.message)
    if failed.blame is Blame.INFRASTRUCTURE:
        if disruptions < limits.max_disruptions:
            return Again(disruptions + 1)
        return Over(disruptions + 1, f"{failed.message} (disrupted {disruptions + 1} times, that is enough)")
    allowed = allowed_retries(step, spec)
    if attempt - disruptions <= allowed:
        return Again(disruptions)
    return Over(
        disruptions,
        failed.message if not allowed else f"{failed.message} (in the last of {allowed + 1} attempts)",
    )


def allowed_retries(step: Step, spec: WorkflowSpec) -> int:
    """How often a step may be tried again after errors of its own: its own word, else the workflow's."""
    if step.retries is not None:
        return step.retries
    written = spec.config.retries if spec.config else None
    enabled = spec.options.enable_retry if spec.options else None
    if enabled is False:
        return 0
    if enabled is True:
        return written if written is not None else defaults.RETRIES_IF_ENABLED
    return written or 0


def next_attempt_at(
    step: Step, spec: WorkflowSpec, ended: datetime, reason: str | None, disruptions: int, limits: Limits
) -> datetime:
    """When the next attempt may be made. It follows from what is recorded, so restarts do not matter."""
    if reason in INFRASTRUCTURE_REASONS:
        doubled = _FIRST_BACKOFF * 2 ** max(0, disruptions - 1)
        return ended + timedelta(seconds=min(doubled, _MOST_BACKOFF))
    written = step.retry_delay
    if written is None and spec.config is not None:
        written = spec.config.retry_delay
    seconds = limits.default_retry_delay if written is None else words.parse_duration(written)
    return ended + timedelta(seconds=seconds)
