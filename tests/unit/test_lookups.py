"""What is asked of the API server, and what need not be asked again."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from typing_extensions import override

from nightcrawler_crds import errors
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.masking import Mask
from nightcrawler_crds.names import Resource
from nightcrawler_operator.cluster.observe import observe
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.lookups import Lookups
from nightcrawler_operator.plan import LookForSecrets, LookForWorkflow

T = TypeVar("T")


class _Server(Store):
    """Has one workflow, or none, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(Connection(Identity("http://localhost"), "test"))
        self.asked = 0
        self.workflow: dict[str, Any] | None = _body("Workflow", "w", {"steps": []})

    @override
    async def get(self, resource: Resource, namespace: str, name: str, kind: type[T]) -> T:
        self.asked += 1
        if self.workflow is None:
            raise errors.NotFound("there is none")
        return msgspec.convert(self.workflow, kind, strict=False)


class _Asker:
    def __init__(self, *, cached: bool = True) -> None:
        self.server = _Server()
        self.cluster = ClusterState(self.server, "", lambda _: None)
        if cached:
            self.cluster.workflows.upsert(msgspec.convert(self.server.workflow, WorkflowView, strict=False))
        self._lookups = Lookups(self.server, self.cluster)

    def observe_run(self, name: str, version: str = "1") -> None:
        body = _body("WorkflowExecution", name, {"workflowRef": {"name": "w"}}, version)
        self.cluster.executions.upsert(msgspec.convert(body, ExecutionView, strict=False))

    async def look(self, name: str) -> bool:
        """Whether the workflow is fresh for an execution after its read."""
        execution = self.cluster.executions.get(("default", name))
        assert execution is not None
        snapshot = observe(self.cluster, execution, Limits())
        assert await self._lookups.carry_out(snapshot, [LookForWorkflow()])
        return observe(self.cluster, execution, Limits()).fresh


def _body(kind: str, name: str, spec: dict[str, Any], version: str = "1") -> dict[str, Any]:
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": version}
    return {"kind": kind, "metadata": meta, "spec": spec}


async def test_a_workflow_is_read_once_for_all_runs_observed_before() -> None:
    asker = _Asker()
    for name in ("a", "b", "c"):
        asker.observe_run(name)
    assert [await asker.look(name) for name in ("a", "b", "c")] == [True, True, True]
    assert asker.server.asked == 1


async def test_a_run_observed_later_reads_it_again() -> None:
    asker = _Asker()
    asker.observe_run("a")
    assert await asker.look("a")
    asker.observe_run("b")
    assert await asker.look("b")
    assert asker.server.asked == 2


async def test_reads_from_before_another_leader_do_not_count() -> None:
    asker = _Asker()
    asker.observe_run("a")
    asker.observe_run("b")
    assert await asker.look("a")
    asker.cluster.invalidate()
    assert await asker.look("b")
    assert asker.server.asked == 2


async def test_a_deleted_workflow_is_forgotten_with_its_reads() -> None:
    asker = _Asker()
    asker.observe_run("a")
    asker.observe_run("b")
    assert await asker.look("a")
    asker.server.workflow = None
    asker.observe_run("c")
    assert await asker.look("c")
    assert asker.cluster.workflows.get(("default", "w")) is None
    assert not asker.cluster.has_read_since(("default", "w"), "uid-b")


async def test_a_workflow_that_is_not_cached_yet_is_read() -> None:
    asker = _Asker(cached=False)
    asker.observe_run("a")
    assert await asker.look("a")
    assert asker.cluster.workflows.get(("default", "w")) is not None


async def test_that_a_workflow_is_not_there_counts_as_read() -> None:
    asker = _Asker(cached=False)
    asker.server.workflow = None
    asker.observe_run("a")
    assert await asker.look("a")
    assert asker.cluster.workflows.get(("default", "w")) is None


class _Secrets(_Server):
    """Has one Secret; or refuses to show it."""

    def __init__(self) -> None:
        super().__init__()
        self.value = b"hunter2000"
        self.refuses = False

    @override
    async def get(self, resource: Resource, namespace: str, name: str, kind: type[T]) -> T:
        if self.refuses:
            raise errors.Forbidden("secrets is forbidden")
        if name != "db":
            raise errors.NotFound("there is none")
        body = {"metadata": {"name": name, "namespace": namespace}, "data": {"password": self.value}}
        return msgspec.convert(body, kind, strict=False)


async def test_values_of_secrets_stay_hidden_after_they_have_changed() -> None:
    server = _Secrets()
    cluster = ClusterState(server, "", lambda _: None)
    lookups = Lookups(server, cluster)
    body = _body("WorkflowExecution", "r", {"workflowRef": {"name": "w"}}, "1")
    execution = msgspec.convert(body, ExecutionView, strict=False)
    wanted = [LookForSecrets({"db": frozenset({"password"}), "gone": None})]

    async def read() -> Mask:
        assert await lookups.carry_out(observe(cluster, execution, Limits()), wanted)
        mask = observe(cluster, execution, Limits()).mask
        assert mask is not None
        return mask

    assert observe(cluster, execution, Limits()).mask is None
    assert (await read())("with hunter2000") == "with ***"
    server.value = b"hunter3000"
    assert (await read())("hunter2000 hunter3000") == "*** ***"
    server.refuses = True
    assert "withheld" in (await read())("hunter2000")
    server.refuses = False
    assert (await read())("hunter2000 hunter3000") == "*** ***"
