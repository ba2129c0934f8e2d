"""Workflows as JSON of the REST API; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.statuses import step_status
from nightcrawler_api.workflows.schemas import (
    ShownCondition,
    WorkflowCreated,
    WorkflowDetail,
    WorkflowRow,
    WorkflowStep,
    WorkflowUpdated,
)
from nightcrawler_api.workflows.versions import version_of
from nightcrawler_crds import clock, defaults, words
from nightcrawler_crds.kube.views import ProfileView, StepStatusView, WorkflowView
from nightcrawler_crds.plaintext import plain
from nightcrawler_crds.validation import find_profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallbacks:
    """The installation's defaults for unset fields."""

    user: str = "anonymous"
    timeout: float = defaults.TIMEOUT
    retry_delay: float = defaults.RETRY_DELAY
    cpu: str | None = None
    memory: str | None = None
    visibility: str = "Public"


AS_WRITTEN: Final = (
    "environmentStrategy",
    "traceLevel",
    "options",
    "parameters",
    "order",
    "suspend",
    "maxRunning",
    "history",
)
"""Fields of the spec that are shown unchanged, if set."""

_OPTIONAL_CONFIG: Final[Mapping[str, Mapping[str, Any]]] = {
    "storage": {"persistentVolume": "None", "ephemeralStorage": "None"},
    "notifications": {"email": False, "slack": False, "webhook": False},
    "schedule": {"description": "", "skipOnFailure": False, "catchUp": False},
    "security": {"auditLogging": False, "secureSecrets": False, "permissions": []},
}
"""Optional parts of config; a part that is set is shown with these required fields."""


def row(entry: WorkflowEntry) -> WorkflowRow:
    """A workflow in the list."""
    shown: WorkflowRow = {
        "id": entry.view.metadata.name,
        "name": entry.name,
        "description": entry.description,
        "status": entry.status,
        "priority": entry.priority,
    }
    if (last := entry.last_run) is not None:
        shown["lastRun"] = clock.to_wire(last)
    if (following := next_run(entry)) is not None:
        shown["nextRun"] = clock.to_wire(following)
    return shown


def created(entry: WorkflowEntry, fallbacks: Fallbacks, warnings: Sequence[str] = ()) -> WorkflowCreated:
    """The response to its creation."""
    shown: WorkflowCreated = {
        "id": entry.view.metadata.name,
        "name": entry.name,
        "description": entry.description,
        "status": entry.status,
        "priority": entry.priority,
        "creator": creator(entry.view, fallbacks),
        "createdAt": _created_at(entry.view),
        "version": version_of(entry.view),
    }
    if warnings:
        shown["warnings"] = list(warnings)
    return shown


def updated(entry: WorkflowEntry, warnings: Sequence[str] = ()) -> WorkflowUpdated:
    """The response to an update."""
    shown: WorkflowUpdated = {
        "id": entry.view.metadata.name,
        "name": entry.name,
        "description": entry.description,
        "status": entry.status,
        "priority": entry.priority,
        "updatedAt": entry.view.metadata.annotations.updated_at,
        "version": version_of(entry.view),
    }
    if warnings:
        shown["warnings"] = list(warnings)
    return shown


def detail(
    entry: WorkflowEntry, fallbacks: Fallbacks, now: datetime, profiles: Collection[ProfileView] = ()
) -> WorkflowDetail:
    """A workflow in full."""
    view, spec = entry.view, entry.view.spec
    summary = row(entry)
    shown: dict[str, Any] = {
        **{key: summary[key] for key in ("id", "name", "description", "status", "priority")},
        "creator": creator(view, fallbacks),
        "createdAt": _created_at(view),
    }
    if view.metadata.annotations.updated_at:
        shown["updatedAt"] = view.metadata.annotations.updated_at
    for field in ("lastRun", "nextRun"):
        if field in summary:
            shown[field] = summary[field]
    shown |= {
        "environments": spec.get("environments") or [],
        "tags": spec.get("tags") or [],
        "steps": steps(entry, now),
        "config": config(spec, fallbacks, profiles),
        **{field: spec[field] for field in AS_WRITTEN if spec.get(field) is not None},
        "version": version_of(view),
        "conditions": _conditions(view),
    }
    return cast("WorkflowDetail", shown)


def next_run(entry: WorkflowEntry) -> datetime | None:
    """When the schedule starts the next run, as far as the operator has worked it out."""
    schedule = entry.view.status.schedule
    return schedule.next_scheduled_time if schedule is not None and entry.scheduled else None


def creator(view: WorkflowView, fallbacks: Fallbacks) -> str:
    """The creator of a workflow; the default user if it was created by a manifest."""
    return view.metadata.annotations.creator or fallbacks.user


def steps(entry: WorkflowEntry, now: datetime) -> list[WorkflowStep]:
    """The current steps, with their status in the latest execution."""
    latest = entry.runs.latest
    results: Mapping[str, StepStatusView] = latest.status.steps if latest else {}
    shown = []
    for step in entry.view.spec.get("steps") or []:
        result = results.get(step["name"])
        head: WorkflowStep = {
            "name": step["name"],
            "status": step_status(result),
            "duration": words.clock_short(_seconds(result, now)),
        }
        shown.append(cast("WorkflowStep", {**head, **step}))
    return shown


def _seconds(step: StepStatusView | None, now: datetime) -> float:
    if step is None or step.start_time is None:
        return 0.0
    if step.completion_time is None and step.phase != "Running":
        return 0.0
    return ((step.completion_time or now) - step.start_time).total_seconds()


def config(
    spec: Mapping[str, Any], fallbacks: Fallbacks, profiles: Collection[ProfileView] = ()
) -> dict[str, Any]:
    """The config of the spec, with effective defaults for unset fields that the document requires."""
    written: Mapping[str, Any] = spec.get("config") or {}
    enabled = (spec.get("options") or {}).get("enableRetry")
    shown: dict[str, Any] = {
        "timeout": words.format_duration_words(fallbacks.timeout),
        "retries": defaults.RETRIES_IF_ENABLED if enabled else 0,
        "retryDelay": words.format_duration_words(fallbacks.retry_delay),
        "computeProfile": "None",
        **written,
        "resources": {
            "cpu": fallbacks.cpu or "None",
            "memory": fallbacks.memory or "None",
            "gpu": "None",
            **_preset(written.get("computeProfile"), profiles),
            **(written.get("resources") or {}),
        },
    }
    for part, required in _OPTIONAL_CONFIG.items():
        if written.get(part) is not None:
            own = {"visibility": fallbacks.visibility} if part == "security" else {}
            shown[part] = {**required, **own, **written[part]}
    return shown


def _preset(name: Any, profiles: Collection[ProfileView]) -> Mapping[str, Any]:
    """The resources that the workflow's compute profile sets, of those that the document requires."""
    found = find_profile(name, profiles) if isinstance(name, str) else None
    preset = ((found and found.spec.get("resources")) or {}) if name else {}
    return {field: preset[field] for field in ("cpu", "memory", "gpu") if field in preset}


def _created_at(view: WorkflowView) -> str:
    at = view.metadata.creation_timestamp
    return clock.to_wire(at) if at else ""


def _conditions(view: WorkflowView) -> list[ShownCondition]:
    return [
        {"type": c.type, "status": c.status, "reason": c.reason, "message": plain(c.message)}
        for c in view.status.conditions
    ]
