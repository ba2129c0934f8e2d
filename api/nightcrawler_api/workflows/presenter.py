"""Workflows in the API's words; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from nightcrawler_api.state.index import Known
from nightcrawler_api.state.statuses import started, step_word
from nightcrawler_api.workflows.schemas import (
    ShownCondition,
    WorkflowCreated,
    WorkflowDetail,
    WorkflowRow,
    WorkflowStep,
    WorkflowUpdated,
)
from nightcrawler_crds import clock, defaults, words
from nightcrawler_crds.kube.views import StepStatusView, WorkflowView
from nightcrawler_crds.plaintext import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What this installation takes where nobody wrote anything."""

    user: str = "anonymous"
    timeout: float = defaults.TIMEOUT
    retry_delay: float = defaults.RETRY_DELAY
    cpu: str | None = None
    memory: str | None = None


AS_WRITTEN: Final = (
    "environmentStrategy",
    "traceLevel",
    "options",
    "parameters",
    "order",
    "suspend",
    "history",
)
"""Fields of the spec that are shown as they are, and only if they are there."""

_OPTIONAL_CONFIG: Final[Mapping[str, Mapping[str, Any]]] = {
    "storage": {"persistentVolume": "None", "ephemeralStorage": "None"},
    "notifications": {"email": False, "slack": False, "webhook": False},
    "schedule": {"description": "", "skipOnFailure": False, "catchUp": False},
    "security": {"visibility": "Public", "auditLogging": False, "secureSecrets": False, "permissions": []},
}
"""Parts of config that may be missing; where one is there, the document has these fields in it."""


def row(known: Known) -> WorkflowRow:
    """A workflow in the list."""
    shown: WorkflowRow = {
        "id": known.view.metadata.name,
        "name": known.name,
        "description": known.description,
        "status": known.status,
        "priority": known.priority,
    }
    if (last := last_run(known)) is not None:
        shown["lastRun"] = clock.to_wire(last)
    return shown


def created(known: Known, in_force: InForce) -> WorkflowCreated:
    """The answer to its creation."""
    return {
        "id": known.view.metadata.name,
        "name": known.name,
        "description": known.description,
        "status": known.status,
        "priority": known.priority,
        "creator": creator(known.view, in_force),
        "createdAt": _created_at(known.view),
    }


def updated(known: Known) -> WorkflowUpdated:
    """The answer to a change."""
    return {
        "id": known.view.metadata.name,
        "name": known.name,
        "description": known.description,
        "status": known.status,
        "priority": known.priority,
        "updatedAt": known.view.metadata.annotations.updated_at,
    }


def detail(known: Known, in_force: InForce, now: datetime) -> WorkflowDetail:
    """A workflow in full."""
    view, spec = known.view, known.view.spec
    summary = row(known)
    shown: dict[str, Any] = {
        **{key: summary[key] for key in ("id", "name", "description", "status", "priority")},
        "creator": creator(view, in_force),
        "createdAt": _created_at(view),
    }
    if view.metadata.annotations.updated_at:
        shown["updatedAt"] = view.metadata.annotations.updated_at
    if "lastRun" in summary:
        shown["lastRun"] = summary["lastRun"]
    shown |= {
        "environments": spec.get("environments") or [],
        "tags": spec.get("tags") or [],
        "steps": steps(known, now),
        "config": config(spec, in_force),
        **{field: spec[field] for field in AS_WRITTEN if spec.get(field) is not None},
        "conditions": _conditions(view),
    }
    return cast("WorkflowDetail", shown)


def last_run(known: Known) -> datetime | None:
    """When the latest execution began; history may have forgotten it, and the workflow's status not."""
    latest = known.runs.latest
    return started(latest) if latest else known.view.status.last_run_time


def creator(view: WorkflowView, in_force: InForce) -> str:
    """Who made a workflow; manifests do not say."""
    return view.metadata.annotations.creator or in_force.user


def steps(known: Known, now: datetime) -> list[WorkflowStep]:
    """The steps as they are defined now, as they went in the latest execution."""
    latest = known.runs.latest
    results: Mapping[str, StepStatusView] = latest.status.steps if latest else {}
    shown = []
    for step in known.view.spec.get("steps") or []:
        result = results.get(step["name"])
        head: WorkflowStep = {
            "name": step["name"],
            "status": step_word(result),
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


def config(spec: Mapping[str, Any], in_force: InForce) -> dict[str, Any]:
    """The config as it was written; what the document requires and nobody wrote is what is in force."""
    written: Mapping[str, Any] = spec.get("config") or {}
    enabled = (spec.get("options") or {}).get("enableRetry")
    shown: dict[str, Any] = {
        "timeout": words.format_duration_words(in_force.timeout),
        "retries": defaults.RETRIES_IF_ENABLED if enabled else 0,
        "retryDelay": words.format_duration_words(in_force.retry_delay),
        "computeProfile": "None",
        **written,
        "resources": {
            "cpu": in_force.cpu or "None",
            "memory": in_force.memory or "None",
            "gpu": "None",
            **(written.get("resources") or {}),
        },
    }
    for part, required in _OPTIONAL_CONFIG.items():
        if written.get(part) is not None:
            shown[part] = {**required, **written[part]}
    return shown


def _created_at(view: WorkflowView) -> str:
    at = view.metadata.creation_timestamp
    return clock.to_wire(at) if at else ""


def _conditions(view: WorkflowView) -> list[ShownCondition]:
    return [
        {"type": c.type, "status": c.status, "reason": c.reason, "message": plain(c.message)}
        for c in view.status.conditions
    ]
