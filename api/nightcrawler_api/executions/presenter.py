"""Executions as JSON of the REST API; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, cast

from nightcrawler_api.estimates import Expected
from nightcrawler_api.executions.live import NOTHING, Live
from nightcrawler_api.executions.schemas import (
    AnyExecutionDetail,
    Cost,
    Execution,
    ExecutionDetail,
    ExecutionOfWorkflow,
    ExecutionStarted,
    LogLine,
    Notice,
    PlacementCandidate,
    ResourceUsage,
    StepExecution,
)
from nightcrawler_api.filters import SCHEDULED
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.statuses import ended, execution_status, has_started, started, step_status
from nightcrawler_crds import clock, names, words
from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.kube.views import (
    ExecutionView,
    PlacementView,
    ResourceUsageView,
    StepStatusView,
    UsageView,
)
from nightcrawler_crds.plaintext import plain
from nightcrawler_crds.v1alpha1 import conditions

_RESOURCES: Final = ("cpu", "memory", "gpu")
NO_REASON: Final = "the execution failed"
"""The error of one that says no more."""
_LAST: Final = datetime.max.replace(tzinfo=UTC)

StepLogs = Mapping[str, tuple[Sequence[LogLine], str]]
"""By step name: log lines, and why they are missing or truncated (empty if they are not)."""


def started_now(execution: ExecutionView, expected: Expected, now: datetime) -> ExecutionStarted:
    """The response to its creation."""
    shown: dict[str, Any] = {
        "executionId": execution.metadata.name,
        "workflowId": execution.spec.workflow_ref.name,
        "status": execution_status(execution),
        "startTime": clock.to_wire(started(execution)),
        **expected_now(expected, now),
    }
    return cast("ExecutionStarted", shown)


def started_earlier(execution: ExecutionView, expected: Expected | None, now: datetime) -> ExecutionStarted:
    """The response to a repetition of the request that has created it; `expected` as in `detail`."""
    begin, end = started(execution), ended(execution) or now
    shown: dict[str, Any] = {
        "executionId": execution.metadata.name,
        "workflowId": execution.spec.workflow_ref.name,
        "status": execution_status(execution),
        "startTime": clock.to_wire(begin),
        "estimatedDuration": words.clock_long((end - begin).total_seconds()),
        "estimatedEnd": clock.to_wire(end),
    }
    if expected is not None:
        times = _expected_times(execution, expected, now)
        shown |= _estimates(expected) | {key: at for key, at in times.items() if key == "estimatedEnd"}
    return cast("ExecutionStarted", shown)


def expected_now(expected: Expected, now: datetime) -> dict[str, Any]:
    """What is expected of a run that is created now."""
    return {**_estimates(expected), "estimatedEnd": _after(now, (expected.wait or 0.0) + expected.duration)}


def _estimates(expected: Expected) -> dict[str, Any]:
    shown: dict[str, Any] = {"estimatedDuration": words.clock_long(expected.duration)}
    if expected.wait is not None:
        shown["estimatedWait"] = words.clock_long(expected.wait)
    if expected.cost is not None:
        shown["estimatedCost"] = money(expected.cost, expected.currency)
    return shown


def _after(moment: datetime, seconds: float) -> str:
    return clock.to_wire(moment + timedelta(seconds=round(seconds)))


def money(amount: float, currency: str | None) -> Cost:
    """An amount of money."""
    shown: Cost = {"amount": amount}
    if currency:
        shown["currency"] = currency
    return shown


def row(execution: ExecutionView, default_user: str, now: datetime) -> Execution:
    """An execution in the list."""
    status = execution.status
    shown: Execution = {
        "id": execution.metadata.name,
        "status": execution_status(execution),
        "startTime": clock.to_wire(started(execution)),
        "executor": executor_of(execution.spec.trigger.type, execution.spec.executor, default_user),
    }
    if (end := ended(execution)) is not None:
        shown["endTime"] = clock.to_wire(end)
        shown["duration"] = words.clock_long((end - started(execution)).total_seconds())
    elif status.start_time is not None:
        shown["duration"] = words.clock_long((now - status.start_time).total_seconds())
    if status.phase == "Failed":
        shown["error"] = plain(failure_of(execution))
    elif status.message and status.phase != "Completed":
        shown["message"] = plain(status.message)
    if status.waiting_reason and not status.has_ended:
        shown["waitingReason"] = status.waiting_reason
        if status.waiting_since is not None:
            shown["waitingSince"] = clock.to_wire(status.waiting_since)
    if environment := status.environment or execution.spec.environment:
        shown["environment"] = environment
    if status.progress:
        shown["progress"] = status.progress
    if status.cost is not None:
        shown["cost"] = money(status.cost.amount, status.cost.currency)
    if scheduled := execution.spec.trigger.scheduled_time:
        shown["scheduledTime"] = clock.to_wire(scheduled)
    if status.resource_usage is not None:
        shown["resourceUsage"] = used(status.resource_usage)
    return shown


def _figures(usage: UsageView, kind: Literal["average", "peak"]) -> ResourceUsage:
    found = {what: getattr(usage, what) for what in _RESOURCES}
    return _percentages({what: figure and getattr(figure, kind) for what, figure in found.items()})


def used(usage: ResourceUsageView) -> ResourceUsage:
    """What an execution has used."""
    return _percentages({what: getattr(usage, what) for what in _RESOURCES})


def _percentages(found: Mapping[str, int | None]) -> ResourceUsage:
    return cast("ResourceUsage", {what: value for what, value in found.items() if value is not None})


def executor_of(trigger: str, executor: str | None, default_user: str) -> str:
    """Who is shown as the executor of what a trigger of this type has started."""
    if trigger == "Schedule" and executor == names.SCHEDULE_EXECUTOR:
        return SCHEDULED
    return executor or default_user


class Named(NamedTuple):
    """The workflow of an execution as lists show it: its name, if it is known, and whether it is gone."""

    name: str | None
    deleted: bool


def named(entry: WorkflowEntry | None, owner: str | None, known: str | None = None) -> Named:
    """The workflow of an execution.

    Args:
        entry: The workflow of that name that there is.
        owner: The UID of the Workflow that owns the execution; one without an owner may still be adopted.
        known: The last known name of that.
    """
    if entry is not None and (not owner or owner == entry.view.metadata.uid):
        return Named(entry.name, deleted=False)
    return Named(known, deleted=bool(owner))


def add_workflow(shown: dict[str, Any], workflow: Named) -> None:
    """Add its workflow to an execution that is shown."""
    if workflow.name is not None:
        shown["workflow"] = workflow.name
    if workflow.deleted:
        shown["workflowDeleted"] = True


def row_of_workflow(
    execution: ExecutionView, workflow: Named, default_user: str, now: datetime
) -> ExecutionOfWorkflow:
    """An execution in a list across workflows."""
    head = row(execution, default_user, now)
    shown: dict[str, Any] = {"id": head["id"], "workflowId": execution.spec.workflow_ref.name, **head}
    add_workflow(shown, workflow)
    return cast("ExecutionOfWorkflow", shown)


def with_workflow(shown: ExecutionDetail, workflow: Named) -> AnyExecutionDetail:
    """An execution in full with its workflow as lists show it."""
    found: dict[str, Any] = {**shown}
    add_workflow(found, workflow)
    return cast("AnyExecutionDetail", found)


def detail(
    execution: ExecutionView,
    default_user: str,
    order: Sequence[str],
    logs: StepLogs | None,
    now: datetime,
    expected: Expected | None = None,
    live: Live = NOTHING,
) -> ExecutionDetail:
    """An execution in full; `order` is that of the workflow's steps; without `logs` none are shown.

    `expected` is what is expected of one that has not ended, and `live` is what its steps use now.
    """
    head = row(execution, default_user, now)
    if live.run:
        head["resourceUsage"] = live.run
    shown: dict[str, Any] = {
        "id": head["id"],
        "workflowId": execution.spec.workflow_ref.name,
        **head,
        "stepExecutions": [
            _step(execution, name, logs, now, live.steps.get(name))
            for name in started_steps(execution, order)
        ],
        "parameters": execution.spec.parameters,
    }
    if notices := execution.status.notifications:
        shown["notifications"] = [_notice(key, notice) for key, notice in notices.items()]
    if expected is not None:
        shown |= _estimates(expected) | _expected_times(execution, expected, now)
    return cast("ExecutionDetail", shown | _placement(execution))


def _expected_times(execution: ExecutionView, expected: Expected, now: datetime) -> dict[str, Any]:
    """When it starts and ends; not known of one that waits for room, or takes longer than usual."""
    shown: dict[str, Any] = {} if expected.place is None else {"placeInLine": expected.place}
    begun = execution.status.start_time
    if begun is not None:
        end = begun + timedelta(seconds=round(expected.duration))
        return shown | ({"estimatedEnd": clock.to_wire(end)} if end > now else {})
    if expected.wait is None:
        return shown
    return shown | {
        "expectedStart": _after(now, expected.wait),
        "estimatedEnd": _after(now, expected.wait + expected.duration),
    }


def _placement(execution: ExecutionView) -> dict[str, Any]:
    """Why it runs where it runs, and among which environments a strategy chose."""
    status = execution.status
    placed = next((c for c in status.conditions if c.type == conditions.PLACED and c.status == "True"), None)
    shown: dict[str, Any] = {"placementMessage": plain(placed.message)} if placed is not None else {}
    if status.placement:
        shown["placement"] = [_candidate(one) for one in status.placement]
    return shown


def _candidate(one: PlacementView) -> PlacementCandidate:
    shown: PlacementCandidate = {"environment": one.environment}
    if one.wait is not None:
        shown["estimatedWait"] = words.clock_long(one.wait)
    if one.duration is not None:
        shown["estimatedDuration"] = words.clock_long(one.duration)
    if one.cost is not None:
        shown["estimatedCost"] = money(one.cost, one.currency)
    if one.passed_over is not None:
        shown["passedOver"] = plain(one.passed_over)
    return shown


def _notice(key: str, notice: NoticeView) -> Notice:
    event, _, rest = key.partition("/")
    channel, _, about = rest.partition("/")
    shown: Notice = {
        "event": event,
        "channel": channel,
        "state": cast("Any", notice.state.lower()),
        "attempts": notice.attempts or 0,
    }
    if about:
        step, _, attempt = about.rpartition("/")
        shown |= {"step": step, "attempt": int(attempt)}
    if notice.sent_at is not None:
        shown["sentAt"] = clock.to_wire(notice.sent_at)
    if notice.last_error:
        shown["error"] = plain(notice.last_error)
    return shown


def started_steps(execution: ExecutionView, order: Sequence[str]) -> list[str]:
    """The steps that have started, by start time, then in the workflow's order."""
    position = {name: index for index, name in enumerate(order)}
    steps = execution.status.steps
    begun = [name for name, step in steps.items() if has_started(step)]
    # Steps without a time come last: they cannot have started before their dependencies.
    return sorted(
        begun, key=lambda name: (_own_begin(steps[name]) or _LAST, position.get(name, len(position)))
    )


