"""Environments and compute profiles as JSON of the REST API; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

from pydantic import ValidationError

from nightcrawler_api.environments.schemas import (
    Amounts,
    EnvironmentDetail,
    EnvironmentRow,
    EnvironmentStatus,
    ProfileDetail,
    ProfileRow,
    ShownGpus,
    ShownNodes,
)
from nightcrawler_crds import clock
from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.views import EnvironmentStatusView, EnvironmentView, GpuAmountsView, ProfileView
from nightcrawler_crds.plaintext import plain
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, conditions
from nightcrawler_crds.validation import cordon
from nightcrawler_crds.words.quantities import parse_quantity

_BY_CONDITION: Final[Mapping[str, EnvironmentStatus]] = {"True": "ready", "False": "notReady"}
_CLOSED: Final = (conditions.ENVIRONMENT_CORDONED, conditions.UNDER_MAINTENANCE)
_NOT_OBSERVED: Final = "the operator has not observed it yet"
_PROFILE_FIELDS: Final = ("nodeSelector", "tolerations", "runtimeClassName", "priorityClassName", "env")


def name_of(view: EnvironmentView | ProfileView) -> str:
    """The name for people; a manifest may have left it out."""
    return view.spec.get("displayName") or view.metadata.name


def environment_row(view: EnvironmentView, runs: tuple[int, int], now: datetime) -> EnvironmentRow:
    """An environment in the list; `runs` are those that have started and those that have not."""
    spec, recorded = view.spec, view.status
    status, message = status_of(view, now)
    shown: EnvironmentRow = {
        "id": view.metadata.name,
        "name": name_of(view),
        "aliases": spec.get("aliases") or [],
        "default": bool(spec.get("default")),
        "status": status,
        "message": message,
        "nodes": _nodes(spec, recorded),
        "running": runs[0],
        "waiting": runs[1],
    }
    if recorded.capacity is not None:
        shown["capacity"] = _amounts(recorded.capacity, sum(one.capacity for one in recorded.gpus or ()))
    if recorded.free is not None:
        shown["free"] = _amounts(recorded.free, sum(one.free or 0 for one in recorded.gpus or ()))
    if recorded.gpus is not None:
        shown["gpus"] = [_gpus(one) for one in recorded.gpus]
    if spec.get("maxRunning"):
        shown["maxRunning"] = spec["maxRunning"]
    if spec.get("prices"):
        shown["prices"] = spec["prices"]
    return shown


def environment_detail(view: EnvironmentView, runs: tuple[int, int], now: datetime) -> EnvironmentDetail:
    """An environment in full."""
    spec, largest = view.spec, view.status.largest_free_node
    shown: dict[str, Any] = {
        **environment_row(view, runs, now),
        "createdAt": _created_at(view.metadata),
        "speed": spec.get("speed") or 1,
    }
    if largest is not None:
        resources = {one.resource for one in view.status.gpus or ()}
        gpus = sum(int(parse_quantity(largest.free.get(resource, "0"))) for resource in resources)
        shown["largestFreeNode"] = {"name": largest.name, "free": _amounts(largest.free, gpus)}
    shown |= {field: spec[field] for field in ("nodeSelector", "maintenance", "gpuModels") if spec.get(field)}
    return cast("EnvironmentDetail", shown)


def status_of(view: EnvironmentView, now: datetime) -> tuple[EnvironmentStatus, str]:
    """Whether steps can start there, and why or why not.

    A cordon and a maintenance are known at once, all else from what the operator has observed.
    """
    closed = _closed(view, now)
    if closed is not None:
        return closed
    ready = next((c for c in view.status.conditions if c.type == conditions.READY), None)
    if ready is None:
        return "unknown", _NOT_OBSERVED
    if ready.reason in _CLOSED:
        return "unknown", "it has just been opened; " + _NOT_OBSERVED
    return _BY_CONDITION.get(ready.status, "unknown"), plain(ready.message)


def _closed(view: EnvironmentView, now: datetime) -> tuple[EnvironmentStatus, str] | None:
    try:
        closed = cordon(EnvironmentSpec.model_validate(view.spec, extra="ignore"), now)
    except (ValidationError, ValueError):
        return None  # the operator says what is wrong with it
    if closed is None:
        return None
    return ("maintenance" if closed.until else "cordoned"), f"no step is started here: {closed.why}"


def _nodes(spec: Mapping[str, Any], recorded: EnvironmentStatusView) -> ShownNodes:
    shown: ShownNodes = {"scaling": spec.get("nodes") or "Autoscaled"}
    if recorded.nodes is not None:
        shown["total"] = recorded.nodes
    if recorded.ready_nodes is not None:
        shown["ready"] = recorded.ready_nodes
    return shown


def _amounts(quantities: Mapping[str, str], gpus: int) -> Amounts:
    shown: Amounts = {
        "cpu": round(parse_quantity(quantities.get("cpu", "0")), 3),
        "memoryBytes": int(parse_quantity(quantities.get("memory", "0"))),
        "gpus": gpus,
    }
    if "ephemeral-storage" in quantities:
        shown["storageBytes"] = int(parse_quantity(quantities["ephemeral-storage"]))
    return shown


def _gpus(gpus: GpuAmountsView) -> ShownGpus:
    shown: dict[str, Any] = {"resource": gpus.resource, "capacity": gpus.capacity}
    optional = {"model": gpus.model, "free": gpus.free, "largestFree": gpus.largest_free}
    return cast("ShownGpus", shown | {name: value for name, value in optional.items() if value is not None})


def profile_row(view: ProfileView) -> ProfileRow:
    """A compute profile in the list."""
    shown: ProfileRow = {
        "id": view.metadata.name,
        "name": name_of(view),
        "resources": view.spec.get("resources") or {},
    }
    if view.spec.get("sharedMemory") is not None:
        shown["sharedMemory"] = view.spec["sharedMemory"]
    return shown


def profile_detail(view: ProfileView) -> ProfileDetail:
    """A compute profile in full."""
    shown: dict[str, Any] = {
        **profile_row(view),
        "createdAt": _created_at(view.metadata),
        **{field: view.spec[field] for field in _PROFILE_FIELDS if view.spec.get(field)},
    }
    return cast("ProfileDetail", shown)


def _created_at(meta: Meta) -> str:
    return clock.to_wire(meta.creation_timestamp) if meta.creation_timestamp else ""
