"""What becomes of a workflow's status, on a model of the API server."""

from __future__ import annotations

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.keys import WorkflowKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Done
from nightcrawler_operator.reconcilers.workflow import WorkflowReconciler
from tests.support.modelserver import Json, ModelServer
from tests.support.modelstore import ModelStore
from tests.support.snapshots import wire

WHERE = ("default", "wf")


class Harness:
    """One workflow with one run, and the reconciler of the workflow's status."""

    def __init__(self) -> None:
        self.server = ModelServer()
        self.store = ModelStore(self.server)
        body = {"metadata": {"name": WHERE[1], "namespace": WHERE[0]}, "spec": {"steps": []}}
        self.server.create(names.WORKFLOWS, body)
        run = {"name": "run-1", "namespace": WHERE[0], "creationTimestamp": wire(0)}
        self.server.create(
            names.EXECUTIONS,
            {"metadata": run, "spec": {"workflowRef": {"name": "wf"}}, "status": {"phase": "Running"}},
        )

    async def status_after(self, *, run: bool) -> Json:
        """The status after a reconcile by a fresh operator; `run`: whether it has observed the run."""
        cluster = ClusterState(self.store, "", lambda _: None)
        cluster.workflows.upsert(
            msgspec.convert(self.server.get(names.WORKFLOWS, WHERE), WorkflowView, strict=False)
        )
        if run:
            there = self.server.get(names.EXECUTIONS, (WHERE[0], "run-1"))
            cluster.executions.upsert(msgspec.convert(there, ExecutionView, strict=False))
        reconciler = WorkflowReconciler(self.store, cluster, Limits())
        assert await reconciler.reconcile(WorkflowKey(*WHERE)) == Done()
        status: Json = self.server.get(names.WORKFLOWS, WHERE)["status"]
        return status


async def test_a_run_that_is_deleted_under_way_has_no_phase_any_more() -> None:
    harness = Harness()
    before = await harness.status_after(run=True)
    harness.server.delete(names.EXECUTIONS, (WHERE[0], "run-1"))

    after = await harness.status_after(run=False)

    assert (before["active"], before["lastPhase"]) == (1, "Running")
    assert after == {key: value for key, value in {**before, "active": 0}.items() if key != "lastPhase"}


async def test_a_deleted_run_without_a_known_end_is_looked_up_once() -> None:
    harness = Harness()
    await harness.status_after(run=True)
    harness.server.delete(names.EXECUTIONS, (WHERE[0], "run-1"))
    status = await harness.status_after(run=False)
    version = harness.server.get(names.WORKFLOWS, WHERE)["metadata"]["resourceVersion"]

    assert await harness.status_after(run=False) == status
    assert harness.server.get(names.WORKFLOWS, WHERE)["metadata"]["resourceVersion"] == version


async def test_a_workflow_that_has_not_run_has_none_in_flight() -> None:
    harness = Harness()
    harness.server.delete(names.EXECUTIONS, (WHERE[0], "run-1"))

    assert (await harness.status_after(run=False))["active"] == 0
