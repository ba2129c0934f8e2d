"""What becomes of the Jobs of an execution that has ended.

Not of one that was deleted: the garbage collector removes what it owned, and the rest is not ours.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from nightcrawler_operator.decisions.attempt_result import LINGER
from nightcrawler_operator.decisions.jobs import job_over, may_go_on
from nightcrawler_operator.decisions.pods import lingers, step_termination
from nightcrawler_operator.plan import OldObject
from nightcrawler_operator.snapshot import Attempt


@dataclass(frozen=True, slots=True)
class Keep:
    """The Jobs are kept until then, for people to look at."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Remove:
    """All Jobs are deleted."""


@dataclass(frozen=True, slots=True)
class StopLive:
    """These Jobs have not ended although their execution has: they are deleted at once."""

    jobs: tuple[OldObject, ...]


def leftovers(attempts: Collection[Attempt], *, now: datetime, keep: float) -> Keep | Remove | StopLive:
    """What to do with the Jobs of an execution that is terminal.

    They are kept for `keep` seconds from the Jobs' own ends, so that restarts do not matter. Without any,
    what else is left of the execution is removed at once.
    """
    if all(attempt.job is None for attempt in attempts):
        return Remove()
    stops = [
        (stop, OldObject(a.job.metadata.name, a.job.metadata.uid))
        for a in attempts
        if a.job is not None and a.job.metadata.deletion_timestamp is None and (stop := _stops_at(a, now))
    ]
    if live := tuple(job for stop, job in stops if stop <= now):
        return StopLive(live)
    if stops:
        return Keep(min(stop for stop, _ in stops))
    last = max((_ended(a, now) for a in attempts if a.job is not None), default=now)
    until = last + timedelta(seconds=keep)
    return Remove() if now >= until else Keep(until)


def _stops_at(attempt: Attempt, now: datetime) -> datetime | None:
    """When what still runs of an attempt is to be stopped; None if nothing does.

    The status of a Job is set after its Pod has ended, and the Pod's phase after its containers have: up to
    minutes later if the kubelet is busy. Neither delay makes the attempt live.
    """
    if job_over(attempt):
        return None
    if may_go_on(attempt):
        return now
    if any(map(lingers, attempt.pods)):
        return (_program_ended(attempt) or now) + LINGER
    return None


def _program_ended(attempt: Attempt) -> datetime | None:
    ends = [end.finished_at for pod in attempt.pods if (end := step_termination(pod)) and end.finished_at]
    return max(ends, default=None)


def _ended(attempt: Attempt, now: datetime) -> datetime:
    """When an attempt's Job ended: by its status, else with its Pod, else now.

    When a run ends, its last Job's status is not final yet; earlier Jobs may have ended long ago.
    """
    assert attempt.job is not None
    status = attempt.job.status
    reported = status.completion_time or (status.end.last_transition_time if status.end else None)
    return reported or _program_ended(attempt) or now
