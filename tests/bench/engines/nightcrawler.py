"""Nightcrawler itself: one operator that watches the whole cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from localcluster import LocalCluster
from nightcrawler_crds import names, phases
from nightcrawler_crds.kube.nativeviews import LeaseView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.variables import variable
from tests.bench.engines import DURATION, NAMESPACE, Defined, Meta, PodKey, Selection, Settings
from tests.bench.programs import Program
from tests.bench.shapes import Shape
from tests.support.cluster import install_crds

_TIDY: Final[Settings] = {"job_cleanup_after": "1s", "failed_job_cleanup_after": "1s"}


class Nightcrawler:
    """The operator as a process, executions created as the facade creates them.

    Attributes:
        settings: Of the operator, for every start of it, by lower-case name; to try what another one does.
    """

    name = "nightcrawler-operator"
    live = Selection(names.EXECUTIONS, field_selector=phases.LIVE_SELECTOR)
    failed = Selection(names.EXECUTIONS, field_selector="status.phase=Failed")
    tidy: Settings = _TIDY
    # The Job controller would make a Job's Pod, and write the Job's status at least three times.
    in_place_of_others = frozenset({"create pods", "patch jobs/status"})

    def __init__(self) -> None:
        self.settings: dict[str, object] = {}
        self._holder_before = ""

    def install(self, cluster: LocalCluster) -> None:
        """Create our custom resources."""
        install_crds(cluster)

    def start(self, cluster: LocalCluster, log: Path, settings: Settings) -> Program:
        """Start the operator with its usual settings but for those named here."""
        used: dict[str, object] = {
            "kubeconfig": cluster.kubeconfig,
            "lease_namespace": NAMESPACE,
            "probe_port": 0,
            "log_level": "warning",
            **self.settings,
            **settings,
        }
        self._holder_before = _holder(cluster)
        argv = [sys.executable, "-m", "nightcrawler_operator"]
        return Program(cluster, argv, log, environment_of(used))

    async def works(self, store: Store, cluster: LocalCluster) -> bool:
        """It holds the Lease, before which it does no work; one that died before it does not count."""
        leases = await store.list_all(names.LEASES, NAMESPACE, LeaseView)
        return any(lease.spec.holder_identity not in (None, "", self._holder_before) for lease in leases)

    async def define(self, store: Store, name: str, shape: Shape) -> Defined:
        """A Workflow: a sequence if the shape is a chain, else a graph."""
        kept = await store.create(names.WORKFLOWS, NAMESPACE, workflow(name, shape), WorkflowView)
        return Defined(name, kept.metadata.uid, shape)

    async def submit(self, store: Store, workflow: Defined, name: str) -> None:
        """An execution as the facade creates it: owned by its workflow, and labelled."""
        await store.create(names.EXECUTIONS, NAMESPACE, execution(workflow, name), ExecutionView)

    async def settled(self, store: Store) -> bool:
        """No Pod is left."""
        return not await store.list_all(names.PODS, NAMESPACE, dict[str, Any])

    def step_of(self, pod: Meta) -> PodKey | None:
        """By our label and our annotation."""
        run, step = pod.labels.get(names.LABEL_EXECUTION), pod.annotations.get(names.ANNOTATION_STEP)
        return (run, step) if run and step else None


async def free_lease(store: Store) -> None:
    """Give back the Lease of a leader that was killed, as one does that ends in order.

    The next one need not wait until it has run out: what it takes to begin is then its own.
    """
    for lease in await store.list_all(names.LEASES, NAMESPACE, LeaseView):
        body = {"spec": {"holderIdentity": None}}
        await store.patch(names.LEASES, NAMESPACE, lease.metadata.name, body, LeaseView)


def _holder(cluster: LocalCluster) -> str:
    leases: dict[str, Any] = cluster.api.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases")
    return next((str(lease["spec"].get("holderIdentity") or "") for lease in leases["items"]), "")


def environment_of(settings: Settings) -> dict[str, str]:
    """Settings as the variables by which operator and facade read them."""
    return {variable(name): str(value) for name, value in settings.items()}


def workflow(name: str, shape: Shape) -> dict[str, Any]:
    """The manifest of a workflow whose whole history is kept."""
    template = {"metadata": {"annotations": {DURATION: f"{shape.seconds:g}s"}}}
    steps: list[dict[str, Any]] = [
        {"name": step.name, "image": "busybox:1", "podTemplate": template} for step in shape.steps
    ]
    if not shape.is_chain:
        for written, step in zip(steps, shape.steps, strict=True):
            written["dependsOn"] = list(step.after)
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"history": {"completed": 10_000, "failed": 10_000}, "steps": steps},
    }


def execution(of: Defined, name: str) -> dict[str, Any]:
    """The manifest of one run."""
    reference = {"apiVersion": names.API_VERSION, "kind": "Workflow", "name": of.name, "uid": of.uid}
    return {
        "apiVersion": names.API_VERSION,
        "kind": "WorkflowExecution",
        "metadata": {
            "name": name,
            "labels": {names.LABEL_WORKFLOW: of.name},
            "ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": False}],
        },
        "spec": {"workflowRef": {"name": of.name}},
    }


NIGHTCRAWLER: Final = Nightcrawler()
