"""Objects as the API server would send them, for tests that need no API server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, ProfileView, WorkflowView

CREATED: Final = "2025-07-10T14:44:00Z"


def at(clock: str) -> datetime:
    """A time of the day on which the tests' executions ran: `14:45:00`."""
    return datetime.fromisoformat(f"2025-07-10T{clock}+00:00").astimezone(UTC)


def workflow(
    name: str = "wf-1001",
    *,
    created: str = CREATED,
    version: int = 1,
    uid: str = "",
    namespace: str = "default",
    status: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    deleted: str | None = None,
    **spec: Any,
) -> WorkflowView:
    """A Workflow; `spec` is as it is on the wire."""
    metadata = _metadata(name, created, version, uid, deleted, namespace) | {"annotations": annotations or {}}
    return msgspec.convert(
        {"metadata": metadata, "spec": spec, "status": status or {}}, WorkflowView, strict=False
    )


def execution(
    name: str = "exec-5001",
    *,
    of: str = "wf-1001",
    created: str = CREATED,
    version: int = 1,
    uid: str = "",
    namespace: str = "default",
    deleted: str | None = None,
    owner: str = "",
    spec: dict[str, Any] | None = None,
    **status: Any,
) -> ExecutionView:
    """A WorkflowExecution; `status` is as it is on the wire, `owner` the uid of the Workflow that owns it."""
    metadata = _metadata(name, created, version, uid, deleted, namespace)
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": names.WORKFLOWS.api_version, "kind": "Workflow", "name": of, "uid": owner}
        ]
    body = {"metadata": metadata, "spec": {"workflowRef": {"name": of}, **(spec or {})}, "status": status}
    return msgspec.convert(body, ExecutionView, strict=False)


def environment(
    name: str,
    *,
    created: str = CREATED,
    version: int = 1,
    status: dict[str, Any] | None = None,
    **spec: Any,
) -> EnvironmentView:
    """An Environment."""
    body = {"metadata": _metadata(name, created, version, "", None), "spec": spec, "status": status or {}}
    return msgspec.convert(body, EnvironmentView, strict=False)


def profile(name: str, *, created: str = CREATED, version: int = 1, **spec: Any) -> ProfileView:
    """A ComputeProfile."""
    body = {"metadata": _metadata(name, created, version, "", None), "spec": spec}
    return msgspec.convert(body, ProfileView, strict=False)


def _metadata(
    name: str, created: str, version: int, uid: str, deleted: str | None, namespace: str = "default"
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-of-{name}",
        "resourceVersion": str(version),
        "creationTimestamp": created,
        "labels": {names.LABEL_WORKFLOW: "whatever"},
    }
    return metadata | ({"deletionTimestamp": deleted} if deleted else {})
