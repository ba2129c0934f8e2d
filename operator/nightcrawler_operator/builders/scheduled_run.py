"""The execution of one scheduled time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_operator.builders.revision import owner


def scheduled_run(workflow: WorkflowView, name: str, time: datetime) -> dict[str, Any]:
    """The manifest: owned by its workflow, started by the schedule."""
    meta = workflow.metadata
    return {
        "apiVersion": names.EXECUTIONS.api_version,
        "kind": names.EXECUTIONS.kind,
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": {names.LABEL_WORKFLOW: meta.name},
            "ownerReferences": [owner(workflow)],
        },
        "spec": {
            "workflowRef": {"name": meta.name},
            "executor": names.SCHEDULE_EXECUTOR,
            "trigger": {"type": "Schedule", "scheduledTime": to_wire(time)},
        },
    }
