"""Executions in the API's words, and their logs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from pydantic import TypeAdapter

from nightcrawler_api.executions import presenter
from nightcrawler_api.executions.podlogs import pod_of
from nightcrawler_api.executions.schemas import Execution, ExecutionDetail
from nightcrawler_crds.kube.nativeviews import PodView
from tests.support.views import at, execution

T = "2025-07-10T"
NOW = at("16:00:00")


def shown(**status: Any) -> dict[str, Any]:
    row = presenter.row(execution(**status), "anonymous", NOW)
    TypeAdapter(Execution).validate_python(row)
    return dict(row)


@pytest.mark.parametrize(
    ("phase", "cancel", "expected"),
    [
        ("", False, "running"),
        ("Pending", False, "running"),
        ("Running", False, "running"),
        ("", True, "cancelling"),
        ("Pending", True, "cancelling"),
        ("Running", True, "cancelling"),
        ("Cancelling", False, "cancelling"),
        ("Cancelling", True, "cancelling"),
        ("Completed", True, "completed"),
        ("Completed", False, "completed"),
        ("Failed", True, "failed"),
        ("Cancelled", True, "cancelled"),
    ],
)
def test_a_live_execution_shows_its_cancellation_at_once(phase: str, cancel: bool, expected: str) -> None:
    assert shown(phase=phase, spec={"cancel": cancel})["status"] == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, {"startTime": T + "14:44:00Z"}),
        ({"phase": "Pending", "message": "no node has room"}, {"message": "no node has room"}),
        (
            {
                "phase": "Pending",
                "message": "m",
                "waitingReason": "Queued",
                "waitingSince": T + "14:44:00Z",
            },
            {"message": "m", "waitingReason": "Queued", "waitingSince": T + "14:44:00Z"},
        ),
        ({"phase": "Pending", "message": "no \x1b[1mnode\x1b[0m"}, {"message": "no node"}),
        (
            {"phase": "Running", "startTime": T + "14:45:00Z", "progress": "1/5", "environment": "local"},
            {"startTime": T + "14:45:00Z", "duration": "01:15:00", "progress": "1/5", "environment": "local"},
        ),
        (
            {
                "phase": "Completed",
                "startTime": T + "14:45:00Z",
                "completionTime": T + "16:01:25Z",
                "message": "x",
            },
            {"startTime": T + "14:45:00Z", "endTime": T + "16:01:25Z", "duration": "01:16:25"},
        ),
        (
            {"phase": "Failed", "completionTime": T + "14:44:00Z", "message": "there is no environment 'x'"},
            {"endTime": T + "14:44:00Z", "duration": "00:00:00", "error": "there is no environment 'x'"},
        ),
        (
            {
                "phase": "Cancelled",
                "startTime": T + "14:45:00Z",
                "completionTime": T + "14:46:00Z",
                "message": "m",
            },
            {
                "startTime": T + "14:45:00Z",
                "endTime": T + "14:46:00Z",
                "duration": "00:01:00",
                "message": "m",
            },
        ),
    ],
)
def test_an_execution_has_the_fields_of_its_phase(status: dict[str, Any], expected: dict[str, Any]) -> None:
    base = {"id": "exec-5001", "executor": "anonymous", "startTime": T + "14:44:00Z"}
    row = shown(**status)
    assert {key: value for key, value in row.items() if key != "status"} == {**base, **expected}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ({"message": "m", "conditions": [{"type": "Finished", "message": "f"}]}, "m"),
        ({"conditions": [{"type": "Accepted", "message": "a"}, {"type": "Finished", "message": "f"}]}, "f"),
        ({"steps": {"a": {"phase": "Failed", "message": "s"}}}, "s"),
        ({"message": "\x1b[31mdisk\x1b[0m full\x07"}, "disk full"),
        ({"steps": {"a": {"phase": "Completed", "message": "s"}}}, "the execution failed"),
    ],
)
def test_a_failed_execution_always_says_why(status: dict[str, Any], error: str) -> None:
    assert shown(phase="Failed", **status)["error"] == error


def detail(steps: dict[str, Any], order: tuple[str, ...] = (), logs: presenter.StepLogs | None = None) -> Any:
    one = execution(phase="Running", startTime=T + "14:45:00Z", steps=steps)
    answer = presenter.detail(one, "anonymous", order, logs, NOW)
    TypeAdapter(ExecutionDetail).validate_python(answer)
    return answer


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"phase": "Pending"}, None),
        ({"phase": "Pending", "attempt": 1, "message": "no node has room"}, None),
        ({"phase": "Skipped", "reason": "Skipped"}, None),
        ({"phase": "Cancelled"}, None),
        ({"phase": "Cancelled", "attempt": 1}, None),
        (
            {"phase": "Pending", "attempt": 2, "message": "no node has room"},
            {"status": "running", "startTime": T + "14:45:00Z", "attempt": 2, "message": "no node has room"},
        ),
        (
            {"phase": "Cancelled", "attempt": 2, "completionTime": T + "14:46:00Z"},
            {
                "status": "failed",
                "startTime": T + "14:46:00Z",
                "endTime": T + "14:46:00Z",
                "duration": "00:00:00",
                "error": "cancelled",
                "attempt": 2,
            },
        ),
        (
            {"phase": "Running", "attempt": 1, "startTime": T + "14:45:00Z"},
            {"status": "running", "startTime": T + "14:45:00Z", "duration": "01:15:00", "attempt": 1},
        ),
        (
            {
                "phase": "Retrying",
                "attempt": 2,
                "message": "\x1b]0;title\x07again in 30 s",
                "completionTime": T + "14:46:00Z",
            },
            {"status": "running", "startTime": T + "14:46:00Z", "attempt": 2, "message": "again in 30 s"},
        ),
        (
            {
                "phase": "Completed",
                "startTime": T + "14:45:00Z",
                "completionTime": T + "14:55:25Z",
                "exitCode": 0,
            },
            {
                "status": "completed",
                "startTime": T + "14:45:00Z",
                "endTime": T + "14:55:25Z",
                "duration": "00:10:25",
                "exitCode": 0,
            },
        ),
        (
            {
                "phase": "Failed",
                "completionTime": T + "14:46:00Z",
                "reason": "ImageUnavailable",
                "message": "no image",
            },
            {
                "status": "failed",
                "startTime": T + "14:46:00Z",
                "endTime": T + "14:46:00Z",
                "duration": "00:00:00",
                "error": "no image",
            },
        ),
        (
            {"phase": "Failed", "reason": "Error"},
            {"status": "failed", "startTime": T + "14:45:00Z", "error": "Error"},
        ),
        (
            {
                "phase": "Cancelled",
                "startTime": T + "14:45:00Z",
                "completionTime": T + "14:45:30Z",
                "message": "x",
            },
            {
                "status": "failed",
                "startTime": T + "14:45:00Z",
                "endTime": T + "14:45:30Z",
                "duration": "00:00:30",
                "error": "cancelled",
            },
        ),
    ],
)
def test_a_step_is_shown_once_it_has_begun(step: dict[str, Any], expected: dict[str, Any] | None) -> None:
    steps = detail({"a": step})["stepExecutions"]
    assert steps == ([] if expected is None else [{"name": "a", **expected}])


def test_steps_are_shown_in_the_order_in_which_they_began_then_of_the_workflow() -> None:
    begun = {"phase": "Running", "startTime": T + "14:45:00Z"}
    steps = {"b": begun, "a": begun, "gone": begun, "first": {**begun, "startTime": T + "14:44:59Z"}}
    shown = detail(steps, order=("a", "b", "first"))["stepExecutions"]
    assert [step["name"] for step in shown] == ["first", "a", "b", "gone"]


def test_a_step_between_two_attempts_comes_after_those_with_a_start_time() -> None:
    begun = {"phase": "Completed", "startTime": T + "14:50:00Z", "completionTime": T + "14:51:00Z"}
    shown = detail({"b": {"phase": "Pending", "attempt": 2}, "a": begun}, order=("a", "b"))["stepExecutions"]
    assert [step["name"] for step in shown] == ["a", "b"]


def test_each_step_has_its_log_or_why_there_is_none() -> None:
    begun = {"phase": "Running", "startTime": T + "14:45:00Z"}
    line = {"timestamp": "14:45:10", "level": "info", "message": "hello", "time": T + "14:45:10Z"}
    logs: Any = {"a": ([line], ""), "b": ((), "the Pod is gone")}
    a, b = detail({"a": begun, "b": begun}, ("a", "b"), logs)["stepExecutions"]
    assert (a["logs"], "logsMessage" in a) == ([line], False)
    assert (b["logs"], b["logsMessage"]) == ([], "the Pod is gone")
    assert all("logs" not in step for step in detail({"a": begun})["stepExecutions"])


def pod(name: str, *, step: str = "", attempt: str = "1", job: str = "") -> PodView:
    annotations = {"nightcrawler.dev/step": step, "nightcrawler.dev/attempt": attempt}
    metadata = {"name": name, "annotations": annotations, "labels": {"batch.kubernetes.io/job-name": job}}
    return msgspec.convert({"metadata": metadata}, PodView)


@pytest.mark.parametrize(
    ("job_name", "expected"), [("job-2", "second"), (None, "tenth"), ("job-of-another-time", None)]
)
def test_the_last_attempt_has_the_pod_of_the_recorded_job(job_name: str | None, expected: str | None) -> None:
    pods = [
        pod("first", step="a", attempt="1", job="job-1"),
        pod("second", step="a", attempt="2", job="job-2"),
        pod("tenth", step="a", attempt="10", job="job-10"),
        pod("another", step="b", attempt="11", job="job-b"),
    ]
    step = execution(steps={"a": {"phase": "Running", "jobName": job_name}}).status.steps["a"]
    found = pod_of("a", step, pods)
    assert (found.metadata.name if found else None) == expected


# --- estimates -----------------------------------------------------------------------------------


def test_a_scheduled_run_is_by_the_system_and_shows_its_time() -> None:
    trigger = {"type": "Schedule", "scheduledTime": T + "14:00:00Z"}
    row = shown(phase="Running", spec={"executor": "schedule", "trigger": trigger})
    assert (row["executor"], row["scheduledTime"]) == ("System", T + "14:00:00Z")


def test_a_person_named_like_the_schedule_stays_that_person() -> None:
    row = shown(phase="Running", spec={"executor": "schedule", "trigger": {"type": "Manual"}})
    assert row["executor"] == "schedule"
    assert "scheduledTime" not in row
