"""What a decision on one schedule is made from, and what it returns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.scheduleviews import OutcomeView, ScheduleStatusView
from nightcrawler_crds.kube.views import ExecutionView, OwingView, WorkflowView
from nightcrawler_crds.phases import has_ended
from nightcrawler_crds.scheduletimes import Times
from nightcrawler_crds.v1alpha1 import Schedule
from nightcrawler_crds.validation import schedules
from nightcrawler_crds.words import parse_duration
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Done, Outcome

_ANY_ANCHOR: Final = datetime.fromtimestamp(0, UTC)
_LONGEST_DEADLINE: Final = timedelta(hours=1)
SCHEDULED: Final = "Schedule"
"""`spec.trigger.type` of scheduled runs."""


@dataclass(frozen=True)
class ReadSchedule:
    """A schedule that can be used, and the hash of what its times follow from."""

    schedule: Schedule
    spec_hash: str
    default_zone: str

    def times(self, anchor: datetime) -> Times:
        """Its times."""
        return schedules.times_of(self.schedule, anchor, self.default_zone)

    def deadline(self, time: datetime, times: Times) -> timedelta:
        """How late the run of a time may start."""
        written = self.schedule.starting_deadline
        if written is not None:
            return timedelta(seconds=parse_duration(written))
        following = times.after(time)
        return min(_LONGEST_DEADLINE, (following - time) / 2) if following is not None else _LONGEST_DEADLINE


def read_schedule(spec: Mapping[str, Any], default_zone: str) -> ReadSchedule | None:
    """The schedule of a workflow's spec; None if it has none, or one that cannot be used."""
    written = (spec.get("config") or {}).get("schedule")
    return _read(msgspec.json.encode(written, order="deterministic"), default_zone) if written else None


@lru_cache(maxsize=4096)  # thousands of workflows have the same schedule, and each is read again and again
def _read(written: bytes, default_zone: str) -> ReadSchedule | None:
    try:
        schedule = Schedule.model_validate(msgspec.json.decode(written), extra="ignore")
        if any(schedules.problems(schedule)):
            return None
        schedules.times_of(schedule, _ANY_ANCHOR, default_zone)
    except (ValidationError, ValueError):
        return None
    if schedule.type == "cron":
        counted: list[object] = [
            schedules.cron_fields(schedule.cron or ""),
            schedule.time_zone or default_zone,
        ]
    else:
        assert schedule.interval is not None
        counted = [parse_duration(schedule.interval)]
    text = msgspec.json.encode([schedule.type, *counted, schedule.start])
    return ReadSchedule(schedule, hashlib.sha256(text).hexdigest()[:16], default_zone)


def has_schedule(workflow: WorkflowView) -> bool:
    """Whether a workflow has a schedule, or has had one that is still in its status."""
    return bool((workflow.spec.get("config") or {}).get("schedule")) or workflow.status.schedule is not None


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A run that a schedule has started, or an execution of the name that one would have.

    `ours`: it is owned by this workflow, not by another one of the same name. `owes`: it has ended, and waits
    for its end to be noted here.
    """

    name: str
    uid: str
    time: datetime | None
    phase: str
    created: datetime | None
    cancel: bool = False
    ours: bool = True
    owes: bool = False

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return has_ended(self.phase)


def run_of(execution: ExecutionView | OwingView, workflow_uid: str) -> ScheduledRun:
    """An execution, as the decision on a schedule sees it."""
    meta, trigger = execution.metadata, execution.spec.trigger
    return ScheduledRun(
        name=meta.name,
        uid=meta.uid,
        time=trigger.scheduled_time if trigger.type == SCHEDULED else None,
        phase=execution.status.phase,
        created=meta.creation_timestamp,
        cancel=isinstance(execution, ExecutionView) and execution.spec.cancel,
        ours=any(owner.uid == workflow_uid for owner in meta.owner_references),
        owes=execution.status.settled is False,
    )


def is_scheduled(execution: ExecutionView | OwingView, workflow_uid: str) -> bool:
    """Whether it is the run of a scheduled time of that workflow: by its name, which nobody has by chance."""
    trigger = execution.spec.trigger
    if trigger.type != SCHEDULED or trigger.scheduled_time is None:
        return False
    time = to_wire(trigger.scheduled_time)
    return execution.metadata.name == names.scheduled_run_name(
        execution.spec.workflow_ref.name, workflow_uid, time
    )


@dataclass(frozen=True, slots=True)
class ScheduleSnapshot:
    """Everything a decision on one schedule may look at.

    Attributes:
        read: The schedule; None if there is none, or it is refused.
        runnable: Whether the workflow is not known to be unable to run.
        runs: Scheduled runs of the workflow by name: those that live, those that have ended and are not
            noted yet, and those that were looked up.
        gone: Names that were looked up and do not exist.
    """

    now: datetime
    workflow: WorkflowView
    limits: Limits
    read: ReadSchedule | None
    suspended: bool = False
    runnable: bool = True
    runs: Mapping[str, ScheduledRun] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()

    @property
    def state(self) -> ScheduleStatusView:
        """What is recorded."""
        return self.workflow.status.schedule or ScheduleStatusView()

    def name_of(self, time: datetime) -> str:
        """The name of the run of a time."""
        meta = self.workflow.metadata
        return names.scheduled_run_name(meta.name, meta.uid, to_wire(time))


@dataclass(frozen=True, slots=True)
class NewRun:
    """The run of a scheduled time, to be created."""

    name: str
    time: datetime


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """What to do: either record a state, or what follows from the recorded one.

    Attributes:
        record: The state to record; nothing else is done before that, so that effects follow from what is
            recorded only.
        forget: Whether to remove the recorded state: there is no schedule any more.
        news: The outcomes that are new in `record`.
        lookups: Executions to read, by name.
        cancel: Runs to cancel, by name.
        create: The run to create.
        outcome: When to decide again.
    """

    record: ScheduleStatusView | None = None
    forget: bool = False
    news: tuple[OutcomeView, ...] = ()
    lookups: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()
    create: NewRun | None = None
    outcome: Outcome = field(default_factory=Done)
