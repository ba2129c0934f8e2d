"""What the steps of an execution use now, in percent of what they asked for, else of their nodes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from nightcrawler_api.executions.live import NOTHING, Live
from nightcrawler_api.executions.schemas import ResourceUsage
from nightcrawler_crds.errors import ApiError
from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.podmetrics import PodMetricsView, sample_of
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.names import LABEL_EXECUTION_UID, NODES, POD_METRICS, PODS, STEP_CONTAINER
from nightcrawler_crds.prometheus import Prometheus, PrometheusError
from nightcrawler_crds.words.quantities import parse_quantity

log = logging.getLogger(__name__)

_KEPT_SECONDS: Final = 15.0
_WITHIN_SECONDS: Final = 3.0
_MOST: Final = 1_000
_NODE_KEPT_SECONDS: Final = 600.0


class _Amounts(msgspec.Struct, frozen=True):
    """What a container asks for, as the API server has it: requests include limits without a request."""

    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class _Container(msgspec.Struct, frozen=True):
    name: str = ""
    resources: _Amounts = _Amounts()


class _PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""
    containers: tuple[_Container, ...] = ()


class _Pod(msgspec.Struct, frozen=True):
    metadata: Meta
    spec: _PodSpec = _PodSpec()


class _NodeStatus(msgspec.Struct, frozen=True):
    allocatable: dict[str, str] = {}


class _Node(msgspec.Struct, frozen=True):
    status: _NodeStatus = _NodeStatus()


class LiveUsage:
    """Asks metrics.k8s.io, and Prometheus if there is one, at most every 15 seconds for an execution."""

    def __init__(self, store: Store, gpus: Prometheus | None, *, enabled: bool) -> None:
        self._store = store
        self._gpus = gpus
        self._enabled = enabled
        self._known: OrderedDict[str, tuple[float, Live]] = OrderedDict()
        self._nodes: dict[str, tuple[float, Mapping[str, str]]] = {}

    async def of(self, execution: ExecutionView) -> Live:
        """What its running steps use; nothing if that is not known."""
        running = [name for name, step in execution.status.steps.items() if step.phase == "Running"]
        if not self._enabled or not running:
            return NOTHING
        uid = execution.metadata.uid
        known = self._known.get(uid)
        if known is None or time.monotonic() >= known[0] + _KEPT_SECONDS:
            known = (time.monotonic(), await self._read_in_time(execution))
            self._known[uid] = known
            self._known.move_to_end(uid)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        live = known[1]
        # A step may have ended since.
        return Live({name: live.steps[name] for name in running if name in live.steps}, live.run)

    async def close(self) -> None:
        """Close the connections to Prometheus."""
        if self._gpus is not None:
            await self._gpus.close()

    async def _read_in_time(self, execution: ExecutionView) -> Live:
        try:
            async with asyncio.timeout(_WITHIN_SECONDS):
                return await self._read(execution)
        except (TimeoutError, ApiError) as error:
            log.debug("what a run uses cannot be read now: %s", str(error) or "it took too long")
            return NOTHING

    async def _read(self, execution: ExecutionView) -> Live:
        meta = execution.metadata
        selector = f"{LABEL_EXECUTION_UID}={meta.uid}"
        running = {s.job_name: name for name, s in execution.status.steps.items() if s.phase == "Running"}
        metrics = {
            one.metadata.name: sample
            for one in await self._store.list_all(
                POD_METRICS, meta.namespace, PodMetricsView, label_selector=selector
            )
            if (sample := sample_of(one)) is not None
        }
        pods = await self._store.list_all(PODS, meta.namespace, _Pod, label_selector=selector)
        gpus = await self._gpu_utilisation()
        steps: dict[str, ResourceUsage] = {}
        weights: dict[str, list[tuple[float, float]]] = {}
        for pod in pods:
            step = running.get(pod.metadata.labels.job_name)
            if step is None:
                continue
            amounts = await self._amounts(pod)
            used: dict[str, float] = {}
            if (sample := metrics.get(pod.metadata.name)) is not None:
                shares = {"cpu": sample.cpu, "memory": sample.memory}
                used = {
                    what: 100 * value / amounts[what] for what, value in shares.items() if amounts.get(what)
                }
            if (busy := gpus.get(pod.metadata.key)) is not None:
                used["gpu"] = busy
            for what, percent in used.items():
                weights.setdefault(what, []).append((percent, amounts.get(what, 1.0)))
            steps[step] = _rounded(used)
        return Live({name: usage for name, usage in steps.items() if usage}, _rounded(_means(weights)))

    async def _gpu_utilisation(self) -> Mapping[tuple[str, str], float]:
        if self._gpus is None:
            return {}
        try:
            return await self._gpus.gpu_utilisation()
        except PrometheusError as error:
            log.debug("how busy GPUs are cannot be read now: %s", error)
            return {}

    async def _amounts(self, pod: _Pod) -> dict[str, float]:
        """Cores, bytes and GPUs that the step's container asks for, else those of its node."""
        own = next((one.resources for one in pod.spec.containers if one.name == STEP_CONTAINER), _Amounts())
        asked: dict[str, float] = {
            what: parse_quantity(own.requests[what]) for what in ("cpu", "memory") if what in own.requests
        }
        devices = [parse_quantity(amount) for name, amount in own.limits.items() if "/" in name]
        if devices:
            asked["gpu"] = sum(devices)
        if not {"cpu", "memory"} <= asked.keys() and pod.spec.node_name:
            there = await self._node(pod.spec.node_name)
            of_node: dict[str, float] = {
                what: parse_quantity(there[what]) for what in ("cpu", "memory") if what in there
            }
            asked = of_node | asked
        return asked

    async def _node(self, name: str) -> Mapping[str, str]:
        known = self._nodes.get(name)
        if known is None or time.monotonic() >= known[0] + _NODE_KEPT_SECONDS:
            try:
                node = await self._store.get(NODES, "", name, _Node)
                known = (time.monotonic(), node.status.allocatable)
            except ApiError as error:
                log.debug("the node %s cannot be read: %s", name, error)
                known = (time.monotonic(), {})
            if len(self._nodes) >= _MOST:
                self._nodes.clear()  # nodes come and go
            self._nodes[name] = known
        return known[1]


def _means(weights: Mapping[str, Iterable[tuple[float, float]]]) -> dict[str, float]:
    """The mean of each percentage, weighed by the amount that it is of."""
    found: dict[str, float] = {}
    for what, figures in weights.items():
        there = list(figures)
        total = sum(weight for _, weight in there)
        if total:
            found[what] = sum(percent * weight for percent, weight in there) / total
    return found


def _rounded(used: Mapping[str, float]) -> ResourceUsage:
    shown: Any = {what: round(used[what]) for what in ("cpu", "memory", "gpu") if what in used}
    usage: ResourceUsage = shown
    return usage
