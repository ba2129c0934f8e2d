"""Dry runs over REST: what a run would do, as the API server and the operator then do it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from localcluster import LocalCluster
from localcluster.api import RefusedError
from tests.support.builders import an_environment
from tests.support.facade import USER, Json, Served, environments
from tests.support.operator import OperatorProcess, operators_in
from tests.support.polling import eventually

STEP: Json = {"name": "a", "image": "busybox:1"}


@pytest.fixture(scope="module")
def leader(
    cluster: LocalCluster, nodes: object, served: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator of the namespace that the facade serves."""
    with operators_in(cluster, served.namespace, tmp_path_factory.mktemp("operator")) as made:
        yield made.start()


def dry(served: Served, workflow: str, **body: object) -> Json:
    """What an execution would do, of which nothing is left."""
    answer = served.ask("POST", f"/{workflow}/execute", body, dryRun="true")
    assert served.ask("GET", f"/{workflow}/executions")["total"] == 0
    assert answer["dryRun"] is True
    return answer


def reason_of(served: Served, run: str) -> str | None:
    """Why the step of a run waits or has failed, once the operator has said so."""
    steps = served.stored("WorkflowExecution", run).get("status", {}).get("steps", {})
    reason: str | None = steps.get("a", {}).get("reason")
    return reason


def alike(*problems: Json) -> bool:
    """Whether problems differ in nothing but their requests' ids."""
    first, *others = ({**problem, "requestId": ""} for problem in problems)
    return all(other == first for other in others)


def core(served: Served, plural: str) -> str:
    return f"/api/v1/namespaces/{served.namespace}/{plural}"


def test_what_would_run_says_where_and_how_long_and_runs(served: Served, leader: OperatorProcess) -> None:
    workflow = served.create(steps=[STEP, {**STEP, "name": "b"}], config={"timeout": "1 hour"})
    seen = dry(served, workflow)
    assert (seen["wouldRun"], seen["message"], seen["steps"]) == (True, "it would run in this cluster", ["a"])
    assert (seen["estimatedDuration"], seen["notChecked"]) == ("01:00:00", [])
    assert not {"reason", "waitingReason"} & set(seen)
    run = served.execute(workflow)
    eventually(
        lambda: served.ask("GET", f"/{workflow}/executions/{run}")["status"] == "completed", what="its end"
    )


def test_what_executing_refuses_a_dry_run_refuses_alike(served: Served) -> None:
    workflow = served.create(steps=[STEP], parameters=[{"name": "epochs", "required": True}])
    for body in ({}, {"parameters": {"depth": 1}}, {"environment": ""}):
        problems = [
            served.ask("POST", f"/{workflow}/execute", body, code=422, **query)
            for query in ({}, {"dryRun": "true"})
        ]
        assert alike(*problems)
    empty = served.create()
    problems = [
        served.ask("POST", f"/{empty}/execute", {}, code=409, **query) for query in ({}, {"dryRun": "true"})
    ]
    assert alike(*problems)


def test_what_the_api_server_refuses_is_said_before_it_runs(served: Served, leader: OperatorProcess) -> None:
    mounts = {"volumeMounts": [{"name": "nothing", "mountPath": "/x"}]}
    template = {"spec": {"containers": [{"name": "step", **mounts}]}}
    workflow = served.create(steps=[{**STEP, "podTemplate": template}])
    seen = dry(served, workflow)
    assert (seen["wouldRun"], seen["steps"]) == (False, [])
    assert seen["message"].startswith("the step 'a' would fail: its Job is refused: ")
    assert 'volumeMounts[0].name: Not found: "nothing"' in seen["message"]
    run = served.execute(workflow)
    path = f"/{workflow}/executions/{run}"
    eventually(lambda: served.ask("GET", path)["status"] == "failed", what="the operator to say the same")
    assert reason_of(served, run) == seen["reason"]


def test_a_run_that_a_quota_has_no_room_for_would_wait(served: Served) -> None:
    workflow = served.create(steps=[{**STEP, "resources": {"cpu": 8, "memory": "1 GB"}}])
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"requests.cpu": "4"}}}
    served.cluster.api.post(
        core(served, "resourcequotas"), {"apiVersion": "v1", "kind": "ResourceQuota", **quota}
    )
    try:
        eventually(lambda: dry(served, workflow).get("waitingReason") == "ExceededQuota", what="the quota")
        seen = dry(served, workflow)
        assert (seen["wouldRun"], seen["steps"]) == (True, [])
        assert "exceeded quota: small" in seen["message"]
    finally:
        served.cluster.api.delete(f"{core(served, 'resourcequotas')}/small")


def test_the_volume_that_steps_share_is_asked_for_as_well(served: Served, leader: OperatorProcess) -> None:
    workflow = served.create(steps=[STEP], config={"storage": {"persistentVolume": "10 GB"}})
    seen = dry(served, workflow)
    assert (seen["wouldRun"], seen["waitingReason"], seen["steps"]) == (True, "WaitingForVolume", ["a"])
    assert "there is no provisioner: the cluster has no default StorageClass" in seen["message"]
    with environments(served, an_environment("fast", storageClassName="fast", default=True)):
        seen = dry(served, workflow)
        assert "waitingReason" not in seen
        assert [one for one in seen["notChecked"] if "whether the StorageClass 'fast' has" in one]
    quota = {"metadata": {"name": "volumes"}, "spec": {"hard": {"requests.storage": "1Gi"}}}
    served.cluster.api.post(
        core(served, "resourcequotas"), {"apiVersion": "v1", "kind": "ResourceQuota", **quota}
    )
    try:
        eventually(lambda: dry(served, workflow).get("waitingReason") == "ExceededQuota", what="the quota")
        seen = dry(served, workflow)
        assert (seen["wouldRun"], seen["steps"]) == (True, [])
        assert seen["message"].startswith("the run would wait: ")
    finally:
        served.cluster.api.delete(f"{core(served, 'resourcequotas')}/volumes")
    run = served.execute(workflow)
    eventually(lambda: reason_of(served, run) == "WaitingForVolume", what="the operator to say the same")
    served.ask("DELETE", f"/{workflow}")


