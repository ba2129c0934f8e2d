"""The volume that the steps of a run share, with the real scheduler and volume controller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import uuid4

import pytest

from localcluster import FakeNode, LocalCluster
from nightcrawler_crds import names
from nightcrawler_crds.v1alpha1 import conditions
from tests.support.builders import WorkflowBuilder, a_workflow
from tests.support.operator import Operators
from tests.support.polling import eventually
from tests.support.team import Json, Team

SIZE: Final = "1 GB"
_VOLUMES: Final = "/api/v1/persistentvolumes"
_CLASSES: Final = "/apis/storage.k8s.io/v1/storageclasses"


class Shelf:
    """A StorageClass without a provisioner, and the volumes of it that a test puts there."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._api = cluster.api
        self.name = f"shelf-{uuid4().hex[:8]}"
        self._volumes: list[str] = []
        body = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}
        self._api.post(_CLASSES, {"metadata": {"name": self.name}, **body})

    def put(self, node: str | None = None) -> None:
        """A volume on a node, or one that any node can have."""
        name = f"{self.name}-{len(self._volumes)}"
        spec: Json = {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": self.name,
            "persistentVolumeReclaimPolicy": "Retain",
        }
        if node is None:
            spec["hostPath"] = {"path": "/nowhere"}
        else:
            term = {
                "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]
            }
            spec |= {
                "local": {"path": "/nowhere"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
            }
        self._volumes.append(name)
        self._api.post(_VOLUMES, {"metadata": {"name": name}, "spec": spec})

    def clear(self) -> None:
        """Remove all of it."""
        for name in self._volumes:
            self._api.delete(f"{_VOLUMES}/{name}")
        self._api.delete(f"{_CLASSES}/{self.name}")


@pytest.fixture
def shelf(cluster: LocalCluster) -> Iterator[Shelf]:
    made = Shelf(cluster)
    yield made
    made.clear()


def a_storing_workflow(name: str, **storage: Any) -> WorkflowBuilder:
    return a_workflow(name, config={"storage": {"persistentVolume": SIZE, **storage}})


def claims(team: Team, run: str) -> list[Json]:
    return team.every(names.VOLUME_CLAIMS, f"{names.LABEL_EXECUTION}={run}")


def nodes_of(team: Team, run: str) -> dict[str, str]:
    """The node of each step."""
    return {
        pod["metadata"]["annotations"][names.ANNOTATION_STEP]: pod["spec"]["nodeName"]
        for pod in team.pods(run)
    }


@pytest.mark.usefixtures("nodes")
def test_a_step_without_a_gpu_goes_where_the_other_can_run_too_and_nothing_is_left(
    operators: Operators, team: Team, shelf: Shelf, add_node: Callable[[FakeNode], None]
) -> None:
    plain = f"plain-{uuid4().hex[:6]}"
    add_node(FakeNode(plain, gpus=0))
    for node in (plain, "gpu-1"):
        shelf.put(node)
    operators.start(storage_class=shelf.name, job_cleanup_after=2)
    workflow = (
        a_storing_workflow("both")
        .step("Prepare")
        .step("Train", resources={"gpu": "1x NVIDIA A100"})
        .step("Report")
    )
    (run,) = team.runs(workflow)
    team.until_phase(run, "Completed")
    assert nodes_of(team, run) == dict.fromkeys(("Prepare", "Train", "Report"), "gpu-1")
    (claim,) = claims(team, run)
    assert claim["status"]["phase"] == "Bound"
    assert claim["metadata"]["creationTimestamp"] <= team.jobs(run)[0]["metadata"]["creationTimestamp"]
    eventually(lambda: not claims(team, run), what="the end of the claim", within=30)
    eventually(lambda: not team.jobs(run), what="the end of the Jobs")


@pytest.mark.usefixtures("nodes")
def test_steps_that_run_at_the_same_time_are_on_one_node(
    operators: Operators, team: Team, shelf: Shelf
) -> None:
    shelf.put()
    operators.start(storage_class=shelf.name)
    workflow = a_workflow("side-by-side", order="Graph", config={"storage": {"persistentVolume": SIZE}})
    for number in range(4):
        workflow = workflow.step(f"s{number}", lasts=600, resources={"cpu": 8})
    (run,) = team.runs(workflow)
    for number in range(4):
        team.until_pod_runs(run, f"s{number}")
    assert len(set(nodes_of(team, run).values())) == 1, "the scheduler spreads them otherwise"


@pytest.mark.usefixtures("nodes")
def test_a_cluster_without_a_provisioner_is_reported_in_one_sentence(
    operators: Operators, team: Team
) -> None:
    operators.start(job_cleanup_after=0)
    (run,) = team.runs(a_storing_workflow("nowhere").step("one"))
    waits = team.until_step(run, "one", reason=conditions.STEP_VOLUME)
    assert waits["message"] == (
        "step 'one' waits for the volume of its run, for which there is no provisioner: the cluster has no "
        "default StorageClass, and neither the Environment nor the installation names one"
    )
    assert team.status(run)["message"] == waits["message"]
    team.cancel(run)
    team.until_phase(run, "Cancelled")
    eventually(lambda: not claims(team, run), what="the end of the claim", within=30)


@pytest.mark.usefixtures("nodes")
def test_a_class_that_does_not_exist_is_reported_in_the_clusters_words(
    operators: Operators, team: Team
) -> None:
    operators.start(storage_class="no-such-class")
    (run,) = team.runs(a_storing_workflow("misspelt").step("one"))
    waits = team.until_step(run, "one", reason=conditions.STEP_VOLUME)
    assert waits["message"].startswith("step 'one' waits for the volume of its run: ")
    assert '"no-such-class" not found' in waits["message"]


@pytest.mark.usefixtures("nodes")
def test_a_volume_that_is_to_be_kept_outlives_the_run(operators: Operators, team: Team, shelf: Shelf) -> None:
    shelf.put()
    operators.start(storage_class=shelf.name, job_cleanup_after=0)
    (run,) = team.runs(a_storing_workflow("kept", retain=True).step("one"))
    team.until_phase(run, "Completed")
    eventually(lambda: not team.jobs(run), what="the end of the Jobs")
    team.delete(names.EXECUTIONS, run)
    eventually(lambda: team.get(names.EXECUTIONS, run) is None, what="the end of the run")
    (claim,) = claims(team, run)
    assert "ownerReferences" not in claim["metadata"]
    assert "deletionTimestamp" not in claim["metadata"]


@pytest.mark.usefixtures("nodes")
def test_a_quota_on_storage_is_waited_for(operators: Operators, team: Team, shelf: Shelf) -> None:
    shelf.put()
    operators.start(storage_class=shelf.name)
    team.set_quota({"requests.storage": "1M"}, {"requests.storage": "0"})
    (run,) = team.runs(a_storing_workflow("modest").step("one"))
    waits = team.until_step(run, "one", reason=conditions.STEP_QUOTA)
    assert "the volume of its run is refused: persistentvolumeclaims" in waits["message"]
    assert "exceeded quota: quota, requested: requests.storage=1G" in waits["message"]
    assert team.jobs(run) == []
    path = f"/api/v1/namespaces/{team.namespace}/resourcequotas/quota"
    team.cluster.api.merge(path, {"spec": {"hard": {"requests.storage": "10Gi"}}})
    team.until_phase(run, "Completed")


@pytest.mark.usefixtures("nodes")
def test_a_volume_that_is_deleted_under_a_run_is_not_replaced(
    operators: Operators, team: Team, shelf: Shelf
) -> None:
    shelf.put()
    operators.start(storage_class=shelf.name)
    (run,) = team.runs(a_storing_workflow("bereft").step("one", lasts=600).step("two"))
    pod = team.until_pod_runs(run, "one")
    (claim,) = claims(team, run)
    team.delete(names.VOLUME_CLAIMS, claim["metadata"]["name"])
    team.finish(pod)
    status = team.until_phase(run, "Failed")
    assert status["steps"]["two"]["reason"] == conditions.STEP_VOLUME_LOST
    assert f"its claim {claim['metadata']['name']} was deleted" in status["message"]


@pytest.mark.usefixtures("nodes")
def test_a_killed_operator_makes_one_claim_and_cleans_it_up_later(
    operators: Operators, team: Team, shelf: Shelf
) -> None:
    shelf.put()
    operator = operators.start(storage_class=shelf.name, job_cleanup_after=0)
    (run,) = team.runs(a_storing_workflow("killed").step("one", lasts=600).step("two"))
    pod = team.until_pod_runs(run, "one")
    (claim,) = claims(team, run)
    operator.kill()
    team.finish(pod)
    operator.start()
    team.until_phase(run, "Completed")
    assert [one["metadata"]["uid"] for one in claims(team, run)] in ([], [claim["metadata"]["uid"]])
    eventually(lambda: not claims(team, run), what="the end of the claim", within=30)
