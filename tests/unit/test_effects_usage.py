"""Where usage comes from: metrics.k8s.io and a Prometheus, also when they are away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from nightcrawler_crds import names
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.nativeviews import PodView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.prometheus import Prometheus, PrometheusError
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.effects.usage import UsageCollector
from tests.support.snapshots import wire

Json = dict[str, Any]
POD: Final = ("team-a", "pod-1")


@dataclass
class Sources:
    """An API server with metrics.k8s.io, and a Prometheus, as far as they are asked here."""

    pods: list[Json] = field(default_factory=list)
    gpus: list[Json] = field(default_factory=list)
    status: int = 200
    prometheus_status: int = 200
    asked: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def usage_failed(self, source: str) -> None:
        self.failures.append(source)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if request.path == "/api/v1/query":
            body = {"status": "success", "data": {"resultType": "vector", "result": self.gpus}}
            if self.prometheus_status != 200:
                body = {"status": "error", "error": "query timed out"}
            return web.json_response(body, status=self.prometheus_status)
        if self.status != 200:
            failure = {"kind": "Status", "code": self.status, "message": "no", "reason": "NotFound"}
            return web.json_response(failure, status=self.status)
        return web.json_response({"kind": "PodMetricsList", "metadata": {}, "items": self.pods})


def a_sample(at: float, cpu: str = "500m") -> Json:
    usage = {"cpu": cpu, "memory": "1Gi"}
    return {
        "metadata": {"namespace": POD[0], "name": POD[1]},
        "timestamp": wire(at),
        "window": "15s",
        "containers": [{"name": "step", "usage": usage}],
    }


def a_gpu(value: str, **labels: str) -> Json:
    return {"metric": {"__name__": "DCGM_FI_DEV_GPU_UTIL", **labels}, "value": [1752156000.123, value]}


@dataclass
class Asked:
    """A collector, and what it fills."""

    collector: UsageCollector
    cluster: ClusterState


@asynccontextmanager
async def collecting(
    sources: Sources, *, with_gpus: bool = True, period: float = 0.01
) -> AsyncIterator[Asked]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", sources.answer)
    async with TestServer(application, host="127.0.0.1") as server:
        url = str(server.make_url("")).rstrip("/")
        connection = Connection(Identity(url), "test")
        gpus = Prometheus(url, "DCGM_FI_DEV_GPU_UTIL") if with_gpus else None
        store = Store(connection)
        cluster = ClusterState(store, "", lambda _: None)
        meta = {
            "namespace": POD[0],
            "name": POD[1],
            "uid": "pod-uid",
            "labels": {names.LABEL_EXECUTION_UID: "u"},
        }
        cluster.pods.cache.upsert(msgspec.convert({"metadata": meta}, PodView, strict=False))
        collector = UsageCollector(store, cluster, "", gpus=gpus, metrics=sources, period=period)
        try:
            yield Asked(collector, cluster)
        finally:
            await connection.close()
            if gpus is not None:
                await gpus.close()


async def test_one_request_asks_for_all_our_pods() -> None:
    sources = Sources(pods=[a_sample(15)], gpus=[a_gpu("90", namespace=POD[0], pod=POD[1])])
    async with collecting(sources) as asked:
        await asked.collector.measure()
        sources.pods = [a_sample(30, "1")]
        await asked.collector.measure()
        found = asked.cluster.usage.of(POD)
    assert found is not None
    assert found.cpu is not None
    assert found.gpu is not None
    assert (found.cpu.average, found.cpu.peak, found.gpu.peak) == (0.75, 1.0, 90.0)
    selector = "labelSelector=nightcrawler.dev/execution-uid"
    of_pods = [path for path in sources.asked if "metrics.k8s.io" in path]
    assert len(of_pods) == 2
    assert all(path.startswith("/apis/metrics.k8s.io/v1beta1/pods?") and selector in path for path in of_pods)


async def test_without_a_metrics_server_it_says_so_once_and_asks_seldom(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sources = Sources(status=404)
    async with collecting(sources, with_gpus=False) as asked:
        for _ in range(5):
            await asked.collector.measure()
        assert asked.cluster.usage.of(POD) is None
    assert len(sources.asked) == 1
    assert caplog.text.count("the cluster does not serve metrics.k8s.io; install metrics-server") == 1
    assert sources.failures == []


async def test_a_source_that_is_away_is_asked_again_and_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sources = Sources(status=503, prometheus_status=500)
    async with collecting(sources) as asked:
        for _ in range(3):
            await asked.collector.measure()
        sources.status = sources.prometheus_status = 200
        sources.pods = [a_sample(15)]
        await asked.collector.measure()
        assert asked.cluster.usage.of(POD) is not None
    assert sorted(sources.failures) == ["metrics"] * 3 + ["prometheus"] * 3
    assert caplog.text.count("CPU and memory of steps cannot be measured now") == 1
    assert caplog.text.count("answers 500: query timed out") == 1


async def test_while_nothing_runs_nothing_is_asked() -> None:
    sources = Sources(pods=[a_sample(15)])
    async with collecting(sources, with_gpus=False) as asked:
        task = asyncio.create_task(asked.collector.run())
        await asyncio.sleep(0.1)  # ten periods
        assert sources.asked == []
        run = {"metadata": {"namespace": POD[0], "name": "run", "uid": "u"}}
        asked.cluster.executions.upsert(msgspec.convert(run, ExecutionView, strict=False))
        async with asyncio.timeout(60):
            while asked.cluster.usage.of(POD) is None:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# --- Prometheus ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([a_gpu("90", namespace="a", pod="p")], {("a", "p"): 90}),
        (
            [a_gpu("90", namespace="a", pod="p", gpu="0"), a_gpu("70", namespace="a", pod="p", gpu="1")],
            {("a", "p"): 80},
        ),
        (
            [a_gpu("90", exported_namespace="a", exported_pod="p", namespace="gpu-operator", pod="exporter")],
            {("a", "p"): 90},
        ),
        ([a_gpu("90", gpu="0"), a_gpu("90", namespace="a", pod="")], {}),
        ([a_gpu("NaN", namespace="a", pod="p"), a_gpu("-1", namespace="a", pod="q")], {}),
        ([], {}),
    ],
    ids=["one", "two of a Pod", "honor_labels false", "of no Pod", "no numbers", "none"],
)
async def test_gpus_are_found_by_the_labels_of_their_pod(
    series: list[Json], expected: dict[tuple[str, str], float]
) -> None:
    sources = Sources(gpus=series)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", sources.answer)
    async with TestServer(application, host="127.0.0.1") as server:
        prometheus = Prometheus(str(server.make_url("/")), "DCGM_FI_DEV_GPU_UTIL")
        try:
            assert await prometheus.gpu_utilisation() == expected
        finally:
            await prometheus.close()


@pytest.mark.parametrize("body", [b"<html>", b'{"status": "success", "data": {"result": 3}}', b"[]"])
async def test_what_is_no_prometheus_is_told_from_one(body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application, host="127.0.0.1") as server:
        prometheus = Prometheus(str(server.make_url("/")), "up")
        try:
            with pytest.raises(PrometheusError):
                await prometheus.gpu_utilisation()
        finally:
            await prometheus.close()


async def test_a_prometheus_that_cannot_be_reached_is_reported_with_its_address() -> None:
    prometheus = Prometheus("http://127.0.0.1:9", "up")
    try:
        with pytest.raises(PrometheusError, match=r"http://127\.0\.0\.1:9/api/v1/query cannot be reached"):
            await prometheus.gpu_utilisation()
    finally:
        await prometheus.close()
