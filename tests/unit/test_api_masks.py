"""Logs of a workflow with `secureSecrets`: without the values of its Secrets, or not at all."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from aiohttp import web

from nightcrawler_api.executions.loglines import parse_log
from nightcrawler_api.masks import Masks
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds.errors import Unavailable
from nightcrawler_crds.masking import NOTHING_HIDDEN
from tests.support.fakeserver import store_of
from tests.support.views import execution

PASSWORD: Final = "hunter2000"
_SECURE: Final = {"security": {"secureSecrets": True}}
_STEP: Final = {
    "name": "a",
    "image": "i",
    "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}],
}


@dataclass
class Cluster:
    """What the API server has: a revision, and a Secret unless it was deleted."""

    data: dict[str, Any] = field(default_factory=lambda: {"steps": [_STEP], "config": _SECURE})
    secret: dict[str, str] | None = field(default_factory=lambda: {"password": PASSWORD})
    refused: int = 0
    asked: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        if "/controllerrevisions/" in request.path:
            return web.json_response({"metadata": {"name": "rev"}, "data": self.data})
        self.asked += 1
        if self.refused or self.secret is None:
            status = self.refused or 404
            return web.json_response({"kind": "Status", "code": status, "message": "no"}, status=status)
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self.secret.items()}
        return web.json_response({"metadata": {"name": "db"}, "data": data})


@asynccontextmanager
async def masks_of(cluster: Cluster, *, enabled: bool = True) -> AsyncIterator[Masks]:
    async with store_of(cluster.answer) as store:
        yield Masks(store, ClusterCache(store, "default"), enabled=enabled)


RUN: Final = execution(phase="Running", revision="rev")


async def test_the_values_of_its_secrets_are_hidden_in_its_log() -> None:
    async with masks_of(Cluster()) as masks:
        mask = await masks.of(RUN)
    log = parse_log(f"2025-07-10T14:45:10Z ERROR no access with {PASSWORD}\n", mask)
    assert [(line["level"], line["message"]) for line in log] == [("error", "ERROR no access with ***")]


async def test_they_are_read_once_for_many_requests() -> None:
    cluster = Cluster()
    async with masks_of(cluster) as masks:
        for _ in range(5):
            await masks.of(RUN)
    assert cluster.asked == 1


@pytest.mark.parametrize(
    ("data", "enabled"),
    [({"steps": [_STEP]}, True), ({"steps": [_STEP], "config": _SECURE}, False)],
    ids=["not asked for", "not granted"],
)
async def test_otherwise_no_secret_is_read(data: dict[str, Any], enabled: bool) -> None:
    cluster = Cluster(data)
    async with masks_of(cluster, enabled=enabled) as masks:
        assert await masks.of(RUN) is NOTHING_HIDDEN
    assert cluster.asked == 0


@pytest.mark.parametrize("status", [403, 500, 503])
async def test_a_log_whose_secrets_cannot_be_read_is_withheld(status: int) -> None:
    async with masks_of(Cluster(refused=status)) as masks:
        with pytest.raises(Unavailable, match="the log is withheld: the Secrets whose values are masked"):
            await masks.of(RUN)


async def test_a_secret_that_was_deleted_has_no_value_to_be_hidden() -> None:
    async with masks_of(Cluster(secret=None)) as masks:
        assert (await masks.of(RUN))("text") == "text"


async def test_a_secret_of_its_compute_profile_is_hidden_too() -> None:
    profile = {"env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]}
    step = {"name": "a", "image": "i"}
    data = {"steps": [step], "config": _SECURE, "profiles": {"gpu": profile}}
    async with masks_of(Cluster(json.loads(json.dumps(data)))) as masks:
        assert (await masks.of(RUN))(PASSWORD) == "***"
