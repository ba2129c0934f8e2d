"""The facade as a program and a server: settings, signals, probes, metrics, docs, browsers, outages."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from localcluster import LocalCluster
from tests.support.cluster import install_crds
from tests.support.facade import PROBLEM, FacadeProcess, Json, Served, serving
from tests.support.polling import eventually

STEP: Json = {"name": "a", "image": "busybox:1"}
PROGRAM = Path(sys.executable).parent / "nightcrawler-api"


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The console script, run to its end without a cluster to talk to."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTCRAWLER_", "KUBE"))}
    used = {"api_port": "0", **settings}
    variables = {f"NIGHTCRAWLER_{name.upper()}": value for name, value in used.items()}
    return subprocess.run(
        [str(PROGRAM), *arguments],
        env=clean | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- the program ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"api_port": "http"}, "NIGHTCRAWLER_API_PORT 'http' cannot be used. Accepted: a whole number"),
        ({"api_host": "0.0.0.0"}, "set NIGHTCRAWLER_ALLOW_UNAUTHENTICATED=true if something else"),
        (
            {"api_host": "no.such.host.invalid", "allow_unauthenticated": "true"},
            "cannot listen on no.such.host",
        ),
        ({"kubeconfig": "/no/such/file"}, "no cluster to connect to"),
    ],
)
def test_a_facade_that_cannot_work_exits_with_a_sentence(settings: dict[str, str], says: str) -> None:
    ended = run(**settings)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_in_use_is_refused_with_what_to_do(served: Served) -> None:
    port = str(served.http.base_url.port)
    ended = run(api_port=port, kubeconfig=str(served.cluster.kubeconfig))
    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another port" in ended.stderr


def test_a_facade_takes_a_free_port_if_none_is_named(
    cluster: LocalCluster, namespace: str, tmp_path: Path
) -> None:
    facade = FacadeProcess(cluster, namespace, tmp_path, api_port=0)
    try:
        facade.start(ready=None)
        [port] = eventually(lambda: re.findall(r" at http://127\.0\.0\.1:(\d+)", facade.log))
        facade.http.base_url = f"http://127.0.0.1:{port}"
        eventually(lambda: facade.http.get("/readyz").status_code == 200)
    finally:
        facade.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gracefully(
    cluster: LocalCluster, namespace: str, tmp_path: Path, number: int
) -> None:
    facade = FacadeProcess(cluster, namespace, tmp_path, log_format="json")
    try:
        facade.start()
        facade.stop(number)
    finally:
        facade.close()
    lines = facade.log.splitlines()
    assert all(line.startswith("{") for line in lines), "each line is an object"
    assert "Unclosed" not in facade.log


# --- probes, metrics, docs -----------------------------------------------------------------------


def test_a_ready_facade_says_what_it_knows(served: Served) -> None:
    eventually(lambda: served.http.get("/healthz").json()["apiServer"]["reachable"])
    assert served.http.get("/healthz").json()["status"] == "ok"
    ready = served.http.get("/readyz").json()
    assert (ready["ready"], ready["apiServer"]["reachable"], ready["notYetRead"]) == (True, True, [])


def test_head_answers_as_get_and_the_connection_goes_on(served: Served) -> None:
    for path in ("/api/workflows", "/healthz", "/metrics"):
        head = served.http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert served.http.get(path).status_code == 200


def test_metrics_count_requests_by_route_and_never_by_path(served: Served) -> None:
    for path in ("/api/workflows", "/api/workflows/no-such-1", "/api/workflows/no-such-2", "/no-such-page"):
        served.http.get(path)
    text = served.http.get("/metrics").text
    assert 'nightcrawler_api_requests_total{method="GET",route="/api/workflows",status="200"}' in text
    assert 'route="/api/workflows/{workflowId}",status="404"' in text
    assert 'method="other",route="",status="404"' in text
    assert 'nightcrawler_api_request_seconds_bucket{le="0.01",method="GET",route="/api/workflows"}' in text
    assert 'nightcrawler_api_objects{kind="workflows"}' in text
    assert "no-such" not in text


def test_the_docs_need_nothing_from_the_internet(served: Served) -> None:
    page = served.http.get("/docs").text
    assert "https://" not in page
    for part in page.split('"'):
        if part.startswith("/static"):
            assert served.http.get(part).status_code == 200


ALONE: Final[dict[str, set[str]]] = {"/api/schedules/preview": {"422"}, "/api/status": set()}
"""Requests whose answers need no cluster, and the problems that they may have."""


def test_openapi_has_an_example_and_every_problem_of_each_request(served: Served) -> None:
    schema = served.http.get("/openapi.json").json()
    assert "HTTPValidationError" not in str(schema), "errors have one form"
    for path, operations in schema["paths"].items():
        for verb, operation in operations.items():
            if not path.startswith("/api/"):
                continue
            good = next(iter(code for code in operation["responses"] if code < "300"))
            found = operation["responses"][good]["content"]
            own = {
                "/api/events": "text/event-stream",
                "/api/workflows/{workflowId}/export": "application/yaml",
            }
            content = found[own.get(path, "application/json")]
            assert content["example"], (path, verb)
            assert content["schema"], (path, verb)
            bad = {code for code in operation["responses"] if code >= "400"}
            assert ALONE.get(path, {"422", "503"}) <= bad
            if "requestBody" in operation:
                assert operation["requestBody"]["content"]["application/json"]["examples"]
                assert {"400", "409" if "execute" in path else "422", "413", "415"} <= bad
            for code in bad:
                reference = operation["responses"][code]["content"][PROBLEM]["schema"]["$ref"]
                assert reference.endswith("/Problem")


# --- browsers ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browsed(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A facade that pages of one other origin may use."""
    with serving(cluster, tmp_path_factory.mktemp("browsed"), cors_origins="https://dash.example") as made:
        yield made


