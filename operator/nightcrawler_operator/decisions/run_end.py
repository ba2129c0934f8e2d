"""How a run ends: refused, cancelled, failed, out of time, completed. Each is one status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.views import ExecutionStatusView, StepStatusView
from nightcrawler_crds.v1alpha1 import TERMINAL_STEP_PHASES, conditions
from nightcrawler_operator.decisions.attemptrecords import with_attempts
from nightcrawler_operator.decisions.dominant import waits
from nightcrawler_operator.decisions.duties import with_duties
from nightcrawler_operator.decisions.jobs import orphaned_pods, unfinished_jobs
from nightcrawler_operator.decisions.notifications.outbox import with_notices
from nightcrawler_operator.decisions.status import condition, sentence, status_patch
from nightcrawler_operator.plan import Plan
from nightcrawler_operator.snapshot import Snapshot

Steps = Mapping[str, StepStatusView | None]


def replace_status(status: ExecutionStatusView, **changes: Any) -> ExecutionStatusView:
    """A status with some fields changed."""
    return msgspec.structs.replace(status, **changes)


def refused(snapshot: Snapshot, reason: str, message: str) -> Plan:
    """It cannot run, or cannot continue: Accepted says why, and it is Failed."""
    wanted = finish(snapshot, snapshot.execution.status, "Failed", conditions.REFUSED, message)
    steps = close_steps(
        wanted.steps, snapshot, conditions.STEP_CANCELLED, "was ended because the run cannot continue"
    )
    changed = _with(snapshot, wanted.conditions, conditions.ACCEPTED, "False", reason, message)
    return ended(snapshot, replace_status(wanted, conditions=changed, steps=steps))


def cancelled_before_it_began(snapshot: Snapshot) -> Plan:
    """Cancelled before it was accepted: there are no Pods to end."""
    message = "cancelled before it began"
    return ended(
        snapshot, finish(snapshot, snapshot.execution.status, "Cancelled", conditions.RUN_CANCELLED, message)
    )


def finish(
    snapshot: Snapshot, status: ExecutionStatusView, phase: str, reason: str, message: str
) -> ExecutionStatusView:
    """The last status of a run, with what it owes from now on."""
    changed = _with(snapshot, status.conditions, conditions.FINISHED, "True", reason, message)
    succeeded = "True" if phase == "Completed" else "False"
    changed = _with(snapshot, changed, conditions.RUN_SUCCEEDED, succeeded, reason, message)
    ended = replace_status(
        status,
        **waits(status, None, None),
        phase=phase,
        message=message[:4096],
        completion_time=snapshot.now,
        conditions=changed,
    )
    return with_duties(snapshot, with_notices(snapshot, with_attempts(snapshot, ended)))


def cancelling(snapshot: Snapshot, status: ExecutionStatusView, message: str) -> ExecutionStatusView:
    """The status of a run whose Pods are being ended, since the condition's transition time."""
    changed = _with(snapshot, status.conditions, conditions.FINISHED, "False", conditions.CANCELLING, message)
    nothing = waits(status, None, None)
    return replace_status(status, phase="Cancelling", message=message, conditions=changed, **nothing)


def ended(snapshot: Snapshot, wanted: ExecutionStatusView) -> Plan:
    """The plan that ends a run. What may still run is deleted first, so that no Pod outlives the run."""
    return Plan(
        delete_jobs=unfinished_jobs(snapshot),
        delete_pods=orphaned_pods(snapshot),
        status=status_patch(snapshot.execution.status, wanted),
        ended=True,
    )


def close_steps(
    steps: Steps, snapshot: Snapshot, reason: str, message: str, *, begun: str = "Cancelled"
) -> dict[str, StepStatusView]:
    """All steps ended: those that had begun in phase `begun`, the others Skipped."""

    def close(name: str, status: StepStatusView | None) -> StepStatusView:
        if status is not None and status.phase in TERMINAL_STEP_PHASES:
            return status
        if status is None or status.attempt == 0:
            return StepStatusView(phase="Skipped", reason=conditions.STEP_SKIPPED)
        return msgspec.structs.replace(
            status,
            phase=begun,
            completion_time=status.completion_time or _after(snapshot, status),
            reason=reason,
            message=sentence(name, message),
        )

    return {name: close(name, status) for name, status in steps.items()}


def _after(snapshot: Snapshot, status: StepStatusView) -> Any:
    return max(snapshot.now, status.start_time) if status.start_time else snapshot.now


def _with(
    snapshot: Snapshot, recorded: tuple[Condition, ...], kind: str, value: str, reason: str, message: str
) -> tuple[Condition, ...]:
    generation = snapshot.execution.metadata.generation
    new = condition(kind, value, reason, message, recorded, snapshot.now, generation)
    return (*(c for c in recorded if c.type != kind), new)
