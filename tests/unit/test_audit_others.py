"""What others than facades have changed: who it was, as far as the cluster tells, and what counts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from nightcrawler_api.audit.others import GRACE_SECONDS, Others, gone
from nightcrawler_api.audit.record import Mark, Origin, Record
from nightcrawler_api.state.hub import Change
from tests.support.views import execution, workflow

NOW = datetime(2025, 7, 10, 18, 0, tzinfo=UTC)
STEP = {"name": "a", "image": "busybox:1"}


def seen(kind: str, old: Any, new: Any) -> list[Record]:
    """What others must have done if a change has no record."""
    others = Others()
    others.follow(Change(kind, old, new), 100.0, NOW)
    assert others.due(100.0 + GRACE_SECONDS - 0.1, 10) == []
    return others.due(100.0 + GRACE_SECONDS, 10)


def generation(view: Any, number: int) -> Any:
    return msgspec.structs.replace(view, metadata=msgspec.structs.replace(view.metadata, generation=number))


def test_a_workflow_that_is_created_changed_and_deleted_past_the_facade() -> None:
    first = generation(workflow("w", uid="u", steps=[STEP], priority="low"), 1)
    second = generation(workflow("w", uid="u", steps=[STEP], priority="high"), 2)
    [created] = seen("workflows", None, first)
    [changed] = seen("workflows", first, second)
    [deleted] = seen("workflows", second, None)
    assert [r.action for r in (created, changed, deleted)] == [
        "workflows.create",
        "workflows.update",
        "workflows.delete",
    ]
    assert {(r.caller, r.origin) for r in (created, changed, deleted)} == {("unknown", Origin.CLUSTER)}
    assert created.time == first.metadata.creation_timestamp
    assert (changed.old, changed.new, changed.time) == ({"priority": "low"}, {"priority": "high"}, NOW)
    assert [r.marks[0].change for r in (created, changed, deleted)] == ["1", "2", "deleted"]
    assert seen("workflows", second, second) == [], "the status alone"


def test_runs_of_the_schedule_are_the_schedules_and_others_somebodys() -> None:
    scheduled = {"executor": "schedule", "trigger": {"type": "Schedule"}, "parameters": {"p": "s3cret"}}
    [by_schedule] = seen("workflowexecutions", None, execution("e", uid="e", spec=scheduled))
    assert (by_schedule.caller, by_schedule.origin) == ("schedule", Origin.SCHEDULE)
    assert by_schedule.new == {"workflow": "wf-1001", "parameters": {"p": "(hidden)"}}
    [by_hand] = seen("workflowexecutions", None, execution("e", uid="e"))
    assert (by_hand.caller, by_hand.action) == ("unknown", "executions.create")
    cancelled = execution("e", uid="e", spec={"cancel": True})
    [cancel] = seen("workflowexecutions", execution("e", uid="e"), cancelled)
    assert (cancel.action, cancel.marks) == ("executions.cancel", (Mark("default", "e", "cancelled"),))
    assert (
        seen("workflowexecutions", cancelled, execution("e", uid="e", spec={"cancel": True}, phase="Running"))
        == []
    )
    [deleted] = seen("workflowexecutions", execution("e", uid="e", phase="Running"), None)
    assert deleted.action == "executions.delete"
    assert seen("workflowexecutions", execution("e", uid="e", phase="Completed"), None) == [], "it is pruned"


def test_what_is_recorded_is_not_looked_for_again_and_too_much_is_looked_at_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nightcrawler_api.audit.others._MOST_PENDING", 2)
    others = Others()
    for number in range(2):
        others.follow(Change("workflows", None, workflow(f"w{number}", uid=f"u{number}")), 0.0, NOW)
    due = others.due(10.0, 10)
    others.done(due[:1])
    assert (len(due), len(others), others.overflown) == (2, 1, False)
    for number in range(2, 4):
        others.follow(Change("workflows", None, workflow(f"w{number}", uid=f"u{number}")), 0.0, NOW)
    assert others.overflown


def test_workflows_that_nobody_saw_go_have_a_record() -> None:
    [record] = gone({"a": "wf-a", "b": "wf-b"}, {"b"}, "default", NOW)
    assert (record.action, record.subject.name, record.marks) == (
        "workflows.delete",
        "wf-a",
        (Mark("default", "a", "deleted"),),
    )
