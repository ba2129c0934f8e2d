"""What becomes of the times of a schedule, case by case, as docs/schedules.md has it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from nightcrawler_crds.kube.scheduleviews import OutcomeView, ScheduleStatusView
from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.schedules.decide import decide
from nightcrawler_operator.decisions.schedules.events import event_of
from nightcrawler_operator.decisions.schedules.snapshot import (
    ScheduledRun,
    SchedulePlan,
    ScheduleSnapshot,
    read_schedule,
)
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Waiting
from tests.support.snapshots import at, wire

HOUR = 3600
HOURLY = {"type": "cron", "cron": "0 * * * *"}
LIMITS = Limits(catch_up_most=3)


def a_run(hours: int, phase: str = "Running", **fields: Any) -> ScheduledRun:
    """The run of a time, so many hours after the beginning, which is 14:00."""
    time = at(hours * HOUR)
    known = {"name": f"run-{hours}", "uid": f"uid-{hours}", "time": time, "created": time}
    return ScheduledRun(**{**known, "phase": phase, **fields})


def entry(hours: int, outcome: str = "Started", reason: str = "Running") -> dict[str, Any]:
    """The outcome of a time."""
    made = {"time": wire(hours * HOUR), "outcome": outcome, "reason": reason}
    return made | ({"execution": f"run-{hours}"} if outcome == "Started" else {})


class Case:
    """A schedule whose times up to 14:00, and what else is known of it."""

    def __init__(self, *recent: dict[str, Any], **schedule: Any) -> None:
        self.schedule = {**HOURLY, **schedule}
        self.recent = list(recent)
        self.fields: dict[str, Any] = {}
        self.snapshot: dict[str, Any] = {}
        self.runs: list[ScheduledRun] = []
        self.suspend = False

    def having(self, **fields: Any) -> Case:
        """With fields of the recorded state."""
        self.fields |= fields
        return self

    def seeing(self, *runs: ScheduledRun, **fields: Any) -> Case:
        """With runs, and fields of the snapshot."""
        self.runs, self.snapshot = list(runs), fields
        return self

    def decide(self, now: float) -> SchedulePlan:
        """The decision at a moment, in hours after 14:00."""
        read = read_schedule({"config": {"schedule": self.schedule}}, "UTC")
        assert read is not None
        last = self.recent[-1]["time"] if self.recent else wire(0)
        recorded = {
            "anchor": wire(0),
            "specHash": read.spec_hash,
            "lastScheduledTime": last,
            "nextScheduledTime": wire((now // 1 + 1) * HOUR),
            "recent": self.recent,
            **self.fields,
        }
        body = {
            "metadata": {"name": "wf", "namespace": "default", "uid": "uid-wf"},
            "status": {"schedule": recorded},
        }
        workflow = msgspec.convert(body, WorkflowView, strict=False)
        known = {run.name: run for run in self.runs}
        return decide(
            ScheduleSnapshot(
                now=at(now * HOUR), workflow=workflow, limits=LIMITS, read=read, runs=known, **self.snapshot
            )
        )

    def recorded(self, now: float) -> ScheduleStatusView:
        """What is to be recorded."""
        plan = self.decide(now)
        assert plan.record is not None, plan
        return plan.record

    def outcomes(self, now: float) -> list[tuple[int, str, str]]:
        """The outcomes that are recorded: hour, outcome, reason."""
        return [
            ((one.time - at(0)) // timedelta(hours=1), one.outcome, one.reason or "")
            for one in self.recorded(now).recent
        ]


def test_nothing_is_written_before_a_time_is_due() -> None:
    assert Case().decide(0.9) == SchedulePlan(outcome=Waiting(at(HOUR)))


def test_a_due_time_is_recorded_before_its_run_is_created() -> None:
    recorded = Case().recorded(1.001)
    [one] = recorded.recent
    assert (one.outcome, one.reason) == ("Started", conditions.RUN_STARTING)
    assert (recorded.last_scheduled_time, recorded.next_scheduled_time) == (at(HOUR), at(2 * HOUR))
    plan = Case(entry(1, reason="Starting")).decide(1.002)
    assert plan.create is not None
    assert (plan.create.name, plan.create.time) == ("run-1", at(HOUR))


@pytest.mark.parametrize(
    ("case", "now", "outcomes"),
    [
        pytest.param(Case(), 1.4, [(1, "Started", "Starting")], id="late, and in time"),
        pytest.param(Case(), 1.6, [(1, "Dropped", "DeadlineExceeded")], id="later than half the period"),
        pytest.param(Case(startingDeadline="1h"), 1.6, [(1, "Started", "Starting")], id="a long deadline"),
        pytest.param(Case(catchUp=True), 1.9, [(1, "Started", "Starting")], id="never too late to catch up"),
        pytest.param(
            Case(), 3.1, [(2, "Dropped", "Missed"), (3, "Started", "Starting")], id="only the latest runs"
        ),
        pytest.param(Case(catchUp=True), 3.1, [(1, "Started", "Starting")], id="the oldest first"),
        pytest.param(
            Case(catchUp=True),
            6.1,
            [(3, "Dropped", "TooManyMissed"), (4, "Started", "Starting")],
            id="the newest three",
        ),
        pytest.param(Case().seeing(suspended=True), 1.1, [(1, "Dropped", "Suspended")], id="suspended"),
        pytest.param(
            Case().seeing(suspended=True),
            3.1,
            [(2, "Dropped", "Suspended"), (3, "Dropped", "Suspended")],
            id="suspended for long",
        ),
        pytest.param(
            Case().seeing(runnable=False), 1.1, [(1, "Dropped", "WorkflowNotAccepted")], id="it cannot run"
        ),
        pytest.param(
            Case(entry(1)).seeing(a_run(1)),
            2.1,
            [(1, "Started", "Running"), (2, "Skipped", "StillRunning")],
            id="Forbid",
        ),
        pytest.param(
            Case(entry(1), concurrencyPolicy="Allow").seeing(a_run(1)),
            2.1,
            [(1, "Started", "Running"), (2, "Started", "Starting")],
            id="Allow",
        ),
        pytest.param(
            Case(entry(1), concurrencyPolicy="Replace").seeing(a_run(1)),
            2.1,
            [(1, "Started", "Running"), (2, "Started", "Starting")],
            id="Replace",
        ),
        pytest.param(
            Case(entry(1, reason="Failed"), skipOnFailure=True).having(skipNext=True),
            2.1,
            [(1, "Started", "Failed"), (2, "Skipped", "FailedBefore")],
            id="skip after a failure",
        ),
        pytest.param(
            Case(entry(1)).seeing(gone=frozenset({"run-1"})),
            1.5,
            [(1, "Started", "Deleted")],
            id="a deleted run",
        ),
        pytest.param(
            Case(entry(1, reason="Starting")).seeing(a_run(1, ours=False)),
            1.1,
            [(1, "Dropped", "NameTaken")],
            id="a name that is taken",
        ),
        pytest.param(
            Case(entry(1, reason="Starting")).seeing(gone=frozenset({"run-1"})),
            1.7,
            [(1, "Dropped", "DeadlineExceeded")],
            id="a run that could not be created",
        ),
    ],
)
def test_each_due_time_has_its_outcome(case: Case, now: float, outcomes: list[tuple[int, str, str]]) -> None:
    assert case.outcomes(now) == outcomes


def test_with_catch_up_a_time_waits_for_the_run_before_it() -> None:
    plan = Case(entry(1), catchUp=True).having(nextScheduledTime=wire(2 * HOUR)).seeing(a_run(1)).decide(2.5)
    assert plan == SchedulePlan(outcome=Waiting(at(3 * HOUR)))


def test_under_suspend_missed_times_are_kept_for_catching_up() -> None:
    case = Case(catchUp=True).having(nextScheduledTime=None).seeing(suspended=True)
    assert case.decide(2.5).record is None
    assert case.seeing().outcomes(2.5) == [(1, "Started", "Starting")]


@pytest.mark.parametrize(("phase", "skips"), [("Failed", True), ("Completed", False), ("Cancelled", False)])
def test_only_a_failed_run_skips_the_next_time(phase: str, skips: bool) -> None:
    recorded = Case(entry(1), skipOnFailure=True).seeing(a_run(1, phase, owes=True)).recorded(1.5)
    assert recorded.recent[0].reason == phase
    assert recorded.skip_next is skips


def test_a_failure_from_before_the_schedule_was_changed_skips_nothing() -> None:
    case = Case(entry(1), skipOnFailure=True).having(
        anchor=wire(1.2 * HOUR), lastScheduledTime=wire(1.2 * HOUR)
    )
    assert case.seeing(a_run(1, "Failed", owes=True)).recorded(1.5).skip_next is False


def test_the_end_of_an_unobserved_run_is_looked_up() -> None:
    assert Case(entry(1)).decide(1.5) == SchedulePlan(lookups=("run-1",))


def test_that_a_run_was_created_is_written_with_what_comes_next_or_after_a_while() -> None:
    case = Case(entry(1, reason="Starting")).seeing(a_run(1))
    assert case.decide(1.001) == SchedulePlan(outcome=Waiting(at(HOUR + 10)))
    assert case.outcomes(1.1) == [(1, "Started", "Running")]


def test_a_run_is_replaced_once_the_one_before_has_ended() -> None:
    case = Case(entry(1), entry(2, reason="Starting"), concurrencyPolicy="Replace")
    plan = case.seeing(a_run(1)).decide(2.01)
    assert (plan.cancel, plan.create) == (("run-1",), None)
    assert case.seeing(a_run(1, cancel=True)).decide(2.01).cancel == ()
    ended = Case(entry(1, reason="Cancelled"), entry(2, reason="Starting"), concurrencyPolicy="Replace")
    assert ended.decide(2.02).create is not None


def test_a_schedule_that_was_changed_starts_clean() -> None:
    recorded = Case(entry(1, reason="Failed")).having(specHash="before", skipNext=True).recorded(5.25)
    assert recorded.anchor == recorded.last_scheduled_time == at(5.25 * HOUR)
    assert recorded.next_scheduled_time == at(6 * HOUR)
    assert recorded.skip_next is False
    assert len(recorded.recent) == 1


def test_a_time_that_was_decided_on_in_the_future_does_not_stop_the_schedule() -> None:
    recorded = Case().having(lastScheduledTime=wire(48 * HOUR)).recorded(1.2)
    assert recorded.last_scheduled_time == at(1.2 * HOUR)
    assert recorded.next_scheduled_time == at(2 * HOUR)
    assert "a clock was wrong" in (recorded.message or "")


def test_outcomes_of_runs_without_a_recorded_end_are_dropped_last() -> None:
    recent = [entry(1), *(entry(hours, "Skipped", "StillRunning") for hours in range(2, 11))]
    recorded = Case(*recent).seeing(a_run(1)).recorded(11.1)
    assert [(one.time, one.outcome) for one in recorded.recent[:2]] == [
        (at(HOUR), "Started"),
        (at(3 * HOUR), "Skipped"),
    ]
    assert len(recorded.recent) == 10


def test_the_end_of_a_run_restores_its_dropped_outcome() -> None:
    recent = [entry(hours, "Skipped", "StillRunning") for hours in range(2, 12)]
    recorded = Case(*recent, skipOnFailure=True).seeing(a_run(1, "Failed", owes=True)).recorded(11.1)
    assert recorded.recent[0].reason == "Failed"
    assert recorded.skip_next


@pytest.mark.parametrize(
    ("outcome", "reason", "says"),
    [
        ("Started", "Running", None),
        ("Dropped", "Suspended", None),
        ("Skipped", "FailedBefore", ("ScheduleSkipped", False)),
        ("Dropped", "DeadlineExceeded", ("ScheduleDropped", True)),
    ],
)
def test_a_time_without_a_run_is_an_event(outcome: str, reason: str, says: tuple[str, bool] | None) -> None:
    event = event_of(OutcomeView(at(HOUR), outcome, reason))
    assert says == (event and (event.reason, event.warning))
    assert event is None or event.message == f"no run for {wire(HOUR)}: {reason}"


def test_without_a_schedule_its_state_is_removed_and_nothing_is_done() -> None:
    body = {"metadata": {"name": "wf", "uid": "u"}, "status": {"schedule": {"anchor": wire(0)}}}
    workflow = msgspec.convert(body, WorkflowView, strict=False)
    assert decide(ScheduleSnapshot(at(0), workflow, LIMITS, None)) == SchedulePlan(forget=True)


def test_a_year_of_missed_minutes_is_decided_quickly() -> None:
    case = Case(cron="* * * * *")
    recorded = case.recorded(365 * 24)
    assert [one.outcome for one in recorded.recent] == ["Dropped", "Started"]
    assert (recorded.recent[0].message or "").startswith("more than 100 times up to")


@pytest.mark.parametrize(
    ("changed", "starts_clean"),
    [
        ({"cron": "5 * * * *"}, True),
        ({"timeZone": "Europe/Berlin"}, True),
        ({"start": "2025-07-10T00:00:00Z"}, True),
        ({"catchUp": True}, False),
        ({"description": "as before"}, False),
        ({"concurrencyPolicy": "Allow"}, False),
        ({"cron": "0  *  * * *"}, False),
        ({"timeZone": "UTC"}, False),
    ],
)
def test_only_what_changes_its_times_makes_another_schedule(
    changed: dict[str, Any], starts_clean: bool
) -> None:
    hashes = [
        read.spec_hash
        for one in (HOURLY, {**HOURLY, **changed})
        if (read := read_schedule({"config": {"schedule": one}}, "UTC"))
    ]
    assert len(hashes) == 2
    assert (hashes[0] != hashes[1]) is starts_clean
