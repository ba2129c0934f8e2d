"""What an execution owes after its end, when that is done, and when the execution is settled.

`status.duties` lists what is owed. It is written with the terminal phase, and `status.settled: false` with
it; where nothing is owed, neither is set. Once the last duty is done or given up, `settled` is true. Until
then the execution is not pruned, and its Jobs stay for the duties that need them.

To add a duty: one entry in `DUTIES`, which says when it is owed and when it is done. `is_done` looks at an
`OwingSnapshot`; a change in what it looks at has to queue the execution's `DutyKey`. What the facade does
needs no `is_done`: the facade adds the duty's name to an annotation of the execution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.views import ExecutionStatusView, OwingStatusView
from nightcrawler_crds.v1alpha1 import DutyName, conditions
from nightcrawler_crds.words import format_duration_words
from nightcrawler_operator.decisions import attemptrecords
from nightcrawler_operator.decisions.notifications import outbox
from nightcrawler_operator.decisions.schedules import duty as schedule_duty
from nightcrawler_operator.decisions.status import condition, merge_patch, to_json
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Done, Outcome, Waiting
from nightcrawler_operator.snapshot import OwingSnapshot, Snapshot

_BY_THE_FACADE: Final[frozenset[str]] = frozenset[DutyName]({"Logs", "Archive"})
"""Duties that the facade does, and notes in the annotation."""
_NEED_JOBS: Final[frozenset[str]] = frozenset[DutyName]({"Logs"})
"""Duties for which the Jobs, and so the Pods, have to stay."""


def _not_by_us(_: OwingSnapshot) -> bool:
    return False


def _as_set(limits: Limits) -> float:
    return limits.duty_timeout


@dataclass(frozen=True, slots=True)
class Duty:
    """One kind of duty.

    `is_owed` is asked once, with the snapshot on which the execution ends and its last status; `is_done`
    whenever something has changed; `timeout` is in seconds, from the end of the execution.
    """

    name: DutyName
    is_owed: Callable[[Snapshot, ExecutionStatusView], bool]
    is_done: Callable[[OwingSnapshot], bool] = _not_by_us
    timeout: Callable[[Limits], float] = _as_set


NOTIFICATIONS: Final[DutyName] = "Notifications"


def _is_archived(snapshot: Snapshot, _: ExecutionStatusView) -> bool:
    return snapshot.execution.metadata.namespace in snapshot.limits.archived


def _is_logged(snapshot: Snapshot, _: ExecutionStatusView) -> bool:
    """Whether the logs of a run are kept: those of its namespace are, it wants it, and a step has begun."""
    if snapshot.execution.metadata.namespace not in snapshot.limits.logged:
        return False
    spec = snapshot.revision.spec if snapshot.revision is not None else None
    options = spec.options if spec is not None else None
    if options is not None and options.enable_logging is False:
        return False
    return bool(snapshot.attempts)


DUTIES: Final[Sequence[Duty]] = (
    Duty("Schedule", schedule_duty.is_owed, schedule_duty.is_done),
    Duty(NOTIFICATIONS, outbox.is_owed, outbox.is_done),
    Duty("Trace", attemptrecords.is_owed, attemptrecords.is_done),
    Duty("Logs", _is_logged),
    Duty("Archive", _is_archived, timeout=lambda limits: limits.archive_timeout),
)
"""All duties."""


@dataclass(frozen=True, slots=True)
class DutyPlan:
    """What to write for an execution that owes something.

    `status` is a merge patch, empty if nothing changes; `undone` are the duties that are given up, for the
    `reason`.
    """

    status: dict[str, Any]
    settled: bool
    undone: tuple[str, ...] = ()
    reason: str = ""
    outcome: Outcome = field(default_factory=Done)


def with_duties(snapshot: Snapshot, ended: ExecutionStatusView) -> ExecutionStatusView:
    """The last status of an execution with what it owes from now on."""
    owed = tuple(duty.name for duty in DUTIES if duty.is_owed(snapshot, ended))
    return msgspec.structs.replace(ended, settled=False, duties=owed) if owed else ended


def needs_jobs(owing: OwingStatusView) -> bool:
    """Whether the Jobs of an execution have to stay for what it owes; yes if that cannot be decoded."""
    return owing.settled is None or not _NEED_JOBS.isdisjoint(owing.duties or ())


def decide(snapshot: OwingSnapshot) -> DutyPlan:
    """What is done, what is given up, and whether the execution has settled."""
    execution = snapshot.execution
    recorded = execution.status
    if recorded.settled is not False or execution.metadata.deletion_timestamp is not None:
        return DutyPlan({}, settled=bool(recorded.settled))
    left = tuple(name for name in recorded.duties or () if not _is_done(name, snapshot))
    undone, reason = _given_up(left, snapshot)
    left = tuple(name for name in left if name not in undone)
    wanted = msgspec.structs.replace(
        outbox.with_results(snapshot, recorded, given_up=NOTIFICATIONS in undone),
        settled=not left,
        duties=left or None,
        conditions=_conditions(snapshot, undone, reason),
    )
    patch = merge_patch(recorded, wanted)
    if steps := attemptrecords.completed(snapshot, recorded):
        patch["steps"] = to_json(steps)
    if not left:
        return DutyPlan(patch, settled=True, undone=undone, reason=reason)
    until = min(_due(name, snapshot) for name in left)
    return DutyPlan(patch, settled=False, undone=undone, reason=reason, outcome=Waiting(until))


def _is_done(name: str, snapshot: OwingSnapshot) -> bool:
    if name in _BY_THE_FACADE and name in snapshot.execution.metadata.annotations.done_duties:
        return True
    return any(duty.is_done(snapshot) for duty in DUTIES if duty.name == name)


def _given_up(left: Sequence[str], snapshot: OwingSnapshot) -> tuple[tuple[str, ...], str]:
    """The duties that are given up, and why."""
    if snapshot.too_many:
        return tuple(left), conditions.TOO_MANY_OWE
    overdue = tuple(name for name in left if _due(name, snapshot) <= snapshot.now)
    return overdue, conditions.DUTY_OVERDUE if overdue else ""


def _timeout(name: str, limits: Limits) -> float:
    """In seconds. A duty of which only another version knows has the usual time."""
    return next((duty.timeout(limits) for duty in DUTIES if duty.name == name), limits.duty_timeout)


def _due(name: str, snapshot: OwingSnapshot) -> datetime:
    ended = snapshot.execution.status.completion_time or snapshot.now
    return ended + timedelta(seconds=_timeout(name, snapshot.limits))


def _conditions(snapshot: OwingSnapshot, undone: Sequence[str], reason: str) -> tuple[Condition, ...]:
    """The conditions, with what was not done; what was given up earlier stays in the message."""
    recorded = snapshot.execution.status.conditions
    if not undone:
        return recorded
    before = next((c.message for c in recorded if c.type == conditions.DUTIES_DONE), "")
    message = "; ".join(filter(None, (before, _message(snapshot, undone, reason))))
    generation = snapshot.execution.metadata.generation
    new = condition(conditions.DUTIES_DONE, "False", reason, message, recorded, snapshot.now, generation)
    return (*(c for c in recorded if c.type != conditions.DUTIES_DONE), new)


def _message(snapshot: OwingSnapshot, undone: Sequence[str], reason: str) -> str:
    limits = snapshot.limits
    if reason == conditions.TOO_MANY_OWE:
        most = f"more than {limits.max_owing_runs} runs owed something, and this was among the oldest"
        return f"not done: {', '.join(undone)}: {most}"
    return "; ".join(f"not done within {_time_of(name, limits)} of its end: {name}" for name in undone)


def _time_of(name: str, limits: Limits) -> str:
    return format_duration_words(_timeout(name, limits))
