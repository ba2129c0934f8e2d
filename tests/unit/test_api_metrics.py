"""What is counted of requests: few series, whatever is asked."""

from __future__ import annotations

import httpx
from fastapi import FastAPI
from prometheus_client import generate_latest

from nightcrawler_api.metrics import Measured, Metrics
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store


async def test_unknown_methods_are_counted_as_one() -> None:
    metrics = Metrics(ClusterCache(Store(Connection(Identity("http://localhost"), "test")), "default"), [])
    inner = FastAPI()
    inner.add_api_route("/there", lambda: "x")
    app = Measured(inner, metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        for method in ("GET", "DELETE", "MADE", "UP", "get"):
            await client.send(httpx.Request(method, "http://x/there"))
    text = generate_latest(metrics.registry).decode()
    assert 'requests_total{method="GET",route="/there",status="200"}' in text
    assert 'requests_total{method="DELETE",route="/there",status="405"}' in text
    assert 'requests_total{method="other",route="/there",status="405"}' in text
    assert "MADE" not in text
