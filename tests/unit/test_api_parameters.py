"""Models of queries are read by pydantic alone, to what FastAPI reads, and refused in the same words."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

import pytest
from fastapi import FastAPI, Query, Response
from httpx import ASGITransport, AsyncClient
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api import errors
from nightcrawler_api.executions.queries import AllExecutionsParameters, BulkCancelParameters
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.responses import json

routes: Final = Routes(tags=["tests"])


@routes.get("/lists/{of}", summary="A list")
async def show(of: str, asked: Annotated[AllExecutionsParameters, Query()], logs: bool = True) -> Response:
    """What was asked for."""
    return json([of, logs, asked.model_dump(mode="json"), sorted(asked.model_fields_set)])


@routes.get("/cancellations", summary="A model that forbids others")
async def cancel(asked: Annotated[BulkCancelParameters, Query()]) -> Response:
    """What was asked for."""
    return json([asked.model_dump(mode="json"), sorted(asked.model_fields_set)])


def application(*, as_fastapi: bool) -> FastAPI:
    """An application that serves the routes, as the facade does, or as FastAPI would."""
    app = FastAPI()
    routes.add_to(app, documented=as_fastapi)
    errors.install(app)
    return app


APPLICATIONS: Final = (application(as_fastapi=False), application(as_fastapi=True))


async def both(path: str, query: list[tuple[str, str]]) -> tuple[tuple[int, Any], tuple[int, Any]]:
    """The answers to a query without the ids of the requests: as it is served, and FastAPI's."""
    found = []
    for app in APPLICATIONS:
        async with AsyncClient(transport=ASGITransport(app), base_url="http://facade.test") as http:
            answer = await http.get(f"{path}?{urlencode(query)}")
        shown = answer.json()
        if answer.is_error:
            del shown["requestId"]
        found.append((answer.status_code, shown))
    return found[0], found[1]


QUERIES: Final[tuple[list[tuple[str, str]], ...]] = (
    [],
    [("limit", "50"), ("cursor", "abc")],
    [("tags", "gpu")],
    [("tags", "gpu"), ("tags", "night"), ("status", "")],
    [("limit", "5"), ("limit", "7")],
    [("from", "2025-07-10"), ("groupBy", "day"), ("logs", "false")],
    [("unknown", "1"), ("group_by", "day")],
    [("limit", "many")],
    [("limit", "1000"), ("offset", "-1"), ("tags", "")],
    [("from", "yesterday"), ("sort", "size"), ("status", "gone")],
)


@pytest.mark.parametrize("query", QUERIES, ids=str)
async def test_a_query_is_read_and_refused_as_fastapi_does(query: list[tuple[str, str]]) -> None:
    served, expected = await both("/lists/one", query)
    assert served == expected


@pytest.mark.parametrize("query", [[], [("status", "all")], [("status", "all"), ("misspelt", "1")]], ids=str)
async def test_unknown_parameters_are_refused_where_the_model_says_so(query: list[tuple[str, str]]) -> None:
    served, expected = await both("/cancellations", query)
    assert served == expected


names = st.sampled_from(
    [*(field.alias or name for name, field in AllExecutionsParameters.model_fields.items()), "x"]
)
words = st.sampled_from(["", "1", "-1", "all", "day", "gpu", "2025-07-10", "createdAt", "é", " ", "true"])


@given(st.lists(st.tuples(names, words), max_size=6))
async def test_any_query_is_read_and_refused_as_fastapi_does(query: list[tuple[str, str]]) -> None:
    served, expected = await both("/lists/one", query)
    assert served == expected
