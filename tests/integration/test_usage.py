"""What steps on simulated nodes use, by a real metrics-server, and GPUs by a server like Prometheus."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from typing_extensions import override

from localcluster import LocalCluster
from nightcrawler_crds import names
from tests.support.builders import WorkflowBuilder, a_workflow
from tests.support.facade import Served, serving
from tests.support.operator import operators_in
from tests.support.polling import eventually
from tests.support.team import Json, Team

LASTS: Final = 60.0
_METRICS: Final = "/apis/metrics.k8s.io/v1beta1/pods"


class Prometheus(ThreadingHTTPServer):
    """Answers a query as Prometheus does, with DCGM's series for the Pods of one namespace."""

    def __init__(self, cluster: LocalCluster) -> None:
        super().__init__(("127.0.0.1", 0), _Query)
        self.cluster = cluster
        self.namespace = ""
        self.queries: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def series(self) -> list[Json]:
        """Two GPUs of each Pod that asks for some: one busy, one about half as much, 68 % on average."""
        path = f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={names.LABEL_EXECUTION_UID}"
        found = []
        for pod in self.cluster.api.get(path)["items"] if self.namespace else ():
            asked = pod["spec"]["containers"][0].get("resources", {}).get("limits", {})
            if "nvidia.com/gpu" not in asked:
                continue
            for gpu, percent in (("0", "90"), ("1", "46")):
                labels: Json = {
                    "__name__": "DCGM_FI_DEV_GPU_UTIL",
                    "gpu": gpu,
                    "exported_namespace": self.namespace,
                    "exported_pod": pod["metadata"]["name"],
                }
                found.append({"metric": labels, "value": [0, percent]})
        return found


class _Query(BaseHTTPRequestHandler):
    server: Prometheus

    def do_GET(self) -> None:
        self.server.queries.append(self.path)
        result = {"resultType": "vector", "result": self.server.series()}
        body = json.dumps({"status": "success", "data": result}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Not logged."""


def using(cpu: str, memory: str) -> Json:
    """A podTemplate whose Pod is simulated to use so much."""
    marks = {"kwok.nightcrawler.dev/cpu": cpu, "kwok.nightcrawler.dev/memory": memory}
    return {"metadata": {"annotations": marks}}


def workflow() -> WorkflowBuilder:
    return (
        a_workflow("measured", order="Graph")
        .step(
            "asks",
            lasts=LASTS,
            resources={"cpu": "500m", "memory": "1Gi"},
            pod=using("250m", "512Mi"),
        )
        .step("asks for nothing", lasts=LASTS, pod=using("32", "128Gi"))
        .step(
            "asks for too little",
            lasts=LASTS,
            resources={"cpu": "100m", "memory": "128Mi"},
            pod=using("250m", "64Mi"),
        )
        .step(
            "trains",
            lasts=LASTS,
            resources={"cpu": 2, "memory": "2Gi", "gpu": "2x A100"},
            pod=using("1", "1Gi"),
        )
        .step("short", lasts=0.1, resources={"cpu": "500m"})
    )


@dataclass
class Seen:
    """What was seen of the run."""

    live: Json
    status: Json
    detail: Json
    row: Json


@pytest.fixture(scope="module")
def prometheus(cluster: LocalCluster) -> Iterator[Prometheus]:
    with Prometheus(cluster) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def served(
    cluster: LocalCluster, nodes: object, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    cluster.add_metrics()
    eventually(lambda: cluster.api.is_ok(_METRICS), what="metrics-server to answer", within=60)
    with serving(cluster, tmp_path_factory.mktemp("facade"), prometheus_url=prometheus.url) as made:
        prometheus.namespace = made.namespace
        yield made


@pytest.fixture(scope="module")
def seen(
    cluster: LocalCluster, served: Served, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory
) -> Seen:
    """The run is measured by an operator that is killed in the middle, and by the one after it."""
    team = Team(cluster, served.namespace)
    folder: Path = tmp_path_factory.mktemp("operator")
    with operators_in(cluster, served.namespace, folder) as operators:
        operator = operators.start(prometheus_url=prometheus.url)
        (run,) = team.runs(workflow())
        path = f"/measured/executions/{run}"
        live = eventually(
            lambda: served.ask("GET", path),
            until=lambda shown: len([s for s in shown["stepExecutions"] if "resourceUsage" in s]) == 4,
            what="live usage of the steps that run",
            within=LASTS,
        )
        operator.kill()
        operator.start()
        status = team.until_phase(run, "Completed", within=2 * LASTS)
        detail = eventually(
            lambda: served.ask("GET", path),
            until=lambda shown: shown["status"] == "completed",
            what="its end",
        )
        (row,) = served.ask("GET", "/measured/executions")["executions"]
    return Seen(live, status, detail, row)


def usage_of(seen: Seen, step: str) -> Json:
    usage: Json = seen.status["steps"][step].get("usage", {})
    return usage


def test_a_step_is_measured_in_percent_of_what_it_asked_for(seen: Seen) -> None:
    usage = usage_of(seen, "asks")
    assert usage["cpu"]["average"] == pytest.approx(50, abs=5)
    assert usage["memory"] == {"average": 50, "peak": 50}
    assert "gpu" not in usage


def test_a_step_that_asked_for_nothing_is_measured_in_percent_of_its_node(seen: Seen) -> None:
    usage = usage_of(seen, "asks for nothing")
    assert usage["cpu"]["average"] == pytest.approx(50, abs=5)
    assert usage["memory"]["average"] == 25


def test_where_nothing_limits_it_more_than_was_asked_for_is_used(seen: Seen) -> None:
    assert usage_of(seen, "asks for too little")["cpu"]["average"] == pytest.approx(250, abs=25)


def test_gpus_are_measured_by_prometheus(seen: Seen, prometheus: Prometheus) -> None:
    assert usage_of(seen, "trains")["gpu"] == {"average": 68, "peak": 68}
    assert {path.partition("?")[2] for path in prometheus.queries} == {"query=DCGM_FI_DEV_GPU_UTIL"}


def test_a_step_that_is_too_short_has_no_usage(seen: Seen) -> None:
    assert usage_of(seen, "short") == {}


def test_a_run_has_the_weighed_mean_of_its_steps(seen: Seen) -> None:
    used = seen.status["resourceUsage"]
    # Half of the node's 64 cores outweighs the rest, and so does a quarter of its memory.
    assert used["cpu"] == pytest.approx(50, abs=5)
    assert used["memory"] == pytest.approx(25, abs=2)
    assert used["gpu"] == 68
    assert seen.row["resourceUsage"] == seen.detail["resourceUsage"] == used


def test_over_rest_what_steps_use_now_is_shown_while_they_run(seen: Seen) -> None:
    live = {step["name"]: step.get("resourceUsage") for step in seen.live["stepExecutions"]}
    assert live["asks"]["cpu"] == pytest.approx(50, abs=5)
    assert live["asks for nothing"]["memory"] == 25
    assert live["trains"]["gpu"] == 68
    assert seen.live["resourceUsage"]["cpu"] == pytest.approx(50, abs=5)


def test_over_rest_an_ended_step_has_its_average_and_its_peak(seen: Seen) -> None:
    (asks,) = [step for step in seen.detail["stepExecutions"] if step["name"] == "asks"]
    usage = usage_of(seen, "asks")
    assert asks["resourceUsage"] == {what: figure["average"] for what, figure in usage.items()}
    assert asks["peakUsage"] == {what: figure["peak"] for what, figure in usage.items()}
