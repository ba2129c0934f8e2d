"""What the API server refuses, as the facade answers it."""

from __future__ import annotations

import httpx
from aiohttp import web
from fastapi import FastAPI

from nightcrawler_api import errors
from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_crds.names import WORKFLOWS
from tests.support.fakeserver import store_of


async def test_refused_credentials_are_reported_as_the_facades_own() -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "status": "Failure", "message": "Unauthorized", "code": 401}
        return web.json_response(body, status=401)

    async with store_of(refuse) as store:

        async def ask() -> None:
            await store.get(WORKFLOWS, "default", "x", WorkflowView)
            raise AssertionError("the API server refuses everything")

        app = FastAPI()
        app.add_api_route("/", ask)
        errors.install(app)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            answer = await client.get("/")
    assert answer.status_code == 503
    detail = answer.json()["detail"]
    assert "the facade's own credentials" in detail
    assert "NIGHTCRAWLER_KUBECONFIG" in detail
    assert int(answer.headers["retry-after"]) > 0
