"""What the status of an Environment should be: worked out in whole numbers, from what the server has."""

from __future__ import annotations

from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.names import Resource
from nightcrawler_crds.phases import has_ended
from tests.support.modelserver import Json, ModelServer

CORES: Final = 8
MOST_PODS: Final = 3
GPUS: Final = 2
"""What each node has."""


def is_selected(watch: Resource, body: Json) -> bool:
    """Whether the operator's watch of that kind selects an object."""
    phase = body.get("status", {}).get("phase")
    if watch == names.EXECUTIONS:
        return not has_ended(phase)
    return watch != names.PODS or phase not in ("Succeeded", "Failed")


def expected(server: ModelServer, name: str) -> Json:
    """Some of an Environment's status, from what the server has."""
    there = [node for node in server.of(names.NODES).values() if node["metadata"]["labels"]["pool"] == name]
    up = [node for node in there if _takes_pods(node)]
    free = [_free_on(server, node["metadata"]["name"]) for node in up]
    runs = [
        "startTime" in run["status"]
        for run in server.of(names.EXECUTIONS).values()
        if run.get("status", {}).get("environment") == name and not has_ended(run["status"].get("phase"))
    ]
    return {
        "nodes": len(there),
        "readyNodes": len(up),
        "cpu": (CORES * 1000 * len(there), sum(cores for cores, _ in free)),
        "gpus": (GPUS * len(there), sum(gpus for _, gpus in free)),
        "running": runs.count(True),
        "waiting": runs.count(False),
        "reason": _reason(server, name, bool(up)),
    }


def _free_on(server: ModelServer, node: str) -> tuple[int, int]:
    """Millicores and GPUs that are free on a node; none if it takes no more Pods."""
    pods = [
        p
        for p in server.of(names.PODS).values()
        if p["spec"]["nodeName"] == node and is_selected(names.PODS, p)
    ]
    asked = [pod["spec"]["containers"][0]["resources"]["requests"] for pod in pods]
    if len(pods) >= MOST_PODS:
        return 0, 0
    cores = CORES * 1000 - sum(int(one["cpu"].removesuffix("m")) for one in asked)
    return max(0, cores), max(0, GPUS - sum(int(one["nvidia.com/gpu"]) for one in asked))


def _reason(server: ModelServer, name: str, any_up: bool) -> str:
    spec = server.get(names.ENVIRONMENTS, ("", name))["spec"]
    now = to_wire(server.now)
    if spec.get("state") == "Cordoned":
        return "Cordoned"
    if any(window["start"] <= now < window["end"] for window in spec.get("maintenance", ())):
        return "UnderMaintenance"
    return "NodesReady" if any_up else "NoReadyNode"


def shown(server: ModelServer, name: str) -> Json:
    """The same of the status as it is."""
    status = server.get(names.ENVIRONMENTS, ("", name))["status"]
    both = (status["capacity"], status["free"])
    return {
        **{field: status[field] for field in ("nodes", "readyNodes", "running", "waiting")},
        "cpu": tuple(_millicores(one["cpu"]) for one in both),
        "gpus": tuple(int(one.get("nvidia.com/gpu", 0)) for one in both),
        "reason": status["conditions"][0]["reason"],
    }


def _takes_pods(node: Json) -> bool:
    return node["status"]["conditions"][0]["status"] == "True" and not node["spec"].get("unschedulable")


def _millicores(text: str) -> int:
    return int(text[:-1]) if text.endswith("m") else int(text) * 1000
