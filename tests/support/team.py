"""What a person does in a namespace: apply workflows, run them, look at them, cancel and delete them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from localcluster import LocalCluster
from localcluster.api import RefusedError
from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire, utcnow
from nightcrawler_crds.names import Resource
from tests.support.builders import (
    DURATION,
    EXIT_CODE,
    Builder,
    ExecutionBuilder,
    WorkflowBuilder,
    an_execution,
)
from tests.support.cluster import a_namespace
from tests.support.operator import operators_in
from tests.support.polling import eventually

Json = dict[str, Any]

ENDED: Final = ("Completed", "Failed", "Cancelled")
_BY_KIND: Final = {
    r.kind: r
    for r in (
        names.WORKFLOWS,
        names.EXECUTIONS,
        names.ENVIRONMENTS,
        names.COMPUTE_PROFILES,
        names.JOBS,
        names.PODS,
        names.REVISIONS,
    )
}


class Team:
    """A namespace as its people see it, with an administrator's rights."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._api = cluster.api

    # --- writing -------------------------------------------------------------------------------------

    def apply(self, what: Builder | Json) -> Json:
        """Create an object; what the server keeps of it."""
        manifest = what.manifest() if isinstance(what, Builder) else what
        kept: Json = self._api.post(self.path(_BY_KIND[manifest["kind"]]), manifest)
        return kept

    def run(self, of: str | WorkflowBuilder, name: str = "", **spec: Any) -> str:
        """Create an execution of a workflow; its name."""
        return self.begin(an_execution(of, name, **spec))

    def begin(self, execution: ExecutionBuilder) -> str:
        """Create an execution; its name."""
        name: str = self.apply(execution)["metadata"]["name"]
        return name

    def runs(self, workflow: WorkflowBuilder, count: int = 1) -> list[str]:
        """Create a workflow and some executions of it; their names."""
        self.apply(workflow)
        return [self.run(workflow) for _ in range(count)]

    def edit(self, workflow: WorkflowBuilder) -> Json:
        """Replace the fields of a workflow's spec by the builder's."""
        changed: Json = self._api.merge(
            self.path(names.WORKFLOWS, workflow.name), {"spec": workflow.manifest()["spec"]}
        )
        return changed

    def cancel(self, execution: str) -> None:
        """Cancel an execution."""
        self._api.merge(self.path(names.EXECUTIONS, execution), {"spec": {"cancel": True}})

    def delete(self, resource: Resource, name: str, **options: Any) -> None:
        """Delete an object, with its children in the background; gone already is as good."""
        query = urlencode({"propagationPolicy": "Background", **options})
        try:
            self._api.delete(f"{self.path(resource, name)}?{query}")
        except RefusedError as refusal:
            if refusal.status != 404:
                raise

    def evict(self, pod: str) -> None:
        """Evict a Pod as `kubectl drain` does."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        self._api.post(self.path(names.PODS, pod) + "/eviction", body)

    def end_pod(
        self,
        pod: Json,
        *,
        exit_code: int | None = None,
        why: str = "Error",
        reason: str = "",
        message: str = "",
    ) -> None:
        """Write a Pod's end as its kubelet does.

        Args:
            pod: The Pod as it was read.
            exit_code: Of the step's container, which never started if there is none.
            why: The container's reason.
            reason: The Pod's own reason, such as Evicted.
            message: The Pod's own message.
        """
        status: Json = {"phase": "Failed", "reason": reason, "message": message, "containerStatuses": []}
        if exit_code is not None:
            now = to_wire(utcnow())
            started = pod["status"].get("startTime", now)
            ended = {"exitCode": exit_code, "reason": why, "startedAt": started, "finishedAt": now}
            container = {"name": names.STEP_CONTAINER, "image": "", "imageID": "", "restartCount": 0}
            container |= {"ready": False, "state": {"terminated": ended}}
            status["containerStatuses"] = [container]
        self._api.merge(self.path(names.PODS, pod["metadata"]["name"]) + "/status", {"status": status})

    def finish(self, pod: Json, exit_code: int = 0) -> None:
        """Let a simulated node end the program of a Pod now."""
        annotations = {DURATION: "0ms", EXIT_CODE: str(exit_code)}
        change = {"metadata": {"annotations": annotations}}
        self._api.merge(self.path(names.PODS, pod["metadata"]["name"]), change)

    def set_quota(self, hard: dict[str, str], used: dict[str, str]) -> None:
        """Create a quota, and wait until it is in force with so much used."""
        path = f"/api/v1/namespaces/{self.namespace}/resourcequotas"
        self._api.post(path, {"metadata": {"name": "quota"}, "spec": {"hard": hard}})
        eventually(
            lambda: self._api.get(f"{path}/quota").get("status", {}).get("used"),
            until=lambda seen: seen == used,
            what="the quota to be in force",
        )

    # --- reading -------------------------------------------------------------------------------------

    def path(self, resource: Resource, name: str = "") -> str:
        """Where a kind's objects are, or one of them."""
        root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        scope = f"/namespaces/{self.namespace}" if resource.namespaced else ""
        return f"{root}{scope}/{resource.plural}" + (f"/{name}" if name else "")

    def get(self, resource: Resource, name: str) -> Json | None:
        """An object, or None."""
        try:
            found: Json = self._api.get(self.path(resource, name))
        except RefusedError as refusal:
            if refusal.status == 404:
                return None
            raise
        return found

    def every(self, resource: Resource, label_selector: str = "", field_selector: str = "") -> list[Json]:
        """All objects of a kind, by name."""
        query = urlencode({"labelSelector": label_selector, "fieldSelector": field_selector})
        found: list[Json] = self._api.get(f"{self.path(resource)}?{query}")["items"]
        return sorted(found, key=lambda item: str(item["metadata"]["name"]))

    def execution(self, name: str) -> Json:
        """An execution that must be there."""
        found = self.get(names.EXECUTIONS, name)
        assert found is not None, f"there is no execution {name}"
        return found

    def made(self, execution: str) -> tuple[str, str]:
        """The sort key of executions: creation time and name."""
        return self.execution(execution)["metadata"]["creationTimestamp"], execution

    def status(self, execution: str) -> Json:
        """An execution's status; empty before the first."""
        status: Json = self.execution(execution).get("status", {})
        return status

    def step(self, execution: str, step: str) -> Json:
        """What is recorded of a step; empty before anything is."""
        found: Json = self.status(execution).get("steps", {}).get(step, {})
        return found

    def condition(self, resource: Resource, name: str, kind: str) -> Json:
        """A condition of an object; empty if it has none of that type."""
        found = self.get(resource, name) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    def executions_of(self, workflow: str) -> list[str]:
        """The names of a workflow's executions, live and ended."""
        found = self.every(names.EXECUTIONS, f"{names.LABEL_WORKFLOW}={workflow}")
        return [execution["metadata"]["name"] for execution in found]

    def jobs(self, execution: str, step: str = "") -> list[Json]:
        """The Jobs of an execution, or of one of its steps; oldest attempt first."""
        return self._children(names.JOBS, execution, step)

    def pods(self, execution: str, step: str = "") -> list[Json]:
        """The Pods of an execution, or of one of its steps; oldest attempt first."""
        return self._children(names.PODS, execution, step)

    def _children(self, resource: Resource, execution: str, step: str) -> list[Json]:
        children = self.every(resource, f"{names.LABEL_EXECUTION}={execution}")
        marks = "annotations"
        of_step = [c for c in children if step in ("", c["metadata"][marks][names.ANNOTATION_STEP])]
        return sorted(of_step, key=lambda c: int(c["metadata"][marks][names.ANNOTATION_ATTEMPT]))

    # --- waiting -------------------------------------------------------------------------------------

    def until_phase(self, execution: str, *phases: str, within: float = 60.0) -> Json:
        """The status of an execution once it is in one of these phases."""
        status = eventually(
            lambda: self.status(execution),
            within=within,
            what=f"execution {execution} to be {' or '.join(phases)}",
            until=lambda s: s.get("phase") in (phases if s.get("phase") not in ENDED else (*phases, *ENDED)),
        )
        assert status["phase"] in phases, f"{execution} is {status['phase']}: {status}"
        return status

    def until_ended(self, execution: str, within: float = 60.0) -> Json:
        """The status of an execution once it has ended, however."""
        return self.until_phase(execution, *ENDED, within=within)

    def until_step(self, execution: str, step: str, within: float = 60.0, **fields: Any) -> Json:
        """What is recorded of a step once these fields of it have these values."""
        return eventually(
            lambda: self.step(execution, step),
            within=within,
            what=f"step {step!r} of {execution} to have {fields}",
            until=lambda seen: all(seen.get(name) == value for name, value in fields.items()),
        )

    def until_condition(self, resource: Resource, name: str, kind: str, status: str) -> Json:
        """A condition of an object, once it has this status."""
        return eventually(
            lambda: self.condition(resource, name, kind),
            what=f"condition {kind} of {name} to be {status}",
            until=lambda seen: seen.get("status") == status,
        )

    def until_last_run(self, workflow: str, execution: str, phase: str, **fields: Any) -> Json:
        """A workflow's status, once it shows this run and phase as the last, and these fields."""
        wanted = {"lastExecution": execution, "lastPhase": phase, **fields}
        return eventually(
            lambda: (self.get(names.WORKFLOWS, workflow) or {}).get("status", {}),
            what=f"workflow {workflow} to show {wanted}",
            until=lambda seen: all(seen.get(name) == value for name, value in wanted.items()),
        )

    def until_pod_runs(self, execution: str, step: str = "", within: float = 60.0) -> Json:
        """The newest Pod of an execution or step, once it runs."""
        return eventually(
            lambda: [p for p in self.pods(execution, step) if is_running(p)],
            within=within,
            what=f"a running Pod of {execution} {step}",
        )[-1]

    def until_pod_is_on(self, execution: str, node: str) -> Json:
        """The Pod of an execution, once the scheduler has put it on a node."""
        return eventually(
            lambda: [p for p in self.pods(execution) if p["spec"].get("nodeName") == node],
            what=f"a Pod of {execution} on {node}",
        )[-1]

    def until_deadline(self, pod: Json, *, below: int) -> int:
        """Wait until a Pod's deadline is lowered; its seconds."""
        path = self.path(names.PODS, pod["metadata"]["name"])
        seconds: int = eventually(
            lambda: self._api.get(path)["spec"]["activeDeadlineSeconds"],
            until=lambda seen: seen < below,
            what="the Pod's deadline to be lowered",
        )
        return seconds

    def until_no_live_pods(self, execution: str, within: float = 60.0) -> None:
        """Wait until nothing of an execution runs any more."""
        eventually(
            lambda: [p["metadata"]["name"] for p in self.pods(execution) if is_live(p)],
            within=within,
            what=f"no live Pod of {execution}",
            until=lambda left: not left,
        )


def is_live(pod: Json) -> bool:
    """Whether anything of a Pod may still run."""
    return pod["status"].get("phase") not in ("Succeeded", "Failed")


def is_running(pod: Json) -> bool:
    """Whether a Pod runs and is not being deleted."""
    return pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]


@pytest.fixture
def team(cluster: LocalCluster, namespace: str) -> Team:
    """The test's namespace, as its people see it."""
    return Team(cluster, namespace)


@pytest.fixture(scope="module")
def shared(cluster: LocalCluster, nodes: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A namespace, nodes and an operator with the usual settings, for all tests of a file.

    Starting an operator takes longer than most tests; objects need names of their own, that is all.
    """
    with (
        a_namespace(cluster) as namespace,
        operators_in(cluster, namespace, tmp_path_factory.mktemp("operator")) as operators,
    ):
        operators.start()
        yield Team(cluster, namespace)