def test_a_run_that_is_not_next_would_wait_for_its_turn(served: Served, leader: OperatorProcess) -> None:
    workflow = served.create(steps=[{**STEP, "resources": {"gpu": "1x NVIDIA H100"}}], maxRunning=1)
    first = served.execute(workflow)
    path = f"/{workflow}/executions/{first}"
    eventually(lambda: served.ask("GET", path).get("waitingReason") == "NoSuchGPU", what="its place")
    seen = served.ask("POST", f"/{workflow}/execute", {}, dryRun="true")
    says = f"workflow '{workflow}' has 1 of at most 1 run under way"
    assert (seen["waitingReason"], seen["message"]) == ("Queued", f"it would wait for its turn: {says}")
    second = served.execute(workflow)
    stored = eventually(
        lambda: served.stored("WorkflowExecution", second).get("status", {}).get("message"), what="the other"
    )
    assert stored == f"waits for its turn: {says}"
    served.ask("DELETE", f"/{workflow}")


def test_a_pod_that_the_namespace_forbids_would_not_run(served: Served) -> None:
    workflow = served.create(steps=[STEP])
    label = "pod-security.kubernetes.io/enforce"
    path = f"/api/v1/namespaces/{served.namespace}"
    served.cluster.api.merge(path, {"metadata": {"labels": {label: "restricted"}}})
    try:
        eventually(lambda: not dry(served, workflow)["wouldRun"], what="the level to be enforced")
        seen = dry(served, workflow)
        assert "its Pod is refused" in seen["message"]
        assert "violates PodSecurity" in seen["message"]
    finally:
        served.cluster.api.merge(path, {"metadata": {"labels": {label: None}}})


def test_environments_are_chosen_and_refused_as_for_a_run(served: Served, leader: OperatorProcess) -> None:
    small = an_environment("small", nodes="Fixed", nodeSelector={"kubernetes.io/hostname": "gpu-1"})
    closed = an_environment("closed", state="Cordoned", default=True)
    with environments(served, small, closed):
        huge = served.create(steps=[{**STEP, "resources": {"cpu": 100_000}}])
        seen = dry(served, huge, environment="small")
        assert (seen["wouldRun"], seen["reason"]) == (False, "NoNodeLargeEnough")
        assert "the largest node, gpu-1, has" in seen["message"]
        workflow = served.create(steps=[{**STEP, "resources": {"gpu": "1x NVIDIA H100"}}])
        seen = dry(served, workflow)
        assert (seen["environment"], seen["waitingReason"]) == ("closed", "Cordoned")
        unknown = served.ask("POST", f"/{workflow}/execute", {"environment": "no"}, code=422, dryRun="true")
        assert unknown["errors"][0]["pointer"] == "/environment"
    seen = dry(served, workflow)
    assert (seen["wouldRun"], seen["waitingReason"]) == (True, "NoSuchGPU")
    assert "NVIDIA-A100-SXM4-80GB" in seen["message"]


def test_a_workflow_that_would_be_created_comes_with_what_it_would_do(served: Served) -> None:
    total = served.ask("GET")["total"]
    good = {
        "name": "New",
        "priority": "high",
        "steps": [STEP],
        "options": {"enableNotifications": True},
        "config": {"notifications": {"slack": True}, "notificationEvents": ["fail"]},
    }
    seen = served.ask("POST", body=good, dryRun="true")
    assert (seen["name"], seen["priority"], seen["execution"]["wouldRun"]) == ("New", "high", True)
    (unknown,) = seen["execution"]["notChecked"]
    assert "whether its notifications have targets" in unknown
    idle = served.ask("POST", body={"name": "Without steps"}, dryRun="true")
    assert (idle["execution"]["wouldRun"], idle["execution"]["steps"]) == (False, [])
    assert "has no steps to run" in idle["execution"]["message"]
    problems = [
        served.ask("POST", body={"name": "", "stps": []}, code=422, **query)
        for query in ({}, {"dryRun": "true"})
    ]
    assert alike(*problems)
    assert served.ask("GET")["total"] == total


def test_the_facade_can_create_jobs_and_pods_in_a_dry_run_alone(served: Served) -> None:
    account = f"--as=system:serviceaccount:{served.namespace}:{USER}"
    spec = {"containers": [{"name": "x", "image": "x"}]}
    pod = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec})

    def create(*more: str) -> str:
        try:
            return served.cluster.kubectl(
                "create", account, "-n", served.namespace, "-f", "-", *more, stdin=pod
            )
        except Exception as error:  # noqa: BLE001 - whatever kubectl says
            return str(error)

    eventually(
        lambda: "may create Jobs, Pods and PersistentVolumeClaims in a dry run alone" in create(),
        what="the policy to be in force",
    )
    assert "created" in create("--dry-run=server")
    with pytest.raises(RefusedError):
        served.cluster.api.get(f"{core(served, 'pods')}/x")
