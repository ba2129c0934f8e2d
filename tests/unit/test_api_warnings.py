"""Warnings in the answers of POST and PUT: what the operator says of a workflow's notifications."""

from __future__ import annotations

import asyncio
from typing import Any

from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.workflows.warnings import Warnings
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_crds.v1alpha1 import conditions
from tests.support.views import workflow
from tests.support.virtualtime import now, virtual_time

SLACK: dict[str, Any] = {"config": {"notifications": {"slack": True}}}


def a_cluster() -> ClusterCache:
    return ClusterCache(Store(Connection(Identity("http://localhost"), "test")), "default")


def judged(version: int, status: str, message: str = "", generation: int = 0) -> WorkflowView:
    condition = {
        "type": conditions.NOTIFICATIONS_CONFIGURED,
        "status": status,
        "reason": "Some",
        "message": message,
        "observedGeneration": generation,
    }
    return workflow(version=version, status={"conditions": [condition]}, **SLACK)


async def warned(
    cluster: ClusterCache, warnings: Warnings, *then: WorkflowView, after: float = 1
) -> list[str]:
    """The warnings of a workflow that was written, while these states of it follow."""
    written = workflow(version=1, **SLACK)
    cluster.cache_workflow(written)
    asking = asyncio.create_task(warnings.of(written))
    for view in then:
        await asyncio.sleep(1)
        cluster.cache_workflow(view)
    return await asking


@virtual_time
async def test_a_workflow_without_notifications_waits_for_nothing() -> None:
    assert await Warnings(a_cluster()).of(workflow()) == []
    assert now() == 0


@virtual_time
async def test_what_the_operator_says_is_waited_for_and_passed_on() -> None:
    cluster = a_cluster()
    found = await warned(cluster, Warnings(cluster), judged(2, "False", "slack has no target"))
    assert found == ["notifications will not all be sent: slack has no target"]
    assert now() == 1


@virtual_time
async def test_what_is_unknown_or_about_an_earlier_spec_is_no_answer() -> None:
    cluster = a_cluster()
    answers = (judged(2, "Unknown"), judged(3, "True"))
    assert await warned(cluster, Warnings(cluster), *answers) == []
    assert now() == 2


@virtual_time
async def test_an_operator_that_is_silent_is_waited_for_once_a_minute() -> None:
    cluster = a_cluster()
    warnings = Warnings(cluster)
    assert await warned(cluster, warnings) == []
    assert now() == 3
    assert await warned(cluster, warnings) == []
    assert now() == 3
    await asyncio.sleep(61)
    found = await warned(cluster, warnings, judged(2, "False", "no"))
    assert found == ["notifications will not all be sent: no"]
