"""ETags of lists and objects, and 304 for clients that have the current answer; without a cluster."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web

from nightcrawler_api.app import create_app, in_front
from nightcrawler_api.settings import Settings
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds import clock
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from tests.support.fakeserver import store_of
from tests.support.views import environment, execution, profile, workflow

LISTS = ("/api/workflows?pageSize=5", "/api/workflows/w/executions?limit=5")
PLACES = (
    "/api/environments",
    "/api/environments/dgx",
    "/api/compute-profiles",
    "/api/compute-profiles/large",
)
READS = (
    *LISTS,
    "/api/executions?status=all",
    "/api/executions/e?logs=false",
    "/api/workflows/w",
    "/api/workflows/w/executions/e?logs=false",
    "/api/workflows/w/executions/e/timeline",
    *PLACES,
)
UNTAGGED = ("/api/events", "/api/status")
"""A stream, and what is never the same twice."""
ELSEWHERE = (
    "/logs",
    "/export",
    "/statistics",
    "/trace",
    "/revisions",
    "/revisions/{revisionId}",
    "/difference",
    "/audit",
)
"""Reads whose tags need a real API server."""


async def absent(_: web.Request) -> web.StreamResponse:
    return web.json_response({"kind": "Status", "reason": "NotFound", "code": 404}, status=404)


@asynccontextmanager
async def facade(**settings: Any) -> AsyncGenerator[tuple[httpx.AsyncClient, ClusterCache], None]:
    """A facade that knows the workflow `w`, its run `e` and where it may run; the test changes them."""
    async with store_of(absent) as store:
        app = create_app(Settings(namespace="default", **settings), store)
        cluster: ClusterCache = app.state.facade.cluster
        for informer in cluster._informers:
            informer.synced.set()
        cluster.cache_workflow(workflow("w", uid="w", steps=[{"name": "a"}]))
        change_all(cluster, 1, "Running")
        transport = httpx.ASGITransport(in_front(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client, cluster


def change_all(cluster: ClusterCache, version: int, phase: str) -> None:
    cluster.cache_execution(run(version, phase))
    cluster._environments.cache.upsert(environment("dgx", version=version, displayName=phase))
    cluster._profiles.cache.upsert(profile("large", version=version, displayName=phase))


def run(version: int, phase: str, **step: Any) -> Any:
    steps = {"a": {"phase": phase, **step}}
    return execution("e", of="w", uid="e", version=version, phase=phase, steps=steps)


def having(answer: httpx.Response) -> dict[str, str]:
    return {"If-None-Match": answer.headers["etag"]}


@pytest.mark.parametrize("path", READS)
async def test_a_known_tag_gets_304_until_the_response_changes(path: str) -> None:
    async with facade() as (client, cluster):
        first = await client.get(path)
        assert first.headers["cache-control"] == "private, no-cache"
        same = await client.get(path, headers=having(first))
        head = await client.head(path, headers=having(first))
        change_all(cluster, 2, "Completed")
        changed = await client.get(path, headers=having(first))
    for answer in (same, head):
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == first.headers["etag"]
        assert answer.headers["cache-control"] == "private, no-cache"
        assert not {"content-type", "content-length"} & set(answer.headers)
    assert (first.status_code, changed.status_code) == (200, 200)
    assert changed.headers["etag"] != first.headers["etag"]
    assert changed.json() != first.json()


async def test_several_if_none_match_headers_are_one_list() -> None:
    async with facade() as (client, _):
        etag = (await client.get(LISTS[0])).headers["etag"]
        answer = await client.get(LISTS[0], headers=[("If-None-Match", '"other"'), ("If-None-Match", etag)])
    assert answer.status_code == 304


async def test_replicas_and_restarts_give_the_same_response_the_same_tag() -> None:
    tags: list[list[str]] = []
    for _ in range(2):
        async with facade() as (client, _cluster):
            tags.append([(await client.get(path)).headers["etag"] for path in READS])
    assert tags[0] == tags[1]
    assert len(set(tags[0])) == len(READS)


async def test_a_step_that_runs_changes_the_tag_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    began = clock.utcnow()
    async with facade() as (client, cluster):
        cluster.cache_execution(run(2, "Running", startTime=clock.to_wire(began)))
        first = await client.get("/api/workflows/w")
        monkeypatch.setattr(clock, "utcnow", lambda: began + timedelta(days=365))
        later = await client.get("/api/workflows/w", headers=having(first))
    assert later.status_code == 200
    assert later.json()["steps"] != first.json()["steps"]


async def test_other_requests_have_other_tags_unless_the_response_is_the_same() -> None:
    async with facade() as (client, _):
        one = await client.get("/api/workflows")
        other = await client.get("/api/workflows?page=2", headers=having(one))
        same = await client.get("/api/workflows?page=1&pageSize=10", headers=having(one))
    assert (other.status_code, same.status_code) == (200, 304)


async def test_problems_and_writes_have_no_tag() -> None:
    async with facade() as (client, _):
        missing = await client.get("/api/workflows/other", headers={"If-None-Match": "*"})
        refused = await client.get("/api/workflows?page=0", headers={"If-None-Match": "*"})
    assert (missing.status_code, refused.status_code) == (404, 422)
    assert "etag" not in missing.headers
    assert "etag" not in refused.headers


async def test_pages_of_allowed_origins_may_read_the_tag() -> None:
    async with facade(cors_origins=("https://dash.example",)) as (client, _):
        origin = {"Origin": "https://dash.example"}
        first = await client.get(LISTS[0], headers=origin)
        same = await client.get(LISTS[0], headers=having(first) | origin)
    for answer in (first, same):
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert answer.headers["access-control-allow-origin"] == "https://dash.example"
    assert same.status_code == 304


def test_tags_are_documented() -> None:
    document = create_app(Settings(), Store(Connection(Identity("http://localhost"), "test"))).openapi()
    reads = {
        path
        for path in document["paths"]
        if path.startswith("/api/") and "get" in document["paths"][path] and path not in UNTAGGED
    }
    others = {path for path in reads if path.endswith(ELSEWHERE)}
    assert len(reads - others) == len(READS)
    for path in reads:
        responses = document["paths"][path]["get"]["responses"]
        assert "ETag" in responses["200"]["headers"], path
        assert "content" not in responses["304"], path