def test_pages_of_an_allowed_origin_may_do_everything(browsed: Served) -> None:
    origin = {"Origin": "https://dash.example"}
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    before = browsed.http.options("/api/workflows/x", headers=origin | asked)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == "https://dash.example"
    assert "PUT" in before.headers["access-control-allow-methods"]
    answer = browsed.http.post("/api/workflows", json={"name": "x"}, headers=origin)
    assert answer.status_code == 201
    assert answer.headers["access-control-allow-origin"] == "https://dash.example"
    assert "Location" in answer.headers["access-control-expose-headers"]
    refused = browsed.http.get("/api/workflows/nowhere", headers=origin)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (
        404,
        "https://dash.example",
    )


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE"])
def test_pages_of_other_origins_change_nothing(browsed: Served, verb: str) -> None:
    headers = {"Origin": "https://evil.example"}
    answer = browsed.http.request(verb, "/api/workflows", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (403, PROBLEM)
    assert "NIGHTCRAWLER_CORS_ORIGINS" in answer.json()["detail"]
    assert "access-control-allow-origin" not in browsed.http.get("/api/workflows", headers=headers).headers


def test_a_page_that_rebinds_its_own_name_to_loopback_reads_and_changes_nothing(browsed: Served) -> None:
    headers = {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}
    for verb, body in (("GET", None), ("POST", {"name": "x"})):
        answer = browsed.http.request(verb, "/api/workflows", headers=headers, json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (403, PROBLEM)
        assert "evil.example" in answer.json()["detail"]


def test_pages_of_the_facade_itself_may_do_everything(served: Served) -> None:
    url = served.http.base_url
    origin = f"http://{url.host}:{url.port}"
    assert (
        served.http.post("/api/workflows", json={"name": "x"}, headers={"Origin": origin}).status_code == 201
    )


# --- outages -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A control plane that the tests may stop."""
    with LocalCluster.start(tmp_path_factory.mktemp("outage")) as started:
        install_crds(started)
        yield started


WRITES: list[tuple[str, str, Any]] = [
    ("POST", "", {"name": "x"}),
    ("PUT", "/{workflow}", {"name": "y"}),
    ("DELETE", "/{workflow}", None),
    ("POST", "/{workflow}/execute", {}),
    ("POST", "/{workflow}/executions/{execution}/cancel", None),
]


def timeless(answer: Json) -> Json:
    """An answer without how long its step runs, which goes on."""
    steps = [{**step, "duration": ""} for step in answer.get("steps", ())]
    return {**answer, "steps": steps} if steps else answer


def test_while_the_api_server_is_unreachable_reads_go_on_and_writes_are_503(
    own_cluster: LocalCluster, tmp_path: Path
) -> None:
    with serving(own_cluster, tmp_path) as served:
        workflow = served.create(name="before", steps=[STEP])
        execution = served.execute(workflow)
        served.report(
            execution, phase="Running", steps={"a": {"phase": "Running", "startTime": "2025-07-10T14:45:00Z"}}
        )
        path = f"/{workflow}/executions/{execution}"
        eventually(lambda: served.ask("GET", path)["stepExecutions"])
        reads = ["", f"/{workflow}", f"/{workflow}/executions"]
        before = [timeless(served.ask("GET", read)) for read in reads]

        own_cluster.stop_component("kube-apiserver", kill=True)
        for verb, written, body in WRITES:
            answer = served.http.request(
                verb,
                "/api/workflows" + written.format(workflow=workflow, execution=execution),
                **({} if body is None else {"json": body}),
            )
            assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM), answer.text
            assert "the API server" in answer.json()["detail"]
            assert int(answer.headers["retry-after"]) > 0
        assert [timeless(served.ask("GET", read)) for read in reads] == before
        [step] = served.ask("GET", path)["stepExecutions"]
        assert step["logs"] == []
        assert "the log cannot be read now: the API server" in step["logsMessage"]
        served.refused("GET", "/not-known", code=503)
        eventually(
            lambda: not served.http.get("/readyz").json()["apiServer"]["reachable"],
            what="it to report that the API server is unreachable",
            within=30,
        )
        for probe in ("/readyz", "/healthz"):
            assert served.http.get(probe).status_code == 200, "what was read is still shown"
        assert "nightcrawler_api_server_reachable 0.0" in served.http.get("/metrics").text

        own_cluster.start_component("kube-apiserver")
        eventually(
            lambda: served.http.get("/readyz").json()["apiServer"]["reachable"],
            what="it to reach the API server again",
            within=30,
        )
        assert served.ask("PUT", f"/{workflow}", {"name": "after"})["name"] == "after"
        assert served.execute(workflow)
        # And later changes are observed again.
        served.report(execution, phase="Completed", completionTime="2025-07-10T15:00:00Z")
        eventually(lambda: served.ask("GET", path)["status"] == "completed", what="news", within=30)


def test_a_facade_that_starts_before_its_cluster_waits_for_it(
    own_cluster: LocalCluster, tmp_path: Path
) -> None:
    with serving(own_cluster, tmp_path) as served:
        workflow = served.create()
        served.facade.stop()
        own_cluster.stop_component("kube-apiserver")
        served.facade.start(ready=False)
        assert served.http.get("/readyz").json()["notYetRead"] == [
            "workflows",
            "workflowexecutions",
            "environments",
            "computeprofiles",
        ]
        problem = served.refused("GET", "", code=503)
        assert "has not yet read the cluster's workflows" in problem["detail"]
        own_cluster.start_component("kube-apiserver")
        eventually(lambda: served.http.get("/readyz").status_code == 200, what="it to be ready", within=30)
        assert served.ask("GET", f"/{workflow}")["name"] == "A workflow"
