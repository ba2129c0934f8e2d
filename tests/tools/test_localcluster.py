"""The embedded cluster itself: what its simulated nodes do, what it survives, and that it stops."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from localcluster import ClusterError, FakeNode, LocalCluster, ports, processes
from localcluster.api import RefusedError

HACK = Path(processes.__file__).parents[1]
T = TypeVar("T")
PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
QUICK_TO_MISS_A_NODE = {
    "kwok": ["--node-lease-duration-seconds=4"],
    "kube-controller-manager": ["--node-monitor-grace-period=4s", "--node-monitor-period=1s"],
}


def until(look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come true within 30 s"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster that these tests may harm."""
    folder = tmp_path_factory.mktemp("own")
    nodes = [FakeNode("gpu-node"), FakeNode("plain-node", gpus=0)]
    with LocalCluster.start(folder, kwok_nodes=nodes, extra_args=QUICK_TO_MISS_A_NODE) as cluster:
        yield cluster


def start_job(cluster: LocalCluster, name: str, annotations: Mapping[str, str], gpus: int = 0) -> None:
    container: dict[str, Any] = {"name": "step", "image": "busybox:1"}
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    pod = {
        "metadata": {"annotations": {f"kwok.nightcrawler.dev/{key}": v for key, v in annotations.items()}},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    cluster.api.post(JOBS, {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": pod}})


def pod_of(cluster: LocalCluster, job: str) -> dict[str, Any] | None:
    pods = cluster.api.get(f"{PODS}?labelSelector=job-name%3D{job}")["items"]
    return pods[0] if pods else None


def pod_in(cluster: LocalCluster, job: str, phase: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        pod = pod_of(cluster, job)
        return pod if pod is not None and pod["status"].get("phase") == phase else None

    return until(look)


def is_ready(cluster: LocalCluster, node: str) -> bool:
    conditions = cluster.api.get(f"/api/v1/nodes/{node}")["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_a_job_for_eight_gpus_runs_on_the_simulated_node_and_completes(own: LocalCluster) -> None:
    start_job(own, "eight", {"duration": "1500ms"}, gpus=8)
    running = pod_in(own, "eight", "Running")
    assert running["spec"]["nodeName"] == "gpu-node"
    assert running["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    ended = pod_in(own, "eight", "Succeeded")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert ended["startedAt"] < ended["finishedAt"]
    until(lambda: own.api.get(f"{JOBS}/eight")["status"].get("succeeded") == 1)


def test_a_pod_fails_with_the_exit_code_and_message_of_its_annotations(own: LocalCluster) -> None:
    start_job(own, "bad", {"exit-code": "3", "message": 'it said "no":\nand went'})
    status = pod_in(own, "bad", "Failed")["status"]
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert ended["message"] == 'it said "no":\nand went'
    conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
    assert conditions["PodScheduled"] == conditions["Initialized"] == "True"
    assert conditions["Ready"] == "False"


def test_a_deleted_pod_is_removed(own: LocalCluster) -> None:
    start_job(own, "deleted", {"duration": "1h"})
    pod_in(own, "deleted", "Running")
    own.kubectl("delete", "job", "deleted", "--wait=false")
    until(lambda: pod_of(own, "deleted") is None)


def test_a_lost_node_keeps_its_pods_until_it_returns(own: LocalCluster) -> None:
    start_job(own, "stranded", {"duration": "1h"}, gpus=1)
    pod_in(own, "stranded", "Running")
    own.lose_fake_node("gpu-node")
    until(lambda: not is_ready(own, "gpu-node"))
    own.kubectl("delete", "job", "stranded", "--wait=false")
    stranded = until(lambda: pod if (pod := pod_of(own, "stranded")) and _is_going(pod) else None)
    assert stranded["status"]["phase"] == "Running"
    own.return_fake_node("gpu-node")
    until(lambda: is_ready(own, "gpu-node") and pod_of(own, "stranded") is None)


def _is_going(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" in pod["metadata"]


@pytest.mark.parametrize("component", ["etcd", "kube-apiserver"])
def test_objects_survive_a_restart_of(own: LocalCluster, component: str) -> None:
    path = f"/api/v1/namespaces/default/configmaps/before-{component}"
    own.api.post(
        path.rpartition("/")[0], {"metadata": {"name": f"before-{component}"}, "data": {"kept": "yes"}}
    )
    own.stop_component(component, kill=True)
    assert not own.is_alive(component)
    own.start_component(component)
    assert own.api.get(path)["data"] == {"kept": "yes"}


def test_the_operators_user_has_no_rights_until_some_are_given(own: LocalCluster) -> None:
    with pytest.raises(ClusterError, match=r"(?s)Forbidden.*nightcrawler-operator"):
        own.kubectl("get", "pods", user="nightcrawler-operator")
    own.kubectl("create", "clusterrolebinding", "op", "--clusterrole=view", "--user=nightcrawler-operator")
    until(lambda: may(own, "list", "pods"))


def may(own: LocalCluster, verb: str, resource: str) -> bool:
    """Whether the operator's user may; kubectl fails as long as it may not."""
    try:
        return own.kubectl("auth", "can-i", verb, resource, user="nightcrawler-operator") == "yes\n"
    except ClusterError:
        return False


def test_a_second_start_in_the_same_folder_leaves_the_first_alone(own: LocalCluster) -> None:
    with pytest.raises(ClusterError, match="already runs"):
        LocalCluster.start(own.folder)
    assert own.api.is_ok("/readyz")


def test_another_process_finds_the_cluster_by_its_folder(own: LocalCluster) -> None:
    assert LocalCluster.open(own.folder).kubectl("get", "namespace", "default", "--output=name") == (
        "namespace/default\n"
    )


def test_two_clusters_side_by_side_know_nothing_of_each_other(own: LocalCluster, tmp_path: Path) -> None:
    with LocalCluster.start(tmp_path, audit=True) as other:
        other.api.post("/api/v1/namespaces", {"metadata": {"name": "only-there"}})
        assert not own.api.exists("/api/v1/namespaces/only-there")
        with pytest.raises(ClusterError, match="certificate signed by unknown authority"):
            own.kubectl("get", "pods", f"--server={other.server_url}")
        lines = other.audit_log.read_text().splitlines()
        entries = [json.loads(line) for line in lines if line.endswith("}")]  # the last may be half written
        posts = [e for e in entries if (e["user"]["username"], e["verb"]) == ("admin", "create")]
        assert [post["requestURI"] for post in posts] == ["/api/v1/namespaces"]
    assert processes.belonging_to(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "audit.log"}


@pytest.mark.parametrize("after", ["kube-apiserver", "ready"])
def test_a_cluster_ends_with_a_starter_that_is_killed(tmp_path: Path, after: str) -> None:
    code = (
        "import sys, time; from pathlib import Path; from localcluster import LocalCluster\n"
        "cluster = LocalCluster.start(Path(sys.argv[1])); print('ready', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(HACK)},
        stdout=subprocess.PIPE,
    ) as starter:
        assert starter.stdout is not None
        if after == "ready":
            assert starter.stdout.readline() == b"ready\n"
        else:
            until((tmp_path / "logs" / f"{after}.log").exists)
        starter.kill()
    until(lambda: not processes.belonging_to(tmp_path) and not (tmp_path / "etcd").exists())


def test_a_component_that_cannot_start_shows_why(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"(?s)kube-apiserver ended.*unknown flag: --no-such"):
        LocalCluster.start(tmp_path, extra_args={"kube-apiserver": ["--no-such"]})
    assert processes.belonging_to(tmp_path) == []


def test_a_start_whose_port_was_taken_succeeds_with_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pick = ports.pick
    picked: list[dict[str, int]] = []

    def one_taken_at_first(names: Iterable[str]) -> dict[str, int]:
        picked.append(pick(names))
        return picked[-1] if len(picked) > 1 else {**picked[-1], "kube-controller-manager": taken}

    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(ports, "pick", one_taken_at_first)
        with LocalCluster.start(tmp_path) as cluster:
            assert len(picked) == 2
            cluster.kubectl("get", "namespaces")
            assert all(cluster.is_alive(component) for component in cluster.pids())


def test_a_refusal_of_the_api_server_has_its_status(own: LocalCluster) -> None:
    with pytest.raises(RefusedError) as refusal:
        own.api.get("/api/v1/namespaces/nowhere")
    assert refusal.value.status == 404
