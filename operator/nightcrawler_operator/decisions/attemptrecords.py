"""The attempts of steps that have ended, as the trace of a run needs them: `status.steps.*.attempts`. Pure.

A step's status has its last attempt only, so each is kept in the write that records its end. How much follows
from the run's trace level; without one nothing is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from nightcrawler_crds.kube.views import AttemptView, ExecutionStatusView, OwingStatusView, StepStatusView
from nightcrawler_crds.v1alpha1 import MAX_ATTEMPTS
from nightcrawler_operator.snapshot import OwingSnapshot, Snapshot

DETAILED: Final = ("med", "debug")
DEBUG: Final = "debug"
_ENDED: Final = ("Completed", "Failed", "Retrying", "Cancelled")


def with_attempts(snapshot: Snapshot, status: ExecutionStatusView) -> ExecutionStatusView:
    """A status with the attempts that it shows to have ended, and with what is known of them since."""
    if status.trace_level is None:
        return status
    recorded = snapshot.execution.status.steps
    changed: dict[str, StepStatusView] = {}
    for name, step in status.steps.items():
        before = recorded.get(name)
        known = step.attempts or (before.attempts if before is not None else None) or ()
        attempts = _with_events(snapshot, name, _with_ended(snapshot, name, step, known, status.trace_level))
        if attempts != (step.attempts or ()):
            changed[name] = msgspec.structs.replace(step, attempts=attempts)
    if not changed:
        return status
    return msgspec.structs.replace(status, steps={**status.steps, **changed})


def _with_ended(
    snapshot: Snapshot, name: str, step: StepStatusView, known: tuple[AttemptView, ...], level: str
) -> tuple[AttemptView, ...]:
    ended = step.phase in _ENDED and step.attempt and step.completion_time is not None
    if not ended or any(one.number == step.attempt for one in known):
        return known
    if level not in DETAILED and step.phase != "Retrying":
        return known  # the step's own status has it
    return (*known, _record(snapshot, name, step, level))[-MAX_ATTEMPTS:]


def _record(snapshot: Snapshot, name: str, step: StepStatusView, level: str) -> AttemptView:
    record = AttemptView(
        number=step.attempt,
        start_time=step.start_time,
        completion_time=step.completion_time,
        exit_code=step.exit_code,
        reason=None if step.phase == "Completed" else step.reason,
    )
    observed = snapshot.attempts.get((name, step.attempt))
    if level not in DETAILED or observed is None:
        return record
    pod = observed.pods[-1] if observed.pods else None
    made = observed.job.metadata.creation_timestamp if observed.job is not None else None
    return msgspec.structs.replace(
        record,
        created=made or (pod.metadata.creation_timestamp if pod is not None else None),
        scheduled=pod.status.start_time if pod is not None else None,
        node=pod.spec.node_name or None if pod is not None else None,
    )


def _with_events(snapshot: Snapshot, name: str, attempts: tuple[AttemptView, ...]) -> tuple[AttemptView, ...]:
    """With the Events that were collected since."""
    collected = snapshot.pod_events
    if not collected or all((name, one.number) not in collected for one in attempts):
        return attempts
    return tuple(
        msgspec.structs.replace(one, events=collected[name, one.number])
        if one.events is None and (name, one.number) in collected
        else one
        for one in attempts
    )


def without_events(steps: Mapping[str, StepStatusView]) -> list[tuple[str, int]]:
    """The attempts whose Events were not collected: step and number."""
    return [
        (name, attempt.number)
        for name, step in steps.items()
        for attempt in step.attempts or ()
        if attempt.events is None
    ]


# --- after the end -----------------------------------------------------------------------------------


def is_owed(snapshot: Snapshot, ended: ExecutionStatusView) -> bool:
    """Whether the trace of a run that has ended is to be completed, or exported."""
    if ended.trace_level is None:
        return False
    exports = snapshot.limits.exports_traces
    return exports or (ended.trace_level == DEBUG and bool(without_events(ended.steps)))


def is_done(snapshot: OwingSnapshot) -> bool:
    """Whether that has been done."""
    return snapshot.trace is not None


def completed(snapshot: OwingSnapshot, status: OwingStatusView) -> dict[str, object]:
    """The part of a merge patch with the Events that were collected after the end of the run."""
    if snapshot.trace is None or "Trace" not in (status.duties or ()):
        return {}
    return {name: {"attempts": attempts} for name, attempts in snapshot.trace.items()}
