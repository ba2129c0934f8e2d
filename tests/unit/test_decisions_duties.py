"""What an ended run owes: when it is done, when it is given up, and what is reported then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds import names
from nightcrawler_crds.kube.views import OwingStatusView, OwingView, WorkflowView
from nightcrawler_crds.namespaces import NOWHERE, Namespaces
from nightcrawler_crds.v1alpha1 import Options, conditions
from nightcrawler_operator.decisions import duties, run_end
from nightcrawler_operator.decisions.duties import Duty, DutyPlan, decide, needs_jobs
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Done, Waiting
from nightcrawler_operator.snapshot import Attempt, OwingSnapshot
from tests.support.merging import merge
from tests.support.snapshots import a_snapshot, at, wire

LIMITS = Limits(duty_timeout=600, max_owing_runs=5)
REGISTERED = duties.DUTIES
ENDED = 100.0


def is_noted(snapshot: OwingSnapshot) -> bool:
    """The workflow has this run as its last: for instance."""
    workflow = snapshot.workflow
    return workflow is not None and workflow.status.last_execution == snapshot.execution.metadata.name


SCHEDULE = Duty("Schedule", is_owed=lambda snapshot, _: snapshot.execution.spec.cancel, is_done=is_noted)
LOGS = Duty("Logs", is_owed=lambda *_: True)
ARCHIVE = Duty("Archive", is_owed=lambda *_: True, timeout=lambda limits: 24 * limits.duty_timeout)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    with mock.patch.object(duties, "DUTIES", (SCHEDULE, LOGS, ARCHIVE)):
        yield


def owing(*which: str, done: str = "", deleted: bool = False, **status: Any) -> OwingView:
    annotations = {names.ANNOTATION_DUTIES_DONE: done} if done else {}
    meta: dict[str, Any] = {
        "name": "run",
        "namespace": "default",
        "annotations": annotations,
        "generation": 1,
    }
    meta |= {"deletionTimestamp": wire(101)} if deleted else {}
    recorded = {"phase": "Completed", "completionTime": wire(ENDED), "settled": False, "duties": [*which]}
    return msgspec.convert({"metadata": meta, "status": recorded | status}, OwingView, strict=False)


def a_workflow(last: str) -> WorkflowView:
    body = {"metadata": {"name": "wf", "namespace": "default"}, "status": {"lastExecution": last}}
    return msgspec.convert(body, WorkflowView, strict=False)


def decided(execution: OwingView, now: float = ENDED + 1, **facts: Any) -> DutyPlan:
    return decide(OwingSnapshot(now=at(now), execution=execution, limits=LIMITS, **facts))


def condition_of(plan: DutyPlan) -> dict[str, Any]:
    given_up: list[dict[str, Any]] = plan.status.get("conditions", [])
    return next((one for one in given_up if one["type"] == conditions.DUTIES_DONE), {})


def test_what_is_owed_is_written_with_the_terminal_phase() -> None:
    snapshot = a_snapshot("train").build()
    ended = run_end.finish(snapshot, snapshot.execution.status, "Failed", "StepFailed", "it failed")
    assert (ended.settled, ended.duties) == (False, ("Logs", "Archive"))


ONE: Final = Namespaces(frozenset(("default",)))
SOME: Final = Namespaces(frozenset(("elsewhere", "default")))
ELSEWHERE: Final = Namespaces(frozenset(("elsewhere",)))
ALL: Final = Namespaces(None)
BUT_OURS: Final = Namespaces(None, hidden="default")


@pytest.mark.parametrize(
    ("archived", "owed"),
    [
        (NOWHERE, None),
        (ONE, ("Archive",)),
        (SOME, ("Archive",)),
        (ELSEWHERE, None),
        (ALL, ("Archive",)),
        (BUT_OURS, None),
    ],
)
def test_the_archive_is_owed_in_the_namespaces_that_the_facade_serves_if_it_archives(
    archived: Namespaces, owed: tuple[str, ...] | None
) -> None:
    snapshot = replace(a_snapshot("train").build(), limits=Limits(archived=archived))
    with mock.patch.object(duties, "DUTIES", REGISTERED):
        ended = run_end.finish(snapshot, snapshot.execution.status, "Failed", "StepFailed", "it failed")
    assert ended.duties == owed


@pytest.mark.parametrize(
    ("logged", "options", "begun", "owed"),
    [
        (ONE, None, True, ("Logs",)),
        (ONE, Options(enable_logging=True), True, ("Logs",)),
        (ONE, Options(enable_logging=False), True, None),
        (ONE, None, False, None),
        (SOME, None, True, ("Logs",)),
        (ALL, None, True, ("Logs",)),
        (BUT_OURS, None, True, None),
        (ELSEWHERE, None, True, None),
        (NOWHERE, None, True, None),
    ],
)
def test_logs_are_owed_of_runs_that_began_unless_their_workflow_does_not_want_it(
    logged: Namespaces, options: Options | None, begun: bool, owed: tuple[str, ...] | None
) -> None:
    snapshot = a_snapshot("train").with_limits(logged=logged).build()
    assert snapshot.revision is not None
    spec = snapshot.revision.spec.model_copy(update={"options": options})
    attempts = {("train", 1): Attempt()} if begun else {}
    snapshot = replace(snapshot, revision=replace(snapshot.revision, spec=spec), attempts=attempts)
    with mock.patch.object(duties, "DUTIES", REGISTERED):
        ended = run_end.finish(snapshot, snapshot.execution.status, "Failed", "StepFailed", "it failed")
    assert ended.duties == owed


def test_the_archive_has_a_day() -> None:
    limits = Limits(duty_timeout=600, archive_timeout=24 * 3600)
    with mock.patch.object(duties, "DUTIES", REGISTERED):
        plan = decide(OwingSnapshot(now=at(ENDED + 601), execution=owing("Archive"), limits=limits))
        assert plan.outcome == Waiting(at(ENDED + 24 * 3600))
        late = decide(OwingSnapshot(now=at(ENDED + 24 * 3600), execution=owing("Archive"), limits=limits))
    assert late.undone == ("Archive",)


def test_where_nothing_is_owed_neither_field_is_set() -> None:
    snapshot = a_snapshot("train").build()
    with mock.patch.object(duties, "DUTIES", ()):
        ended = run_end.finish(snapshot, snapshot.execution.status, "Failed", "StepFailed", "it failed")
    assert (ended.settled, ended.duties) == (None, None)


@pytest.mark.parametrize("done", ["Logs", "Logs,Archive", "Archive, Logs", ",Logs,"])
def test_what_the_facade_has_noted_is_done(done: str) -> None:
    assert decided(owing("Logs", done=done)).status == {"settled": True, "duties": None}


@pytest.mark.parametrize("done", ["", "logs", "Archive", "Schedule", "Logsx"])
def test_no_other_duty_is_done(done: str) -> None:
    plan = decided(owing("Logs", "Schedule", done=done))
    assert (plan.status, plan.settled, plan.outcome) == ({}, False, Waiting(at(ENDED + 600)))


def test_what_the_operator_does_is_done_when_its_rule_says_so_whatever_is_noted() -> None:
    run = owing("Schedule", done="Schedule")
    assert not decided(run, workflow=a_workflow("another")).settled
    assert decided(run, workflow=a_workflow("run")).settled


def test_each_duty_that_is_done_is_recorded_by_itself() -> None:
    plan = decided(owing("Logs", "Archive", done="Logs"))
    assert plan.status == {"duties": ["Archive"]}
    assert plan.outcome == Waiting(at(ENDED + 24 * 600))


def test_what_is_not_done_in_time_is_given_up_and_the_rest_waits_on() -> None:
    plan = decided(owing("Logs", "Archive"), now=ENDED + 600)
    assert (plan.undone, plan.reason, plan.settled) == (("Logs",), conditions.DUTY_OVERDUE, False)
    assert plan.status["duties"] == ["Archive"]
    assert condition_of(plan)["message"] == "not done within 10 minutes of its end: Logs"
    assert (condition_of(plan)["status"], condition_of(plan)["reason"]) == ("False", conditions.DUTY_OVERDUE)


def test_duties_given_up_before_stay_reported() -> None:
    before = {"type": conditions.DUTIES_DONE, "status": "False", "message": "not done: Logs"}
    other = {"type": conditions.FINISHED, "status": "True", "reason": "Succeeded"}
    plan = decided(owing("Archive", conditions=[before, other]), now=ENDED + 24 * 600)
    assert condition_of(plan)["message"] == "not done: Logs; not done within 4 hours of its end: Archive"
    assert [one["type"] for one in plan.status["conditions"]] == [conditions.FINISHED, conditions.DUTIES_DONE]
    assert plan.settled


def test_what_is_done_at_the_last_moment_counts() -> None:
    assert not decided(owing("Logs", done="Logs"), now=ENDED + 10_000).undone


def test_beyond_the_number_that_may_owe_all_is_given_up_at_once() -> None:
    plan = decided(owing("Logs", "Archive", done="Logs"), too_many=True)
    assert (plan.undone, plan.reason, plan.settled) == (("Archive",), conditions.TOO_MANY_OWE, True)
    assert condition_of(plan)["message"] == (
        "not done: Archive: more than 5 runs owed something, and this was among the oldest"
    )


def test_a_duty_of_which_only_another_version_knows_has_the_usual_time() -> None:
    assert decided(owing("Telepathy")).outcome == Waiting(at(ENDED + 600))
    assert decided(owing("Telepathy"), now=ENDED + 600).undone == ("Telepathy",)


@pytest.mark.parametrize("execution", [owing("Logs", deleted=True), owing(settled=True), owing(settled=None)])
def test_a_run_that_is_settled_or_being_deleted_is_left_alone(execution: OwingView) -> None:
    plan = decided(execution, now=ENDED + 10_000)
    assert (plan.status, plan.outcome) == ({}, Done())


@pytest.mark.parametrize(
    ("status", "needed"),
    [
        (OwingStatusView(settled=False, duties=("Logs", "Archive")), True),
        (OwingStatusView(settled=False, duties=("Archive", "Trace")), False),
        (OwingStatusView(settled=True), False),
        (OwingStatusView(), True),
    ],
)
def test_jobs_are_kept_for_their_logs_and_when_in_doubt(status: OwingStatusView, needed: bool) -> None:
    assert needs_jobs(status) is needed


@given(
    st.lists(st.sampled_from(("Schedule", "Logs", "Archive", "Telepathy")), unique=True, min_size=1),
    st.lists(st.sampled_from(("Logs", "Archive")), unique=True),
    st.floats(0, 20_000),
    st.booleans(),
)
def test_deciding_again_on_what_was_written_changes_nothing_and_it_always_ends(
    which: list[str], done: list[str], after: float, too_many: bool
) -> None:
    execution = owing(*which, done=",".join(done))
    plan = decided(execution, now=ENDED + after, too_many=too_many)
    body = msgspec.to_builtins(execution.status)
    written = msgspec.structs.replace(
        execution, status=msgspec.convert(merge(body, plan.status), OwingStatusView, strict=False)
    )

    assert decided(written, now=ENDED + after).status == {}
    assert written.status.settled is (not written.status.duties)
    if isinstance(plan.outcome, Waiting):
        assert plan.outcome.until > at(ENDED + after)
        last = 24 * 600 if "Archive" in which else 600
        assert plan.outcome.until <= at(ENDED + last)
