"""The decision on one schedule: first what is to be recorded, then what follows from the record. Pure.

A time is recorded as Started before its run is created, in a write that the resourceVersion guards: of two
leaders only one decides on a time, whatever each of them knows of the runs. A run that was recorded and not
created, because the process was killed, is created by whoever comes next; its name follows from the time, so
that it is never created twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.scheduleviews import OutcomeView, ScheduleStatusView
from nightcrawler_crds.scheduletimes import Times
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.schedules.due import due_times
from nightcrawler_operator.decisions.schedules.record import (
    DROPPED,
    KEPT,
    STARTED,
    is_starting,
    is_under_way,
    whole_second,
    with_entry,
    with_forgotten,
    with_outcome,
)
from nightcrawler_operator.decisions.schedules.rules import Due, Hold, verdict_on
from nightcrawler_operator.decisions.schedules.snapshot import NewRun, SchedulePlan, ScheduleSnapshot
from nightcrawler_operator.plan import Done, Outcome, Waiting

CONFIRM_AFTER: Final = timedelta(seconds=10)
"""That a run was created may be recorded so late, together with its end or the next time."""
_WRONG_CLOCK: Final = timedelta(hours=1)
_REPLACING: Final = timedelta(seconds=60)
"""Beyond the grace of a cancelled run, so long may it take until the run that replaces it is created."""
_COUNTED: Final = 100

StateRule = Callable[[ScheduleSnapshot, ScheduleStatusView], ScheduleStatusView]


def decide(snapshot: ScheduleSnapshot) -> SchedulePlan:
    """What to record, or else what to do, and when to look again."""
    if snapshot.workflow.metadata.deletion_timestamp is not None:
        return SchedulePlan()
    if snapshot.read is None:
        return _without_schedule(snapshot)
    if unknown := tuple(_unknown(snapshot)):
        return SchedulePlan(lookups=unknown)
    recorded = snapshot.state
    confirmed = _confirm(snapshot, recorded)
    state = confirmed
    for rule in STATE_RULES:
        state = rule(snapshot, state)
    due_now = confirmed != recorded and snapshot.now >= _confirm_at(snapshot)
    if state != confirmed or due_now or snapshot.workflow.status.schedule is None:
        news = tuple(entry for entry in state.recent if _is_news(entry, recorded))
        return SchedulePlan(record=state, news=news)
    plan = _effects(snapshot, recorded)
    if confirmed != recorded:
        return replace(plan, outcome=_earlier(plan.outcome, _confirm_at(snapshot)))
    return plan


def _without_schedule(snapshot: ScheduleSnapshot) -> SchedulePlan:
    """There is no schedule, or none that can be used: nothing is started, and nothing is owed to it."""
    return SchedulePlan(forget=snapshot.workflow.status.schedule is not None)


def _unknown(snapshot: ScheduleSnapshot) -> Iterator[str]:
    """The runs that have to be looked up: no cache has them, and what is recorded is not their end."""
    for entry in snapshot.state.recent:
        name = entry.execution
        if not is_under_way(entry) or name is None or name in snapshot.runs or name in snapshot.gone:
            continue
        if not is_starting(entry) or _is_over(snapshot, entry):
            yield name


def _is_over(snapshot: ScheduleSnapshot, entry: OutcomeView) -> bool:
    """Whether it is too late to create the run of a time that was recorded as Started."""
    assert snapshot.read is not None
    schedule = snapshot.read.schedule
    if schedule.catch_up:
        return False
    times = snapshot.read.times(snapshot.state.anchor or entry.time)
    most = snapshot.read.deadline(entry.time, times)
    if schedule.concurrency_policy == "Replace":
        following = times.after(entry.time)
        if following is not None and following <= snapshot.now:
            return True
        most += timedelta(seconds=snapshot.limits.cancel_grace) + _REPLACING
    return snapshot.now > entry.time + most


# --- what is to be recorded --------------------------------------------------------------------------


def _confirm(snapshot: ScheduleSnapshot, state: ScheduleStatusView) -> ScheduleStatusView:
    """Runs that are there have been created."""
    for entry in state.recent:
        run = snapshot.runs.get(entry.execution or "")
        if run is not None and is_starting(entry) and run.ours and run.time == entry.time and not run.ended:
            state = with_entry(state, entry, _because(entry, conditions.RUN_RUNNING))
    return state


def _confirm_at(snapshot: ScheduleSnapshot) -> datetime:
    created = [
        run.created or snapshot.now
        for entry in snapshot.state.recent
        if is_starting(entry) and (run := snapshot.runs.get(entry.execution or "")) is not None
    ]
    return min(created, default=snapshot.now) + CONFIRM_AFTER


def _clean_start(snapshot: ScheduleSnapshot, state: ScheduleStatusView) -> ScheduleStatusView:
    """A schedule that is new, or whose times were changed, has no times before it was observed."""
    assert snapshot.read is not None
    if state.spec_hash == snapshot.read.spec_hash:
        return state
    now = whole_second(snapshot.now)
    return ScheduleStatusView(
        anchor=now,
        spec_hash=snapshot.read.spec_hash,
        last_scheduled_time=now,
        last_started=state.last_started,
        recent=state.recent,
    )


def _right_clock(snapshot: ScheduleSnapshot, state: ScheduleStatusView) -> ScheduleStatusView:
    """A clock was wrong: without this, there would be no run until that future has come."""
    decided = state.last_scheduled_time
    if decided is None or decided < snapshot.now + _WRONG_CLOCK:
        return state
    message = (
        f"the last time that was decided on, {to_wire(decided)}, is in the future: a clock was wrong. "
        "The schedule goes on from now."
    )
    now = whole_second(snapshot.now)
    anchor = None if state.anchor is None else min(state.anchor, now)
    return msgspec.structs.replace(state, anchor=anchor, last_scheduled_time=now, message=message)


def _note_ends(snapshot: ScheduleSnapshot, state: ScheduleStatusView) -> ScheduleStatusView:
    """How runs have ended; with skipOnFailure, a failed one takes the next time with it."""
    assert snapshot.read is not None
    for entry in state.recent:
        if entry.execution is None:
            continue
        run = snapshot.runs.get(entry.execution)
        if run is None:
            if is_under_way(entry) and entry.execution in snapshot.gone:
                state = _note_absence(snapshot, state, entry)
        elif is_under_way(entry) and (not run.ours or run.time != entry.time):
            message = f"another execution has the name {entry.execution!r} that its run would have"
            state = with_entry(state, entry, _dropped(entry, conditions.NAME_TAKEN, message))
        elif entry.outcome == DROPPED and run.ours and run.time == entry.time:
            # The request arrived after all.
            state = with_entry(state, entry, _started(entry, run.phase if run.ended else None))
        elif is_under_way(entry) and run.ended:
            state = _note_end(
                snapshot, with_entry(state, entry, _because(entry, run.phase)), entry.time, run.phase
            )
    return _note_forgotten(snapshot, state)


def _note_absence(
    snapshot: ScheduleSnapshot, state: ScheduleStatusView, entry: OutcomeView
) -> ScheduleStatusView:
    assert snapshot.read is not None
    if not is_starting(entry):
        return with_entry(state, entry, _because(entry, conditions.RUN_DELETED))
    reason, message = conditions.TOO_LATE, "its run could not be created in time"
    if snapshot.read.schedule.concurrency_policy == "Replace":
        reason, message = (
            conditions.REPLACED,
            "a later time was due before the run that it replaces had ended",
        )
    return with_entry(state, entry, _dropped(entry, reason, message))


def _note_forgotten(snapshot: ScheduleSnapshot, state: ScheduleStatusView) -> ScheduleStatusView:
    """The ends of runs whose outcomes have dropped out of the recent ones: many run at the same time."""
    known = {entry.execution for entry in state.recent}
    room = KEPT - 1
    for run in snapshot.runs.values():
        if run.owes and run.ours and run.time is not None and run.name not in known and room:
            room -= 1
            entry = OutcomeView(run.time, STARTED, run.phase, None, run.name)
            state = _note_end(
                snapshot, with_forgotten(state, entry, keep=_owing(snapshot)), run.time, run.phase
            )
    return state


def _note_end(
    snapshot: ScheduleSnapshot, state: ScheduleStatusView, time: datetime, phase: str
) -> ScheduleStatusView:
    assert snapshot.read is not None
    counts = state.anchor is None or time > state.anchor  # a changed schedule starts clean
    if phase == "Failed" and snapshot.read.schedule.skip_on_failure and counts:
        return msgspec.structs.replace(state, skip_next=True)
    return state


def _no_skip_without_option(snapshot: ScheduleSnapshot, state: ScheduleStatusView) -> ScheduleStatusView:
    assert snapshot.read is not None
    if state.skip_next and not snapshot.read.schedule.skip_on_failure:
        return msgspec.structs.replace(state, skip_next=False)
    return state


def _due(snapshot: ScheduleSnapshot, state: ScheduleStatusView) -> ScheduleStatusView:
    """What becomes of the times that are due; one at the most is started, since its run has to be created."""
    assert snapshot.read is not None
    assert state.anchor is not None
    assert state.last_scheduled_time is not None
    times = snapshot.read.times(state.anchor)
    state = _without_too_many(snapshot, state, times)
    assert state.last_scheduled_time is not None
    time = times.after(state.last_scheduled_time)
    while time is not None and time <= snapshot.now:
        following = times.after(time)
        due = Due(time, times, backlog=following is not None and following <= snapshot.now)
        answer = verdict_on(snapshot, state, due)
        if isinstance(answer, Hold):
            return state
        starts = answer.outcome == STARTED
        entry = OutcomeView(
            time, answer.outcome, answer.reason, answer.message, snapshot.name_of(time) if starts else None
        )
        state = with_outcome(state, entry, keep=_owing(snapshot))
        if answer.reason == conditions.FAILED_BEFORE:
            state = msgspec.structs.replace(state, skip_next=False)
        if starts:
            return state
        time = following
    return state


def _without_too_many(
    snapshot: ScheduleSnapshot, state: ScheduleStatusView, times: Times
) -> ScheduleStatusView:
    """Drop the times that are too old to be decided on one by one."""
    assert snapshot.read is not None
    decided = state.last_scheduled_time
    assert decided is not None
    first = times.after(decided)
    if first is None or first > snapshot.now:
        return state
    following = times.after(first)
    if following is None or following > snapshot.now:
        return state  # one alone, as nearly always
    catch_up = bool(snapshot.read.schedule.catch_up)
    keep = snapshot.limits.catch_up_most if catch_up else 1
    due = due_times(times, decided, snapshot.now, keep=keep, count=_COUNTED)
    if due.older is None:
        return state
    number = f"more than {due.counted}" if due.many else str(due.counted)
    reason = conditions.TOO_MANY_MISSED if catch_up else conditions.MISSED
    if snapshot.suspended and not catch_up:
        reason = conditions.SUSPENDED
    elif not snapshot.runnable:
        reason = conditions.CANNOT_RUN
    counted_ = "1 time" if number == "1" else f"{number} times"
    message = f"{counted_} up to {to_wire(due.older)} had no run"
    return with_outcome(state, OutcomeView(due.older, DROPPED, reason, message), keep=_owing(snapshot))


def _owing(snapshot: ScheduleSnapshot) -> frozenset[str]:
    """The runs whose outcomes have to stay: they have ended, and owe that this is noted."""
    return frozenset(run.name for run in snapshot.runs.values() if run.owes)


def _next_time(snapshot: ScheduleSnapshot, state: ScheduleStatusView) -> ScheduleStatusView:
    """The next time for people to see; it is past while a time waits for its turn."""
    assert snapshot.read is not None
    assert state.anchor is not None
    assert state.last_scheduled_time is not None
    following = None
    if not snapshot.suspended:
        following = snapshot.read.times(state.anchor).after(state.last_scheduled_time)
    return msgspec.structs.replace(state, next_scheduled_time=following)


STATE_RULES: Final[Sequence[StateRule]] = (
    _clean_start,  # everything else is about the schedule as it is now
    _right_clock,
    _note_ends,  # before the next time, which may be skipped for a failure
    _no_skip_without_option,
    _due,
    _next_time,
)


# --- what follows from the record --------------------------------------------------------------------


def _effects(snapshot: ScheduleSnapshot, state: ScheduleStatusView) -> SchedulePlan:
    assert snapshot.read is not None
    until = _next_look(snapshot, state)
    plan = SchedulePlan(outcome=Waiting(until) if until is not None else Done())
    starting = next(
        (e for e in state.recent if is_starting(e) and e.execution and e.execution not in snapshot.runs), None
    )
    if starting is None or starting.execution is None:
        return plan
    policy = snapshot.read.schedule.concurrency_policy
    others = [run for run in snapshot.runs.values() if run.ours and run.time and not run.ended]
    if others and policy == "Replace":
        return replace(plan, cancel=tuple(run.name for run in others if not run.cancel))
    if others and policy != "Allow":
        return plan  # decided under another policy, before the schedule was edited
    return replace(plan, create=NewRun(starting.execution, starting.time))


def _next_look(snapshot: ScheduleSnapshot, state: ScheduleStatusView) -> datetime | None:
    """When the next time is due; those that wait are looked at whenever a run changes."""
    assert snapshot.read is not None
    assert state.anchor is not None
    assert state.last_scheduled_time is not None
    times = snapshot.read.times(state.anchor)
    return times.after(max(state.last_scheduled_time, snapshot.now))


def _earlier(outcome: Outcome, moment: datetime) -> Outcome:
    return Waiting(min(outcome.until, moment) if isinstance(outcome, Waiting) else moment)


# --- outcomes ----------------------------------------------------------------------------------------


def _because(entry: OutcomeView, reason: str) -> OutcomeView:
    return msgspec.structs.replace(entry, reason=reason)


def _dropped(entry: OutcomeView, reason: str, message: str) -> OutcomeView:
    return OutcomeView(entry.time, DROPPED, reason, message, entry.execution)


def _started(entry: OutcomeView, phase: str | None) -> OutcomeView:
    return OutcomeView(entry.time, STARTED, phase or conditions.RUN_RUNNING, None, entry.execution)


def _is_news(entry: OutcomeView, recorded: ScheduleStatusView) -> bool:
    """Whether an outcome is not recorded yet; how a run goes on is none."""
    return all((entry.time, entry.outcome) != (one.time, one.outcome) for one in recorded.recent)
