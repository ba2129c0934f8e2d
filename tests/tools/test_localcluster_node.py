"""The real node of the embedded cluster: programs run in Pods as anywhere, and nothing is left of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from localcluster import ClusterError, LocalCluster, namespaces, processes

pytestmark = [
    pytest.mark.real_node,
    pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root"),
]
T = TypeVar("T")
ASK_THE_API_SERVER = """
import json, os, ssl, urllib.request
mount = "/var/run/secrets/kubernetes.io/serviceaccount"
trust = ssl.create_default_context(cafile=f"{mount}/ca.crt")
url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}/apis/authentication.k8s.io/v1/selfsubjectreviews"
token = open(f"{mount}/token").read()
headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
request = urllib.request.Request(url, b"{}", headers)
print(json.load(urllib.request.urlopen(request, context=trust))["status"]["userInfo"]["username"])
"""


def until(look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come true within 60 s"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with LocalCluster.start(tmp_path_factory.mktemp("own"), node=True) as cluster:
        yield cluster


def start(
    cluster: LocalCluster, name: str, *command: str, image: str = "busybox:1", memory: str = ""
) -> None:
    container: dict[str, Any] = {"name": "step", "image": image, "command": list(command)}
    if memory:
        container["resources"] = {"limits": {"memory": memory}}
    spec = {"restartPolicy": "Never", "containers": [container], "terminationGracePeriodSeconds": 0}
    cluster.api.post("/api/v1/namespaces/default/pods", {"metadata": {"name": name}, "spec": spec})


def status(cluster: LocalCluster, name: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.api.get(f"/api/v1/namespaces/default/pods/{name}")["status"]
    return found


def ended(cluster: LocalCluster, name: str) -> dict[str, Any]:
    """The terminated state of a Pod's container, as soon as it has one."""

    def look() -> dict[str, Any] | None:
        for container in status(cluster, name).get("containerStatuses", ()):
            state: dict[str, Any] | None = container["state"].get("terminated")
            return state
        return None

    return until(look)


def test_what_a_program_prints_is_read_with_kubectl_logs(own: LocalCluster) -> None:
    start(own, "hello", "sh", "-c", "echo hello from $(hostname); exit 7")
    assert ended(own, "hello")["exitCode"] == 7
    assert own.kubectl("logs", "hello") == "hello from hello\n"


def test_a_program_that_takes_too_much_memory_is_killed_for_it(own: LocalCluster) -> None:
    # The runtime watches for it only once the program has begun, so that waits until the Pod is said to run.
    waits = "until test -e /tmp/go; do sleep 0.1; done; exec tail /dev/zero"
    start(own, "greedy", "sh", "-c", waits, memory="32Mi")
    until(lambda: status(own, "greedy").get("phase") == "Running")
    own.kubectl("exec", "greedy", "--", "touch", "/tmp/go")
    until(lambda: status(own, "greedy").get("phase") == "Failed")
    state = ended(own, "greedy")
    assert (state["exitCode"], state["reason"]) == (137, "OOMKilled")


def test_a_pod_reaches_the_api_server_as_its_service_account(own: LocalCluster) -> None:
    start(own, "asking", "python", "-c", ASK_THE_API_SERVER, image="python:3.11-slim-bookworm")
    assert ended(own, "asking")["exitCode"] == 0, own.kubectl("logs", "asking")
    assert own.kubectl("logs", "asking") == "system:serviceaccount:default:default\n"


def test_commands_run_in_a_running_pod(own: LocalCluster) -> None:
    start(own, "running", "sleep", "600")
    until(lambda: status(own, "running").get("phase") == "Running")
    assert own.kubectl("exec", "running", "--", "echo", "inside") == "inside\n"


def test_name_lookups_fail_at_once_where_there_is_no_dns(own: LocalCluster) -> None:
    start(own, "asking-dns", "sh", "-c", "time wget -q -O- http://example.com")
    state = ended(own, "asking-dns")
    assert state["exitCode"] != 0
    (line,) = [line for line in own.kubectl("logs", "asking-dns").splitlines() if line.startswith("real")]
    assert re.match(r"real\t0m [0-3]\.", line), "it waited for a time-out, of five seconds"


def test_a_missing_image_is_reported_without_asking_a_registry(own: LocalCluster) -> None:
    start(own, "imageless", "true", image="nowhere.example/nothing:1")

    def look() -> str | None:
        for container in status(own, "imageless").get("containerStatuses", ()):
            reason: str | None = container["state"].get("waiting", {}).get("reason")
            return reason if reason in ("ErrImagePull", "ImagePullBackOff") else None
        return None

    assert until(look)


def test_a_kernel_setting_of_the_host_is_not_changed_by_the_kubelet(own: LocalCluster) -> None:
    seen = subprocess.run(
        [*_network(own).enter(mounts=True), "cat", "/proc/sys/kernel/panic"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout == "10\n"
    assert Path(f"/proc/{own.pids()['kubelet']}/root/proc/sys/kernel/panic").read_text() == "10\n"
    assert _covering(own) == []


def test_two_nodes_live_side_by_side_and_leave_nothing(own: LocalCluster, tmp_path: Path) -> None:
    rules = _host_rules()
    with LocalCluster.start(tmp_path, node=True) as other:
        start(other, "there", "sleep", "600")
        until(lambda: status(other, "there").get("phase") == "Running")
        assert not own.api.exists("/api/v1/namespaces/default/pods/there")
        network = _network(other)
        assert Path("/sys/class/net", network.name).exists()
        assert _host_rules() == rules
    assert processes.belonging_to(tmp_path) == []
    assert namespaces.claimed_by(tmp_path) == []
    assert not Path("/sys/class/net", network.name).exists()
    assert not network.folder.exists()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert list(Path("/sys/fs/cgroup").glob(f"*/{network.name}")) == []
    assert {path.name for path in tmp_path.iterdir()} == {"logs"}
    assert own.api.is_ok("/readyz")


def test_a_pod_survives_a_restart_of_kubelet_and_containerd(own: LocalCluster) -> None:
    start(own, "steady", "sleep", "600")
    before = until(lambda: s if (s := status(own, "steady")).get("phase") == "Running" else None)
    for component in ("containerd", "kubelet"):
        own.stop_component(component, kill=True)
        own.start_component(component)
        until(lambda: _says_alive(own, "steady"))
    assert status(own, "steady")["containerStatuses"][0]["state"] == before["containerStatuses"][0]["state"]


def _says_alive(cluster: LocalCluster, pod: str) -> bool:
    try:
        return cluster.kubectl("exec", pod, "--", "echo", "alive") == "alive\n"
    except ClusterError:
        return False  # The kubelet is not back yet.


def _network(cluster: LocalCluster) -> namespaces.Network:
    (name,) = namespaces.claimed_by(cluster.folder)
    return namespaces.network(name)


def _covering(cluster: LocalCluster) -> list[str]:
    """The host's mounts that come from the cluster's folder."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in mounts if str(cluster.folder) in line]


def _host_rules() -> Any:
    listed = subprocess.run(["nft", "--json", "list", "tables"], capture_output=True, text=True, check=True)
    return json.loads(listed.stdout)
