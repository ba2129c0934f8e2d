"""The manifest of a Kubernetes Event about an execution."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire
from nightcrawler_operator.keys import EventsKey
from nightcrawler_operator.plan import RunEvent

_MAX_MESSAGE: Final = 1024
"""Characters that newer API servers and clients take."""
_COMPONENT: Final = "nightcrawler-operator"


def event(
    execution: EventsKey, of: RunEvent, *, now: datetime, version: str, instance: str
) -> dict[str, Any]:
    """An Event whose name follows from the execution and what happened, so that it is recorded once."""
    at = to_wire(min(of.at or now, now))
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": names.event_name(execution.name, execution.uid, *of.key),
            "namespace": execution.namespace,
        },
        "involvedObject": {
            "apiVersion": names.EXECUTIONS.api_version,
            "kind": names.EXECUTIONS.kind,
            "namespace": execution.namespace,
            "name": execution.name,
            "uid": execution.uid,
            "resourceVersion": version,
        },
        "type": "Warning" if of.warning else "Normal",
        "reason": of.reason,
        "message": of.message[:_MAX_MESSAGE],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": _COMPONENT},
        "reportingComponent": names.MANAGED_BY,
        "reportingInstance": instance,
    }
