"""The status of an Environment: its nodes, what anybody's Pods leave free there, and its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from localcluster import FakeNode, LocalCluster
from localcluster.fakenodes import POOL
from nightcrawler_crds import names
from tests.support.builders import a_workflow, an_environment
from tests.support.cluster import a_namespace
from tests.support.environments import Add, change
from tests.support.examples import FOLDER
from tests.support.operator import OperatorProcess, operators_in
from tests.support.polling import eventually
from tests.support.team import Team

Json = dict[str, Any]
AddNode = Callable[[FakeNode], None]
FOLLOWED: Final = 'nightcrawler_operator_informer_objects{kind="Pod of a node"}'


@pytest.fixture(scope="module")
def operator(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """An operator for all namespaces: those for one do not count runs."""
    folder = tmp_path_factory.mktemp("operator")
    with a_namespace(cluster) as namespace, operators_in(cluster, namespace, folder) as operators:
        yield operators.start(watch_namespace="", environment_status_spacing=1)


@pytest.fixture
def everywhere(cluster: LocalCluster, operator: OperatorProcess, namespace: str) -> Team:
    """The test's namespace, with that operator."""
    return Team(cluster, namespace)


def until(team: Team, name: str, **fields: Any) -> Json:
    """The status of an Environment, once these fields of it have these values."""
    return eventually(
        lambda: (team.get(names.ENVIRONMENTS, name) or {}).get("status", {}),
        until=lambda status: {field: status.get(field) for field in fields} == fields,
        what=f"the environment {name} to have {fields}",
    )


def ready(status: Json) -> tuple[str, str, str]:
    (condition,) = status["conditions"]
    return condition["status"], condition["reason"], condition["message"]


def a_foreign_pod(cluster: LocalCluster, namespace: str, node: str) -> None:
    """A Pod that nobody of ours made takes 2.5 cores, 10Gi and 3 GPUs of a node."""
    asked = {"requests": {"cpu": "2500m", "memory": "10Gi"}, "limits": {"nvidia.com/gpu": "3"}}
    spec = {"nodeName": node, "containers": [{"name": "one", "image": "busybox:1", "resources": asked}]}
    cluster.api.post(f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "foreign"}, "spec": spec})


def test_it_shows_what_the_nodes_have_and_what_is_free_while_they_come_and_go(
    cluster: LocalCluster, everywhere: Team, add_environment: Add, add_node: AddNode
) -> None:
    add_node(FakeNode("lab-a100", labels={POOL: "lab"}))
    add_node(FakeNode("lab-l4", gpus=4, product="NVIDIA-L4", cpu="16", memory="64Gi", labels={POOL: "lab"}))
    a_foreign_pod(cluster, everywhere.namespace, "lab-a100")
    add_environment(an_environment("lab", node_selector={POOL: "lab"}))

    status = until(
        everywhere,
        "lab",
        nodes=2,
        readyNodes=2,
        capacity={"cpu": "80", "ephemeral-storage": "2Ti", "memory": "576Gi", "nvidia.com/gpu": "12"},
        free={"cpu": "77500m", "ephemeral-storage": "2Ti", "memory": "566Gi", "nvidia.com/gpu": "9"},
    )
    assert status["largestFreeNode"]["name"] == "lab-a100"
    assert status["largestFreeNode"]["free"]["nvidia.com/gpu"] == "5"
    gpu = {"resource": "nvidia.com/gpu"}
    assert status["gpus"] == [
        {**gpu, "model": "NVIDIA-A100-SXM4-80GB", "capacity": 8, "free": 5, "largestFree": 5},
        {**gpu, "model": "NVIDIA-L4", "capacity": 4, "free": 4, "largestFree": 4},
    ]
    assert ready(status) == ("True", "NodesReady", "steps can start here: 2 nodes ready")
    head, row = cluster.kubectl("get", "environments.nightcrawler.dev", "lab").splitlines()
    assert head.split()[:6] == ["NAME", "READY", "NODES", "RUNNING", "WAITING", "FREE"]
    assert row.split()[:8] == ["lab", "True", "2", "0", "0", "77500m", "566Gi", "9"]

    cluster.api.merge("/api/v1/nodes/lab-a100", {"spec": {"unschedulable": True}})
    status = until(everywhere, "lab", nodes=2, readyNodes=1)
    assert (status["free"]["cpu"], status["capacity"]["cpu"]) == ("16", "80")
    assert ready(status) == ("True", "NodesReady", "steps can start here: 1 of 2 nodes ready")

    cluster.remove_node("lab-a100")
    status = until(everywhere, "lab", nodes=1, readyNodes=1)
    assert [one["model"] for one in status["gpus"]] == ["NVIDIA-L4"]
    cluster.remove_node("lab-l4")
    status = until(everywhere, "lab", nodes=0, gpus=[])
    assert ready(status)[:2] == ("Unknown", "NoReadyNode")
    assert "largestFreeNode" not in status


