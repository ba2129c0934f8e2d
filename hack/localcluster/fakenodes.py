"""Nodes that kwok simulates, with any number of GPUs; no program runs in their Pods. Pure: no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MANAGED = "kwok.x-k8s.io/node"
POOL = "nightcrawler.dev/pool"
PRODUCT = "nvidia.com/gpu.product"
METRICS_PATH = "metrics.k8s.io/resource-metrics-path"


@dataclass(frozen=True)
class FakeNode:
    """A node that kwok simulates.

    Attributes:
        name: Its name.
        gpus: How many `nvidia.com/gpu` it offers; 0 offers none and names no product.
        product: The label by which the GPUs' model is known, as NVIDIA's feature discovery writes it.
        cpu: Cores, as a Kubernetes quantity.
        memory: Memory, as a Kubernetes quantity.
        pods: How many Pods fit.
        tainted: Whether it takes only Pods that tolerate `kwok.x-k8s.io/node`; needed beside a real node.
        labels: Further labels.
        devices: Further resources: `amd.com/gpu`, slices of GPUs.
    """

    name: str
    gpus: int = 8
    product: str = "NVIDIA-A100-SXM4-80GB"
    cpu: str = "64"
    memory: str = "512Gi"
    pods: int = 250
    tainted: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)


def gpu_nodes(count: int) -> list[FakeNode]:
    """The nodes of the demonstration's GPU pool."""
    return [FakeNode(f"gpu-{number}", tainted=True, labels={POOL: "gpu"}) for number in range(1, count + 1)]


def manifest(node: FakeNode) -> dict[str, Any]:
    """The Node object to create."""
    offers = {
        "cpu": node.cpu,
        "memory": node.memory,
        "pods": str(node.pods),
        "ephemeral-storage": "1Ti",
        **node.devices,
    }
    labels = {
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        MANAGED: "fake",
        **node.labels,
    }
    if node.gpus:
        offers["nvidia.com/gpu"] = str(node.gpus)
    if node.gpus or any(name.startswith("nvidia.com/") for name in node.devices):
        labels[PRODUCT] = node.product
    taint = {"key": MANAGED, "value": "fake", "effect": "NoSchedule"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": labels,
            "annotations": {METRICS_PATH: f"/metrics/nodes/{node.name}/metrics/resource"},
        },
        "spec": {"taints": [taint] if node.tainted else []},
        "status": {"allocatable": offers, "capacity": offers},
    }
