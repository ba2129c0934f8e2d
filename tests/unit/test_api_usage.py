"""What an execution that runs uses now, and what one that has ended has used, as the REST API shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from aiohttp import web

from nightcrawler_api.executions import presenter
from nightcrawler_api.executions.live import NOTHING, Live
from nightcrawler_api.executions.usage import LiveUsage
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.prometheus import Prometheus
from tests.support.fakeserver import store_of
from tests.support.views import at, execution

Json = dict[str, Any]
START: Final = "2025-07-10T14:45:00Z"


def running(*steps: str) -> ExecutionView:
    return execution(
        phase="Running",
        startTime=START,
        steps={name: {"phase": "Running", "startTime": START, "jobName": f"job-{name}"} for name in steps},
    )


@dataclass
class Cluster:
    """Pods, what they use, their node, and a Prometheus."""

    requests: dict[str, Json]
    used: dict[str, tuple[str, str]]
    gpus: dict[str, str] = field(default_factory=dict)
    status: int = 200
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path == "/api/v1/query":
            series = [
                {"metric": {"namespace": "default", "pod": f"job-{name}"}, "value": [1, value]}
                for name, value in self.gpus.items()
            ]
            return web.json_response({"status": "success", "data": {"result": series}})
        if "metrics.k8s.io" in request.path:
            items = [self._metrics(name, *used) for name, used in self.used.items()]
            return web.json_response({"metadata": {}, "items": items}, status=self.status)
        if "/nodes/" in request.path:
            return web.json_response({"status": {"allocatable": {"cpu": "8", "memory": "16Gi"}}})
        return web.json_response({"metadata": {}, "items": [self._pod(name) for name in self.requests]})

    def _metrics(self, name: str, cpu: str, memory: str) -> Json:
        usage = {"cpu": cpu, "memory": memory}
        meta = {"name": f"job-{name}", "namespace": "default"}
        containers = [{"name": "step", "usage": usage}]
        return {"metadata": meta, "timestamp": START, "window": "15s", "containers": containers}

    def _pod(self, name: str) -> Json:
        labels = {"batch.kubernetes.io/job-name": f"job-{name}"}
        meta = {"name": f"job-{name}", "namespace": "default", "labels": labels}
        container = {"name": "step", "resources": self.requests[name]}
        return {"metadata": meta, "spec": {"nodeName": "n1", "containers": [container]}}


@asynccontextmanager
async def usage_in(cluster: Cluster, *, enabled: bool = True) -> AsyncIterator[LiveUsage]:
    async with store_of(cluster.answer) as store:
        usage = LiveUsage(store, Prometheus(store._connection.server, "gpus"), enabled=enabled)
        try:
            yield usage
        finally:
            await usage.close()


ASKED: Final = {
    "requests": {"cpu": "500m", "memory": "1Gi"},
    "limits": {"memory": "1Gi", "nvidia.com/gpu": "2"},
}


async def test_steps_that_run_are_shown_with_what_they_use_of_what_they_asked_for() -> None:
    cluster = Cluster({"a": ASKED, "b": {}}, {"a": ("250m", "512Mi"), "b": ("4", "4Gi")}, {"a": "91.6"})
    async with usage_in(cluster) as usage:
        live = await usage.of(running("a", "b"))
    assert live.steps == {"a": {"cpu": 50, "memory": 50, "gpu": 92}, "b": {"cpu": 50, "memory": 25}}
    # Of half a core and eight, of 1 and 16 GiB.
    assert live.run == {"cpu": 50, "memory": round(100 * (0.5 + 4) / 17), "gpu": 92}


async def test_what_is_not_measured_yet_is_absent_and_never_0() -> None:
    async with usage_in(Cluster({"a": ASKED}, {})) as usage:
        assert await usage.of(running("a")) == NOTHING


async def test_it_is_asked_at_most_every_15_seconds() -> None:
    cluster = Cluster({"a": ASKED}, {"a": ("250m", "512Mi")})
    async with usage_in(cluster) as usage:
        for _ in range(5):
            await usage.of(running("a"))
    assert len([path for path in cluster.asked if "metrics.k8s.io" in path]) == 1


@pytest.mark.parametrize("shown", [execution(phase="Completed"), execution(phase="Pending"), running()])
async def test_without_a_step_that_runs_nothing_is_asked(shown: ExecutionView) -> None:
    cluster = Cluster({}, {})
    async with usage_in(cluster) as usage:
        assert await usage.of(shown) == NOTHING
    assert cluster.asked == []


async def test_where_it_is_switched_off_nothing_is_asked() -> None:
    cluster = Cluster({"a": ASKED}, {"a": ("250m", "512Mi")})
    async with usage_in(cluster, enabled=False) as usage:
        assert await usage.of(running("a")) == NOTHING
    assert cluster.asked == []


@pytest.mark.parametrize("status", [403, 404, 503])
async def test_without_a_source_the_execution_is_shown_all_the_same(status: int) -> None:
    cluster = Cluster({"a": ASKED}, {}, status=status)
    async with usage_in(cluster) as usage:
        assert await usage.of(running("a")) == NOTHING


# --- as it is shown --------------------------------------------------------------------------------------


def detail(shown: ExecutionView, live: Live = NOTHING) -> Any:
    return presenter.detail(shown, "anonymous", ["a"], None, at("14:46:00"), live=live)


def test_an_ended_step_has_its_average_and_its_peak() -> None:
    usage = {"cpu": {"average": 48, "peak": 120}, "gpu": {"average": 0, "peak": 1}}
    step = {
        "phase": "Completed",
        "startTime": START,
        "completionTime": "2025-07-10T14:45:30Z",
        "usage": usage,
    }
    shown = execution(phase="Completed", steps={"a": step}, resourceUsage={"cpu": 48, "gpu": 0})
    (shown_step,) = detail(shown)["stepExecutions"]
    assert shown_step["resourceUsage"] == {"cpu": 48, "gpu": 0}
    assert shown_step["peakUsage"] == {"cpu": 120, "gpu": 1}
    assert presenter.row(shown, "anonymous", at("14:46:00"))["resourceUsage"] == {"cpu": 48, "gpu": 0}


def test_a_step_that_runs_has_what_it_uses_now() -> None:
    shown = detail(running("a"), Live({"a": {"cpu": 50}}, {"cpu": 50}))
    assert shown["resourceUsage"] == {"cpu": 50}
    assert shown["stepExecutions"][0]["resourceUsage"] == {"cpu": 50}


def test_an_execution_that_was_not_measured_has_no_usage() -> None:
    assert "resourceUsage" not in detail(running("a"))
    assert "resourceUsage" not in detail(running("a"))["stepExecutions"][0]
