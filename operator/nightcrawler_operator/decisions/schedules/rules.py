"""What becomes of one scheduled time: rules in order, the first that answers decides. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.scheduleviews import ScheduleStatusView
from nightcrawler_crds.scheduletimes import Times
from nightcrawler_crds.v1alpha1 import Schedule, conditions
from nightcrawler_crds.words import format_duration_words
from nightcrawler_operator.decisions.schedules.record import (
    DROPPED,
    SKIPPED,
    STARTED,
    is_starting,
    is_under_way,
)
from nightcrawler_operator.decisions.schedules.snapshot import ScheduleSnapshot


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a time, with a reason and a sentence."""

    outcome: str
    reason: str
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """The time waits: nothing is decided on it or on later ones yet."""


@dataclass(frozen=True, slots=True)
class Due:
    """The first time that is not decided on; `backlog`: later ones are due as well."""

    time: datetime
    times: Times
    backlog: bool


Answer = Verdict | Hold
Rule = Callable[[ScheduleSnapshot, ScheduleStatusView, Due], Answer | None]


def verdict_on(snapshot: ScheduleSnapshot, state: ScheduleStatusView, due: Due) -> Answer:
    """What becomes of a time now."""
    for rule in RULES:
        answer = rule(snapshot, state, due)
        if answer is not None:
            return answer
    return Verdict(STARTED, conditions.RUN_STARTING)


def _written(snapshot: ScheduleSnapshot) -> Schedule:
    assert snapshot.read is not None
    return snapshot.read.schedule


def _suspended(snapshot: ScheduleSnapshot, _: ScheduleStatusView, __: Due) -> Answer | None:
    if not snapshot.suspended:
        return None
    return Hold() if _written(snapshot).catch_up else Verdict(DROPPED, conditions.SUSPENDED)


def _cannot_run(snapshot: ScheduleSnapshot, _: ScheduleStatusView, __: Due) -> Answer | None:
    if snapshot.runnable:
        return None
    return Verdict(DROPPED, conditions.CANNOT_RUN, "the workflow cannot run; see its condition Accepted")


def _too_late(snapshot: ScheduleSnapshot, _: ScheduleStatusView, due: Due) -> Answer | None:
    assert snapshot.read is not None
    if _written(snapshot).catch_up:
        return None
    late, most = snapshot.now - due.time, snapshot.read.deadline(due.time, due.times)
    if late <= most:
        return None
    behind, allowed = (format_duration_words(int(span.total_seconds())) for span in (late, most))
    return Verdict(DROPPED, conditions.TOO_LATE, f"it could start only {behind} late; {allowed} are allowed")


def _after_a_failure(_: ScheduleSnapshot, state: ScheduleStatusView, __: Due) -> Answer | None:
    if not state.skip_next:
        return None
    return Verdict(SKIPPED, conditions.FAILED_BEFORE, "the scheduled run before it failed")


def _one_is_starting(_: ScheduleSnapshot, state: ScheduleStatusView, __: Due) -> Answer | None:
    return Hold() if any(map(is_starting, state.recent)) else None


def _overlap(snapshot: ScheduleSnapshot, state: ScheduleStatusView, due: Due) -> Answer | None:
    schedule = _written(snapshot)
    policy = schedule.concurrency_policy or "Forbid"
    running = [entry for entry in state.recent if is_under_way(entry)]
    known = {entry.execution for entry in running}
    others = [
        run
        for run in snapshot.runs.values()
        if run.ours and run.time and not run.ended and run.name not in known
    ]
    if not running and not others:
        return None
    if policy == "Forbid":
        if schedule.catch_up:
            return Hold()
        since = min([entry.time for entry in running] + [run.time for run in others if run.time is not None])
        return Verdict(SKIPPED, conditions.STILL_RUNNING, f"the run of {to_wire(since)} was still running")
    if schedule.catch_up and (due.backlog or _catches_up(snapshot, due)):
        return Hold()  # one at a time, each after the one before has ended
    return None


def _catches_up(snapshot: ScheduleSnapshot, due: Due) -> bool:
    """Whether a run for a missed time is still running."""
    assert snapshot.read is not None
    return any(
        run.ours
        and not run.ended
        and run.time is not None
        and run.created is not None
        and run.created - run.time > snapshot.read.deadline(run.time, due.times)
        for run in snapshot.runs.values()
    )


RULES: Final[Sequence[Rule]] = (
    _suspended,  # a person's word is stronger than everything else
    _cannot_run,
    _too_late,
    _after_a_failure,  # after what cannot start anyway: the skip is for a time that would have run
    _one_is_starting,  # its run may yet turn out to fail, or not to start
    _overlap,
)
