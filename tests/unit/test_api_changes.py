"""Changes of one workflow that come at the same time."""

from __future__ import annotations

import asyncio

import httpx
import msgspec
from aiohttp import web

from nightcrawler_api.app import create_app, in_front
from nightcrawler_api.settings import Settings
from tests.support.fakeserver import store_of
from tests.support.views import workflow

MANY = 40


class OneWorkflow:
    """An API server with one workflow, which takes a change only of the version that it has."""

    def __init__(self) -> None:
        self.version = 1
        self.refused = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "PATCH":
            patch = await request.json()
            await asyncio.sleep(0)
            if patch["metadata"]["resourceVersion"] != str(self.version):
                self.refused += 1
                return web.json_response({"kind": "Status", "reason": "Conflict"}, status=409)
            self.version += 1
        body = msgspec.to_builtins(workflow("w", version=self.version, displayName="w"))
        return web.json_response(body)


async def test_concurrent_changes_in_one_facade_are_serialised_and_all_kept() -> None:
    server = OneWorkflow()
    async with store_of(server.answer) as store:
        app = create_app(Settings(namespace="default"), store)
        for informer in app.state.facade.cluster._informers:
            informer.synced.set()
        transport = httpx.ASGITransport(in_front(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answers = await asyncio.gather(
                *(client.put("/api/workflows/w", json={"tags": [str(number)]}) for number in range(MANY))
            )

    assert {answer.status_code for answer in answers} == {200}
    assert (server.version, server.refused) == (1 + MANY, 0)
