"""Executions and workflows as rows, and rows as executions; pure.

A row has what lists filter, sort and show. The execution as a whole is in a document, but for its steps,
which have rows of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from nightcrawler_api.archive.contract import ArchivedRevision, ListedRow
from nightcrawler_api.executions.presenter import failure_of
from nightcrawler_api.state.index import owner_of
from nightcrawler_api.state.statuses import created, ended, execution_status, started
from nightcrawler_crds import defaults
from nightcrawler_crds.kube.views import (
    AttemptView,
    ExecutionView,
    StepStatusView,
    UsageView,
    WorkflowView,
)

Row = dict[str, Any]

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_document = msgspec.json.Decoder(ExecutionView, strict=False)
_usage = msgspec.json.Decoder(UsageView, strict=False)
_attempts = msgspec.json.Decoder(tuple[AttemptView, ...], strict=False)

DELETED_WHILE_LIVE: Final = "deleted before it had ended"


def micros(moment: datetime) -> int:
    """A time in microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def micros_of(seconds: float) -> int:
    """Seconds in microseconds."""
    return round(seconds * 1e6)


def moment(microseconds: int) -> datetime:
    """A time from microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else moment(microseconds)


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def storable(text: str) -> str:
    """A text that both databases take: PostgreSQL has no character of code 0."""
    return text.replace("\x00", "\ufffd")


def _text(value: str | None) -> str | None:
    return None if value is None else storable(value)


def _json(value: object) -> str | None:
    """A value as JSON, in which a character of code 0 is an escape; None for none."""
    return msgspec.json.encode(value).decode() if value else None


def cut_short(execution: ExecutionView, now: datetime) -> ExecutionView:
    """A live execution that was deleted, as it is archived: cancelled, when that was seen."""
    status = msgspec.structs.replace(
        execution.status, phase="Cancelled", completion_time=now, message=DELETED_WHILE_LIVE
    )
    return msgspec.structs.replace(execution, status=status)


def execution_row(execution: ExecutionView, now: datetime) -> Row:
    """The row of an execution that has ended, without its key and that of its namespace."""
    meta, spec, status = execution.metadata, execution.spec, execution.status
    began, end = started(execution), ended(execution)
    assert end is not None, "only what has ended is archived"
    message = failure_of(execution) if status.phase == "Failed" else status.message
    return {
        "uid": meta.uid,
        "name": meta.name,
        "workflow": spec.workflow_ref.name,
        "workflow_uid": owner_of(execution),
        "status": execution_status(execution),
        "created_at": micros(created(execution)),
        "started_at": micros(began),
        "ended_at": micros(end),
        # Clocks of nodes differ: an end before its start is none.
        "duration": micros(end) - micros(began),
        "wait": None if status.start_time is None else micros(status.start_time) - micros(created(execution)),
        "environment": _text(status.environment or spec.environment),
        "executor": _text(spec.executor),
        "trigger": spec.trigger.type,
        "scheduled_at": _micros(spec.trigger.scheduled_time),
        "rerun_of": spec.trigger.rerun_of,
        "revision": status.revision,
        "progress": status.progress,
        "message": _text(message if status.phase != "Completed" else None),
        "cost": None if status.cost is None else status.cost.amount,
        "currency": None if status.cost is None else status.cost.currency,
        "usage": _json(status.resource_usage),
        "archived_at": micros(now),
    }


def document_of(execution: ExecutionView) -> str:
    """An execution without its steps, as JSON, in which a character of code 0 is an escape."""
    status = msgspec.structs.replace(execution.status, steps={})
    return msgspec.json.encode(msgspec.structs.replace(execution, status=status)).decode()


def step_rows(execution: ExecutionView, order: Sequence[str]) -> list[Row]:
    """The rows of an execution's steps, without its key, in this order, which is that of its workflow."""
    place = {name: index for index, name in enumerate(order)}
    steps = sorted(execution.status.steps.items(), key=lambda item: place.get(item[0], len(place)))
    return [
        {
            "position": position,
            "name": storable(name),
            "phase": step.phase,
            "attempt": step.attempt,
            "disruptions": step.disruptions,
            "preemptions": step.preemptions,
            "started_at": _micros(step.start_time),
            "ended_at": _micros(step.completion_time),
            "job_name": step.job_name,
            "exit_code": step.exit_code,
            "reason": _text(step.reason),
            "message": _text(step.message),
            "earlier_seconds": step.earlier_seconds,
            "usage": _json(step.usage),
            "attempts": _json(step.attempts),
        }
        for position, (name, step) in enumerate(steps)
    ]


LISTED: Final = ListedRow.__struct_fields__[:-1]
"""The columns of `executions` among them, in their order."""


def whole(document: str, steps: Iterable[Any]) -> ExecutionView:
    """An execution from its document and the rows of its steps."""
    execution = _document.decode(document)
    views = {
        step.name: StepStatusView(
            phase=step.phase,
            attempt=step.attempt,
            disruptions=step.disruptions,
            start_time=_moment(step.started_at),
            completion_time=_moment(step.ended_at),
            job_name=step.job_name,
            exit_code=step.exit_code,
            reason=step.reason,
            message=step.message,
            preemptions=step.preemptions,
            earlier_seconds=step.earlier_seconds,
            usage=_usage.decode(step.usage) if step.usage else None,
            attempts=_attempts.decode(step.attempts) if step.attempts else None,
        )
        for step in steps
    }
    return msgspec.structs.replace(execution, status=msgspec.structs.replace(execution.status, steps=views))


def workflow_row(workflow: WorkflowView) -> Row:
    """The row of a workflow, without its key and that of its namespace."""
    meta, spec = workflow.metadata, workflow.spec
    return {
        "uid": meta.uid,
        "name": meta.name,
        "generation": meta.generation,
        "display_name": storable(spec.get("displayName") or meta.name),
        "description": storable(spec.get("description") or ""),
        "priority": spec.get("priority") or defaults.PRIORITY,
        "creator": storable(meta.annotations.creator),
        "created_at": micros(meta.creation_timestamp or _EPOCH),
    }


def tags_of(workflow: WorkflowView) -> Sequence[str]:
    """A workflow's tags, each once."""
    return tuple(dict.fromkeys(storable(tag) for tag in workflow.spec.get("tags") or ()))


def revision(row: Any, data: Mapping[str, Any] | None = None) -> ArchivedRevision:
    """A revision from its row, and its data if that was read."""
    return ArchivedRevision(row.name, row.workflow_uid, row.generation, _moment(row.created_at), data or {})
