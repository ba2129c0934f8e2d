"""What becomes of the Jobs of an execution that has ended or is gone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from nightcrawler_operator.decisions.ending import LINGER
from nightcrawler_operator.decisions.endings import job_over, program_over
from nightcrawler_operator.decisions.pods import step_termination
from nightcrawler_operator.snapshot import Attempt


@dataclass(frozen=True, slots=True)
class Keep:
    """The Jobs stay until then, for people to look at."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Remove:
    """The Jobs go, all of them, in one request."""


@dataclass(frozen=True, slots=True)
class StopLive:
    """These Jobs have not ended although their execution has: they go at once."""

    names: tuple[str, ...]


def leftovers(
    attempts: Collection[Attempt], *, gone: bool, now: datetime, keep: float
) -> Keep | Remove | StopLive:
    """What to do with the Jobs of an execution that is terminal, or `gone` altogether.

    The time to keep them is counted from the Jobs' own ends, so that restarts do not matter.
    """
    if gone:
        return Remove()
    # A Job's own account comes up to a second after its Pod's end: that one is not live any more.
    open_ = [a for a in attempts if not job_over(a)]
    live = tuple(
        a.job.metadata.name
        for a in open_
        if a.job is not None and a.job.metadata.deletion_timestamp is None and now >= _lingers_until(a, now)
    )
    if live:
        return StopLive(live)
    if lingering := [until for a in open_ if (until := _lingers_until(a, now)) > now]:
        return Keep(min(lingering))
    last = max((_ended(a, now) for a in attempts if a.job is not None), default=now)
    until = last + timedelta(seconds=keep)
    return Remove() if now >= until else Keep(until)


def _lingers_until(attempt: Attempt, now: datetime) -> datetime:
    """Until when the Pod may outlive its program; now, if that has not ended."""
    if not program_over(attempt):
        return now
    end = _program_ended(attempt)
    return end + LINGER if end else now


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
