"""The manifest of a Kubernetes Event about an execution or a workflow."""

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


def event(about: EventsKey, of: RunEvent, *, now: datetime, version: str, instance: str) -> dict[str, Any]:
    """An Event whose name follows from the object and what happened, so that it is recorded once."""
    at = to_wire(min(of.at or now, now))
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": names.event_name(about.name, about.uid, *of.key),
            "namespace": about.namespace,
        },
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
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
