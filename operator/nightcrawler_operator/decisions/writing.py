"""When the status of a live run has to be written: what Jobs and Pods show as well can be written later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from nightcrawler_crds.kube.views import ExecutionStatusView, StepStatusView
from nightcrawler_operator.decisions.steps import Progress
from nightcrawler_operator.snapshot import Snapshot


def to_be_written_by(
    snapshot: Snapshot,
    steps: Mapping[str, Progress],
    patch: Mapping[str, object],
    wanted: ExecutionStatusView,
) -> datetime | None:
    """When the patch has to be written; None for at once.

    Starts, waits and completed steps can be written later: until then Jobs and Pods show what became of them.
    Otherwise a run of many short steps, or many runs at once, would cost a write for each step.
    """
    recorded = snapshot.execution.status
    if any(key in patch for key in ("conditions", "revision", "environment")):
        return None
    moments: list[datetime] = []
    for name, one in steps.items():
        before = recorded.steps.get(name)
        if one.status is None or before == one.status:
            continue
        if one.write_by is not None:
            moments.append(one.write_by)
        elif goes_well(before, one.status) and (one.first_job or _has_job(snapshot, name, one.status)):
            moments.append(_spaced(snapshot))
        else:
            return None
    if not moments and wanted.phase != recorded.phase:
        return None
    return min(moments, default=None)


def goes_well(before: StepStatusView | None, after: StepStatusView) -> bool:
    """Whether a step has begun its first attempt, or completed the recorded one."""
    if after.phase == "Pending":
        return (before is None or before.attempt == 0) and after.reason is None
    if after.phase != "Completed":
        return False
    if before is None or before.attempt == 0:
        return True
    return before.attempt == after.attempt and before.phase in ("Pending", "Running")


def unwritten(
    recorded: ExecutionStatusView, states: Mapping[str, StepStatusView]
) -> dict[str, StepStatusView]:
    """The steps that have completed, which is not recorded yet."""
    return {
        name: status
        for name, status in states.items()
        if status.phase == "Completed" and recorded.steps.get(name) != status
    }


def _has_job(snapshot: Snapshot, name: str, status: StepStatusView) -> bool:
    attempt = snapshot.attempts.get((name, status.attempt))
    job = attempt.job if attempt is not None else None
    return job is not None and job.metadata.deletion_timestamp is None


def _spaced(snapshot: Snapshot) -> datetime:
    if snapshot.recorded_at is None:
        return snapshot.now
    return snapshot.recorded_at + timedelta(seconds=snapshot.limits.status_spacing)
