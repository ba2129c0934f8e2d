"""The spans of a run that has ended, or of one so far.

The run's span has one for each step that began; a step's has one for each attempt that is recorded, and an
attempt's has the wait for its Pod. What is recorded depends on the workflow's traceLevel. Times are those of
the record, which have whole seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from nightcrawler_crds.kube.views import (
    AttemptView,
    ExecutionView,
    ResourceUsageView,
    StepStatusView,
    UsageView,
)
from nightcrawler_crds.tracing import ids
from nightcrawler_crds.v1alpha1 import conditions

Value = str | int | float | bool

OK: Final = 1
ERROR: Final = 2
_UNSET: Final = 0


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span."""

    name: str
    time: datetime
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A span; `parent` is empty for the run's. `status` is OTLP's code: 0 unset, 1 ok, 2 error."""

    name: str
    id: str
    parent: str
    start: datetime
    end: datetime
    attributes: Mapping[str, Value]
    status: int = _UNSET
    message: str = ""
    events: tuple[SpanEvent, ...] = ()


def spans_of(execution: ExecutionView, now: datetime) -> list[Span]:
    """All spans, the run's first; those of what is under way end `now`."""
    return list(_spans(execution, now))


def _spans(execution: ExecutionView, now: datetime) -> Iterator[Span]:
    meta, status = execution.metadata, execution.status
    uid, root = meta.uid, ids.span_id(meta.uid, ids.RUN)
    created = meta.creation_timestamp or status.start_time or status.completion_time or now
    end = max(status.completion_time or now, created)
    yield Span(
        name=execution.spec.workflow_ref.name,
        id=root,
        parent="",
        start=created,
        end=end,
        attributes=_set(
            {
                "nightcrawler.workflow": execution.spec.workflow_ref.name,
                "nightcrawler.execution": meta.name,
                "nightcrawler.execution.uid": uid,
                "nightcrawler.phase": status.phase or "Pending",
                "nightcrawler.environment": status.environment,
                "nightcrawler.progress": status.progress,
                "nightcrawler.trigger": execution.spec.trigger.type,
                "k8s.namespace.name": meta.namespace,
                **(_of_run(status.resource_usage) if status.trace_level in _DETAILED else {}),
            }
        ),
        status={"Completed": OK, "Failed": ERROR}.get(status.phase, _UNSET),
        message=(status.message or "") if status.phase == "Failed" else "",
    )
    accepted = next((c for c in status.conditions if c.type == conditions.ACCEPTED), None)
    since = accepted.last_transition_time if accepted is not None and accepted.status == "True" else None
    if status.trace_level in _DETAILED and since is not None and since > created:
        yield Span("acceptance", ids.span_id(uid, ids.WAIT), root, created, since, {})
    for name, step in status.steps.items():
        yield from _of_step(execution, name, step, root, now)


_DETAILED: Final = ("med", "debug")
_MEASURED: Final = ("cpu", "memory", "gpu")


def _of_step(
    execution: ExecutionView, name: str, step: StepStatusView, root: str, now: datetime
) -> Iterator[Span]:
    uid = execution.metadata.uid
    attempts = step.attempts or ()
    begins = [one.created or one.start_time for one in attempts] + [step.start_time]
    start = min((moment for moment in begins if moment is not None), default=step.completion_time)
    if start is None:
        return  # it has not begun
    own = ids.step_span(uid, name)
    failed = step.phase == "Failed"
    yield Span(
        name=name,
        id=own,
        parent=root,
        start=start,
        end=max(step.completion_time or now, start),
        attributes=_set(
            {
                "nightcrawler.step": name,
                "nightcrawler.phase": step.phase,
                "nightcrawler.attempts": step.attempt,
                "nightcrawler.disruptions": step.disruptions or None,
                "nightcrawler.reason": step.reason,
                "process.exit.code": step.exit_code,
                "k8s.job.name": step.job_name,
                "k8s.namespace.name": execution.metadata.namespace,
                **(_used(step.usage) if execution.status.trace_level in _DETAILED else {}),
            }
        ),
        status=OK if step.phase == "Completed" else ERROR if failed else _UNSET,
        message=(step.message or "") if failed else "",
    )
    if execution.status.trace_level in _DETAILED:
        for attempt in attempts:
            yield from _of_attempt(uid, name, attempt, own, now)


def _of_attempt(uid: str, name: str, attempt: AttemptView, parent: str, now: datetime) -> Iterator[Span]:
    start = attempt.created or attempt.start_time or attempt.completion_time
    if start is None:
        return
    end = max(attempt.completion_time or now, start)
    own = ids.attempt_span(uid, name, attempt.number)
    went_well = attempt.reason is None
    yield Span(
        name=f"attempt {attempt.number}",
        id=own,
        parent=parent,
        start=start,
        end=end,
        attributes=_set(
            {
                "nightcrawler.step": name,
                "nightcrawler.attempt": attempt.number,
                "nightcrawler.reason": attempt.reason,
                "process.exit.code": attempt.exit_code,
                "k8s.node.name": attempt.node,
            }
        ),
        status=OK if went_well else ERROR,
        message="" if went_well else attempt.reason or "",
        events=tuple(
            SpanEvent(one.reason, one.time, _set({"k8s.event.message": one.message}))
            for one in attempt.events or ()
        ),
    )
    began = attempt.start_time or end
    if attempt.created is not None and began > attempt.created:
        waited = ids.span_id(uid, ids.WAIT, name, str(attempt.number))
        scheduled = attempt.scheduled
        events = (SpanEvent("Scheduled", scheduled),) if scheduled is not None else ()
        yield Span("wait for its Pod", waited, own, attempt.created, began, {}, events=events)


def _of_run(usage: ResourceUsageView | None) -> dict[str, Value | None]:
    """What a run used, in percent."""
    if usage is None:
        return {}
    return {f"nightcrawler.usage.{what}": getattr(usage, what) for what in _MEASURED}


def _used(usage: UsageView | None) -> dict[str, Value | None]:
    """What a step used, in percent: its average and its peak."""
    measured = [(what, getattr(usage, what, None)) for what in _MEASURED]
    return {
        f"nightcrawler.usage.{what}.{kind}": getattr(figure, kind)
        for what, figure in measured
        if figure is not None
        for kind in ("average", "peak")
    }


def _set(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {key: value for key, value in attributes.items() if value is not None}
