"""The row of identity: its figures, and that each client sends its own token."""

from __future__ import annotations

from collections import Counter

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from nightcrawler_crds.v1alpha1 import WorkflowSpec
from tests.bench.dashboards import Visit, _Clients
from tests.bench.goals import GOALS
from tests.bench.rows.identity import OFF, ON, Seen, figures
from tests.bench.rows.list import definition


def test_both_are_compared_over_all_their_turns() -> None:
    found = {
        OFF: Seen([0.001] * 98 + [0.010] * 2, [60.0, 61.0]),
        ON: Seen([0.001] * 98 + [0.011] * 2, [70.0, 72.0]),
    }
    measured = figures(found)
    assert measured == {
        "off_p99_ms": 10,
        "on_p99_ms": 11,
        "p99_times": 1.1,
        "off_mb": 60.5,
        "on_mb": 71.0,
        "more_mb": 10.5,
    }
    goals = {figure.key: figure for figure in GOALS["identity"].figures}
    assert set(goals) == set(measured)
    assert goals["p99_times"].reaches(measured["p99_times"], goals["p99_times"].goal)
    assert not goals["more_mb"].reaches(measured["more_mb"], goals["more_mb"].goal)


@pytest.mark.parametrize("as_fast", [True, False])
async def test_each_client_sends_its_own_token_each_time(as_fast: bool) -> None:
    asked = Counter[str]()

    async def answer(request: web.Request) -> web.Response:
        asked[request.headers.get("Authorization", "")] += 1
        return web.json_response({}, headers={"ETag": 'W/"x"'})

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    async with TestServer(application, host="127.0.0.1") as server:
        visit = Visit(
            url=str(server.make_url("")).rstrip("/"),
            clients=4,
            seconds=1,
            as_fast=as_fast,
            runs=[3] * 400,
            tokens=["a", "b", "c"],
        )
        seen = await _Clients(visit).run()
    assert asked.keys() == {"Bearer a", "Bearer b", "Bearer c"}
    assert seen.count == asked.total()
    if not as_fast:
        assert asked["Bearer a"] == 2, "the fourth client begins again"


def test_further_workflows_are_private_to_nobody_who_asks() -> None:
    usual, private = definition(3, private=False), definition(3, private=True)
    assert private["spec"]["config"].pop("security") == {"visibility": "Private"}
    assert usual == private
    WorkflowSpec.model_validate(definition(3, private=True)["spec"], extra="forbid")
