"""The load: workflows of short steps, and executions of them."""

from __future__ import annotations

import asyncio
from typing import Any

from nightcrawler_crds import names
from nightcrawler_crds.views import ExecutionView, WorkflowView
from tests.bench.site import NAMESPACE, Site

DURATION = "kwok.nightcrawler.dev/duration"


async def create_chain(site: Site, name: str, steps: int, duration: str = "100ms") -> None:
    """A workflow of so many steps, one after another, each as long as said."""
    template = {"metadata": {"annotations": {DURATION: duration}}}
    taint = {"key": "kwok.x-k8s.io/node", "operator": "Exists"}
    spec: dict[str, Any] = {
        "history": {"completed": 10_000, "failed": 10_000},
        "steps": [
            {
                "name": f"step-{number}",
                "image": "busybox:1",
                "podTemplate": {**template, "spec": {"tolerations": [taint]}},
            }
            for number in range(steps)
        ],
    }
    body = {"apiVersion": names.API_VERSION, "kind": "Workflow", "metadata": {"name": name}, "spec": spec}
    await site.store.create(names.WORKFLOWS, NAMESPACE, body, WorkflowView)


async def execute(site: Site, workflow: str, name: str) -> None:
    """One execution, as the facade would create it: owned by its workflow, and labelled."""
    owner = await site.store.get(names.WORKFLOWS, NAMESPACE, workflow, WorkflowView)
    await _create(site, owner, name)


async def execute_many(site: Site, workflow: str, prefix: str, count: int) -> list[str]:
    """So many executions at once; returns their names."""
    owner = await site.store.get(names.WORKFLOWS, NAMESPACE, workflow, WorkflowView)
    wanted = [f"{prefix}-{number}" for number in range(count)]
    await asyncio.gather(*(_create(site, owner, name) for name in wanted))
    return wanted


async def _create(site: Site, owner: WorkflowView, name: str) -> None:
    meta = owner.metadata
    reference = {"apiVersion": names.API_VERSION, "kind": "Workflow", "name": meta.name, "uid": meta.uid}
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "WorkflowExecution",
        "metadata": {
            "name": name,
            "labels": {names.LABEL_WORKFLOW: meta.name},
            "ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": False}],
        },
        "spec": {"workflowRef": {"name": meta.name}},
    }
    await site.store.create(names.EXECUTIONS, NAMESPACE, body, ExecutionView)