def _begin(execution: ExecutionView, step: StepStatusView) -> datetime:
    return _own_begin(step) or started(execution)


def _own_begin(step: StepStatusView) -> datetime | None:
    # A step has no start time if it failed before its Pod started, or between two attempts.
    return step.start_time or step.completion_time


def _step(
    execution: ExecutionView, name: str, logs: StepLogs | None, now: datetime, live: ResourceUsage | None
) -> StepExecution:
    step = execution.status.steps[name]
    word = step_status(step)
    assert word != "pending", "only steps that have begun are shown"
    shown: StepExecution = {
        "name": name,
        "status": word,
        "startTime": clock.to_wire(_begin(execution, step)),
    }
    if word != "running" and step.completion_time:
        shown["endTime"] = clock.to_wire(step.completion_time)
        seconds = (step.completion_time - _begin(execution, step)).total_seconds()
        shown["duration"] = words.clock_long(seconds)
    elif step.phase == "Running" and step.start_time:
        shown["duration"] = words.clock_long((now - step.start_time).total_seconds())
    if (error := _step_error(step)) is not None:
        shown["error"] = error
    elif step.message and word == "running":
        shown["message"] = plain(step.message)
    if step.attempt:
        shown["attempt"] = step.attempt
    if step.exit_code is not None:
        shown["exitCode"] = step.exit_code
    if step.usage is not None:
        shown["resourceUsage"] = _figures(step.usage, "average")
        shown["peakUsage"] = _figures(step.usage, "peak")
    elif live:
        shown["resourceUsage"] = live
    if logs is not None:
        lines, why_not_all = logs.get(name, ((), ""))
        shown["logs"] = list(lines)
        if why_not_all:
            shown["logsMessage"] = why_not_all
    return shown


def _step_error(step: StepStatusView) -> str | None:
    if step.phase == "Cancelled":
        return "cancelled"
    if step.phase == "Failed":
        return plain(step.message or step.reason or "the step failed")
    return None


def failure_of(execution: ExecutionView) -> str:
    """Why an execution failed: its message, else that of its condition or of a failed step."""
    if execution.status.message:
        return execution.status.message
    for condition in execution.status.conditions:
        if condition.type == conditions.FINISHED and condition.message:
            return condition.message
    failed = [
        step.message for step in execution.status.steps.values() if step.phase == "Failed" and step.message
    ]
    return failed[0] if failed else NO_REASON
