"""Room under a quota on the number of objects: the run's own finished Jobs are deleted, oldest first.

They are kept for their logs only. Under `count/jobs.batch: 2` a run of three steps would otherwise wait for
itself for ever. `pods`, unlike `count/pods`, does not count Pods that have ended (Kubernetes' Pod evaluator).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.jobs import job_over, on_record
from nightcrawler_operator.decisions.pods import is_live, step_termination
from nightcrawler_operator.plan import OldObject
from nightcrawler_operator.snapshot import Attempt, Snapshot

ASK_AFTER: Final = timedelta(seconds=1)
"""The quota's controller counts again within about this time after a deletion."""
_COUNTED_WITHIN: Final = timedelta(seconds=5)
"""After so long the quota no longer counts what was deleted: if it still has no room, others took it."""

_JOBS: Final = "count/jobs.batch"
_PODS: Final = "count/pods"
_COUNTS: Final = frozenset({_JOBS, _PODS})


def jobs_to_make_room(snapshot: Snapshot) -> tuple[OldObject, ...]:
    """The run's own Jobs to delete so that a quota takes those that it refuses: one for each of them.

    Only Jobs whose result is recorded and whose Pods have ended. None while an earlier deletion may not
    have been counted yet.
    """
    if snapshot.room_made is not None and snapshot.now < snapshot.room_made + _COUNTED_WITHIN:
        return ()
    refused = [
        refusal.exceeded
        for refusal in snapshot.refusals.values()
        if refusal.reason == conditions.STEP_QUOTA
        and refusal.ask_again is not None
        and refusal.ask_again > snapshot.now
        and refusal.exceeded
        and refusal.exceeded <= _COUNTS
    ]
    if not refused:
        return ()
    pods_count = any(_PODS in exceeded for exceeded in refused)
    done = [
        attempt
        for which, attempt in snapshot.attempts.items()
        if on_record(which, snapshot.execution.status.steps) and _is_finished(attempt, with_pod=pods_count)
    ]
    oldest = sorted(done, key=_ended)[: len(refused)]
    return tuple(OldObject(a.job.metadata.name, a.job.metadata.uid) for a in oldest if a.job is not None)


def _is_finished(attempt: Attempt, *, with_pod: bool) -> bool:
    job = attempt.job
    if job is None or job.metadata.deletion_timestamp is not None or not job_over(attempt):
        return False
    return not any(map(is_live, attempt.pods)) and (bool(attempt.pods) or not with_pod)


def _ended(attempt: Attempt) -> datetime:
    ends = [end.finished_at for pod in attempt.pods if (end := step_termination(pod)) and end.finished_at]
    assert attempt.job is not None
    made = attempt.job.metadata.creation_timestamp or datetime.min.replace(tzinfo=UTC)
    return max(ends, default=made)
