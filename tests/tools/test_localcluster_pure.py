"""What the embedded cluster is started with: command lines, configurations, objects, names."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster import ClusterError, FakeNode, components, fakenodes, namespaces, nodeconfig, progress
from localcluster.components import CONTROL_PLANE, USUAL_PORTS, Plan

STAGES = Path(fakenodes.__file__).parent / "stages"


def plan(**changes: Any) -> Plan:
    usual: dict[str, Any] = {
        "folder": Path("/cluster"),
        "programs": Path("/programs"),
        "host": "127.0.0.1",
        "ports": USUAL_PORTS,
    }
    return Plan(**{**usual, **changes})


@pytest.mark.parametrize("component", CONTROL_PLANE)
def test_further_arguments_come_last_so_that_they_win(component: str) -> None:
    command = components.command(plan(extra_args={component: ["--v=9"]}), component)
    assert command[0] == f"/programs/{component}"
    assert command[-1] == "--v=9"


def test_a_server_on_loopback_does_not_offer_itself_to_pods() -> None:
    reconciler = "--endpoint-reconciler-type=none"
    assert reconciler in components.command(plan(), "kube-apiserver")
    assert reconciler not in components.command(plan(pods_reach_it=True), "kube-apiserver")


def test_the_audit_log_is_kept_only_when_asked_for() -> None:
    without, kept = (components.command(plan(audit=audit), "kube-apiserver") for audit in (False, True))
    assert not any("audit" in argument for argument in without)
    assert "--audit-log-path=/cluster/audit.log" in kept
    assert yaml.safe_load(components.audit_policy())["rules"] == [{"level": "Metadata"}]


def test_a_fake_node_offers_its_gpus_under_their_product() -> None:
    node = fakenodes.manifest(FakeNode("big", gpus=4, product="NVIDIA-H100", labels={"pool": "x"}))
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "4"
    assert node["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-H100"
    assert node["metadata"]["labels"]["pool"] == "x"
    assert node["spec"]["taints"] == []


def test_a_fake_node_without_gpus_names_no_product() -> None:
    node = fakenodes.manifest(FakeNode("plain", gpus=0))
    assert "nvidia.com/gpu" not in node["status"]["capacity"]
    assert "nvidia.com/gpu.product" not in node["metadata"]["labels"]


def test_the_gpu_pool_keeps_ordinary_pods_away() -> None:
    first, second = (fakenodes.manifest(node) for node in fakenodes.gpu_nodes(2))
    assert (first["metadata"]["name"], second["metadata"]["name"]) == ("gpu-1", "gpu-2")
    assert first["metadata"]["labels"]["nightcrawler.dev/pool"] == "gpu"
    assert first["spec"]["taints"] == [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]


@pytest.mark.parametrize("file", sorted(STAGES.glob("*.yaml")), ids=lambda file: file.name)
def test_every_stage_has_a_name_of_its_own(file: Path) -> None:
    stages = list(yaml.safe_load_all(file.read_text()))
    assert {stage["kind"] for stage in stages} == {"Stage"}
    names = [stage["metadata"]["name"] for stage in stages]
    assert len(set(names)) == len(names) > 0


def test_the_first_free_name_is_taken() -> None:
    assert namespaces.choose([], []) == "nc-0"
    assert namespaces.choose(["nc-0", "nc-1", "nc-3"], []) == "nc-2"


def test_addresses_that_the_host_uses_are_left_to_it() -> None:
    assert namespaces.choose([], ["198.18.0.0/29", "192.0.2.0/24", "198.18.0.9"]) == "nc-3"


def test_without_a_free_address_the_error_says_what_to_do() -> None:
    with pytest.raises(ClusterError, match="end some clusters"):
        namespaces.choose([], ["198.18.0.0/15"])


def test_two_networks_share_no_address() -> None:
    networks = [namespaces.network(f"nc-{number}") for number in (0, 1, 64)]
    addresses = [address for network in networks for address in (network.host, network.cluster)]
    assert addresses[:4] == ["198.18.0.1", "198.18.0.2", "198.18.0.5", "198.18.0.6"]
    assert len(set(addresses)) == len(addresses)


def test_containerd_reads_its_configuration() -> None:
    text = nodeconfig.containerd(Path("/conf"), Path("/usr/lib/cni"))
    runtime = tomllib.loads(text)["plugins"]["io.containerd.grpc.v1.cri"]
    assert runtime["sandbox_image"] == nodeconfig.PAUSE_IMAGE
    assert runtime["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": "/conf"}


def test_the_kubelet_lets_only_the_api_server_in() -> None:
    configuration = nodeconfig.kubelet(plan(host="198.18.0.2"), "nc-0")
    assert configuration["address"] == "198.18.0.2"
    assert configuration["authentication"]["anonymous"] == {"enabled": False}
    assert configuration["authentication"]["x509"]["clientCAFile"] == "/cluster/pki/ca.crt"
    assert configuration["cgroupRoot"] == "/nc-0"


def test_configurations_are_plain_json() -> None:
    made = (nodeconfig.kubelet(plan(), "nc-0"), nodeconfig.kube_proxy(plan()), nodeconfig.cni())
    for configuration in made:
        assert json.loads(json.dumps(configuration)) == configuration


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (605.2, "10 min 05 s")]
)
def test_elapsed_time_is_written_for_people(seconds: float, text: str) -> None:
    assert progress.elapsed(seconds) == text
