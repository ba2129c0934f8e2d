"""What becomes of the Jobs of an execution that has ended.

Those of one that is gone are none of our business: the garbage collector removes what it owned, and what
it does not own any more is somebody else's.
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
    """The Jobs stay until then, for people to look at."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Remove:
    """The Jobs go, all of them."""


@dataclass(frozen=True, slots=True)
class StopLive:
    """These Jobs have not ended although their execution has: they go at once."""

    jobs: tuple[OldObject, ...]


def leftovers(attempts: Collection[Attempt], *, now: datetime, keep: float) -> Keep | Remove | StopLive:
    """What to do with the Jobs of an execution that is terminal.

    The time to keep them, in seconds, is counted from the Jobs' own ends, so that restarts do not matter.
    """
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
    """When something of an attempt that still runs is to be ended; None if nothing does, or will for long.

    A Job's own account comes after its Pod's end, and the Pod's phase after that of its containers: up to
    minutes, if the kubelet is busy. Neither makes it live.
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
    """When an attempt's Job ended: by its own account, else with its Pod, else just now.

    The last Job of a run does not say so yet when the run ends; those before it may have ended long ago.
    """
    assert attempt.job is not None
    status = attempt.job.status
    by_account = status.completion_time or (status.end.last_transition_time if status.end else None)
    return by_account or _program_ended(attempt) or now