def test_it_counts_the_runs_that_are_under_way_and_those_that_wait(
    everywhere: Team, add_environment: Add, add_node: AddNode
) -> None:
    add_node(FakeNode("busy-1", gpus=0, cpu="4", labels={POOL: "busy"}))
    add_environment(an_environment("busy", node_selector={POOL: "busy"}, nodes="Fixed"))
    workflow = a_workflow("filling", environments=["busy"]).step("one", resources={"cpu": 4}, lasts=3600)
    until(everywhere, "busy", running=0, waiting=0, readyNodes=1)
    first, second = everywhere.runs(workflow, 2)

    status = until(everywhere, "busy", running=1, waiting=1)
    assert status["free"]["cpu"] == "0"

    for run in (first, second):
        everywhere.cancel(run)
        everywhere.until_phase(run, "Cancelled")
    status = until(everywhere, "busy", running=0, waiting=0)


def test_cordon_and_maintenance_are_shown_with_what_they_mean(everywhere: Team, add_environment: Add) -> None:
    add_environment(an_environment("closed", state="Cordoned"))
    condition = everywhere.until_condition(names.ENVIRONMENTS, "closed", "Ready", "False")
    assert (condition["reason"], condition["message"]) == (
        "Cordoned",
        "no step is started here: it is cordoned",
    )

    change(everywhere, "closed", state="Open", nodeSelector={"no": "node"}, nodes="Fixed")
    condition = eventually(
        lambda: everywhere.condition(names.ENVIRONMENTS, "closed", "Ready"),
        until=lambda seen: seen["reason"] != "Cordoned",
        what="the cordon to be shown as lifted",
    )
    assert (condition["status"], condition["reason"]) == ("False", "NoReadyNode")


def test_the_pools_of_the_examples_say_what_they_lack(cluster: LocalCluster, everywhere: Team) -> None:
    file = str(FOLDER / "pools.yaml")
    cluster.kubectl("apply", "-f", file)
    try:
        said = {"lab": ("False", "NoReadyNode"), "cloud-h100": ("Unknown", "NoReadyNode")}
        for name, expected in {**said, "amd": ("False", "Cordoned")}.items():
            found = everywhere.until_condition(names.ENVIRONMENTS, name, "Ready", expected[0])
            # The maintenance of the example may be under way.
            assert found["reason"] in (expected[1], "UnderMaintenance")
    finally:
        cluster.kubectl("delete", "-f", file)


def test_the_pods_of_all_nodes_are_followed_only_while_there_is_an_environment(
    operator: OperatorProcess, everywhere: Team, add_environment: Add
) -> None:
    def follows() -> bool:
        return FOLLOWED in (operator.probe("/metrics") or "")

    for _ in range(2):
        eventually(lambda: not follows(), what="no Pods to be followed")
        add_environment(an_environment("only"))
        eventually(follows, what="the Pods to be followed")
        eventually(
            lambda: everywhere.condition(names.ENVIRONMENTS, "only", "Ready"),
            what="the status",
        )
        everywhere.delete(names.ENVIRONMENTS, "only")
