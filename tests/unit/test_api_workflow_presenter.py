"""Workflows in the API's words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from pydantic import TypeAdapter

from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.protection import Protections
from nightcrawler_api.state.runs import Run, Runs
from nightcrawler_api.workflows import presenter
from nightcrawler_api.workflows.presenter import Fallbacks
from nightcrawler_api.workflows.schemas import WorkflowDetail, WorkflowRow
from nightcrawler_crds.kube.scheduleviews import ScheduleStatusView
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from tests.support.fullobjects import workflow as full_workflow
from tests.support.views import at, execution, workflow

NOW = at("16:00:00")


def known(view: WorkflowView, *executions: ExecutionView) -> WorkflowEntry:
    runs = Runs()
    for one in executions:
        runs.add(Run(one, Protections().of(view)))
    return WorkflowEntry(view, runs, Protections().of(view))


def step(phase: str, start: str | None = None, end: str | None = None) -> dict[str, Any]:
    times = {"startTime": start, "completionTime": end}
    return {"phase": phase, **{key: f"2025-07-10T{clock}Z" for key, clock in times.items() if clock}}


@pytest.mark.parametrize(
    ("result", "status", "duration"),
    [
        (None, "pending", "00:00"),
        (step("Pending"), "pending", "00:00"),
        (step("Running", "15:59:00"), "running", "01:00"),
        (step("Running", "14:00:00"), "running", "2:00:00"),
        (step("Retrying"), "running", "00:00"),
        ({**step("Pending"), "attempt": 1}, "pending", "00:00"),
        ({**step("Pending"), "attempt": 2}, "running", "00:00"),
        (step("Retrying", "15:00:00"), "running", "00:00"),
        (step("Completed", "14:45:00", "14:55:25"), "completed", "10:25"),
        (step("Completed", "14:45:00", "16:01:25"), "completed", "1:16:25"),
        (step("Failed", "14:45:00", "14:45:59"), "failed", "00:59"),
        (step("Failed", None, "14:45:59"), "failed", "00:00"),
        (step("Cancelled", "14:45:00", "14:46:00"), "failed", "01:00"),
        (step("Skipped"), "pending", "00:00"),
        # Clocks that disagree: never less than nothing.
        (step("Completed", "14:45:10", "14:45:00"), "completed", "00:00"),
    ],
)
def test_a_step_shows_its_result_in_the_latest_execution(
    result: dict[str, Any] | None, status: str, duration: str
) -> None:
    view = workflow(steps=[{"name": "a", "image": "busybox:1"}])
    latest = execution("latest", created="2025-07-10T14:00:00Z", steps={"a": result} if result else {})
    before = execution("before", created="2025-07-10T13:00:00Z", steps={"a": step("Failed")})
    assert presenter.steps(known(view, before, latest), NOW) == [
        {"name": "a", "status": status, "duration": duration, "image": "busybox:1"}
    ]


def test_a_step_keeps_its_definition() -> None:
    definition = {
        "name": "a",
        "image": "x",
        "resources": {"gpu": "8x NVIDIA A100"},
        "retries": 2,
        "dependsOn": ["b"],
    }
    [shown] = presenter.steps(known(workflow(steps=[definition])), NOW)
    assert shown == {"status": "pending", "duration": "00:00", **definition}
    assert list(shown)[:3] == ["name", "status", "duration"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"timeout": "7 days", "retries": 0, "retryDelay": "30 seconds"}),
        ({"options": {"enableRetry": True}}, {"retries": 3}),
        ({"options": {"enableRetry": False}}, {"retries": 0}),
        ({"options": {"enableRetry": True}, "config": {"retries": 7}}, {"retries": 7}),
        ({"config": {"timeout": "1h30m", "retryDelay": 5}}, {"timeout": "1h30m", "retryDelay": 5}),
        ({"config": {"resources": {"gpu": 8}}}, {"resources": {"cpu": "None", "memory": "None", "gpu": 8}}),
        (
            {"config": {"storage": {"ephemeralStorage": "1 GB"}}},
            {"storage": {"persistentVolume": "None", "ephemeralStorage": "1 GB"}},
        ),
        (
            {"config": {"notifications": {"slack": True}}},
            {"notifications": {"email": False, "slack": True, "webhook": False}},
        ),
        (
            {"config": {"schedule": {"type": "interval", "interval": "6 hours"}}},
            {
                "schedule": {
                    "type": "interval",
                    "interval": "6 hours",
                    "description": "",
                    "skipOnFailure": False,
                    "catchUp": False,
                }
            },
        ),
        ({"config": {"computeProfile": "GPU-Optimized"}}, {"computeProfile": "GPU-Optimized"}),
    ],
)
def test_config_is_as_written_and_required_fields_have_their_effective_value(
    spec: dict[str, Any], expected: dict[str, Any]
) -> None:
    shown = presenter.config(spec, Fallbacks())
    assert {key: shown[key] for key in expected} == expected
    always = {"timeout", "retries", "retryDelay", "computeProfile", "resources"}
    assert set(shown) == always | set(spec.get("config", {}))


def test_an_installations_own_defaults_are_in_effect() -> None:
    shown = presenter.config({}, Fallbacks(timeout=5400.0, retry_delay=0.0, cpu="500m", memory="1 GB"))
    assert shown == {
        "timeout": "1 hour 30 minutes",
        "retries": 0,
        "retryDelay": "0 seconds",
        "computeProfile": "None",
        "resources": {"cpu": "500m", "memory": "1 GB", "gpu": "None"},
    }


def test_a_full_workflow_is_shown_with_every_field_as_written() -> None:
    manifest = full_workflow()
    view = workflow("full", **manifest["spec"], annotations={"nightcrawler.dev/creator": "John Doe"})
    shown = presenter.detail(known(view), Fallbacks(), NOW)
    TypeAdapter(WorkflowDetail).validate_python(shown)
    spec = manifest["spec"]
    assert shown["name"] == spec["displayName"]
    assert shown["creator"] == "John Doe"
    assert shown["config"] == spec["config"]
    assert [{**one, "status": "pending", "duration": "00:00"} for one in spec["steps"]] == shown["steps"]
    for field in set(spec) - {"displayName", "steps", "config"}:
        assert shown[field] == spec[field], field  # type: ignore[literal-required]


def test_a_bare_workflow_has_every_field_that_the_document_requires() -> None:
    shown = presenter.detail(
        known(workflow("bare", created="2025-06-15T10:30:00Z")), Fallbacks(user="nobody"), NOW
    )
    TypeAdapter(WorkflowDetail).validate_python(shown)
    assert {key: value for key, value in shown.items() if key != "config"} == {
        "id": "bare",
        "name": "bare",
        "description": "",
        "status": "inactive",
        "priority": "medium",
        "creator": "nobody",
        "createdAt": "2025-06-15T10:30:00Z",
        "environments": [],
        "tags": [],
        "steps": [],
        "version": "uid-of-bare.0",
        "conditions": [],
    }


def test_conditions_set_by_the_operator_are_shown() -> None:
    condition = {"type": "Accepted", "status": "False", "reason": "DependencyCycle", "message": "a → a"}
    view = workflow(status={"conditions": [{**condition, "observedGeneration": 3}]})
    assert presenter.detail(known(view), Fallbacks(), NOW)["conditions"] == [condition]


@pytest.mark.parametrize(
    ("executions", "status", "expected"),
    [
        ([], {}, None),
        ([], {"lastRunTime": "2025-07-01T00:00:00Z"}, "2025-07-01T00:00:00Z"),
        (
            [execution(created="2025-07-10T14:44:00Z")],
            {"lastRunTime": "2025-07-01T00:00:00Z"},
            "2025-07-10T14:44:00Z",
        ),
        ([execution(startTime="2025-07-10T14:45:00Z")], {}, "2025-07-10T14:45:00Z"),
        (
            [execution("a", created="2025-07-10T14:44:00Z"), execution("b", created="2025-07-11T14:44:00Z")],
            {},
            "2025-07-11T14:44:00Z",
        ),
    ],
)
def test_the_last_run_is_when_the_latest_execution_began(
    executions: list[ExecutionView], status: dict[str, Any], expected: str | None
) -> None:
    shown = presenter.row(known(workflow(status=status), *executions))
    TypeAdapter(WorkflowRow).validate_python(shown)
    assert shown.get("lastRun") == expected


@pytest.mark.parametrize(("suspend", "shows"), [(False, "2025-07-14T04:00:00Z"), (True, None)])
def test_a_schedule_shows_its_next_run_unless_it_is_suspended(suspend: bool, shows: str | None) -> None:
    schedule = {"type": "cron", "cron": "0 6 * * 1", "timeZone": "Europe/Berlin"}
    view = workflow(config={"schedule": schedule}, suspend=suspend)
    recorded = ScheduleStatusView(next_scheduled_time=datetime(2025, 7, 14, 4, tzinfo=UTC))
    status = msgspec.structs.replace(view.status, schedule=recorded)
    entry = known(msgspec.structs.replace(view, status=status))

    row, detail = presenter.row(entry), presenter.detail(entry, Fallbacks(), NOW)

    assert row.get("nextRun") == detail.get("nextRun") == shows
    assert row["status"] == ("inactive" if suspend else "active")
