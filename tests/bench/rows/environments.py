"""Environments: what their status costs in a large cluster whose nodes and Pods are mostly others'.

The nodes have no kubelet and send no heartbeats, and nobody runs the Pods: what is measured is the operator.

- `nodes_mb`: memory of the nodes, which are followed with or without Environments.
- `pods_mb`: what the first Environments add, with the Pods of all nodes there.
- `rest_ms`: the operator's CPU time a second while nothing changes.
- `churn_ms`: the same while Pods come and go on the nodes, so many a second (`churn`).
- `writes_per_min`: how often the status of an Environment is written meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from localcluster.fakenodes import POOL
from nightcrawler_crds import names
from nightcrawler_crds.kube.views import EnvironmentView
from tests.bench.engines import NAMESPACE
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.load import side_by_side
from tests.bench.measured import Measured
from tests.bench.quiet import quiet_pss
from tests.bench.site import Site, site
from tests.bench.sizes import Sizes
from tests.bench.usage import Meter

_OPERATOR: Final = NIGHTCRAWLER.name
_REST: Final = 20.0
_PATIENCE: Final = 300.0
_STAYS: Final = 3
"""Seconds for which a Pod stays that comes and goes."""
_NO_HEARTBEATS: Final = {
    "kube-controller-manager": (
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        "--node-monitor-grace-period=24h",
        "--node-startup-grace-period=24h",
    )
}
_PRODUCTS: Final = ("NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3", "NVIDIA-L4", "")

Json = dict[str, Any]


async def measure(sizes: Sizes) -> Measured:
    """`nodes_mb`, `pods_mb`, `rest_ms`, `churn_ms`, `churn_per_s`, `writes_per_min`."""
    async with site(nodes=0, arguments=_NO_HEARTBEATS) as here:
        empty = (await quiet_pss(here, (_OPERATOR,)))[_OPERATOR]
        await side_by_side(
            here.store.create(names.NODES, "", _node(n, sizes.environments), dict[str, Any])
            for n in range(sizes.environments_nodes)
        )
        with_nodes = (await quiet_pss(here, (_OPERATOR,)))[_OPERATOR]
        await side_by_side(_pod(here, f"pod-{n}", n, sizes) for n in range(sizes.environments_pods))
        for number in range(sizes.environments):
            await here.store.create(names.ENVIRONMENTS, "", _environment(number), EnvironmentView)
        await _until_observed(here, sizes)
        with_pods = (await quiet_pss(here, (_OPERATOR,)))[_OPERATOR]
        at_rest = Meter(here.processes)
        await asyncio.sleep(_REST)
        rest = at_rest.read()[_OPERATOR].cpu_seconds / _REST
        versions = [await _version(here, number) for number in range(sizes.environments)]
        meter, began = Meter(here.processes), time.monotonic()
        writes, churned = await _churn(here, sizes, versions)
        usage, took = meter.read(), time.monotonic() - began
    return Measured(
        {
            "nodes_mb": round(with_nodes - empty, 1),
            "pods_mb": round(with_pods - with_nodes, 1),
            "rest_ms": round(rest * 1_000, 2),
            "churn_ms": round(usage[_OPERATOR].cpu_seconds * 1_000 / took, 1),
            "churn_per_s": round(churned / took, 1),
            "writes_per_min": round(writes * 60 / took / sizes.environments, 2),
        },
        usage,
    )


def _node(number: int, pools: int) -> Json:
    """A node of 64 cores and eight GPUs, with as many labels as those of clouds have."""
    offers = {"cpu": "64", "memory": "263856584Ki", "pods": "110", "ephemeral-storage": "900Gi"}
    product = _PRODUCTS[number % len(_PRODUCTS)]
    labels = {POOL: f"pool-{number % pools}", "kubernetes.io/hostname": f"node-{number}"}
    labels |= {f"cloud.example.com/label-{n}": f"value-{n}" for n in range(30)}
    if product:
        offers["nvidia.com/gpu"], labels["nvidia.com/gpu.product"] = "8", product
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    status = {"allocatable": offers, "capacity": offers, "conditions": [ready]}
    return {"metadata": {"name": f"node-{number}", "labels": labels}, "status": status}


async def _pod(here: Site, name: str, number: int, sizes: Sizes) -> None:
    """A Pod of somebody's on a node; of twenty different sizes."""
    asked = {"cpu": f"{50 * (1 + number % 20)}m", "memory": f"{64 * (1 + number % 20)}Mi"}
    spec = {
        "nodeName": f"node-{number % sizes.environments_nodes}",
        "containers": [{"name": "one", "image": "busybox:1", "resources": {"requests": asked}}],
    }
    body = {"metadata": {"name": name, "labels": {"app": f"app-{number % 50}"}}, "spec": spec}
    await here.store.create(names.PODS, NAMESPACE, body, dict[str, Any])


def _environment(number: int) -> Json:
    body = {"apiVersion": names.API_VERSION, "kind": names.ENVIRONMENTS.kind}
    spec = {"nodeSelector": {POOL: f"pool-{number}"}}
    return {**body, "metadata": {"name": f"pool-{number}"}, "spec": spec}


async def _environments(here: Site) -> list[EnvironmentView]:
    return await here.store.list_all(names.ENVIRONMENTS, "", EnvironmentView)


async def _until_observed(here: Site, sizes: Sizes) -> None:
    """Wait until the status of every Environment shows all of its nodes, and what is free there."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        there = [one.status for one in await _environments(here)]
        nodes = sum(one.ready_nodes or 0 for one in there if one.free)
        if nodes == sizes.environments_nodes:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{nodes} of {sizes.environments_nodes} nodes are in a status")
        await asyncio.sleep(0.5)


async def _version(here: Site, number: int) -> int:
    found = await here.store.get(names.ENVIRONMENTS, "", f"pool-{number}", EnvironmentView)
    return found.metadata.version


async def _churn(here: Site, sizes: Sizes, versions: list[int]) -> tuple[int, int]:
    """Let Pods come and go for some time; how often a status was written, and how many came or went."""
    ends = time.monotonic() + sizes.environments_seconds
    writes = churned = second = 0
    a_second = sizes.environments_churn // 2
    while (due := time.monotonic() + 1.0) <= ends:
        come = range(second * a_second, (second + 1) * a_second)
        await side_by_side(_pod(here, f"churned-{number}", number, sizes) for number in come)
        gone = [number - _STAYS * a_second for number in come]
        await side_by_side(
            here.store.delete(names.PODS, NAMESPACE, f"churned-{number}", grace_period=0)
            for number in gone
            if number >= 0
        )
        churned += len(come) + sum(number >= 0 for number in gone)
        for number, before in enumerate(versions):
            versions[number] = await _version(here, number)
            writes += versions[number] != before
        second += 1
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    return writes, churned
