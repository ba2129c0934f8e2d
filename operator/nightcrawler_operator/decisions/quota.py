"""Room under a quota on the number of objects: the run's own finished Jobs make it, the oldest first.

They are kept for their logs only. Under `count/jobs.batch: 2` a run of three steps would otherwise wait for
ever for its own past. `pods`, unlike `count/pods`, does not count what has ended (Kubernetes' Pod evaluator).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.jobs import job_over, on_record
from nightcrawler_operator.decisions.pods import is_live, step_termination
from nightcrawler_operator.plan import OldObject
from nightcrawler_operator.snapshot import Attempt, Snapshot

ASK_AFTER: Final = timedelta(seconds=1)
"""The quota's own controller counts again within about this time after a deletion."""
_COUNTED_WITHIN: Final = timedelta(seconds=5)
"""After so long, what was deleted has been counted out: if there still is no room, somebody else took it."""

_EXCEEDED: Final = re.compile(r"exceeded quota: .*?requested: (.*?), used: ")
_JOBS: Final = "count/jobs.batch"
_PODS: Final = "count/pods"


def jobs_to_make_room(snapshot: Snapshot) -> tuple[OldObject, ...]:
    """The run's own Jobs to delete so that those that a quota keeps out have room: one for each of them.

    Only those whose result is on record, and whose Pods have ended. Nothing while an earlier deletion may not
    have been counted yet.
    """
    if snapshot.room_made is not None and snapshot.now < snapshot.room_made + _COUNTED_WITHIN:
        return ()
    kept_out = [
        counted
        for said in snapshot.refusals.values()
        if said.reason == conditions.STEP_QUOTA
        and said.ask_again is not None
        and said.ask_again > snapshot.now
        and (counted := _only_counts(said.message))
    ]
    if not kept_out:
        return ()
    pods_count = any(_PODS in counted for counted in kept_out)
    done = [
        attempt
        for which, attempt in snapshot.attempts.items()
        if on_record(which, snapshot.execution.status.steps) and _is_finished(attempt, with_pod=pods_count)
    ]
    oldest = sorted(done, key=_ended)[: len(kept_out)]
    return tuple(OldObject(a.job.metadata.name, a.job.metadata.uid) for a in oldest if a.job is not None)


def _only_counts(message: str) -> frozenset[str]:
    """The counts of objects that a quota has no room for; none if it lacks anything else, too."""
    found = _EXCEEDED.search(message)
    lacking = (
        frozenset(part.partition("=")[0].strip() for part in found[1].split(",")) if found else frozenset()
    )
    return lacking if lacking <= {_JOBS, _PODS} else frozenset()


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
