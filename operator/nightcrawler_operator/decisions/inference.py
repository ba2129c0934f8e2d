"""What the record infers from the Jobs of successors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from nightcrawler_crds.building.run import Run
from nightcrawler_crds.kube.views import StepStatusView
from nightcrawler_operator.decisions.context import NOT_BEGUN
from nightcrawler_operator.decisions.ownership import is_owned_by
from nightcrawler_operator.snapshot import Attempt, Snapshot


def inferred_complete(
    snapshot: Snapshot, run: Run, known: Mapping[str, StepStatusView]
) -> dict[str, StepStatusView]:
    """Steps inferred complete because a successor's Job exists, and their own Jobs and Pods do not.

    The operator that saw them complete died before it recorded that, and then somebody deleted their Jobs.
    It is inferred only where the successor could not have begun otherwise (`_shows_dependencies_done`), and
    only for steps that are not recorded as ended. So it is for the dependencies of an inferred step.
    """
    inferred: dict[str, StepStatusView] = {}
    todo = [
        (step, _created(attempt) or snapshot.now)
        for step in run.revision.depends
        if (attempt := snapshot.attempts.get((step, 1))) and _shows_dependencies_done(attempt, run)
    ]
    while todo:
        successor, by = todo.pop()
        for step in run.revision.depends[successor]:
            status = known.get(step, NOT_BEGUN)
            number = status.attempt or 1
            is_open = status.phase in ("Pending", "Running") and (step, number) not in snapshot.attempts
            if is_open and step not in inferred:
                inferred[step] = msgspec.structs.replace(
                    status, phase="Completed", attempt=number, completion_time=by, reason=None, message=None
                )
                todo.append((step, by))
    return inferred


def _shows_dependencies_done(attempt: Attempt, run: Run) -> bool:
    """Whether a first attempt could only have been made because all dependencies of its step had completed.

    Its Job has to carry this execution's UID as its owner: the Job of another run, of the one that a rerun
    repeats for instance, shows nothing, nor does a Pod alone. And the Job has to be of the revision that this
    run uses: another may have other dependencies. A step that may begin although a dependency did not
    complete (by a condition, or as an exit handler) must be excluded here.
    """
    if attempt.job is None:
        return False
    meta = attempt.job.metadata
    return is_owned_by(meta, run.execution_uid) and meta.annotations.revision == run.revision.name


def _created(attempt: Attempt) -> datetime | None:
    """When the first of an attempt's objects was created."""
    metas = [child.metadata for child in (attempt.job, *attempt.pods) if child is not None]
    return min((m.creation_timestamp for m in metas if m.creation_timestamp), default=None)
