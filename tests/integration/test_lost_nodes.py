"""Nodes that fall silent: their Pods are waited for, unless the Environment allows to give them up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from localcluster import FakeNode, LocalCluster
from localcluster.fakenodes import POOL
from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire, utcnow
from tests.support.builders import a_workflow, an_environment, an_execution
from tests.support.polling import always, eventually
from tests.support.team import Json, Team

PATIENT = an_environment("patient", node_selector={POOL: "patient"})
IMPATIENT = an_environment("impatient", node_selector={POOL: "impatient"}, force_delete_on_lost_node=True)
# By default a Pod tolerates an unreachable node for five minutes, and has half a minute to end.
HASTY = {
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{taint}",
                "operator": "Exists",
                "tolerationSeconds": 1,
                "effect": "NoExecute",
            }
            for taint in ("unreachable", "not-ready")
        ],
    }
}
WORKFLOW = a_workflow("long").step("one", lasts=600, retries=0, pod=HASTY)


@pytest.fixture(scope="module", autouse=True)
def environments(cluster: LocalCluster) -> Iterator[None]:
    """Two Environments, there before the operator is."""
    made = Team(cluster, "default")
    for environment in (PATIENT, IMPATIENT):
        made.apply(environment)
    yield
    for environment in (PATIENT, IMPATIENT):
        made.delete(names.ENVIRONMENTS, environment.name)


@pytest.fixture(scope="module")
def workflow(shared: Team) -> Json:
    return shared.apply(WORKFLOW)


def lose(cluster: LocalCluster, node: str) -> None:
    """Let a node fall silent, and be found so at once instead of after 50 seconds.

    The condition is what the controller manager writes; it is he who then taints the node and
    evicts its Pods.
    """
    cluster.lose_fake_node(node)
    path = f"/api/v1/nodes/{node}"
    now = to_wire(utcnow())
    unknown = {"status": "Unknown", "reason": "NodeStatusUnknown", "lastHeartbeatTime": now}
    conditions = [
        {**c, **unknown, "lastTransitionTime": now} if c["type"] == "Ready" else c
        for c in cluster.api.get(path)["status"]["conditions"]
    ]
    cluster.api.merge(f"{path}/status", {"status": {"conditions": conditions}})


def begin_on(team: Team, environment: str, node: str) -> tuple[str, Json]:
    """A run in an Environment whose Pod runs on this node; its name, and the Pod."""
    run = team.begin(an_execution(WORKFLOW, environment=environment))
    pod = team.until_pod_runs(run)
    assert pod["spec"]["nodeName"] == node
    return run, pod


@pytest.mark.usefixtures("workflow")
def test_a_pod_on_a_lost_node_is_waited_for(
    cluster: LocalCluster, shared: Team, add_node: Callable[[FakeNode], None]
) -> None:
    add_node(FakeNode("silent", labels={POOL: "patient"}))
    run, pod = begin_on(shared, "patient", "silent")

    lose(cluster, "silent")

    seen = shared.until_step(run, "one", reason="NodeLost")
    said = "step 'one' is on node silent, which does not answer; the program may still be running there"
    assert (seen["phase"], seen["message"]) == ("Running", said)
    assert shared.status(run)["message"] == said
    # Evicted and past its time, and it is unknown whether it still runs.
    eventually(
        lambda: "is tried again once the node is back" in shared.step(run, "one")["message"],
        what="the message to say what can be done",
    )
    always(lambda: len(shared.pods(run)) == 1, during=1.5, what="one Pod")

    cluster.return_fake_node("silent")

    again = shared.until_step(run, "one", attempt=2)
    assert again["disruptions"] == 1
    assert shared.until_pod_runs(run)["metadata"]["name"] != pod["metadata"]["name"]
    shared.cancel(run)


@pytest.mark.usefixtures("workflow")
def test_where_the_environment_allows_it_the_step_moves_to_another_node(
    cluster: LocalCluster, shared: Team, add_node: Callable[[FakeNode], None]
) -> None:
    add_node(FakeNode("broken", labels={POOL: "impatient"}))
    run, pod = begin_on(shared, "impatient", "broken")

    lose(cluster, "broken")
    add_node(FakeNode("spare", labels={POOL: "impatient"}))

    shared.until_step(run, "one", attempt=2)
    second = shared.until_pod_runs(run)
    assert second["spec"]["nodeName"] == "spare"
    assert shared.get(names.PODS, pod["metadata"]["name"]) is None
    assert shared.step(run, "one")["disruptions"] == 1
    shared.cancel(run)


@pytest.mark.usefixtures("workflow")
def test_a_pod_that_a_person_force_deletes_is_replaced(
    cluster: LocalCluster, shared: Team, add_node: Callable[[FakeNode], None]
) -> None:
    add_node(FakeNode("removed", labels={POOL: "patient"}))
    run, pod = begin_on(shared, "patient", "removed")
    cluster.lose_fake_node("removed")
    cluster.remove_node("removed")
    shared.until_step(run, "one", reason="NodeLost")

    cluster.kubectl(
        "delete", "pod", pod["metadata"]["name"], "-n", shared.namespace, "--force", "--grace-period=0"
    )

    add_node(FakeNode("successor", labels={POOL: "patient"}))
    assert shared.until_step(run, "one", attempt=2)["disruptions"] == 1
    assert shared.until_pod_runs(run)["spec"]["nodeName"] == "successor"
    shared.cancel(run)
